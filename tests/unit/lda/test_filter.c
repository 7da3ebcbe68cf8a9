/* The filter process: what it answers, and that what goes wrong in it is a
 * keep that says why. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/filter.h"
#include "lda/filter_wire.h"
#include "store/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define CONFINED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONFINED 0
#endif
#endif
#ifndef CONFINED
#define CONFINED 1
#endif

/* An engine of the test's own: the message says what it is to do. */
static int
probe(const struct engine_job *job, struct engine_result *r)
{
	struct engine_action *a = arena_alloc(&r->arena, 2 * sizeof(*a));
	struct str what = job->message;
	struct engine_script script;
	struct buf value;

	if (str_starts(what, STR("crash")))
		raise(SIGSEGV);
	if (str_starts(what, STR("loop")))
		for (volatile int i = 0; ; )
			i++;
	if (str_starts(what, STR("open")) &&
	    open("/etc/passwd", O_RDONLY) >= 0)
		return 0;
	if (str_starts(what, STR("socket")) &&
	    socket(AF_INET, SOCK_STREAM, 0) >= 0)
		return 0;
	if (str_starts(what, STR("fork")) && fork() >= 0)
		return 0;
	if (str_starts(what, STR("exec")))
		execl("/bin/true", "true", (char *)NULL);
	if (str_starts(what, STR("kill")))
		kill(getppid(), 0);
	if (str_starts(what, STR("code")))
		(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (str_starts(what, STR("memory")))
		for (volatile char *p; (p = mem_alloc(1 << 20)); )
			*p = 1;
	a[0].kind = ENGINE_FILEINTO;
	a[0].mailbox = arena_copy(&r->arena, job->user);
	a[0].imap_flags = STR("\\Seen x");
	a[0].flags = ENGINE_F_FLAGS | ENGINE_F_COPY;
	a[1].kind = ENGINE_VACATION;
	a[1].seconds = 86400;
	a[1].key = arena_copy(&r->arena, job->scripts[0].text);
	r->actions = a;
	r->n_actions = 2;
	buf_init(&value, 100);
	if (job->world->mailbox_exists(job->world->ctx, STR("there")) ==
	    ENGINE_YES && job->world->environment(job->world->ctx,
	    STR("item"), &value) == ENGINE_YES &&
	    job->world->include(job->world->ctx, ENGINE_GLOBAL, STR("inc"),
	    &script) == ENGINE_YES)
		engine_errors_warn(&r->errors, STR("s"), 3, 4, "%s %.*s", value.p,
		    STR_ARG(script.text));
	buf_release(&value);
	return 0;
}

static const struct engine engine = { .name = "probe", .run = probe };

static enum engine_answer
there(void *ctx, struct str mailbox)
{
	(void)ctx;
	return str_eq(mailbox, STR("there")) ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
item(void *ctx, struct str name, struct buf *value)
{
	(void)ctx;
	(void)name;
	buf_addz(value, "value\nof");
	return ENGINE_YES;
}

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	(void)ctx;
	*script_r = (struct engine_script){ .name = name,
	    .text = location == ENGINE_GLOBAL ? STR("keep;") : STR("") };
	return ENGINE_YES;
}

static void
run_as(const char *message, enum filter_life life, struct engine_result *r)
{
	static const struct engine_settings settings;
	static const struct engine_world world = { .mailbox_exists = there,
	    .environment = item, .include = include };
	static const struct engine_envelope envelope;
	static const struct str addresses[] = { { "a@b", 3 } };
	struct engine_script script = { .name = STR("main"),
	    .text = STR("script text") };
	struct engine_job job = { .settings = &settings, .world = &world,
	    .scripts = &script, .n_scripts = 1, .envelope = &envelope,
	    .addresses = addresses, .n_addresses = 1, .user = STR("fred@d"),
	    .host = STR("h"), .now = 1000, .zone = -120 };
	struct filter_how how = { .engine = &engine, .sandbox = true,
	    .timeout_ms = 1000, .cpu_ms = 10000, .memory = 64 << 20,
	    .life = life };
	struct source src = { .mem = message, .fd = -1, .n = strlen(message) };
	struct verdict v = VERDICT_INIT;

	engine_result_init(r);
	assert_int_equal(filter_run(&how, &job, &src, NULL, r, &v), 0);
}

static void
assert_whole(const struct engine_result *r)
{
	assert_int_equal(r->n_actions, 2);
	assert_int_equal(r->actions[0].kind, ENGINE_FILEINTO);
	assert_true(str_eq(r->actions[0].mailbox, STR("fred@d")));
	assert_true(str_eq(r->actions[0].imap_flags, STR("\\Seen x")));
	assert_int_equal(r->actions[0].flags, ENGINE_F_FLAGS | ENGINE_F_COPY);
	assert_int_equal(r->actions[1].seconds, 86400);
	assert_true(str_eq(r->actions[1].key, STR("script text")));
	assert_int_equal(r->errors.n, 1);
	assert_int_equal(r->errors.count, 0);
	assert_int_equal(r->errors.list[0].line, 3);
	assert_true(str_find(r->errors.list[0].text, STR("keep;")) > 0);
}

static void
a_plan_comes_back_whole(void **state)
{
	struct engine_result r;

	(void)state;
	run_as("hello", FILTER_ONCE, &r);
	assert_whole(&r);
	engine_result_release(&r);
	for (int i = 0; i < 3; i++) {
		run_as("hello", FILTER_WARM, &r);
		assert_whole(&r);
		engine_result_release(&r);
	}
	filter_end();
}

static void
assert_keep(const struct engine_result *r, const char *why)
{
	assert_int_equal(r->n_actions, 1);
	assert_int_equal(r->actions[0].kind, ENGINE_KEEP);
	assert_true(r->actions[0].flags & ENGINE_F_AT_ERROR);
	assert_int_equal(r->errors.count, 1);
	if (str_find(r->errors.list[0].text, str_of(why)) < 0)
		fail_msg("%s: %.*s", why, STR_ARG(r->errors.list[0].text));
}

static void
a_crash_or_an_overrun_is_a_keep(void **state)
{
	struct engine_result r;
	unsigned before = filter_crashes(), slow = filter_overruns();

	(void)state;
	for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
		run_as("crash", (enum filter_life)life, &r);
		assert_keep(&r, "died");
		engine_result_release(&r);
		run_as("loop", (enum filter_life)life, &r);
		assert_keep(&r, "too long");
		engine_result_release(&r);
		/* And the next message is none the worse for it. */
		run_as("hello", (enum filter_life)life, &r);
		assert_whole(&r);
		engine_result_release(&r);
	}
	assert_int_equal(filter_crashes() - before, 2);
	assert_int_equal(filter_overruns() - slow, 2);
	filter_end();
}

