/* vboxadm quota: what users and domains take and may take, from the disk. As
 * the mail user: root has no business in mailboxes. */
#include <stdlib.h>
#include <string.h>

#include "lda/adm/collect.h"
#include "lda/adm/entry.h"
#include "lda/adm/nouns.h"
#include "lda/json.h"
#include "lda/place.h"
#include "lda/quota_account.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/quota.h"

#define TOP_PRESET 10

/* One user, and what was found. */
struct subject {
	struct str local, domain;
	struct quota_usage usage, before;
	bool counted;		/* messages are known */
	bool known;		/* before */
	uint64_t bytes, messages, domain_bytes;	/* limits */
};

struct work {
	struct adm *a;
	struct directory *directory;
	struct subject *list;
	size_t n, room;
	size_t shown;		/* objects in the JSON array */
};

/* --- whom ------------------------------------------------------------------------- */

static struct subject *
add(struct work *w, struct str local, struct str domain)
{
	struct subject *s;

	if (w->n == w->room) {
		w->room = w->room ? w->room * 2 : 64;
		w->list = mem_realloc(w->list, w->room * sizeof(*w->list));
	}
	s = &w->list[w->n++];
	*s = (struct subject){ .local = arena_copy(&w->a->arena, local),
	    .domain = arena_copy(&w->a->arena, domain) };
	return s;
}

static int
add_listed(struct work *w, struct str domain, struct verdict *v)
{
	struct collection all;
	int r;

	collection_init(&all);
	r = collect_entries(w->a, ENTRY_USER, domain, &all, v);
	for (size_t i = 0; i < all.count && r == 0; i++)
		(void)add(w, all.list[i].is.user.local,
		    all.list[i].is.user.domain);
	collection_release(&all);
	return r;
}

struct finding {
	struct work *work;
	struct str domain;
};

static int
found(void *arg, struct str local, const struct quota_place *place,
    struct verdict *v)
{
	struct finding *f = arg;

	(void)place;
	(void)v;
	(void)add(f->work, local, f->domain);
	return 0;
}

/* The user as a delivery would have it. */
static int
target_of(const struct work *w, struct str local, struct str domain,
    struct arena *arena, struct target *t, struct verdict *v)
{
	*t = (struct target){ .kind = TARGET_MAILBOX };
	account_init(&t->account);
	domain_record_init(&t->domain);
	switch (directory_domain(w->directory, domain, arena, &t->domain, v)) {
	case DIR_FOUND:
		break;
	case DIR_ABSENT:
		return verdict_set(v, V_UNKNOWN_DOMAIN, "%.*s: no such domain",
		    STR_ARG(domain));
	case DIR_BROKEN:
		return -1;
	}
	t->account.local = local;
	t->account.domain = domain;
	if (local.n == 0)
		return 0;
	switch (directory_user(w->directory, local, domain, arena, &t->account,
	    v)) {
	case DIR_FOUND:
		break;
	case DIR_ABSENT:
		return verdict_set(v, V_UNKNOWN_USER, "%.*s@%.*s: no such user",
		    STR_ARG(local), STR_ARG(domain));
	case DIR_BROKEN:
		return -1;
	}
	if (t->account.format.n == 0)
		t->account.format = t->domain.format;
	if (t->account.quota_bytes == DIRECTORY_UNSET)
		t->account.quota_bytes = t->domain.user_quota_bytes;
	if (t->account.quota_messages == DIRECTORY_UNSET)
		t->account.quota_messages = t->domain.user_quota_messages;
	return 0;
}

static int
account_of(const struct work *w, struct str local, struct str domain,
    struct arena *arena, struct quota_account_walk *walk,
    struct quota_account *account_r, struct verdict *v)
{
	struct target *t = arena_alloc(arena, sizeof(*t));

	if (!t)
		return verdict_set(v, V_NO_MEMORY, "quota");
	/* A domain as such: any name serves for the ledger's path. */
	if (target_of(w, local, domain, arena, t, v) < 0)
		return -1;
	if (local.n == 0)
		t->account.local = STR("postmaster");
	return quota_account_fill(config_domain(&w->a->config, domain), t,
	    w->directory, arena, walk, account_r, v);
}

