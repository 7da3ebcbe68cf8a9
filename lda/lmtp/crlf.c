#include "lda/lmtp/crlf.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#ifdef __SSE2__
#define BLOCK 32

static void
move_block(char *out, __m128i a, __m128i b)
{
	_mm_storeu_si128((void *)out, a);
	_mm_storeu_si128((void *)(out + BLOCK / 2), b);
}

/*
 * Takes blocks off *in as long as each CR in them is followed by its LF, and
 * returns how many bytes that made. What is behind a CR is moved once more, a
 * byte nearer: where the next block begins does not depend on where lines end,
 * as it would with a search for each, so the processor need not wait.
 */
static size_t
crlf_blocks(const char **in, const char *end, char *out, size_t size)
{
	const __m128i cr = _mm_set1_epi8('\r');
	const char *p = *in;
	size_t n = 0, blocks = (size_t)(end - p);

	/* What is written is never more than what was read. From the last byte
	 * of a block another is read and written, so the last is not taken. */
	if (blocks > size)
		blocks = size;
	for (blocks /= BLOCK; blocks > 1; blocks--) {
		__m128i a = _mm_loadu_si128((const void *)p);
		__m128i b = _mm_loadu_si128((const void *)(p + BLOCK / 2));
		unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, cr)) |
		    (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(b, cr)) << 16;
		size_t gone = 0;	/* CRs of this block */

		move_block(out + n, a, b);
		for (; hits; hits &= hits - 1) {
			size_t at = (size_t)__builtin_ctz(hits);

			if (p[at + 1] != '\n') {
				*in = p + at;
				return n + at - gone;
			}
			a = _mm_loadu_si128((const void *)(p + at + 1));
			b = _mm_loadu_si128((const void *)(p + at + 1 + BLOCK / 2));
			move_block(out + n + at - gone, a, b);
			gone++;
		}
		p += BLOCK;
		n += BLOCK - gone;
	}
	*in = p;
	return n;
}
#else
static size_t
crlf_blocks(const char **in, const char *end, char *out, size_t size)
{
	(void)in;
	(void)end;
	(void)out;
	(void)size;
	return 0;
}
#endif

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
		n += crlf_blocks(&p, end, out + n, size - n);
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
