/*
 * The bytes of a message, wherever they are: in memory while it is small, in
 * an unlinked file when it is large. Read-only for everyone but the spool.
 */
#ifndef STORE_BASE_SOURCE_H
#define STORE_BASE_SOURCE_H

#include <stdint.h>
#include <sys/types.h>

#include "store/base/str.h"

struct source {
	const char *mem;	/* all of it, or NULL */
	int fd;			/* where it is when mem is NULL */
	uint64_t n;		/* length in bytes */
};

/*
 * The bytes from `at` on, at most `want` of them: borrowed from memory, or
 * read into scratch (of `want` bytes). n is 0 at the end. 0, or -1 with
 * errno set.
 */
int source_read(const struct source *s, uint64_t at, char *scratch, size_t want,
    struct str *got_r);

#endif
