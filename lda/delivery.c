#include "lda/delivery.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lda/effects.h"
#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/plan.h"
#include "lda/quota.h"
#include "lda/quota_account.h"
#include "lda/submit.h"
#include "lda/together.h"
#include "store/base/clock.h"
#include "store/base/mem.h"
#include "store/base/self.h"
#include "store/mailbox.h"
#include "store/mailbox_find.h"
#include "store/redo.h"

/* Plan of one recipient: paths, headers, addresses of its targets. */
#define DELIVERY_ARENA (256u * 1024 * 1024)
/* Header of a message that is passed on. */
#define HEADER_MAX (32u * 1024 * 1024)
#define SENDER_MAX 4096
/* Between two looks at what other deliveries have reserved. */
#define PREPARE_NAP_MS 2
/* A note of a redirect that is done outlives the MTA's patience. */
#define NOTE_SECONDS (14 * 86400)

struct delivery {
	const struct agent *agent;
	const struct parcel *parcel;
	const struct addressee *who;
	struct arena arena;
	struct plan plan;
	const struct settings *settings;	/* of the recipient's domain */
	struct state *state;	/* of the recipient; NULL: not needed */
	struct quotas *quotas;	/* NULL: no limits */
	bool stored;		/* delivery_follow has something to do */
	bool finished;		/* and delivery_finish has done its part */
	bool logged;		/* the delivery log makes it durable */
	uint64_t record;	/* its place there; 0: none */
	int64_t began_us;
	uint64_t size, repaired;
	unsigned locks_broken;
};

/* That of the delivery before, with a block of its arena and nothing else: the
 * next one of this process has it. One that is open at the same time makes its
 * own. */
static struct delivery *spare;

static struct delivery *
new_delivery(void)
{
	struct delivery *d = spare;

	spare = NULL;
	if (!d) {
		d = mem_zalloc(1, sizeof(*d));
		arena_init(&d->arena, DELIVERY_ARENA);
	}
	return d;
}

static void
give_back(struct delivery *d)
{
	if (spare) {
		arena_release(&d->arena);
		free(d);
		return;
	}
	arena_reset(&d->arena);
	*d = (struct delivery){ .arena = d->arena };
	spare = d;
}

/* n in hex and what follows it; where the next may be written. */
static char *
put_hex(char *to, uint64_t n, char follows)
{
	unsigned digits = n ? (unsigned)(63 - __builtin_clzll(n)) / 4 + 1 : 1;

	while (digits-- > 0)
		*to++ = "0123456789abcdef"[n >> (4 * digits) & 0xf];
	*to++ = follows;
	return to;
}

int
parcel_init(struct parcel *p, const struct spool *spool,
    const struct envelope *envelope, struct verdict *v)
{
	static unsigned count;
	int64_t now = clock_now_us();
	char *at;

	*p = (struct parcel){ .spool = spool, .envelope = envelope,
	    .when = (time_t)(now / 1000000) };
	static_assert(sizeof(p->id) >= 16 + 6 + 4 + 3, "the id does not fit");
	at = put_hex(p->id, (uint64_t)now, '.');
	at = put_hex(at, (unsigned)self_pid() & 0xffffffu, '.');
	(void)put_hex(at, __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) &
	    0xffffu, '\0');
	return trace_scan(spool, &p->trace, NULL, NULL, v);
}

struct resolver
agent_resolver(const struct agent *agent, struct str domain)
{
	struct resolver r = *agent->resolver;

	r.delimiters = config_domain(agent->config, domain)->recipient_delimiter;
	return r;
}

int
delivery_open(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *addressee, struct delivery **d_r,
    struct verdict *v)
{
	struct delivery *d = new_delivery();

	d->agent = agent;
	d->began_us = clock_now_us();
	d->parcel = parcel;
	d->who = addressee;
	d->settings = config_domain(agent->config,
	    addressee->resolution->domain);
	*d_r = d;		/* the caller closes it, failed or not */
	if (plan_make(agent, parcel, addressee, &d->arena, &d->plan, v) == 0)
		return 0;
	if (d->plan.refused && agent->mode != DELIVERY_REHEARSAL)
		effects_run(agent, parcel, addressee, &d->plan);
	return -1;
}

static int
add_to_buf(void *arg, const char *p, size_t n)
{
	return buf_add(arg, p, n);
}

