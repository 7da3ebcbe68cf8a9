/*
 * Bytes that grow, with a ceiling from birth.
 *
 *	struct buf b;
 *	buf_init(&b, LIMIT);
 *	buf_add(&b, ...); buf_addf(&b, ...);
 *	if (b.full) ... something did not fit, nothing of it was added
 *	buf_release(&b);
 *
 * The bytes are followed by a NUL that does not count, so b.p may be given
 * to a system call when the content is known to hold none. Adding past the
 * ceiling sets `full` and returns -1; the flag stays, so a row of adds can
 * be checked once. Out of memory ends the process (mem.h).
 */
#ifndef STORE_BASE_BUF_H
#define STORE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/base/str.h"

struct buf {
	char *p;	/* never NULL */
	size_t n;	/* bytes in use */
	size_t cap;	/* allocated, 0 before the first add */
	size_t max;	/* ceiling for n */
	bool full;	/* an add was refused */
};

void buf_init(struct buf *b, size_t max);
/* Over n bytes of the caller's, n at least 1: never grows, is not released. */
void buf_init_in(struct buf *b, char *p, size_t n);
void buf_release(struct buf *b);
/* Empties without giving memory back; clears `full`. */
void buf_reset(struct buf *b);
/* Cuts to n bytes when longer. */
void buf_cut(struct buf *b, size_t n);

/* Room for n more bytes at b->p + b->n; the caller adds to n what it used. */
int buf_reserve(struct buf *b, size_t n);

/* Each returns 0, or -1 with `full` set and nothing added. */
static inline int
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n >= b->cap - b->n && buf_reserve(b, n) < 0) /* n and the NUL */
		return -1;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
	return 0;
}

static inline int
buf_adds(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}

static inline int
buf_addz(struct buf *b, const char *z)
{
	return buf_add(b, z, strlen(z));
}

/* printf; only for text of ours and numbers, never for mail. */
int buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for a number alone, in a tenth of the time. */
int buf_addu(struct buf *b, uint64_t n);
/* s with the byte for each %XX (RFC 3986 section 2.1), a '%' of any other kind
 * as it stands. -1 with `full` set: it was cut. */
int buf_add_percent(struct buf *b, struct str s);

static inline int
buf_addc(struct buf *b, char c)
{
	if (b->n + 1 >= b->cap)		/* cap is at most max + 1 */
		return buf_add(b, &c, 1);
	b->p[b->n++] = c;
	b->p[b->n] = '\0';
	return 0;
}

/* What is in it, borrowed until the next change. */
static inline struct str
buf_str(const struct buf *b)
{
	return (struct str){ b->p, b->n };
}

#endif
