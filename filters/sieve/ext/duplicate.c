/* duplicate (RFC 7352). */
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/hash.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/rewrite.h"
#include "filters/sieve/values.h"

static int
check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_HEADER_NAME];

	if (a && check_has(n, SLOT_UNIQUE_ID))
		return check_error_arg(c, a, ":header stands with :uniqueid");
	if (a)
		values_check_name(c, a);
	return 0;
}

/* What tells this message from others; p NULL when it has no such thing.
 * Section 3.2: an id is the same wherever it comes from, but not under
 * another handle or without one. */
static int
make_key(struct run *r, const struct node *n, struct str *key_r)
{
	struct header *h = rewrite_first_header(r);
	struct str name, id, handle;
	struct buf b;

	if (run_string_opt(r, n, SLOT_HEADER_NAME, &name) ||
	    run_string_opt(r, n, SLOT_UNIQUE_ID, &id) ||
	    run_string_opt(r, n, SLOT_HANDLE, &handle))
		return -1;
	*key_r = (struct str){ 0 };
	if (!id.p) {
		struct field *f;

		if (!name.p)
			name = STR("Message-ID");
		f = values_find(h, name, VALUES_FIRST);
		if (f)
			id = field_text(h, f);
	}
	if (id.n == 0)
		return 0;
	buf_init(&b, LIMIT_STRING_SIZE * 4);
	if (handle.p)
		(void)buf_addf(&b, "%zu", handle.n);
	(void)buf_addc(&b, ':');
	(void)buf_adds(&b, handle);
	(void)buf_adds(&b, id);
	if (b.n > LIMIT_KEY_SIZE) {
		/* the front stays: who wants two to collide must choose it */
		struct str whole = run_copy(r, buf_str(&b));

		buf_cut(&b, LIMIT_KEY_SIZE - 32);
		hash_hex(&whole, 1, &b);
	}
	*key_r = run_copy(r, buf_str(&b));
	buf_release(&b);
	return key_r->p ? 0 : run_no_memory(r, n);
}

static int64_t
period(struct run *r, const struct node *n)
{
	const struct engine_settings *s = r->settings;
	int64_t max = s->duplicate_max ? s->duplicate_max :
	    LIMIT_DUPLICATE_MAX;
	int64_t want = s->duplicate_default ? s->duplicate_default :
	    LIMIT_DUPLICATE_DEFAULT;

	if (node_has(n, SLOT_SECONDS)) {
		uint64_t seconds = run_number(r, n, SLOT_SECONDS);

		want = seconds > (uint64_t)max ? max : (int64_t)seconds;
	}
	return want > max ? max : want;
}

static int
test(struct run *r, const struct node *n)
{
	struct engine_action a = { .kind = ENGINE_MARK };
	const struct engine_world *w = r->world;
	enum engine_answer seen = ENGINE_NO;

	if (make_key(r, n, &a.key))
		return -1;
	if (!a.key.p) {
		run_trace(r, n, "the message has nothing to know it by");
		return 0;
	}
	if (run_work(r, n, 1000))
		return -1;
	if (w->duplicate_seen)
		seen = w->duplicate_seen(w->ctx, a.key);
	if (seen == ENGINE_BROKEN)
		return run_error(r, n, "the list of seen messages could not "
		    "be asked");
	a.seconds = period(r, n);
	if (node_has(n, SLOT_LAST))
		a.flags |= ENGINE_F_LAST;
	if (seen == ENGINE_NO || a.flags & ENGINE_F_LAST)
		if (plan_add(r, n, &a))
			return -1;
	return seen == ENGINE_YES;
}

static const struct sieve_spec specs[] = {
	{ .name = "duplicate", .kind = SPEC_TEST, .check = check,
	    .test = test },
};

static const struct sieve_tag tags[] = {
	{ .name = "handle", .on = ON_OWN, .spec = "duplicate",
	    .slot = SLOT_HANDLE, .value = VALUE_STRING },
	{ .name = "header", .on = ON_OWN, .spec = "duplicate",
	    .slot = SLOT_HEADER_NAME, .value = VALUE_STRING },
	{ .name = "uniqueid", .on = ON_OWN, .spec = "duplicate",
	    .slot = SLOT_UNIQUE_ID, .value = VALUE_STRING },
	{ .name = "seconds", .on = ON_OWN, .spec = "duplicate",
	    .slot = SLOT_SECONDS, .value = VALUE_NUMBER },
	{ .name = "last", .on = ON_OWN, .spec = "duplicate",
	    .slot = SLOT_LAST },
};

const struct sieve_ext ext_duplicate = {
	.name = "duplicate",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
