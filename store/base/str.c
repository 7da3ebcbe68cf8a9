#include "store/base/str.h"

#include <string.h>

struct str
str_of(const char *z)
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	if (r != 0)
		return r;
	return (a.n > b.n) - (a.n < b.n);
}

bool
str_starts(struct str s, struct str prefix)
{
	return str_eq(str_sub(s, 0, prefix.n), prefix);
}

bool
str_casestarts(struct str s, struct str prefix)
{
	if (s.n < prefix.n)
		return false;
	for (size_t i = 0; i < prefix.n; i++)
		if (ascii_lower(s.p[i]) != ascii_lower(prefix.p[i]))
			return false;
	return true;
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n &&
	    str_eq(str_sub(s, s.n - suffix.n, suffix.n), suffix);
}

ptrdiff_t
str_rchr(struct str s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

	return at ? at - s.p : -1;
}

ptrdiff_t
str_find(struct str s, struct str needle)
{
	const char *at;

	if (needle.n == 0)
		return 0;
	at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return at ? at - s.p : -1;
}

struct str
str_trim(struct str s)
{
	while (s.n && (ascii_isblank(s.p[0]) || s.p[0] == '\r' || s.p[0] == '\n'))
		s = str_sub(s, 1, s.n);
	while (s.n && (ascii_isblank(s.p[s.n - 1]) || s.p[s.n - 1] == '\r' ||
	    s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

bool
str_split(struct str *rest, char sep, struct str *part_r)
{
	ptrdiff_t at;

	if (!rest->p)
		return false;
	at = str_chr(*rest, sep);
	if (at < 0) {
		*part_r = *rest;
		*rest = (struct str){ NULL, 0 };
	} else {
		*part_r = str_sub(*rest, 0, (size_t)at);
		*rest = str_sub(*rest, (size_t)at + 1, rest->n);
	}
	return true;
}
