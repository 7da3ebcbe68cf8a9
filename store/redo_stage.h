/*
 * Records on their way into the redo log. Private to store/redo*.c.
 *
 * A file has one writer at a time. When each process writes its own record, 64
 * of them queue for the inode's lock, spin and sleep (measured: 33 of the 42
 * us that writing a record took). So while somebody writes, those who come put
 * their records into shared memory, each into a place of its own, and whoever
 * syncs next writes them all, neighbours with one call.
 *
 * What must hold, whoever dies or is stopped wherever:
 * - Who syncs reads how many records there are, then looks for those that are
 *   put and not written. A record is counted after it is put, and stays put
 *   until its process knows its fate. So a sync that says it was for a record
 *   had it in the file, written by this process or by another before.
 * - A record is copied, and then it is asked whether it still stands where it
 *   was copied from. So a process that was stopped meanwhile writes, if
 *   anything, what stands in the file already.
 * - Unless that was taken back in the meantime: this is noted before it is done,
 *   and who finds that he wrote too late looks there and does it again.
 */
#ifndef STORE_REDO_STAGE_H
#define STORE_REDO_STAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/redo.h"

/* Longest record that is put here. Copying more costs what the lock does. */
#define REDO_STAGE_BYTES (8 * REDO_PAGE)

struct redo_stage {
	struct redo_staged *staged;	/* shared; one for each slot */
	_Atomic uint64_t *put;		/* a bit for each: look at it */
	_Atomic uint64_t *voided;	/* a bit for each page of a segment */
	char *bytes;			/* REDO_STAGE_BYTES for each */
	unsigned slots;
	uint64_t pages;			/* of one segment */
	size_t size;			/* of what is shared */
	char *together;			/* of this process: what it writes */
};

/* Shared with children forked afterwards; `pages` of one segment. 0, or -1 with
 * errno. */
int redo_stage_open(struct redo_stage *g, unsigned slots, uint64_t pages);
/* As redo_keep_private. */
int redo_stage_keep_private(struct redo_stage *g);
void redo_stage_close(struct redo_stage *g);

/* The segment of this generation is empty. */
void redo_stage_begin(struct redo_stage *g, uint32_t generation);
/* Puts a record of n bytes that belongs at `at` of the segment of this
 * generation. False: it is too long. */
bool redo_stage_put(struct redo_stage *g, unsigned slot, uint32_t generation,
    uint64_t at, const struct iovec *iov, int count, size_t n);
/* Its fate is known, or its process is dead. */
void redo_stage_take(struct redo_stage *g, unsigned slot);
/* Writes the records of this generation that are put. 0 or -1 with errno. */
int redo_stage_write(struct redo_stage *g, int fd, uint32_t generation);
/* Overwrites the head of a record, put or not, whose fate is known. 0 or -1 with
 * errno. */
int redo_stage_void(struct redo_stage *g, int fd, uint32_t generation,
    uint64_t at);

#endif
