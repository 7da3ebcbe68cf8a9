#include "lda/adm/entry.h"

#include <string.h>

#include "lda/adm/password.h"
#include "lda/content_rules.h"
#include "lda/json.h"
#include "store/base/clock.h"
#include "store/base/num.h"
#include "store/directory/file_line.h"
#include "store/directory/name.h"

/* --- names ------------------------------------------------------------------------ */

int
entry_name_of(struct adm *a, enum directory_entry_kind kind,
    const char *text, struct entry_name *name_r, struct verdict *v)
{
	struct entry_name n = { .kind = kind, .local = STR("") };

	if ((kind == ENTRY_DOMAIN ? adm_domain(a, text, &n.domain, v) :
	    adm_address(a, text, &n.local, &n.domain, v)) < 0)
		return -1;
	*name_r = n;
	return 0;
}

struct str
entry_title(struct adm *a, const struct entry_name *n)
{
	return n->kind == ENTRY_DOMAIN ? n->domain :
	    adm_join(a, n->local, n->domain);
}

static struct entry_name
name_of_entry(const struct directory_entry *e)
{
	switch (e->kind) {
	case ENTRY_DOMAIN:
		return (struct entry_name){ e->kind, STR(""),
		    e->is.domain.name };
	case ENTRY_USER:
		return (struct entry_name){ e->kind, e->is.user.local,
		    e->is.user.domain };
	default:
		return (struct entry_name){ e->kind, e->is.alias.local,
		    e->is.alias.domain };
	}
}

void
entry_init(const struct entry_name *n, struct directory_entry *e)
{
	memset(e, 0, sizeof(*e));
	e->kind = n->kind;
	switch (n->kind) {
	case ENTRY_DOMAIN:
		domain_record_init(&e->is.domain);
		e->is.domain.name = n->domain;
		return;
	case ENTRY_USER:
		account_init(&e->is.user);
		e->is.user.local = n->local;
		e->is.user.domain = n->domain;
		return;
	case ENTRY_ALIAS:
		e->is.alias.local = n->local;
		e->is.alias.domain = n->domain;
		return;
	}
}

static enum directory_answer
look(struct adm *a, const struct entry_name *n, struct directory_entry *e_r,
    struct verdict *v)
{
	if (adm_writer(a, v) < 0)
		return DIR_BROKEN;
	return directory_writer_get(a->writer, n->kind, n->local, n->domain,
	    &a->arena, e_r, v);
}

int
entry_get(struct adm *a, const struct entry_name *n,
    struct directory_entry *e_r, struct verdict *v)
{
	struct str title = entry_title(a, n);

	switch (look(a, n, e_r, v)) {
	case DIR_FOUND:
		return 0;
	case DIR_ABSENT:
		return verdict_set(v, n->kind == ENTRY_DOMAIN ?
		    V_UNKNOWN_DOMAIN : V_UNKNOWN_USER, "%.*s: no such %s",
		    STR_ARG(title), n->kind == ENTRY_DOMAIN ? "domain" :
		    n->kind == ENTRY_USER ? "user" : "alias");
	case DIR_BROKEN:
		break;
	}
	return -1;
}

/* --- options ------------------------------------------------------------------------ */

static int
senseless(struct verdict *v, const char *option, const char *value,
    const char *want)
{
	return verdict_set(v, V_USAGE, "--%s \"%s\": wants %s", option, value,
	    want);
}

/* "default" unsets, "none" is no limit. */
static int
limit_option(struct adm *a, const char *name,
    int (*parse)(struct str, uint64_t *), uint64_t *to, struct verdict *v)
{
	const char *value = adm_option(a, name);

	if (value == NULL)
		return 0;
	if (strcmp(value, "default") == 0 || value[0] == '\0')
		*to = DIRECTORY_UNSET;
	else if (strcmp(value, "none") == 0)
		*to = 0;
	else if (parse(str_of(value), to) < 0)
		return senseless(v, name, value,
		    "a number, \"none\" or \"default\"");
	return 0;
}

static int
count_of(struct str s, uint64_t *n)
{
	return num_u64(s, INT64_MAX, n);
}

static void
text_option(struct adm *a, const char *name, struct str *to)
{
	const char *value = adm_option(a, name);

	if (value != NULL)
		*to = str_of(value);
}

