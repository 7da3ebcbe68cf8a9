#include "lda/resolve.h"

#include <stdbool.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/directory/name.h"

/* Chain of domain aliases: one stands for another, hardly for a third. */
#define DOMAIN_ALIASES 4

/* An address that was looked at; `open` while its own targets are. */
struct visit {
	struct str address;
	bool open;
};

struct walk {
	const struct resolver *r;
	struct arena *a;
	struct resolution *res;
	int64_t now;
	unsigned max_depth;
	size_t max_targets;
	struct visit *visits;
	size_t visit_count, visit_cap;
	size_t target_cap, step_cap;
	const struct account *user;	/* whose forwards are walked, or NULL */
	struct verdict *refused;	/* the first refusal for good */
	bool was_refused;
};

/* What became of one address of many. WAIT ends the walk: res->verdict says
 * why. */
enum outcome { OUTCOME_WAIT = 0, OUTCOME_TAKEN, OUTCOME_REFUSED };

/* The address at hand and how we came to it. */
struct place {
	struct str local, domain;	/* canonical */
	struct str detail;		/* that came along */
	struct str address;		/* local@domain */
	struct domain_record record;
	unsigned depth;
};

static enum outcome walk_address(struct walk *w, struct str local,
    struct str domain, struct str detail, unsigned depth);

/* --- small parts ---------------------------------------------------------------- */

static enum outcome
wait_with(struct walk *w, const struct verdict *v)
{
	w->res->verdict = *v;
	return OUTCOME_WAIT;
}

static enum outcome
no_memory(struct walk *w)
{
	verdict_set(&w->res->verdict, V_NO_MEMORY, "resolve: arena is full");
	return OUTCOME_WAIT;
}

/* Doubles an array of the arena; NULL when it is full. */
static void *
grown(struct arena *a, void *old, size_t count, size_t *cap, size_t size)
{
	size_t want;
	void *room;

	if (count < *cap)
		return old;
	want = *cap > 0 ? *cap * 2 : 2;	/* one target, two steps: most */
	room = arena_array(a, want, size);
	if (room == NULL)
		return NULL;
	if (count > 0)
		memcpy(room, old, count * size);
	*cap = want;
	return room;
}

/* A chain that is cut is a pity, not an error. */
static void
step(struct walk *w, const char *what, struct str subject, struct str result,
    unsigned depth)
{
	struct resolution *res = w->res;
	struct resolve_step *room;

	if (res->step_count >= RESOLVE_STEPS)
		return;
	room = grown(w->a, res->steps, res->step_count, &w->step_cap,
	    sizeof(*room));
	if (room == NULL)
		return;
	res->steps = room;
	res->steps[res->step_count++] = (struct resolve_step){
		.what = what, .subject = subject, .result = result,
		.depth = depth,
	};
}

/* local@domain in the arena; p is NULL when that is full. */
static struct str
join(struct arena *a, struct str local, struct str domain)
{
	char *p = arena_alloc(a, local.n + 1 + domain.n + 1);

	if (p == NULL)
		return str_mem(NULL, 0);
	memcpy(p, local.p, local.n);
	p[local.n] = '@';
	memcpy(p + local.n + 1, domain.p, domain.n);
	return str_mem(p, local.n + 1 + domain.n);
}

static enum outcome
refuse(struct walk *w, const struct verdict *v, const struct place *at)
{
	step(w, "refused", at->address, str_of(verdict_word(v)), at->depth);
	if (!w->was_refused)
		*w->refused = *v;
	w->was_refused = true;
	return OUTCOME_REFUSED;
}

/* Where a refusal is for good it concerns this address alone; anything else
 * makes the whole recipient wait. */
static enum outcome
fail_with(struct walk *w, const struct verdict *v, const struct place *at)
{
	if (verdict_kind(v) == VERDICT_REFUSED)
		return refuse(w, v, at);
	step(w, "refused", at->address, str_of(verdict_word(v)), at->depth);
	return wait_with(w, v);
}

/* A back-end may say more exactly why it could not be asked, but can never
 * turn that into a refusal. */
static void
down(struct verdict *v)
{
	if (verdict_kind(v) != VERDICT_LATER || v->why == V_TROUBLE)
		v->why = V_DIRECTORY_DOWN;
}

