#include "store/quota_domain.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/mem.h"

/* What the walk has found, and what the ledger said before. */
struct found {
	struct ledger_key key;
	uint64_t bytes;
};

struct walk {
	struct str domain;
	const struct ledger_entry *before;	/* sorted */
	size_t before_n;
	struct found *list;
	size_t n, room;
};

static int
by_key(const void *a, const void *b)
{
	/* Both begin with the key. */
	return memcmp(a, b, LEDGER_KEY);
}

static const struct ledger_entry *
in_entries(const struct ledger_entry *list, size_t n,
    const struct ledger_key *key)
{
	return n ? bsearch(key, list, n, sizeof(*list), by_key) : NULL;
}

/* A delivery died there: maildirsize may know nothing of what it stored. */
static bool
in_doubt(const struct walk *w, const struct ledger_key *key)
{
	const struct ledger_entry *e = in_entries(w->before, w->before_n, key);

	return e && (e->flags & LEDGER_DOUBT);
}

static int
take(void *arg, struct str local, const struct quota_place *place,
    struct verdict *v)
{
	struct walk *w = arg;
	struct ledger_key key = ledger_key_of(local, w->domain);
	struct quota_place p = *place;
	struct quota_found f;
	int r = 0;

	p.limits.messages = p.format == MAILBOX_MBOX ? 0 : p.limits.messages;
	quota_found_init(&f);
	if (!in_doubt(w, &key))
		r = quota_usage(&p, QUOTA_PEEK, &f, v);
	if (r == 0)
		r = quota_usage(&p, QUOTA_SCAN, &f, v);
	if (r > 0) {
		if (w->n == w->room) {
			w->room = w->room ? w->room * 2 : 256;
			w->list = mem_realloc(w->list,
			    w->room * sizeof(*w->list));
		}
		w->list[w->n++] = (struct found){ key, f.usage.bytes };
	}
	quota_found_release(&f);
	return r < 0 ? -1 : 0;
}

/* The same account by two ways is one. */
static void
sort_found(struct walk *w)
{
	size_t n = 0;

	if (w->n == 0)
		return;
	qsort(w->list, w->n, sizeof(*w->list), by_key);
	for (size_t i = 0; i < w->n; i++)
		if (n == 0 || by_key(&w->list[n - 1], &w->list[i]) != 0)
			w->list[n++] = w->list[i];
	w->n = n;
}

/*
 * The account's part: what was found, unless a delivery has written it down
 * since we began, or is about to: then that is newer.
 */
static uint64_t
part_of(struct ledger *l, const struct found *f,
    const struct ledger_entry *before, const struct ledger_entry *now,
    bool known)
{
	struct ledger_sum mine, all;

	if (!known || !now)
		return f->bytes;
	ledger_flying(l, &f->key, &mine, &all);
	if (mine.count || !before || before->counted != now->counted)
		return now->counted;
	return f->bytes;
}

static int
write_down(struct ledger *l, const struct walk *w, struct verdict *v)
{
	struct ledger_head *h = ledger_head(l);
	struct ledger_entry *now, e;
	bool known = h->known;
	uint64_t total = 0;
	size_t n;
	int r = -1;

	ledger_entries(l, &now, &n);
	if (n)
		qsort(now, n, sizeof(*now), by_key);
	h->known = 0;	/* killed on the way, it is not */
	for (size_t i = 0; i < w->n; i++) {
		const struct found *f = &w->list[i];
		const struct ledger_entry *x = in_entries(now, n, &f->key);

		if (x)
			e = *x;
		else
			ledger_find(l, &f->key, &e);
		e.counted = part_of(l, f, in_entries(w->before, w->before_n,
		    &f->key), x, known);
		total += e.counted;
		if ((!x || e.counted != x->counted) && ledger_put(l, &e, v) < 0)
			goto out;
	}
	/* Accounts that are gone take nothing; those with a home of their own
	 * were not looked for. */
	for (size_t i = 0; i < n; i++) {
		if (w->n && bsearch(&now[i], w->list, w->n, sizeof(*w->list),
		    by_key))
			continue;
		e = now[i];
		if (e.flags & LEDGER_ELSEWHERE) {
			total += e.counted;
		} else if (e.counted) {
			e.counted = 0;
			if (ledger_put(l, &e, v) < 0)
				goto out;
		}
	}
	h = ledger_head(l);	/* the table may have grown */
	h->total = total;
	__atomic_store_n(&h->known, 1, __ATOMIC_RELEASE);
	r = 0;
out:
	free(now);
	return r;
}

int
quota_domain_count(struct ledger *l, const struct quota_account *a,
    struct verdict *v)
{
	struct walk w = { .domain = a->domain };
	struct ledger_entry *before = NULL;
	struct ledger_sum mine, all;
	struct ledger_key none = { { 0 } };
	int64_t began = clock_now_us();
	bool known;
	int r = ledger_count_begin(l, v);

	if (r < 0)
		return -1;
	if (r == 0)
		return verdict_set(v, V_BOX_BUSY, "quota: the domain is counted");
	r = -1;
	if (ledger_lock(l, v) < 0)
		goto out;
	if (ledger_bury(l, NULL, v) < 0) {
		ledger_unlock(l);
		goto out;
	}
	ledger_flying(l, &none, &mine, &all);
	known = ledger_head(l)->known;
	/* Nobody begins while the total is not known, so this ends. */
	if (!known && all.count)
		verdict_set(v, V_BOX_BUSY,
		    "quota: deliveries end before the domain is counted");
	else
		r = 0;
	if (r == 0)
		ledger_entries(l, &before, &w.before_n);
	ledger_unlock(l);
	if (r < 0)
		goto out;
	if (w.before_n)
		qsort(before, w.before_n, sizeof(*before), by_key);
	w.before = before;
	r = a->walk(a->walk_arg, take, &w, v);
	if (r < 0)
		goto out;
	sort_found(&w);
	r = ledger_lock(l, v);
	if (r < 0)
		goto out;
	/* One of those who were on their way has died: what the others have
	 * stored since is neither in what was found nor in their entries. */
	if (known && !ledger_head(l)->known)
		r = verdict_set(v, V_BOX_BUSY,
		    "quota: the domain is to be counted again");
	else
		r = write_down(l, &w, v);
	if (r == 0) {
		int64_t now = clock_now_us();

		ledger_head(l)->counted_us = began;
		ledger_head(l)->cost_us = now > began && now - began <
		    UINT32_MAX ? (uint32_t)(now - began) : 0;
	}
	ledger_unlock(l);
out:
	ledger_count_end(l);
	free(before);
	free(w.list);
	return r;
}
