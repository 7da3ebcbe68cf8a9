#include "store/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/quota_domain.h"
#include "store/quota_ledger.h"

/* How often one delivery counts and asks again. */
#define ROUNDS 9
/* Between two counts of a domain, this many times what one takes. */
#define COUNT_REST 4

struct quota_hold {
	struct quota_account a;
	struct ledger_key key;
	struct ledger *ledger;
	struct quota_found found;
	uint64_t bytes, messages;
	uint64_t id;		/* of the reservation; 0: none */
	bool counted;		/* what `found` says is from the disk */
	bool verified;		/* counted because it seemed to be full */
	bool domain_verified;
	bool buried;		/* none of the dead is left */
};

/* What became of one try to reserve. */
enum attempt {
	ATTEMPT_FAILED,		/* verdict set */
	ATTEMPT_DONE,
	ATTEMPT_COUNT,		/* the account, then again */
	ATTEMPT_COUNT_DOMAIN,
	ATTEMPT_AGAIN,
};

enum answer { ANSWER_FITS, ANSWER_WAIT, ANSWER_FULL };

bool
quota_wanted(const struct quota_account *a)
{
	return a->place.limits.bytes || a->place.limits.messages ||
	    a->domain_bytes;
}

/* --- arithmetic ---------------------------------------------------------------- */

/* 0 stays "no limit". */
static uint64_t
raised(uint64_t limit, uint64_t extra)
{
	return limit ? limit + extra : 0;
}

static bool
fits(uint64_t used, uint64_t more, uint64_t limit, uint64_t grace)
{
	if (!limit || used + more <= limit)
		return true;
	return used < limit && used + more <= limit + grace;
}

/* `least` is used for certain, `most` if all that is on its way arrives. */
static enum answer
ask(uint64_t least, uint64_t most, uint64_t more, uint64_t limit,
    uint64_t grace)
{
	if (fits(most, more, limit, grace))
		return ANSWER_FITS;
	return fits(least, more, limit, grace) ? ANSWER_WAIT : ANSWER_FULL;
}

static unsigned
percent(uint64_t used, uint64_t limit)
{
	return limit ? (unsigned)((unsigned __int128)used * 100 / limit >
	    100000 ? 100000 : (unsigned __int128)used * 100 / limit) : 0;
}

/* The limit that is nearest. */
static void
tell_share(const struct quota_account *a, const struct quota_usage *u,
    struct quota_news *news)
{
	unsigned bytes = percent(u->bytes, a->place.limits.bytes);
	unsigned messages = percent(u->messages, a->place.limits.messages);

	news->messages = messages > bytes;
	news->percent = news->messages ? messages : bytes;
	news->used = news->messages ? u->messages : u->bytes;
	news->limit = news->messages ? a->place.limits.messages :
	    a->place.limits.bytes;
}

/* The highest warning that a share has reached; 0: none. */
static unsigned
level(const struct quota_account *a, unsigned share)
{
	unsigned found = 0;

	for (size_t i = 0; i < a->warning_count; i++)
		if (share >= a->warnings[i])
			found = (unsigned)a->warnings[i];
	return found;
}

/* From here on a refusal is told of, once. */
static unsigned
top(const struct quota_account *a)
{
	return a->warning_count ?
	    (unsigned)a->warnings[a->warning_count - 1] : 100;
}

/* --- reserving -------------------------------------------------------------------- */

static int
open_hold(const struct quota_account *a, struct quota_hold **h_r,
    struct verdict *v)
{
	struct quota_hold *h = mem_zalloc(1, sizeof(*h));

	h->a = *a;
	h->key = ledger_key_of(a->local, a->domain);
	quota_found_init(&h->found);
	if (ledger_open(a->state_root, a->ledger_path, LEDGER_WRITE, &h->ledger,
	    v) < 0) {
		free(h);
		return -1;
	}
	*h_r = h;
	return 0;
}

static void
close_hold(struct quota_hold **h)
{
	quota_found_release(&(*h)->found);
	ledger_close(&(*h)->ledger);
	free(*h);
	*h = NULL;
}

static int
busy(struct verdict *v)
{
	return verdict_set(v, V_BOX_BUSY,
	    "quota: other deliveries have to end first");
}

