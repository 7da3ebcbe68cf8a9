#include "lda/lmtp/transaction.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lda/gate.h"
#include "lda/metrics.h"
#include "lda/report.h"
#include "store/base/clock.h"
#include "store/base/mem.h"

/* Envelope and resolved recipients of one message. */
#define TRANSACTION_ARENA (256 * 1024 * 1024)
/* Of a message in a file, CRLF is turned to LF in pieces of this size. */
#define PIECE 16384
/* Between two looks at mailboxes that are taken, in ms: the first, the
 * most. A holder that is one of us rings a bell, so this is for others. */
#define NAP_LEAST 2
#define NAP_MOST 50
/* A mailbox that took no mail for so long is stuck, not busy, in ms. */
#define STUCK 1000
/* How long one too many waits to see whether it takes any, in ms. */
#define GRACE 100

struct transaction_rcpt {
	struct resolution resolution;
	struct str local, domain;	/* as given */
	struct str original;
	struct addressee who;
	struct delivery *delivery;
	struct verdict verdict;
	uint64_t key;
	uint32_t bell;
	int64_t began_ms, deadline_ms;
	bool waiting;			/* counted on the board */
	bool done;
	bool noted;			/* in the retry journal */
	struct retry_key retry_key;
};

void
transaction_init(struct transaction *t, const struct session_site *site)
{
	const struct settings *s = &site->agent->config->global;
	struct spool_how how = { .dir = s->spool_dir, .memory = s->spool_memory,
	    .limit = s->message_size_limit };

	*t = (struct transaction){ .site = site };
	arena_init(&t->arena, TRANSACTION_ARENA);
	spool_init(&t->spool, &how);
	verdict_ok(&t->spool_verdict, "nothing yet");
}

static void
settle(struct transaction *t, struct transaction_rcpt *r)
{
	struct board *b = t->site->board;

	if (r->waiting)
		board_wait_end(b, t->site->slot, r->key);
	r->waiting = false;
	r->done = true;
	if (r->verdict.why != V_OK)
		delivery_close(&r->delivery);	/* gives its locks back */
	else
		delivery_finish(r->delivery);
	if (b && r->verdict.why == V_OK)
		board_moved(b, r->key);
	if (b)
		board_ring(b, r->key);
}

void
transaction_reset(struct transaction *t)
{
	for (size_t i = 0; i < t->count; i++) {
		delivery_close(&t->rcpts[i]->delivery);
		if (!t->rcpts[i]->done)
			settle(t, t->rcpts[i]);
	}
	t->count = 0;
	t->parcel = (struct parcel){ .spool = NULL };
	spool_reset(&t->spool);
	t->crlf.held = false;
	t->digested = false;
	verdict_ok(&t->spool_verdict, "nothing yet");
	arena_reset(&t->arena);
}

void
transaction_release(struct transaction *t)
{
	transaction_reset(t);
	free(t->rcpts);
	spool_release(&t->spool);
	arena_release(&t->arena);
}

int
transaction_mail(struct transaction *t, const struct lmtp *p,
    struct verdict *v)
{
	static const char *const ret[] = { NULL, "FULL", "HDRS" };
	const char *helo = p->peer[LMTP_PEER_HELO], *name =
	    p->peer[LMTP_PEER_ADDR];

	transaction_reset(t);
	t->began_ms = clock_mono_ms();
	t->envelope = (struct envelope){
		.sender = arena_copy(&t->arena, p->mail.path.text),
		.protocol = str_of(lmtp_with(p)),
		.helo = arena_copy(&t->arena, str_of(*helo ? helo : p->helo)),
		.client = *name ? arena_copy(&t->arena, str_of(name)) : t->client,
		.remote_ip = arena_copy(&t->arena, str_of(name)),
		.remote_host = arena_copy(&t->arena,
		    str_of(p->peer[LMTP_PEER_NAME])),
	};
	if (ret[p->mail.ret])
		t->envelope.ret = str_of(ret[p->mail.ret]);
	if (p->mail.envid.n)
		t->envelope.envid = arena_copy(&t->arena, p->mail.envid);
	if (envelope_check(t->envelope.sender, v) < 0)
		return -1;
	return verdict_ok(v, "sender");
}

