/* The language itself: RFC 5228 sections 3, 4 and 5. */
#include "filters/sieve/ext/core.h"

#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/ext/mimeopt.h"
#include "filters/sieve/ext/redirect.h"
#include "filters/sieve/values.h"

/* --- what check and eval ask --- */

enum core_join
core_join_of(const struct sieve_spec *spec)
{
	static const char *const names[] = { "", "if", "elsif", "else", "not",
	    "allof", "anyof" };
	ptrdiff_t i = spec - ext_core.specs;

	if (i < 0 || i >= (ptrdiff_t)ext_core.n_specs)
		return CORE_NONE;
	for (unsigned k = 1; k < COUNT_OF(names); k++)
		if (str_eq(str_of(spec->name), str_of(names[k])))
			return (enum core_join)k;
	return CORE_NONE;
}

enum core_join
core_join_name(struct str name)
{
	if (str_caseeq(name, STR("if")))
		return CORE_IF;
	if (str_caseeq(name, STR("elsif")))
		return CORE_ELSIF;
	if (str_caseeq(name, STR("else")))
		return CORE_ELSE;
	return CORE_NONE;
}

static bool
named(const struct sieve_spec *spec, const char *name)
{
	return str_eq(str_of(spec->name), str_of(name));
}

bool
core_ends_block(const struct sieve_spec *spec)
{
	return spec->kind == SPEC_COMMAND && (named(spec, "stop") ||
	    named(spec, "return") || named(spec, "error") ||
	    named(spec, "break"));
}

bool
core_is_loop(const struct sieve_spec *spec)
{
	return named(spec, "foreverypart");
}

bool
core_is_ihave(const struct sieve_spec *spec)
{
	return spec->kind == SPEC_TEST && named(spec, "ihave");
}

/* --- commands --- */

static int
stop(struct run *r, const struct node *n)
{
	run_trace(r, n, "stop");
	return RUN_STOP;
}

static int
keep(struct run *r, const struct node *n)
{
	struct engine_action a = { .kind = ENGINE_KEEP };

	run_trace(r, n, "keep");
	if (plan_flags(r, n, &a))
		return -1;
	return plan_add(r, n, &a);
}

static int
discard(struct run *r, const struct node *n)
{
	struct engine_action a = { .kind = ENGINE_DISCARD };

	run_trace(r, n, "discard");
	return plan_add(r, n, &a);
}

/* --- tests --- */

static int
test_true(struct run *r, const struct node *n)
{
	(void)r;
	(void)n;
	return 1;
}

static int
test_false(struct run *r, const struct node *n)
{
	(void)r;
	(void)n;
	return 0;
}

static int
test_not(struct run *r, const struct node *n)
{
	int x = run_test(r, n->tests);

	return x < 0 ? x : !x;
}

static int
test_join(struct run *r, const struct node *n, int until)
{
	for (uint32_t i = n->tests; i; i = r->frame->program.nodes[i].next) {
		int x = run_test(r, i);

		if (x < 0 || x == until)
			return x;
	}
	return !until;
}

static int
test_allof(struct run *r, const struct node *n)
{
	return test_join(r, n, 0);
}

static int
test_anyof(struct run *r, const struct node *n)
{
	return test_join(r, n, 1);
}

static int
test_size(struct run *r, const struct node *n)
{
	uint64_t size = header_size(&r->message.header) +
	    r->message.body.n;
	uint64_t number = run_number(r, n, SLOT_NUMBER);

	run_trace(r, n, "size is %llu", (unsigned long long)size);
	return run_code(r, n, SLOT_OVER, 0) ? size > number : size < number;
}

static int
check_size(struct check *c, struct check_node *n)
{
	if (!check_has(n, SLOT_OVER))
		return check_error(c, n, "'size' wants :over or :under");
	return 0;
}

