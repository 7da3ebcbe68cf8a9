/*
 * maildirsize: what a Maildir holds, as the programs that share it keep it
 * (Maildir++, inter7.com and courier-mta.org; the file is also Dovecot's
 * "maildir" quota back-end's).
 *
 *	10000000S,1000C		the limits; another limit: count anew
 *	       20500 12		bytes and messages, added up line by line
 *	       -1200 -1
 *
 * Everybody who changes the Maildir appends one line with one write. The file
 * is made anew, in tmp and by rename, when it is missing, not as above,
 * longer than MAILDIRSIZE_MAX, or adds up to less than nothing.
 *
 *	maildirsize_open(dir, &limits, &m, &v)	1: m is filled, 0: count
 *	maildirsize_count(dir, &how, &m, &v)	from the directories
 *	maildirsize_add(dir, &limits, &m, bytes, messages, &v)	delivered
 *	maildirsize_close(&m)
 *
 * Who remembers what a file said, and its stamp, need not read it again while
 * it has the same stamp: each line makes it longer, each count makes another
 * file of it.
 */
#ifndef STORE_MAILDIRSIZE_H
#define STORE_MAILDIRSIZE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "store/base/verdict.h"

/* A longer file is made anew. */
#define MAILDIRSIZE_MAX 5120
/* While the Maildir is over its limit, an older count is not believed. */
#define MAILDIRSIZE_OLD_SECONDS 900

/* 0: no limit. */
struct maildirsize_limits {
	uint64_t bytes, messages;
};

struct maildirsize {
	uint64_t bytes, messages;
	/* Of the file as it was when it said that; 0: that cannot be told.
	 * Filled before maildirsize_open or _peek, with the numbers, it is
	 * what is remembered. */
	uint64_t stamp;
	int fd;			/* -1: not open */
	/* of the file, to know it again */
	dev_t dev;
	ino_t ino;
	nlink_t links;
	off_t size;
	struct timespec changed;	/* the last line */
};

struct maildirsize_how {
	struct maildirsize_limits limits;
	mode_t file_mode;
	/* Directories such as ".Trash" that do not count. */
	const char *const *exempt;
	size_t exempt_count;
};

void maildirsize_init(struct maildirsize *m);
void maildirsize_close(struct maildirsize *m);
/* dir: the Maildir. The file stays open for maildirsize_add. 1, 0 when it has
 * to be counted, -1 when it cannot be read. */
int maildirsize_open(int dir, const struct maildirsize_limits *limits,
    struct maildirsize *m, struct verdict *v);
/* A look at the file of the Maildir at a path below a directory of the
 * administrator's. Nothing is opened when what is remembered still holds. */
int maildirsize_peek(const char *root, const char *path,
    const struct maildirsize_limits *limits, struct maildirsize *m,
    struct verdict *v);
/* Counts what is in the directories and makes the file anew, which is open
 * then. Nothing is opened or asked about a message whose name has its size
 * (S=). */
int maildirsize_count(int dir, const struct maildirsize_how *how,
    struct maildirsize *m, struct verdict *v);
/* The same without writing anything. */
int maildirsize_scan(int dir, const struct maildirsize_how *how,
    uint64_t *bytes_r, uint64_t *messages_r, struct verdict *v);
/*
 * Adds a line to the file that is open. 1, 0 when another one has taken its
 * place since (who made it may have counted what is to be added, or not), -1
 * on failure. *m becomes what the file says then, lines of others included.
 */
int maildirsize_add(int dir, const struct maildirsize_limits *limits,
    struct maildirsize *m, int64_t bytes, int64_t messages,
    struct verdict *v);
/*
 * Is there a sign that somebody has removed mail without saying so here? For
 * a Maildir that seems to be full, before anything is refused: `cur` changed
 * since the count, `new` since the last line, or the count is old.
 */
bool maildirsize_doubtful(int dir, const struct maildirsize *m);

#endif