/* NOTIFY and ORCPT as they stood in RCPT, for scripts (RFC 6009). */
static struct str
notify_of(const struct lmtp *p, struct arena *a)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {
		{ LMTP_NOTIFY_NEVER, "NEVER" },
		{ LMTP_NOTIFY_SUCCESS, "SUCCESS" },
		{ LMTP_NOTIFY_FAILURE, "FAILURE" },
		{ LMTP_NOTIFY_DELAY, "DELAY" },
	};
	struct str s = { NULL, 0 };
	struct buf b;

	if (p->rcpt.notify == LMTP_NOTIFY_UNSET)
		return s;
	buf_init(&b, 64);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (p->rcpt.notify & words[i].bit) {
			if (b.n)
				buf_addc(&b, ',');
			buf_addz(&b, words[i].word);
		}
	s = arena_copy(a, buf_str(&b));
	buf_release(&b);
	return s;
}

static struct str
orcpt_of(const struct lmtp *p, struct arena *a)
{
	struct str s = { NULL, 0 };
	struct buf b;

	if (!p->rcpt.orcpt_type.n)
		return s;
	buf_init(&b, 2 * ENVELOPE_ADDRESS_MAX);
	buf_adds(&b, p->rcpt.orcpt_type);
	buf_addc(&b, ';');
	buf_adds(&b, p->rcpt.orcpt);
	if (!b.full)
		s = arena_copy(a, buf_str(&b));
	buf_release(&b);
	return s;
}

static int
resolve(struct transaction *t, const struct lmtp *p,
    struct transaction_rcpt *r, struct verdict *v)
{
	const struct agent *agent = t->site->agent;
	const struct settings *s = &agent->config->global;
	struct resolver resolver;
	struct str postmaster = str_of(s->postmaster), local, domain;

	r->local = arena_copy(&t->arena, str_mem(p->rcpt.path.local,
	    p->rcpt.path.local_n));
	r->domain = arena_copy(&t->arena, p->rcpt.path.domain);
	local = r->local;
	domain = r->domain;
	if (domain.n == 0) {
		/* <postmaster>: RFC 5321 section 4.5.1. */
		envelope_split(postmaster, &local, &domain);
		if (domain.n == 0)
			return verdict_set(v, V_UNKNOWN_USER,
			    "postmaster is not set to an address");
	}
	resolver = agent_resolver(agent, domain);
	if (resolve_recipient(&resolver, local, domain, STR(""), &t->arena,
	    &r->resolution) < 0) {
		*v = r->resolution.verdict;
		return -1;
	}
	return gate_room(agent, &r->resolution, p->mail.size, v);
}

/* The mailbox that recipients with the same one wait for. */
static uint64_t
key_of(const struct resolution *res)
{
	for (size_t i = 0; i < res->target_count; i++)
		if (res->targets[i].kind == TARGET_MAILBOX)
			return board_key(res->targets[i].address);
	return board_key(STR(""));
}

static void
report(const struct transaction *t, const struct transaction_rcpt *r)
{
	struct report rep = {
		.verdict = &r->verdict,
		.local = r->local,
		.domain = r->domain,
		.envelope = &t->envelope,
		.parcel = &t->parcel,
		.resolution = &r->resolution,
		.delivery = r->delivery,
		.elapsed_ms = clock_mono_ms() - r->began_ms,
		.door = "lmtp",
	};

	if (t->site->done)
		t->site->done(&rep);
}

int
transaction_rcpt(struct transaction *t, const struct lmtp *p,
    struct verdict *v)
{
	struct transaction_rcpt *r = arena_alloc(&t->arena, sizeof(*r));
	struct str original;

