#include "lda/quota.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lda/log.h"
#include "lda/place.h"
#include "lda/quota_account.h"
#include "lda/quota_notice.h"
#include "store/base/mem.h"
#include "store/quota.h"

/* One target with limits. */
struct holding {
	const struct target *target;
	const struct settings *settings;
	struct quota_account account;
	struct quota_account_walk walk;
	struct quota_hold *hold;
	struct quota_news news;
	struct stat inbox;	/* an mbox that is open */
};

struct quotas {
	const struct agent *agent;
	struct arena arena;
	struct holding **list;
	size_t n;
	int64_t began_us;
};

/* Big enough for as many targets as there can be. */
#define QUOTAS_ARENA ((size_t)RESOLVE_TARGETS * PLACE_ARENA)

static void
answer_full(const struct settings *s, struct verdict *v)
{
	if (v->why == V_FULL && s->quota_full == SET_FULL_DEFER)
		v->why = V_FULL_FOR_NOW;
}

/* --- at RCPT ------------------------------------------------------------------------- */

static int
peek(const struct quota_account *a, uint64_t size, struct verdict *v)
{
	struct quota_found f;
	int r;

	quota_found_init(&f);
	r = quota_usage(&a->place, QUOTA_PEEK, &f, v);
	if (r == 0)
		r = quota_usage(&a->place, QUOTA_SCAN, &f, v);
	if (r > 0 && ((a->place.limits.bytes && f.usage.bytes + size >
	    a->place.limits.bytes + (f.usage.bytes < a->place.limits.bytes ?
	    a->grace : 0)) || (a->place.limits.messages &&
	    f.usage.messages >= a->place.limits.messages)))
		r = verdict_set(v, V_FULL, "%llu bytes and %llu messages used",
		    (unsigned long long)f.usage.bytes,
		    (unsigned long long)f.usage.messages);
	else
		r = 0;
	quota_found_release(&f);
	return r;
}

static int
check_target(const struct agent *agent, const struct target *t,
    const struct settings *s, uint64_t size, struct verdict *v)
{
	struct quota_account_walk walk;
	struct quota_account a;
	struct quota_news news = { .percent = 0 };
	struct arena arena;
	int r;

	arena_init(&arena, PLACE_ARENA);
	if (agent->mode == DELIVERY_REAL &&
	    quota_account_brief(s, t, &arena, &a, v) == 0 &&
	    quota_glance(&a, size)) {
		arena_release(&arena);
		return 0;
	}
	r = quota_account_fill(s, t, agent->resolver->directory, &arena, &walk,
	    &a, v);
	if (r == 0)
		r = agent->mode == DELIVERY_REHEARSAL ? peek(&a, size, v) :
		    quota_check(&a, size, &news, v);
	if (news.full)
		quota_notice(agent, t, s, &news);
	/* Trouble is the delivery's to tell. */
	if (r < 0 && v->why != V_FULL)
		r = 0;
	answer_full(s, v);
	arena_release(&arena);
	return r;
}

int
quotas_check(const struct agent *agent, const struct resolution *res,
    uint64_t size, struct verdict *v)
{
	struct verdict full;
	size_t remain = 0, refused = 0;

	verdict_init(&full);
	for (size_t i = 0; i < res->target_count; i++) {
		const struct target *t = &res->targets[i];
		const struct settings *s;

		if (t->kind != TARGET_MAILBOX) {
			remain++;
			continue;
		}
		s = config_domain(agent->config, t->account.domain);
		if (!quota_account_limited(s, t) || check_target(agent, t, s,
		    size ? size : QUOTA_SIZE_UNKNOWN, &full) == 0) {
			remain++;
			continue;
		}
		refused++;
		*v = full;
		if (full.why == V_FULL_FOR_NOW)
			return -1;
	}
	return refused && !remain ? -1 : 0;
}

/* --- at delivery ------------------------------------------------------------------------ */

static void
leave_out(struct plan *plan, const struct target *t)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->copy_count; i++) {
		if (plan->copies[i].target == t)
			mailbox_close(&plan->copies[i].box);
		else
			plan->copies[n++] = plan->copies[i];
	}
	plan->copy_count = n;
}

static bool
something_else(const struct plan *plan, const struct target *t)
{
	for (size_t i = 0; i < plan->copy_count; i++)
		if (plan->copies[i].target != t)
			return true;
	return plan->redirect_count > 0;
}

/* What is open already need not be sought by its path. */
static void
look_into(struct holding *h, const struct plan_copy *c)
{
	struct quota_place *p = &h->account.place;
	int fd = mailbox_descriptor(c->box);

	if (p->format == MAILBOX_MAILDIR) {
		if (fd > 0)
			p->dir = fd;
	} else if (strcmp(c->spec.path, p->path) == 0 &&
	    strcmp(c->spec.root, p->root) == 0 && fstat(fd, &h->inbox) == 0) {
		p->inbox = &h->inbox;
	}
}