/* While it is counted, a reservation of nothing keeps others waiting. */
static enum attempt
begin_count(struct quota_hold *h, const struct ledger_sum *flying,
    struct verdict *v)
{
	if (flying->count) {
		busy(v);
		return ATTEMPT_FAILED;
	}
	if (ledger_hold(h->ledger, &h->key, 0, 0, &h->id, v) < 0)
		return ATTEMPT_FAILED;
	return ATTEMPT_COUNT;
}

static void
end_count(struct quota_hold *h)
{
	if (h->id)
		(void)ledger_drop(h->ledger, h->id);
	h->id = 0;
}

/* The entry, as it is to be found at the next look. */
static int
put(struct quota_hold *h, struct ledger_entry *e, const struct quota_usage *u,
    uint64_t counted, struct verdict *v)
{
	e->bytes = u->bytes;
	e->messages = u->messages;
	e->stamp = h->found.stamp;
	e->inbox = h->found.inbox;
	e->counted = counted;
	e->flags |= LEDGER_SEEN;
	if (h->a.elsewhere)
		e->flags |= LEDGER_ELSEWHERE;
	return ledger_put(h->ledger, e, v);
}

static void
remember(struct quota_found *f, const struct ledger_entry *e)
{
	struct quota_usage u = { e->bytes, e->messages };

	quota_found_remember(f, &u, e->stamp, e->inbox);
}

static void
refuse(struct quota_hold *h, struct ledger_entry *e, struct quota_news *news,
    struct verdict *v)
{
	verdict_set(v, V_FULL, "%llu bytes and %llu messages used, limits "
	    "%llu and %llu, message of %llu bytes",
	    (unsigned long long)h->found.usage.bytes,
	    (unsigned long long)h->found.usage.messages,
	    (unsigned long long)h->a.place.limits.bytes,
	    (unsigned long long)h->a.place.limits.messages,
	    (unsigned long long)h->bytes);
	tell_share(&h->a, &h->found.usage, news);
	if (!h->a.quiet && !(e->flags & LEDGER_TOLD_FULL) && news->percent >= top(&h->a)) {
		e->flags |= LEDGER_TOLD_FULL;
		news->full = true;
	}
}

static enum answer
ask_account(const struct quota_hold *h, const struct ledger_sum *flying)
{
	const struct quota_usage *u = &h->found.usage;
	const struct maildirsize_limits *limits = &h->a.place.limits;
	/* What lies in an mbox already may be on its way still. maildirsize
	 * tells of what has arrived only. */
	bool seen = h->a.place.format == MAILBOX_MBOX;
	uint64_t bytes = !seen ? u->bytes : u->bytes > flying->bytes ?
	    u->bytes - flying->bytes : 0;
	uint64_t messages = !seen ? u->messages : u->messages >
	    flying->messages ? u->messages - flying->messages : 0;
	enum answer b = ask(bytes, u->bytes + flying->bytes, h->bytes,
	    raised(limits->bytes, h->a.extra.bytes), h->a.grace);
	enum answer m = ask(messages, u->messages + flying->messages,
	    h->messages, raised(limits->messages, h->a.extra.messages), 0);

	return b > m ? b : m;
}

/* What is known of the account's usage, or that it has to be counted. */
static enum attempt
look(struct quota_hold *h, struct ledger_entry *e,
    const struct ledger_sum *flying, struct verdict *v)
{
	const struct ledger_head *head = ledger_head(h->ledger);
	bool doubt = (e->flags & LEDGER_DOUBT) || e->boot != (uint32_t)head->boot;
	int r;

	if (!h->counted)
		remember(&h->found, e);
	r = quota_usage(&h->a.place, QUOTA_LOOK, &h->found, v);
	if (r < 0)
		return ATTEMPT_FAILED;
	if (h->a.place.format == MAILBOX_MAILDIR && h->found.dir >= 0 &&
	    (r == 0 || (doubt && !h->counted)))
		return begin_count(h, flying, v);
	e->flags &= (uint8_t)~LEDGER_DOUBT;
	e->boot = (uint32_t)head->boot;
	return ATTEMPT_DONE;
}

/* A full domain is counted for a fifth of the time at most; who comes between
 * waits for the next count, which serves all who wait. */
static bool
may_count_domain(const struct ledger_head *head)
{
	int64_t since = clock_now_us() - head->counted_us -
	    (int64_t)head->cost_us;

	return since < 0 || since > COUNT_REST * (int64_t)head->cost_us;
}