/* A target that is no address is our mistake: never a refusal for the
 * sender, and no reason to keep the other targets waiting. */
static enum outcome
bad_target(struct walk *w, struct str text, const struct place *from)
{
	struct verdict v = VERDICT_INIT;

	verdict_set(&v, V_CONFIG, "%.*s: target \"%.*s\" is not an address",
	    STR_ARG(from->address), STR_ARG(text));
	return refuse(w, &v, from);
}

/* --- states ---------------------------------------------------------------------- */

/* The reason as the sender reads it, in ASCII: not every client speaks
 * SMTPUTF8. */
static void
say_reason(struct verdict *v, struct str reason)
{
	char text[VERDICT_TEXT];
	size_t n = reason.n < sizeof(text) / 2 ? reason.n : sizeof(text) / 2;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		text[i] = (unsigned char)reason.p[i] < 0x80 &&
		    !ascii_iscntrl(reason.p[i]) ? reason.p[i] : '?';
	verdict_say(v, "%s: %.*s", verdict_text(v), (int)n, text);
}

/* 0, or -1 when a state lets no mail in. */
static int
judge_state(const struct directory_state *s, struct str name, int64_t now,
    struct verdict *v)
{
	enum account_state state = directory_state_at(s, now);

	if (state == ACCOUNT_DISABLED)
		verdict_set(v, V_DISABLED, "%.*s is disabled", STR_ARG(name));
	else if (state == ACCOUNT_LOCKED)
		verdict_set(v, V_LOCKED, "%.*s is locked", STR_ARG(name));
	else
		return 0;
	say_reason(v, s->reason);
	return -1;
}

/* --- domains ---------------------------------------------------------------------- */

/*
 * The record of a domain that is ours, aliases followed. DIR_ABSENT only for
 * the first name: an alias that leads nowhere is our mistake, not the
 * sender's.
 */
static enum directory_answer
find_domain(struct directory *d, struct str domain, struct arena *a,
    int64_t now, struct walk *w, unsigned depth, struct domain_record *r,
    struct verdict *v)
{
	struct str name = domain;

	for (int i = 0; i <= DOMAIN_ALIASES; i++) {
		enum directory_answer answer = directory_domain(d, name, a, r,
		    v);
		struct str target;

		if (answer == DIR_ABSENT && i > 0) {
			verdict_set(v, V_CONFIG,
			    "domain alias %.*s leads to %.*s, which is not in "
			    "the directory", STR_ARG(domain), STR_ARG(name));
			return DIR_BROKEN;
		}
		if (answer == DIR_BROKEN)
			down(v);
		if (answer != DIR_FOUND)
			return answer;
		if (judge_state(&r->state, name, now, v) < 0)
			return DIR_BROKEN;
		if (r->alias_of.n == 0)
			return DIR_FOUND;
		if (name_domain(r->alias_of, a, &target, v) < 0) {
			verdict_set(v, V_CONFIG, "domain alias %.*s: bad target",
			    STR_ARG(domain));
			return DIR_BROKEN;
		}
		if (w != NULL)
			step(w, "domain_alias", name, target, depth);
		name = target;
	}
	verdict_set(v, V_CONFIG, "domain alias %.*s: a loop, or too long",
	    STR_ARG(domain));
	return DIR_BROKEN;
}

/* --- targets ----------------------------------------------------------------------- */

static struct target *
new_target(struct walk *w)
{
	struct resolution *res = w->res;
	struct target *room;

	if (res->target_count >= w->max_targets) {
		verdict_set(&res->verdict, V_CONFIG,
		    "more than %zu targets", w->max_targets);
		return NULL;
	}
	room = grown(w->a, res->targets, res->target_count, &w->target_cap,
	    sizeof(*room));
	if (room == NULL) {
		(void)no_memory(w);
		return NULL;
	}
	res->targets = room;
	return memset(&res->targets[res->target_count++], 0, sizeof(*room));
}

