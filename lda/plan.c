#include "lda/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filters/message/utf8.h"
#include "lda/content_memo.h"
#include "lda/filter.h"
#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/place.h"
#include "lda/plan_content.h"
#include "lda/plan_scan.h"
#include "lda/plan_world.h"
#include "lda/script_cache.h"
#include "lda/scripts.h"
#include "lda/sieve_set.h"
#include "lda/trace.h"
#include "store/base/mem.h"

/* The fields that we add to one copy; two addresses and our own words. */
#define HEAD_MAX 16384
/* What the log shows of where it went. */
#define BOXES_MAX 2000
/* What a rehearsal shows. */
#define TRACE_MAX (1024 * 1024)
/* Of a script's problem, this much is told. */
#define PROBLEM_MAX 600
/* Bytes of a line of a reason: with code and line end it is shorter than the 512
 * octets of RFC 5321 section 4.5.3.1.5. */
#define REASON_LINE 400
/* Of the message as it came, for a body that a script makes. */
#define PIECE ((size_t)64 * 1024)

struct planner {
	struct lists lists;		/* of the mailbox being planned */
	struct metadata metadata;	/* likewise */
	const struct agent *agent;
	const struct parcel *parcel;
	const struct addressee *who;
	struct plan *p;
	struct verdict *v;
	struct str scan_mark;	/* the scanner's field for the target at hand */
	struct str mark;	/* that and the policy's */
	size_t refused;		/* targets that may not have the message */
};

static int
full(const struct planner *pl)
{
	return verdict_set(pl->v, V_NO_MEMORY, "the plan is too large");
}

/* Room for one more: doubles whenever the count reaches a power of two. */
static void *
more(void *list, size_t count, size_t size)
{
	if (count & (count - 1))
		return list;
	return mem_realloc(list, (count ? 2 * count : 1) * size);
}

static void
tell_box(struct plan *p, struct str prefix, const char *root, struct str path)
{
	/* The log line may be cut, the delivery goes on. */
	if (p->boxes.n)
		(void)buf_addc(&p->boxes, ',');
	(void)buf_adds(&p->boxes, prefix);
	(void)buf_addz(&p->boxes, root);
	if (root[0] && path.n)
		(void)buf_addc(&p->boxes, '/');
	(void)buf_adds(&p->boxes, path);
}

static int
problem(const struct planner *pl, const struct target *t,
    const struct settings *s, struct str text)
{
	struct plan_problem *x;

	if (pl->p->problem_count == PLAN_COPIES_MAX)
		return 0;
	pl->p->problems = more(pl->p->problems, pl->p->problem_count, sizeof(*x));
	if (pl->agent->mode == DELIVERY_REHEARSAL) {
		/* The user's log has it; who rehearses wants it now. */
		(void)buf_addz(&pl->p->trace, "error: ");
		(void)buf_adds(&pl->p->trace, text);
		(void)buf_addc(&pl->p->trace, '\n');
	}
	x = &pl->p->problems[pl->p->problem_count++];
	*x = (struct plan_problem){ .target = t, .settings = s,
	    .text = arena_copy(pl->p->arena, str_sub(text, 0, PROBLEM_MAX)) };
	return x->text.p ? 0 : full(pl);
}

/* --- copies ----------------------------------------------------------------------- */

static int
trace_head(const struct planner *pl, const struct target *t,
    struct str *head_r)
{
	struct trace_fields fields = {
		.envelope = pl->parcel->envelope,
		.delivered_to = t->address,
		.original_to = pl->who->original,
		.hostname = pl->agent->hostname,
		.id = pl->parcel->id,
		.when = pl->parcel->when,
		.content = pl->mark,
	};
	struct buf head;

	buf_init(&head, HEAD_MAX);
	trace_add(&fields, &head);
	*head_r = head.full ? (struct str){ NULL, 0 } :
	    arena_copy(pl->p->arena, buf_str(&head));
	buf_release(&head);
	return head_r->p ? 0 : verdict_set(pl->v, V_TROUBLE,
	    "trace fields do not fit");
}

static bool
same_box(const struct mailbox_spec *a, const struct mailbox_spec *b)
{
	return strcmp(a->root, b->root) == 0 && strcmp(a->path, b->path) == 0 &&
	    strcmp(a->folder ? a->folder : "", b->folder ? b->folder : "") == 0;
}