static enum answer
ask_domain(const struct quota_hold *h, const struct ledger_sum *all,
    struct verdict *v)
{
	const struct ledger_head *head = ledger_head(h->ledger);
	enum answer answer = ask(head->total, head->total + all->bytes, h->bytes,
	    h->a.domain_bytes, h->a.grace);

	if (answer == ANSWER_FULL)
		verdict_set(v, V_FULL, "domain: %llu bytes used, limit %llu, "
		    "message of %llu bytes", (unsigned long long)head->total,
		    (unsigned long long)h->a.domain_bytes,
		    (unsigned long long)h->bytes);
	return answer;
}

/* What the dead have reserved keeps nobody out: it is looked for when there
 * seems to be no room, since asking for each holder costs a call. */
static enum attempt
bury_first(struct quota_hold *h, const struct ledger_sum *all)
{
	if (h->buried || all->count == 0)
		return ATTEMPT_DONE;
	h->buried = true;
	return ATTEMPT_AGAIN;
}

static enum attempt
attempt(struct quota_hold *h, struct quota_news *news, struct verdict *v)
{
	struct ledger *l = h->ledger;
	struct ledger_head *head;
	struct ledger_sum mine, all;
	struct ledger_entry e;
	struct quota_news share = { .percent = 0 };
	enum answer answer;
	enum attempt r;
	unsigned now;

	end_count(h);
	if (ledger_bury(l, h->buried ? NULL : &h->key, v) < 0)
		return ATTEMPT_FAILED;
	head = ledger_head(l);
	ledger_find(l, &h->key, &e);
	ledger_flying(l, &h->key, &mine, &all);
	if (!h->a.domain_bytes)
		head->known = 0;	/* nobody keeps it */
	else if (!head->known)
		return ATTEMPT_COUNT_DOMAIN;
	r = look(h, &e, &mine, v);
	if (r != ATTEMPT_DONE)
		return r;

	/* Below a percentage again: the next crossing is a new one. */
	tell_share(&h->a, &h->found.usage, &share);
	now = level(&h->a, share.percent);
	if (!h->a.quiet && now < e.warned)
		e.warned = (uint8_t)now;
	if (!h->a.quiet && share.percent < top(&h->a))
		e.flags &= (uint8_t)~LEDGER_TOLD_FULL;

	answer = ask_account(h, &mine);
	if (answer != ANSWER_FITS && (r = bury_first(h, &all)) != ATTEMPT_DONE)
		return r;
	if (answer == ANSWER_FULL && !h->verified &&
	    quota_usage_doubtful(&h->a.place, &h->found)) {
		h->verified = true;
		return begin_count(h, &mine, v);
	}
	if (answer == ANSWER_FULL)
		refuse(h, &e, news, v);
	/* While others write, what we see is not what there will be. */
	if (put(h, &e, &h->found.usage, mine.count ? e.counted :
	    h->found.usage.bytes, v) < 0)
		return ATTEMPT_FAILED;
	head = ledger_head(l);	/* it may lie elsewhere now */
	if (answer == ANSWER_FITS && h->a.domain_bytes) {
		if (!head->known)
			return ATTEMPT_COUNT_DOMAIN;
		answer = ask_domain(h, &all, v);
		if (answer != ANSWER_FITS &&
		    (r = bury_first(h, &all)) != ATTEMPT_DONE)
			return r;
		if (answer == ANSWER_FULL && !h->domain_verified &&
		    (!h->a.since_us || head->counted_us < h->a.since_us)) {
			if (may_count_domain(head))
				return ATTEMPT_COUNT_DOMAIN;
			answer = ANSWER_WAIT;
		}
	}
	if (answer == ANSWER_WAIT)
		busy(v);
	if (answer == ANSWER_FITS && ledger_hold(l, &h->key, h->bytes,
	    h->messages, &h->id, v) < 0)
		return ATTEMPT_FAILED;
	return answer == ANSWER_FITS ? ATTEMPT_DONE : ATTEMPT_FAILED;
}

int
quota_reserve(const struct quota_account *a, uint64_t bytes,
    uint64_t messages, struct quota_hold **h_r, struct quota_news *news_r,
    struct verdict *v)
{
	struct quota_hold *h;
	enum attempt r = ATTEMPT_FAILED;