static enum outcome
add_remote(struct walk *w, struct str address, unsigned depth)
{
	struct target *t;

	for (size_t i = 0; i < w->res->target_count; i++) {
		t = &w->res->targets[i];
		if (t->kind == TARGET_REMOTE &&
		    str_caseeq(t->address, address)) {
			step(w, "again", address, STR(""), depth);
			return OUTCOME_TAKEN;
		}
	}
	t = new_target(w);
	if (t == NULL)
		return OUTCOME_WAIT;
	t->kind = TARGET_REMOTE;
	t->address = address;
	if (w->user)
		t->account = *w->user;
	step(w, "remote", address, STR(""), depth);
	return OUTCOME_TAKEN;
}

/* The domain speaks where the user is silent. */
static void
inherit(struct account *user, const struct domain_record *d)
{
	if (user->format.n == 0)
		user->format = d->format;
	if (user->host.n == 0)
		user->host = d->host;
	if (user->quota_bytes == DIRECTORY_UNSET)
		user->quota_bytes = d->user_quota_bytes;
	if (user->quota_messages == DIRECTORY_UNSET)
		user->quota_messages = d->user_quota_messages;
}

static enum outcome
add_mailbox(struct walk *w, const struct place *at, const struct account *user,
    enum account_state state, struct str detail)
{
	struct str address = join(w->a, user->local, user->domain);
	struct target *t;

	if (address.p == NULL)
		return no_memory(w);
	for (size_t i = 0; i < w->res->target_count; i++) {
		t = &w->res->targets[i];
		if (t->kind == TARGET_MAILBOX && str_eq(t->address, address)) {
			step(w, "again", address, STR(""), at->depth);
			return OUTCOME_TAKEN;
		}
	}
	t = new_target(w);
	if (t == NULL)
		return OUTCOME_WAIT;
	t->kind = TARGET_MAILBOX;
	t->address = address;
	t->account = *user;
	t->domain = at->record;
	t->state = state;
	t->detail = detail;
	inherit(&t->account, &at->record);
	return OUTCOME_TAKEN;
}

/* --- lists: aliases, forwards, catch-alls -------------------------------------------- */

/* What the MTA can be given as an argument: something before the @, nothing
 * that a line or a blank could be made of. */
static bool
is_plain(struct str address)
{
	for (size_t i = 0; i < address.n; i++)
		if (ascii_iscntrl(address.p[i]) || address.p[i] == ' ')
			return false;
	return address.n > 0 && address.p[0] != '@';
}

/* One target as written: "fred", "fred@d", "fred+x@d", "someone@elsewhere". */
static enum outcome
walk_target(struct walk *w, struct str text, const struct place *from,
    struct str detail)
{
	struct verdict v = VERDICT_INIT;
	struct str domain = from->domain;
	ptrdiff_t at = str_rchr(text, '@');
	struct domain_record record;
	enum directory_answer answer;

	if (at >= 0) {
		if (name_domain(str_sub(text, (size_t)at + 1, text.n), w->a,
		    &domain, &v) < 0)
			return bad_target(w, text, from);
		answer = directory_domain(w->r->directory, domain, w->a,
		    &record, &v);
		if (answer == DIR_BROKEN) {
			down(&v);
			return wait_with(w, &v);
		}
		if (answer == DIR_ABSENT && !is_plain(text))
			return bad_target(w, text, from);
		if (answer == DIR_ABSENT)
			return add_remote(w, text, from->depth + 1);
		text = str_sub(text, 0, (size_t)at);
	}
	return walk_address(w, text, domain, detail, from->depth + 1);
}

/* TAKEN when one of them was, REFUSED when all were refused or there is
 * none. */
static enum outcome
walk_list(struct walk *w, const char *what, struct directory_list l,
    const struct place *from, struct str detail)
{
	enum outcome all = OUTCOME_REFUSED;

	for (size_t i = 0; i < l.count; i++) {
		enum outcome one;

		step(w, what, from->address, l.list[i], from->depth);
		one = walk_target(w, l.list[i], from, detail);
		if (one == OUTCOME_WAIT)
			return OUTCOME_WAIT;
		if (one == OUTCOME_TAKEN)
			all = OUTCOME_TAKEN;
	}
	return all;
}

/* --- users --------------------------------------------------------------------------- */

/* Does a forward name the mailbox itself? That is how many write "and keep a
 * copy". */
