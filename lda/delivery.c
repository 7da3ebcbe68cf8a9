#include "lda/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lda/place.h"
#include "lda/submit.h"
#include "store/base/clock.h"
#include "store/base/mem.h"
#include "store/mailbox.h"

/* Plan of one recipient: paths, headers, addresses of its targets. */
#define DELIVERY_ARENA (4 * 1024 * 1024)
/* The fields that we add to one copy; two addresses and our own words. */
#define HEAD_MAX 16384
/* What the log shows of where it went. */
#define BOXES_MAX 2000

/* One local copy. */
struct copy {
	const struct target *target;
	struct mailbox_spec spec;
	struct content content;
	struct mailbox *box;
};

struct delivery {
	const struct agent *agent;
	const struct parcel *parcel;
	const struct addressee *who;
	struct arena arena;
	struct copy *copies;
	size_t copy_count;
	struct str *remote;
	size_t remote_count;
	const struct settings *settings;	/* of the recipient's domain */
	struct buf boxes;
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

static void
add_recipient(const struct resolution *res, struct buf *out)
{
	buf_adds(out, res->local);
	buf_addc(out, '@');
	buf_adds(out, res->domain);
}

static int
check_passed(const struct delivery *d, struct str address, struct verdict *v)
{
	struct trace_loop loop = { .address = address };
	struct trace again;

	if (trace_scan(d->parcel->spool, &again, trace_loop_look, &loop, v) < 0)
		return -1;
	if (loop.found)
		return verdict_set(v, V_LOOP, "delivered to this recipient before");
	return 0;
}

/* RFC 5321 section 6.3, and our own mark: Delivered-To of each mailbox that
 * gets a copy, and of the recipient whose mail we pass on. */
static int
check_loops(struct delivery *d, struct verdict *v)
{
	const struct resolution *res = d->who->resolution;
	struct buf address;
	int r = 0;

	if (d->parcel->trace.received > d->settings->hop_limit)
		return verdict_set(v, V_LOOP, "%u Received fields, hop_limit %llu",
		    d->parcel->trace.received,
		    (unsigned long long)d->settings->hop_limit);
	for (size_t i = 0; i < d->copy_count; i++)
		if (check_passed(d, d->copies[i].target->address, v) < 0)
			return -1;
	if (d->remote_count == 0)
		return 0;
	buf_init(&address, HEAD_MAX);
	add_recipient(res, &address);
	r = check_passed(d, buf_str(&address), v);
	buf_release(&address);
	return r;
}

static int
add_box(struct delivery *d, struct str prefix, const char *root,
    struct str path)
{
	if (d->boxes.n)
		buf_addc(&d->boxes, ',');
	buf_adds(&d->boxes, prefix);
	buf_addz(&d->boxes, root);
	if (root[0] && path.n)
		buf_addc(&d->boxes, '/');
	return buf_adds(&d->boxes, path);
}

static int
plan_copy(struct delivery *d, const struct target *t, struct verdict *v)
{
	const struct settings *s = config_domain(d->agent->config,
	    t->account.domain);
	struct copy *c = &d->copies[d->copy_count];
	struct trace_fields fields = {
		.envelope = d->parcel->envelope,
		.delivered_to = t->address,
		.original_to = d->who->original,
		.hostname = d->agent->hostname,
		.id = d->parcel->id,
		.when = d->parcel->when,
	};
	struct buf head;
	struct str copied;

	if (s->message_size_limit && d->parcel->spool->n > s->message_size_limit)
		return verdict_set(v, V_TOO_BIG, "%llu bytes",
		    (unsigned long long)d->parcel->spool->n);
	if (place_mailbox(s, t, d->who->folder, d->agent->hostname, &d->arena,
	    &c->spec, v) < 0)
		return -1;
	buf_init(&head, HEAD_MAX);
	trace_add(&fields, &head);
	copied = head.full ? (struct str){ NULL, 0 } :
	    arena_copy(&d->arena, buf_str(&head));
	buf_release(&head);
	if (!copied.p)
		return verdict_set(v, V_TROUBLE, "trace fields do not fit");
	c->target = t;
	c->content = (struct content){
		.sender = d->parcel->envelope->sender,
		.when = d->parcel->when,
		.head = copied,
		.message = &d->parcel->spool->source,
		.body = d->parcel->spool->body,
		.drop = trace_dropped,
		.drops = trace_dropped_count,
	};
	d->copy_count++;
	/* The log line may be cut, the delivery goes on. */
	(void)add_box(d, c->spec.format == MAILBOX_MBOX ? STR("mbox:") :
	    STR("maildir:"), c->spec.root, str_of(c->spec.path));
	return 0;
}

static int
plan(struct delivery *d, struct verdict *v)
{
	const struct resolution *res = d->who->resolution;
	size_t n = res->target_count;

	d->settings = config_domain(d->agent->config, res->domain);
	d->copies = arena_array(&d->arena, n, sizeof(*d->copies));
	d->remote = arena_array(&d->arena, n, sizeof(*d->remote));
	if (!d->copies || !d->remote)
		return verdict_set(v, V_NO_MEMORY, "%zu targets", n);
	for (size_t i = 0; i < n; i++) {
		const struct target *t = &res->targets[i];

		if (t->kind == TARGET_MAILBOX) {
			if (plan_copy(d, t, v) < 0)
				return -1;
		} else {
			d->remote[d->remote_count++] = t->address;
			(void)add_box(d, STR("forward:"), "", t->address);
		}
	}
	return check_loops(d, v);
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
	buf_init(&d->boxes, BOXES_MAX);
	*d_r = d;		/* the caller closes it, failed or not */
	return plan(d, v);
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
	if ((uint64_t)fs.f_bavail * fs.f_frsize < s->min_free_space)
		return verdict_set(v, V_NO_SPACE,
		    "%llu bytes free in %s, min_free_space %llu",
		    (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize),
		    spec->root, (unsigned long long)s->min_free_space);
	return 0;
}

static int
rehearse(struct copy *c, struct verdict *v)
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
	for (size_t i = 0; i < d->copy_count; i++) {
		struct copy *c = &d->copies[i];

		if (d->agent->mode == DELIVERY_REHEARSAL) {
			if (rehearse(c, v) < 0)
				return -1;
			continue;
		}
		if (c->box)
			continue;
		c->spec.lock.timeout_ms = wait_ms;
		c->spec.lock.stop = d->agent->stop;
		if (check_space(d->settings, &c->spec, v) < 0 ||
		    mailbox_open(&c->spec, &c->content, &c->box, v) < 0)
			goto back;
		d->locks_broken += mailbox_locks_broken(c->box);
		d->repaired += mailbox_repaired(c->box);
		d->size += mailbox_size(c->box);
	}
	return 0;
back:
	/* Nothing is held while we wait for another mailbox. */
	for (size_t i = 0; i < d->copy_count; i++)
		mailbox_close(&d->copies[i].box);
	d->size = 0;
	return -1;
}

