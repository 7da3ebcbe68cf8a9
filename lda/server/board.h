/*
 * What the processes of the service know of each other: one page or two of
 * shared memory with a slot for each. A process writes its own slot only;
 * when it dies, whatever way, the master clears the slot, so nothing that a
 * dead process counted stays counted.
 *
 * Two questions are answered here: how many deliveries already wait for this
 * mailbox (settings.mailbox_concurrency), and has anybody of us let go of
 * one since I looked (so that nobody sleeps longer than needed).
 */
#ifndef LDA_SERVER_BOARD_H
#define LDA_SERVER_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/str.h"
#include "store/base/verdict.h"

/* Mailboxes that one process waits for at a time and that are counted. */
#define BOARD_WAITS 16
/* The first slots are for processes that answer questions (answerer.h). More
 * than map_workers may be: those of before a reload end by and by. */
#define BOARD_ANSWERERS 64
/* Sums that wake waiters; two mailboxes may share one. */
#define BOARD_BELLS 4096

enum board_state {
	BOARD_FREE = 0,		/* no process */
	BOARD_STARTING,
	BOARD_IDLE,		/* waits for a connection */
	BOARD_BUSY,		/* serves one */
};

struct board_slot {
	_Atomic int state;		/* enum board_state */
	_Atomic pid_t pid;
	/* Of the master, as its signals say it (enum session_order): one that
	 * waits for a busy client has no ear for those. */
	_Atomic int order;
	_Atomic uint64_t served;	/* connections */
	_Atomic unsigned connections;	/* open now; of those who answer */
	_Atomic uint64_t waits[BOARD_WAITS];	/* mailboxes; 0: none */
	unsigned generation;		/* of the configuration; the master writes it */
	int64_t started_ms;
};

struct board {
	unsigned slots;
	_Atomic uint32_t bells[BOARD_BELLS];
	_Atomic uint32_t sleepers[BOARD_BELLS];
	_Atomic int64_t moved_ms[BOARD_BELLS];	/* last delivery that ended well */
	struct board_slot slot[];
};

/* Shared with all children forked afterwards. NULL with *v set. */
struct board *board_open(unsigned slots, struct verdict *v);
/* What this process forks from now on has no board. 0, or -1 with errno. */
int board_keep_private(struct board *b);
void board_close(struct board **b);

/* Never 0. */
uint64_t board_key(struct str mailbox);
/*
 * Slot `me` begins to wait for a mailbox. False when `most` others do so
 * already (0: any number).
 */
bool board_wait_begin(struct board *b, unsigned me, uint64_t key,
    uint64_t most);
void board_wait_end(struct board *b, unsigned me, uint64_t key);
/* The bell of a mailbox: read it, try the mailbox, and when it is taken sleep
 * until the bell has rung since, or ms have passed. */
uint32_t board_bell(struct board *b, uint64_t key);
void board_sleep(struct board *b, uint64_t key, uint32_t bell, int ms);
/* We let go of this mailbox. */
void board_ring(struct board *b, uint64_t key);
/* A delivery to this mailbox ended well. */
void board_moved(struct board *b, uint64_t key);
/* Did one within the last `ms`? Then whoever waits for it waits for us, and
 * not for a lock that somebody else keeps. */
bool board_moves(const struct board *b, uint64_t key, int64_t ms);
/* A process is gone. */
void board_clear(struct board *b, unsigned slot);

#endif
