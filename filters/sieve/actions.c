#include "filters/sieve/actions.h"

#include <string.h>

#include "filters/message/utf8.h"
#include "filters/sieve/ext/flags.h"
#include "filters/sieve/limits.h"

static int
no_memory(struct run *r, const struct node *n)
{
	return run_error(r, n, "the plan uses too much memory");
}

bool
plan_mailbox_ok(struct str name, const char **why_r)
{
	if (name.n == 0)
		*why_r = "the name of a mailbox is empty";
	else if (name.n > LIMIT_MAILBOX_NAME)
		*why_r = "the name of a mailbox is too long";
	else if (!utf8_valid(name))
		*why_r = "the name of a mailbox is no UTF-8";
	else
		*why_r = NULL;
	for (size_t i = 0; !*why_r && i < name.n; i++)
		if (ascii_iscntrl(name.p[i]))
			*why_r = "the name of a mailbox has a control "
			    "character";
	return !*why_r;
}

/* --- strings of a plan outlive the run --- */

static struct str
keep_str(struct run *r, struct str s)
{
	return s.p ? arena_copy(&r->result->arena, s) : s;
}

static void
keep_strings(struct run *r, struct engine_action *a)
{
	struct str *all[] = { &a->script, &a->mailbox, &a->special_use,
	    &a->mailbox_id, &a->imap_flags, &a->address, &a->notify, &a->ret,
	    &a->reason, &a->subject, &a->from, &a->key, &a->in_reply_to,
	    &a->references, &a->method, &a->headers, &a->fcc, &a->fcc_flags,
	    &a->fcc_special_use, &a->fcc_mailbox_id };

	for (unsigned i = 0; i < COUNT_OF(all); i++)
		*all[i] = keep_str(r, *all[i]);
	if (a->n_to) {
		struct str *to = arena_array(&r->result->arena, a->n_to,
		    sizeof(*to));

		for (size_t i = 0; to && i < a->n_to; i++)
			to[i] = keep_str(r, a->to[i]);
		a->to = to;
		if (!to)
			a->n_to = 0;
	}
}

/* --- editions of the header --- */

/* The pieces of the current body, for the edition that is being made. */
static int
keep_body(struct run *r)
{
	struct engine_result *res = r->result;
	struct engine_body *b = &res->bodies[res->n_editions];

	*b = r->body;
	if (!b->n_pieces)
		return 0;
	b->pieces = arena_array(&res->arena, b->n_pieces, sizeof(*b->pieces));
	if (!b->pieces)
		return -1;
	for (size_t i = 0; i < b->n_pieces; i++) {
		b->pieces[i] = r->body.pieces[i];
		if (!b->pieces[i].text.p)
			continue;
		b->pieces[i].text = arena_copy(&res->arena, b->pieces[i].text);
		if (!b->pieces[i].text.p)
			return -1;
	}
	return 0;
}

int
plan_begin_editions(struct run *r, const struct node *n)
{
	struct engine_result *res = r->result;

	if (res->editions)
		return 0;
	res->bodies = arena_array(&res->arena, LIMIT_EDITIONS,
	    sizeof(*res->bodies));
	res->editions = arena_array(&res->arena, LIMIT_EDITIONS,
	    sizeof(*res->editions));
	if (!res->editions || !res->bodies)
		return no_memory(r, n);
	res->editions[0] = r->message.header.bytes;
	res->n_editions = 1;
	return 0;
}

int
plan_edition(struct run *r, const struct node *n, unsigned *edition_r)
{
	struct engine_result *res = r->result;

	if (plan_begin_editions(r, n))
		return -1;
	if (r->header_changed) {
		struct buf b;
		int x;

		if (res->n_editions == LIMIT_EDITIONS)
			return run_error(r, n, "the header is changed between "
			    "more than %d actions", LIMIT_EDITIONS);
		buf_init(&b, r->message.header.bytes.n + LIMIT_ADDED_BYTES * 4);
		x = header_write(&r->message.header, &b);
		if (x == 0) {
			res->editions[res->n_editions] =
			    arena_copy(&res->arena, buf_str(&b));
			if (!res->editions[res->n_editions].p)
				x = -1;
		}
		buf_release(&b);
		if (x || keep_body(r))
			return no_memory(r, n);
		r->edition = (unsigned)res->n_editions++;
		r->header_changed = false;
	}
	*edition_r = r->edition;
	return 0;
}