static int
forward(struct delivery *d, struct verdict *v)
{
	struct submit_job job = {
		.command = d->settings->submit,
		.timeout_ms = d->settings->submit_timeout,
		.sender = d->parcel->envelope->sender,
		.to = d->remote,
		.to_count = d->remote_count,
		.message = &d->parcel->spool->source,
	};
	struct buf head;
	int r;

	if (d->remote_count == 0)
		return 0;
	/* Our mark, so that mail that comes back is known. */
	buf_init(&head, HEAD_MAX);
	buf_addz(&head, "Delivered-To: ");
	add_recipient(d->who->resolution, &head);
	buf_addc(&head, '\n');
	job.head = buf_str(&head);
	r = submit_run(&job, v);
	buf_release(&head);
	return r;
}

/* Each step for all copies before the next one for any: what they wait for
 * on disk is then shared. */
static int
commit_copies(struct delivery *d, struct verdict *v)
{
	for (size_t i = 0; i < d->copy_count; i++)
		if (mailbox_publish(d->copies[i].box, v) < 0)
			return -1;
	for (size_t i = 0; i < d->copy_count; i++)
		if (mailbox_sync(d->copies[i].box, v) < 0)
			return -1;
	return 0;
}

int
delivery_commit(struct delivery *d, struct verdict *v)
{
	if (d->agent->mode == DELIVERY_REHEARSAL)
		return verdict_ok(v, "rehearsal, nothing written");
	for (size_t i = 0; i < d->copy_count; i++)
		if (mailbox_settle(d->copies[i].box, v) < 0)
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
	for (size_t i = 0; i < (*d)->copy_count; i++)
		mailbox_close(&(*d)->copies[i].box);
	buf_release(&(*d)->boxes);
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
	return buf_str(&d->boxes);
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
