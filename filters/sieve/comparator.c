#include "filters/sieve/comparator.h"

#include <string.h>

#include "filters/message/utf8.h"
#include "filters/sieve/casemap_table.h"

static const struct {
	const char *name;
	const char *capability;
	bool substrings;
} comparators[COMPARATOR_COUNT] = {
	[COMPARATOR_OCTET] = { "i;octet", NULL, true },
	[COMPARATOR_CASEMAP] = { "i;ascii-casemap", NULL, true },
	[COMPARATOR_NUMERIC] = { "i;ascii-numeric",
	    "comparator-i;ascii-numeric", false },
	[COMPARATOR_UNICODE] = { "i;unicode-casemap",
	    "comparator-i;unicode-casemap", true },
};

enum comparator
comparator_named(struct str name)
{
	unsigned i;

	for (i = 0; i < COMPARATOR_COUNT; i++)
		if (str_caseeq(str_of(comparators[i].name), name))
			break;
	return (enum comparator)i;
}

const char *
comparator_capability(enum comparator c)
{
	return comparators[c].capability;
}

bool
comparator_substrings(enum comparator c)
{
	return comparators[c].substrings;
}

static inline unsigned char
upper(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'a' && u <= 'z' ? (unsigned char)(u - 32) : u;
}

/* RFC 4790 section 9.2: as if lower case letters were upper case. */
static int
compare_casemap(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	for (size_t i = 0; i < n; i++) {
		unsigned char x = upper(a.p[i]), y = upper(b.p[i]);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a.n > b.n) - (a.n < b.n);
}

static struct str
digits(struct str s)
{
	size_t n = 0, zero = 0;

	while (n < s.n && ascii_isdigit(s.p[n]))
		n++;
	while (zero + 1 < n && s.p[zero] == '0')
		zero++;
	return str_sub(s, zero, n - zero);
}

/* RFC 4790 section 9.1: the digits at the front, of any length; none is
 * positive infinity. */
static int
compare_numeric(struct str a, struct str b)
{
	a = digits(a);
	b = digits(b);
	if (a.n == 0 || b.n == 0)
		return (a.n == 0) - (b.n == 0);
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return str_cmp(a, b);
}

int
comparator_compare(enum comparator c, struct str a, struct str b)
{
	switch (c) {
	case COMPARATOR_CASEMAP: return compare_casemap(a, b);
	case COMPARATOR_NUMERIC: return compare_numeric(a, b);
	default: return str_cmp(a, b);
	}
}

bool
comparator_equal(enum comparator c, struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	if (c != COMPARATOR_CASEMAP)
		return str_eq(a, b);
	for (size_t i = 0; i < a.n; i++)
		if (upper(a.p[i]) != upper(b.p[i]))
			return false;
	return true;
}

ptrdiff_t
comparator_find(enum comparator c, struct str hay, struct str needle)
{
	unsigned char first;

	if (needle.n == 0)
		return 0;
	if (c != COMPARATOR_CASEMAP)
		return str_find(hay, needle);
	first = upper(needle.p[0]);
	for (size_t i = 0; i + needle.n <= hay.n; i++) {
		size_t k = 1;

		if (upper(hay.p[i]) != first)
			continue;
		while (k < needle.n &&
		    upper(hay.p[i + k]) == upper(needle.p[k]))
			k++;
		if (k == needle.n)
			return (ptrdiff_t)i;
	}
	return -1;
}

void
comparator_fold_ascii(struct str s, struct buf *out)
{
	char *to;

	if (buf_reserve(out, s.n))
		return;
	to = out->p + out->n;
	for (size_t i = 0; i < s.n; i++)
		to[i] = (char)upper(s.p[i]);
	out->n += s.n;
	if (s.n)
		out->p[out->n] = '\0';
}

static const struct casemap_entry *
find_entry(uint32_t c)
{
	unsigned low = 0, high = casemap_count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (casemap_entries[mid].c < c)
			low = mid + 1;
		else
			high = mid;
	}
	return low < casemap_count && casemap_entries[low].c == c ?
	    &casemap_entries[low] : NULL;
}

int
comparator_fold_unicode(struct str s, struct buf *out, struct buf *from)
{
	struct str rest = s;

	while (rest.n) {
		uint32_t at = (uint32_t)(rest.p - s.p);
		struct str before = rest;
		size_t was = out->n;
		uint32_t c = utf8_next(&rest);
		const struct casemap_entry *e;

		if (c < 0x80) {
			if (buf_addc(out, (char)upper((char)c)))
				return -1;
		} else if (c == UTF8_BAD || !(e = find_entry(c))) {
			if (buf_add(out, before.p, before.n - rest.n))
				return -1;
		} else if (buf_add(out, casemap_bytes + e->at, e->n)) {
			return -1;
		}
		for (; from && was < out->n; was++)
			if (buf_add(from, &at, sizeof(at)))
				return -1;
	}
	if (from) {
		uint32_t end = (uint32_t)s.n;

		return buf_add(from, &end, sizeof(end));
	}
	return 0;
}
