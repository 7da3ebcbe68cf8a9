#include "lda/effects.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/message/address.h"
#include "lda/compose.h"
#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/place.h"
#include "lda/plan_world.h"
#include "lda/srs.h"
#include "lda/submit.h"
#include "store/base/clock.h"
#include "store/base/file.h"

/* One notice about a broken script per account in this time (MISSION V3). */
#define NOTICE_SECONDS 86400
/* A user's log is not written beyond this. */
#define USER_LOG_MAX ((off_t)1 << 20)
#define LINE_MAX 2000
#define ADDRESS_MAX 2000
#define KEY_MAX 4096

struct running {
	const struct agent *agent;
	const struct parcel *parcel;
	const struct addressee *who;
};

struct state *
effects_state(const struct settings *s, struct str local, struct str domain)
{
	struct state *state;
	struct buf path;

	buf_init(&path, ADDRESS_MAX);
	buf_adds(&path, domain);
	buf_addc(&path, '/');
	buf_adds(&path, local);
	buf_addz(&path, ".db");
	state = state_open(s->state_dir, path.p);
	buf_release(&path);
	return state;
}

static struct state *
state_of(const struct settings *s, const struct target *t)
{
	return effects_state(s, t->account.local, t->account.domain);
}

static void
complain(const struct running *run, const char *what, const struct verdict *v)
{
	log_say(SET_LOG_WARNING, "%s: %s: %s", run->parcel->id, what, v->detail);
}

/* --- our own messages --------------------------------------------------------- */

static void
fill_compose(const struct running *run, const struct plan_effect *e,
    struct compose *c, struct buf *postmaster)
{
	buf_addz(postmaster, e->settings->postmaster);
	if (str_chr(buf_str(postmaster), '@') < 0) {
		buf_addc(postmaster, '@');
		buf_adds(postmaster, e->target->account.domain);
	}
	*c = (struct compose){ .hostname = str_of(run->agent->hostname),
	    .postmaster = buf_str(postmaster), .user = e->target->address,
	    .now = run->parcel->when };
}

static int
send_out(const struct settings *s, struct str sender, struct str message,
    const struct str *to, size_t n, struct verdict *v)
{
	struct source src = { .mem = message.p, .fd = -1, .n = message.n };
	struct submit_job job = {
		.command = s->submit,
		.timeout_ms = s->submit_timeout,
		.sender = sender,
		.to = to,
		.to_count = n,
		.message = &src,
	};

	if (submit_run(&job, v) < 0)
		return -1;
	metrics_add(METRIC_REPLIES, 1);
	return 0;
}

/* Where a message of ours is put. */
struct own_place {
	struct str folder;		/* empty: INBOX */
	struct str flags;
	bool create;			/* even without autocreate */
};

/* A message of ours into a folder of the user's own. */
static int
store_own(const struct running *run, const struct target *t,
    const struct settings *s, const struct own_place *place,
    struct str message, struct verdict *v)
{
	struct source src = { .mem = message.p, .fd = -1, .n = message.n };
	struct content c = { .when = run->parcel->when, .message = &src,
	    .body = message.n };
	struct mailbox_spec spec;
	struct arena arena;
	ptrdiff_t blank = str_find(message, STR("\n\n"));
	int r = -1;

	if (blank >= 0)
		c.body = (uint64_t)blank + 2;
	arena_init(&arena, PLACE_ARENA);
	if (place_mailbox(s, t, place->folder, run->agent->hostname, &arena,
	    &spec, v) == 0) {
		if (place->create)
			spec.make = MAILBOX_MAY_MAKE;
		r = place_flags(place->flags, &arena, &spec) < 0 ?
		    verdict_set(v, V_NO_MEMORY, "arena is full") :
		    mailbox_deliver(&spec, &c, v);
	}
	arena_release(&arena);
	return r;
}

