/* Regular expressions from bytes: the first line is the pattern, the rest is
 * what it is matched with. */
#include <stdint.h>
#include <stdlib.h>

#include "filters/sieve/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAPTURES 33

static void
regex_check(bool good)
{
	if (!good)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str pattern = str_mem(data, size), subject = { "", 0 };
	ptrdiff_t line = str_chr(pattern, '\n');
	struct str captures[CAPTURES];
	struct regex *re;
	unsigned n = 0;
	char why[160];

	if (line >= 0) {
		subject = str_sub(pattern, (size_t)line + 1, size);
		pattern = str_sub(pattern, 0, (size_t)line);
	}
	for (unsigned how = REGEX_CASE; how <= REGEX_NOCASE; how++) {
		re = regex_open(pattern, (enum regex_case)how, why,
		    sizeof(why));
		if (!re)
			continue;
		if (regex_match(re, subject, captures, CAPTURES, &n) == 1) {
			regex_check(n >= 1 && n <= CAPTURES);
			for (unsigned i = 0; i < n; i++)
				regex_check(captures[i].n <= subject.n &&
				    (!captures[i].n ||
				    (captures[i].p >= subject.p &&
				    captures[i].p + captures[i].n <=
				    subject.p + subject.n)));
		}
		regex_close(&re);
	}
	return 0;
}
