/* vboxadm check: is what the directory says sound? Every mistake is a line of
 * output; the exit status says whether there was one. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "lda/adm/collect.h"
#include "lda/adm/nouns.h"
#include "lda/content_rules.h"
#include "lda/json.h"
#include "lda/resolve.h"
#include "store/directory/file.h"
#include "store/directory/name.h"

#define FILE_SPEC "file:"
#define PROBLEMS_MAX ((size_t)64 << 20)

struct checking {
	struct adm *a;
	struct resolver resolver;
	size_t problems;
};

static void __attribute__((format(printf, 3, 4)))
problem(struct checking *c, struct str about, const char *fmt, ...)
{
	struct buf *out = &c->a->out;
	char text[VERDICT_DETAIL];
	va_list ap;

	c->problems++;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* may be cut */
	va_end(ap);
	if (c->a->json) {
		(void)buf_addz(out, c->problems > 1 ? ",\n{" : "{");
		json_member(out, "about", about);
		json_member(out, "problem", str_of(text));
		(void)buf_addc(out, '}');
	} else {
		(void)buf_addf(out, "%.*s: %s\n", STR_ARG(about), text);
	}
	if (out->n >= ADM_OUT_CHUNK)
		adm_flush(c->a);
}

/* A name that a query for its canonical form would not find. */
static void
check_name(struct checking *c, struct str local, struct str domain,
    struct arena *arena)
{
	struct str l = local, d, title;
	struct verdict v = VERDICT_INIT;
	struct buf b;

	buf_init(&b, NAME_LOCAL_MAX * 4 + NAME_DOMAIN_MAX * 4);
	(void)buf_adds(&b, local);
	(void)buf_addc(&b, '@');
	(void)buf_adds(&b, domain);
	title = buf_str(&b);
	if (name_domain(domain, arena, &d, &v) < 0 || (local.n > 0 &&
	    name_local(local, arena, &l, &v) < 0))
		problem(c, title, "%s", v.detail);
	else if (!str_eq(d, domain) || !str_eq(l, local))
		problem(c, title, "not in canonical form, which is %.*s@%.*s",
		    STR_ARG(l), STR_ARG(d));
	buf_release(&b);
}

/* An address that the agent would not know what to do with. */
static void
check_resolves(struct checking *c, struct str local, struct str domain,
    struct arena *arena)
{
	struct resolution res;
	struct buf b;

	buf_init(&b, 1024);
	(void)buf_adds(&b, local);
	(void)buf_addc(&b, '@');
	(void)buf_adds(&b, domain);
	/* What it says stands in res. */
	(void)resolve_recipient(&c->resolver, local, domain, STR(""), arena,
	    &res);
	if (res.verdict.why != V_OK && res.verdict.why != V_DISABLED &&
	    res.verdict.why != V_LOCKED)
		problem(c, buf_str(&b), "%s: %s", verdict_word(&res.verdict),
		    res.verdict.detail);
	for (size_t i = 0; i < res.step_count; i++) {
		const struct resolve_step *s = &res.steps[i];

		if (res.verdict.why == V_OK && s->depth > 0 &&
		    (strcmp(s->what, "refused") == 0 ||
		    strcmp(s->what, "loop") == 0))
			problem(c, buf_str(&b), "target %.*s: %.*s",
			    STR_ARG(s->subject), STR_ARG(s->result));
	}
	buf_release(&b);
}

static void
check_domain(struct checking *c, const struct domain_record *d,
    struct arena *arena)
{
	struct domain_record r;
	struct verdict v = VERDICT_INIT;

	check_name(c, STR(""), d->name, arena);
	if (d->alias_of.n > 0 && resolve_domain(&c->resolver, d->name, arena,
	    &r, &v) < 0 && v.why != V_DISABLED && v.why != V_LOCKED)
		problem(c, d->name, "%s", v.detail);
	/* A name that nobody has goes to the catch-all. */
	if (d->catch_all.count > 0)
		check_resolves(c, STR("vbox-check-catch-all"), d->name, arena);
}

