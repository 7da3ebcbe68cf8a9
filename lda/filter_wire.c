#include "lda/filter_wire.h"

#include <string.h>

/* Numbers and strings of an action, in the order of the frame. */
#define ACTION_STRINGS(x) \
	x(script) x(mailbox) x(special_use) x(mailbox_id) x(imap_flags) \
	x(address) x(notify) x(ret) x(reason) x(subject) x(from) x(key) \
	x(in_reply_to) x(references) x(method) x(headers) x(fcc) \
	x(fcc_flags) x(fcc_special_use) x(fcc_mailbox_id)

/* --- the job ------------------------------------------------------------------ */

static void
put_spam(const struct engine_spam *s, struct buf *out)
{
	frame_put_number(out, (uint64_t)s->type);
	frame_put_str(out, s->header);
	frame_put_str(out, s->max_header);
	frame_put_str(out, str_mem(&s->max, sizeof(s->max)));
	for (size_t i = 0; i < sizeof(s->texts) / sizeof(*s->texts); i++)
		frame_put_str(out, s->texts[i]);
}

static int
get_spam(struct str *in, struct engine_spam *s)
{
	struct str max;
	size_t type;

	if (frame_get_count(in, ENGINE_SPAM_TEXT, &type) < 0 ||
	    frame_get_str(in, &s->header) < 0 ||
	    frame_get_str(in, &s->max_header) < 0 ||
	    frame_get_str(in, &max) < 0 || max.n != sizeof(s->max))
		return -1;
	s->type = (enum engine_spam_type)type;
	memcpy(&s->max, max.p, sizeof(s->max));
	for (size_t i = 0; i < sizeof(s->texts) / sizeof(*s->texts); i++)
		if (frame_get_str(in, &s->texts[i]) < 0)
			return -1;
	return 0;
}

static int
get_copy(struct str *in, struct arena *a, struct str *s_r)
{
	struct str s;

	if (frame_get_str(in, &s) < 0)
		return -1;
	*s_r = arena_copy(a, s);
	return s_r->p ? 0 : -1;
}

static void
put_facts(const struct content_facts *f, struct buf *out)
{
	frame_put_number(out, (uint64_t)f->act);
	frame_put_str(out, f->rule);
	frame_put_str(out, f->name);
	frame_put_str(out, f->type);
	frame_put_number(out, f->flags);
}

static int
get_facts(struct str *in, struct arena *a, struct content_facts *f)
{
	uint64_t flags;
	size_t act;

	if (frame_get_count(in, CONTENT_ACT_COUNT - 1, &act) < 0 ||
	    get_copy(in, a, &f->rule) < 0 || get_copy(in, a, &f->name) < 0 ||
	    get_copy(in, a, &f->type) < 0 ||
	    frame_get_number(in, &flags) < 0 || flags > UINT16_MAX)
		return -1;
	f->act = (enum content_act)act;
	f->flags = (unsigned)flags;
	return 0;
}

#define ENVELOPE_STRINGS(x) \
	x(from) x(to) x(orig_to) x(auth) x(dsn_notify) x(dsn_orcpt) \
	x(dsn_ret) x(dsn_envid) x(by_mode) x(by_time)
#define SETTINGS_NUMBERS(x) \
	x(vacation_min) x(vacation_max) x(vacation_default) \
	x(duplicate_default) x(duplicate_max)

void
filter_encode_job(const struct engine_job *job,
    const struct filter_content *content, struct buf *out)
{
	const struct engine_settings *s = job->settings;

	frame_put_str(out, s->extensions);
	frame_put_number(out, s->max_actions);
	frame_put_number(out, s->max_redirects);
	frame_put_str(out, s->delimiter);
#define PUT(field) frame_put_number(out, (uint64_t)s->field);
	SETTINGS_NUMBERS(PUT)
#undef PUT
	frame_put_str(out, s->protected_headers);
	put_spam(&s->spam, out);
	put_spam(&s->virus, out);
	frame_put_number(out, job->n_scripts);
	for (size_t i = 0; i < job->n_scripts; i++) {
		frame_put_number(out, (uint64_t)job->scripts[i].location);
		frame_put_str(out, job->scripts[i].name);
		frame_put_str(out, job->scripts[i].text);
		frame_put_str(out, job->scripts[i].image);
	}
#define PUT(field) frame_put_str_or_null(out, job->envelope->field);
	ENVELOPE_STRINGS(PUT)
#undef PUT
	frame_put_number(out, job->n_addresses);
	for (size_t i = 0; i < job->n_addresses; i++)
		frame_put_str(out, job->addresses[i]);
	frame_put_str(out, job->user);
	frame_put_str(out, job->host);
	frame_put_number(out, (uint64_t)job->now);
	frame_put_number(out, (uint64_t)(job->zone + 24 * 60));
	frame_put_number(out, job->trace ? 1 : 0);
	frame_put_str(out, content ? content->rules : STR(""));
	frame_put_number(out, content && content->list ? 1 : 0);
	frame_put_number(out, content && content->known ? 1 : 0);
	if (content && content->known)
		put_facts(&content->facts, out);
	frame_put_str(out, job->message);
}

