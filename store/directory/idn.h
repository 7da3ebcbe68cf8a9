/* What directory_idn.so offers to name.c: libidn2 and libunistring. */
#ifndef STORE_DIRECTORY_IDN_H
#define STORE_DIRECTORY_IDN_H

#include <stddef.h>

struct idn {
	/* All: NUL-terminated UTF-8 in, at most `size` bytes with NUL out.
	 * 0, or -1 when it has no such form or does not fit. */
	int (*domain_to_ascii)(const char *name, char *out, size_t size);
	int (*domain_to_unicode)(const char *name, char *out, size_t size);
	int (*local_fold)(const char *name, char *out, size_t size);
};

#define IDN_SYMBOL "vbox_idn"

#endif