static int
list_option(struct adm *a, const char *name, struct directory_list *to,
    struct verdict *v)
{
	const char *value = adm_option(a, name);

	if (value != NULL && directory_list_parse(str_of(value), &a->arena,
	    to) < 0)
		return verdict_set(v, V_NO_MEMORY, "--%s is too long", name);
	return 0;
}

static int
format_option(struct adm *a, struct str *to, struct verdict *v)
{
	const char *value = adm_option(a, "format");

	if (value == NULL)
		return 0;
	if (strcmp(value, "default") == 0)
		value = "";
	if (directory_format_check(str_of(value)) < 0)
		return senseless(v, "format", value,
		    "mbox, maildir or default");
	*to = str_of(value);
	return 0;
}

static int
state_options(struct adm *a, struct directory_state *s, struct verdict *v)
{
	const char *state = adm_option(a, "state");
	const char *until = adm_option(a, "until");

	if (state != NULL && account_state_parse(str_of(state), &s->state) < 0)
		return senseless(v, "state", state, "active, suspended, "
		    "disabled, locked or forward-only");
	text_option(a, "reason", &s->reason);
	if (until != NULL && (until[0] == '\0' ||
	    strcmp(until, "never") == 0))
		s->until = 0;
	else if (until != NULL && directory_until_parse(str_of(until),
	    &s->until) < 0)
		return senseless(v, "until", until,
		    "a date (2026-12-31), a time (2026-12-31T18:00Z) or never");
	return 0;
}

static int
domain_options(struct adm *a, struct domain_record *r, struct verdict *v)
{
	const char *target = adm_option(a, "alias-of");

	if (target != NULL && target[0] == '\0')
		r->alias_of = STR("");
	else if (target != NULL && adm_domain(a, target, &r->alias_of, v) < 0)
		return -1;
	text_option(a, "host", &r->host);
	if (list_option(a, "catch-all", &r->catch_all, v) < 0 ||
	    format_option(a, &r->format, v) < 0 ||
	    limit_option(a, "quota", num_size, &r->quota_bytes, v) < 0 ||
	    limit_option(a, "user-quota", num_size, &r->user_quota_bytes,
	    v) < 0 || limit_option(a, "user-messages", count_of,
	    &r->user_quota_messages, v) < 0)
		return -1;
	return state_options(a, &r->state, v);
}

/* "default" unsets, "none" is no policy; a mistake is told here, or mail would
 * be delivered by another policy than the one that was meant. */
static int
content_option(struct adm *a, struct str *to, struct verdict *v)
{
	const char *value = adm_option(a, "content");
	struct account account = { .content = STR("") };
	struct str rules, why;

	if (value == NULL)
		return 0;
	if (strcmp(value, "default") == 0)
		value = "";
	account.content = str_of(value);
	if (content_rules(&a->config.global, &account, &a->arena, &rules, &why,
	    v) < 0)
		return -1;
	if (why.n > 0)
		return verdict_set(v, V_USAGE, "--content: %.*s", STR_ARG(why));
	*to = account.content;
	return 0;
}

static int
user_options(struct adm *a, struct account *r, struct verdict *v)
{
	const char *keep = adm_option(a, "keep");

	text_option(a, "home", &r->home);
	text_option(a, "host", &r->host);
	if (keep != NULL && strcmp(keep, "yes") != 0 && strcmp(keep, "no") != 0)
		return senseless(v, "keep", keep, "yes or no");
	if (keep != NULL)
		r->keep = keep[0] == 'y' ? FORWARD_KEEP : FORWARD_DROP;
	if (r->home.n > 0 && r->home.p[0] != '/')
		return senseless(v, "home", r->home.p, "an absolute path");
	if (format_option(a, &r->format, v) < 0 ||
	    limit_option(a, "quota", num_size, &r->quota_bytes, v) < 0 ||
	    limit_option(a, "messages", count_of, &r->quota_messages, v) < 0 ||
	    list_option(a, "forward", &r->forwards, v) < 0 ||
	    content_option(a, &r->content, v) < 0 ||
	    password_options(a, &r->password, v) < 0)
		return -1;
	return state_options(a, &r->state, v);
}

/* What is wrong with a target, and which one; who divides them otherwise than
 * the shell does is told. */
