#include "lda/lookup.h"

#include <limits.h>

#include "lda/metrics.h"
#include "store/directory/name.h"

/* A cache that holds for longer than 49 days holds for ever. */
static unsigned
ms(uint64_t t)
{
	return t < UINT_MAX ? (unsigned)t : UINT_MAX;
}

static void
count(enum directory_event event)
{
	static const enum metric metrics[] = {
		[DIRECTORY_ASKED_BROKEN] = METRIC_LOOKUP_BROKEN,
		[DIRECTORY_ASKED_FOUND] = METRIC_LOOKUP_FOUND,
		[DIRECTORY_ASKED_ABSENT] = METRIC_LOOKUP_ABSENT,
		[DIRECTORY_CACHE_HIT] = METRIC_CACHE_HIT,
		[DIRECTORY_CACHE_MISS] = METRIC_CACHE_MISS,
		[DIRECTORY_CACHE_STALE] = METRIC_CACHE_STALE,
	};

	metrics_add(metrics[event], 1);
}

int
lookup_open(const struct config *c, enum lookup_life life,
    struct directory **d_r, struct verdict *v)
{
	const struct settings *s = &c->global;
	struct directory_settings set = {
		.module_dir = s->module_dir,
		.mbox_path = s->mbox_path,
		.maildir_path = s->maildir_path,
		.home = s->home,
		.format = s->format == SET_FORMAT_MAILDIR ? "maildir" : "mbox",
		.count = count,
	};

	name_set_module_dir(s->module_dir);
	if (life == LOOKUP_LONG) {
		set.cache_ttl_ms = ms(s->cache_ttl);
		set.cache_absent_ms = ms(s->cache_negative_ttl);
		set.cache_stale_ms = ms(s->cache_stale);
	}
	return directory_open(s->directory.v, s->directory.n, &set, d_r, v);
}
