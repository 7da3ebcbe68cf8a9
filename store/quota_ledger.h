/*
 * The ledger of one domain: who is delivering what at this moment, what all
 * users together take, and what was last said to each of them. One file a
 * domain, STATE_DIR/DOMAIN/quota.ledger, mapped into memory by all who
 * deliver:
 *
 *	head	lock, total of the domain, counts, boot id
 *	slots	reservations: account, bytes, messages, holder
 *	table	one entry for each account, found by its key; a larger one
 *		lies behind it, see grow()
 *
 *	ledger_open(root, path, use, &l, &v)
 *	ledger_lock(l, &v)
 *	... ledger_find, ledger_put, ledger_flying, ledger_hold, ledger_drop
 *	ledger_unlock(l)
 *	ledger_lost(l)			did the file go away under our hands?
 *	ledger_close(&l)
 *
 * The lock is a word in the file and costs no system call while nobody else
 * wants it. It is held for microseconds, never while anything is counted.
 *
 * Nothing is synced, and each change is good however far it got when its
 * process is killed: what belongs together is written in an order in which
 * the last word decides, and the total is "not known" while entry and total
 * do not agree. A process holds one byte range lock in the file as long as it
 * lives, and its number stands in the lock and in all its reservations, so
 * the kernel knows who is dead: a lock of the dead is taken over, their
 * reservations are removed and their accounts marked as doubtful, to be
 * counted. After a reboot (another boot id) every account is doubtful once,
 * the total is not known, and no reservation is left. So is an account
 * without an entry.
 *
 * A process has each ledger open once, since closing any descriptor of a
 * file gives up all its byte range locks. Its file system must be able to map
 * files that are shared (SQLite asks for the same). A file that is cut, or a
 * disk that is full under a hole, would kill by SIGBUS: a handler puts empty
 * memory in its place, and ledger_lost() says so.
 */
#ifndef STORE_QUOTA_LEDGER_H
#define STORE_QUOTA_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/str.h"
#include "store/base/verdict.h"

#define LEDGER_KEY 16
/* Reservations at a time in one domain. */
#define LEDGER_SLOTS 1023
/* How long a lock may be waited for. */
#define LEDGER_WAIT_MS 5000
/* Ledgers that a process keeps open. */
#define LEDGER_KEEP 16

struct ledger_key {
	uint64_t word[2];	/* the first is never 0 */
};

enum ledger_flag {
	LEDGER_DOUBT = 1,	/* to be counted */
	LEDGER_TOLD_FULL = 2,	/* the user was told that mail was refused */
	LEDGER_ELSEWHERE = 4,	/* a home of its own: no walk over the
				 * domain's directories finds it */
	LEDGER_SEEN = 8,	/* bytes and messages say something */
};

struct ledger_entry {
	struct ledger_key key;
	uint64_t counted;	/* its part of the total: what the whole table
				 * adds up to while that is known */
	/* What the account took when we looked last. */
	uint64_t bytes, messages;
	/* Of the file that says how much it is (maildirsize, an mbox), as it
	 * was then: while that is the same, the numbers are, too. 0: ask. */
	uint64_t stamp;
	uint64_t inbox;		/* messages in that mbox */
	uint32_t boot;		/* doubtful when the head has another */
	uint8_t warned;		/* percentage that was warned of */
	uint8_t flags;		/* enum ledger_flag */
	uint16_t spare;
};

struct ledger_head {
	char magic[4];
	uint32_t lock;		/* number of the process; 0: free */
	uint64_t boot;		/* boot id, folded */
	uint64_t total;
	int64_t counted_us;	/* when the last count of the domain began */
	uint32_t cost_us;	/* and how long that took */
	uint32_t known;		/* is the total? */
	uint32_t slots;		/* none is taken from here on */
	uint32_t capacity, used;	/* of the table */
	uint32_t spare[3];
};

struct ledger_sum {
	uint64_t bytes, messages;
	unsigned count;
};

struct ledger;

/* Who only asks may be told what a ledger says that was removed since. */
enum ledger_use { LEDGER_ASK, LEDGER_WRITE };
int ledger_open(const char *root, const char *path, enum ledger_use use,
    struct ledger **l_r, struct verdict *v);
void ledger_close(struct ledger **l);

/* 0, or -1: V_BOX_BUSY past LEDGER_WAIT_MS, or what a call says. */
int ledger_lock(struct ledger *l, struct verdict *v);
void ledger_unlock(struct ledger *l);
/* Nothing that was written or read since it was locked is worth anything. */
bool ledger_lost(const struct ledger *l);

/* Without the lock: the total, and what is remembered of an account. False
 * when they say nothing certain. */
bool ledger_glance(const struct ledger *l, uint64_t *total_r);
bool ledger_peek(const struct ledger *l, const struct ledger_key *key,
    struct ledger_entry *e_r);

/* While it is locked: */
struct ledger_head *ledger_head(struct ledger *l);
/* Fills *e_r, with a fresh one when there is none. */
void ledger_find(struct ledger *l, const struct ledger_key *key,
    struct ledger_entry *e_r);
/* Writes the entry; another part of the total changes that, too. */
int ledger_put(struct ledger *l, const struct ledger_entry *e,
    struct verdict *v);
/* Reservations of an account, and of the whole domain, dead ones included. */
void ledger_flying(struct ledger *l, const struct ledger_key *key,
    struct ledger_sum *account_r, struct ledger_sum *all_r);
/* Removes reservations of the dead: of this account, or of all (NULL). */
int ledger_bury(struct ledger *l, const struct ledger_key *key,
    struct verdict *v);
/* V_BOX_BUSY when all slots are taken. */
int ledger_hold(struct ledger *l, const struct ledger_key *key,
    uint64_t bytes, uint64_t messages, uint64_t *id_r, struct verdict *v);
/* True when it was there. */
bool ledger_drop(struct ledger *l, uint64_t id);

/* Given up, with or without the lock: as if its process had died. */
void ledger_abandon(struct ledger *l, uint64_t id);

/* The whole table: malloc'ed, those without a key left out. */
void ledger_entries(struct ledger *l, struct ledger_entry **list_r,
    size_t *n_r);

/* One count of the domain at a time: 1 it is ours, 0 another's, -1. Ended by
 * ledger_count_end or the end of the process. */
int ledger_count_begin(struct ledger *l, struct verdict *v);
void ledger_count_end(struct ledger *l);

/* Of the account local@domain. */
struct ledger_key ledger_key_of(struct str local, struct str domain);

#endif
