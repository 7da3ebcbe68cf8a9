/*
 * The undo record of an mbox: what an append in progress was about to do, so
 * that the next delivery can tell a torn tail of ours from anybody's mail.
 *
 *	undo_plan(&plan, old_size, new_size); undo_feed(&plan, bytes...) ...
 *	undo_begin(&u, &plan)	before the first byte is appended
 *	append, fdatasync
 *	undo_end(&u)		no sync needed
 *
 * Where it is kept: in the extended attribute `user.vbox` of the mbox. It
 * lies in the inode and is changed in the same journal, before the change of
 * size, so it is on disk no later than any byte of the tail and costs no
 * sync of its own (measured: 4,200 appends/s, a record file with its own
 * sync 3,200, no record at all 4,500). On a file system without user
 * attributes it is a file .NAME.vbox-undo beside the mbox, preallocated,
 * overwritten in place and synced.
 *
 * How a torn tail is known: only one that lies at the recorded offset and is
 * shorter than the message can be ours. After a kill the slot of the dead
 * process (mbox_slot.h) still has the message, and the tail is compared with
 * it to the byte. After a power cut it has not, nor has it those of all mboxes
 * that were appended to at the same time; then the record's check sums
 * of the message's beginning speak, at up to UNDO_MARKS offsets, multiples of
 * a power of two in the file: each that the tail reaches must agree, the file
 * must end where a disk can tear it (at a sector, or in zeros: the size may be
 * on the disk before the last block), and behind the last mark no From_ line
 * may stand. Everything else stays, whoever wrote it.
 */
#ifndef STORE_MBOX_UNDO_H
#define STORE_MBOX_UNDO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/checksum.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

#define UNDO_MARKS 20

enum undo_place { UNDO_AUTO, UNDO_XATTR, UNDO_FILE, UNDO_OFF };

/* What is about to be appended. */
struct undo_plan {
	uint64_t old_size, new_size;
	uint64_t mark[UNDO_MARKS];	/* lengths from old_size on */
	uint16_t sum[UNDO_MARKS];	/* low bits of the check sum up to there */
	unsigned marks;
	/* while it is fed */
	uint64_t fed;
	struct checksum sums;
	unsigned next;
};

/* A record in its place. */
struct undo {
	enum undo_place place;
	int fd;		/* the mbox, borrowed */
	int file;	/* the record file, or -1 */
	const char *slot_dir;	/* for mbox_slot.h; NULL: none */
	bool copied;	/* the slot has the copy of our append */
	bool found;	/* the record is of an append whose end was not noted: */
	uint64_t found_old, found_new;
};

/* Chooses the marks for appending (old_size, new_size]. */
void undo_plan(struct undo_plan *plan, uint64_t old_size, uint64_t new_size);
/* The message's bytes in order, once. */
void undo_feed(struct undo_plan *plan, const char *p, size_t n);

void undo_init(struct undo *u, int fd, enum undo_place place,
    const char *slot_dir);
/*
 * Looks for a record of an append that did not end and repairs the mbox
 * `name` in dirfd, locked, of *size bytes; sets *size to what it is then.
 * 0, or -1 when the repair itself failed (nothing may be appended then).
 * *cut_r is set to the number of bytes cut away.
 */
int undo_repair(struct undo *u, int dirfd, const char *name, uint64_t *size,
    uint64_t *cut_r, struct verdict *v);
/* `ino` is the mbox's inode; `copy` is the whole message when it is in
 * memory, else empty. */
int undo_begin(struct undo *u, int dirfd, const char *name, ino_t ino,
    const struct undo_plan *plan, struct str copy, struct verdict *v);
void undo_end(struct undo *u);
/* Without undo_end(): the next delivery to this mbox finds the record. */
void undo_release(struct undo *u);

#endif