static int
get_settings(struct str *in, struct engine_settings *s)
{
	uint64_t actions, redirects, n;

	if (frame_get_str(in, &s->extensions) < 0 ||
	    frame_get_number(in, &actions) < 0 || actions > UINT32_MAX ||
	    frame_get_number(in, &redirects) < 0 || redirects > UINT32_MAX ||
	    frame_get_str(in, &s->delimiter) < 0)
		return -1;
	s->max_actions = (unsigned)actions;
	s->max_redirects = (unsigned)redirects;
#define GET(field) \
	if (frame_get_number(in, &n) < 0 || n > INT64_MAX) \
		return -1; \
	s->field = (int64_t)n;
	SETTINGS_NUMBERS(GET)
#undef GET
	if (frame_get_str(in, &s->protected_headers) < 0 ||
	    get_spam(in, &s->spam) < 0)
		return -1;
	return get_spam(in, &s->virus);
}

static int
get_scripts(struct str *in, struct arena *a, struct engine_job *job)
{
	struct engine_script *list;
	size_t n, location;

	if (frame_get_count(in, FILTER_SCRIPTS_MAX, &n) < 0)
		return -1;
	list = arena_array(a, n, sizeof(*list));
	if (!list)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (frame_get_count(in, ENGINE_GLOBAL, &location) < 0 ||
		    frame_get_str(in, &list[i].name) < 0 ||
		    frame_get_str(in, &list[i].text) < 0 ||
		    frame_get_str(in, &list[i].image) < 0)
			return -1;
		list[i].location = (enum engine_location)location;
		/* In place it may lie at any address; it wants to be aligned. */
		if (list[i].image.n) {
			list[i].image = arena_copy(a, list[i].image);
			if (!list[i].image.p)
				return -1;
		}
	}
	job->scripts = list;
	job->n_scripts = n;
	return 0;
}

int
filter_decode_job(struct str in, struct arena *a, struct engine_job *job,
    struct filter_content *content_r)
{
	struct engine_settings *s = arena_alloc(a, sizeof(*s));
	struct engine_envelope *e = arena_alloc(a, sizeof(*e));
	uint64_t now;
	struct str *addresses;
	size_t n, zone, trace, list, known;

	*job = (struct engine_job){ .settings = s, .envelope = e };
	*content_r = (struct filter_content){ .arena = a };
	if (!s || !e || get_settings(&in, s) < 0 ||
	    get_scripts(&in, a, job) < 0)
		return -1;
#define GET(field) if (frame_get_str_or_null(&in, &e->field) < 0) return -1;
	ENVELOPE_STRINGS(GET)
#undef GET
	if (frame_get_count(&in, FILTER_ADDRESSES_MAX, &n) < 0)
		return -1;
	addresses = arena_array(a, n, sizeof(*addresses));
	if (!addresses)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (frame_get_str(&in, &addresses[i]) < 0)
			return -1;
	job->addresses = addresses;
	job->n_addresses = n;
	if (frame_get_str(&in, &job->user) < 0 ||
	    frame_get_str(&in, &job->host) < 0 ||
	    frame_get_number(&in, &now) < 0 || now > INT64_MAX ||
	    frame_get_count(&in, 48 * 60, &zone) < 0 ||
	    frame_get_count(&in, 1, &trace) < 0 ||
	    frame_get_str(&in, &content_r->rules) < 0 ||
	    frame_get_count(&in, 1, &list) < 0 ||
	    frame_get_count(&in, 1, &known) < 0 ||
	    (known && get_facts(&in, a, &content_r->facts) < 0) ||
	    frame_get_str(&in, &job->message) < 0 || in.n)
		return -1;
	content_r->known = content_r->judged = known;
	job->now = (time_t)now;
	job->zone = (int)zone - 24 * 60;
	job->trace = trace;
	content_r->list = list;
	return 0;
}

/* --- the plan ----------------------------------------------------------------- */