/* Room for one more copy, with its place in a mailbox still to be said. */
static struct plan_copy *
new_copy(const struct planner *pl, const struct target *t,
    const struct settings *s)
{
	struct plan *p = pl->p;
	struct plan_copy *c;

	if (p->copy_count == PLAN_COPIES_MAX) {
		full(pl);
		return NULL;
	}
	p->copies = more(p->copies, p->copy_count, sizeof(*c));
	c = &p->copies[p->copy_count];
	*c = (struct plan_copy){ .target = t, .settings = s };
	return c;
}

/* The message as a script has left it. */
struct edition {
	struct str header;		/* p NULL: as it came */
	const struct source *body;	/* NULL: likewise */
};

static const struct edition as_it_came;

/* The copy becomes one of the plan, with what goes into it. */
static int
take_copy(const struct planner *pl, struct plan_copy *c, struct edition e)
{
	struct plan *p = pl->p;
	const struct target *t = c->target;

	/* One copy in each mailbox (RFC 5228 section 2.10.3). */
	for (size_t i = 0; i < p->copy_count; i++)
		if (same_box(&p->copies[i].spec, &c->spec))
			return 0;
	c->content = (struct content){
		.sender = pl->parcel->envelope->sender,
		.when = pl->parcel->when,
		.message = e.body ? e.body : &pl->parcel->spool->source,
		.body = e.body ? 0 : pl->parcel->spool->body,
		.header = e.header,
		.drop = trace_dropped,
		.drops = trace_dropped_count,
	};
	if (trace_head(pl, t, &c->content.head) < 0)
		return -1;
	p->copy_count++;
	tell_box(p, c->spec.format == MAILBOX_MBOX ? STR("mbox:") :
	    STR("maildir:"), c->spec.root, str_of(c->spec.path));
	if (c->spec.folder && c->spec.folder[0]) {
		(void)buf_addc(&p->boxes, '/');
		(void)buf_addz(&p->boxes, c->spec.folder);
	}
	return 0;
}

static int
add_copy(const struct planner *pl, const struct target *t,
    const struct settings *s, struct str folder, struct edition e,
    struct str flags)
{
	struct plan_copy *c = new_copy(pl, t, s);

	if (!c || place_mailbox(s, t, folder, pl->agent->hostname, pl->p->arena,
	    &c->spec, pl->v) < 0)
		return -1;
	if (place_flags(flags, pl->p->arena, &c->spec) < 0)
		return full(pl);
	return take_copy(pl, c, e);
}

/* For the questions of the scripts, and for where their actions go. */
static struct plan_world
world_of(struct planner *pl, const struct target *t, const struct settings *s)
{
	return (struct plan_world){ .agent = pl->agent, .target = t,
	    .settings = s, .arena = pl->p->arena, .lists = &pl->lists,
	    .metadata = &pl->metadata, .envelope = pl->parcel->envelope };
}

/* --- a script's plan ----------------------------------------------------------------- */

/* Are these the same bytes? Editions that differ in their header only. */
static bool
same_body(const struct engine_body *a, const struct engine_body *b)
{
	if (a->n_pieces != b->n_pieces)
		return false;
	for (size_t i = 0; i < a->n_pieces; i++) {
		const struct engine_piece *x = &a->pieces[i];
		const struct engine_piece *y = &b->pieces[i];

		if (!x->text.p != !y->text.p || x->n != y->n ||
		    (x->text.p ? !str_eq(x->text, y->text) :
		    x->back != y->back))
			return false;
	}
	return true;
}

/* A stretch of the message as it came. */
static int
add_old(const struct planner *pl, const struct engine_piece *p,
    struct spool *to, char *scratch)
{
	const struct source *spool = &pl->parcel->spool->source;
	uint64_t at = spool->n - p->back, end = at + p->n;
	struct str got;

	if (p->back > spool->n)
		return verdict_set(pl->v, V_TROUBLE, "a filter named bytes "
		    "that are not there");
	for (; at < end; at += got.n) {
		size_t want = end - at < PIECE ? (size_t)(end - at) : PIECE;

		if (source_read(spool, at, scratch, want, &got) < 0 ||
		    got.n == 0)
			return verdict_errno(pl->v, errno,
			    "read spooled message");
		if (spool_add(to, got.p, got.n, pl->v) < 0)
			return -1;
	}
	return 0;
}

static int
fill_body(const struct planner *pl, const struct engine_body *body,
    struct spool *to)
{
	char *scratch = mem_alloc(PIECE);
	int r = 0;

	for (size_t i = 0; i < body->n_pieces && r == 0; i++) {
		const struct engine_piece *p = &body->pieces[i];

		r = p->text.p ? spool_add(to, p->text.p, p->text.n, pl->v) :
		    add_old(pl, p, to, scratch);
	}
	free(scratch);
	return r;
}

