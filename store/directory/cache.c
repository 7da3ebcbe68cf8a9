#include "store/directory/cache.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/mem.h"

struct entry {
	struct entry *chain;		/* same bucket */
	struct entry *newer, *older;	/* by last use */
	uint64_t hash;
	int64_t stored_ms;
	enum cache_kind kind;
	bool found;
	union {
		struct domain_record domain;
		struct account user;
		struct alias_record alias;
	} record;
	size_t local_n, domain_n;
	char *key;	/* local, then domain; the record's bytes before it */
};

struct cache {
	struct entry **buckets;
	size_t bucket_mask;
	size_t count, most;
	struct entry *newest, *oldest;
	struct cache_times times;
};

struct cache *
cache_open(size_t entries, const struct cache_times *times)
{
	struct cache *c = mem_zalloc(1, sizeof(*c));
	size_t buckets = 64;

	while (buckets < entries && buckets < SIZE_MAX / 4 / sizeof(void *))
		buckets *= 2;
	c->buckets = mem_zalloc(buckets, sizeof(struct entry *));
	c->bucket_mask = buckets - 1;
	c->most = entries;
	c->times = *times;
	return c;
}

/* FNV-1a. The names that get here passed name.c and, to be FOUND, the
 * directory; strangers can fill a bucket only with absent names, and `most`
 * bounds that. */
static uint64_t
hash_of(enum cache_kind kind, struct str local, struct str domain)
{
	uint64_t h = 14695981039346656037ULL + (uint64_t)kind;

	for (size_t i = 0; i < local.n; i++)
		h = (h ^ (unsigned char)local.p[i]) * 1099511628211ULL;
	h = (h ^ '@') * 1099511628211ULL;
	for (size_t i = 0; i < domain.n; i++)
		h = (h ^ (unsigned char)domain.p[i]) * 1099511628211ULL;
	return h ^ (h >> 29);
}

static struct entry **
place_of(struct cache *c, enum cache_kind kind, struct str local,
    struct str domain, uint64_t hash)
{
	struct entry **at = &c->buckets[hash & c->bucket_mask];

	for (; *at != NULL; at = &(*at)->chain) {
		const struct entry *e = *at;

		if (e->hash == hash && e->kind == kind &&
		    str_eq(str_mem(e->key, e->local_n), local) &&
		    str_eq(str_mem(e->key + e->local_n, e->domain_n), domain))
			break;
	}
	return at;
}

static void
unlink_by_use(struct cache *c, struct entry *e)
{
	*(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void
link_newest(struct cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

/* Takes the entry at a place of its chain out and gives its memory back. */
static void
drop_at(struct cache *c, struct entry **at)
{
	struct entry *e = *at;

	*at = e->chain;
	unlink_by_use(c, e);
	c->count--;
	free(e);
}

static void
drop_oldest(struct cache *c)
{
	struct entry **at = &c->buckets[c->oldest->hash & c->bucket_mask];

	while (*at != c->oldest)
		at = &(*at)->chain;
	drop_at(c, at);
}

void
cache_clear(struct cache *c)
{
	while (c->oldest != NULL)
		drop_oldest(c);
}

void
cache_close(struct cache **c)
{
	if (*c == NULL)
		return;
	cache_clear(*c);
	free((*c)->buckets);
	free(*c);
	*c = NULL;
}

/* Packs a record of any kind; see record.h. */
static size_t
pack(enum cache_kind kind, const void *from, void *room, void *to)
{
	switch (kind) {
	case CACHE_DOMAIN:
		return domain_record_pack(from, room, to);
	case CACHE_USER:
		return account_pack(from, room, to);
	case CACHE_ALIAS:
		return alias_record_pack(from, room, to);
	}
	abort();
}

enum cache_answer
cache_get(struct cache *c, enum cache_kind kind, struct str local,
    struct str domain, int64_t now_ms, enum cache_age age, struct arena *a,
    void *record_r)
{
	struct entry *e;
	int64_t lasts;
	void *room;

	e = *place_of(c, kind, local, domain, hash_of(kind, local, domain));
	if (e == NULL || (age == CACHE_STALE && !e->found))
		return CACHE_MISS;
	lasts = e->found ? c->times.found_ms : c->times.absent_ms;
	if (age == CACHE_STALE)
		lasts += c->times.stale_ms;
	if (now_ms - e->stored_ms >= lasts)
		return CACHE_MISS;
	unlink_by_use(c, e);
	link_newest(c, e);
	if (!e->found)
		return CACHE_ABSENT;
	room = arena_alloc(a, pack(kind, &e->record, NULL, NULL));
	if (room == NULL)
		return CACHE_MISS;
	pack(kind, &e->record, room, record_r);
	return CACHE_FOUND;
}

void
cache_put(struct cache *c, enum cache_kind kind, struct str local,
    struct str domain, int64_t now_ms, const void *record)
{
	uint64_t hash = hash_of(kind, local, domain);
	struct entry **at = place_of(c, kind, local, domain, hash);
	size_t n = 0;
	struct entry *e;
	char *room;

	if (c->most == 0)
		return;
	if (*at != NULL)
		drop_at(c, at);
	else if (c->count >= c->most)
		drop_oldest(c);
	if (record != NULL)
		n = pack(kind, record, NULL, NULL);
	e = mem_alloc(sizeof(*e) + n + local.n + domain.n + 1);
	*e = (struct entry){
		.hash = hash, .stored_ms = now_ms, .kind = kind,
		.found = record != NULL,
		.local_n = local.n, .domain_n = domain.n,
	};
	/* The record's lists first: sizeof(*e) keeps them aligned. */
	room = (char *)(e + 1);
	if (record != NULL)
		pack(kind, record, room, &e->record);
	e->key = room + n;
	if (local.n > 0)
		memcpy(e->key, local.p, local.n);
	memcpy(e->key + local.n, domain.p, domain.n);
	e->chain = c->buckets[hash & c->bucket_mask];
	c->buckets[hash & c->bucket_mask] = e;
	link_newest(c, e);
	c->count++;
}
