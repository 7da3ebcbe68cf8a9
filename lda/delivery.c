#include "lda/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lda/plan.h"
#include "lda/submit.h"
#include "store/base/clock.h"
#include "store/base/mem.h"
#include "store/mailbox.h"

/* Plan of one recipient: paths, headers, addresses of its targets. */
#define DELIVERY_ARENA (4 * 1024 * 1024)
/* Header of a message that is passed on. */
#define HEADER_MAX (32u * 1024 * 1024)

struct delivery {
	const struct agent *agent;
	const struct parcel *parcel;
	const struct addressee *who;
	struct arena arena;
	struct plan plan;
	const struct settings *settings;	/* of the recipient's domain */
	uint64_t size, repaired;
	unsigned locks_broken;
};

int
parcel_init(struct parcel *p, const struct spool *spool,
    const struct envelope *envelope, struct verdict *v)
{
	static unsigned count;
	int64_t now = clock_now_us();

	*p = (struct parcel){ .spool = spool, .envelope = envelope,
	    .when = (time_t)(now / 1000000) };
	(void)snprintf(p->id, sizeof(p->id), "%llx.%x.%x",
	    (unsigned long long)now, (unsigned)getpid() & 0xffffffu,
	    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) & 0xffffu); /* fits */
	return trace_scan(spool, &p->trace, NULL, NULL, v);
}

int
delivery_open(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *addressee, struct delivery **d_r,
    struct verdict *v)
{
	struct delivery *d = mem_zalloc(1, sizeof(*d));

	d->agent = agent;
	d->parcel = parcel;
	d->who = addressee;
	arena_init(&d->arena, DELIVERY_ARENA);
	d->settings = config_domain(agent->config,
	    addressee->resolution->domain);
	*d_r = d;		/* the caller closes it, failed or not */
	return plan_make(agent, parcel, addressee, &d->arena, &d->plan, v);
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
		if (check_space(c->settings, &c->spec, v) < 0 ||
		    mailbox_open(&c->spec, &c->content, &c->box, v) < 0)
			goto back;
		d->locks_broken += mailbox_locks_broken(c->box);
		d->repaired += mailbox_repaired(c->box);
		d->size += mailbox_size(c->box);
	}
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
	if (content_write(&c, CONTENT_PLAIN, add_to_buf, out) < 0)
		return out->full ? verdict_set(v, V_TOO_BIG, "header to forward") :
		    verdict_errno(v, errno, "read spooled message");
	/* A message without a header of its own gets the blank line here. */
	if (!str_ends(buf_str(out), STR("\n\n")) &&
	    !str_ends(buf_str(out), STR("\r\n")))
		buf_addc(out, '\n');
	return out->full ? verdict_set(v, V_TOO_BIG, "header to forward") : 0;
}

static int
forward_one(const struct delivery *d, const struct plan_redirect *r,
    struct verdict *v)
{
	struct submit_job job = {
		.command = r->settings->submit,
		.timeout_ms = r->settings->submit_timeout,
		.sender = d->parcel->envelope->sender,
		.to = &r->to,
		.to_count = 1,
		.message = &d->parcel->spool->source,
		.start = d->parcel->spool->body,
	};
	struct buf head;
	int result;

	buf_init(&head, HEADER_MAX);
	result = forward_header(d, r, &head, v);
	if (result == 0) {
		job.head = buf_str(&head);
		result = submit_run(&job, v);
	}
	buf_release(&head);
	return result;
}

static int
forward(const struct delivery *d, struct verdict *v)
{
	for (size_t i = 0; i < d->plan.redirect_count; i++)
		if (forward_one(d, &d->plan.redirects[i], v) < 0)
			return -1;
	return 0;
}

/* Each step for all copies before the next one for any: what they wait for
 * on disk is then shared. */
static int
commit_copies(struct delivery *d, struct verdict *v)
{
	for (size_t i = 0; i < d->plan.copy_count; i++)
		if (mailbox_publish(d->plan.copies[i].box, v) < 0)
			return -1;
	for (size_t i = 0; i < d->plan.copy_count; i++)
		if (mailbox_sync(d->plan.copies[i].box, v) < 0)
			return -1;
	return 0;
}

int
delivery_commit(struct delivery *d, struct verdict *v)
{
	if (d->agent->mode == DELIVERY_REHEARSAL)
		return verdict_ok(v, "rehearsal, nothing written");
	for (size_t i = 0; i < d->plan.copy_count; i++)
		if (mailbox_settle(d->plan.copies[i].box, v) < 0)
			return -1;
	if (forward(d, v) < 0 || commit_copies(d, v) < 0)
		return -1;
	return verdict_ok(v, "stored");
}

void
delivery_close(struct delivery **d)
{
	if (!*d)
		return;
	for (size_t i = 0; i < (*d)->plan.copy_count; i++)
		mailbox_close(&(*d)->plan.copies[i].box);
	plan_release(&(*d)->plan);
	arena_release(&(*d)->arena);
	free(*d);
	*d = NULL;
}

int
delivery_run(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *addressee, struct delivery **d_r,
    struct verdict *v)
{
	if (delivery_open(agent, parcel, addressee, d_r, v) < 0)
		return -1;
	if (delivery_prepare(*d_r, delivery_patience(*d_r), v) < 0)
		return -1;
	return delivery_commit(*d_r, v);
}

struct str
delivery_boxes(const struct delivery *d)
{
	return buf_str(&d->plan.boxes);
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