static bool
is_self(struct walk *w, struct str text, const struct account *user)
{
	struct verdict v = VERDICT_INIT;
	struct str local, domain;

	struct domain_record record;

	if (name_address(text, w->a, &local, &domain, &v) < 0 ||
	    !str_eq(local, user->local))
		return false;
	if (domain.n == 0 || str_eq(domain, user->domain))
		return true;
	/* By another name of the domain? */
	return find_domain(w->r->directory, domain, w->a, w->now, NULL, 0,
	    &record, &v) == DIR_FOUND && str_eq(record.name, user->domain);
}

/* Takes the user's own address out of the forwards; true when it was there. */
static bool
without_self(struct walk *w, struct account *user)
{
	struct str *others = arena_array(w->a, user->forwards.count,
	    sizeof(*others));
	size_t n = 0;
	bool self;

	if (others == NULL)
		return false;
	for (size_t i = 0; i < user->forwards.count; i++)
		if (!is_self(w, user->forwards.list[i], user))
			others[n++] = user->forwards.list[i];
	self = n < user->forwards.count;
	user->forwards = (struct directory_list){ others, n };
	return self;
}

/* The state that counts: whichever of the user's and the domain's lets less
 * through (disabled and locked domains never get here). */
static enum account_state
state_of(const struct walk *w, const struct account *user,
    const struct domain_record *d)
{
	enum account_state own = directory_state_at(&user->state, w->now);

	return own != ACCOUNT_ACTIVE ? own :
	    directory_state_at(&d->state, w->now);
}

static enum outcome
walk_user(struct walk *w, const struct place *at, struct account *user,
    struct str detail)
{
	struct verdict v;
	enum account_state state = state_of(w, user, &at->record);
	enum outcome outcome = OUTCOME_REFUSED, forwarded;
	const struct account *outer = w->user;
	bool keep = user->keep == FORWARD_KEEP || user->forwards.count == 0;

	verdict_init(&v);
	step(w, "user", at->address, user->local, at->depth);
	if (state != ACCOUNT_ACTIVE)
		step(w, "state", at->address,
		    str_of(account_state_word(state)), at->depth);
	if (judge_state(&user->state, at->address, w->now, &v) < 0)
		return fail_with(w, &v, at);
	/* Suspended means that the user reads nothing, elsewhere neither. */
	if (state == ACCOUNT_SUSPENDED)
		return add_mailbox(w, at, user, state, detail);
	if (user->forwards.count > 0 && without_self(w, user))
		keep = true;
	if (state == ACCOUNT_FORWARD_ONLY)
		keep = false;
	if (keep) {
		if (user->forwards.count > 0)
			step(w, "keep", at->address, STR(""), at->depth);
		outcome = add_mailbox(w, at, user, state, detail);
		if (outcome == OUTCOME_WAIT)
			return outcome;
	}
	w->user = user;
	forwarded = walk_list(w, "forward", user->forwards, at, detail);
	w->user = outer;
	switch (forwarded) {
	case OUTCOME_WAIT:
		return OUTCOME_WAIT;
	case OUTCOME_TAKEN:
		outcome = OUTCOME_TAKEN;
		break;
	case OUTCOME_REFUSED:
		break;
	}
	if (outcome == OUTCOME_REFUSED && user->forwards.count == 0) {
		verdict_set(&v, V_DISABLED, "%.*s forwards only, to nobody",
		    STR_ARG(at->address));
		return refuse(w, &v, at);
	}
	return outcome;
}

/* --- one address ------------------------------------------------------------------------ */

/*
 * A name as user, then as alias. DIR_ABSENT: neither. When the directory
 * cannot be asked, a name known as an alias is still served from the cache:
 * it was no user when that was learnt.
 */
static enum directory_answer
try_name(struct walk *w, const struct place *at, struct str local,
    struct str detail, enum outcome *outcome_r, struct verdict *v)
{
	struct directory *d = w->r->directory;
	struct account user;
	struct alias_record alias;
	enum directory_answer answer, second;
	struct verdict ignored;

