/*
 * What a client may make grow, and how far.
 */
#ifndef LDA_LMTP_LIMITS_H
#define LDA_LMTP_LIMITS_H

/* One command with its CRLF: 512 (RFC 5321 section 4.5.3.1.4), 26 for SIZE,
 * 10 for SMTPUTF8, 600 for the parameters of DSN (RFC 3461 section 4.1), a
 * UTF-8 path that needs more bytes than characters, and air. */
#define LMTP_LINE_MAX 2048
/* Paths, RFC 5321 section 4.5.3.1. Local parts are given more than 64 bytes:
 * VERP and SRS make longer ones every day. */
#define LMTP_LOCAL_MAX 255
#define LMTP_DOMAIN_MAX 255
#define LMTP_LABEL_MAX 63
/* LHLO argument and each attribute of XCLIENT and XFORWARD (Postfix: 255). */
#define LMTP_NAME_MAX 255
/* ENVID and ORCPT, decoded (RFC 3461 sections 4.2 and 4.4). */
#define LMTP_ENVID_MAX 100
#define LMTP_ORCPT_MAX 500
/* Replies that wait to be sent. From LMTP_OUT_SEND bytes on the protocol
 * asks to have them sent before it reads on. */
#define LMTP_OUT_SEND 8192
#define LMTP_OUT_MAX (256 * 1024)

#endif