/* Room that the administrator wants to keep free. */
static int
check_space(const struct settings *s, const struct mailbox_spec *spec,
    struct verdict *v)
{
	struct statvfs fs;

	if (!s->min_free_space)
		return 0;
	if (statvfs(spec->root, &fs) < 0)
		return verdict_errno(v, errno, "statvfs %s", spec->root);
	if (fs.f_blocks == 0)	/* keeps no account of its room (ramfs, some FUSE) */
		return 0;
	if ((uint64_t)fs.f_bavail * fs.f_frsize < s->min_free_space)
		return verdict_set(v, V_NO_SPACE,
		    "%llu bytes free in %s, min_free_space %llu",
		    (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize),
		    spec->root, (unsigned long long)s->min_free_space);
	return 0;
}

static int
rehearse(struct plan_copy *c, struct verdict *v)
{
	int there = mailbox_exists(&c->spec, v);

	if (there < 0)
		return -1;
	if (!there && c->spec.make == MAILBOX_MUST_EXIST)
		return verdict_set(v, V_TROUBLE, "%s in %s does not exist and "
		    "autocreate is off", c->spec.path, c->spec.root);
	return 0;
}

int
delivery_prepare(struct delivery *d, int64_t wait_ms, struct verdict *v)
{
	for (size_t i = 0; i < d->plan.copy_count; i++) {
		struct plan_copy *c = &d->plan.copies[i];

		if (d->agent->mode == DELIVERY_REHEARSAL) {
			if (rehearse(c, v) < 0)
				return -1;
			continue;
		}
		if (c->box)
			continue;
		c->spec.lock.timeout_ms = wait_ms;
		c->spec.lock.stop = d->agent->stop;
		c->spec.keep_dir = quota_account_limited(c->settings,
		    c->target);
		c->spec.keep_bytes = d->agent->redo &&
		    d->plan.copy_count <= REDO_COPIES_MAX;
		if (check_space(c->settings, &c->spec, v) < 0 ||
		    mailbox_open(&c->spec, &c->content, &c->box, v) < 0)
			goto back;
		d->locks_broken += mailbox_locks_broken(c->box);
		d->repaired += mailbox_repaired(c->box);
		d->size += mailbox_size(c->box);
	}
	/* The sizes are known now, and nothing has happened yet. */
	if (d->agent->mode == DELIVERY_REAL && !d->quotas &&
	    quotas_reserve(d->agent, d->began_us, &d->plan, &d->quotas, v) < 0)
		goto back;
	return 0;
back:
	/* Nothing is held while we wait for another mailbox. */
	for (size_t i = 0; i < d->plan.copy_count; i++)
		mailbox_close(&d->plan.copies[i].box);
	d->size = 0;
	return -1;
}

/* The header that goes along: our mark, so that mail that comes back is known,
 * and the message's own fields without those of earlier deliveries. */
static int
forward_header(const struct delivery *d, const struct plan_redirect *r,
    struct buf *out, struct verdict *v)
{
	const struct resolution *res = d->who->resolution;
	const struct spool *spool = d->parcel->spool;
	struct source header = spool->source;
	struct content c = { .message = &header, .body = spool->body,
	    .header = r->header, .drop = trace_dropped,
	    .drops = trace_dropped_count };

	header.n = spool->body;
	buf_addz(out, "Delivered-To: ");
	if (r->target) {
		buf_adds(out, r->target->address);
	} else {
		buf_adds(out, res->local);
		buf_addc(out, '@');
		buf_adds(out, res->domain);
	}
	buf_addc(out, '\n');
	buf_adds(out, r->mark);
	if (content_write(&c, CONTENT_PLAIN, add_to_buf, out) < 0)
		return out->full ? verdict_set(v, V_TOO_BIG, "header to forward") :
		    verdict_errno(v, errno, "read spooled message");
	/* A message without a header of its own gets the blank line here. */
	if (!str_ends(buf_str(out), STR("\n\n")) &&
	    !str_ends(buf_str(out), STR("\r\n")))
		buf_addc(out, '\n');
	return out->full ? verdict_set(v, V_TOO_BIG, "header to forward") : 0;
}

/* Who asks for notifications, or for delivery by some time, gets them: RFC 6009
 * sections 6.1 and 7.1. The null sender stays. */
