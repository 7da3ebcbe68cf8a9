/*
 * A script, a NUL, a message: all of the engine. There must be a plan in the
 * end, whatever both say.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct str text;

/* Every script includes itself under any name; every list knows everybody. */
static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	(void)ctx;
	(void)location;
	if (name.n % 3 == 0)
		return ENGINE_NO;
	script_r->text = text;
	return ENGINE_YES;
}

static enum engine_answer
yes_to_list(void *ctx, struct str list, struct str value)
{
	(void)ctx;
	return (list.n + value.n) % 2 ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
value_of(void *ctx, struct str item, struct buf *value)
{
	(void)ctx;
	(void)buf_adds(value, item);
	return item.n % 2 ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
yes(void *ctx, struct str what)
{
	(void)ctx;
	return what.n % 2 ? ENGINE_YES : ENGINE_NO;
}

/* Stretches of the message lie in it, and a body is no larger than is said. */
static void
must_be_made_of(const struct engine_result *r, struct str message)
{
	for (size_t i = 1; i < r->n_editions; i++) {
		const struct engine_body *b = &r->bodies[i];
		uint64_t total = 0;

		if (b->n_pieces > ENGINE_PIECES_MAX)
			abort();
		for (size_t k = 0; k < b->n_pieces; k++) {
			const struct engine_piece *x = &b->pieces[k];

			if (x->text.p ? x->text.n != x->n :
			    x->n > x->back || x->back > message.n)
				abort();
			total += x->n;
		}
		if (total > ENGINE_BODY_MAX)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct engine_world world = {
		.mailbox_exists = yes,
		.mailbox_by_id = value_of,
		.duplicate_seen = yes,
		.list_known = yes,
		.list_has = yes_to_list,
		.environment = value_of,
		.include = include,
	};
	const uint8_t *nul = n ? memchr(data, '\0', n) : NULL;
	size_t at = nul ? (size_t)(nul - data) : n;
	struct engine_settings settings = {
		.extensions = STR("all"),
		.spam = { .type = ENGINE_SPAM_SCORE, .max = 10,
		    .header = STR("X-Spam-Score: ([0-9.]+)") },
	};
	struct engine_envelope envelope = {
		.from = STR("coyote@desert.example.org"),
		.to = STR("roadrunner+detail@acme.example.com"),
		.auth = STR("x"),
		.dsn_notify = STR("NEVER"),
	};
	struct engine_script script = { .name = STR("fuzz") };
	struct engine_job job = {
		.settings = &settings,
		.world = &world,
		.scripts = &script,
		.n_scripts = 1,
		.envelope = &envelope,
		.host = STR("mail.example.org"),
		.now = 1795226089,
		.zone = 60,
	};
	struct engine_result result;

	text = str_mem(data, at);
	script.text = text;
	if (at < n)
		job.message = str_mem(data + at + 1, n - at - 1);
	job.trace = n % 2;
	engine_result_init(&result);
	if (engine_native.run(&job, &result) != 0 && result.n_actions == 0)
		abort();
	for (size_t i = 0; i < result.n_actions; i++)
		if (result.actions[i].edition >= result.n_editions ||
		    result.actions[i].kind >= ENGINE_ACT_COUNT)
			abort();
	must_be_made_of(&result, job.message);
	engine_result_release(&result);
	return 0;
}
