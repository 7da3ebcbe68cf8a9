/* mailbox, mboxmetadata, servermetadata (RFC 5490), special-use (RFC 8579),
 * mailboxid (RFC 9042): questions about mailboxes, and where fileinto goes. */
#include "filters/sieve/ext/mailbox.h"

#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"

/* What the questions cost the one who answers, in units of limits.h: a look at
 * one mailbox, into a file of annotations, at all mailboxes. */
#define WORK_MAILBOX 1000
#define WORK_ANNOTATION 50000
#define WORK_ALL 500000

#define PLACES (ON_FILEINTO | ON_VACATION | ON_NOTIFY)

static int
broken(struct run *r, const struct node *n, struct str what)
{
	return run_error(r, n, "\"%s\" could not be asked for",
	    run_show(what));
}

/* --- mailbox --- */

static int
test_mailboxexists(struct run *r, const struct node *n)
{
	const struct engine_world *w = r->world;
	const struct str *names;
	uint32_t n_names;

	if (run_list(r, n, SLOT_LIST, &names, &n_names))
		return -1;
	for (uint32_t i = 0; i < n_names; i++) {
		enum engine_answer a = ENGINE_NO;
		const char *why;

		if (run_work(r, n, WORK_MAILBOX))
			return -1;
		if (w->mailbox_exists && plan_mailbox_ok(names[i], &why))
			a = w->mailbox_exists(w->ctx, names[i]);
		run_trace(r, n, "mailbox \"%s\": %s", run_show(names[i]),
		    a == ENGINE_YES ? "there" : "not there");
		if (a == ENGINE_BROKEN)
			return broken(r, n, names[i]);
		if (a == ENGINE_NO)
			return 0;
	}
	return 1;
}

static const struct sieve_spec mailbox_specs[] = {
	{ .name = "mailboxexists", .kind = SPEC_TEST,
	    .params = { { VALUE_LIST, SLOT_LIST, false } },
	    .test = test_mailboxexists },
};

static const struct sieve_tag mailbox_tags[] = {
	{ .name = "create", .on = PLACES, .slot = SLOT_CREATE },
};

const struct sieve_ext ext_mailbox = {
	.name = "mailbox",
	.specs = mailbox_specs,
	.n_specs = COUNT_OF(mailbox_specs),
	.tags = mailbox_tags,
	.n_tags = COUNT_OF(mailbox_tags),
};

/* --- annotations --- */

