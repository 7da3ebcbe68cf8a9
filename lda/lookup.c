#include "lda/lookup.h"

#include <limits.h>

#include "store/directory/name.h"

/* A cache that holds for longer than 49 days holds for ever. */
static unsigned
ms(uint64_t t)
{
	return t < UINT_MAX ? (unsigned)t : UINT_MAX;
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
	};

	name_set_module_dir(s->module_dir);
	if (life == LOOKUP_LONG) {
		set.cache_ttl_ms = ms(s->cache_ttl);
		set.cache_absent_ms = ms(s->cache_negative_ttl);
		set.cache_stale_ms = ms(s->cache_stale);
	}
	return directory_open(s->directory.v, s->directory.n, &set, d_r, v);
}