	if (!r)
		return verdict_set(v, V_NO_MEMORY, "recipients");
	r->began_ms = clock_mono_ms();
	if (resolve(t, p, r, v) < 0) {
		r->verdict = *v;
		report(t, r);
		return -1;
	}
	original = p->rcpt.orcpt_type.n ? p->rcpt.orcpt : p->rcpt.path.text;
	r->original = arena_copy(&t->arena, original);
	if (envelope_check(r->original, v) < 0)
		return -1;
	r->who = (struct addressee){ .resolution = &r->resolution,
	    .original = r->original, .folder = STR(""),
	    .notify = notify_of(p, &t->arena), .orcpt = orcpt_of(p, &t->arena) };
	r->key = key_of(&r->resolution);
	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 16;
		t->rcpts = mem_realloc(t->rcpts, t->room * sizeof(*t->rcpts));
	}
	t->rcpts[t->count++] = r;
	return verdict_ok(v, "recipient");
}

void
transaction_bytes(struct transaction *t, struct str bytes)
{
	static char piece[PIECE];
	size_t n;

	while (bytes.n && t->spool_verdict.why == V_OK) {
		size_t room = CRLF_ROOM(bytes.n);
		char *p = spool_room(&t->spool, room);

		if (p) {
			n = crlf_feed(&t->crlf, &bytes, p, room);
			(void)spool_took(&t->spool, n, &t->spool_verdict);
		} else {
			n = crlf_feed(&t->crlf, &bytes, piece, sizeof(piece));
			(void)spool_add(&t->spool, piece, n, &t->spool_verdict);
		}
	}
}

int
transaction_kept(const struct transaction *t, struct verdict *v)
{
	*v = t->spool_verdict;
	return t->spool_verdict.why == V_OK ? 0 : -1;
}

/* --- delivering ------------------------------------------------------------ */

static int
finish_spool(struct transaction *t, struct verdict *v)
{
	char last;

	if (t->spool_verdict.why == V_OK && crlf_end(&t->crlf, &last))
		(void)spool_add(&t->spool, &last, 1, &t->spool_verdict);
	if (t->spool_verdict.why != V_OK) {
		*v = t->spool_verdict;
		return -1;
	}
	spool_finish(&t->spool);
	return parcel_init(&t->parcel, &t->spool, &t->envelope, v);
}

/* --- the retry journal ------------------------------------------------------- */

/* How often the same recipient stands before this one. */
static uint64_t
times_before(const struct transaction *t, const struct transaction_rcpt *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t->count && t->rcpts[i] != r; i++)
		n += str_eq(t->rcpts[i]->resolution.local, r->resolution.local) &&
		    str_eq(t->rcpts[i]->resolution.domain, r->resolution.domain);
	return n;
}

/* The process before us died over this message. Is it stored? */
static bool
was_stored(const struct transaction *t, struct transaction_rcpt *r,
    const struct retry_entry *past)
{
	struct verdict v = VERDICT_INIT;

	if (delivery_find(r->delivery, past->pid, past->when, past->id, &v) != 1)
		return false;
	retry_done(t->site->retry, &r->retry_key);
	return true;
}

enum past {
	PAST_NONE,	/* deliver; noted where there is a journal */
	PAST_KNOWN,	/* was delivered: the verdict says so */
	PAST_AT_WORK,	/* somebody does it just now: V_BOX_BUSY */
};