static bool
owner_sends(const struct delivery *d, const struct plan_redirect *r)
{
	return r->action && r->target && d->parcel->envelope->sender.n &&
	    (r->action->notify.n || r->action->ret.n ||
	    r->action->flags & ENGINE_F_BYTIME);
}

static int
forward_one(const struct delivery *d, const struct plan_redirect *r,
    struct verdict *v)
{
	struct submit_job job = {
		.command = r->settings->submit,
		.timeout_ms = r->settings->submit_timeout,
		.to = &r->to,
		.to_count = 1,
		.message = r->message ? r->message : &d->parcel->spool->source,
		.start = r->message ? 0 : d->parcel->spool->body,
		.hostname = d->agent->hostname,
	};
	struct buf head, sender;
	int result;

	if (r->action) {
		job.notify = r->action->notify;
		job.ret = r->action->ret;
	}
	buf_init(&head, HEADER_MAX);
	buf_init(&sender, SENDER_MAX);
	result = forward_header(d, r, &head, v);
	if (result == 0)
		result = owner_sends(d, r) ?
		    buf_adds(&sender, r->target->address) :
		    effects_sender(r->settings, d->parcel, &sender, v);
	if (result == 0) {
		job.head = buf_str(&head);
		job.sender = buf_str(&sender);
		result = submit_run(&job, v);
	}
	if (result == 0)
		metrics_add(METRIC_REDIRECTS, 1);
	buf_release(&head);
	buf_release(&sender);
	return result;
}

/*
 * Redirects that are done are noted before the message may still be refused
 * for now: when the MTA tries again, they are not done again (MISSION V4).
 * With one redirect and nothing else there is no half-done state to note.
 */
static bool
needs_notes(const struct delivery *d)
{
	return d->plan.redirect_count + d->plan.copy_count > 1 &&
	    d->plan.redirect_count > 0;
}

static int
redirect_key(const struct delivery *d, struct str to, struct buf *key,
    struct verdict *v)
{
	struct buf recipient;
	int r;

	buf_init(&recipient, SENDER_MAX);
	buf_adds(&recipient, d->who->resolution->local);
	buf_addc(&recipient, '@');
	buf_adds(&recipient, d->who->resolution->domain);
	r = state_message_key(&d->parcel->spool->source, 0,
	    d->parcel->envelope->sender, buf_str(&recipient), key);
	buf_release(&recipient);
	if (r < 0)
		return verdict_errno(v, errno, "read spooled message");
	buf_addc(key, ' ');
	return buf_adds(key, to);
}

static int
forward_noted(struct delivery *d, const struct plan_redirect *r,
    struct verdict *v)
{
	struct state_mark mark = { .kind = STATE_REDIRECT,
	    .seconds = NOTE_SECONDS };
	struct verdict ignored = VERDICT_INIT;
	struct buf key;
	int result = -1;

	buf_init(&key, SENDER_MAX);
	if (redirect_key(d, r->to, &key, v) < 0)
		goto out;
	mark.key = buf_str(&key);
	/* A state that cannot be asked stops no mail: then a retry may hand
	 * on a second time, which is better than never. */
	if (state_seen(d->state, mark.kind, mark.key, &ignored) == STATE_YES) {
		result = 0;
		goto out;
	}
	if (state_prepare(d->state, &ignored) < 0)
		log_say(SET_LOG_WARNING, "%s: state: %s", d->parcel->id,
		    ignored.detail);
	result = forward_one(d, r, v);
	if (result == 0 && state_mark(d->state, &mark, 1, STATE_SYNC,
	    &ignored) < 0)
		log_say(SET_LOG_WARNING, "%s: redirect not noted: %s",
		    d->parcel->id, ignored.detail);
out:
	buf_release(&key);
	return result;
}

/* All is done: the notes go, or the same letter sent anew would be taken for
 * a retry. */
static void
forget_notes(struct delivery *d)
{
	struct verdict ignored = VERDICT_INIT;
	struct buf key;

	for (size_t i = 0; i < d->plan.redirect_count; i++) {
		struct state_mark mark = { .kind = STATE_REDIRECT };

		buf_init(&key, SENDER_MAX);
		if (redirect_key(d, d->plan.redirects[i].to, &key, &ignored) == 0) {
			mark.key = buf_str(&key);
			if (state_forget(d->state, &mark, 1, &ignored) < 0)
				log_say(SET_LOG_WARNING, "%s: note stays: %s",
				    d->parcel->id, ignored.detail);
		}
		buf_release(&key);
	}
}