/* --- rules --- */

static bool
delivers(enum engine_act k)
{
	return k == ENGINE_KEEP || k == ENGINE_FILEINTO ||
	    k == ENGINE_REDIRECT;
}

static bool
rejects(enum engine_act k)
{
	return k == ENGINE_REJECT || k == ENGINE_EREJECT;
}

/* RFC 5429 section 2.3, RFC 5230 section 4.7, as Pigeonhole has them. */
static int
check_conflict(struct run *r, const struct node *n,
    const struct engine_action *old, const struct engine_action *a)
{
	if (rejects(a->kind) && rejects(old->kind))
		return run_error(r, n, "the message is rejected already "
		    "(line %u)", old->line);
	if ((rejects(a->kind) && delivers(old->kind)) ||
	    (rejects(old->kind) && delivers(a->kind)))
		return run_error(r, n, "a message cannot be both rejected and "
		    "delivered (line %u)", old->line);
	if ((rejects(a->kind) && old->kind == ENGINE_VACATION) ||
	    (rejects(old->kind) && a->kind == ENGINE_VACATION))
		return run_error(r, n, "a message cannot be both rejected and "
		    "answered by vacation (line %u)", old->line);
	if (a->kind == ENGINE_VACATION && old->kind == ENGINE_VACATION)
		return run_error(r, n, "vacation was called already (line %u)",
		    old->line);
	return 0;
}

/*
 * A script can know nothing of those that ran before it: a copy that the site
 * keeps of everything must not forbid the user to reject, and who has been
 * answered is not answered again.
 */
enum standing {
	STANDS,
	NEEDLESS,
	CONFLICTS,
};

static enum standing
standing(struct run *r, const struct node *n, const struct engine_action *a)
{
	struct engine_result *res = r->result;
	enum standing s = STANDS;

	for (size_t i = 0; i < res->n_actions; i++) {
		const struct engine_action *old = &res->actions[i];
		bool earlier = i < r->script_actions;

		if (earlier && rejects(a->kind) && delivers(old->kind))
			continue;
		if (earlier && ((rejects(a->kind) && rejects(old->kind)) ||
		    (a->kind == ENGINE_VACATION &&
		    old->kind == ENGINE_VACATION)))
			s = NEEDLESS;
		else if (check_conflict(r, n, old, a))
			return CONFLICTS;
	}
	return s;
}

/* The domain in any case, the local part as it is (RFC 5321 section 2.4). */
static bool
same_address(struct str a, struct str b)
{
	ptrdiff_t at = str_rchr(a, '@');

	return at >= 0 && a.n == b.n &&
	    str_eq(str_sub(a, 0, (size_t)at), str_sub(b, 0, (size_t)at)) &&
	    str_caseeq(str_sub(a, (size_t)at, a.n), str_sub(b, (size_t)at, b.n));
}

static bool
same(const struct engine_action *x, const struct engine_action *a)
{
	if (x->kind != a->kind)
		return false;
	switch (a->kind) {
	case ENGINE_KEEP:
	case ENGINE_DISCARD:
		return true;
	case ENGINE_FILEINTO:
		return str_eq(x->mailbox, a->mailbox) &&
		    str_eq(x->special_use, a->special_use) &&
		    str_eq(x->mailbox_id, a->mailbox_id);
	case ENGINE_REDIRECT:
		if ((x->flags | a->flags) & ENGINE_F_LIST)
			return x->flags & a->flags & ENGINE_F_LIST &&
			    str_eq(x->address, a->address);
		return same_address(x->address, a->address);
	case ENGINE_MARK:
		return str_eq(x->key, a->key);
	case ENGINE_NOTIFY:
		return str_eq(x->method, a->method) &&
		    str_eq(x->reason, a->reason) &&
		    str_eq(x->from, a->from);
	default:
		return false;
	}
}

