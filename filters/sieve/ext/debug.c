/* vnd.dovecot.debug: debug_log writes a line into the trace. */
#include "filters/sieve/eval.h"
#include "filters/sieve/ext/list.h"

static int
command(struct run *r, const struct node *n)
{
	struct str s;

	if (run_string(r, n, SLOT_STRING, &s))
		return -1;
	run_trace(r, n, "debug: %s", run_show(s));
	return 0;
}

static const struct sieve_spec specs[] = {
	{ .name = "debug_log",
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .command = command },
};

const struct sieve_ext ext_debug = {
	.name = "vnd.dovecot.debug",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
};
