/*
 * What a delivering process keeps in the state directory from one mbox to
 * the next: slot N, taken by flock, is two small files below "locks":
 *
 *	N	our pid; its second name is the dotlock (mbox_lock.c)
 *	N.copy	the message that is being appended, never synced: after a kill
 *		it tells our torn tail from bytes of others exactly
 *		(mbox_undo.c)
 *
 * All of it is an improvement, none of it a need: without a slot locks are
 * files of their own, and a torn tail is judged by its check sums.
 */
#ifndef STORE_MBOX_SLOT_H
#define STORE_MBOX_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/str.h"

/* A message longer than this is not copied; it is written in pieces that end
 * at page boundaries. */
#define SLOT_COPY_MAX (512u * 1024)

/* Which append a copy is of. */
struct slot_append {
	uint64_t ino;		/* of the mbox */
	uint64_t old_size, new_size;
};

/* The file to link as a dotlock: one name, our pid, made now, and its inode.
 * -1: none. */
int slot_lock(const char *dir, uint64_t *ino_r);
/* It cannot be linked (another file system): do not offer it again. */
void slot_lock_useless(void);

/* Our pid as liblockfile's L_PID has it. 0 or -1. */
int slot_write_pid(int fd);

/*
 * Keeps the copy of an append; `sum` is checksum_of(copy), which the caller has
 * made already. False: it is not kept, since the slot has that of another append
 * that has not ended, or there is no slot. True: until slot_copy_end(), or
 * slot_copy_leave() where what was appended is still there: then the copy is
 * for the delivery that finds it, and this process takes another slot.
 */
bool slot_copy_begin(const char *dir, const struct slot_append *what,
    struct str copy, uint64_t sum);
void slot_copy_end(void);
void slot_copy_leave(void);

enum slot_tail {
	SLOT_TAIL_UNKNOWN,	/* no copy of that append */
	SLOT_TAIL_OURS,		/* the n bytes are the copy's beginning */
	SLOT_TAIL_FOREIGN,	/* they are not */
};
/* Compares the n bytes at what->old_size of the mbox with the copy that a
 * dead process left; a copy that was found is not needed afterwards. */
enum slot_tail slot_copy_judge(const char *dir, const struct slot_append *what,
    int mbox, uint64_t n);
/* Who announced that append is dead, and nobody will ask about it any more. */
void slot_copy_drop(const char *dir, const struct slot_append *what);

#endif