/* Users of a domain whose directory cannot be listed: by their mail. */
static int
add_found(struct work *w, struct str domain, struct verdict *v)
{
	struct finding f = { w, domain };
	struct quota_account_walk walk;
	struct quota_account account;
	struct arena arena;
	int r;

	arena_init(&arena, PLACE_ARENA);
	r = account_of(w, STR(""), domain, &arena, &walk, &account, v);
	if (r == 0)
		r = account.walk(account.walk_arg, found, &f, v);
	arena_release(&arena);
	return r;
}

static int
same_user(const void *a, const void *b)
{
	const struct subject *x = a, *y = b;
	int r = str_cmp(x->domain, y->domain);

	return r ? r : str_cmp(x->local, y->local);
}

static int
open_work(struct adm *a, struct work *w, struct verdict *v)
{
	const char *whom = a->arg_count ? a->args[0] : NULL;
	struct str local, domain = STR("");
	size_t n = 0;
	int r = 0;

	*w = (struct work){ .a = a };
	if (adm_config(a, v) < 0)
		return -1;
	if (whom && strchr(whom, '@')) {
		if (adm_address(a, whom, &local, &domain, v) < 0)
			return -1;
		(void)add(w, local, domain);
	} else {
		if (whom && adm_domain(a, whom, &domain, v) < 0)
			return -1;
		r = add_listed(w, domain, v);
	}
	if (adm_become_vmail(a, v) < 0 || adm_directory(a, DIRECTORY_WANT_DELIVERY,
	    &w->directory, v) < 0)
		return -1;
	if (r < 0 && (v->why != V_CONFIG || domain.n == 0))
		return -1;
	if (r < 0) {
		*v = VERDICT_INIT;
		if (add_found(w, domain, v) < 0)
			return -1;
	}
	if (w->n)
		qsort(w->list, w->n, sizeof(*w->list), same_user);
	for (size_t i = 0; i < w->n; i++)
		if (n == 0 || same_user(&w->list[n - 1], &w->list[i]) != 0)
			w->list[n++] = w->list[i];
	w->n = n;
	return 0;
}

static void
close_work(struct work *w)
{
	directory_close(&w->directory);
	free(w->list);
}

/* --- saying ------------------------------------------------------------------------- */

static bool
is_single(const struct work *w)
{
	return w->a->arg_count && strchr(w->a->args[0], '@');
}

static void
json_number(struct buf *out, const char *name, uint64_t n)
{
	json_name(out, name);
	(void)buf_addf(out, "%llu", (unsigned long long)n);
}

static void
json_bool(struct buf *out, const char *name, bool b)
{
	json_name(out, name);
	(void)buf_addz(out, b ? "true" : "false");
}

static void
begin_object(struct work *w)
{
	if (!is_single(w))
		(void)buf_addz(&w->a->out, w->shown ? ",\n" : "[");
	w->shown++;
	(void)buf_addc(&w->a->out, '{');
}

static void
end_object(struct work *w)
{
	(void)buf_addz(&w->a->out, is_single(w) ? "}\n" : "}");
	if (w->a->out.n >= ADM_OUT_CHUNK)
		adm_flush(w->a);
}

static void
end_output(struct work *w)
{
	if (w->a->json && !is_single(w))
		(void)buf_addz(&w->a->out, w->shown ? "]\n" : "[]\n");
}

static uint64_t
percent(uint64_t used, uint64_t limit)
{
	return limit ? (uint64_t)((unsigned __int128)used * 100 / limit) : 0;
}

static void
add_amount(struct buf *out, uint64_t used, uint64_t limit)
{
	(void)buf_addf(out, "%llu", (unsigned long long)used);
	if (limit)
		(void)buf_addf(out, " of %llu (%llu %%)",
		    (unsigned long long)limit,
		    (unsigned long long)percent(used, limit));
}

static void
json_subject(struct work *w, const struct subject *s)
{
	struct buf *out = &w->a->out;

	json_member(out, "user", adm_join(w->a, s->local, s->domain));
	json_number(out, "bytes", s->usage.bytes);
	if (s->counted)
		json_number(out, "messages", s->usage.messages);
	json_number(out, "limit_bytes", s->bytes);
	json_number(out, "limit_messages", s->messages);
	json_number(out, "percent", percent(s->usage.bytes, s->bytes));
}

