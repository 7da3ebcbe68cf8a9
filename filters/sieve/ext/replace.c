/* replace (RFC 5703 section 5): a part, or the message, by another text. */
#include "filters/message/address.h"
#include "filters/message/utf8.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/rewrite.h"

/* A mailbox-list: addresses and nothing else. */
static bool
from_ok(struct arena *a, struct str text)
{
	struct address_list list;

	address_list(a, text, &list);
	for (size_t i = 0; i < list.n; i++)
		if (list.list[i].kind != ADDRESS_MAILBOX)
			return false;
	return list.n > 0;
}

static int
check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *from = n->value[SLOT_FROM];

	if (check_has(n, SLOT_MIME_REASON) && (check_has(n, SLOT_SUBJECT) ||
	    from))
		return check_error(c, n, ":subject and :from do nothing beside "
		    ":mime");
	if (from && check_constant(c, from) && !from_ok(&c->arena, from->text))
		return check_error_arg(c, from, ":from: \"%.*s\" is no list of "
		    "addresses", CHECK_NAME(from->text));
	return 0;
}

static int
too_long(struct run *r, const struct node *n, const char *name)
{
	return run_error(r, n, "the text for header field \"%s\" is too long",
	    name);
}

/* The fields of that name get another one, and one with the text is added. */
static int
set_field(struct run *r, const struct node *n, const char *name,
    const char *kept, struct str text)
{
	struct header *h = &r->message.header;
	struct field *f, *next;

	for (f = header_find(h, str_of(name)); f; f = next) {
		next = field_next(f);
		if (!header_replace(h, f, str_of(kept), (struct str){ 0 }))
			return too_long(r, n, kept);
	}
	return header_add(h, HEADER_TOP, str_of(name), text) ? 0 :
	    too_long(r, n, name);
}

static int
set_subject_and_from(struct run *r, const struct node *n)
{
	struct str subject, from;

	if (run_string_opt(r, n, SLOT_SUBJECT, &subject) ||
	    run_string_opt(r, n, SLOT_FROM, &from))
		return -1;
	if (subject.p) {
		if (set_field(r, n, "Subject", "Original-Subject", subject))
			return -1;
		r->original_subject = true;
	}
	/* "suggested that values that fail ... simply be ignored" */
	if (from.p && !from_ok(&r->arena, from)) {
		(void)run_warn(r, n, ":from \"%s\" is no list of addresses",
		    run_show(from));
	} else if (from.p) {
		if (set_field(r, n, "From", "Original-From", from))
			return -1;
		r->original_from = true;
	}
	return 0;
}

/* The fields of the header that say how the body is built give way to those
 * of `fields`. */
static int
set_structure(struct run *r, const struct node *n, struct str fields)
{
	struct header *h = &r->message.header, new;
	struct field *f, *next;

	for (f = header_first(h); f; f = next) {
		next = field_after(f);
		if (f->name.n && rewrite_structural(f->name))
			header_delete(h, f);
	}
	if (!header_add(h, HEADER_BOTTOM, STR("MIME-Version"), STR("1.0")))
		return run_no_memory(r, n);
	(void)header_init(&new, &r->arena, fields);
	for (f = header_first(&new); f; f = field_after(f))
		/* the length is the mailbox's matter */
		if (str_casestarts(f->name, STR("Content-")) &&
		    !str_caseeq(f->name, STR("Content-Length")) &&
		    !header_add(h, HEADER_BOTTOM, f->name,
		    field_value(&new, f)))
			return too_long(r, n, "Content-");
	return 0;
}

/* The whole message: its header stays, but for what describes the body. */
static int
replace_message(struct run *r, const struct node *n, struct str entity)
{
	struct header given, *h = &r->message.header;
	struct engine_body b;
	struct str body, header;

	body = header_init(&given, &r->arena, entity);
	if ((!node_has(n, SLOT_MIME_REASON) && set_subject_and_from(r, n)) ||
	    set_structure(r, n, str_sub(entity, 0, entity.n - body.n)))
		return -1;
	buf_reset(&r->scratch);
	if (header_write(h, &r->scratch))
		return run_no_memory(r, n);
	header = run_copy(r, buf_str(&r->scratch));
	if (!header.p)
		return run_no_memory(r, n);
	if (rewrite_begin(r, n, &b) || rewrite_add_text(r, n, &b, body))
		return -1;
	if (body.n && !str_ends(body, STR("\n")) &&
	    rewrite_add_text(r, n, &b, STR("\n")))
		return -1;
	return rewrite_commit(r, n, header, &b, 0);
}

