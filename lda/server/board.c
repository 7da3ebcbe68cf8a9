#include "lda/server/board.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"

static size_t
size_of(unsigned slots)
{
	return sizeof(struct board) + slots * sizeof(struct board_slot);
}

struct board *
board_open(unsigned slots, struct verdict *v)
{
	struct board *b;

	b = mmap(NULL, size_of(slots), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b == MAP_FAILED) {
		verdict_errno(v, errno, "shared memory for %u processes", slots);
		return NULL;
	}
	b->slots = slots;
	return b;
}

int
board_keep_private(struct board *b)
{
	return madvise(b, size_of(b->slots), MADV_DONTFORK);
}

void
board_close(struct board **b)
{
	if (*b)
		(void)munmap(*b, size_of((*b)->slots)); /* ours: cannot fail */
	*b = NULL;
}

/* FNV-1a. Whoever makes two mailboxes collide makes them share a limit and
 * wakes a waiter for nothing. */
uint64_t
board_key(struct str mailbox)
{
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < mailbox.n; i++)
		h = (h ^ (unsigned char)mailbox.p[i]) * 1099511628211ULL;
	return h ? h : 1;
}

bool
board_wait_begin(struct board *b, unsigned me, uint64_t key, uint64_t most)
{
	uint64_t others = 0;
	struct board_slot *own = &b->slot[me];

	for (unsigned i = 0; most && i < b->slots; i++) {
		const struct board_slot *s = &b->slot[i];

		if (i == me || atomic_load(&s->state) != BOARD_BUSY)
			continue;
		for (unsigned k = 0; k < BOARD_WAITS; k++)
			others += atomic_load(&s->waits[k]) == key;
		if (others >= most)
			return false;
	}
	for (unsigned k = 0; k < BOARD_WAITS; k++)
		if (atomic_load(&own->waits[k]) == 0) {
			atomic_store(&own->waits[k], key);
			break;
		}
	return true;
}

void
board_wait_end(struct board *b, unsigned me, uint64_t key)
{
	struct board_slot *own = &b->slot[me];

	for (unsigned k = 0; k < BOARD_WAITS; k++)
		if (atomic_load(&own->waits[k]) == key) {
			atomic_store(&own->waits[k], 0);
			return;
		}
}

static int
futex(_Atomic uint32_t *word, int op, uint32_t value,
    const struct timespec *timeout)
{
	return (int)syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

uint32_t
board_bell(struct board *b, uint64_t key)
{
	return atomic_load(&b->bells[key % BOARD_BELLS]);
}

void
board_sleep(struct board *b, uint64_t key, uint32_t bell, int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
	    .tv_nsec = ms % 1000 * 1000000L };

	/* A sleeper that is killed leaves its count behind: then one system
	 * call is made for nobody. */
	atomic_fetch_add(&b->sleepers[key % BOARD_BELLS], 1);
	(void)futex(&b->bells[key % BOARD_BELLS], FUTEX_WAIT, bell, &ts);
	atomic_fetch_sub(&b->sleepers[key % BOARD_BELLS], 1);
}

void
board_ring(struct board *b, uint64_t key)
{
	atomic_fetch_add(&b->bells[key % BOARD_BELLS], 1);
	/* One: it rings again when it is through. All would come running for
	 * one lock; should the one be killed, or want another mailbox with
	 * the same bell, the others look by themselves soon. */
	if (atomic_load(&b->sleepers[key % BOARD_BELLS]))
		(void)futex(&b->bells[key % BOARD_BELLS], FUTEX_WAKE, 1, NULL);
}

void
board_moved(struct board *b, uint64_t key)
{
	atomic_store(&b->moved_ms[key % BOARD_BELLS], clock_mono_ms());
}

bool
board_moves(const struct board *b, uint64_t key, int64_t ms)
{
	int64_t at = atomic_load(&b->moved_ms[key % BOARD_BELLS]);

	return at && clock_mono_ms() - at <= ms;
}

void
board_clear(struct board *b, unsigned slot)
{
	struct board_slot *s = &b->slot[slot];

	for (unsigned k = 0; k < BOARD_WAITS; k++)
		atomic_store(&s->waits[k], 0);
	atomic_store(&s->connections, 0);
	atomic_store(&s->order, 0);
	atomic_store(&s->pid, 0);
	atomic_store(&s->state, BOARD_FREE);
}