/* The bytes of a body that a script has made; NULL with a verdict. What the
 * filter process says of it is not trusted. */
static const struct source *
made_body(const struct planner *pl, const struct engine_body *body)
{
	struct spool_how how = pl->parcel->spool->how;
	struct plan_body *b;

	for (b = pl->p->bodies; b; b = b->next)
		if (b->of == body || same_body(b->of, body))
			return &b->spool.source;
	how.limit = 0;		/* that of the filter's answer holds */
	b = mem_zalloc(1, sizeof(*b));
	b->of = body;
	spool_init(&b->spool, &how);
	if (fill_body(pl, body, &b->spool) < 0) {
		spool_release(&b->spool);
		free(b);
		return NULL;
	}
	spool_finish(&b->spool);
	b->next = pl->p->bodies;
	pl->p->bodies = b;
	return &b->spool.source;
}

static int
edition_of(const struct planner *pl, const struct engine_result *r,
    const struct engine_action *a, struct edition *e_r)
{
	*e_r = as_it_came;
	if (!a->edition)
		return 0;
	e_r->header = r->editions[a->edition];
	if (!r->bodies || !r->bodies[a->edition].n_pieces)
		return 0;
	e_r->body = made_body(pl, &r->bodies[a->edition]);
	return e_r->body ? 0 : -1;
}

static int
add_redirect(const struct planner *pl, struct plan_redirect redirect)
{
	struct plan *p = pl->p;

	if (p->redirect_count == PLAN_COPIES_MAX)
		return full(pl);
	p->redirects = more(p->redirects, p->redirect_count, sizeof(redirect));
	redirect.mark = pl->mark;
	p->redirects[p->redirect_count++] = redirect;
	tell_box(p, redirect.action ? STR("redirect:") : STR("forward:"), "",
	    redirect.to);
	return 0;
}

static int
add_effect(const struct planner *pl, const struct target *t,
    const struct settings *s, const struct engine_action *a)
{
	struct plan *p = pl->p;

	if (p->effect_count == PLAN_COPIES_MAX)
		return full(pl);
	p->effects = more(p->effects, p->effect_count, sizeof(*p->effects));
	p->effects[p->effect_count++] = (struct plan_effect){ .action = a,
	    .target = t, .settings = s };
	return 0;
}

/* What of a line of a reason makes a line of a reply, taken off *rest: at a blank
 * where there is one. */
static struct str
take_line(struct str *rest)
{
	struct str line = utf8_cut(*rest, REASON_LINE);

	if (line.n < rest->n) {
		ptrdiff_t blank = str_rchr(line, ' ');

		if (blank > 0)
			line.n = (size_t)blank;
	}
	*rest = str_trim(str_sub(*rest, line.n, rest->n));
	return line;
}

/* A reason line by line (RFC 5429 section 2.5). */
static void
say_reason(struct verdict *v, struct str reason)
{
	struct str part;

	v->text[0] = '\0';
	v->line[0] = 0;
	while (str_split(&reason, '\n', &part)) {
		part = str_trim(part);
		while (part.n) {
			size_t n = strlen(v->text), taken = n + (n > 0) + 1;
			struct str line = take_line(&part);

			if (taken >= VERDICT_TEXT)
				return;
			verdict_say_line(v, utf8_cut(line,
			    VERDICT_TEXT - taken));
		}
	}
}

/* A script said where to, and cannot have it: the inbox, and the owner is
 * told why. */
static int
into_inbox(struct planner *pl, const struct target *t,
    const struct settings *s, const struct engine_result *r,
    const struct engine_action *a, const char *why)
{
	struct edition e;
	struct buf text;
	int x;

	/* Like the errors of a run, SCRIPT:LINE: first. */
	buf_init(&text, PROBLEM_MAX);
	if (a->line)
		(void)buf_addf(&text, "%.*s:%u: ", STR_ARG(str_sub(a->script,
		    0, PROBLEM_MAX / 4)), a->line);
	if (a->mailbox.n)
		(void)buf_addf(&text, "fileinto \"%.*s\": ",
		    STR_ARG(str_sub(a->mailbox, 0, PROBLEM_MAX / 4)));
	(void)buf_addz(&text, why);	/* fits */
	x = problem(pl, t, s, buf_str(&text));
	buf_release(&text);
	if (x < 0 || edition_of(pl, r, a, &e) < 0)
		return -1;
	return add_copy(pl, t, s, STR(""), e, a->imap_flags);
}

/* Into a folder; a name that cannot be, or a folder that is not there and is
 * not to be made, is an error of the script: the mail goes to the inbox. */
