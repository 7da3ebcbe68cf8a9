#include "store/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *
checked(void *p)
{
	static const char say[] = "4.3.0 out of memory\n";

	if (p)
		return p;
	/* Nothing that allocates may run now, so no log line: the first line
	 * of output is what Postfix and Exim show to the administrator. */
	if (write(STDOUT_FILENO, say, sizeof(say) - 1) < 0)
		_exit(MEM_EXIT);
	_exit(MEM_EXIT);
}

void *
mem_alloc(size_t n)
{
	return checked(malloc(n ? n : 1));
}

void *
mem_zalloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *
mem_realloc(void *p, size_t n)
{
	return checked(realloc(p, n ? n : 1));
}

char *
mem_dup(const char *z)
{
	return mem_dupn(z, strlen(z));
}

char *
mem_dupn(const void *p, size_t n)
{
	char *copy = mem_alloc(n + 1);

	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}