/* Where :fcc says (RFC 8580). */
static int
file_copy(const struct running *run, const struct plan_effect *e,
    struct str message, struct verdict *v)
{
	const struct engine_action *a = e->action;
	struct arena arena;
	struct plan_world world = { .agent = run->agent, .target = e->target,
	    .settings = e->settings, .arena = &arena };
	struct own_place place = { .flags = a->fcc_flags,
	    .create = a->flags & ENGINE_F_FCC_CREATE };
	int r;

	arena_init(&arena, PLACE_ARENA);
	if (plan_world_mailbox(&world, a->fcc, a->fcc_special_use,
	    a->fcc_mailbox_id, &place.folder) < 0)
		place.folder = a->fcc;
	r = store_own(run, e->target, e->settings, &place, message, v);
	arena_release(&arena);
	return r;
}

/* --- each effect ------------------------------------------------------------------ */

static void
vacation(const struct running *run, const struct plan_effect *e)
{
	const struct engine_action *a = e->action;
	struct state_mark mark = { .kind = STATE_VACATION,
	    .seconds = a->seconds };
	struct state *state = state_of(e->settings, e->target);
	struct buf message, postmaster, key;
	struct verdict v = VERDICT_INIT;
	struct compose c;

	buf_init(&message, COMPOSE_MAX);
	buf_init(&postmaster, ADDRESS_MAX);
	/* Each sender gets each answer once (RFC 5230 section 4.2). */
	buf_init(&key, KEY_MAX);
	buf_adds(&key, a->key);
	buf_addc(&key, ' ');
	for (size_t i = 0; i < a->address.n; i++)
		buf_addc(&key, ascii_lower(a->address.p[i]));
	mark.key = buf_str(&key);
	/* Marked before it is sent: of two deliveries at the same time one
	 * answers. An answer too few is better than two. */
	switch (state_claim(state, &mark, STATE_NO_SYNC, &v)) {
	case STATE_YES:
		goto out;
	case STATE_BROKEN:
		complain(run, "vacation not answered", &v);
		goto out;
	case STATE_NO:
		break;
	}
	fill_compose(run, e, &c, &postmaster);
	if (compose_vacation(&c, a, &message) < 0) {
		log_say(SET_LOG_WARNING, "%s: vacation answer is too large",
		    run->parcel->id);
	} else if (send_out(e->settings, STR(""), buf_str(&message),
	    &a->address, 1, &v) < 0) {
		complain(run, "vacation answer not sent", &v);
		(void)state_forget(state, &mark, 1, &v); /* the next one may */
	} else if (a->flags & ENGINE_F_FCC) {
		if (file_copy(run, e, buf_str(&message), &v) < 0)
			complain(run, "vacation answer not filed", &v);
	}
out:
	buf_release(&message);
	buf_release(&postmaster);
	buf_release(&key);
	state_close(&state);
}

/* RFC 5436 section 2.7: to the null sender nothing comes back; else :from,
 * or the user. */
static struct str
notify_sender(const struct running *run, const struct plan_effect *e,
    struct arena *arena)
{
	struct address from;
	const char *why;

	if (run->parcel->envelope->sender.n == 0)
		return STR("");
	if (e->action->from.n && address_parse(arena, e->action->from,
	    ADDRESS_NAMED, &from, &why) == 0)
		return from.spec;
	return e->target->address;
}

static void
notify(const struct running *run, const struct plan_effect *e)
{
	const struct engine_action *a = e->action;
	struct buf message, postmaster;
	struct verdict v = VERDICT_INIT;
	struct compose c;
	struct arena arena;

	arena_init(&arena, PLACE_ARENA);
	buf_init(&message, COMPOSE_MAX);
	buf_init(&postmaster, ADDRESS_MAX);
	fill_compose(run, e, &c, &postmaster);
	if (a->n_to == 0 || compose_notify(&c, a, &message) < 0)
		log_say(SET_LOG_WARNING, "%s: notification cannot be made",
		    run->parcel->id);
	else if (send_out(e->settings, notify_sender(run, e, &arena),
	    buf_str(&message), a->to, a->n_to, &v) < 0)
		complain(run, "notification not sent", &v);
	else if ((a->flags & ENGINE_F_FCC) &&
	    file_copy(run, e, buf_str(&message), &v) < 0)
		complain(run, "notification not filed", &v);
	buf_release(&message);
	buf_release(&postmaster);
	arena_release(&arena);
}

