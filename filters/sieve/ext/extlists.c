/* extlists (RFC 6134): :list as a match type, valid_ext_list, redirect
 * :list. What a list holds, the world says. */
#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/match.h"

static int
test_valid(struct run *r, const struct node *n)
{
	const struct engine_world *w = r->world;
	const struct str *names;
	uint32_t n_names;

	if (run_list(r, n, SLOT_LIST, &names, &n_names))
		return -1;
	for (uint32_t i = 0; i < n_names; i++) {
		enum engine_answer a = ENGINE_NO;

		if (run_work(r, n, 1000))
			return -1;
		if (w->list_known)
			a = w->list_known(w->ctx, names[i]);
		run_trace(r, n, "list \"%s\": %s", run_show(names[i]),
		    a == ENGINE_YES ? "known" : "not known");
		if (a == ENGINE_BROKEN)
			return run_error(r, n, "list \"%s\" could not be "
			    "asked for", run_show(names[i]));
		if (a == ENGINE_NO)
			return 0;
	}
	return 1;
}

static const struct sieve_spec specs[] = {
	{ .name = "valid_ext_list", .kind = SPEC_TEST,
	    .params = { { VALUE_LIST, SLOT_LIST, false } },
	    .test = test_valid },
};

static const struct sieve_tag tags[] = {
	{ .name = "list", .on = ON_MATCH, .slot = SLOT_MATCH,
	    .code = MATCH_LIST },
	{ .name = "list", .on = ON_REDIRECT, .slot = SLOT_LIST_TARGET },
};

const struct sieve_ext ext_extlists = {
	.name = "extlists",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
