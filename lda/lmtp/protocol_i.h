/*
 * Shared by protocol.c (bytes, lines, messages) and command.c (what a line
 * means); nobody else includes it.
 */
#ifndef LDA_LMTP_PROTOCOL_I_H
#define LDA_LMTP_PROTOCOL_I_H

#include "lda/lmtp/protocol.h"

/* One reply line; code "" leaves the enhanced code out. */
void lmtp_reply(struct lmtp *p, int reply, const char *code,
    const char *text);
/* The same for a mistake of the client's; the last straw is a 421. */
void lmtp_error(struct lmtp *p, int reply, const char *code,
    const char *text);
/* Drops the transaction; LMTP_ABORT follows when there was one. */
void lmtp_drop(struct lmtp *p);
/* Understands one line, without its CRLF. Sets p->pending, p->state and
 * p->wait as needed. */
void lmtp_command(struct lmtp *p, struct str line);

#endif