static void
print_subject(struct work *w, const struct subject *s)
{
	struct buf *out = &w->a->out;

	if (w->a->json) {
		begin_object(w);
		json_subject(w, s);
		end_object(w);
		return;
	}
	(void)buf_addf(out, "%.*s@%.*s: ", STR_ARG(s->local),
	    STR_ARG(s->domain));
	add_amount(out, s->usage.bytes, s->bytes);
	(void)buf_addz(out, " bytes");
	if (s->counted) {
		(void)buf_addz(out, ", ");
		add_amount(out, s->usage.messages, s->messages);
		(void)buf_addz(out, " messages");
	}
	(void)buf_addc(out, '\n');
}

/* --- looking ------------------------------------------------------------------------ */

static int
measure(struct work *w, struct subject *s, struct verdict *v)
{
	struct quota_account_walk walk;
	struct quota_account account;
	struct arena arena;
	int r;

	arena_init(&arena, PLACE_ARENA);
	r = account_of(w, s->local, s->domain, &arena, &walk, &account, v);
	if (r == 0) {
		r = quota_look(&account, &s->usage, v);
		s->bytes = account.place.limits.bytes;
		s->messages = account.place.limits.messages;
		s->domain_bytes = account.domain_bytes;
		s->counted = account.place.format == MAILBOX_MAILDIR ||
		    s->messages;
	}
	arena_release(&arena);
	return r;
}

static int
measure_all(struct work *w, struct verdict *v)
{
	for (size_t i = 0; i < w->n; i++) {
		if (measure(w, &w->list[i], v) < 0)
			return -1;
		adm_progress(w->a, "measured", i + 1);
	}
	return 0;
}

static int
show_domain(struct work *w, struct str domain, struct verdict *v)
{
	struct buf *out = &w->a->out;
	struct quota_account_walk walk;
	struct quota_account account;
	struct quota_domain d = { .known = false };
	struct arena arena;
	int r;

	arena_init(&arena, PLACE_ARENA);
	r = account_of(w, STR(""), domain, &arena, &walk, &account, v);
	if (r == 0 && account.domain_bytes)
		r = quota_domain_look(&account, &d, v);
	if (r == 0 && w->a->json) {
		begin_object(w);
		json_member(out, "domain", domain);
		json_number(out, "limit_bytes", account.domain_bytes);
		json_bool(out, "known", d.known);
		if (d.known) {
			json_number(out, "bytes", d.bytes);
			json_number(out, "reserved", d.flying);
			json_number(out, "percent", percent(d.bytes,
			    account.domain_bytes));
		}
		end_object(w);
	} else if (r == 0 && account.domain_bytes) {
		(void)buf_addf(out, "%.*s: ", STR_ARG(domain));
		if (d.known)
			add_amount(out, d.bytes, account.domain_bytes);
		else
			(void)buf_addf(out, "not counted yet, limit %llu",
			    (unsigned long long)account.domain_bytes);
		(void)buf_addz(out, " bytes in all\n");
	}
	arena_release(&arena);
	return r;
}

int
adm_quota_show(struct adm *a, struct verdict *v)
{
	struct work w;
	int r = open_work(a, &w, v);

	if (r == 0)
		r = measure_all(&w, v);
	for (size_t i = 0; i < w.n && r == 0; i++) {
		if (!is_single(&w) && (i == 0 || !str_eq(w.list[i].domain,
		    w.list[i - 1].domain)))
			r = show_domain(&w, w.list[i].domain, v);
		if (r == 0)
			print_subject(&w, &w.list[i]);
	}
	if (r == 0)
		end_output(&w);
	close_work(&w);
	return r;
}

static int
by_size(const void *a, const void *b)
{
	const struct subject *x = a, *y = b;

	if (x->usage.bytes != y->usage.bytes)
		return x->usage.bytes < y->usage.bytes ? 1 : -1;
	return same_user(a, b);
}

int
adm_quota_top(struct adm *a, struct verdict *v)
{
	const char *option = adm_option(a, "count");
	uint64_t count = TOP_PRESET;
	struct work w;
	int r;

	if (option && num_u64(str_of(option), SIZE_MAX, &count) < 0)
		return verdict_set(v, V_USAGE, "--count \"%s\": wants a number",
		    option);
	r = open_work(a, &w, v);
	if (r == 0)
		r = measure_all(&w, v);
	if (r == 0 && w.n)
		qsort(w.list, w.n, sizeof(*w.list), by_size);
	for (size_t i = 0; i < w.n && i < count && r == 0; i++)
		print_subject(&w, &w.list[i]);
	if (r == 0)
		end_output(&w);
	close_work(&w);
	return r;
}

/* --- counting anew --------------------------------------------------------------------- */

