#include "store/directory/directory.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/mem.h"
#include "store/directory/backend.h"
#include "store/directory/cache.h"

#define CACHE_ENTRIES 100000
/* A question that failed after so long is not asked again for twice the
 * time that it took: a frozen server must not hold every delivery. One that
 * fails at once may be asked again at once. */
#define SLOW_FAILURE_MS 100
#define REST_MAX_MS 30000

static const struct directory_backend *const backends[] = {
	&backend_file,
	&backend_fs,
	&backend_socketmap,
	&backend_sqlite,
	&backend_pgsql,
};

/* One of the configured list. */
struct source {
	const struct directory_backend *backend;
	void *self;
};

struct directory {
	struct source *sources;
	size_t count;
	struct cache *cache;	/* NULL: none */
	int64_t rest_until_ms;
	void (*count_event)(enum directory_event event);	/* or NULL */
};

static const struct directory_backend *
backend_named(struct str name)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (str_eq(name, str_of(backends[i]->name)))
			return backends[i];
	return NULL;
}

static int
source_open(struct source *s, const char *spec,
    const struct directory_settings *set, struct verdict *v)
{
	struct str name = str_of(spec);
	ptrdiff_t colon = str_chr(name, ':');
	const char *rest = spec + name.n;

	if (colon >= 0) {
		name.n = (size_t)colon;
		rest = spec + colon + 1;
	}
	s->backend = backend_named(name);
	if (s->backend == NULL)
		return verdict_set(v, V_CONFIG,
		    "directory \"%s\": no such kind of directory", spec);
	return s->backend->open(rest, set, &s->self, v);
}

int
directory_open(const char *const *specs, size_t count,
    const struct directory_settings *set, struct directory **d_r,
    struct verdict *v)
{
	struct directory *d = mem_zalloc(1, sizeof(*d));
	struct cache_times times = {
		.found_ms = set->cache_ttl_ms,
		.absent_ms = set->cache_absent_ms,
		.stale_ms = set->cache_stale_ms,
	};

	d->count_event = set->count;
	d->sources = mem_zalloc(count, sizeof(*d->sources));
	if (count == 0) {
		verdict_set(v, V_CONFIG, "directory: none is configured");
		goto fail;
	}
	for (; d->count < count; d->count++)
		if (source_open(&d->sources[d->count], specs[d->count], set,
		    v) < 0)
			goto fail;
	if (set->cache_ttl_ms > 0)
		d->cache = cache_open(set->cache_entries > 0 ?
		    set->cache_entries : CACHE_ENTRIES, &times);
	*d_r = d;
	return 0;
fail:
	directory_close(&d);
	return -1;
}

void
directory_close(struct directory **d)
{
	if (*d == NULL)
		return;
	for (size_t i = 0; i < (*d)->count; i++)
		(*d)->sources[i].backend->close((*d)->sources[i].self);
	cache_close(&(*d)->cache);
	free((*d)->sources);
	free(*d);
	*d = NULL;
}

void
directory_forget(struct directory *d)
{
	if (d->cache != NULL)
		cache_clear(d->cache);
}

/* The three questions differ in the type of their record alone. */
static enum directory_answer
ask_source(const struct source *s, enum cache_kind kind, struct str local,
    struct str domain, struct arena *a, void *record_r, struct verdict *v)
{
	switch (kind) {
	case CACHE_DOMAIN:
		return s->backend->domain(s->self, domain, a, record_r, v);
	case CACHE_USER:
		return s->backend->user(s->self, local, domain, a, record_r, v);
	case CACHE_ALIAS:
		return s->backend->alias(s->self, local, domain, a, record_r,
		    v);
	}
	abort();
}

static enum directory_answer
ask_all(const struct directory *d, enum cache_kind kind, struct str local,
    struct str domain, struct arena *a, void *record_r, struct verdict *v)
{
	for (size_t i = 0; i < d->count; i++) {
		enum directory_answer answer = ask_source(&d->sources[i], kind,
		    local, domain, a, record_r, v);

		/* One that cannot be asked might have had the name. */
		if (answer != DIR_ABSENT)
			return answer;
	}
	return DIR_ABSENT;
}

static void
tell(const struct directory *d, enum directory_event event)
{
	if (d->count_event)
		d->count_event(event);
}

static enum directory_answer
ask_unless_resting(struct directory *d, enum cache_kind kind,
    struct str local, struct str domain, struct arena *a, void *record_r,
    struct verdict *v)
{
	enum directory_answer answer;
	int64_t began = clock_mono_ms(), took;

	if (began < d->rest_until_ms) {
		verdict_set(v, V_DIRECTORY_DOWN,
		    "directory: did not answer, not asked again yet");
		tell(d, DIRECTORY_ASKED_BROKEN);
		return DIR_BROKEN;
	}
	answer = ask_all(d, kind, local, domain, a, record_r, v);
	tell(d, answer == DIR_FOUND ? DIRECTORY_ASKED_FOUND :
	    answer == DIR_ABSENT ? DIRECTORY_ASKED_ABSENT :
	    DIRECTORY_ASKED_BROKEN);
	if (answer == DIR_BROKEN) {
		took = clock_mono_ms() - began;
		if (took >= SLOW_FAILURE_MS)
			d->rest_until_ms = began + took +
			    (took * 2 < REST_MAX_MS ? took * 2 : REST_MAX_MS);
	}
	return answer;
}

static enum directory_answer
ask(struct directory *d, enum cache_kind kind, struct str local,
    struct str domain, struct arena *a, void *record_r, struct verdict *v)
{
	enum directory_answer answer;
	int64_t now;

	if (d->cache == NULL)
		return ask_unless_resting(d, kind, local, domain, a, record_r,
		    v);
	now = clock_mono_ms();
	switch (cache_get(d->cache, kind, local, domain, now, CACHE_FRESH, a,
	    record_r)) {
	case CACHE_FOUND:
		tell(d, DIRECTORY_CACHE_HIT);
		return DIR_FOUND;
	case CACHE_ABSENT:
		tell(d, DIRECTORY_CACHE_HIT);
		return DIR_ABSENT;
	case CACHE_MISS:
		tell(d, DIRECTORY_CACHE_MISS);
		break;
	}
	answer = ask_unless_resting(d, kind, local, domain, a, record_r, v);
	if (answer == DIR_BROKEN) {
		if (cache_get(d->cache, kind, local, domain, now, CACHE_STALE,
		    a, record_r) == CACHE_FOUND) {
			tell(d, DIRECTORY_CACHE_STALE);
			return DIR_FOUND;
		}
		return DIR_BROKEN;
	}
	cache_put(d->cache, kind, local, domain, now,
	    answer == DIR_FOUND ? record_r : NULL);
	return answer;
}

enum directory_answer
directory_domain(struct directory *d, struct str domain, struct arena *a,
    struct domain_record *r, struct verdict *v)
{
	return ask(d, CACHE_DOMAIN, STR(""), domain, a, r, v);
}

enum directory_answer
directory_user(struct directory *d, struct str local, struct str domain,
    struct arena *a, struct account *r, struct verdict *v)
{
	return ask(d, CACHE_USER, local, domain, a, r, v);
}

enum directory_answer
directory_alias(struct directory *d, struct str local, struct str domain,
    struct arena *a, struct alias_record *r, struct verdict *v)
{
	return ask(d, CACHE_ALIAS, local, domain, a, r, v);
}