	verdict_init(&ignored);
	answer = directory_user(d, local, at->domain, w->a, &user, v);
	if (answer == DIR_FOUND) {
		*outcome_r = walk_user(w, at, &user, detail);
		return DIR_FOUND;
	}
	second = directory_alias(d, local, at->domain, w->a, &alias,
	    answer == DIR_BROKEN ? &ignored : v);
	if (second == DIR_FOUND) {
		*outcome_r = walk_list(w, "alias", alias.targets, at, detail);
		return DIR_FOUND;
	}
	return answer == DIR_BROKEN ? DIR_BROKEN : second;
}

/* Where the local part ends before its first delimiter; 0: there is none. */
static size_t
delimiter_at(const struct resolver *r, struct str local)
{
	if (r->delimiters == NULL)
		return 0;
	for (size_t i = 1; i < local.n; i++)
		if (local.p[i] != '\0' &&
		    strchr(r->delimiters, local.p[i]) != NULL)
			return i;
	return 0;
}

/* The detail with the letters as the sender wrote them: it may name a
 * folder. */
static struct str
detail_of(struct str written, struct str canonical, size_t cut)
{
	return str_sub(written.n == canonical.n ? written : canonical, cut + 1,
	    canonical.n);
}

static enum outcome
broken(struct walk *w, struct verdict *v, const struct place *at)
{
	down(v);
	return fail_with(w, v, at);
}

static enum outcome
walk_name(struct walk *w, const struct place *at, struct str written)
{
	struct verdict v;
	enum outcome outcome = OUTCOME_WAIT;
	size_t cut = delimiter_at(w->r, at->local);
	enum directory_answer answer;

	verdict_init(&v);
	answer = try_name(w, at, at->local, at->detail, &outcome, &v);
	if (answer == DIR_ABSENT && cut > 0) {
		struct str base = str_sub(at->local, 0, cut);
		struct str detail = detail_of(written, at->local, cut);

		step(w, "detail", at->address, detail, at->depth);
		if (at->detail.n > 0 && at->depth == 0)
			detail = at->detail;
		answer = try_name(w, at, base, detail, &outcome, &v);
	}
	if (answer == DIR_FOUND)
		return outcome;
	if (answer == DIR_BROKEN)
		return broken(w, &v, at);
	step(w, "absent", at->address, STR(""), at->depth);
	if (at->record.catch_all.count > 0)
		return walk_list(w, "catch_all", at->record.catch_all, at,
		    (struct str){ NULL, 0 });
	verdict_set(&v, V_UNKNOWN_USER, "%.*s: no such user or alias",
	    STR_ARG(at->address));
	return refuse(w, &v, at);
}

/* Notes the address; TAKEN when it is new, else what to do with it. */
static enum outcome
enter(struct walk *w, const struct place *at)
{
	struct verdict v;
	struct visit *room;

	verdict_init(&v);
	for (size_t i = 0; i < w->visit_count; i++) {
		if (!str_eq(w->visits[i].address, at->address))
			continue;
		if (!w->visits[i].open) {
			step(w, "again", at->address, STR(""), at->depth);
			return OUTCOME_REFUSED;
		}
		step(w, "loop", at->address, STR(""), at->depth);
		verdict_set(&v, V_LOOP, "%.*s leads to itself",
		    STR_ARG(at->address));
		return refuse(w, &v, at);
	}
	if (at->depth > w->max_depth) {
		step(w, "loop", at->address, STR(""), at->depth);
		verdict_set(&v, V_LOOP, "more than %u aliases in a row",
		    w->max_depth);
		return refuse(w, &v, at);
	}
	/* Aliases of aliases count too: each is a question. */
	if (w->visit_count >= w->max_targets * 2) {
		verdict_set(&v, V_CONFIG, "more than %zu targets",
		    w->max_targets);
		return wait_with(w, &v);
	}
	room = grown(w->a, w->visits, w->visit_count, &w->visit_cap,
	    sizeof(*room));
	if (room == NULL)
		return no_memory(w);
	w->visits = room;
	w->visits[w->visit_count++] = (struct visit){ at->address, true };
	return OUTCOME_TAKEN;
}

static enum outcome
walk_address(struct walk *w, struct str local, struct str domain,
    struct str detail, unsigned depth)
{
	struct verdict v;
	struct place at = { .detail = detail, .depth = depth };
	enum outcome outcome;
	size_t visit;