/* Notes that this recipient's delivery begins, unless it ended before. */
static enum past
look_back(struct transaction *t, struct transaction_rcpt *r)
{
	const struct settings *s = config_domain(t->site->agent->config,
	    r->resolution.domain);
	struct retry_entry past;

	if (!t->site->retry || !s->retry_journal || r->noted)
		return PAST_NONE;
	if (!t->digested && retry_digest(t->site->retry, &t->spool.source,
	    &t->digest) < 0)
		return PAST_NONE;
	t->digested = true;
	r->retry_key = retry_key(t->site->retry, &t->digest,
	    t->envelope.sender, r->resolution.local, r->resolution.domain,
	    times_before(t, r));
	switch (retry_begin(t->site->retry, &r->retry_key, s->retry_journal,
	    t->parcel.id, &past)) {
	case RETRY_NEW:
		break;
	case RETRY_UNSURE:
		if (!was_stored(t, r, &past))
			break;
		/* fall through */
	case RETRY_KNOWN:
		metrics_add(METRIC_RETRIES_KNOWN, 1);
		verdict_ok(&r->verdict, "known as %s, sent again after a lost "
		    "reply", past.id);
		return PAST_KNOWN;
	case RETRY_AT_WORK:
		verdict_set(&r->verdict, V_BOX_BUSY,
		    "process %d delivers this message now", (int)past.pid);
		return PAST_AT_WORK;
	}
	r->noted = true;
	return PAST_NONE;
}

static void
note_end(struct transaction *t, struct transaction_rcpt *r)
{
	if (!r->noted)
		return;
	r->noted = false;
	if (r->verdict.why == V_OK)
		retry_done(t->site->retry, &r->retry_key);
	else
		retry_undo(t->site->retry, &r->retry_key);
}

/* --- one recipient -------------------------------------------------------------- */

static void
conclude(struct transaction *t, struct transaction_rcpt *r)
{
	note_end(t, r);
	if (r->verdict.why == V_OK)
		verdict_say_of(&r->verdict, "OK ", t->parcel.id);
	report(t, r);
	r->done = true;
}

static void
conclude_and_settle(struct transaction *t, struct transaction_rcpt *r)
{
	conclude(t, r);
	settle(t, r);
}

static void
begin(struct transaction *t, struct transaction_rcpt *r)
{
	r->began_ms = clock_mono_ms();
	verdict_init(&r->verdict);
	if (delivery_open(t->site->agent, &t->parcel, &r->who, &r->delivery,
	    &r->verdict) < 0) {
		conclude_and_settle(t, r);
		return;
	}
	r->deadline_ms = r->began_ms + delivery_patience(r->delivery);
}

/* A mailbox is taken: may we wait for it? */
static bool
may_wait(struct transaction *t, struct transaction_rcpt *r)
{
	const struct agent *agent = t->site->agent;
	const struct settings *s = &agent->config->global;

	if (agent->stop && agent->stop()) {
		verdict_set(&r->verdict, V_SHUTDOWN,
		    "told to stop while the mailbox was busy");
		return false;
	}
	if (clock_mono_ms() >= r->deadline_ms)
		return false;
	if (r->waiting || !t->site->board)
		return true;
	if (!board_wait_begin(t->site->board, t->site->slot, r->key,
	    s->mailbox_concurrency)) {
		/* A wave of mail to one user drains at the disk's speed: who
		 * waits for that holds nobody up. */
		if (board_moves(t->site->board, r->key, STUCK) ||
		    clock_mono_ms() - r->began_ms < GRACE)
			return true;
		verdict_set(&r->verdict, V_BOX_BUSY,
		    "mailbox_concurrency: %llu others wait for it",
		    (unsigned long long)s->mailbox_concurrency);
		return false;
	}
	r->waiting = true;
	return true;
}

enum ready {
	READY_TO_COMMIT,
	READY_LATER,		/* its mailbox is taken */
	READY_DONE,		/* it is through already */
};

/* One look at a recipient, without waiting. */
static enum ready
get_ready(struct transaction *t, struct transaction_rcpt *r)
{
	if (t->site->board)
		r->bell = board_bell(t->site->board, r->key);
	switch (look_back(t, r)) {
	case PAST_KNOWN:
		break;
	case PAST_AT_WORK:
		if (may_wait(t, r))
			return READY_LATER;
		break;
	case PAST_NONE:
		if (delivery_prepare(r->delivery, 0, &r->verdict) == 0)
			return READY_TO_COMMIT;
		if (r->verdict.why == V_BOX_BUSY && may_wait(t, r))
			return READY_LATER;
		break;
	}
	conclude_and_settle(t, r);
	return READY_DONE;
}

