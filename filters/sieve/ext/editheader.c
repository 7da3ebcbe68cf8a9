/* editheader (RFC 5293): addheader, deleteheader. */
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"

/* Section 6: trace and loop protection stay, whatever a script wants. */
static bool
undeletable(struct run *r, struct str name)
{
	struct str rest = r->settings->protected_headers, word;

	if (str_caseeq(name, STR("Received")) ||
	    str_caseeq(name, STR("Auto-Submitted")))
		return true;
	/* RFC 5703 section 5 */
	if ((r->original_subject && str_caseeq(name, STR("Original-Subject"))) ||
	    (r->original_from && str_caseeq(name, STR("Original-From"))))
		return true;
	while (str_split(&rest, ' ', &word))
		if (word.n && str_caseeq(word, name))
			return true;
	return false;
}

/* Fields that describe a mailbox never come from a message; a script cannot
 * bring them in either. */
static bool
unaddable(struct run *r, struct str name)
{
	static const char *const names[] = { "Status", "X-Status", "X-UID",
	    "X-Keywords", "X-IMAP", "X-IMAPbase", "Content-Length",
	    "Return-Path", "Delivered-To" };
	struct str rest = r->settings->protected_headers, word;

	for (unsigned i = 0; i < COUNT_OF(names); i++)
		if (str_caseeq(str_of(names[i]), name))
			return true;
	while (str_split(&rest, ' ', &word))
		if (word.n && str_caseeq(word, name))
			return true;
	return false;
}

static int
check_name(struct check *c, const struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING];

	if (check_no_field_name(c, a))
		return check_error_arg(c, a, "\"%.*s\" is no name of a header "
		    "field", CHECK_NAME(a->text));
	return 0;
}

static int
check_add(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING2];

	if (check_constant(c, a) && str_chr(a->text, '\0') >= 0)
		return check_error_arg(c, a, "a NUL in the value of a header "
		    "field");
	return check_name(c, n);
}

static int
check_delete(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING];

	if (check_has(n, SLOT_LAST) && !check_has(n, SLOT_INDEX))
		return check_error(c, n, ":last wants :index");
	if (n->value[SLOT_INDEX] && n->value[SLOT_INDEX]->number == 0)
		return check_error_arg(c, n->value[SLOT_INDEX],
		    ":index counts from 1");
	/* section 5: without patterns for the value, comparator and match
	 * type are passed over */
	if (check_has(n, SLOT_KEYS) && check_has(n, SLOT_MATCH) &&
	    n->code[SLOT_MATCH] == MATCH_COUNT)
		return check_error(c, n, "'deleteheader' knows no :count");
	if (check_constant(c, a) && (str_caseeq(a->text, STR("Received")) ||
	    str_caseeq(a->text, STR("Auto-Submitted"))))
		(void)check_warn_arg(c, a, "field \"%.*s\" cannot be deleted; "
		    "this will do nothing", CHECK_NAME(a->text));
	return check_name(c, n);
}

static int
command_add(struct run *r, const struct node *n)
{
	enum header_place place = node_has(n, SLOT_LAST) ? HEADER_BOTTOM :
	    HEADER_TOP;
	struct str name, value;

	if (run_string(r, n, SLOT_STRING, &name) ||
	    run_string(r, n, SLOT_STRING2, &value))
		return -1;
	if (!header_name_valid(name))
		return run_error(r, n, "\"%s\" is no name of a header field",
		    run_show(name));
	if (str_chr(value, '\0') >= 0)
		return run_error(r, n, "a NUL in the value of header field "
		    "\"%s\"", run_show(name));
	run_trace(r, n, "addheader \"%s: %s\"", run_show(name),
	    run_show(value));
	if (unaddable(r, name)) {
		(void)run_warn(r, n, "field \"%s\" cannot be added",
		    run_show(name));
		return 0;
	}
	if (++r->n_added > LIMIT_ADDED_HEADERS ||
	    (r->n_added_bytes += name.n + value.n) > LIMIT_ADDED_BYTES)
		return run_error(r, n, "more than %d header fields or %d "
		    "bytes are added", LIMIT_ADDED_HEADERS, LIMIT_ADDED_BYTES);
	if (!header_add(&r->message.header, place, name, value))
		return run_error(r, n, "the value for header field \"%s\" is "
		    "too long", run_show(name));
	r->header_changed = true;
	return 0;
}

static int
command_delete(struct run *r, const struct node *n)
{
	struct header *h = &r->message.header;
	bool last = node_has(n, SLOT_LAST), all = !node_has(n, SLOT_KEYS);
	uint64_t index = run_number(r, n, SLOT_INDEX), at = 0;
	struct field *f, *next;
	struct str name;
	struct match m = { 0 };

	if (run_string(r, n, SLOT_STRING, &name))
		return -1;
	if (!header_name_valid(name))
		return run_error(r, n, "\"%s\" is no name of a header field",
		    run_show(name));
	run_trace(r, n, "deleteheader \"%s\"", run_show(name));
	if (undeletable(r, name)) {
		run_trace(r, n, "it cannot be deleted");
		return 0;
	}
	if (!all && match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	m.no_captures = true;
	f = last ? header_find_last(h, name) : header_find(h, name);
	for (; f; f = next) {
		int x = 1;

		next = last ? field_prev(f) : field_next(f);
		if (index && ++at < index)
			continue;
		if (run_work(r, n, 16))
			return -1;
		if (!all)
			x = match_value(&m, field_text(h, f));
		if (x < 0)
			return -1;
		if (x) {
			header_delete(h, f);
			r->header_changed = true;
		}
		if (index)
			break;
	}
	return 0;
}

static const struct sieve_spec specs[] = {
	{ .name = "addheader",
	    .params = { { VALUE_STRING, SLOT_STRING, false },
	    { VALUE_STRING, SLOT_STRING2, false } },
	    .check = check_add, .command = command_add },
	{ .name = "deleteheader", .classes = ON_MATCH,
	    .flags = SPEC_SECOND_OPTIONAL,
	    .params = { { VALUE_STRING, SLOT_STRING, false },
	    { VALUE_LIST, SLOT_KEYS, false } },
	    .check = check_delete, .command = command_delete },
};

static const struct sieve_tag tags[] = {
	{ .name = "last", .on = ON_OWN, .spec = "addheader deleteheader",
	    .slot = SLOT_LAST },
	{ .name = "index", .on = ON_OWN, .spec = "deleteheader",
	    .slot = SLOT_INDEX, .value = VALUE_NUMBER },
};

const struct sieve_ext ext_editheader = {
	.name = "editheader",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
