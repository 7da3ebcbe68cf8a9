#include <errno.h>
#include <unistd.h>

#include "lda/filter_wire.h"

/* --- the filter's side: ask ------------------------------------------------- */

struct remote {
	struct filter_mouth *mouth;
	struct arena *arena;
};

int
filter_mouth_say(struct filter_mouth *m, enum filter_frame type,
    struct str body)
{
	if (m->share && type == FILTER_RESULT &&
	    filter_share_say(m->share, body) == 0)
		return 0;
	/* First, since a long frame waits until it is read. */
	if (m->share)
		filter_share_talk(m->share);
	m->share = NULL;
	return frame_write(m->fd, (uint8_t)type, body);
}

/* Sends a question of up to two strings and takes the answer; a master that
 * does not answer is gone, and so are we. */
static enum engine_answer
ask(const struct remote *r, enum filter_question q, struct str one,
    struct str two, struct buf *value, struct str *extra)
{
	struct buf out, in;
	struct str body, text = STR("");
	uint8_t type;
	uint64_t answer;

	buf_init(&out, FILTER_ASK_MAX);
	frame_put_number(&out, (uint64_t)q);
	frame_put_str_or_null(&out, one);
	frame_put_str_or_null(&out, two);
	buf_init(&in, FILTER_ANSWER_MAX);
	if (out.full) {
		buf_release(&out);
		buf_release(&in);
		return ENGINE_NO;	/* no mailbox has such a name */
	}
	if (filter_mouth_say(r->mouth, FILTER_ASK, buf_str(&out)) < 0 ||
	    frame_read(r->mouth->fd, &type, &in, 0) != 1 || type != FILTER_ANSWER)
		_exit(1);
	buf_release(&out);
	body = buf_str(&in);
	if (frame_get_number(&body, &answer) < 0 || answer > ENGINE_BROKEN ||
	    frame_get_str(&body, &text) < 0)
		_exit(1);
	if (value)
		(void)buf_adds(value, text);	/* cut at its ceiling */
	if (extra)
		*extra = arena_copy(r->arena, text);
	buf_release(&in);
	return (enum engine_answer)answer;
}

#define NONE ((struct str){ NULL, 0 })

static enum engine_answer
mailbox_exists(void *ctx, struct str mailbox)
{
	return ask(ctx, ASK_MAILBOX_EXISTS, mailbox, NONE, NULL, NULL);
}

static enum engine_answer
mailbox_by_id(void *ctx, struct str id, struct buf *value)
{
	return ask(ctx, ASK_MAILBOX_BY_ID, id, NONE, value, NULL);
}

static enum engine_answer
special_use(void *ctx, struct str mailbox, struct str use, struct buf *value)
{
	return ask(ctx, ASK_SPECIAL_USE, mailbox, use, value, NULL);
}

static enum engine_answer
metadata(void *ctx, struct str mailbox, struct str annotation,
    struct buf *value)
{
	return ask(ctx, ASK_METADATA, mailbox, annotation, value, NULL);
}

static enum engine_answer
duplicate_seen(void *ctx, struct str key)
{
	return ask(ctx, ASK_DUPLICATE_SEEN, key, NONE, NULL, NULL);
}

static enum engine_answer
list_has(void *ctx, struct str list, struct str value)
{
	return ask(ctx, ASK_LIST_HAS, list, value, NULL, NULL);
}

static enum engine_answer
list_known(void *ctx, struct str list)
{
	return ask(ctx, ASK_LIST_KNOWN, list, NONE, NULL, NULL);
}

static enum engine_answer
environment(void *ctx, struct str item, struct buf *value)
{
	return ask(ctx, ASK_ENVIRONMENT, item, NONE, value, NULL);
}

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	const struct remote *r = ctx;
	struct str text;
	enum engine_answer answer = ask(ctx, ASK_INCLUDE, name,
	    location == ENGINE_GLOBAL ? STR("global") : STR("personal"), NULL,
	    &text);

	if (answer != ENGINE_YES)
		return answer;
	*script_r = (struct engine_script){ .name = arena_copy(r->arena, name),
	    .text = text, .location = location };
	return text.p && script_r->name.p ? ENGINE_YES : ENGINE_BROKEN;
}

void
filter_world_remote(struct filter_mouth *mouth, struct engine_world *world,
    struct arena *a)
{
	/* One filter a process: it lives as long as that. */
	static struct remote remote;

	remote = (struct remote){ .mouth = mouth, .arena = a };
	*world = (struct engine_world){
		.ctx = &remote,
		.mailbox_exists = mailbox_exists,
		.mailbox_by_id = mailbox_by_id,
		.special_use = special_use,
		.metadata = metadata,
		.duplicate_seen = duplicate_seen,
		.list_has = list_has,
		.list_known = list_known,
		.environment = environment,
		.include = include,
	};
}

/* --- the master's side: answer ------------------------------------------------- */

static enum engine_answer
answer_one(const struct engine_world *w, enum filter_question q,
    struct str one, struct str two, struct buf *value)
{
	struct engine_script script;
	enum engine_answer answer = ENGINE_NO;

	switch (q) {
	case ASK_MAILBOX_EXISTS:
		return w->mailbox_exists ? w->mailbox_exists(w->ctx, one) :
		    ENGINE_NO;
	case ASK_MAILBOX_BY_ID:
		return w->mailbox_by_id ? w->mailbox_by_id(w->ctx, one, value) :
		    ENGINE_NO;
	case ASK_SPECIAL_USE:
		return w->special_use ? w->special_use(w->ctx, one, two, value) :
		    ENGINE_NO;
	case ASK_METADATA:
		return w->metadata ? w->metadata(w->ctx, one, two, value) :
		    ENGINE_NO;
	case ASK_DUPLICATE_SEEN:
		return w->duplicate_seen ? w->duplicate_seen(w->ctx, one) :
		    ENGINE_NO;
	case ASK_LIST_HAS:
		return w->list_has ? w->list_has(w->ctx, one, two) : ENGINE_NO;
	case ASK_LIST_KNOWN:
		return w->list_known ? w->list_known(w->ctx, one) : ENGINE_NO;
	case ASK_ENVIRONMENT:
		return w->environment ? w->environment(w->ctx, one, value) :
		    ENGINE_NO;
	case ASK_INCLUDE:
		if (w->include)
			answer = w->include(w->ctx, str_eq(two, STR("global")) ?
			    ENGINE_GLOBAL : ENGINE_PERSONAL, one, &script);
		if (answer == ENGINE_YES && buf_adds(value, script.text) < 0)
			return ENGINE_BROKEN;
		return answer;
	case ASK_COUNT:
		break;
	}
	return ENGINE_NO;
}

int
filter_world_answer(const struct engine_world *world, struct str question,
    struct buf *out)
{
	struct str one, two;
	struct buf value;
	enum engine_answer answer;
	uint64_t q;

	if (frame_get_number(&question, &q) < 0 || q >= ASK_COUNT ||
	    frame_get_str_or_null(&question, &one) < 0 ||
	    frame_get_str_or_null(&question, &two) < 0 || question.n)
		return -1;
	buf_init(&value, FILTER_ANSWER_MAX - 64);
	answer = answer_one(world, (enum filter_question)q, one, two, &value);
	frame_put_number(out, (uint64_t)answer);
	frame_put_str(out, answer == ENGINE_YES ? buf_str(&value) : STR(""));
	buf_release(&value);
	return 0;
}