static int
recalc(struct work *w, struct subject *s, struct verdict *v)
{
	struct buf *out = &w->a->out;
	struct quota_account_walk walk;
	struct quota_account account;
	struct arena arena;
	bool changed;
	int r;

	if (measure(w, s, v) < 0)
		return -1;
	if (!s->bytes && !s->messages && !s->domain_bytes)
		return 0;	/* nobody keeps any account of it */
	arena_init(&arena, PLACE_ARENA);
	r = account_of(w, s->local, s->domain, &arena, &walk, &account, v);
	if (r == 0)
		r = quota_recalc(&account, &s->before, &s->known, &s->usage, v);
	arena_release(&arena);
	if (r < 0)
		return -1;
	changed = !s->known || s->before.bytes != s->usage.bytes ||
	    (s->counted && s->before.messages != s->usage.messages);
	if (w->a->json) {
		begin_object(w);
		json_subject(w, s);
		json_bool(out, "changed", changed);
		if (s->known) {
			json_number(out, "bytes_before", s->before.bytes);
			if (s->counted)
				json_number(out, "messages_before",
				    s->before.messages);
		}
		end_object(w);
	} else if (changed && s->known) {
		(void)buf_addf(out, "%.*s@%.*s: %llu bytes, not %llu\n",
		    STR_ARG(s->local), STR_ARG(s->domain),
		    (unsigned long long)s->usage.bytes,
		    (unsigned long long)s->before.bytes);
	} else if (!w->a->quiet) {
		(void)buf_addf(out, "%.*s@%.*s: %llu bytes\n",
		    STR_ARG(s->local), STR_ARG(s->domain),
		    (unsigned long long)s->usage.bytes);
	}
	return 0;
}

static int
recalc_domain(struct work *w, struct str domain, struct verdict *v)
{
	struct buf *out = &w->a->out;
	struct quota_domain before = { .known = false }, after;
	struct quota_account_walk walk;
	struct quota_account account;
	struct arena arena;
	bool changed;
	int r;

	arena_init(&arena, PLACE_ARENA);
	r = account_of(w, STR(""), domain, &arena, &walk, &account, v);
	if (r < 0 || !account.domain_bytes)
		goto out;
	r = quota_domain_recalc(&account, &before, &after, v);
	if (r < 0)
		goto out;
	changed = !before.known || before.bytes != after.bytes;
	if (w->a->json) {
		begin_object(w);
		json_member(out, "domain", domain);
		json_number(out, "bytes", after.bytes);
		json_number(out, "limit_bytes", account.domain_bytes);
		json_bool(out, "changed", changed);
		if (before.known)
			json_number(out, "bytes_before", before.bytes);
		end_object(w);
	} else if (changed || !w->a->quiet) {
		(void)buf_addf(out, "%.*s: %llu bytes in all",
		    STR_ARG(domain), (unsigned long long)after.bytes);
		if (changed && before.known)
			(void)buf_addf(out, ", not %llu",
			    (unsigned long long)before.bytes);
		(void)buf_addc(out, '\n');
	}
out:
	arena_release(&arena);
	return r;
}

int
adm_quota_recalc(struct adm *a, struct verdict *v)
{
	struct work w;
	int r = open_work(a, &w, v);

	for (size_t i = 0; i < w.n && r == 0; i++) {
		r = recalc(&w, &w.list[i], v);
		adm_progress(a, "counted", i + 1);
		/* Behind the last user of a domain, the domain. */
		if (r == 0 && !is_single(&w) && (i + 1 == w.n ||
		    !str_eq(w.list[i].domain, w.list[i + 1].domain)))
			r = recalc_domain(&w, w.list[i].domain, v);
	}
	if (r == 0)
		end_output(&w);
	close_work(&w);
	return r;
}

/* --- setting ------------------------------------------------------------------------------ */

int
adm_quota_set(struct adm *a, struct verdict *v)
{
	bool user = strchr(a->args[0], '@') != NULL;

	if (user && (adm_option(a, "user-quota") ||
	    adm_option(a, "user-messages")))
		return verdict_set(v, V_USAGE, "--user-quota and "
		    "--user-messages are for a domain");
	if (!user && adm_option(a, "messages"))
		return verdict_set(v, V_USAGE, "--messages is for a user; "
		    "--user-messages for all users of a domain");
	return entry_set(a, user ? ENTRY_USER : ENTRY_DOMAIN, v);
}
