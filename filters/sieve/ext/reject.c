/* reject and ereject (RFC 5429). */
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"

static int
reject(struct run *r, const struct node *n, enum engine_act kind)
{
	struct engine_action a = { .kind = kind };

	if (run_string(r, n, SLOT_STRING, &a.reason))
		return -1;
	if (a.reason.n > LIMIT_REASON_SIZE)
		return run_error(r, n, "the reason is longer than %d bytes",
		    LIMIT_REASON_SIZE);
	run_trace(r, n, "%s \"%s\"", kind == ENGINE_REJECT ? "reject" :
	    "ereject", run_show(a.reason));
	/* A message from <> is a bounce or a report; nobody would read the
	 * refusal (RFC 5429 section 2.1.1, RFC 5321 section 4.5.5). */
	if (r->job->envelope && r->job->envelope->from.n == 0) {
		a.kind = ENGINE_DISCARD;
		run_trace(r, n, "the sender is <>: discarded");
	}
	return plan_add(r, n, &a);
}

static int
command_reject(struct run *r, const struct node *n)
{
	return reject(r, n, ENGINE_REJECT);
}

static int
command_ereject(struct run *r, const struct node *n)
{
	return reject(r, n, ENGINE_EREJECT);
}

static const struct sieve_spec reject_specs[] = {
	{ .name = "reject", .kind = SPEC_ACTION,
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .command = command_reject },
};

const struct sieve_ext ext_reject = {
	.name = "reject",
	.specs = reject_specs,
	.n_specs = COUNT_OF(reject_specs),
};

static const struct sieve_spec ereject_specs[] = {
	{ .name = "ereject", .kind = SPEC_ACTION,
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .command = command_ereject },
};

const struct sieve_ext ext_ereject = {
	.name = "ereject",
	.specs = ereject_specs,
	.n_specs = COUNT_OF(ereject_specs),
};