	*news_r = (struct quota_news){ .percent = 0 };
	if (open_hold(a, &h, v) < 0)
		return -1;
	h->bytes = bytes;
	h->messages = messages;
	for (int i = 0; i < ROUNDS; i++) {
		if (ledger_lock(h->ledger, v) < 0)
			break;
		r = attempt(h, news_r, v);
		ledger_unlock(h->ledger);
		if (ledger_lost(h->ledger)) {
			verdict_set(v, V_TROUBLE, "quota ledger was lost");
			break;
		}
		if (r == ATTEMPT_DONE) {
			*h_r = h;
			return 0;
		}
		if (r == ATTEMPT_FAILED)
			break;
		if (r == ATTEMPT_COUNT) {
			if (quota_usage(&a->place, QUOTA_COUNT, &h->found,
			    v) < 0)
				break;
			h->counted = true;
		} else if (r == ATTEMPT_COUNT_DOMAIN) {
			h->domain_verified = true;
			if (quota_domain_count(h->ledger, a, v) < 0)
				break;
		}
		if (i == ROUNDS - 1)
			busy(v);
	}
	quota_release(&h);
	return -1;
}

void
quota_release(struct quota_hold **h)
{
	struct verdict ignored = VERDICT_INIT;

	if (!*h)
		return;
	if ((*h)->id && ledger_lock((*h)->ledger, &ignored) == 0) {
		(void)ledger_drop((*h)->ledger, (*h)->id);
		(*h)->id = 0;
		ledger_unlock((*h)->ledger);
	}
	/* The lock was not to be had. */
	if ((*h)->id)
		ledger_abandon((*h)->ledger, (*h)->id);
	close_hold(h);
}

/* --- settling --------------------------------------------------------------------- */

/* Folders are remembered in a file of their own. */
static void
count_folder(struct quota_hold *h, const struct stat *st)
{
	const struct quota_place *p = &h->a.place;
	struct mbox_counts fresh;
	uint64_t n;

	if (!mbox_counts_known(&h->found.counts, st, &n))
		return;		/* it is counted again */
	/* Another delivery may have written since. */
	mbox_counts_init(&fresh);
	mbox_counts_read(&fresh, p->state_root, p->counts_path);
	mbox_counts_set(&fresh, st, n + 1);
	mbox_counts_write(&fresh, p->state_root, p->counts_path);
	mbox_counts_release(&fresh);
}

void
quota_wrote(struct quota_hold *h, const char *root, const char *path, int fd)
{
	const struct quota_place *p = &h->a.place;
	struct stat st;

	if (p->format != MAILBOX_MBOX || !p->limits.messages ||
	    fstat(fd, &st) < 0)
		return;
	if (strcmp(path, p->path) == 0 && strcmp(root, p->root) == 0)
		quota_found_appended(&h->found, &st);
	else
		count_folder(h, &st);
}

/* Tells maildirsize. -1: the account is to be counted. */
static int
settle_maildir(struct quota_hold *h, struct quota_usage *u, struct verdict *v)
{
	struct maildirsize *m = &h->found.maildirsize;
	int r;

	if (h->found.dir < 0 || m->fd < 0)
		return verdict_set(v, V_TROUBLE, "quota: the Maildir was not "
		    "there when room was reserved");
	r = maildirsize_add(h->found.dir, &h->a.place.limits, m,
	    (int64_t)h->bytes, (int64_t)h->messages, v);
	h->found.stamp = m->stamp;
	if (r > 0)
		*u = (struct quota_usage){ m->bytes, m->messages };
	if (r == 0)
		return verdict_set(v, V_OK, "maildirsize was made anew "
		    "meanwhile");
	return r < 0 ? -1 : 0;
}

static int
settle(struct quota_hold *h, struct quota_news *news, struct verdict *v)
{
	struct quota_usage u = { h->found.usage.bytes + h->bytes,
	    h->found.usage.messages + h->messages };
	struct ledger_head *head = ledger_head(h->ledger);
	struct ledger_entry e;
	unsigned now;
	bool doubt = false;

	ledger_find(h->ledger, &h->key, &e);
	if (h->a.place.format == MAILBOX_MAILDIR)
		doubt = settle_maildir(h, &u, v) < 0;
	if (doubt)
		e.flags |= LEDGER_DOUBT;
	tell_share(&h->a, &u, news);
	now = level(&h->a, news->percent);
	if (!h->a.quiet && now > e.warned) {
		news->warning = now;
		e.warned = (uint8_t)now;
	}
	if (put(h, &e, &u, head->known ? e.counted + h->bytes : e.counted,
	    v) < 0)
		return -1;
	/* Last: as long as it is there, who finds us dead has the account and
	 * the domain counted. */
	if (!ledger_drop(h->ledger, h->id) && !doubt)
		return verdict_set(v, V_TROUBLE, "quota: the reservation is gone");
	h->id = 0;
	return doubt ? -1 : 0;
}