static void
reject_by_mail(const struct running *run, const struct plan_effect *e)
{
	const struct spool *spool = run->parcel->spool;
	struct compose_refused r = {
		.to = run->parcel->envelope->sender,
		.recipient = e->target->address,
		.original = run->who->original,
		.reason = e->action->reason,
		.message_id = str_of(run->parcel->trace.msgid),
	};
	struct buf message, postmaster, header;
	struct verdict v = VERDICT_INIT;
	struct compose c;
	struct str got;

	/* Never to the null sender (RFC 5429 section 2.1.1). */
	if (!r.to.n)
		return;
	buf_init(&message, COMPOSE_MAX);
	buf_init(&postmaster, ADDRESS_MAX);
	buf_init(&header, COMPOSE_ORIGINAL_MAX);
	if (buf_reserve(&header, COMPOSE_ORIGINAL_MAX) == 0 &&
	    source_read(&spool->source, 0, header.p,
	    spool->body < COMPOSE_ORIGINAL_MAX ? (size_t)spool->body :
	    COMPOSE_ORIGINAL_MAX, &got) == 0)
		r.header = got;
	fill_compose(run, e, &c, &postmaster);
	if (compose_reject(&c, &r, &message) < 0)
		log_say(SET_LOG_WARNING, "%s: refusal cannot be made",
		    run->parcel->id);
	else if (send_out(e->settings, STR(""), buf_str(&message), &r.to,
	    1, &v) < 0)
		complain(run, "refusal not sent", &v);
	buf_release(&message);
	buf_release(&postmaster);
	buf_release(&header);
}

static void
mark(const struct running *run, const struct plan_effect *e)
{
	struct state_mark m = { STATE_DUPLICATE, e->action->key,
	    e->action->seconds };
	struct state *state = state_of(e->settings, e->target);
	struct verdict v = VERDICT_INIT;

	if (state_mark(state, &m, 1, STATE_NO_SYNC, &v) < 0)
		complain(run, "duplicate not marked", &v);
	state_close(&state);
}

/* --- problems of scripts ------------------------------------------------------------ */

static void
user_log(const struct running *run, const struct plan_problem *p)
{
	struct verdict v = VERDICT_INIT;
	const char *root, *path;
	struct arena arena;
	struct buf line;
	struct stat st;
	int dir, fd = -1;

	arena_init(&arena, PLACE_ARENA);
	buf_init(&line, LINE_MAX);
	if (place_path("sieve_log", p->settings->sieve_log, p->settings,
	    &p->target->account, &arena, &root, &path, &v) < 0)
		goto out;
	dir = file_open_root(root);
	if (dir >= 0) {
		fd = file_open_beneath(dir, path, O_WRONLY | O_APPEND | O_CREAT,
		    0600);
		file_close(&dir);
	}
	/* No home, no log: ours has the line. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_nlink != 1 || st.st_size > USER_LOG_MAX)
		goto out;
	clock_iso(clock_now(), &line);
	buf_addz(&line, " msgid=");
	buf_addz(&line, run->parcel->trace.msgid);
	buf_addc(&line, ' ');
	for (size_t i = 0; i < p->text.n; i++)
		buf_addc(&line, ascii_iscntrl(p->text.p[i]) ? '?' : p->text.p[i]);
	buf_addc(&line, '\n');
	(void)file_write_all(fd, line.p, line.n); /* best effort */
out:
	file_close(&fd);
	buf_release(&line);
	arena_release(&arena);
}

