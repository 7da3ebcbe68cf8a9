#include "lda/lmtp/crlf.h"

#include <string.h>

size_t
crlf_feed(struct crlf *c, struct str *in, char *out, size_t size)
{
	const char *p = in->p, *end = in->p + in->n, *cr;
	size_t n = 0, piece;

	while (p < end && n + 2 <= size) {
		if (c->held) {
			c->held = false;
			if (*p != '\n')
				out[n++] = '\r';
			if (*p != '\r')
				out[n++] = *p++;
			if (n + 2 > size || p == end)
				break;
		}
		cr = memchr(p, '\r', (size_t)(end - p));
		piece = (size_t)((cr ? cr : end) - p);
		if (piece > size - n) {
			piece = size - n;
			cr = NULL;
		}
		memcpy(out + n, p, piece);
		n += piece;
		p += piece;
		if (!cr)
			continue;
		p++;
		/* Nearly every CR has its LF behind it. */
		if (p < end && *p == '\n' && n < size) {
			out[n++] = '\n';
			p++;
		} else {
			c->held = true;
		}
	}
	*in = str_mem(p, (size_t)(end - p));
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