/* All of the names must be there. */
static int
test_exists(struct run *r, const struct node *n)
{
	const struct str *names;
	uint32_t n_names;
	struct mime_part *top = NULL, *part;

	if (run_list(r, n, SLOT_HEADERS, &names, &n_names))
		return -1;
	if (node_has(n, SLOT_MIME) && !(top = run_part(r, n)))
		return -1;
	for (uint32_t i = 0; i < n_names; i++) {
		bool there = false;

		if (!top) {
			there = values_find(&r->message.header, names[i],
			    VALUES_FIRST);
		} else {
			for (part = top; part && !there; part =
			    values_next_part(r, n, top, part)) {
				if (run_work(r, n, 16))
					return -1;
				there = values_find(part->header, names[i],
				    VALUES_FIRST);
			}
		}
		if (!there) {
			run_trace(r, n, "no field \"%s\"", run_show(names[i]));
			return 0;
		}
	}
	return 1;
}

struct seeking {
	struct run *r;
	const struct node *n;
	struct match m;
	enum address_part part;
};

static int
match_header(void *ctx, struct header *h, struct field *f)
{
	struct seeking *s = ctx;

	if (node_has(s->n, SLOT_MIME_PART))
		return mimeopt_match(s->r, s->n, f, &s->m);
	return match_value(&s->m, field_text(h, f));
}

static int
test_header(struct run *r, const struct node *n)
{
	struct seeking s = { .r = r, .n = n };
	int x;

	if (match_begin(r, n, SLOT_KEYS, &s.m))
		return -1;
	x = values_each(r, n, match_header, &s);
	return x ? x : match_end(&s.m);
}

/* Fields that hold addresses; section 5.1 wants the test bound to such. */
static bool
address_field(struct str name)
{
	static const char *const names[] = { "from", "to", "cc", "bcc",
	    "sender", "reply-to", "resent-from", "resent-to", "resent-cc",
	    "resent-bcc", "resent-sender", "resent-reply-to", "delivered-to",
	    "x-original-to", "mail-followup-to", "mail-reply-to",
	    "apparently-to", "errors-to", "return-path", "envelope-to",
	    "x-envelope-to", "x-envelope-from", "for-comment",
	    "disposition-notification-to", "return-receipt-to",
	    "original-recipient", "final-recipient", "abuse-reports-to",
	    "x-complaints-to", "x-mailing-list", "approved", "for-approval",
	    "for-handling", "x-admin", "read-receipt-to",
	    "x-confirm-reading-to", "return-receipt-requested",
	    "registered-mail-reply-requested-by", "x-report-abuse-to",
	    "x-beenthere", "x-original-from", "x-forwarded-to",
	    "x-forwarded-for" };

	for (unsigned i = 0; i < COUNT_OF(names); i++)
		if (str_caseeq(str_of(names[i]), name))
			return true;
	return false;
}

static int
check_address(struct check *c, struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_HEADERS, &count);
	int r = values_check(c, n);

	for (; count; count--, i = i->next)
		if (check_constant(c, i) && !address_field(i->text))
			r = check_error_arg(c, i, "header \"%.*s\" holds no "
			    "addresses; 'address' is not for it",
			    CHECK_NAME(i->text));
	return r;
}

static int
check_header(struct check *c, struct check_node *n)
{
	values_check_names(c, n);
	return values_check(c, n);
}

static int
match_address(void *ctx, struct header *h, struct field *f)
{
	struct seeking *s = ctx;
	const struct address_list *list = values_addresses(s->r, f);
	unsigned seen = 0;

	(void)h;
	for (size_t i = 0; i < list->n; i++) {
		struct str v;
		int x;

		seen++;
		if (!values_address_part(s->r, &list->list[i], s->part, &v))
			continue;
		x = match_value(&s->m, v);
		if (x)
			return x;
	}
	if (!seen && s->part == ADDRESS_PART_ALL)
		return match_value(&s->m, (struct str){ "", 0 });
	return 0;
}

static int
test_address(struct run *r, const struct node *n)
{
	struct seeking s = { .r = r, .n = n };
	int x;

	s.part = (enum address_part)run_code(r, n, SLOT_ADDRESS_PART,
	    ADDRESS_PART_ALL);
	if (match_begin(r, n, SLOT_KEYS, &s.m))
		return -1;
	x = values_each(r, n, match_address, &s);
	return x ? x : match_end(&s.m);
}

