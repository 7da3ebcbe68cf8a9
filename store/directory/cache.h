/*
 * Answers that a directory gave, for a process that lives long: found ones,
 * absent ones (for a shorter time), and found ones past their time while
 * the directory cannot be asked.
 *
 * A key is the kind of question and the canonical name. The oldest unused
 * entry goes when the cache is full.
 */
#ifndef STORE_DIRECTORY_CACHE_H
#define STORE_DIRECTORY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/directory/record.h"

struct cache;

enum cache_kind { CACHE_DOMAIN, CACHE_USER, CACHE_ALIAS };

struct cache_times {
	int64_t found_ms, absent_ms, stale_ms;
};

enum cache_answer {
	CACHE_MISS,	/* ask the directory */
	CACHE_FOUND,
	CACHE_ABSENT,
};

/* Fresh: within its time. Stale: found, and not older than stale_ms past its
 * time; for when the directory was asked and could not answer. */
enum cache_age { CACHE_FRESH, CACHE_STALE };

struct cache *cache_open(size_t entries, const struct cache_times *times);
void cache_close(struct cache **c);
void cache_clear(struct cache *c);

/* record_r is a struct domain_record, account or alias_record by `kind`,
 * copied into the arena. */
enum cache_answer cache_get(struct cache *c, enum cache_kind kind,
    struct str local, struct str domain, int64_t now_ms, enum cache_age age,
    struct arena *a, void *record_r);
/* record NULL: absent. */
void cache_put(struct cache *c, enum cache_kind kind, struct str local,
    struct str domain, int64_t now_ms, const void *record);

#endif
