#include "lda/lmtp/crlf.h"

#include <string.h>

size_t
crlf_feed(struct crlf *c, struct str *in, char *out, size_t size)
{
	const char *cr;
	size_t n = 0, piece;

	while (in->n && n + 2 <= size) {
		if (c->held) {
			c->held = false;
			if (in->p[0] != '\n')
				out[n++] = '\r';
			if (in->p[0] != '\r') {
				out[n++] = in->p[0];
				*in = str_sub(*in, 1, in->n);
			}
			if (n + 2 > size || in->n == 0)
				break;
		}
		cr = memchr(in->p, '\r', in->n);
		piece = cr ? (size_t)(cr - in->p) : in->n;
		if (piece > size - n) {
			piece = size - n;
			cr = NULL;
		}
		memcpy(out + n, in->p, piece);
		n += piece;
		*in = str_sub(*in, piece + (cr ? 1 : 0), in->n);
		c->held = cr != NULL;
	}
	return n;
}

size_t
crlf_end(struct crlf *c, char *out)
{
	if (!c->held)
		return 0;
	c->held = false;
	out[0] = '\r';
	return 1;
}