static int
add_fileinto(struct planner *pl, const struct target *t,
    const struct settings *s, const struct engine_result *r,
    const struct engine_action *a)
{
	struct plan_copy *c;
	struct plan_world world = world_of(pl, t, s);
	size_t before = pl->p->copy_count, told = pl->p->boxes.n;
	const char *why = NULL;
	struct edition e;
	struct str mailbox;

	if (edition_of(pl, r, a, &e) < 0)
		return -1;
	if (plan_world_mailbox(&world, a->mailbox, a->special_use,
	    a->mailbox_id, &mailbox) < 0)
		return verdict_set(pl->v, V_TROUBLE, "the mailbox %.*s could "
		    "not be looked for", STR_ARG(a->special_use.n ?
		    a->special_use : a->mailbox_id));
	if (add_copy(pl, t, s, mailbox, e, a->imap_flags) < 0) {
		if (pl->v->why != V_BAD_ADDRESS)
			return -1;
		*pl->v = VERDICT_INIT;
		why = "the mailbox name is not usable";
	} else if (pl->p->copy_count > before &&
	    mailbox_obstructed(&pl->p->copies[before].spec)) {
		pl->p->copy_count = before;
		why = "another mailbox is in its way";
	} else if (pl->p->copy_count > before && !s->autocreate) {
		c = &pl->p->copies[before];
		if (a->flags & ENGINE_F_CREATE) {
			c->spec.make = MAILBOX_MAY_MAKE;
		} else {
			int there = mailbox_exists(&c->spec, pl->v);

			if (there < 0)
				return -1;
			if (!there) {
				pl->p->copy_count = before;
				why = "the mailbox does not exist";
			}
		}
	}
	if (!why)
		return 0;
	buf_cut(&pl->p->boxes, told);	/* it will not go there */
	return into_inbox(pl, t, s, r, a, why);
}

/* To each address of a list (RFC 6134 section 2.5). */
static int
redirect_list(struct planner *pl, const struct target *t,
    const struct settings *s, const struct engine_result *r,
    const struct engine_action *a)
{
	const struct list *list = lists_find(&pl->lists, s, &t->account,
	    a->address, pl->p->arena);
	struct edition e;
	size_t n = 0;

	if (edition_of(pl, r, a, &e) < 0)
		return -1;
	if (!list)
		return verdict_set(pl->v, V_TROUBLE, "list %.*s could not be "
		    "read", STR_ARG(a->address));
	for (size_t i = 0; i < list->n; i++)
		n += list_address(&list->members[i]);
	if (!n)
		return into_inbox(pl, t, s, r, a,
		    "redirect to a list without addresses");
	if (n > s->sieve_max_list_redirects)
		return into_inbox(pl, t, s, r, a, "redirect to a list of more "
		    "addresses than sieve_max_list_redirects");
	for (size_t i = 0; i < list->n; i++)
		if (list_address(&list->members[i]) &&
		    add_redirect(pl, (struct plan_redirect){
		    .to = list->members[i].text, .header = e.header,
		    .message = e.body, .target = t, .action = a, .settings = s }) < 0)
			return -1;
	return 0;
}

/* Does this address lead into the mailbox that the script is of, by whatever
 * alias or detail? Not asked, not known: no. */
static bool
leads_home(const struct planner *pl, const struct target *t, struct str address)
{
	struct resolver resolver;
	struct resolution res;
	struct str local, domain;

	if (!pl->agent->resolver)
		return false;
	envelope_split(address, &local, &domain);
	resolver = agent_resolver(pl->agent, domain);
	return resolve_recipient(&resolver, local, domain, STR(""),
	    pl->p->arena, &res) == 0 && res.target_count == 1 &&
	    res.targets[0].kind == TARGET_MAILBOX &&
	    str_eq(res.targets[0].address, t->address);
}

