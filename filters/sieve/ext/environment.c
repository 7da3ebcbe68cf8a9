/* environment (RFC 5183) and vnd.dovecot.environment (more items, and as
 * variables: ${env.item}). */
#include "filters/sieve/ext/environment.h"

#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"

/* What the engine knows by itself; everything else the world is asked. */
enum engine_answer
environment_item(struct run *r, struct str item, struct buf *value)
{
	const struct engine_world *w = r->world;
	enum engine_answer a = ENGINE_NO;
	struct str s = { 0 }, host = r->job->host;
	ptrdiff_t dot;

	if (w->environment)
		a = w->environment(w->ctx, item, value);
	if (a != ENGINE_NO)
		return a;
	if (str_caseeq(item, STR("name")))
		s = STR("vbox-lda");
	else if (str_caseeq(item, STR("version")))
		s = STR(VBOX_VERSION);
	else if (str_caseeq(item, STR("location")))
		s = STR("MDA");
	else if (str_caseeq(item, STR("phase")))
		s = STR("during");
	else if (str_caseeq(item, STR("host")))
		s = host;
	else if (str_caseeq(item, STR("domain")) &&
	    (dot = str_chr(host, '.')) >= 0)
		s = str_sub(host, (size_t)dot + 1, host.n);
	else if (str_caseeq(item, STR("vnd.dovecot.username")))
		s = r->job->user;
	/* the name of a variable has no '-' */
	else if (str_caseeq(item, STR("vnd.dovecot.default-mailbox")) ||
	    str_caseeq(item, STR("vnd.dovecot.default_mailbox")))
		s = STR("INBOX");
	if (!s.p)
		return ENGINE_NO;
	return buf_adds(value, s) ? ENGINE_BROKEN : ENGINE_YES;
}

static int
test(struct run *r, const struct node *n)
{
	enum engine_answer a;
	struct str name, value = { 0 };
	struct match m;
	struct buf b;
	int x = 0;

	if (run_string(r, n, SLOT_STRING, &name) ||
	    match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	buf_init(&b, LIMIT_VARIABLE_SIZE);
	a = environment_item(r, name, &b);
	if (a == ENGINE_YES)
		value = run_copy(r, buf_str(&b));
	buf_release(&b);
	if (a == ENGINE_BROKEN)
		return run_error(r, n, "environment item \"%s\" could not be "
		    "asked for", run_show(name));
	/* section 4.2: an unknown item never matches */
	if (a == ENGINE_NO) {
		run_trace(r, n, "no item \"%s\"", run_show(name));
		return 0;
	}
	x = match_value(&m, value);
	return x ? x : match_end(&m);
}

static const struct sieve_spec specs[] = {
	{ .name = "environment", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = { { VALUE_STRING, SLOT_STRING, false },
	    { VALUE_LIST, SLOT_KEYS, false } }, .test = test },
};

const struct sieve_ext ext_environment = {
	.name = "environment",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
};

const struct sieve_ext ext_dovecot_environment = {
	.name = "vnd.dovecot.environment",
	.implies = "environment",
};