/* Recipients whose mailboxes we hold, to be stored together. */
struct batch {
	struct transaction_rcpt *rcpts[DELIVERY_TOGETHER];
	size_t n;
};

/* We hold this mailbox ourselves, for a recipient before. */
static bool
is_ours(const struct batch *b, const struct transaction_rcpt *r)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->rcpts[i]->key == r->key)
			return true;
	return false;
}

static void
nap(const struct transaction *t, const struct transaction_rcpt *r, int ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000L };

	if (t->site->board)
		board_sleep(t->site->board, r->key, r->bell, ms);
	else
		(void)nanosleep(&ts, NULL); /* sooner does no harm */
}

struct answers {
	transaction_answer *say;
	void *arg;
	size_t told;		/* recipients that have theirs */
};

/* In order, as far as all are through. */
static void
tell(const struct transaction *t, struct answers *a)
{
	while (a->told < t->count && t->rcpts[a->told]->done)
		a->say(a->arg, &t->rcpts[a->told++]->verdict);
}

/* Stored is said before we tidy up: the client's next message is on its way
 * meanwhile. Whoever does not take his reply gets it when no mailbox is held
 * any more. */
static void
commit(struct transaction *t, struct batch *b, struct answers *a)
{
	struct delivery_job jobs[DELIVERY_TOGETHER];

	for (size_t i = 0; i < b->n; i++)
		jobs[i] = (struct delivery_job){
			.delivery = b->rcpts[i]->delivery,
			.verdict = &b->rcpts[i]->verdict,
		};
	delivery_commit_all(jobs, b->n);
	for (size_t i = 0; i < b->n; i++)
		conclude(t, b->rcpts[i]);
	tell(t, a);
	for (size_t i = 0; i < b->n; i++)
		settle(t, b->rcpts[i]);
	b->n = 0;
	a->say(a->arg, NULL);
}

void
transaction_deliver(struct transaction *t, transaction_answer *answer,
    void *arg)
{
	struct transaction_rcpt *waiting;
	struct verdict v;
	struct batch batch = { .n = 0 };
	struct answers answers = { .say = answer, .arg = arg };
	size_t left;
	int ms = NAP_LEAST;
	bool moved;

	verdict_init(&v);
	if (finish_spool(t, &v) == 0) {
		metrics_add(METRIC_MESSAGES, 1);
	} else {
		for (size_t i = 0; i < t->count; i++) {
			t->rcpts[i]->verdict = v;
			conclude_and_settle(t, t->rcpts[i]);
		}
	}
	for (size_t i = 0; i < t->count; i++)
		if (!t->rcpts[i]->done)
			begin(t, t->rcpts[i]);
	do {
		waiting = NULL;
		moved = false;
		left = 0;
		for (size_t i = 0; i < t->count; i++) {
			struct transaction_rcpt *r = t->rcpts[i];

			if (r->done)
				continue;
			left++;
			if (is_ours(&batch, r))
				continue;
			switch (get_ready(t, r)) {
			case READY_TO_COMMIT:
				batch.rcpts[batch.n++] = r;
				moved = true;
				break;
			case READY_LATER:
				if (!waiting)
					waiting = r;
				break;
			case READY_DONE:
				moved = true;
				break;
			}
			if (batch.n == DELIVERY_TOGETHER)
				commit(t, &batch, &answers);
		}
		commit(t, &batch, &answers);
		if (moved) {
			ms = NAP_LEAST;
		} else if (waiting) {
			ms = ms * 2 < NAP_MOST ? ms * 2 : NAP_MOST;
			nap(t, waiting, ms);
		}
	} while (left);
	for (size_t i = 0; i < t->count; i++)
		delivery_follow(t->rcpts[i]->delivery);
}
