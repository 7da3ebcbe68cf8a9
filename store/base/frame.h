/*
 * Typed frames between our own processes over a stream socket, and the values
 * in them. The reader distrusts the writer: lengths are bounded before memory
 * is taken, and every value is checked against what is left.
 *
 *	frame: type (1 byte), length (4 bytes, little-endian), body
 *	number: 8 bytes, little-endian; string: number, then the bytes
 */
#ifndef STORE_BASE_FRAME_H
#define STORE_BASE_FRAME_H

#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/str.h"

#define FRAME_HEAD 5

/* Writes one frame. 0, or -1 with errno. */
int frame_write(int fd, uint8_t type, struct str body);
/*
 * Reads one frame into `body` (reset first; its ceiling is the limit). 1, 0
 * at the end of the stream before a frame, -1 with errno (EPROTO: too long
 * or cut short; ETIMEDOUT: past `deadline_ms` of clock_mono_ms, 0: never).
 */
int frame_read(int fd, uint8_t *type_r, struct buf *body, int64_t deadline_ms);

void frame_put_number(struct buf *b, uint64_t n);
void frame_put_str(struct buf *b, struct str s);
/* p NULL and "" are told apart. */
void frame_put_str_or_null(struct buf *b, struct str s);

/* Each takes a value off the front of *in; -1 when it is not there whole. */
int frame_get_number(struct str *in, uint64_t *n_r);
/* At most `max`. */
int frame_get_count(struct str *in, uint64_t max, size_t *n_r);
/* Borrowed from the frame. */
int frame_get_str(struct str *in, struct str *s_r);
int frame_get_str_or_null(struct str *in, struct str *s_r);

#endif