static int
take_action(struct planner *pl, const struct target *t,
    const struct settings *s, const struct engine_result *r,
    const struct engine_action *a)
{
	struct edition e;

	if (edition_of(pl, r, a, &e) < 0)
		return -1;
	switch (a->kind) {
	case ENGINE_KEEP:
		return add_copy(pl, t, s, pl->who->folder, e, a->imap_flags);
	case ENGINE_FILEINTO:
		return add_fileinto(pl, t, s, r, a);
	case ENGINE_REDIRECT:
		if (a->flags & ENGINE_F_LIST)
			return redirect_list(pl, t, s, r, a);
		/* It would come back as a loop and be refused (RFC 5228
		 * section 4.2 wants those ended); this is what was meant. */
		if (leads_home(pl, t, a->address))
			return add_copy(pl, t, s, STR(""), e,
			    a->imap_flags);
		return add_redirect(pl, (struct plan_redirect){
		    .to = a->address, .header = e.header,
		    .message = e.body, .target = t,
		    .action = a, .settings = s });
	case ENGINE_REJECT:
	case ENGINE_EREJECT:
		/* For the only mailbox: refuse, the client tells the sender.
		 * One of several cannot speak for the others, and a copy that
		 * an earlier script wanted is to be kept. */
		if (pl->who->resolution->target_count == 1 &&
		    pl->p->copy_count == 0 && pl->p->redirect_count == 0) {
			verdict_set(pl->v, V_POLICY, "refused by script");
			say_reason(pl->v, a->reason);
			pl->p->refused = true;
			return -1;
		}
		return add_effect(pl, t, s, a);
	case ENGINE_VACATION:
	case ENGINE_NOTIFY:
	case ENGINE_MARK:
		return add_effect(pl, t, s, a);
	case ENGINE_DISCARD:
		tell_box(pl->p, STR("discard"), "", STR(""));
		return 0;
	case ENGINE_ACT_COUNT:
		break;
	}
	return 0;
}

/* What a refusal leaves to be done: RFC 5435 section 3 has notify go with
 * every other action, reject among them. */
static void
take_notices(struct planner *pl, const struct target *t,
    const struct settings *s, const struct engine_result *r, size_t from)
{
	for (size_t i = from; i < r->n_actions; i++)
		if (r->actions[i].kind == ENGINE_NOTIFY &&
		    add_effect(pl, t, s, &r->actions[i]) < 0)
			pl->p->refused = false;	/* the MTA comes again */
}

static int
take_problems(const struct planner *pl, const struct target *t,
    const struct settings *s, const struct engine_result *r)
{
	struct buf text;
	int result = 0;

	buf_init(&text, PROBLEM_MAX * 2);
	for (size_t i = 0; i < r->errors.n && result == 0; i++) {
		const struct engine_error *e = &r->errors.list[i];

		if (e->warning)
			continue;
		buf_reset(&text);
		buf_adds(&text, e->script);
		if (e->line)
			buf_addf(&text, ":%u:%u", e->line, e->column);
		buf_addz(&text, ": ");
		buf_adds(&text, e->text);
		result = problem(pl, t, s, buf_str(&text));
	}
	buf_release(&text);
	return result;
}

/* Every address that is the user's here: as the directory has it, as the
 * mail was addressed, and as that was resolved. */
static size_t
addresses_of(const struct planner *pl, const struct target *t,
    struct str list[4])
{
	const struct resolution *res = pl->who->resolution;
	struct buf b;
	size_t n = 0;

	list[n++] = t->address;
	buf_init(&b, HEAD_MAX);
	buf_adds(&b, res->local);
	buf_addc(&b, '@');
	buf_adds(&b, res->domain);
	list[n] = arena_copy(pl->p->arena, buf_str(&b));
	if (list[n].p)
		n++;
	buf_release(&b);
	if (pl->who->original.n)
		list[n++] = pl->who->original;
	return n;
}

/* Runs the policy and the scripts, of which there may be none. */
static int
run_filter(struct planner *pl, const struct target *t,
    const struct settings *s, struct scripts *scripts,
    struct filter_content *content, struct engine_result *r)
{
	struct filter_how how = {
		.engine = scripts->n ? scripts_engine(s) : &engine_native,
		.sandbox = s->sandbox,
		.timeout_ms = s->filter_timeout,
		.cpu_ms = s->sieve_max_cpu_time,
		.memory = s->filter_memory,
		.life = pl->agent->filter_life,
		.database = pl->agent->config->global.magic_database,
	};
	unsigned crashed = filter_crashes(), overran = filter_overruns();
	int done;
	struct engine_settings set;
	struct str addresses[4];
	struct engine_envelope envelope = {
		.from = pl->parcel->envelope->sender,
		.dsn_ret = pl->parcel->envelope->ret,
		.dsn_envid = pl->parcel->envelope->envid,
		.dsn_notify = pl->who->notify,
		.dsn_orcpt = pl->who->orcpt,
	};
	struct plan_world context = world_of(pl, t, s);
	struct engine_world world;
	struct source source;
	struct buf marked;
	struct engine_job job = {
		.settings = &set,
		.world = &world,
		.scripts = scripts->list,
		.n_scripts = scripts->n,
		.envelope = &envelope,
		.addresses = addresses,
		.n_addresses = addresses_of(pl, t, addresses),
		.user = t->address,
		.host = str_of(pl->agent->hostname),
		.now = pl->parcel->when,
		.zone = plan_zone(pl->parcel->when),
		.trace = pl->agent->mode == DELIVERY_REHEARSAL,
	};

