#include "lda/lists.h"

#include <stdlib.h>

#include "lda/user_file.h"

#define URN "urn:ietf:params:sieve"
#define ADDRESS_BOOK URN ":addrbook:default"
#define ADDRESS_MAX 320

/* Longer names are nobody's. */
#define NAME_LONGEST 1000
/* A longer value is no member. */
#define MEMBER_MAX 1000

/* The scheme of a URN knows no case (RFC 8141), a tag does. */
static bool
same_name(struct str a, struct str b)
{
	return str_casestarts(a, STR("urn:")) ? str_caseeq(a, b) : str_eq(a, b);
}

static int
by_text(const void *a, const void *b)
{
	const struct list_member *x = a, *y = b;

	return str_cmp(x->lower, y->lower);
}

/* The member of a line; empty for none. */
static struct str
member_of(struct str line)
{
	ptrdiff_t open;

	line = str_trim(line);
	if (!line.n || line.p[0] == '#')
		return STR("");
	open = str_rchr(line, '<');
	if (open >= 0 && line.p[line.n - 1] == '>')
		line = str_trim(str_sub(line, (size_t)open + 1, line.n -
		    (size_t)open - 2));
	return line;
}

/* `file` lives as long as the list. */
static int
fill(struct list *list, struct str file, struct arena *a)
{
	size_t lines = 1, n = 0, kept = 0;
	char *p = arena_alloc(a, file.n + 1);
	struct str rest = file, line;

	for (size_t i = 0; i < file.n; i++)
		lines += file.p[i] == '\n';
	list->members = arena_array(a, lines, sizeof(*list->members));
	if (!p || !list->members)
		return -1;
	for (size_t i = 0; i < file.n; i++)
		p[i] = ascii_lower(file.p[i]);
	while (rest.n && str_split(&rest, '\n', &line)) {
		line = member_of(line);
		if (line.n)
			list->members[n++] = (struct list_member){
			    .lower = str_mem(p + (line.p - file.p), line.n),
			    .text = line };
	}
	qsort(list->members, n, sizeof(*list->members), by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || by_text(&list->members[kept - 1],
		    &list->members[i]) != 0)
			list->members[kept++] = list->members[i];
	list->n = kept;
	return 0;
}

/* The file of a list; NULL when nobody has configured it. */
static const char *
template_of(const struct settings *s, struct str name)
{
	for (size_t i = 0; i < s->sieve_lists.n; i++) {
		struct str item = str_of(s->sieve_lists.v[i]);
		size_t sign = (size_t)str_rchr(item, '=');

		if (same_name(str_sub(item, 0, sign), name))
			return item.p + sign + 1;
	}
	return NULL;
}

static int
load(struct list *list, const struct settings *s, const struct account *account,
    struct arena *a)
{
	const char *template = template_of(s, list->name), *why;
	struct user_file_place place = { .max = LIST_FILE_MAX,
	    .too_long = "it is too long" };
	struct verdict v = VERDICT_INIT;
	struct str text;

	list->known = same_name(list->name, STR(ADDRESS_BOOK));
	if (!template)
		return 0;
	if (user_file_place("sieve_lists", template, s, account, a, &place.root,
	    &place.path, &place.owner, &v) < 0)
		return -1;
	switch (user_file_read(&place, a, &text, &why)) {
	case USER_FILE_READ:
		list->known = true;
		return fill(list, text, a);
	case USER_FILE_ABSENT:
		return 0;
	case USER_FILE_REFUSED:
	case USER_FILE_TROUBLE:
		break;
	}
	return -1;
}

/* The whole name: ":x" is short for a URN of Sieve, and "%44" in a URN stands
 * for "D" (RFC 6134 section 2.5). */
static int
full_name(struct str name, struct buf *out)
{
	bool brief = name.n && name.p[0] == ':';

	if (!brief && !str_casestarts(name, STR("urn:")))
		return buf_adds(out, name);
	if (brief)
		(void)buf_addz(out, URN);
	(void)buf_add_percent(out, name);
	return out->full ? -1 : 0;
}

const struct list *
lists_find(struct lists *lists, const struct settings *s,
    const struct account *account, struct str name, struct arena *a)
{
	struct list *list = NULL;
	struct buf full;

	buf_init(&full, NAME_LONGEST);
	if (full_name(name, &full) < 0)
		goto out;
	for (size_t i = 0; i < lists->n && !list; i++)
		if (same_name(lists->list[i].name, buf_str(&full)))
			list = &lists->list[i];
	if (list || lists->n == LISTS_MAX)
		goto out;
	list = &lists->list[lists->n];
	*list = (struct list){ .name = arena_copy(a, buf_str(&full)) };
	if (list->name.p && load(list, s, account, a) == 0)
		lists->n++;
	else
		list = NULL;
out:
	buf_release(&full);
	return list;
}

static bool
has(const struct list *list, struct str value)
{
	struct list_member key = { .lower = value };

	return list->n && bsearch(&key, list->members, list->n,
	    sizeof(*list->members), by_text);
}

bool
list_has(const struct list *list, struct str value)
{
	char lower[MEMBER_MAX];
	ptrdiff_t at;

	value = str_trim(value);
	if (!value.n || value.n > sizeof(lower))
		return false;
	for (size_t i = 0; i < value.n; i++)
		lower[i] = ascii_lower(value.p[i]);
	value = str_mem(lower, value.n);
	at = str_rchr(value, '@');
	return has(list, value) || (at > 0 &&
	    has(list, str_sub(value, (size_t)at, value.n)));
}

bool
list_address(const struct list_member *member)
{
	struct str s = member->text;
	ptrdiff_t at = str_chr(s, '@');

	if (at <= 0 || (size_t)at + 1 == s.n || s.n > ADDRESS_MAX ||
	    at != str_rchr(s, '@'))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]) || s.p[i] == ' ' || s.p[i] == '<' ||
		    s.p[i] == '>' || s.p[i] == ',')
			return false;
	return true;
}
