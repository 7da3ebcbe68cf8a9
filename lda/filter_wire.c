#include "lda/filter_wire.h"

/* Numbers and strings of an action, in the order of the frame. */
#define ACTION_STRINGS(x) \
	x(script) x(mailbox) x(special_use) x(mailbox_id) x(imap_flags) \
	x(address) x(notify) x(ret) x(reason) x(subject) x(from) x(key) \
	x(in_reply_to) x(references) x(method) x(headers) x(fcc) \
	x(fcc_flags) x(fcc_special_use) x(fcc_mailbox_id)

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
get_copy(struct str *in, struct arena *a, struct str *s_r)
{
	struct str s;

	if (frame_get_str(in, &s) < 0)
		return -1;
	*s_r = arena_copy(a, s);
	return s_r->p ? 0 : -1;
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
