#include "lda/maps/netstring.h"

#include <stdint.h>

#include "store/base/num.h"

enum netstring_result
netstring_take(struct str *in, size_t max, struct str *content_r)
{
	uint64_t length;
	size_t n = 0;

	while (n < in->n && n <= NETSTRING_DIGITS && ascii_isdigit(in->p[n]))
		n++;
	/* "007:" is not how lengths are written. */
	if (n > NETSTRING_DIGITS || (n > 1 && in->p[0] == '0'))
		return NETSTRING_BAD;
	if (n > 0 && (num_u64(str_mem(in->p, n), UINT64_MAX, &length) < 0 ||
	    length > max))
		return NETSTRING_BAD;
	if (n == in->n)
		return NETSTRING_MORE;
	if (n == 0 || in->p[n] != ':')
		return NETSTRING_BAD;
	n++;
	if (in->n - n <= length)
		return NETSTRING_MORE;
	if (in->p[n + length] != ',')
		return NETSTRING_BAD;
	*content_r = str_mem(in->p + n, (size_t)length);
	*in = str_sub(*in, n + (size_t)length + 1, in->n);
	return NETSTRING_ONE;
}

int
netstring_add(struct buf *out, struct str head, struct str text)
{
	size_t before = out->n;

	if (buf_addf(out, "%zu:", head.n + 1 + text.n) == 0 &&
	    buf_adds(out, head) == 0 && buf_addc(out, ' ') == 0 &&
	    buf_adds(out, text) == 0 && buf_addc(out, ',') == 0)
		return 0;
	buf_cut(out, before);
	return -1;
}