/* Rules that make no sense are passed over at delivery, for the configuration's. */
static void
check_content(struct checking *c, const struct account *user,
    struct arena *arena)
{
	const struct settings *s = config_domain(&c->a->config, user->domain);
	struct verdict v = VERDICT_INIT;
	struct str rules, why;

	if (content_rules(s, user, arena, &rules, &why, &v) < 0 || why.n == 0)
		return;
	problem(c, user->local, "at %.*s: content: %.*s",
	    STR_ARG(user->domain), STR_ARG(why));
}

static void
check_entry(struct checking *c, const struct directory_entry *e)
{
	struct arena arena;
	struct alias_record alias;
	struct verdict v = VERDICT_INIT;

	arena_init(&arena, RESOLVE_ARENA);
	switch (e->kind) {
	case ENTRY_DOMAIN:
		check_domain(c, &e->is.domain, &arena);
		break;
	case ENTRY_USER:
		check_name(c, e->is.user.local, e->is.user.domain, &arena);
		check_content(c, &e->is.user, &arena);
		if (e->is.user.forwards.count > 0)
			check_resolves(c, e->is.user.local, e->is.user.domain,
			    &arena);
		if (directory_alias(c->resolver.directory, e->is.user.local,
		    e->is.user.domain, &arena, &alias, &v) == DIR_FOUND)
			problem(c, e->is.user.local, "at %.*s is a user and an "
			    "alias; the alias is never used",
			    STR_ARG(e->is.user.domain));
		break;
	case ENTRY_ALIAS:
		check_name(c, e->is.alias.local, e->is.alias.domain, &arena);
		check_resolves(c, e->is.alias.local, e->is.alias.domain,
		    &arena);
		break;
	}
	arena_release(&arena);
}

/* Lines that cannot be read would stop everything below. */
static int
check_files(struct checking *c, struct verdict *v)
{
	const struct setting_list *l = &c->a->config.global.directory;
	struct buf problems;
	struct str rest, line;
	int n = 0;

	buf_init(&problems, PROBLEMS_MAX);
	for (size_t i = 0; i < l->n && n >= 0; i++)
		if (strncmp(l->v[i], FILE_SPEC, strlen(FILE_SPEC)) == 0)
			n = file_directory_check(l->v[i] + strlen(FILE_SPEC),
			    &problems, v);
	rest = buf_str(&problems);
	while (rest.n > 0 && str_split(&rest, '\n', &line))
		problem(c, STR("file"), "%.*s", STR_ARG(line));
	buf_release(&problems);
	return n < 0 ? -1 : 0;
}

static int
check_entries(struct checking *c, struct verdict *v)
{
	struct collection all;
	int r = 0;

	collection_init(&all);
	for (int kind = ENTRY_DOMAIN; kind <= ENTRY_ALIAS && r == 0; kind++)
		r = collect_entries(c->a, (enum directory_entry_kind)kind,
		    STR(""), &all, v);
	for (size_t i = 0; i < all.count && r == 0; i++) {
		check_entry(c, &all.list[i]);
		adm_progress(c->a, "checked", i + 1);
	}
	if (r == 0)
		adm_note(c->a, "%zu entries, %zu problem%s", all.count,
		    c->problems, c->problems == 1 ? "" : "s");
	collection_release(&all);
	return r;
}

int
adm_check(struct adm *a, struct verdict *v)
{
	struct checking c = { .a = a };
	struct directory *d = NULL;
	int r = -1;

	if (adm_directory(a, DIRECTORY_WANT_DELIVERY, &d, v) < 0)
		return -1;
	c.resolver = (struct resolver){ .directory = d,
	    .delimiters = a->config.global.recipient_delimiter };
	if (a->json)
		(void)buf_addc(&a->out, '[');
	if (check_files(&c, v) == 0)
		r = c.problems > 0 ? 0 : check_entries(&c, v);
	if (a->json)
		(void)buf_addz(&a->out, "]\n");
	if (r == 0)
		a->exit = c.problems > 0 ? EX_DATAERR : EX_OK;
	directory_close(&d);
	return r;
}