int
quota_settle(struct quota_hold **h, struct quota_news *news_r,
    struct verdict *v)
{
	int r;

	*news_r = (struct quota_news){ .percent = 0 };
	if (!*h)
		return 0;
	r = ledger_lock((*h)->ledger, v);
	if (r == 0) {
		r = settle(*h, news_r, v);
		ledger_unlock((*h)->ledger);
	}
	/* What could not be written down is counted. */
	if ((*h)->id)
		ledger_abandon((*h)->ledger, (*h)->id);
	close_hold(h);
	return r < 0 && v->why != V_OK ? -1 : 0;
}

/* --- asking ------------------------------------------------------------------------- */

/* Below half of every limit when it was looked at last? Then nothing more is
 * asked at RCPT: it would have to be filled by other ways than by mail. */
static bool
half_empty(const struct quota_account *a, const struct ledger *l,
    uint64_t bytes)
{
	const struct maildirsize_limits *limits = &a->place.limits;
	struct ledger_key key;
	struct ledger_entry e;

	if (!limits->bytes && !limits->messages)
		return true;
	key = ledger_key_of(a->local, a->domain);
	return ledger_peek(l, &key, &e) && (e.flags & LEDGER_SEEN) &&
	    (!limits->bytes || (e.bytes + bytes) * 2 <= limits->bytes) &&
	    (!limits->messages || (e.messages + 1) * 2 <= limits->messages);
}

static bool
domain_has_room(const struct quota_account *a, const struct ledger *l,
    uint64_t bytes)
{
	uint64_t total;

	return !a->domain_bytes || (ledger_glance(l, &total) &&
	    fits(total, bytes, a->domain_bytes, a->grace));
}

bool
quota_glance(const struct quota_account *a, uint64_t bytes)
{
	struct verdict ignored = VERDICT_INIT;
	struct ledger *l;
	bool enough;

	if (ledger_open(a->state_root, a->ledger_path, LEDGER_ASK, &l,
	    &ignored) < 0)
		return false;
	enough = half_empty(a, l, bytes) && domain_has_room(a, l, bytes);
	ledger_close(&l);
	return enough;
}

static bool
account_has_room(const struct quota_account *a, const struct ledger *l,
    uint64_t bytes)
{
	const struct maildirsize_limits *limits = &a->place.limits;
	struct ledger_key key = ledger_key_of(a->local, a->domain);
	struct verdict ignored = VERDICT_INIT;
	struct ledger_entry e;
	struct quota_found f;
	bool room;

	if (!limits->bytes && !limits->messages)
		return true;
	quota_found_init(&f);
	if (ledger_peek(l, &key, &e))
		remember(&f, &e);
	/* What has to be counted is counted by the delivery. */
	room = quota_usage(&a->place, QUOTA_PEEK, &f, &ignored) <= 0 ||
	    (fits(f.usage.bytes, bytes, limits->bytes, a->grace) &&
	    fits(f.usage.messages, 1, limits->messages, 0));
	quota_found_release(&f);
	return room;
}

/* Certainly enough room, as cheaply as it can be known? */
static bool
plenty(const struct quota_account *a, uint64_t bytes)
{
	struct verdict ignored = VERDICT_INIT;
	uint64_t total;
	struct ledger *l;
	bool enough;

	if (ledger_open(a->state_root, a->ledger_path, LEDGER_ASK, &l,
	    &ignored) < 0)
		return true;	/* the delivery will tell */
	/* A total that is not known is found out by the delivery, too. */
	enough = account_has_room(a, l, bytes) && (!a->domain_bytes ||
	    !ledger_glance(l, &total) ||
	    fits(total, bytes, a->domain_bytes, a->grace));
	ledger_close(&l);
	return enough;
}

int
quota_check(const struct quota_account *a, uint64_t bytes,
    struct quota_news *news_r, struct verdict *v)
{
	struct quota_hold *h = NULL;

