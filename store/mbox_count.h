/*
 * How many messages mbox files hold, remembered with what tells that nobody
 * has touched them since: inode, size and time of the last change. What does
 * not fit is counted from the file. Only for accounts with a limit on the
 * number of messages; bytes are asked of the file system each time.
 *
 *	mbox_counts_read(&c, root, path)	what is remembered, if anything
 *	mbox_counts_of(&c, dir, name, &st, &n, &v)	one file
 *	mbox_counts_set(&c, &st_now, n)		we have appended to it
 *	mbox_counts_write(&c, root, path)
 *	mbox_counts_release(&c)
 */
#ifndef STORE_MBOX_COUNT_H
#define STORE_MBOX_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/verdict.h"

/* Files of one account that are remembered. */
#define MBOX_COUNTS_MAX 4096

struct mbox_count {
	uint64_t dev, ino, size;
	int64_t changed_ns;
	uint64_t messages;
};

struct mbox_counts {
	struct mbox_count *list;
	size_t n, room;
	bool changed;
};

void mbox_counts_init(struct mbox_counts *c);
void mbox_counts_release(struct mbox_counts *c);
/* Nothing there, or nothing that can be believed, is an empty list. */
void mbox_counts_read(struct mbox_counts *c, const char *root,
    const char *path);
/* Best effort: what is not remembered is counted again. */
void mbox_counts_write(struct mbox_counts *c, const char *root,
    const char *path);
/* Messages of the file `name` in dir, whose state is *st. 0 or -1. */
int mbox_counts_of(struct mbox_counts *c, int dir, const char *name,
    const struct stat *st, uint64_t *messages_r, struct verdict *v);
/* What is remembered of a file, whatever became of it since. */
bool mbox_counts_known(const struct mbox_counts *c, const struct stat *st,
    uint64_t *messages_r);
/* The file is now *st and holds so many messages. To be called while its
 * lock is held. */
void mbox_counts_set(struct mbox_counts *c, const struct stat *st,
    uint64_t messages);

#endif
