#include "store/base/num.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static int
digits(struct str s, unsigned base, uint64_t max, uint64_t *value_r)
{
	uint64_t value = 0;

	if (s.n == 0)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] >= (char)('0' + base))
			return -1;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'),
		    &value) || value > max)
			return -1;
	}
	*value_r = value;
	return 0;
}

/* Digits followed by one of the units; the first unit is the default. */
static int
scaled(struct str s, const struct unit *units, uint64_t *value_r)
{
	uint64_t value;
	size_t n = 0;
	struct str name;

	while (n < s.n && ascii_isdigit(s.p[n]))
		n++;
	if (digits(str_sub(s, 0, n), 10, UINT64_MAX, &value) < 0)
		return -1;
	name = str_sub(s, n, s.n);
	for (const struct unit *u = units; u->name; u++) {
		if (!str_caseeq(name, str_of(u->name)))
			continue;
		/* Kept below 2^63, so that sums of two never wrap. */
		if (__builtin_mul_overflow(value, u->factor, &value) ||
		    value > INT64_MAX)
			return -1;
		*value_r = value;
		return 0;
	}
	return -1;
}

int
num_u64(struct str s, uint64_t max, uint64_t *value_r)
{
	return digits(s, 10, max, value_r);
}

int
num_decimal(struct str s, double *value_r)
{
	ptrdiff_t point = str_chr(s, '.');
	struct str whole = point < 0 ? s : str_sub(s, 0, (size_t)point);
	struct str rest = point < 0 ? STR("0") :
	    str_sub(s, (size_t)point + 1, s.n);
	uint64_t a, b;
	double scale = 1;

	if (whole.n > 9 || rest.n > 9 ||
	    digits(whole, 10, UINT64_MAX, &a) < 0 ||
	    digits(rest, 10, UINT64_MAX, &b) < 0)
		return -1;
	for (size_t i = 0; i < rest.n; i++)
		scale *= 10;
	*value_r = (double)a + (double)b / scale;
	return 0;
}

int
num_octal(struct str s, uint64_t max, uint64_t *value_r)
{
	return digits(s, 8, max, value_r);
}

int
num_size(struct str s, uint64_t *bytes_r)
{
	static const struct unit units[] = {
		{ "", 1 }, { "b", 1 },
		{ "k", 1ULL << 10 }, { "kb", 1ULL << 10 }, { "kib", 1ULL << 10 },
		{ "m", 1ULL << 20 }, { "mb", 1ULL << 20 }, { "mib", 1ULL << 20 },
		{ "g", 1ULL << 30 }, { "gb", 1ULL << 30 }, { "gib", 1ULL << 30 },
		{ "t", 1ULL << 40 }, { "tb", 1ULL << 40 }, { "tib", 1ULL << 40 },
		{ NULL, 0 },
	};

	return scaled(s, units, bytes_r);
}

int
num_duration(struct str s, uint64_t *ms_r)
{
	static const struct unit units[] = {
		{ "", 1000 }, { "s", 1000 }, { "ms", 1 },
		{ "m", 60000 }, { "min", 60000 }, { "h", 3600000 },
		{ "d", 86400000 }, { "w", 604800000 },
		{ NULL, 0 },
	};

	return scaled(s, units, ms_r);
}
