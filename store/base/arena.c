#include "store/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/mem.h"

#define ARENA_BLOCK ((size_t)8192)
#define ARENA_ALIGN (sizeof(max_align_t))

/* A block outlives what was in it, and AddressSanitizer knows nothing of pieces:
 * it is told, or a pointer into the round before would look as good as any. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON
#endif
#endif
#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t data[];
};

void
arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){ .max = max };
}

void
arena_release(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	arena_init(a, a->max);
}

void
arena_reset(struct arena *a)
{
	struct arena_block *keep = a->blocks;

	if (!keep)
		return;
	if (keep->size > ARENA_BLOCK) {
		arena_release(a);
		return;
	}
	a->blocks = keep->next;
	arena_release(a);
	keep->next = NULL;
	keep->used = 0;
	ASAN_POISON_MEMORY_REGION(keep->data, keep->size);
	a->blocks = keep;
}

/* n bytes with whatever was in them. */
static void *
take(struct arena *a, size_t n)
{
	struct arena_block *b = a->blocks;
	size_t asked = n, size;
	void *p;

	if (n > a->max || a->used > a->max - n || n > SIZE_MAX / 2)
		return NULL;
	a->used += n;
	n = (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	if (!b || b->size - b->used < n) {
		size = n > ARENA_BLOCK / 4 ? n : ARENA_BLOCK;
		b = mem_alloc(sizeof(*b) + size);
		b->used = 0;
		b->size = size;
		ASAN_POISON_MEMORY_REGION(b->data, size);
		/* A block of its own goes behind the one being filled. */
		if (size != ARENA_BLOCK && a->blocks) {
			b->next = a->blocks->next;
			a->blocks->next = b;
		} else {
			b->next = a->blocks;
			a->blocks = b;
		}
	}
	p = (char *)b->data + b->used;
	b->used += n;
	ASAN_UNPOISON_MEMORY_REGION(p, asked);
	return p;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	void *p = take(a, n);

	if (p)
		memset(p, 0, n);
	return p;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return arena_alloc(a, n);
}

struct str
arena_copy(struct arena *a, struct str s)
{
	char *p = s.n < SIZE_MAX ? take(a, s.n + 1) : NULL;

	if (!p)
		return (struct str){ NULL, 0 };
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}
