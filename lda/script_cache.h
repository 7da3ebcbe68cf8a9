/*
 * Compiled scripts, kept below STATE_DIR/sieve-cache, one file for each
 * script of each account; never beside the script, where users and ManageSieve
 * have their own. What is found is believed only if it says that it was made
 * of these very bytes with these settings; a cut, foreign or old file is made
 * anew, and a cache that cannot be written is no error.
 *
 * Names are per account: two scripts with equal sums could only be one
 * person's.
 */
#ifndef LDA_SCRIPT_CACHE_H
#define LDA_SCRIPT_CACHE_H

#include "lda/filter.h"
#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/directory/directory.h"

enum script_cache_mode {
	SCRIPT_CACHE_READ,	/* writes nothing: a rehearsal */
	SCRIPT_CACHE_FILL,
};

/* Sets script->image if the cache has it, or if it can be compiled now. */
void script_cache_fetch(const struct filter_how *how,
    const struct engine_settings *set, const struct settings *s,
    const struct account *account, enum script_cache_mode mode,
    struct arena *a, struct engine_script *script);

#endif