static int
bad_target(const char *text, struct verdict *v)
{
	struct verdict was;

	(void)adm_about(text, v);
	was = *v;
	if (strpbrk(text, ",; \t\n") != NULL)
		(void)verdict_set(v, was.why, "%s; give each target as a word of "
		    "its own", was.detail);
	return -1;
}

/* Targets are arguments behind the name; checked, so that a slip of the
 * keyboard is seen here and not by a sender. */
static int
alias_targets(struct adm *a, struct alias_record *r, struct verdict *v)
{
	struct str *list;
	size_t n = 0;

	if (a->arg_count < 2)
		return 0;
	list = arena_array(&a->arena, a->arg_count, sizeof(*list));
	if (list == NULL)
		return verdict_set(v, V_NO_MEMORY, "too many targets");
	for (size_t i = 1; i < a->arg_count; i++) {
		struct str local, domain;

		if (name_address(str_of(a->args[i]), &a->arena, &local,
		    &domain, v) < 0)
			return bad_target(a->args[i], v);
		list[n++] = str_of(a->args[i]);
	}
	r->targets = (struct directory_list){ list, n };
	return 0;
}

int
entry_apply_options(struct adm *a, struct directory_entry *e,
    struct verdict *v)
{
	switch (e->kind) {
	case ENTRY_DOMAIN:
		return domain_options(a, &e->is.domain, v);
	case ENTRY_USER:
		return user_options(a, &e->is.user, v);
	case ENTRY_ALIAS:
		return alias_targets(a, &e->is.alias, v);
	}
	return -1;
}

/* --- output ------------------------------------------------------------------------- */

static void
json_text(struct buf *out, const char *name, struct str s)
{
	if (s.n > 0)
		json_member(out, name, s);
}

static void
json_limit(struct buf *out, const char *name, uint64_t value)
{
	if (value == DIRECTORY_UNSET)
		return;
	json_name(out, name);
	(void)buf_addf(out, "%llu", (unsigned long long)value);
}

static void
json_list(struct buf *out, const char *name, struct directory_list l)
{
	if (l.count == 0)
		return;
	json_name(out, name);
	(void)buf_addc(out, '[');
	for (size_t i = 0; i < l.count; i++) {
		if (i > 0)
			(void)buf_addc(out, ',');
		json_string(out, l.list[i]);
	}
	(void)buf_addc(out, ']');
}

static void
json_state(struct buf *out, const struct directory_state *s)
{
	json_member(out, "state", str_of(account_state_word(s->state)));
	json_member(out, "state_now", str_of(account_state_word(
	    directory_state_at(s, clock_now()))));
	json_text(out, "reason", s->reason);
	if (s->until != 0) {
		struct buf iso;

		buf_init(&iso, 64);
		clock_iso((time_t)s->until, &iso);
		json_member(out, "until", buf_str(&iso));
		buf_release(&iso);
	}
}

static void
json_domain(struct buf *out, const struct domain_record *r)
{
	json_member(out, "domain", r->name);
	json_text(out, "alias_of", r->alias_of);
	json_list(out, "catch_all", r->catch_all);
	json_text(out, "format", r->format);
	json_text(out, "host", r->host);
	json_limit(out, "quota_bytes", r->quota_bytes);
	json_limit(out, "user_quota_bytes", r->user_quota_bytes);
	json_limit(out, "user_quota_messages", r->user_quota_messages);
	json_state(out, &r->state);
}

static void
json_user(struct buf *out, const struct account *r, struct str title)
{
	json_member(out, "user", title);
	json_text(out, "home", r->home);
	json_text(out, "format", r->format);
	json_text(out, "host", r->host);
	json_limit(out, "quota_bytes", r->quota_bytes);
	json_limit(out, "quota_messages", r->quota_messages);
	json_list(out, "forward", r->forwards);
	json_name(out, "keep");
	(void)buf_addz(out, r->keep == FORWARD_KEEP ? "true" : "false");
	json_text(out, "content", r->content);
	json_name(out, "login");
	(void)buf_addz(out, r->password.n > 0 ? "true" : "false");
	json_state(out, &r->state);
}