	if (sieve_set(s, pl->p->arena, &set) < 0)
		return full(pl);
	if (plan_envelope_to(t, s, pl->p->arena, &envelope.to, pl->v) < 0)
		return -1;
	envelope.orig_to = pl->who->original;
	for (size_t i = 0; i < scripts->n; i++)
		script_cache_fetch(&how, &set, s, &t->account,
		    pl->agent->mode == DELIVERY_REHEARSAL ? SCRIPT_CACHE_READ :
		    SCRIPT_CACHE_FILL, pl->p->arena, &scripts->list[i]);
	plan_world_init(&world, &context);
	buf_init(&marked, (size_t)pl->parcel->spool->n + HEAD_MAX);
	done = plan_scan_view(pl->parcel, pl->scan_mark, &marked, &source, pl->v);
	if (done == 0)
		done = filter_run(&how, &job, &source, content, r, pl->v);
	/* The header of edition 0 is the spool's, which is still there. */
	buf_release(&marked);
	metrics_add(METRIC_FILTER_CRASHES, filter_crashes() - crashed);
	metrics_add(METRIC_FILTER_TIMEOUTS, filter_overruns() - overran);
	return done;
}

/* --- the content policy ----------------------------------------------------------- */

static int
set_mark(struct planner *pl, const struct content_facts *facts)
{
	struct buf field;

	buf_init(&field, HEAD_MAX);
	(void)buf_adds(&field, pl->scan_mark);
	content_field(facts, &field);
	pl->mark = arena_copy(pl->p->arena, buf_str(&field));
	buf_release(&field);
	return pl->mark.p ? 0 : full(pl);
}

/* Out of the user's way, into a folder of his or the administrator's Maildir;
 * where the folder cannot be, into the inbox with its mark. */
static int
quarantine(struct planner *pl, const struct target *t,
    const struct settings *s)
{
	struct str place = str_of(s->content_quarantine);
	struct str maildir = STR("maildir:");
	struct target named = *t;
	const char *root, *path;
	struct plan_copy *c;

	if (str_starts(place, maildir)) {
		/* An alias's target elsewhere has no account to name it by. */
		if (named.account.local.n == 0) {
			named.account.local = pl->who->resolution->local;
			named.account.domain = pl->who->resolution->domain;
		}
		c = new_copy(pl, t, s);
		if (!c || place_mailbox(s, &named, STR(""), pl->agent->hostname,
		    pl->p->arena, &c->spec, pl->v) < 0 ||
		    place_path("content_quarantine", place.p + maildir.n, s,
		    &named.account, pl->p->arena, &root, &path, pl->v) < 0)
			return -1;
		c->spec.format = MAILBOX_MAILDIR;
		c->spec.root = root;
		c->spec.path = path;
		c->spec.folder = NULL;
		c->spec.make = MAILBOX_MAY_MAKE;
		c->apart = true;
		return take_copy(pl, c, as_it_came);
	}
	if (t->kind != TARGET_MAILBOX)
		return add_redirect(pl, (struct plan_redirect){
		    .to = t->address, .settings = s });
	c = new_copy(pl, t, s);
	if (!c || place_mailbox(s, t, place, pl->agent->hostname, pl->p->arena,
	    &c->spec, pl->v) < 0)
		return -1;
	c->spec.make = MAILBOX_MAY_MAKE;
	if (mailbox_obstructed(&c->spec))
		return add_copy(pl, t, s, STR(""), as_it_came, STR(""));
	return take_copy(pl, c, as_it_came);
}

enum content_way { WAY_ON, WAY_DONE };

/*
 * What the policy's answer means for one target. WAY_DONE: its copies are
 * planned; WAY_ON: the scripts' plan, or the inbox, or the forward; -1.
 */
static int
obey(struct planner *pl, const struct target *t, const struct settings *s,
    struct filter_content *c)
{
	if (!c->judged) {
		switch (s->content_failure) {
		case SET_FAILURE_KEEP:
			return WAY_ON;
		case SET_FAILURE_DEFER:
			return verdict_set(pl->v, V_TROUBLE,
			    "content policy not asked: %.*s", STR_ARG(c->why));
		case SET_FAILURE_QUARANTINE:
			c->facts = (struct content_facts){
			    .act = CONTENT_QUARANTINE, .name = STR(""),
			    .type = STR(""),
			    .rule = STR("content_failure quarantine") };
			break;
		}
	}
	if (c->facts.act == CONTENT_ACCEPT)
		return WAY_ON;
	if (c->facts.act == CONTENT_REJECT) {
		if (++pl->refused == pl->who->resolution->target_count)
			return plan_content_refuse(pl->p, pl->v);
		/* One of several cannot speak for the others: a refusal would
		 * come to them again and again. */
		c->facts.act = CONTENT_QUARANTINE;
	}
	if (set_mark(pl, &c->facts) < 0)
		return -1;
	if (c->facts.act == CONTENT_TAG)
		return WAY_ON;
	return quarantine(pl, t, s) < 0 ? -1 : WAY_DONE;
}