static int
forward(struct delivery *d, struct verdict *v)
{
	const struct resolution *res = d->who->resolution;

	if (needs_notes(d) && !d->state)
		d->state = effects_state(d->settings, res->local, res->domain);
	for (size_t i = 0; i < d->plan.redirect_count; i++) {
		const struct plan_redirect *r = &d->plan.redirects[i];

		if (d->state ? forward_noted(d, r, v) < 0 :
		    forward_one(d, r, v) < 0)
			return -1;
	}
	return 0;
}

/* A step of every copy, one after the other. */
static int
each_copy(struct delivery *d, int (*step)(struct mailbox *mb,
    struct verdict *v), struct verdict *v)
{
	for (size_t i = 0; i < d->plan.copy_count; i++)
		if (step(d->plan.copies[i].box, v) < 0)
			return -1;
	return 0;
}

/* --- the delivery log ---------------------------------------------------------------- */

/* What only this delivery's copies have in their Received field, as trace_add
 * writes it. */
static struct str
delivery_mark(const char *id, char out[REDO_MARK_MAX])
{
	int n = snprintf(out, REDO_MARK_MAX, "\n\tid %s\n", id);

	return n < 0 || n >= REDO_MARK_MAX ? STR("") : str_mem(out, (size_t)n);
}

/* Can the log make all of this durable? */
static bool
can_log(const struct delivery *d)
{
	struct redo_copy c;
	size_t n = 0;

	if (!d->agent->redo || d->plan.copy_count == 0 ||
	    d->plan.copy_count > REDO_COPIES_MAX)
		return false;
	for (size_t i = 0; i < d->plan.copy_count; i++) {
		if (d->plan.copies[i].spec.sync != MAILBOX_SYNC ||
		    !mailbox_redo(d->plan.copies[i].box, &c) ||
		    !redo_covers(d->agent->redo, &c))
			return false;
		n += c.bytes.n;
	}
	return n <= REDO_RECORD_MAX;
}

static void
set_logged(struct delivery *d, bool logged)
{
	d->logged = logged;
	/* can_log has seen that all of them are to be synced. */
	for (size_t i = 0; i < d->plan.copy_count; i++)
		d->plan.copies[i].spec.sync = logged ? MAILBOX_NO_SYNC :
		    MAILBOX_SYNC;
}

static bool
add_to_log(struct delivery *d)
{
	struct redo_copy copies[REDO_COPIES_MAX];
	char mark[REDO_MARK_MAX];
	struct str text = delivery_mark(d->parcel->id, mark);

	for (size_t i = 0; i < d->plan.copy_count; i++) {
		if (!mailbox_redo(d->plan.copies[i].box, &copies[i]))
			return false;
		copies[i].mark = text;
	}
	d->record = redo_add(d->agent->redo, copies, d->plan.copy_count);
	return d->record != 0;
}

/* All but what the log is to have first. */
static int
publish_early(struct delivery *d, struct verdict *v)
{
	for (size_t i = 0; i < d->plan.copy_count; i++)
		if (!(d->logged &&
		    mailbox_redo_first(d->plan.copies[i].box)) &&
		    mailbox_publish(d->plan.copies[i].box, v) < 0)
			return -1;
	return 0;
}

/* The log does not do it: as if there were none. */
static void
unlog(struct delivery_job *job)
{
	if (job->result < 0 || !job->delivery->logged)
		return;
	set_logged(job->delivery, false);
	job->result = each_copy(job->delivery, mailbox_settle, job->verdict);
	if (job->result == 0)
		job->result = each_copy(job->delivery, mailbox_publish,
		    job->verdict);
}

/* Mail becomes durable by one sync of the log, and then all of it is
 * published. What the log does not take is not `logged` afterwards, and synced
 * where it lies. */