static void
json_entry(struct adm *a, const struct directory_entry *e)
{
	struct entry_name name = name_of_entry(e);
	struct str title = entry_title(a, &name);

	switch (e->kind) {
	case ENTRY_DOMAIN:
		json_domain(&a->out, &e->is.domain);
		return;
	case ENTRY_USER:
		json_user(&a->out, &e->is.user, title);
		return;
	case ENTRY_ALIAS:
		json_member(&a->out, "alias", title);
		json_list(&a->out, "targets", e->is.alias.targets);
		return;
	}
}

void
entry_print(struct adm *a, const struct directory_entry *e)
{
	struct directory_entry shown = *e;

	if (a->json) {
		(void)buf_addc(&a->out, '{');
		json_entry(a, e);
		(void)buf_addz(&a->out, "}");
		return;
	}
	if (shown.kind == ENTRY_USER)
		shown.is.user.password = STR("");
	file_line_print(&shown, &a->out);
	(void)buf_addc(&a->out, '\n');
}

void
entry_report(struct adm *a, const char *what, const struct directory_entry *e)
{
	struct entry_name name = name_of_entry(e);
	struct str title = entry_title(a, &name);

	if (a->json) {
		(void)buf_addc(&a->out, '{');
		json_member(&a->out, "did", str_of(what));
		json_entry(a, e);
		(void)buf_addz(&a->out, "}\n");
		return;
	}
	if (!a->quiet)
		(void)buf_addf(&a->out, "%s %.*s\n", what, STR_ARG(title));
}

/* --- verbs --------------------------------------------------------------------------- */

/* An address is a user or an alias, and its domain is there. */
static int
fits(struct adm *a, const struct entry_name *n, struct verdict *v)
{
	struct entry_name other = *n, domain = { ENTRY_DOMAIN, STR(""),
	    n->domain };
	struct directory_entry e;
	struct str title = entry_title(a, n);

	if (n->kind == ENTRY_DOMAIN)
		return 0;
	if (entry_get(a, &domain, &e, v) < 0)
		return -1;
	if (e.is.domain.alias_of.n > 0)
		return verdict_set(v, V_BAD_ADDRESS, "%.*s stands for %.*s; "
		    "make it there", STR_ARG(n->domain),
		    STR_ARG(e.is.domain.alias_of));
	other.kind = n->kind == ENTRY_USER ? ENTRY_ALIAS : ENTRY_USER;
	switch (look(a, &other, &e, v)) {
	case DIR_FOUND:
		return verdict_set(v, V_BAD_ADDRESS, "%.*s is %s already",
		    STR_ARG(title), n->kind == ENTRY_USER ? "an alias" :
		    "a user");
	case DIR_ABSENT:
		return 0;
	case DIR_BROKEN:
		break;
	}
	return -1;
}

static bool
same_entry(const struct directory_entry *x, const struct directory_entry *y)
{
	struct buf a, b;
	bool same;

	buf_init(&a, FILE_LINE_MAX);
	buf_init(&b, FILE_LINE_MAX);
	file_line_print(x, &a);
	file_line_print(y, &b);
	same = str_eq(buf_str(&a), buf_str(&b));
	buf_release(&a);
	buf_release(&b);
	return same;
}

/* Twice is once: an entry that is there gets what the options say, and
 * nothing is written when that is what it has. */
int
entry_add(struct adm *a, enum directory_entry_kind kind, struct verdict *v)
{
	struct entry_name n;
	struct directory_entry old, e;
	enum directory_answer answer;

	if (entry_name_of(a, kind, a->args[0], &n, v) < 0 ||
	    adm_writer(a, v) < 0 || directory_writer_begin(a->writer, v) < 0 ||
	    fits(a, &n, v) < 0)
		return -1;
	answer = look(a, &n, &old, v);
	if (answer == DIR_BROKEN)
		return -1;
	if (answer == DIR_FOUND)
		e = old;
	else
		entry_init(&n, &e);
	if (entry_apply_options(a, &e, v) < 0)
		return -1;
	if (answer == DIR_FOUND && same_entry(&old, &e)) {
		entry_report(a, "unchanged", &e);
		return 0;
	}
	if (directory_writer_put(a->writer, &e, v) < 0 ||
	    directory_writer_commit(a->writer, v) < 0)
		return -1;
	entry_report(a, answer == DIR_FOUND ? "changed" : "added", &e);
	return 0;
}