static void
put_action(const struct engine_action *a, struct buf *out)
{
	frame_put_number(out, (uint64_t)a->kind);
	frame_put_number(out, a->flags);
	frame_put_number(out, a->line);
	frame_put_number(out, a->edition);
	frame_put_number(out, (uint64_t)a->by_seconds);
	frame_put_number(out, (uint64_t)a->seconds);
	frame_put_number(out, (uint64_t)a->importance);
#define PUT(field) frame_put_str(out, a->field);
	ACTION_STRINGS(PUT)
#undef PUT
	frame_put_number(out, a->n_to);
	for (size_t i = 0; i < a->n_to; i++)
		frame_put_str(out, a->to[i]);
	frame_put_number(out, a->n_cc);
}

static void
put_body(const struct engine_body *b, struct buf *out)
{
	size_t n = b ? b->n_pieces : 0;

	frame_put_number(out, n);
	for (size_t i = 0; i < n; i++) {
		const struct engine_piece *p = &b->pieces[i];

		frame_put_number(out, p->text.p ? 1 : 0);
		if (p->text.p) {
			frame_put_str(out, p->text);
			continue;
		}
		frame_put_number(out, p->back);
		frame_put_number(out, p->n);
	}
}

void
filter_encode(const struct engine_result *r, struct buf *out)
{
	frame_put_number(out, r->n_actions);
	for (size_t i = 0; i < r->n_actions; i++)
		put_action(&r->actions[i], out);
	/* The first edition is the message's own header: we have it. */
	frame_put_number(out, r->n_editions);
	for (size_t i = 1; i < r->n_editions; i++)
		frame_put_str(out, r->editions[i]);
	for (size_t i = 1; i < r->n_editions; i++)
		put_body(r->bodies ? &r->bodies[i] : NULL, out);
	frame_put_number(out, r->edited ? 1 : 0);
	frame_put_number(out, r->errors.n);
	frame_put_number(out, r->errors.count);
	for (size_t i = 0; i < r->errors.n; i++) {
		const struct engine_error *e = &r->errors.list[i];

		frame_put_str(out, e->script);
		frame_put_number(out, e->line);
		frame_put_number(out, e->column);
		frame_put_number(out, e->warning ? 1 : 0);
		frame_put_str(out, e->text);
	}
	frame_put_str(out, buf_str(&r->trace));
	frame_put_number(out, r->work);
}

static int
get_action(struct str *in, struct arena *a, size_t editions,
    struct engine_action *act)
{
	uint64_t kind, flags, line, edition, by, seconds, importance;
	struct str *to;
	size_t n;

	if (frame_get_number(in, &kind) < 0 || kind >= ENGINE_ACT_COUNT ||
	    frame_get_number(in, &flags) < 0 || flags > UINT32_MAX ||
	    frame_get_number(in, &line) < 0 || line > UINT32_MAX ||
	    frame_get_number(in, &edition) < 0 || edition >= editions ||
	    frame_get_number(in, &by) < 0 || by > INT64_MAX ||
	    frame_get_number(in, &seconds) < 0 || seconds > INT64_MAX ||
	    frame_get_number(in, &importance) < 0 || importance > 9)
		return -1;
	act->kind = (enum engine_act)kind;
	act->flags = (unsigned)flags;
	act->line = (unsigned)line;
	act->edition = (unsigned)edition;
	act->by_seconds = (int64_t)by;
	act->seconds = (int64_t)seconds;
	act->importance = (int)importance;
#define GET(field) if (get_copy(in, a, &act->field) < 0) return -1;
	ACTION_STRINGS(GET)
#undef GET
	if (frame_get_count(in, FILTER_NOTIFY_TO_MAX, &n) < 0)
		return -1;
	to = arena_array(a, n, sizeof(*to));
	if (!to)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (get_copy(in, a, &to[i]) < 0)
			return -1;
	act->to = to;
	act->n_to = n;
	if (frame_get_count(in, n, &act->n_cc) < 0)
		return -1;
	return 0;
}

/* Errors go through engine_errors_add, which cleans them again. */
static int
get_errors(struct str *in, struct engine_result *r)
{
	uint64_t count;
	size_t n;

	if (frame_get_count(in, ENGINE_ERRORS, &n) < 0 ||
	    frame_get_number(in, &count) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct str script, text;
		uint64_t line, column;
		size_t warning;

		if (frame_get_str(in, &script) < 0 ||
		    frame_get_number(in, &line) < 0 || line > UINT32_MAX ||
		    frame_get_number(in, &column) < 0 || column > UINT32_MAX ||
		    frame_get_count(in, 1, &warning) < 0 ||
		    frame_get_str(in, &text) < 0)
			return -1;
		if (warning)
			engine_errors_warn(&r->errors, script, (unsigned)line,
			    (unsigned)column, "%.*s", STR_ARG(text));
		else
			engine_errors_add(&r->errors, script, (unsigned)line,
			    (unsigned)column, "%.*s", STR_ARG(text));
	}
	r->errors.count = (size_t)count;
	return 0;
}