/* A message inside the message keeps its own header likewise. */
static int
add_inner_fields(struct run *r, const struct node *n,
    const struct mime_part *part)
{
	if (!part->parent || part->parent->kind != MIME_MESSAGE)
		return 0;
	for (struct field *f = header_first(part->header); f;
	    f = field_after(f))
		if (!rewrite_structural(f->name))
			(void)buf_adds(&r->scratch, f->raw);
	if (r->scratch.n && !str_ends(buf_str(&r->scratch), STR("\n")))
		(void)buf_addc(&r->scratch, '\n');
	(void)buf_addz(&r->scratch, "MIME-Version: 1.0\n");
	return r->scratch.full ? run_no_memory(r, n) : 0;
}

static int
replace_part(struct run *r, const struct node *n,
    const struct mime_part *part, struct str entity)
{
	struct str body = r->message.body, header, text;
	size_t from = (size_t)(part->raw.p - body.p);
	size_t end = from + part->raw.n;
	struct engine_body b;

	/* The line end in front of a boundary is the boundary's. */
	if (end < body.n && str_ends(entity, STR("\n")))
		entity.n--;
	buf_reset(&r->scratch);
	if (add_inner_fields(r, n, part))
		return -1;
	(void)buf_adds(&r->scratch, entity);
	text = run_copy(r, buf_str(&r->scratch));
	if (!text.p)
		return run_no_memory(r, n);
	buf_reset(&r->scratch);
	if (header_write(&r->message.header, &r->scratch))
		return run_no_memory(r, n);
	header = run_copy(r, buf_str(&r->scratch));
	if (!header.p)
		return run_no_memory(r, n);
	if (rewrite_begin(r, n, &b) || rewrite_add_old(r, n, &b, 0, from) ||
	    rewrite_add_text(r, n, &b, text) ||
	    rewrite_add_old(r, n, &b, end, body.n - end) ||
	    rewrite_commit(r, n, header, &b, 0))
		return -1;
	return 0;
}

static int
command(struct run *r, const struct node *n)
{
	struct mime_part *part = run_part(r, n);
	struct str entity;

	if (!part || run_string(r, n, SLOT_STRING, &entity))
		return -1;
	if (!node_has(n, SLOT_MIME_REASON)) {
		buf_reset(&r->scratch2);
		if (rewrite_text_fields(r, n, entity, &r->scratch2))
			return -1;
		(void)buf_adds(&r->scratch2, entity);
		entity = run_copy(r, buf_str(&r->scratch2));
		if (!entity.p)
			return run_no_memory(r, n);
	}
	run_trace(r, n, "replace part %u", part->number);
	if (part->parent && (node_has(n, SLOT_SUBJECT) ||
	    node_has(n, SLOT_FROM)))
		run_trace(r, n, ":subject and :from are for the whole message "
		    "only");
	if (part->parent ? replace_part(r, n, part, entity) :
	    replace_message(r, n, entity))
		return -1;
	if (r->loops)
		r->loops->over = true;
	return 0;
}

static const struct sieve_spec specs[] = {
	{ .name = "replace",
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .check = check, .command = command },
};

static const struct sieve_tag tags[] = {
	{ .name = "mime", .on = ON_OWN, .spec = "replace",
	    .slot = SLOT_MIME_REASON },
	{ .name = "subject", .on = ON_OWN, .spec = "replace",
	    .slot = SLOT_SUBJECT, .value = VALUE_STRING },
	{ .name = "from", .on = ON_OWN, .spec = "replace", .slot = SLOT_FROM,
	    .value = VALUE_STRING },
};

const struct sieve_ext ext_replace = {
	.name = "replace",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