static void
write_log(struct delivery_job *jobs, size_t n)
{
	const struct agent *agent = n ? jobs[0].delivery->agent : NULL;
	bool begun = false, safe = true;

	for (size_t i = 0; i < n; i++) {
		struct delivery *d = jobs[i].delivery;

		if (jobs[i].result < 0 || !d->logged)
			continue;
		if (!begun && !redo_begin(agent->redo, agent->redo_slot))
			safe = false;
		begun = begun || safe;
		if (!safe || !add_to_log(d)) {
			metrics_add(METRIC_LOG_FULL, 1);
			unlog(&jobs[i]);
		} else {
			metrics_add(METRIC_LOGGED, 1);
		}
	}
	if (!begun)
		return;
	safe = redo_commit(agent->redo);
	for (size_t i = 0; i < n; i++) {
		struct delivery *d = jobs[i].delivery;

		if (!safe)
			unlog(&jobs[i]);
		else if (jobs[i].result == 0 && d->logged)
			jobs[i].result = each_copy(d, mailbox_publish,
			    jobs[i].verdict);
		if (jobs[i].result < 0 && d->record)
			redo_void(agent->redo, d->record);
	}
	/* Not before: the keeper syncs what was published until now. */
	redo_end(agent->redo, agent->redo_slot);
}

/* --- the end of several at once ---------------------------------------------------- */

/* One copy of one of the deliveries, for the steps that wait for the disk. */
struct disk_step {
	int (*step)(struct mailbox *mb, struct verdict *v);
	struct mailbox *box;
	struct verdict verdict;
	int result;
};

static void
run_step(void *thing)
{
	struct disk_step *s = thing;

	s->verdict = VERDICT_INIT;
	s->result = s->step(s->box, &s->verdict);
}

static bool
waits_for_disk(const struct delivery_job *job)
{
	return job->result == 0 && !job->delivery->logged;
}

/* A step of every copy of every job that is still well and that the log does
 * not care for, all at the same time: they wait for the disk together. */
static void
at_once(struct delivery_job *jobs, size_t n,
    int (*step)(struct mailbox *mb, struct verdict *v))
{
	size_t count = 0, k = 0;
	struct disk_step *steps;
	void **things;

	for (size_t i = 0; i < n; i++)
		if (waits_for_disk(&jobs[i]))
			count += jobs[i].delivery->plan.copy_count;
	if (count == 0)
		return;
	if (n == 1 && count == 1) {	/* most mail */
		jobs->result = each_copy(jobs->delivery, step, jobs->verdict);
		return;
	}
	steps = mem_zalloc(count, sizeof(*steps));
	things = mem_zalloc(count, sizeof(*things));
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; waits_for_disk(&jobs[i]) &&
		    c < jobs[i].delivery->plan.copy_count; c++) {
			steps[k].step = step;
			steps[k].box = jobs[i].delivery->plan.copies[c].box;
			things[k] = &steps[k];
			k++;
		}
	together(run_step, things, count);
	k = 0;
	for (size_t i = 0; i < n; i++) {
		size_t copies = waits_for_disk(&jobs[i]) ?
		    jobs[i].delivery->plan.copy_count : 0;

		for (size_t c = 0; c < copies; c++, k++)
			if (steps[k].result < 0 && jobs[i].result == 0) {
				jobs[i].result = -1;
				*jobs[i].verdict = steps[k].verdict;
			}
	}
	free(things);
	free(steps);
}

/* One copy is not safe, so the MTA will come again: the others, synced or
 * not, must not be there twice then. The locks are still ours. */
static void
retract(struct delivery *d)
{
	for (size_t i = 0; i < d->plan.copy_count; i++)
		mailbox_retract(d->plan.copies[i].box);
}

void
delivery_finish(struct delivery *d)
{
	if (!d || !d->stored || d->finished)
		return;
	d->finished = true;
	/* Locks are given back before anything slow is done. */
	for (size_t i = 0; i < d->plan.copy_count; i++)
		mailbox_close(&d->plan.copies[i].box);
	if (d->state)
		forget_notes(d);
}

void
delivery_follow(struct delivery *d)
{
	if (!d || !d->stored)
		return;
	delivery_finish(d);
	d->stored = false;
	quotas_tell(&d->quotas);
	effects_run(d->agent, d->parcel, d->who, &d->plan);
}

