/*
 * What the redo log's files look like. Private to store/redo*.c.
 */
#ifndef STORE_REDO_FORMAT_H
#define STORE_REDO_FORMAT_H

#include "store/base/buf.h"
#include "store/base/checksum.h"
#include "store/redo_replay.h"
#include "store/redo_stage.h"

#define REDO_SECRET 16
#define REDO_BOOT 40

enum redo_segment_state {
	REDO_SEGMENT_ACTIVE = 1,
	REDO_SEGMENT_CLEAN,
	REDO_SEGMENT_FAILED,
};

/* The first page of a segment; host order, as the machine it is for. */
struct redo_head {
	char magic[8];
	uint32_t version;
	uint32_t state;			/* enum redo_segment_state */
	uint64_t generation;
	uint64_t size;			/* of the segment */
	int64_t when;			/* begun, seconds since 1970 */
	uint8_t secret[REDO_SECRET];
	char boot[REDO_BOOT];
	uint64_t sum;			/* of all before it */
};

/* In front of each record. */
struct redo_record {
	uint8_t secret[REDO_SECRET];
	uint64_t generation;
	uint64_t at;			/* of this head, in the segment */
	uint64_t n;			/* bytes that follow */
	uint64_t body_sum;
	uint64_t sum;			/* of all before it */
};

/* Bytes that n take in a segment: whole pages. */
static inline uint64_t
redo_room(uint64_t n)
{
	return (n + REDO_PAGE - 1) / REDO_PAGE * REDO_PAGE;
}

struct redo {
	int dir;
	int lock;
	int segment[2];
	uint64_t size;			/* of one segment; 0: none wanted */
	struct redo_head head[2];	/* as they were found */
	struct redo_shared *shared;
	struct redo_stage stage;
	unsigned slots;
	char boot[REDO_BOOT];
	/* of this process, between redo_begin and redo_end */
	uint32_t generation;
	unsigned slot;
	bool staged;			/* a record of ours is put */
	uint64_t ticket;
	int place[REDO_PLACES];		/* of the keeper: roots, open */
};

/* The description of a copy: all but `bytes`, which follow it. 0, or -1 when
 * it does not fit. */
int redo_describe(const struct redo_copy *c, struct buf *out);
/* Takes a copy off the front of *in, borrowed from it; texts that a spec
 * needs with a NUL are kept in `names`. 0 or -1. */
struct redo_names {
	char root[4096], path[4096], folder[512];
};
int redo_parse(struct str *in, struct redo_copy *c_r, struct redo_names *names);

uint64_t redo_head_sum(const struct redo_head *h);
uint64_t redo_record_sum(const struct redo_record *h);
/* Fills r->head[which]. A head that is none is that of a segment which never
 * began; one of another version is nothing that we can mend. */
void redo_read_head(struct redo *r, unsigned which);
/* Writes and syncs a segment's head. 0 or -1 with errno. */
int redo_write_head(struct redo *r, unsigned which,
    enum redo_segment_state state);
/* syncfs; a file system that takes no writes any more is an error, too. 0 or
 * -1 with errno. */
int redo_sync_fd(int fd);
/* That of the file system of `root`, or of all when it is not there any
 * more. 0, or -1 with errno. */
int redo_sync_root(const char *root);

/*
 * The file systems of many mailboxes, to be synced once each: noted, then
 * synced. A root that is not there any more may have been on any. -1 with
 * errno; *root_r is the one that could not be synced.
 */
struct redo_disks {
	struct {
		dev_t dev;
		char root[4096];
	} disk[REDO_PLACES];
	unsigned n;
	bool lost;
	char last[4096];
};
void redo_note_root(struct redo_disks *d, const char *root);
int redo_sync_noted(const struct redo_disks *d, const char **root_r);

/* Calls `each` for the records of one segment in order, the body borrowed;
 * stops at a return other than 0 and returns it. -1 with errno: could not
 * read. */
int redo_walk(const struct redo *r, unsigned which,
    int (*each)(void *arg, const struct redo_record *h, struct str body),
    void *arg);

/* Puts a copy where it belongs, which is synced when the sync of its root has
 * returned. 0 or -1 with the verdict. */
int redo_put(const struct redo_how *how, struct redo_copy *c,
    enum redo_outcome *outcome_r, struct verdict *v);
/* Into REDO_ASIDE, synced. */
int redo_aside_write(int log_dir, const char *name, const struct redo_copy *c,
    struct verdict *v);

#endif