	verdict_init(&v);
	at.address = join(w->a, local, domain);
	if (at.address.p == NULL)
		return no_memory(w);
	if (name_domain(domain, w->a, &domain, &v) < 0 ||
	    name_local(local, w->a, &at.local, &v) < 0) {
		if (v.why == V_BAD_ADDRESS && depth > 0)
			return bad_target(w, at.address, &at);
		return fail_with(w, &v, &at);
	}
	if (depth == 0) {
		w->res->local = at.local;
		w->res->domain = domain;
	}
	switch (find_domain(w->r->directory, domain, w->a, w->now, w, depth,
	    &at.record, &v)) {
	case DIR_FOUND:
		break;
	case DIR_ABSENT:
		verdict_set(&v, V_UNKNOWN_DOMAIN, "%.*s is not ours",
		    STR_ARG(domain));
		return fail_with(w, &v, &at);
	case DIR_BROKEN:
		return fail_with(w, &v, &at);
	}
	at.domain = at.record.name.n > 0 ? at.record.name : domain;
	at.address = join(w->a, at.local, at.domain);
	if (at.address.p == NULL)
		return no_memory(w);
	if (depth == 0)
		step(w, "address", at.address, STR(""), depth);
	visit = w->visit_count;
	outcome = enter(w, &at);
	if (outcome != OUTCOME_TAKEN)
		return outcome;
	outcome = walk_name(w, &at, local);
	w->visits[visit].open = false;
	return outcome;
}

/* --- the calls --------------------------------------------------------------------------- */

/* A detail that the MTA cut off may name a folder; it passed no name check. */
static int
judge_detail(struct str detail, struct verdict *v)
{
	for (size_t i = 0; i < detail.n; i++)
		if (ascii_iscntrl(detail.p[i]) || detail.p[i] == '/')
			return verdict_set(v, V_BAD_ADDRESS,
			    "detail holds a strange character");
	if (detail.n > NAME_LOCAL_MAX)
		return verdict_set(v, V_BAD_ADDRESS, "detail is too long");
	return 0;
}

static void
begin(struct resolution *res)
{
	verdict_init(&res->verdict);
	res->local = res->domain = (struct str){ NULL, 0 };
	res->targets = NULL;
	res->steps = NULL;
	res->target_count = res->step_count = 0;
}

int
resolve_recipient(const struct resolver *r, struct str local,
    struct str domain, struct str detail, struct arena *a,
    struct resolution *res_r)
{
	struct verdict refused;
	struct walk w = {
		.r = r, .a = a, .res = res_r, .now = clock_now(),
		.max_depth = r->max_depth > 0 ? r->max_depth : RESOLVE_DEPTH,
		.max_targets = r->max_targets > 0 ? r->max_targets :
		    RESOLVE_TARGETS,
		.refused = &refused,
	};

	verdict_init(&refused);
	begin(res_r);
	if (judge_detail(detail, &res_r->verdict) < 0)
		return -1;
	if (detail.n == 0)
		detail.p = NULL;	/* an MTA says "" where there is none */
	if (walk_address(&w, local, domain, detail, 0) == OUTCOME_WAIT) {
		res_r->target_count = 0;
		return -1;
	}
	if (res_r->target_count == 0) {
		/* Nothing but addresses that were met before: a loop. */
		if (w.was_refused)
			res_r->verdict = refused;
		else
			verdict_set(&res_r->verdict, V_LOOP,
			    "leads to nobody but itself");
		return -1;
	}
	return verdict_ok(&res_r->verdict, "resolved");
}

int
resolve_domain(const struct resolver *r, struct str domain, struct arena *a,
    struct domain_record *record_r, struct verdict *v)
{
	struct domain_record record;

	if (name_domain(domain, a, &domain, v) < 0)
		return -1;
	switch (find_domain(r->directory, domain, a, clock_now(), NULL, 0,
	    &record, v)) {
	case DIR_FOUND:
		*record_r = record;
		return verdict_ok(v, "ours");
	case DIR_ABSENT:
		return verdict_set(v, V_UNKNOWN_DOMAIN, "%.*s is not ours",
		    STR_ARG(domain));
	case DIR_BROKEN:
		break;
	}
	return -1;
}