void
delivery_commit_all(struct delivery_job *jobs, size_t n)
{
	if (n && jobs[0].delivery->agent->mode == DELIVERY_REHEARSAL) {
		for (size_t i = 0; i < n; i++)
			jobs[i].result = verdict_ok(jobs[i].verdict,
			    "rehearsal, nothing written");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		jobs[i].result = 0;
		if (can_log(jobs[i].delivery))
			set_logged(jobs[i].delivery, true);
	}
	at_once(jobs, n, mailbox_settle);
	for (size_t i = 0; i < n; i++)
		if (jobs[i].result == 0)
			jobs[i].result = forward(jobs[i].delivery,
			    jobs[i].verdict);
	for (size_t i = 0; i < n; i++)
		if (jobs[i].result == 0)
			jobs[i].result = publish_early(jobs[i].delivery,
			    jobs[i].verdict);
	write_log(jobs, n);
	at_once(jobs, n, mailbox_sync);
	for (size_t i = 0; i < n; i++)
		if (jobs[i].result == 0 && jobs[i].delivery->logged)
			jobs[i].result = each_copy(jobs[i].delivery,
			    mailbox_sync, jobs[i].verdict);
	for (size_t i = 0; i < n; i++)
		if (jobs[i].result < 0) {
			retract(jobs[i].delivery);
		} else {
			struct delivery *d = jobs[i].delivery;

			/* Before anybody is told: who asks then for the quota
			 * finds the message in it. */
			quotas_settle(d->quotas, &d->plan);
			d->stored = true;
			jobs[i].result = verdict_ok(jobs[i].verdict, "stored");
		}
}

int
delivery_commit(struct delivery *d, struct verdict *v)
{
	struct delivery_job job = { .delivery = d, .verdict = v };

	delivery_commit_all(&job, 1);
	delivery_finish(d);
	return job.result;
}

int
delivery_find(const struct delivery *d, pid_t pid, time_t since,
    const char *id, struct verdict *v)
{
	char mark[REDO_MARK_MAX];
	struct str text = delivery_mark(id, mark);
	int r = 0;

	if (text.n == 0)
		return 0;
	for (size_t i = 0; i < d->plan.copy_count; i++) {
		r = mailbox_find(&d->plan.copies[i].spec, pid, since, text, v);
		if (r != 1)
			return r;
	}
	return r;
}

void
delivery_close(struct delivery **d)
{
	if (!*d)
		return;
	for (size_t i = 0; i < (*d)->plan.copy_count; i++)
		mailbox_close(&(*d)->plan.copies[i].box);
	quotas_release(&(*d)->quotas);
	state_close(&(*d)->state);
	plan_release(&(*d)->plan);
	give_back(*d);
	*d = NULL;
}

int
delivery_run(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *addressee, struct delivery **d_r,
    struct verdict *v)
{
	struct timespec nap = { .tv_nsec = PREPARE_NAP_MS * 1000000L };
	int64_t deadline, left;

	if (delivery_open(agent, parcel, addressee, d_r, v) < 0)
		return -1;
	left = delivery_patience(*d_r);
	deadline = clock_mono_ms() + left;
	/* Busy before the time is up: room that others have reserved. */
	while (delivery_prepare(*d_r, left, v) < 0) {
		left = deadline - clock_mono_ms();
		if (v->why != V_BOX_BUSY || left <= 0 ||
		    (agent->stop && agent->stop()))
			return -1;
		(void)nanosleep(&nap, NULL); /* sooner does no harm */
	}
	if (delivery_commit(*d_r, v) < 0)
		return -1;
	delivery_follow(*d_r);
	return 0;
}

struct str
delivery_boxes(const struct delivery *d)
{
	return buf_str(&d->plan.boxes);
}

const struct plan_scan *
delivery_scan(const struct delivery *d)
{
	return &d->plan.scan;
}

struct str
delivery_trace(const struct delivery *d)
{
	return buf_str(&d->plan.trace);
}

const struct plan_content *
delivery_content(const struct delivery *d)
{
	return &d->plan.content;
}

uint64_t
delivery_size(const struct delivery *d)
{
	return d->size;
}

uint64_t
delivery_repaired(const struct delivery *d)
{
	return d->repaired;
}

unsigned
delivery_locks_broken(const struct delivery *d)
{
	return d->locks_broken;
}

int64_t
delivery_patience(const struct delivery *d)
{
	return (int64_t)d->settings->lock_timeout;
}