static void
it_can_touch_nothing(void **state)
{
	static const char *const tries[] = { "open", "socket", "fork", "exec",
	    "kill", "code", "memory" };
	struct engine_result r;

	(void)state;
	if (!CONFINED)
		skip();
	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
			run_as(tries[i], (enum filter_life)life, &r);
			if (strcmp(tries[i], "memory") == 0)
				assert_keep(&r, "");
			else
				assert_keep(&r, "died (signal 31)");
			engine_result_release(&r);
		}
	filter_end();
}

/* The master's side of the frames, against a filter that lies. */
static void
nonsense_is_no_plan(void **state)
{
	struct engine_result r;
	struct buf good, bad;
	uint32_t seed = 7;

	(void)state;
	run_as("hello", FILTER_ONCE, &r);
	buf_init(&good, 1 << 20);
	buf_init(&bad, 1 << 20);
	filter_encode(&r, &good);
	engine_result_release(&r);
	for (size_t n = 0; n < good.n; n++) {
		engine_result_init(&r);
		assert_int_equal(filter_decode(str_sub(buf_str(&good), 0, n), &r),
		    -1);
		engine_result_release(&r);
	}
	for (int i = 0; i < 5000; i++) {
		buf_reset(&bad);
		buf_adds(&bad, buf_str(&good));
		for (int k = 0; k < 4; k++) {
			seed = seed * 1664525u + 1013904223u;
			bad.p[(seed >> 8) % bad.n] = (char)(seed >> 24);
		}
		engine_result_init(&r);
		if (filter_decode(buf_str(&bad), &r) == 0)
			for (size_t a = 0; a < r.n_actions; a++)
				assert_true(r.actions[a].kind < ENGINE_ACT_COUNT);
		engine_result_release(&r);
	}
	buf_release(&good);
	buf_release(&bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_comes_back_whole),
		cmocka_unit_test(a_crash_or_an_overrun_is_a_keep),
		cmocka_unit_test(it_can_touch_nothing),
		cmocka_unit_test(nonsense_is_no_plan),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