/* The same place or person a second time: one copy, the last word counts. */
static void
merge(struct run *r, struct engine_action *old, const struct engine_action *a)
{
	unsigned both = old->flags & a->flags & ENGINE_F_COPY;

	if (a->kind == ENGINE_KEEP || a->kind == ENGINE_FILEINTO) {
		unsigned create = (old->flags | a->flags) & ENGINE_F_CREATE;

		old->flags &= ~(unsigned)(ENGINE_F_FLAGS | ENGINE_F_COPY);
		old->flags |= create | (a->flags & ENGINE_F_FLAGS) | both;
		old->imap_flags = keep_str(r, a->imap_flags);
	} else if (a->kind == ENGINE_REDIRECT) {
		old->flags &= ~(unsigned)ENGINE_F_COPY;
		old->flags |= both;
	}
}

static void
cancel_implicit_keep(struct run *r, const struct engine_action *a)
{
	switch (a->kind) {
	case ENGINE_DISCARD:
	case ENGINE_REJECT:
	case ENGINE_EREJECT:
		r->implicit_keep = false;
		break;
	case ENGINE_KEEP:	/* or fileinto :copy "INBOX" */
	case ENGINE_FILEINTO:
	case ENGINE_REDIRECT:
		if (!(a->flags & ENGINE_F_COPY))
			r->implicit_keep = false;
		break;
	default:
		break;
	}
}

static unsigned
limit(unsigned set, unsigned normal)
{
	return set ? set : normal;
}

static int
grow(struct run *r, const struct node *n)
{
	struct engine_result *res = r->result;
	unsigned cap = r->cap_actions ? 2 * r->cap_actions : 2;
	struct engine_action *list;

	if (res->n_actions < r->cap_actions)
		return 0;
	list = arena_array(&res->arena, cap, sizeof(*list));
	if (!list)
		return no_memory(r, n);
	if (res->n_actions)
		memcpy(list, res->actions, res->n_actions * sizeof(*list));
	res->actions = list;
	r->cap_actions = cap;
	return 0;
}

static int
check_limits(struct run *r, const struct node *n,
    const struct engine_action *a)
{
	unsigned max = limit(r->settings->max_actions, LIMIT_ACTIONS);
	size_t count = 0;

	if (a->kind == ENGINE_REDIRECT) {
		unsigned most = r->settings->max_redirects == UINT32_MAX ? 0 :
		    limit(r->settings->max_redirects, LIMIT_REDIRECTS);

		if (r->n_redirects >= most)
			return run_error(r, n, "more than %u redirects",
			    most);
	}
	for (size_t i = 0; i < r->result->n_actions; i++)
		count += r->result->actions[i].kind != ENGINE_MARK;
	/* marks have the same room again */
	if (a->kind == ENGINE_MARK)
		count = r->result->n_actions - count;
	if (count >= max)
		return run_error(r, n, "more than %u actions", max);
	return 0;
}

int
plan_add(struct run *r, const struct node *n, struct engine_action *a)
{
	struct engine_result *res = r->result;

	if (a->kind == ENGINE_FILEINTO && !a->special_use.n &&
	    !a->mailbox_id.n && str_caseeq(a->mailbox, STR("INBOX"))) {
		a->kind = ENGINE_KEEP;
		a->mailbox = (struct str){ 0 };
	}
	switch (standing(r, n, a)) {
	case CONFLICTS:
		return -1;
	case NEEDLESS:
		run_trace(r, n, "an earlier script has done so already");
		cancel_implicit_keep(r, a);
		return 0;
	case STANDS:
		break;
	}
	cancel_implicit_keep(r, a);
	for (size_t i = 0; i < res->n_actions; i++) {
		if (!same(&res->actions[i], a))
			continue;
		merge(r, &res->actions[i], a);
		return 0;
	}
	if (check_limits(r, n, a) || grow(r, n))
		return -1;
	a->script = r->frame ? r->frame->name : (struct str){ 0 };
	a->line = n ? n->line : 0;
	/* RFC 5703 section 6: a redirect does not see an enclose */
	if (a->kind == ENGINE_REDIRECT && r->first_header)
		a->edition = r->first_edition;
	else if (plan_edition(r, n, &a->edition))
		return -1;
	res->edited |= a->edition > 0 && delivers(a->kind);
	keep_strings(r, a);
	res->actions[res->n_actions++] = *a;
	r->n_redirects += a->kind == ENGINE_REDIRECT;
	return 0;
}

