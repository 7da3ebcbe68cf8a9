#include "filters/sieve/ext/hash.h"

static uint64_t
mix(uint64_t h, unsigned char c)
{
	return (h ^ c) * 0x100000001b3u;
}

void
hash_hex(const struct str *list, unsigned n, struct buf *out)
{
	uint64_t a = 0xcbf29ce484222325u, b = 0x9ae16a3b2f90404fu;

	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < list[i].n; k++) {
			unsigned char c = (unsigned char)list[i].p[k];

			a = mix(a, c);
			b = mix(b ^ (b >> 29), (unsigned char)(c + 1));
		}
		/* where one string ends counts, too */
		a = mix(a ^ list[i].n, 0xff);
		b = mix(b ^ list[i].n, 0xfe);
	}
	(void)buf_addf(out, "%016llx%016llx", (unsigned long long)a,
	    (unsigned long long)b);	/* the caller's buffer has room */
}