static int
test_annotation(struct run *r, const struct node *n, struct str mailbox)
{
	const struct engine_world *w = r->world;
	enum engine_answer a = ENGINE_NO;
	struct str name, value = { 0 };
	struct match m;
	struct buf b;
	int x = 0;

	if (run_string(r, n, SLOT_STRING2, &name) || run_work(r, n, WORK_ANNOTATION))
		return -1;
	buf_init(&b, LIMIT_VARIABLE_SIZE);
	if (w->metadata)
		a = w->metadata(w->ctx, mailbox, name, &b);
	if (a == ENGINE_YES)
		value = run_copy(r, buf_str(&b));
	buf_release(&b);
	if (a == ENGINE_BROKEN)
		return broken(r, n, name);
	if (a == ENGINE_NO)
		run_trace(r, n, "no annotation \"%s\"", run_show(name));
	if (match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	if (a == ENGINE_YES)
		x = match_value(&m, value);
	return x ? x : match_end(&m);
}

static int
test_annotations_exist(struct run *r, const struct node *n,
    struct str mailbox)
{
	const struct engine_world *w = r->world;
	const struct str *names;
	uint32_t n_names;

	if (run_list(r, n, SLOT_LIST, &names, &n_names))
		return -1;
	for (uint32_t i = 0; i < n_names; i++) {
		enum engine_answer a = ENGINE_NO;
		struct buf b;

		if (run_work(r, n, WORK_ANNOTATION))
			return -1;
		buf_init(&b, LIMIT_VARIABLE_SIZE);
		if (w->metadata)
			a = w->metadata(w->ctx, mailbox, names[i], &b);
		buf_release(&b);
		run_trace(r, n, "annotation \"%s\": %s", run_show(names[i]),
		    a == ENGINE_YES ? "there" : "not there");
		if (a == ENGINE_BROKEN)
			return broken(r, n, names[i]);
		if (a == ENGINE_NO)
			return 0;
	}
	return 1;
}

static int
test_metadata(struct run *r, const struct node *n)
{
	struct str mailbox;

	return run_string(r, n, SLOT_STRING, &mailbox) ? -1 :
	    test_annotation(r, n, mailbox);
}

static int
test_metadataexists(struct run *r, const struct node *n)
{
	struct str mailbox;

	return run_string(r, n, SLOT_STRING, &mailbox) ? -1 :
	    test_annotations_exist(r, n, mailbox);
}

static int
test_servermetadata(struct run *r, const struct node *n)
{
	return test_annotation(r, n, (struct str){ 0 });
}

static int
test_servermetadataexists(struct run *r, const struct node *n)
{
	return test_annotations_exist(r, n, (struct str){ 0 });
}

static const struct sieve_spec mboxmetadata_specs[] = {
	{ .name = "metadata", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = { { VALUE_STRING, SLOT_STRING, false },
	    { VALUE_STRING, SLOT_STRING2, false },
	    { VALUE_LIST, SLOT_KEYS, false } }, .test = test_metadata },
	{ .name = "metadataexists", .kind = SPEC_TEST,
	    .params = { { VALUE_STRING, SLOT_STRING, false },
	    { VALUE_LIST, SLOT_LIST, false } }, .test = test_metadataexists },
};

const struct sieve_ext ext_mboxmetadata = {
	.name = "mboxmetadata",
	.specs = mboxmetadata_specs,
	.n_specs = COUNT_OF(mboxmetadata_specs),
};

static const struct sieve_spec servermetadata_specs[] = {
	{ .name = "servermetadata", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = { { VALUE_STRING, SLOT_STRING2, false },
	    { VALUE_LIST, SLOT_KEYS, false } },
	    .test = test_servermetadata },
	{ .name = "servermetadataexists", .kind = SPEC_TEST,
	    .params = { { VALUE_LIST, SLOT_LIST, false } },
	    .test = test_servermetadataexists },
};

const struct sieve_ext ext_servermetadata = {
	.name = "servermetadata",
	.specs = servermetadata_specs,
	.n_specs = COUNT_OF(servermetadata_specs),
};

/* --- special-use --- */

static bool
use_ok(struct str s)
{
	if (s.n < 2 || s.p[0] != '\\')
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!ascii_isalnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return true;
}

int
mailbox_check_place(struct check *c, const struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_SPECIALUSE];

	if (a && check_has(n, SLOT_MAILBOXID))
		return check_error(c, n, ":specialuse stands with :mailboxid");
	if (a && check_constant(c, a) && !use_ok(a->text))
		return check_error_arg(c, a, "\"%.*s\" is no special use such "
		    "as \"\\Junk\"", CHECK_NAME(a->text));
	return 0;
}

int
mailbox_place(struct run *r, const struct node *n, struct str *use_r,
    struct str *id_r)
{
	if (run_string_opt(r, n, SLOT_SPECIALUSE, use_r) ||
	    run_string_opt(r, n, SLOT_MAILBOXID, id_r))
		return -1;
	if (use_r->p && !use_ok(*use_r))
		return run_error(r, n, "\"%s\" is no special use such as "
		    "\"\\Junk\"", run_show(*use_r));
	return 0;
}

static int
check_specialuse_exists(struct check *c, struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_LIST, &count);

	for (; count; count--, i = i->next)
		if (check_constant(c, i) && !use_ok(i->text))
			return check_error_arg(c, i, "\"%.*s\" is no special "
			    "use such as \"\\Junk\"", CHECK_NAME(i->text));
	return 0;
}