/*
 * One mail a day says it to the user, at most, and only when it happens a
 * second time: what is wrong with one odd letter is in the log, a script that
 * fails on each is worth a letter.
 */
static void
notice(const struct running *run, const struct plan *plan,
    const struct plan_problem *first)
{
	struct state_mark once = { STATE_NOTICE, STR("sieve-once"),
	    NOTICE_SECONDS };
	struct state_mark m = { STATE_NOTICE, STR("sieve"), NOTICE_SECONDS };
	struct plan_effect e = { .target = first->target,
	    .settings = first->settings };
	struct state *state = state_of(first->settings, first->target);
	struct buf message, postmaster;
	struct verdict v = VERDICT_INIT;
	struct engine_errors errors;
	struct compose c;

	buf_init(&message, COMPOSE_MAX);
	buf_init(&postmaster, ADDRESS_MAX);
	engine_errors_init(&errors);
	if (state_claim(state, &once, STATE_NO_SYNC, &v) != STATE_YES ||
	    state_claim(state, &m, STATE_NO_SYNC, &v) != STATE_NO)
		goto out;
	for (size_t i = 0; i < plan->problem_count; i++)
		if (plan->problems[i].target == first->target)
			engine_errors_add(&errors, STR(""), 0, 0, "%.*s",
			    STR_ARG(plan->problems[i].text));
	fill_compose(run, &e, &c, &postmaster);
	if (compose_script_notice(&c, &errors, &message) < 0 ||
	    store_own(run, first->target, first->settings,
	    &(struct own_place){ .folder = STR("") }, buf_str(&message), &v) < 0)
		complain(run, "notice of a broken script not stored", &v);
out:
	engine_errors_release(&errors);
	buf_release(&message);
	buf_release(&postmaster);
	state_close(&state);
}

static void
tell_problems(const struct running *run, const struct plan *plan)
{
	const struct target *told = NULL;

	for (size_t i = 0; i < plan->problem_count; i++) {
		const struct plan_problem *p = &plan->problems[i];

		metrics_add(METRIC_SIEVE_ERRORS, 1);
		log_say(SET_LOG_WARNING, "%s: <%.*s>: sieve: %.*s",
		    run->parcel->id, STR_ARG(p->target->address),
		    STR_ARG(p->text));
		user_log(run, p);
		if (p->target != told)
			notice(run, plan, p);
		told = p->target;
	}
}

void
effects_run(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *who, const struct plan *plan)
{
	struct running run = { agent, parcel, who };

	for (size_t i = 0; i < plan->effect_count; i++) {
		const struct plan_effect *e = &plan->effects[i];

		if (plan->refused && e->action->kind != ENGINE_NOTIFY)
			continue;
		switch (e->action->kind) {
		case ENGINE_VACATION:
			vacation(&run, e);
			break;
		case ENGINE_NOTIFY:
			notify(&run, e);
			break;
		case ENGINE_REJECT:
		case ENGINE_EREJECT:
			reject_by_mail(&run, e);
			break;
		case ENGINE_MARK:
			mark(&run, e);
			break;
		default:
			break;	/* carried out before */
		}
	}
	tell_problems(&run, plan);
}

int
effects_sender(const struct settings *s, const struct parcel *parcel,
    struct buf *out, struct verdict *v)
{
	struct str sender = parcel->envelope->sender;
	struct srs *srs = NULL;
	enum srs_answer answer;

	buf_reset(out);
	if (!s->srs_domain[0] || !sender.n)
		return buf_adds(out, sender);
	if (srs_open(s->srs_secret_file, &srs, v) < 0)
		return -1;
	answer = srs_forward(srs, sender, str_of(s->srs_domain), parcel->when,
	    out, v);
	srs_close(&srs);
	switch (answer) {
	case SRS_DONE:
		return 0;
	case SRS_NOT_OURS:
		buf_reset(out);
		return buf_adds(out, sender);
	case SRS_REFUSED:
		break;
	}
	return -1;
}