	*news_r = (struct quota_news){ .percent = 0 };
	if (plenty(a, bytes))
		return 0;
	if (quota_reserve(a, bytes, 1, &h, news_r, v) == 0) {
		quota_release(&h);
		return 0;
	}
	/* Whatever else it is, the delivery will see it. */
	return v->why == V_FULL ? -1 : 0;
}

/* --- for vboxadm ---------------------------------------------------------------------- */

int
quota_domain_look(const struct quota_account *a, struct quota_domain *d_r,
    struct verdict *v)
{
	struct ledger_sum mine, all;
	struct ledger_key none = { { 0 } };
	struct ledger *l;
	int r;

	if (ledger_open(a->state_root, a->ledger_path, LEDGER_WRITE, &l, v) < 0)
		return -1;
	r = ledger_lock(l, v);
	if (r == 0 && (r = ledger_bury(l, NULL, v)) < 0)
		ledger_unlock(l);
	if (r == 0) {
		ledger_flying(l, &none, &mine, &all);
		*d_r = (struct quota_domain){ .known = ledger_head(l)->known,
		    .bytes = ledger_head(l)->total, .flying = all.bytes };
		ledger_unlock(l);
	}
	ledger_close(&l);
	return r;
}

int
quota_domain_recalc(const struct quota_account *a,
    struct quota_domain *before_r, struct quota_domain *after_r,
    struct verdict *v)
{
	struct ledger *l;
	int r;

	if (quota_domain_look(a, before_r, v) < 0 ||
	    ledger_open(a->state_root, a->ledger_path, LEDGER_WRITE, &l, v) < 0)
		return -1;
	r = quota_domain_count(l, a, v);
	ledger_close(&l);
	return r < 0 ? -1 : quota_domain_look(a, after_r, v);
}

static int
recalc_locked(struct quota_hold *h, struct verdict *v)
{
	struct ledger_sum mine, all;
	struct ledger_entry e;

	end_count(h);
	if (ledger_bury(h->ledger, NULL, v) < 0)
		return -1;
	ledger_flying(h->ledger, &h->key, &mine, &all);
	ledger_find(h->ledger, &h->key, &e);
	if (!h->counted) {
		remember(&h->found, &e);
		return begin_count(h, &mine, v) == ATTEMPT_FAILED ? -1 : 0;
	}
	e.flags &= (uint8_t)~LEDGER_DOUBT;
	e.boot = (uint32_t)ledger_head(h->ledger)->boot;
	return put(h, &e, &h->found.usage, mine.count ? e.counted :
	    h->found.usage.bytes, v);
}

int
quota_look(const struct quota_account *a, struct quota_usage *u_r,
    struct verdict *v)
{
	struct ledger_key key = ledger_key_of(a->local, a->domain);
	struct verdict ignored = VERDICT_INIT;
	struct quota_found f;
	struct ledger_entry e;
	struct ledger *l;
	int r;

	quota_found_init(&f);
	/* Else a large mbox is read for the sake of its count. */
	if (a->place.format == MAILBOX_MBOX && a->place.limits.messages &&
	    ledger_open(a->state_root, a->ledger_path, LEDGER_ASK, &l,
	    &ignored) == 0) {
		if (ledger_peek(l, &key, &e))
			remember(&f, &e);
		ledger_close(&l);
	}
	r = quota_usage(&a->place, QUOTA_PEEK, &f, v);
	if (r == 0)
		r = quota_usage(&a->place, QUOTA_SCAN, &f, v);
	*u_r = f.usage;
	quota_found_release(&f);
	return r < 0 ? -1 : 0;
}

int
quota_recalc(const struct quota_account *a, struct quota_usage *before_r,
    bool *known_r, struct quota_usage *after_r, struct verdict *v)
{
	struct quota_hold *h;
	int r = -1, had;

	if (open_hold(a, &h, v) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		if (ledger_lock(h->ledger, v) < 0)
			goto out;
		r = recalc_locked(h, v);
		ledger_unlock(h->ledger);
		if (r < 0 || h->counted)
			goto out;
		had = quota_usage(&a->place, QUOTA_LOOK, &h->found, v);
		*known_r = had > 0;
		*before_r = h->found.usage;
		if (had < 0)
			*v = VERDICT_INIT;
		r = quota_usage(&a->place, QUOTA_COUNT, &h->found, v) < 0 ?
		    -1 : 0;
		if (r < 0)
			goto out;
		*after_r = h->found.usage;
		h->counted = true;
	}
out:
	quota_release(&h);
	return r;
}