/* What the external content filter means for one target, as obey(). */
static int
scanned(struct planner *pl, const struct target *t, const struct settings *s)
{
	enum plan_scan_way way = plan_scan(pl->agent, pl->parcel, s, pl->p,
	    &pl->scan_mark, pl->v);

	pl->mark = pl->scan_mark;
	switch (way) {
	case PLAN_SCAN_ON:
	case PLAN_SCAN_TAG:
		return WAY_ON;
	case PLAN_SCAN_DEFER:
		return -1;
	case PLAN_SCAN_REJECT:
		if (++pl->refused == pl->who->resolution->target_count)
			return plan_scan_refuse(pl->p, pl->v);
		break;	/* as obey() has it */
	case PLAN_SCAN_QUARANTINE:
		break;
	}
	return quarantine(pl, t, s) < 0 ? -1 : WAY_DONE;
}

/* Asks the policy for a target and runs its scripts. WAY_ON: r holds the plan;
 * WAY_DONE: nothing more to do; -1. */
static int
filter(struct planner *pl, const struct target *t, const struct settings *s,
    struct scripts *scripts, struct str rules, struct engine_result **r_r)
{
	struct filter_content content = { .rules = rules,
	    .arena = pl->p->arena,
	    .list = pl->agent->mode == DELIVERY_REHEARSAL };
	struct engine_result *r = &pl->p->results[pl->p->result_count++];
	int way = WAY_ON;

	*r_r = r;
	engine_result_init(r);
	content.known = rules.n && !content.list &&
	    content_memo_find(pl->parcel->id, rules, pl->p->arena,
	    &content.facts);
	content.judged = content.known;
	/* A judgement that is known and final, or all that was wanted. */
	if ((!content.known || (scripts->n &&
	    content.facts.act < CONTENT_QUARANTINE)) &&
	    run_filter(pl, t, s, scripts, &content, r) < 0)
		return -1;
	if (rules.n && content.judged && !content.known)
		content_memo_keep(pl->parcel->id, rules, &content.facts);
	if (r->trace.n)
		(void)buf_adds(&pl->p->trace, buf_str(&r->trace));
	if (rules.n) {
		plan_content_note(pl->agent, pl->parcel, &content, pl->p);
		way = obey(pl, t, s, &content);
	}
	/* Of the policy alone the log has told. */
	return way < 0 || (scripts->n && take_problems(pl, t, s, r) < 0) ?
	    -1 : way;
}

/* A forward of the directory, or one target of an alias that is elsewhere: the
 * policy of the user whose forward it is, or of the alias's domain, holds; there
 * is no script. */
static int
plan_remote(struct planner *pl, const struct target *t)
{
	const struct settings *s = config_domain(pl->agent->config,
	    pl->who->resolution->domain);
	const struct settings *own = t->account.local.n ? config_domain(
	    pl->agent->config, t->account.domain) : s;
	struct scripts none = { .n = 0 };
	struct engine_result *r;
	struct str rules;
	int way = scanned(pl, t, s);

	if (way != WAY_ON)
		return way;
	if (plan_content_rules(pl->agent, t, own, pl->p, &rules, pl->v) < 0)
		return -1;
	if (rules.n)
		way = filter(pl, t, own, &none, rules, &r);
	if (way != WAY_ON)
		return way;
	return add_redirect(pl, (struct plan_redirect){ .to = t->address,
	    .settings = s });
}