int
entry_set(struct adm *a, enum directory_entry_kind kind, struct verdict *v)
{
	struct entry_name n;
	struct directory_entry old, e;

	if (entry_name_of(a, kind, a->args[0], &n, v) < 0 ||
	    adm_writer(a, v) < 0 || directory_writer_begin(a->writer, v) < 0 ||
	    entry_get(a, &n, &old, v) < 0)
		return -1;
	e = old;
	if (entry_apply_options(a, &e, v) < 0)
		return -1;
	if (same_entry(&old, &e)) {
		entry_report(a, "unchanged", &e);
		return 0;
	}
	if (directory_writer_put(a->writer, &e, v) < 0 ||
	    directory_writer_commit(a->writer, v) < 0)
		return -1;
	entry_report(a, "changed", &e);
	return 0;
}

int
entry_show(struct adm *a, enum directory_entry_kind kind, struct verdict *v)
{
	struct entry_name n;
	struct directory_entry e;

	if (entry_name_of(a, kind, a->args[0], &n, v) < 0 ||
	    entry_get(a, &n, &e, v) < 0)
		return -1;
	entry_print(a, &e);
	if (a->json)
		(void)buf_addc(&a->out, '\n');
	return 0;
}

struct listing {
	struct adm *a;
	size_t count;
};

static int
list_one(const struct directory_entry *e, void *arg, struct verdict *v)
{
	struct listing *l = arg;
	struct adm *a = l->a;
	/* Titles live in the arena; a list is as long as it is. */
	struct arena own = a->arena;

	(void)v;
	arena_init(&a->arena, ADM_ARENA);
	if (a->json && l->count > 0)
		(void)buf_addz(&a->out, ",\n");
	l->count++;
	if (a->json || adm_option(a, "long") != NULL) {
		entry_print(a, e);
	} else {
		struct entry_name name = name_of_entry(e);

		(void)buf_adds(&a->out, entry_title(a, &name));
		(void)buf_addc(&a->out, '\n');
	}
	arena_release(&a->arena);
	a->arena = own;
	if (a->out.n >= ADM_OUT_CHUNK)
		adm_flush(a);
	return 0;
}

int
entry_list(struct adm *a, enum directory_entry_kind kind, struct verdict *v)
{
	struct listing l = { .a = a };
	struct str domain = STR("");

	if (a->arg_count > 0 && adm_domain(a, a->args[0], &domain, v) < 0)
		return -1;
	if (adm_writer(a, v) < 0)
		return -1;
	if (a->json)
		(void)buf_addc(&a->out, '[');
	if (directory_writer_list(a->writer, kind, STR(""), domain, list_one,
	    &l, v) < 0)
		return -1;
	if (a->json)
		(void)buf_addz(&a->out, "]\n");
	return 0;
}

int
entry_rename(struct adm *a, enum directory_entry_kind kind, struct verdict *v)
{
	struct entry_name from, to;
	struct directory_entry e, taken;
	struct str title;
	bool existed;

	if (entry_name_of(a, kind, a->args[0], &from, v) < 0 ||
	    entry_name_of(a, kind, a->args[1], &to, v) < 0 ||
	    adm_writer(a, v) < 0 || directory_writer_begin(a->writer, v) < 0 ||
	    entry_get(a, &from, &e, v) < 0)
		return -1;
	title = entry_title(a, &to);
	switch (look(a, &to, &taken, v)) {
	case DIR_FOUND:
		return verdict_set(v, V_BAD_ADDRESS, "%.*s is there already",
		    STR_ARG(title));
	case DIR_BROKEN:
		return -1;
	case DIR_ABSENT:
		break;
	}
	if (kind == ENTRY_DOMAIN) {
		if (directory_writer_rename_domain(a->writer, from.domain,
		    to.domain, v) < 0)
			return -1;
		e.is.domain.name = to.domain;
	} else {
		if (fits(a, &to, v) < 0 || directory_writer_remove(a->writer,
		    kind, from.local, from.domain, &existed, v) < 0)
			return -1;
		if (kind == ENTRY_USER) {
			e.is.user.local = to.local;
			e.is.user.domain = to.domain;
		} else {
			e.is.alias.local = to.local;
			e.is.alias.domain = to.domain;
		}
		if (directory_writer_put(a->writer, &e, v) < 0)
			return -1;
	}
	if (directory_writer_commit(a->writer, v) < 0)
		return -1;
	entry_report(a, "renamed", &e);
	return 0;
}
