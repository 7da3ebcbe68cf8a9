/*
 * The frames between filter and master, each read as if a liar had written it:
 * a job, a plan, a judgement, a question, an answer, the frame around them.
 * What is believed is written again and must come back the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lda/filter_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM (8u << 20)

static void
wire_must(bool good)
{
	if (!good)
		abort();
}

static void
job(struct str in)
{
	struct filter_content c;
	struct engine_job j;
	struct arena a;
	struct buf out;

	arena_init(&a, ROOM);
	if (filter_decode_job(in, &a, &j, &c) == 0) {
		buf_init(&out, ROOM);
		filter_encode_job(&j, &c, &out);
		wire_must(!out.full && str_eq(buf_str(&out), in));
		buf_release(&out);
	}
	arena_release(&a);
}

static void
plan(struct str in)
{
	struct engine_result r, again;
	struct buf out;

	engine_result_init(&r);
	if (filter_decode(in, &r) == 0) {
		for (size_t i = 0; i < r.n_actions; i++) {
			wire_must(r.actions[i].kind < ENGINE_ACT_COUNT);
			wire_must(r.actions[i].edition == 0 ||
			    r.actions[i].edition < r.n_editions);
		}
		wire_must(r.errors.n <= ENGINE_ERRORS);
		for (size_t i = 0; i < r.errors.n; i++)
			for (size_t k = 0; k < r.errors.list[i].text.n; k++)
				wire_must(!ascii_iscntrl(r.errors.list[i].text.p[k]));
		buf_init(&out, ROOM);
		filter_encode(&r, &out);
		engine_result_init(&again);
		wire_must(out.full || filter_decode(buf_str(&out), &again) == 0);
		wire_must(out.full || again.n_actions == r.n_actions);
		engine_result_release(&again);
		buf_release(&out);
	}
	engine_result_release(&r);
}

static void
judgement(struct str in)
{
	struct filter_content c = { .rules = STR("reject bomb") }, none = {
	    .rules = STR("") };
	struct arena a;
	struct buf out;

	arena_init(&a, ROOM);
	c.arena = none.arena = &a;
	if (filter_decode_content(in, &c) == 0) {
		wire_must(c.facts.act < CONTENT_ACT_COUNT);
		wire_must(c.judged || c.facts.act == CONTENT_ACCEPT);
		wire_must(filter_decode_content(in, &none) == 0);
		wire_must(none.facts.act == CONTENT_ACCEPT);
		buf_init(&out, ROOM);
		content_field(&c.facts, &out);
		/* One field: every further line begins with a blank. */
		for (size_t i = 0; i + 1 < out.n; i++)
			wire_must(out.p[i] != '\n' || out.p[i + 1] == '\t');
		for (size_t i = 0; i < out.n; i++)
			wire_must((out.p[i] >= ' ' && out.p[i] <= '~') ||
			    out.p[i] == '\n' || out.p[i] == '\t');
		buf_release(&out);
	}
	arena_release(&a);
}

static enum engine_answer
value_of(void *ctx, struct str what, struct buf *value)
{
	(void)ctx;
	(void)buf_adds(value, what);
	return ENGINE_YES;
}

static enum engine_answer
even(void *ctx, struct str what)
{
	(void)ctx;
	return what.n % 2 ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	(void)ctx;
	script_r->text = name;
	return location == ENGINE_GLOBAL ? ENGINE_YES : ENGINE_NO;
}

static void
question(struct str in)
{
	static const struct engine_world world = { .mailbox_exists = even,
	    .mailbox_by_id = value_of, .duplicate_seen = even,
	    .list_known = even, .environment = value_of, .include = include };
	struct buf out;

	buf_init(&out, ROOM);
	if (filter_world_answer(&world, in, &out) == 0)
		wire_must(out.n >= 16);
	buf_release(&out);
}

/* Whole frames off a socket; the writer ends where the input does. */
static void
stream(struct str in)
{
	struct buf body;
	uint8_t type;
	int pair[2];

	if (in.n > 4096 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair) < 0)
		return;
	if (write(pair[0], in.n ? in.p : "", in.n) != (ssize_t)in.n)
		abort();
	close(pair[0]);
	buf_init(&body, 1000);
	while (frame_read(pair[1], &type, &body, 0) == 1)
		wire_must(body.n <= 1000);
	buf_release(&body);
	close(pair[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in;

	if (size < 1)
		return 0;
	in = str_mem(data + 1, size - 1);
	switch (data[0] % 5) {
	case 0:
		job(in);
		break;
	case 1:
		plan(in);
		break;
	case 2:
		judgement(in);
		break;
	case 3:
		question(in);
		break;
	case 4:
		stream(in);
		break;
	}
	return 0;
}
