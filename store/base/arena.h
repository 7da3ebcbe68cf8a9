/*
 * Memory for one delivery: many small pieces, given back at once.
 *
 *	struct arena a;
 *	arena_init(&a, LIMIT);
 *	p = arena_alloc(&a, n);   NULL only past the ceiling
 *	arena_release(&a);
 *
 * The ceiling counts what callers asked for. Pieces are aligned for any type
 * and zeroed.
 */
#ifndef STORE_BASE_ARENA_H
#define STORE_BASE_ARENA_H

#include <stddef.h>

#include "store/base/str.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used;
	size_t max;
};

void arena_init(struct arena *a, size_t max);
void arena_release(struct arena *a);
/* Forgets every piece, keeps one block for the next round. */
void arena_reset(struct arena *a);
/* n zeroed bytes, or NULL when the ceiling would be passed. */
void *arena_alloc(struct arena *a, size_t n);
/* count * size zeroed bytes; NULL also when that overflows. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* A NUL-terminated copy; p is NULL when the ceiling would be passed. */
struct str arena_copy(struct arena *a, struct str s);

#endif
