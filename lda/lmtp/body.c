#include "lda/lmtp/body.h"

#include <string.h>

void
lmtp_body_init(struct lmtp_body *b)
{
	b->at = BODY_START;
}

/* Where a line that begins with a dot begins, behind its CRLF within s; NULL:
 * none. Dots are rare, and base64 has none at all, so they are what is sought:
 * memmem(3) for all three bytes takes four times as long. */
static const char *
dotted_line(const char *p, size_t n)
{
	const char *at = p, *end = p + n;

	while (at < end && (at = memchr(at, '.', (size_t)(end - at)))) {
		if (at - p >= 2 && at[-1] == '\n' && at[-2] == '\r')
			return at;
		at++;
	}
	return NULL;
}

/*
 * The longest piece of s that can be stored as it is, from a state in which
 * no dot is held back. Afterwards b->at says what the last byte means; it is
 * BODY_START only when s ended there or a dot follows.
 */
static size_t
plain(struct lmtp_body *b, struct str s)
{
	const char *hit;
	size_t from = 0;

	if (b->at == BODY_CR && s.p[0] == '\n') {
		b->at = BODY_START;
		if (s.n == 1 || s.p[1] == '.')
			return 1;
		from = 1;
	}
	hit = dotted_line(s.p + from, s.n - from);
	if (hit) {
		b->at = BODY_START;
		return (size_t)(hit - s.p);
	}
	if (s.p[s.n - 1] == '\r')
		b->at = BODY_CR;
	else if (s.n >= 2 && s.p[s.n - 2] == '\r' && s.p[s.n - 1] == '\n')
		b->at = BODY_START;
	else
		b->at = BODY_TEXT;
	return s.n;
}

bool
lmtp_body_feed(struct lmtp_body *b, struct str *in, struct str *piece_r)
{
	size_t n;

	*piece_r = STR("");
	while (in->n) {
		switch (b->at) {
		case BODY_START:
			if (in->p[0] == '.') {
				b->at = BODY_DOT;
				*in = str_sub(*in, 1, in->n);
				continue;
			}
			break;
		case BODY_DOT:
			if (in->p[0] == '\r') {
				b->at = BODY_DOT_CR;
				*in = str_sub(*in, 1, in->n);
				continue;
			}
			b->at = BODY_TEXT;
			break;
		case BODY_DOT_CR:
			if (in->p[0] == '\n') {
				*in = str_sub(*in, 1, in->n);
				b->at = BODY_START;
				return true;
			}
			/* The dot was stuffed and the CR is data. It may lie in
			 * an earlier buffer. */
			*piece_r = STR("\r");
			b->at = BODY_CR;
			return false;
		case BODY_CR:
		case BODY_TEXT:
			break;
		}
		n = plain(b, *in);
		*piece_r = str_sub(*in, 0, n);
		*in = str_sub(*in, n, in->n);
		return false;
	}
	return false;
}
