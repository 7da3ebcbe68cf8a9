/*
 * The ledger of one domain: who is delivering what at this moment, what all
 * users together take, and what was last said to each of them. One file a
 * domain, STATE_DIR/DOMAIN/quota.ledger:
 *
 *	head	total of the domain, counts, boot id, check sum
 *	slots	reservations: account, bytes, messages, holder
 *	table	one entry for each account, found by its key
 *
 *	ledger_open(root, path, &l, &v)
 *	ledger_lock(l, &v)
 *	... ledger_find, ledger_put, ledger_flying, ledger_hold, ledger_drop
 *	ledger_write(l, &v)		head and slots
 *	ledger_unlock(l)		what was not written is forgotten
 *	ledger_close(&l)
 *
 * The lock is held for microseconds, never while anything is counted.
 *
 * Nothing is synced. A process that dies lets go of a byte range lock that
 * stands for all its reservations: the next one to lock finds them dead,
 * removes them and marks their accounts as doubtful, to be counted. After a
 * reboot (another boot id) every account is doubtful once, the total is not
 * known, and no reservation is left. `dirty` is set while entry and total do
 * not agree; who finds it set knows that the total is not known.
 *
 * A process has each ledger open once, since closing any descriptor of a
 * file gives up all its byte range locks.
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
	unsigned char byte[LEDGER_KEY];
};

enum ledger_flag {
	LEDGER_DOUBT = 1,	/* to be counted */
	LEDGER_TOLD_FULL = 2,	/* the user was told that mail was refused */
	LEDGER_ELSEWHERE = 4,	/* a home of its own: no walk over the
				 * domain's directories finds it */
};

struct ledger_entry {
	struct ledger_key key;
	uint64_t counted;	/* its part of the total: what the whole table
				 * adds up to while that is known */
	uint32_t spare;
	uint16_t boot;		/* doubtful when the head has another */
	uint8_t warned;		/* percentage that was warned of */
	uint8_t flags;		/* enum ledger_flag */
};

struct ledger_head {
	char magic[4];
	uint32_t crc;		/* of what follows */
	uint64_t boot;		/* boot id, folded */
	uint64_t total;
	int64_t counted_us;	/* when the last count of the domain began */
	uint32_t cost_us;	/* and how long that took */
	uint32_t slots;
	uint32_t capacity, used;	/* of the table */
	uint32_t spare1[2];
	uint16_t boots;
	uint8_t dirty;
	uint8_t known;		/* is the total? */
	uint8_t distrust;	/* accounts without an entry are doubtful */
	uint8_t spare[3];
};

struct ledger_sum {
	uint64_t bytes, messages;
	unsigned count;
};

struct ledger;

int ledger_open(const char *root, const char *path, struct ledger **l_r,
    struct verdict *v);
void ledger_close(struct ledger **l);

/* 0, or -1: V_BOX_BUSY past LEDGER_WAIT_MS, or what a call says. */
int ledger_lock(struct ledger *l, struct verdict *v);
void ledger_unlock(struct ledger *l);

/* The head without the lock; false when it says nothing certain. */
bool ledger_glance(const struct ledger *l, struct ledger_head *h_r);

/* While it is locked: */
struct ledger_head *ledger_head(struct ledger *l);
/* 1, 0 when there is none (a fresh one is filled), -1. */
int ledger_find(struct ledger *l, const struct ledger_key *key,
    struct ledger_entry *e_r, struct verdict *v);
int ledger_put(struct ledger *l, const struct ledger_entry *e,
    struct verdict *v);
/* Reservations of an account, and of the whole domain. */
void ledger_flying(const struct ledger *l, const struct ledger_key *key,
    struct ledger_sum *account_r, struct ledger_sum *all_r);
/* V_BOX_BUSY when all slots are taken. */
int ledger_hold(struct ledger *l, const struct ledger_key *key,
    uint64_t bytes, uint64_t messages, uint64_t *id_r, struct verdict *v);
/* True when it was there. */
bool ledger_drop(struct ledger *l, uint64_t id);
int ledger_write(struct ledger *l, struct verdict *v);
/* Before an entry and the total are changed; ends with dirty = 0 and
 * ledger_write(). */
int ledger_mark_dirty(struct ledger *l, struct verdict *v);
/* Given up: dropped, and its account doubtful, as soon as this process can lock
 * the ledger again. */
void ledger_drop_later(struct ledger *l, uint64_t id);

/* The whole table, to go through or to write anew: malloc'ed, `used` entries,
 * those without a key left out. */
int ledger_entries(struct ledger *l, struct ledger_entry **list_r,
    size_t *n_r, struct verdict *v);

/* One count of the domain at a time: 1 it is ours, 0 another's, -1. Ended by
 * ledger_count_end or the end of the process. */
int ledger_count_begin(struct ledger *l, struct verdict *v);
void ledger_count_end(struct ledger *l);

/* Of the account local@domain. */
struct ledger_key ledger_key_of(struct str local, struct str domain);

#endif
