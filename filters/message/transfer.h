/*
 * Content-Transfer-Encoding (RFC 2045 6): streams of any size, in pieces.
 *
 *	struct transfer t;
 *	transfer_init(&t, TRANSFER_BASE64);
 *	while (pieces) transfer_feed(&t, piece, &out);
 *	transfer_finish(&t, &out);
 *
 * Decoders never fail for what they read: characters that are not of the
 * base64 alphabet are passed over, a broken =XX stays as it is, data behind
 * base64 padding is taken as a new row (mailers join such pieces). -1 means the buffer is full:
 * what fitted is there, and the caller may empty it and feed what is left. A
 * buffer for that holds at least TRANSFER_ROOM bytes: so many may come at
 * once, when blanks were held back.
 */
#ifndef FILTERS_MESSAGE_TRANSFER_H
#define FILTERS_MESSAGE_TRANSFER_H

#include <stdbool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/str.h"

#define TRANSFER_ROOM 96

enum transfer_encoding {
	TRANSFER_IDENTITY,	/* 7bit, 8bit, binary, or not given */
	TRANSFER_BASE64,
	TRANSFER_QP,
	TRANSFER_UNKNOWN,	/* decoded as identity (RFC 2045 6.4 has it
				 * opaque) */
};

struct transfer {
	enum transfer_encoding encoding;
	/* private */
	uint32_t bits;
	unsigned n_bits, n_held;
	char held[80];
};

/* By the value of the field, comments already gone. */
enum transfer_encoding transfer_named(struct str name);

void transfer_init(struct transfer *t, enum transfer_encoding encoding);
/* 0 when all of `in` was taken. -1 when `out` is full: then as much as
 * fitted was decoded, and *in holds what is left. */
int transfer_feed(struct transfer *t, struct str *in, struct buf *out);
/* What was held back at the end of the data. */
int transfer_finish(struct transfer *t, struct buf *out);

/* All at once: 0, or -1 when only a front part fitted. */
int transfer_decode(enum transfer_encoding encoding, struct str in,
    struct buf *out);
/*
 * How many characters of base64 s holds, whatever stands between them: the
 * decoded size is three quarters of it. *one_r: is it one row, padded at its
 * end if at all? Some ten times as fast as decoding.
 */
size_t transfer_base64_count(struct str s, bool *one_r);
/* s without its first n such characters. */
struct str transfer_base64_skip(struct str s, size_t n);
/* Base64 in lines of 76 with `eol`; for what we compose. */
int transfer_base64_encode(struct str in, struct str eol, struct buf *out);
/* Without line breaks. */
int transfer_base64_line(struct str in, struct buf *out);

#endif
