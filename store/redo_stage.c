#include "store/redo_stage.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "store/base/file.h"
#include "store/redo_format.h"

/* Records that are written after one look, and bytes of one write: ten of the
 * usual ones. */
#define LOOK_MAX 64
#define TOGETHER ((size_t)32 * REDO_PAGE)

/* What a slot holds, and how often it has changed its mind. */
enum stage_state { STAGE_NONE, STAGE_FILLING, STAGE_PUT, STAGE_WRITTEN };
#define STATE_BITS 2
#define STATE_MASK ((1u << STATE_BITS) - 1)

struct redo_staged {
	_Atomic uint64_t state;		/* count << STATE_BITS | stage_state */
	_Atomic uint64_t at;
	_Atomic uint32_t n, generation;
};

/* --- the memory ------------------------------------------------------------------ */

static size_t
words(uint64_t bits)
{
	return (size_t)((bits + 63u) / 64u);
}

/* The bytes begin on a page of their own. */
static size_t
offset_of_bytes(unsigned slots, uint64_t pages)
{
	size_t n = slots * sizeof(struct redo_staged) +
	    (words(slots) + 2 * words(pages)) * sizeof(uint64_t);

	return (size_t)redo_room(n);
}

int
redo_stage_open(struct redo_stage *g, unsigned slots, uint64_t pages)
{
	char *p;

	*g = (struct redo_stage){ .slots = slots, .pages = pages };
	if (slots == 0)
		return 0;
	g->size = offset_of_bytes(slots, pages) +
	    (size_t)slots * REDO_STAGE_BYTES;
	/* Most of it is never touched. */
	p = mmap(NULL, g->size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -1;
	g->together = mmap(NULL, TOGETHER, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->together == MAP_FAILED) {
		(void)munmap(p, g->size);
		return -1;
	}
	g->staged = (struct redo_staged *)(void *)p;
	g->put = (_Atomic uint64_t *)(void *)(p + slots *
	    sizeof(struct redo_staged));
	g->voided = g->put + words(slots);
	g->bytes = p + offset_of_bytes(slots, pages);
	return 0;
}

int
redo_stage_keep_private(struct redo_stage *g)
{
	/* What was written for others is others' mail. */
	return !g->staged ||
	    (madvise(g->staged, g->size, MADV_DONTFORK) == 0 &&
	    madvise(g->together, TOGETHER, MADV_DONTFORK) == 0) ? 0 : -1;
}

void
redo_stage_close(struct redo_stage *g)
{
	if (g->staged) {
		(void)munmap(g->staged, g->size);
		(void)munmap(g->together, TOGETHER);
	}
	*g = (struct redo_stage){ .slots = 0 };
}

/* --- whose record it is ------------------------------------------------------------ */

static uint64_t
with_state(uint64_t state, enum stage_state what)
{
	return (state & ~(uint64_t)STATE_MASK) | what;
}

bool
redo_stage_put(struct redo_stage *g, unsigned slot, uint32_t generation,
    uint64_t at, const struct iovec *iov, int count, size_t n)
{
	struct redo_staged *s;
	uint64_t state;
	char *to;

	if (slot >= g->slots || n > REDO_STAGE_BYTES)
		return false;
	s = &g->staged[slot];
	to = g->bytes + (size_t)slot * REDO_STAGE_BYTES;
	state = with_state(atomic_load(&s->state) + (1u << STATE_BITS),
	    STAGE_FILLING);
	atomic_store(&s->state, state);
	/* Whoever sees any of what follows sees the new state, too. */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&s->at, at, memory_order_relaxed);
	atomic_store_explicit(&s->n, (uint32_t)n, memory_order_relaxed);
	atomic_store_explicit(&s->generation, generation,
	    memory_order_relaxed);
	for (int i = 0; i < count; to += iov[i++].iov_len)
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
	atomic_store(&s->state, with_state(state, STAGE_PUT));
	atomic_fetch_or(&g->put[slot / 64], UINT64_C(1) << slot % 64);
	return true;
}

void
redo_stage_take(struct redo_stage *g, unsigned slot)
{
	struct redo_staged *s;

	if (slot >= g->slots)
		return;
	s = &g->staged[slot];
	atomic_fetch_and(&g->put[slot / 64], ~(UINT64_C(1) << slot % 64));
	atomic_store(&s->state, with_state(atomic_load(&s->state),
	    STAGE_NONE));
}

/* --- what is taken back ------------------------------------------------------------- */

/* The word and the bit of a page; NULL: there is no such page. */
static _Atomic uint64_t *
voided_at(const struct redo_stage *g, uint32_t generation, uint64_t at,
    uint64_t *bit_r)
{
	uint64_t page = at / REDO_PAGE;

	if (!g->staged || page >= g->pages)
		return NULL;
	*bit_r = UINT64_C(1) << page % 64;
	return &g->voided[(generation & 1) * words(g->pages) + page / 64];
}

void
redo_stage_begin(struct redo_stage *g, uint32_t generation)
{
	size_t n = words(g->pages);

	for (size_t i = 0; g->staged && i < n; i++)
		atomic_store(&g->voided[(generation & 1) * n + i], 0);
}