/* --- the policy's answer -------------------------------------------------------- */

void
filter_encode_content(const struct filter_content *content, struct buf *out)
{
	frame_put_number(out, content->judged ? 1 : 0);
	frame_put_str(out, content->why);
	put_facts(&content->facts, out);
	frame_put_number(out, content->count);
}

int
filter_decode_content(struct str in, struct filter_content *content)
{
	struct filter_content c = *content;
	size_t judged;

	if (frame_get_count(&in, 1, &judged) < 0 ||
	    get_copy(&in, c.arena, &c.why) < 0 ||
	    get_facts(&in, c.arena, &c.facts) < 0 ||
	    frame_get_number(&in, &c.count) < 0 || in.n)
		return -1;
	/* Who asked for no policy gets none; who could not judge did not. */
	if (!c.rules.n || !judged)
		c.facts.act = CONTENT_ACCEPT;
	c.judged = judged;
	*content = c;
	return 0;
}

/* --- the plan's ------------------------------------------------------------------- */

static int
get_body(struct str *in, struct arena *a, struct engine_body *b)
{
	uint64_t total = 0;
	size_t n, text;

	if (frame_get_count(in, ENGINE_PIECES_MAX, &n) < 0)
		return -1;
	if (n == 0)
		return 0;
	b->pieces = arena_array(a, n, sizeof(*b->pieces));
	if (!b->pieces)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct engine_piece *p = &b->pieces[i];

		if (frame_get_count(in, 1, &text) < 0)
			return -1;
		if (text) {
			if (get_copy(in, a, &p->text) < 0)
				return -1;
			p->n = p->text.n;
		} else if (frame_get_number(in, &p->back) < 0 ||
		    frame_get_number(in, &p->n) < 0 || p->n > p->back) {
			return -1;
		}
		if (p->n > ENGINE_BODY_MAX ||
		    (total += p->n) > ENGINE_BODY_MAX)
			return -1;
	}
	b->n_pieces = n;
	return 0;
}

int
filter_decode(struct str in, struct engine_result *r)
{
	struct str trace;
	size_t n, editions, edited;

	if (frame_get_count(&in, FILTER_ACTIONS_MAX, &n) < 0)
		return -1;
	r->actions = arena_array(&r->arena, n, sizeof(*r->actions));
	if (!r->actions)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (get_action(&in, &r->arena, FILTER_EDITIONS_MAX,
		    &r->actions[i]) < 0)
			return -1;
	if (frame_get_count(&in, FILTER_EDITIONS_MAX, &editions) < 0)
		return -1;
	r->editions = arena_array(&r->arena, editions + 1, sizeof(*r->editions));
	if (!r->editions)
		return -1;
	for (size_t i = 1; i < editions; i++)
		if (get_copy(&in, &r->arena, &r->editions[i]) < 0)
			return -1;
	r->bodies = arena_array(&r->arena, editions + 1, sizeof(*r->bodies));
	if (!r->bodies)
		return -1;
	for (size_t i = 1; i < editions; i++)
		if (get_body(&in, &r->arena, &r->bodies[i]) < 0)
			return -1;
	for (size_t i = 0; i < n; i++)
		if (r->actions[i].edition && r->actions[i].edition >= editions)
			return -1;
	if (frame_get_count(&in, 1, &edited) < 0 || get_errors(&in, r) < 0 ||
	    frame_get_str(&in, &trace) < 0 ||
	    frame_get_number(&in, &r->work) < 0 || in.n)
		return -1;
	(void)buf_adds(&r->trace, trace);	/* cut at its ceiling */
	r->n_actions = n;
	r->n_editions = editions;
	r->edited = edited;
	return 0;
}

void
filter_keep(struct engine_result *r, const char *why)
{
	r->n_actions = 0;
	r->n_editions = 0;
	r->edited = false;
	r->actions = arena_array(&r->arena, 1, sizeof(*r->actions));
	if (r->actions) {
		r->actions[0] = (struct engine_action){ .kind = ENGINE_KEEP,
		    .flags = ENGINE_F_IMPLICIT | ENGINE_F_AT_ERROR };
		r->n_actions = 1;
	}
	engine_errors_add(&r->errors, STR("filter"), 0, 0, "%s", why);
}
