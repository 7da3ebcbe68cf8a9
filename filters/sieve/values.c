#include "filters/sieve/values.h"

#include <limits.h>

#include "filters/sieve/check.h"
#include "filters/sieve/limits.h"

/* What no values_fn gives: the field of :index has been there. */
#define VALUES_ENOUGH	INT_MAX

int
values_check(struct check *c, const struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_INDEX];

	if (check_has(n, SLOT_LAST) && !a)
		return check_error(c, n, ":last wants :index");
	if (a && a->number == 0)
		return check_error_arg(c, a, ":index counts from 1");
	if (check_has(n, SLOT_ANYCHILD) && !check_has(n, SLOT_MIME))
		return check_error(c, n, ":anychild wants :mime");
	if (check_has(n, SLOT_MIME_PART) && !check_has(n, SLOT_MIME))
		return check_error(c, n, ":type, :subtype, :contenttype and "
		    ":param want :mime");
	return 0;
}

void
values_check_name(struct check *c, const struct syntax_arg *name)
{
	if (check_no_field_name(c, name))
		(void)check_warn_arg(c, name, "\"%.*s\" is no name of a header "
		    "field; no message has it", CHECK_NAME(name->text));
}

void
values_check_names(struct check *c, const struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_HEADERS, &count);

	for (; count; count--, i = i->next)
		values_check_name(c, i);
}

struct mime_part *
values_next_part(struct run *r, const struct node *n, struct mime_part *top,
    struct mime_part *part)
{
	(void)r;
	return node_has(n, SLOT_ANYCHILD) ? mime_next(top, part) : NULL;
}

struct field *
values_find(const struct header *h, struct str name, enum values_end end)
{
	if (!header_name_valid(name))
		return NULL;
	return end == VALUES_LAST ? header_find_last(h, name) :
	    header_find(h, name);
}

/* The fields of one name. Those before `*left` has come down to 1 are passed
 * over and counted down; 0 takes all. */
static int
fields_of(struct run *r, const struct node *n, struct header *h,
    struct str name, uint64_t *left, values_fn fn, void *ctx)
{
	bool last = node_has(n, SLOT_LAST);
	struct field *f;

	f = values_find(h, name, last ? VALUES_LAST : VALUES_FIRST);
	for (; f; f = last ? field_prev(f) : field_next(f)) {
		int x;

		if (run_work(r, n, 16))
			return -1;
		if (*left > 1) {
			(*left)--;
			continue;
		}
		x = fn(ctx, h, f);
		if (x)
			return x;
		if (*left)
			return VALUES_ENOUGH;
	}
	return 0;
}

/* :index counts the fields of all names in the order of the list, from 1;
 * :last counts back from the end of it (RFC 5260 section 6). */
static int
fields_of_all(struct run *r, const struct node *n, struct header *h,
    const struct str *names, uint32_t n_names, values_fn fn, void *ctx)
{
	bool last = node_has(n, SLOT_LAST);
	uint64_t left = run_number(r, n, SLOT_INDEX);

	for (uint32_t i = 0; i < n_names; i++) {
		struct str name = names[last ? n_names - 1 - i : i];
		int x = fields_of(r, n, h, name, &left, fn, ctx);

		if (x)
			return x == VALUES_ENOUGH ? 0 : x;
	}
	return 0;
}

int
values_one(struct run *r, const struct node *n, values_fn fn, void *ctx)
{
	struct header *h = &r->message.header;
	bool last = node_has(n, SLOT_LAST);
	uint64_t at = node_has(n, SLOT_INDEX) ? run_number(r, n, SLOT_INDEX) :
	    1;
	const struct str *names;
	uint32_t n_names;
	struct field *f;

	if (run_list(r, n, SLOT_HEADERS, &names, &n_names))
		return -1;
	if (n_names == 0)
		return 0;
	f = values_find(h, names[0], last ? VALUES_LAST : VALUES_FIRST);
	while (f && --at)
		f = last ? field_prev(f) : field_next(f);
	return f ? fn(ctx, h, f) : 0;
}

int
values_each(struct run *r, const struct node *n, values_fn fn, void *ctx)
{
	const struct str *names;
	uint32_t n_names;
	struct mime_part *top, *part;

	if (run_list(r, n, SLOT_HEADERS, &names, &n_names))
		return -1;
	if (!node_has(n, SLOT_MIME))
		return fields_of_all(r, n, &r->message.header, names, n_names,
		    fn, ctx);
	top = run_part(r, n);
	if (!top)
		return -1;
	for (part = top; part; part = values_next_part(r, n, top, part)) {
		int x;

		if (run_work(r, n, 16 * (uint64_t)n_names))
			return -1;
		x = fields_of_all(r, n, part->header, names, n_names, fn, ctx);
		if (x)
			return x;
	}
	return 0;
}

const struct mime_value *
values_mime(struct run *r, struct field *f)
{
	static const struct mime_value none;
	struct mime_value *v;

	if (!f->mime) {
		v = arena_alloc(&r->arena, sizeof(*v));
		if (!v)
			return &none;
		mime_value_parse(&r->arena, f->value, v);
		f->mime = v;
	}
	return f->mime;
}

const struct address_list *
values_addresses(struct run *r, struct field *f)
{
	static const struct address_list none;
	struct address_list *list;

	if (!f->addresses) {
		list = arena_alloc(&r->arena, sizeof(*list));
		if (!list)
			return &none;
		r->work += f->value.n < LIMIT_WORK - r->work ? f->value.n : 0;
		address_list(&r->arena, f->value, list);
		f->addresses = list;
	}
	return f->addresses;
}

static ptrdiff_t
find_delimiter(struct run *r, struct str local)
{
	struct str set = r->settings->delimiter;

	if (set.n == 0)
		set = STR("+");
	for (size_t i = 0; i < local.n; i++)
		if (str_chr(set, local.p[i]) >= 0)
			return (ptrdiff_t)i;
	return -1;
}

bool
values_address_part(struct run *r, const struct address *a,
    enum address_part part, struct str *s_r)
{
	ptrdiff_t at;

	if (a->kind == ADDRESS_GROUP || a->kind == ADDRESS_GROUP_END)
		return false;
	if (a->kind != ADDRESS_MAILBOX) {
		/* what is no address can only be seen as a whole */
		*s_r = a->raw;
		return part == ADDRESS_PART_ALL;
	}
	switch (part) {
	case ADDRESS_PART_ALL:
		*s_r = a->spec;
		return true;
	case ADDRESS_PART_LOCALPART:
		*s_r = a->local;
		return true;
	case ADDRESS_PART_DOMAIN:
		*s_r = a->domain;
		return true;
	case ADDRESS_PART_USER:
		at = find_delimiter(r, a->local);
		*s_r = at < 0 ? a->local : str_sub(a->local, 0, (size_t)at);
		return true;
	case ADDRESS_PART_DETAIL:
		at = find_delimiter(r, a->local);
		if (at < 0)
			return false;
		*s_r = str_sub(a->local, (size_t)at + 1, a->local.n);
		return true;
	}
	return false;
}