static int
overwrite(int fd, uint64_t at)
{
	static const struct redo_record none;

	return file_pwrite_all(fd, &none, sizeof(none), (off_t)at);
}

int
redo_stage_void(struct redo_stage *g, int fd, uint32_t generation, uint64_t at)
{
	uint64_t bit;
	_Atomic uint64_t *word = voided_at(g, generation, at, &bit);

	/* Before it is done: who writes the record behind us sees it. */
	if (word)
		atomic_fetch_or(word, bit);
	return overwrite(fd, at);
}

static bool
is_voided(const struct redo_stage *g, uint32_t generation, uint64_t at)
{
	uint64_t bit;
	const _Atomic uint64_t *word = voided_at(g, generation, at, &bit);

	return word && (atomic_load(word) & bit);
}

/* --- who writes for all ---------------------------------------------------------------- */

struct look {
	uint64_t at, state;
	size_t n;
	unsigned slot;
};

/* Whoever wrote there. */
static bool
makes_sense(const struct redo_stage *g, const struct look *l)
{
	return l->n > 0 && l->n <= REDO_STAGE_BYTES && l->at % REDO_PAGE == 0 &&
	    l->at > 0 && l->at / REDO_PAGE + redo_room(l->n) / REDO_PAGE <=
	    g->pages;
}

/* Records that are put, from slot *from on, which is moved; at most LOOK_MAX. */
static size_t
look_for(const struct redo_stage *g, uint32_t generation, unsigned *from,
    struct look found[LOOK_MAX])
{
	size_t n = 0;
	uint64_t bits;

	while (*from < g->slots && n < LOOK_MAX) {
		unsigned slot = *from;
		const struct redo_staged *s = &g->staged[slot];
		struct look l = { .slot = slot };

		bits = atomic_load(&g->put[slot / 64]) >> slot % 64;
		if (bits == 0) {
			*from = (slot / 64 + 1) * 64;
			continue;
		}
		if (!(bits & 1)) {
			*from = slot + (unsigned)__builtin_ctzll(bits);
			continue;
		}
		(*from)++;
		l.state = atomic_load(&s->state);
		l.at = atomic_load_explicit(&s->at, memory_order_relaxed);
		l.n = atomic_load_explicit(&s->n, memory_order_relaxed);
		if ((l.state & STATE_MASK) == STAGE_PUT &&
		    atomic_load_explicit(&s->generation,
		    memory_order_relaxed) == generation && makes_sense(g, &l))
			found[n++] = l;
	}
	return n;
}

static int
by_place(const void *a, const void *b)
{
	uint64_t x = ((const struct look *)a)->at;
	uint64_t y = ((const struct look *)b)->at;

	return (x > y) - (x < y);
}

/* Copies a record and zeros to the end of its last page. False: it is
 * somebody else's business by now. */
static bool
copy_record(const struct redo_stage *g, const struct look *l, char *to,
    size_t room)
{
	memcpy(to, g->bytes + (size_t)l->slot * REDO_STAGE_BYTES, l->n);
	memset(to + l->n, 0, room - l->n);
	/* Asked after all of it was read. */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load(&g->staged[l->slot].state) == l->state;
}

struct run {
	uint64_t at;
	size_t n;
	const struct look *of[LOOK_MAX];
	size_t count;
};

static int
write_run(struct redo_stage *g, int fd, uint32_t generation, struct run *r)
{
	if (r->count && file_pwrite_all(fd, g->together, r->n,
	    (off_t)r->at) < 0)
		return -1;
	for (size_t i = 0; i < r->count; i++) {
		uint64_t was = r->of[i]->state;

		/* Or another has written it, and perhaps its process knows,
		 * and has taken it back since we copied it. */
		if (!atomic_compare_exchange_strong(
		    &g->staged[r->of[i]->slot].state, &was,
		    with_state(was, STAGE_WRITTEN)) &&
		    is_voided(g, generation, r->of[i]->at) &&
		    overwrite(fd, r->of[i]->at) < 0)
			return -1;
	}
	*r = (struct run){ .n = 0 };
	return 0;
}

int
redo_stage_write(struct redo_stage *g, int fd, uint32_t generation)
{
	struct look found[LOOK_MAX];
	struct run run = { .n = 0 };
	unsigned from = 0;
	size_t n, room;

	while ((n = look_for(g, generation, &from, found)) > 0) {
		qsort(found, n, sizeof(*found), by_place);
		for (size_t i = 0; i < n; i++) {
			room = (size_t)redo_room(found[i].n);
			if ((run.at + run.n != found[i].at ||
			    run.n + room > TOGETHER) &&
			    write_run(g, fd, generation, &run) < 0)
				return -1;
			if (!copy_record(g, &found[i], g->together + run.n,
			    room))
				continue;
			if (run.count == 0)
				run.at = found[i].at;
			run.of[run.count++] = &found[i];
			run.n += room;
		}
		if (write_run(g, fd, generation, &run) < 0)
			return -1;
	}
	return 0;
}