/* --- tables --- */

#define HEADER_CLASSES (ON_MATCH | ON_INDEX | ON_MIME)
#define NAMES { VALUE_LIST, SLOT_HEADERS, false }
#define KEYS { VALUE_LIST, SLOT_KEYS, false }

/* The first three are OP_IF, OP_ELSIF, OP_ELSE. */
static const struct sieve_spec specs[] = {
	{ .name = "if", .tests = TESTS_ONE, .flags = SPEC_BLOCK },
	{ .name = "elsif", .tests = TESTS_ONE, .flags = SPEC_BLOCK },
	{ .name = "else", .flags = SPEC_BLOCK },
	{ .name = "require", .flags = SPEC_NOT_RUN,
	    .params = { { VALUE_LIST, SLOT_LIST, true } } },
	{ .name = "stop", .command = stop },
	{ .name = "keep", .kind = SPEC_ACTION, .classes = ON_KEEP,
	    .command = keep },
	{ .name = "discard", .kind = SPEC_ACTION, .command = discard },
	{ .name = "redirect", .kind = SPEC_ACTION, .classes = ON_REDIRECT,
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .check = redirect_check, .command = redirect_command },
	{ .name = "address", .kind = SPEC_TEST,
	    .classes = HEADER_CLASSES | ON_ADDRESS_PART,
	    .params = { NAMES, KEYS }, .check = check_address,
	    .test = test_address },
	{ .name = "allof", .kind = SPEC_TEST, .tests = TESTS_LIST,
	    .test = test_allof },
	{ .name = "anyof", .kind = SPEC_TEST, .tests = TESTS_LIST,
	    .test = test_anyof },
	{ .name = "exists", .kind = SPEC_TEST, .classes = ON_MIME,
	    .params = { NAMES }, .check = check_header, .test = test_exists },
	{ .name = "false", .kind = SPEC_TEST, .test = test_false },
	{ .name = "true", .kind = SPEC_TEST, .test = test_true },
	{ .name = "header", .kind = SPEC_TEST,
	    .classes = HEADER_CLASSES | ON_MIME_PART,
	    .params = { NAMES, KEYS }, .check = check_header,
	    .test = test_header },
	{ .name = "not", .kind = SPEC_TEST, .tests = TESTS_ONE,
	    .test = test_not },
	{ .name = "size", .kind = SPEC_TEST,
	    .params = { { VALUE_NUMBER, SLOT_NUMBER, false } },
	    .check = check_size, .test = test_size },
};

static const struct sieve_tag tags[] = {
	{ .name = "is", .on = ON_MATCH, .slot = SLOT_MATCH, .code = MATCH_IS },
	{ .name = "contains", .on = ON_MATCH, .slot = SLOT_MATCH,
	    .code = MATCH_CONTAINS },
	{ .name = "matches", .on = ON_MATCH, .slot = SLOT_MATCH,
	    .code = MATCH_MATCHES },
	{ .name = "comparator", .on = ON_MATCH, .slot = SLOT_COMPARATOR,
	    .value = VALUE_STRING, .literal = true },
	{ .name = "all", .on = ON_ADDRESS_PART, .slot = SLOT_ADDRESS_PART,
	    .code = ADDRESS_PART_ALL },
	{ .name = "localpart", .on = ON_ADDRESS_PART,
	    .slot = SLOT_ADDRESS_PART, .code = ADDRESS_PART_LOCALPART },
	{ .name = "domain", .on = ON_ADDRESS_PART, .slot = SLOT_ADDRESS_PART,
	    .code = ADDRESS_PART_DOMAIN },
	{ .name = "over", .on = ON_OWN, .spec = "size", .slot = SLOT_OVER,
	    .code = 1 },
	{ .name = "under", .on = ON_OWN, .spec = "size", .slot = SLOT_OVER,
	    .code = 0 },
};

const struct sieve_ext ext_core = {
	.name = "sieve",
	.flags = EXT_CORE,
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