static int
plan_mailbox(struct planner *pl, const struct target *t)
{
	const struct settings *s = config_domain(pl->agent->config,
	    t->account.domain);
	struct scripts scripts;
	struct engine_result *r;
	struct str rules;
	int way;

	if (s->message_size_limit &&
	    pl->parcel->spool->n > s->message_size_limit)
		return verdict_set(pl->v, V_TOO_BIG, "%llu bytes",
		    (unsigned long long)pl->parcel->spool->n);
	way = scanned(pl, t, s);
	if (way != WAY_ON)
		return way < 0 ? -1 : 0;
	if (scripts_load(s, &t->account, pl->p->arena, &scripts, pl->v) < 0)
		return -1;
	if (scripts.why.n) {
		struct buf text;
		int bad;

		buf_init(&text, PROBLEM_MAX);
		buf_adds(&text, scripts.refused);
		buf_addz(&text, ": not run: ");
		buf_adds(&text, scripts.why);
		bad = problem(pl, t, s, buf_str(&text));
		buf_release(&text);
		if (bad)
			return -1;
	}
	if (plan_content_rules(pl->agent, t, s, pl->p, &rules, pl->v) < 0)
		return -1;
	if (scripts.n == 0 && rules.n == 0 &&
	    pl->agent->mode != DELIVERY_REHEARSAL)
		return add_copy(pl, t, s, pl->who->folder,
		    as_it_came, STR(""));
	pl->lists.n = 0;	/* every user has other ones */
	pl->metadata = (struct metadata){ .state = METADATA_UNREAD };
	way = filter(pl, t, s, &scripts, rules, &r);
	if (way != WAY_ON)
		return way < 0 ? -1 : 0;
	if (scripts.n == 0)
		return add_copy(pl, t, s, pl->who->folder,
		    as_it_came, STR(""));
	for (size_t i = 0; i < r->n_actions; i++)
		if (take_action(pl, t, s, r, &r->actions[i]) < 0) {
			if (pl->p->refused)
				take_notices(pl, t, s, r, i + 1);
			return -1;
		}
	return 0;
}

static void
add_recipient(const struct resolution *res, struct buf *out)
{
	buf_adds(out, res->local);
	buf_addc(out, '@');
	buf_adds(out, res->domain);
}

static int
check_passed(const struct planner *pl, struct str address)
{
	struct trace_loop loop = { .address = address };
	struct trace again;

	if (!pl->parcel->trace.passed)
		return 0;
	if (trace_scan(pl->parcel->spool, &again, trace_loop_look, &loop,
	    pl->v) < 0)
		return -1;
	if (loop.found)
		return verdict_set(pl->v, V_LOOP,
		    "delivered to this recipient before");
	return 0;
}

/* RFC 5321 section 6.3, and our own mark: Delivered-To of each mailbox, and
 * of the recipient whose mail the directory passes on. Before any script
 * runs, so that a loop ends whatever the script says. */
static int
check_loops(const struct planner *pl)
{
	const struct resolution *res = pl->who->resolution;
	const struct settings *s = config_domain(pl->agent->config, res->domain);
	bool remote = false;
	struct buf address;
	int r = 0;

	if (pl->parcel->trace.received > s->hop_limit)
		return verdict_set(pl->v, V_LOOP,
		    "%u Received fields, hop_limit %llu",
		    pl->parcel->trace.received, (unsigned long long)s->hop_limit);
	for (size_t i = 0; i < res->target_count; i++) {
		if (res->targets[i].kind == TARGET_REMOTE)
			remote = true;
		else if (check_passed(pl, res->targets[i].address) < 0)
			return -1;
	}
	if (!remote)
		return 0;
	buf_init(&address, HEAD_MAX);
	add_recipient(res, &address);
	r = check_passed(pl, buf_str(&address));
	buf_release(&address);
	return r;
}

int
plan_make(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *who, struct arena *arena, struct plan *plan_r,
    struct verdict *v)
{
	struct planner pl = { .agent = agent, .parcel = parcel, .who = who,
	    .p = plan_r, .v = v };
	const struct resolution *res = who->resolution;
	size_t n = res->target_count;

	*plan_r = (struct plan){ .arena = arena };
	buf_init(&plan_r->boxes, BOXES_MAX);
	buf_init(&plan_r->trace, TRACE_MAX);
	plan_r->results = arena_array(arena, n, sizeof(*plan_r->results));
	if (!plan_r->results)
		return full(&pl);
	if (check_loops(&pl) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct target *t = &res->targets[i];

		if ((t->kind == TARGET_MAILBOX ? plan_mailbox(&pl, t) :
		    plan_remote(&pl, t)) < 0)
			return -1;
	}
	return 0;
}

void
plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->result_count; i++)
		engine_result_release(&plan->results[i]);
	plan->result_count = 0;
	while (plan->bodies) {
		struct plan_body *next = plan->bodies->next;

		spool_release(&plan->bodies->spool);
		free(plan->bodies);
		plan->bodies = next;
	}
	free(plan->copies);
	free(plan->redirects);
	free(plan->effects);
	free(plan->problems);
	buf_release(&plan->boxes);
	buf_release(&plan->trace);
}
