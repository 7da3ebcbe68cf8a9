/*
 * The Sieve scripts that apply to a recipient, read for the filter process:
 * before, domain, the user's own (or the default), after; and those that
 * `include` asks for.
 *
 * The user's script and directory belong to the user: links are followed as
 * long as they stay in the home (ManageSieve links the active script), and a
 * file that somebody else could have written is not run.
 */
#ifndef LDA_SCRIPTS_H
#define LDA_SCRIPTS_H

#include "filters/engine.h"
#include "lda/config.h"
#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/base/verdict.h"
#include "store/directory/directory.h"

/* Scripts of one delivery. */
#define SCRIPTS_MAX 64

struct scripts {
	struct engine_script *list;
	size_t n;
	/* A script that is there but is not run, and why; for the user's log
	 * (empty: none). The others still run, and the mail is kept. */
	struct str refused, why;
};

/*
 * 0, also when there is no script at all; -1 when one could not be read for
 * a reason that may pass (V_TROUBLE). Everything lives in the arena.
 */
int scripts_load(const struct settings *s, const struct account *account,
    struct arena *a, struct scripts *r, struct verdict *v);
/* One by name for `include`: ENGINE_NO when there is none. */
enum engine_answer scripts_include(const struct settings *s,
    const struct account *account, enum engine_location location,
    struct str name, struct arena *a, struct engine_script *r);

/* The engine of sieve_engine; "none" loads no script, so any will do. */
const struct engine *scripts_engine(const struct settings *s);
/* Loads the libraries of every engine that is configured, for filters that
 * are forked by a process which may open no file any more. */
void scripts_engines_load(const struct config *c);

#endif
