/* What this process has in memory of a file, as proc(5) tells it. */
#ifndef TESTS_MAPS_H
#define TESTS_MAPS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Is a file mapped whose path ends so? */
static inline bool
has_in_memory(const char *ending)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[5000];
	size_t n, want = strlen(ending);
	bool there = false;

	if (!f)
		return false;
	while (!there && fgets(line, sizeof(line), f)) {
		n = strcspn(line, "\n");
		there = n >= want && memcmp(line + n - want, ending, want) == 0;
	}
	(void)fclose(f);
	return there;
}

#endif