int
plan_flags(struct run *r, const struct node *n, struct engine_action *a)
{
	return flags_of_action(r, n, SLOT_FLAGS, &a->flags, &a->imap_flags);
}

/* --- ends --- */

void
plan_script_begin(struct run *r)
{
	r->script_actions = r->result->n_actions;
	r->implicit_keep = true;
	memcpy(r->row_flags, r->flags, r->n_flags);
	r->n_row_flags = r->n_flags;
}

/* A keep goes on to the next script, and its flags with it. */
static void
remove_keep(struct run *r)
{
	struct engine_result *res = r->result;
	size_t to = 0;

	for (size_t i = 0; i < res->n_actions; i++) {
		const struct engine_action *a = &res->actions[i];

		if (a->kind != ENGINE_KEEP) {
			res->actions[to++] = *a;
		} else if (a->flags & ENGINE_F_FLAGS) {
			r->n_flags = a->imap_flags.n;
			if (r->n_flags)
				memcpy(r->flags, a->imap_flags.p, r->n_flags);
		}
	}
	res->n_actions = to;
}

static int
add_keep(struct run *r, struct engine_action *keep)
{
	if (grow(r, NULL))
		return -1;
	keep->kind = ENGINE_KEEP;
	keep->flags |= ENGINE_F_IMPLICIT;
	if (plan_edition(r, NULL, &keep->edition))
		keep->edition = 0;
	r->result->edited |= keep->edition > 0;
	keep_strings(r, keep);
	r->result->actions[r->result->n_actions++] = *keep;
	return 0;
}

int
plan_script_end(struct run *r, enum plan_end end)
{
	struct engine_result *res = r->result;
	struct engine_action keep = { 0 };
	bool kept = r->implicit_keep;

	for (size_t i = 0; i < res->n_actions; i++)
		kept |= res->actions[i].kind == ENGINE_KEEP;
	if (end == PLAN_MORE) {
		/* a keep means "go on"; the last script's is carried out */
		if (kept)
			remove_keep(r);
		return kept;
	}
	if (!r->implicit_keep)
		return 0;
	if (r->n_flags) {
		keep.flags = ENGINE_F_FLAGS;
		keep.imap_flags = str_mem(r->flags, r->n_flags);
	}
	/* beside fileinto :copy "INBOX": one copy, the last word counts */
	for (size_t i = 0; i < res->n_actions; i++)
		if (res->actions[i].kind == ENGINE_KEEP) {
			if (r->n_flags)
				merge(r, &res->actions[i], &keep);
			return 0;
		}
	return add_keep(r, &keep);
}

int
plan_failed(struct run *r)
{
	struct engine_action keep = { .flags = ENGINE_F_AT_ERROR };
	struct engine_result *res = r->result;

	if (r->n_row_flags) {
		keep.flags |= ENGINE_F_FLAGS;
		keep.imap_flags = str_mem(r->row_flags, r->n_row_flags);
	}
	res->n_actions = r->script_actions;
	/* the message as it came: half an edit is nothing */
	r->header_changed = false;
	r->edition = 0;
	res->edited = false;
	for (size_t i = 0; i < res->n_actions; i++)
		res->edited |= res->actions[i].edition > 0;
	for (size_t i = 0; i < res->n_actions; i++)
		if (res->actions[i].kind == ENGINE_KEEP)
			return -1;
	if (add_keep(r, &keep)) {
		/* only a full arena comes here; the last action gives way */
		static struct engine_action last;

		last = (struct engine_action){ .kind = ENGINE_KEEP,
		    .flags = ENGINE_F_AT_ERROR | ENGINE_F_IMPLICIT };
		res->actions = &last;
		res->n_actions = 1;
	}
	return -1;
}