/* The copies together may pass the limit by what each of them may. */
static void
least_extra(struct holding *h, const struct plan_copy *c, bool first)
{
	struct maildirsize_limits *least = &h->account.extra, extra;

	quota_account_extra(h->settings, &h->account, &c->spec, &extra);
	if (first || extra.bytes < least->bytes)
		least->bytes = extra.bytes;
	if (first || extra.messages < least->messages)
		least->messages = extra.messages;
}

/* What the target's copies take together. */
static void
sum_copies(const struct plan *plan, struct holding *h,
    uint64_t *bytes_r, uint64_t *messages_r)
{
	*bytes_r = *messages_r = 0;
	for (size_t i = 0; i < plan->copy_count; i++) {
		const struct plan_copy *c = &plan->copies[i];

		if (c->target != h->target || c->apart ||
		    quota_account_exempt(&h->account, &c->spec))
			continue;
		look_into(h, c);
		least_extra(h, c, *messages_r == 0);
		*bytes_r += mailbox_size(c->box);
		(*messages_r)++;
	}
}

static struct holding *
add(struct quotas *q, const struct plan_copy *c)
{
	struct holding *h = mem_zalloc(1, sizeof(*h));

	h->target = c->target;
	h->settings = c->settings;
	q->list = mem_realloc(q->list, (q->n + 1) * sizeof(struct holding *));
	q->list[q->n++] = h;
	return h;
}

static bool
known(const struct quotas *q, const struct target *t)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->list[i]->target == t)
			return true;
	return false;
}

static int
reserve_target(struct quotas *q, struct plan *plan,
    const struct plan_copy *c, struct verdict *v)
{
	struct holding *h = add(q, c);
	uint64_t bytes, messages;
	int r;

	if (quota_account_fill(h->settings, h->target,
	    q->agent->resolver->directory, &q->arena, &h->walk, &h->account,
	    v) < 0)
		return -1;
	h->account.since_us = q->began_us;
	sum_copies(plan, h, &bytes, &messages);
	if (messages == 0)
		return 0;
	r = quota_reserve(&h->account, bytes, messages, &h->hold, &h->news, v);
	if (r == 0)
		return 0;
	answer_full(h->settings, v);
	if (v->why != V_FULL || !something_else(plan, h->target))
		return -1;
	log_say(SET_LOG_WARNING, "quota: <%.*s> is left out: %s",
	    STR_ARG(h->target->address), v->detail);
	leave_out(plan, h->target);
	return 0;
}

int
quotas_reserve(const struct agent *agent, int64_t began_us,
    struct plan *plan, struct quotas **q_r, struct verdict *v)
{
	struct quotas *q = NULL;
	int r = 0;

	for (size_t i = 0; i < plan->copy_count && r == 0; i++) {
		const struct plan_copy *c = &plan->copies[i];
		size_t before = plan->copy_count;

		if (c->apart || !quota_account_limited(c->settings, c->target))
			continue;
		if (!q) {
			q = mem_zalloc(1, sizeof(*q));
			q->agent = agent;
			q->began_us = began_us;
			arena_init(&q->arena, QUOTAS_ARENA);
		}
		if (known(q, c->target))
			continue;
		r = reserve_target(q, plan, c, v);
		if (plan->copy_count != before)
			i--;	/* others have moved up */
	}
	if (r < 0) {
		/* Told when nothing is locked any more: see quotas_release. */
		for (size_t i = 0; q && i < plan->copy_count; i++)
			mailbox_close(&plan->copies[i].box);
		quotas_release(&q);
		return -1;
	}
	*q_r = q;
	return 0;
}

void
quotas_settle(struct quotas *q, const struct plan *plan)
{
	struct verdict v;

	verdict_init(&v);
	for (size_t i = 0; q && i < q->n; i++) {
		struct holding *h = q->list[i];

		if (!h->hold)
			continue;
		for (size_t k = 0; k < plan->copy_count; k++)
			if (plan->copies[k].target == h->target &&
			    !plan->copies[k].apart)
				quota_wrote(h->hold, plan->copies[k].spec.root,
				    plan->copies[k].spec.path,
				    mailbox_descriptor(plan->copies[k].box));
		if (quota_settle(&h->hold, &h->news, &v) < 0)
			log_say(SET_LOG_WARNING, "quota of <%.*s> is counted at "
			    "its next mail: %s", STR_ARG(h->target->address),
			    v.detail);
	}
}

/* Warnings of what was stored; quotas_release tells of what was refused. */
void
quotas_tell(struct quotas **q)
{
	for (size_t i = 0; *q && i < (*q)->n; i++) {
		const struct holding *h = (*q)->list[i];

		if (h->news.warning)
			quota_notice((*q)->agent, h->target, h->settings,
			    &h->news);
	}
	quotas_release(q);
}

void
quotas_release(struct quotas **q)
{
	if (!*q)
		return;
	for (size_t i = 0; i < (*q)->n; i++) {
		struct holding *h = (*q)->list[i];

		quota_release(&h->hold);
		/* Once told is never told again, so it is told here, too. */
		if (h->news.full)
			quota_notice((*q)->agent, h->target, h->settings,
			    &h->news);
		free(h);
	}
	free((*q)->list);
	arena_release(&(*q)->arena);
	free(*q);
	*q = NULL;
}
