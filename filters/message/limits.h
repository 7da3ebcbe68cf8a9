/*
 * How far a stranger's message is followed. Each number is a ceiling past
 * which the rest is left alone (never an error, never a crash): the struct
 * that was being filled says so with `cut`. Work on a message is linear in
 * its size below every one of them.
 */
#ifndef FILTERS_MESSAGE_LIMITS_H
#define FILTERS_MESSAGE_LIMITS_H

/* Fields of one header that are indexed. Real mail has some 30 to 200 (long
 * Received chains, DKIM, ARC); at 100 bytes each this is 6.5 MB of index. */
#define HEADER_FIELDS_MAX 65536u
/* Bytes of a field name that are compared: RFC 5322 lines have at most 998,
 * real names fewer than 60. A longer name is no field. */
#define HEADER_NAME_MAX 998u
/* Bytes of one field's value that are looked at. 1 MB is a To: of 20,000
 * addresses; without it one 100 MB line would be copied to be unfolded. */
#define HEADER_VALUE_MAX (1024u * 1024u)
/* Bytes of one value written by editheader. Longer than any tag or list id;
 * Pigeonhole's default is 2048. */
#define HEADER_ADD_MAX 8192u
/* Column at which our own fields are folded (RFC 5322 2.1.1). */
#define HEADER_FOLD 76u

/* Addresses of one field. Sendmail and Exchange stop near 10,000
 * recipients. */
#define ADDRESS_LIST_MAX 16384u
/* Nesting of comments; each level costs a counter, not a stack frame. */
#define ADDRESS_COMMENT_DEPTH 1000u
/* RFC 5321 4.5.3.1. The local part may be 64 by that text, but VERP and SRS
 * addresses in use are longer; the whole path is 256 with its brackets. */
#define ADDRESS_SPEC_MAX 254u
#define ADDRESS_DOMAIN_MAX 253u
#define ADDRESS_LABEL_MAX 63u

/* A date with every comment that people write fits in 1000 bytes. */
#define DATE_TEXT_MAX 1000u

/* Name of a charset; the longest registered name has 45. */
#define CHARSET_NAME_MAX 64u
/* Bytes that iconv(3) may refuse before the rest is no longer given to it:
 * each costs a call. */
#define CHARSET_ERRORS_MAX 16384u
/* Bytes of one encoded word: RFC 2047 says 75; senders that ignore it exist,
 * longer than a line of RFC 5322 none. */
#define ENCODED_WORD_MAX 998u

/* Multiparts in multiparts. Dovecot stops at 100, too. */
#define MIME_DEPTH_MAX 100u
/* Parts of one message, the containers included; Dovecot stops at 10,000. */
#define MIME_PARTS_MAX 10000u
/* Boundary: 70 by RFC 2046; longer ones are seen in the wild, up to 200. */
#define MIME_BOUNDARY_MAX 256u
/* Parameters of one Content-* field, sections of RFC 2231 counted singly: 60
 * lines of file name. Each is compared with each. */
#define MIME_PARAMS_MAX 64u

/* Bytes of one decoded part, for tests over the body; the user of a decoder
 * may set less. */
#define MIME_DECODED_MAX (8u * 1024u * 1024u)
/* Digits of &#...; that are read: leading zeros hide characters. */
#define HTML_ENTITY_MAX 32u

#endif
