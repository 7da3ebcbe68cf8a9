/*
 * All of a filter: policy, script and message from bytes, through the same
 * function that the confined process runs. What it says are frames that the
 * master believes, in order, and a plan in the end.
 *
 *	policy NUL script NUL message
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/message/charset.h"
#include "lda/filter_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
	if (!good)
		abort();
}

struct said {
	struct filter_content *content;
	struct engine_result *r;
	unsigned contents, results;
};

static int
hear(void *arg, enum filter_frame type, struct str body)
{
	struct said *s = arg;

	must(s->results == 0);
	if (type == FILTER_CONTENT) {
		must(s->contents++ == 0);
		must(filter_decode_content(body, s->content) == 0);
	} else {
		must(type == FILTER_RESULT);
		must(filter_decode(body, s->r) == 0);
		s->results++;
	}
	return 0;
}

static enum engine_answer
yes(void *ctx, struct str what)
{
	(void)ctx;
	return what.n % 2 ? ENGINE_YES : ENGINE_NO;
}

/* The front of *rest up to a NUL. */
static struct str
take(struct str *rest)
{
	ptrdiff_t nul = str_chr(*rest, '\0');
	size_t n = nul < 0 ? rest->n : (size_t)nul;
	struct str front = str_sub(*rest, 0, n);

	*rest = str_sub(*rest, n + 1, rest->n);
	return front;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct attachment_typer typer;
	static const struct engine_world world = { .mailbox_exists = yes,
	    .duplicate_seen = yes };
	static const struct engine_settings settings = { .extensions =
	    { "all", 3 } };
	static const struct engine_envelope envelope = { .from =
	    { "a@b.test", 8 }, .to = { "fred@d.test", 11 } };
	struct filter_types types = { .typer = &typer, .why = STR("") };
	struct verdict v = VERDICT_INIT;
	struct str rest = str_mem(data, size);
	struct filter_content asked = { .list = size % 2 }, told;
	struct engine_script script = { .name = STR("fuzz") };
	struct engine_job job = { .settings = &settings, .world = &world,
	    .envelope = &envelope, .scripts = &script, .n_scripts = 1,
	    .user = STR("fred@d.test"), .host = STR("h"), .now = 1795226089,
	    .trace = size % 2 };
	struct engine_result r;
	struct said said = { .content = &told, .r = &r };
	struct filter_ear ear = { hear, &said };
	struct arena a;

	if (!typer.magic)
		must(attachment_typer_open(&typer, NULL, &v) == 0);
	asked.rules = take(&rest);
	script.text = take(&rest);
	job.message = rest;
	if (script.text.n == 0)
		job.n_scripts = 0;
	arena_init(&a, 1u << 20);
	told = asked;
	told.arena = asked.arena = &a;
	engine_result_init(&r);
	must(filter_work(&engine_native, &job, &asked, &types, &ear) == 0);
	must(said.results == 1);
	must(said.contents == (asked.rules.n || asked.list));
	if (said.contents && told.facts.act >= CONTENT_QUARANTINE)
		must(r.n_actions == 0);
	else
		must(r.n_actions > 0);
	engine_result_release(&r);
	arena_release(&a);
	return 0;
}