static int
test_specialuse_exists(struct run *r, const struct node *n)
{
	const struct engine_world *w = r->world;
	const struct str *uses;
	uint32_t n_uses;
	struct str mailbox;

	if (run_string_opt(r, n, SLOT_STRING, &mailbox) ||
	    run_list(r, n, SLOT_LIST, &uses, &n_uses))
		return -1;
	for (uint32_t i = 0; i < n_uses; i++) {
		enum engine_answer a = ENGINE_NO;
		struct buf b;

		if (run_work(r, n, 10 * WORK_MAILBOX))
			return -1;
		buf_init(&b, LIMIT_MAILBOX_NAME);
		if (w->special_use)
			a = w->special_use(w->ctx, mailbox, uses[i], &b);
		run_trace(r, n, "use \"%s\": %s", run_show(uses[i]),
		    a == ENGINE_YES ? run_show(buf_str(&b)) : "no mailbox");
		buf_release(&b);
		if (a == ENGINE_BROKEN)
			return broken(r, n, uses[i]);
		if (a == ENGINE_NO)
			return 0;
	}
	return 1;
}

static const struct sieve_spec special_use_specs[] = {
	{ .name = "specialuse_exists", .kind = SPEC_TEST,
	    .flags = SPEC_FIRST_OPTIONAL,
	    .params = { { VALUE_STRING, SLOT_STRING, false },
	    { VALUE_LIST, SLOT_LIST, false } },
	    .check = check_specialuse_exists, .test = test_specialuse_exists },
};

static const struct sieve_tag special_use_tags[] = {
	{ .name = "specialuse", .on = PLACES, .slot = SLOT_SPECIALUSE,
	    .value = VALUE_STRING },
};

const struct sieve_ext ext_special_use = {
	.name = "special-use",
	.specs = special_use_specs,
	.n_specs = COUNT_OF(special_use_specs),
	.tags = special_use_tags,
	.n_tags = COUNT_OF(special_use_tags),
};

/* --- mailboxid --- */

static int
test_mailboxidexists(struct run *r, const struct node *n)
{
	const struct engine_world *w = r->world;
	const struct str *ids;
	uint32_t n_ids;

	if (run_list(r, n, SLOT_LIST, &ids, &n_ids))
		return -1;
	for (uint32_t i = 0; i < n_ids; i++) {
		enum engine_answer a = ENGINE_NO;
		struct buf b;

		if (run_work(r, n, WORK_ALL))
			return -1;
		buf_init(&b, LIMIT_MAILBOX_NAME);
		if (w->mailbox_by_id)
			a = w->mailbox_by_id(w->ctx, ids[i], &b);
		run_trace(r, n, "id \"%s\": %s", run_show(ids[i]),
		    a == ENGINE_YES ? run_show(buf_str(&b)) : "no mailbox");
		buf_release(&b);
		if (a == ENGINE_BROKEN)
			return broken(r, n, ids[i]);
		if (a == ENGINE_NO)
			return 0;
	}
	return 1;
}

static const struct sieve_spec mailboxid_specs[] = {
	{ .name = "mailboxidexists", .kind = SPEC_TEST,
	    .params = { { VALUE_LIST, SLOT_LIST, false } },
	    .test = test_mailboxidexists },
};

static const struct sieve_tag mailboxid_tags[] = {
	{ .name = "mailboxid", .on = PLACES, .slot = SLOT_MAILBOXID,
	    .value = VALUE_STRING },
};

const struct sieve_ext ext_mailboxid = {
	.name = "mailboxid",
	.specs = mailboxid_specs,
	.n_specs = COUNT_OF(mailboxid_specs),
	.tags = mailboxid_tags,
	.n_tags = COUNT_OF(mailboxid_tags),
};
