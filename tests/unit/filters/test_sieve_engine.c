/* The Sieve engine beyond single cases: rows of scripts, cached forms, trace,
 * and scripts and messages made to hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "filters/engine.h"
#include "filters/sieve/limits.h"

#define BIG (128u * 1024 * 1024)
/* What each of the hostile ones may take on a slow machine, where it is far
 * from what it would take without limits; sanitizers are slower. */
#if defined(__SANITIZE_ADDRESS__)
#define SECONDS 20.0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SECONDS 20.0
#else
#define SECONDS 5.0
#endif
#else
#define SECONDS 5.0
#endif

static const struct engine_envelope envelope = {
	.from = STR("a@example.org"), .to = STR("b@example.org"),
};
#define LETTER STR("From: a@example.org\nTo: b@example.org\nSubject: s\n\n" \
    "body\n")

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	struct str *texts = ctx;

	(void)location;
	/* "0" to "9" of what the test gives */
	if (name.n != 1 || name.p[0] < '0' || name.p[0] > '9' ||
	    !texts[name.p[0] - '0'].p)
		return ENGINE_NO;
	script_r->text = texts[name.p[0] - '0'];
	return ENGINE_YES;
}

static int
run_texts(const char *const *texts, size_t n, struct str message, void *ctx,
    struct engine_result *r)
{
	static const struct engine_settings settings;
	struct engine_world world = { .ctx = ctx,
	    .include = ctx ? include : NULL };
	struct engine_script scripts[8] = { 0 };
	struct engine_job job = {
		.settings = &settings,
		.world = &world,
		.scripts = scripts,
		.n_scripts = n,
		.envelope = &envelope,
		.message = message,
		.trace = true,
	};

	for (size_t i = 0; i < n; i++) {
		scripts[i].name = STR("s");
		scripts[i].text = str_of(texts[i]);
	}
	engine_result_init(r);
	return engine_native.run(&job, r);
}

static double
cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- rows of scripts --- */

static void
a_keep_goes_on_to_the_next_script(void **state)
{
	static const struct {
		const char *scripts[3];
		size_t n;
		enum engine_act want[3];
		size_t n_want;
	} cases[] = {
		{ { "keep;", "discard;" }, 2, { ENGINE_DISCARD }, 1 },
		{ { "", "discard;" }, 2, { ENGINE_DISCARD }, 1 },
		{ { "discard;", "keep;" }, 2, { ENGINE_DISCARD }, 1 },
		{ { "require \"fileinto\"; fileinto \"x\";", "discard;" }, 2,
		    { ENGINE_FILEINTO }, 1 },
		{ { "require [\"fileinto\", \"copy\"]; fileinto :copy \"x\";",
		    "discard;" }, 2, { ENGINE_FILEINTO, ENGINE_DISCARD }, 2 },
		{ { "stop;", "stop;", "redirect \"c@example.org\";" }, 3,
		    { ENGINE_REDIRECT }, 1 },
		{ { "keep;", "" }, 2, { ENGINE_KEEP }, 1 },
		{ { "keep;", "keep;" }, 2, { ENGINE_KEEP }, 1 },
		{ { "" }, 0, { ENGINE_KEEP }, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct engine_result r;

		assert_int_equal(run_texts(cases[i].scripts, cases[i].n,
		    LETTER, NULL, &r), 0);
		assert_int_equal(r.n_actions, cases[i].n_want);
		for (size_t k = 0; k < r.n_actions; k++)
			assert_int_equal(r.actions[k].kind, cases[i].want[k]);
		engine_result_release(&r);
	}
}

static void
a_failing_script_keeps_what_earlier_ones_did(void **state)
{
	static const char *const scripts[] = {
		"require [\"fileinto\", \"copy\"]; fileinto :copy \"x\";",
		"redirect \"c@example.org\"; require \"fileinto\";",
		"discard;",
	};
	struct engine_result r;

	(void)state;
	assert_int_equal(run_texts(scripts, 3, LETTER, NULL, &r), -1);
	assert_int_equal(r.n_actions, 2);
	assert_int_equal(r.actions[0].kind, ENGINE_FILEINTO);
	assert_int_equal(r.actions[1].kind, ENGINE_KEEP);
	assert_true(r.actions[1].flags & ENGINE_F_AT_ERROR);
	assert_int_equal(r.errors.count, 1);
	assert_int_equal(r.errors.list[0].line, 1);
	assert_int_equal(r.errors.list[0].column, 27);
	engine_result_release(&r);
}

/* --- cached forms --- */

static void
only_the_image_of_this_very_script_is_used(void **state)
{
	struct engine_settings settings = { 0 };
	struct engine_script script = { .name = STR("s"),
	    .text = STR("discard;") };
	struct engine_script other = { .name = STR("s"), .text = STR("keep;") };
	struct engine_job job = { .settings = &settings, .scripts = &script,
	    .n_scripts = 1, .envelope = &envelope, .message = LETTER };
	struct engine_errors errors;
	struct engine_result r;
	struct buf image, wrong;

	(void)state;
	buf_init(&image, BIG);
	buf_init(&wrong, BIG);
	engine_errors_init(&errors);
	assert_int_equal(engine_native.compile(&settings, &script, &image,
	    &errors), 0);
	assert_int_equal(engine_native.compile(&settings, &other, &wrong,
	    &errors), 0);
	/* right, of another script, cut at each length, turned at each bit */
	for (size_t i = 0; i < 2 + 9 * image.n; i++) {
		char *copy = malloc(image.n);

		assert_non_null(copy);
		memcpy(copy, image.p, image.n);
		script.image = str_mem(copy, image.n);
		if (i == 1)
			script.image = buf_str(&wrong);
		else if (i >= 2 && i < 2 + image.n)
			script.image.n = i - 2;
		else if (i > 1)
			copy[(i - 2 - image.n) / 8] ^=
			    (char)(1 << (i - 2 - image.n) % 8);
		engine_result_init(&r);
		(void)engine_native.run(&job, &r);
		assert_int_equal(r.n_actions, 1);
		engine_result_release(&r);
		free(copy);
	}
	/* other settings: the extensions are others */
	settings.extensions = STR("all");
	script.image = buf_str(&image);
	engine_result_init(&r);
	assert_int_equal(engine_native.run(&job, &r), 0);
	assert_int_equal(r.actions[0].kind, ENGINE_DISCARD);
	engine_result_release(&r);
	engine_errors_release(&errors);
	buf_release(&image);
	buf_release(&wrong);
}

static void
the_trace_says_what_was_tested_and_done(void **state)
{
	static const char *const scripts[] = { "require \"fileinto\";\n"
	    "if header :contains \"subject\" \"s\" {\n fileinto \"x\"; }" };
	static const char *const want[] = {
		"s:2: ",
		"value \"s\" :contains \"s\"",
		"header: true",
		"s:3: ",
		"fileinto \"x\"",
		"plan: fileinto x",
	};
	struct engine_result r;

	(void)state;
	assert_int_equal(run_texts(scripts, 1, LETTER, NULL, &r), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (str_find(buf_str(&r.trace), str_of(want[i])) < 0)
			fail_msg("no %s in %s", want[i], r.trace.p);
	engine_result_release(&r);
}

static void
extensions_are_named(void **state)
{
	static const struct engine_settings some = {
		.extensions = STR("default -reject") };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	engine_native.extensions(&some, &b);
	assert_true(str_find(buf_str(&b), STR("fileinto")) >= 0);
	assert_true(str_find(buf_str(&b), STR("comparator-i;octet")) >= 0);
	assert_true(str_find(buf_str(&b), STR(" reject ")) < 0);
	buf_release(&b);
}

/* --- hostile scripts --- */

static void
repeat(struct buf *b, const char *what, size_t times)
{
	for (size_t i = 0; i < times; i++)
		assert_int_equal(buf_addz(b, what), 0);
}

/* A plan with a keep, in time; `ok` says whether there may be no error. */
enum hostile { HOSTILE_ERROR, HOSTILE_OK };

static void
survive(const char *what, struct str script, struct str message, void *ctx,
    enum hostile how)
{
	struct engine_result r;
	double begin = cpu();
	char *text = malloc(script.n + 1);
	const char *texts[1] = { text };
	int x;

	assert_non_null(text);
	memcpy(text, script.p, script.n);
	text[script.n] = '\0';
	x = run_texts(texts, 1, message, ctx, &r);
	if (cpu() - begin > SECONDS)
		fail_msg("%s took %.1f s", what, cpu() - begin);
	if (x != (how == HOSTILE_OK ? 0 : -1))
		fail_msg("%s: answer %d", what, x);
	if (how == HOSTILE_ERROR) {
		assert_true(r.errors.count > 0);
		assert_int_equal(r.n_actions, 1);
		assert_int_equal(r.actions[0].kind, ENGINE_KEEP);
	}
	engine_result_release(&r);
	free(text);
}

static void
hostile_scripts_end_in_a_keep(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BIG);
	repeat(&b, "keep;", 300000);
	survive("larger than 1 MB", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	repeat(&b, "keep;", 200000);
	survive("too many commands", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	repeat(&b, "if true {", 10000);
	survive("10,000 blocks", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	(void)buf_addz(&b, "if ");
	repeat(&b, "not ", 10000);
	(void)buf_addz(&b, "true { discard; }");
	survive("10,000 times not", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	(void)buf_addz(&b, "if ");
	repeat(&b, "anyof(", 10000);
	survive("10,000 parentheses", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	(void)buf_addz(&b, "if anyof (");
	repeat(&b, "false,", 100000);
	(void)buf_addz(&b, "true) { discard; }");
	survive("100,000 tests", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	repeat(&b, "}", 100000);
	survive("100,000 braces", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	repeat(&b, "frob;", 100000);
	survive("100,000 errors", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	(void)buf_addz(&b, "require \"");
	repeat(&b, "x", 1000000);
	(void)buf_addz(&b, "\";");
	survive("a name of 1 MB", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	repeat(&b, "keep text:\n", 50000);
	survive("unfinished texts", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);
	buf_release(&b);
}

static void
hostile_work_is_bounded(void **state)
{
	struct buf b, m;

	(void)state;
	buf_init(&b, BIG);
	buf_init(&m, BIG);

	(void)buf_addz(&m, "From: a@example.org\nSubject: ");
	repeat(&m, "a", 1000000);
	(void)buf_addz(&m, "\n\n");
	(void)buf_addz(&b, "if header :matches \"subject\" \"");
	repeat(&b, "*a", 2000);
	(void)buf_addz(&b, "*b\" { discard; }");
	survive("*a*a*a*b", buf_str(&b), buf_str(&m), NULL, HOSTILE_OK);

	buf_reset(&b);
	(void)buf_addz(&b, "if header :matches \"subject\" \"*");
	repeat(&b, "a", 2000);
	(void)buf_addz(&b, "b*\" { discard; }");
	survive("*aaa...b*", buf_str(&b), buf_str(&m), NULL, HOSTILE_ERROR);

	buf_reset(&b);
	(void)buf_addz(&b, "if header :contains \"subject\" \"");
	repeat(&b, "a", 500000);
	(void)buf_addz(&b, "b\" { discard; }");
	survive("a long key", buf_str(&b), buf_str(&m), NULL, HOSTILE_OK);

	buf_reset(&b);
	(void)buf_addz(&b, "require \"regex\"; if header :regex \"subject\" "
	    "\"^(a+)+$x\" { discard; }");
	survive("(a+)+$", buf_str(&b), buf_str(&m), NULL, HOSTILE_ERROR);

	buf_reset(&b);
	(void)buf_addz(&b, "require [\"variables\", \"fileinto\"]; "
	    "set \"a\" \"xxxxxxxxxxxxxxxx\";");
	repeat(&b, "set \"a\" \"${a}${a}\";", 40);
	survive("doubling", buf_str(&b), LETTER, NULL, HOSTILE_OK);

	buf_reset(&b);
	(void)buf_addz(&b, "require [\"variables\", \"fileinto\"]; "
	    "set \"a\" \"xxxxxxxxxxxxxxxx\";");
	repeat(&b, "set \"a\" \"${a}${a}${a}${a}${a}${a}${a}${a}${a}\";",
	    10000);
	survive("doubling for long", buf_str(&b), LETTER, NULL,
	    HOSTILE_ERROR);

	buf_reset(&b);
	repeat(&b, "if header :contains [\"subject\", \"from\"] \"nope\" "
	    "{ discard; }\n", 15000);
	survive("15,000 tests of 1 MB", buf_str(&b), buf_str(&m), NULL,
	    HOSTILE_ERROR);
	buf_release(&b);
	buf_release(&m);
}

static void
includes_are_bounded(void **state)
{
	/* each includes two of the next: 2^10 */
	static char bodies[10][400];
	struct str texts[10];
	const struct str top = STR("require \"include\"; include \"0\";");

	(void)state;
	for (int i = 0; i < 10; i++) {
		snprintf(bodies[i], sizeof(bodies[i]), "require \"include\"; "
		    "include :optional \"%d\"; include :optional \"%d\";",
		    i + 1, i + 1);
		texts[i] = str_of(bodies[i]);
	}
	survive("a tree of includes", top, LETTER, texts, HOSTILE_ERROR);
}

static void
hostile_messages_are_bounded(void **state)
{
	static const char *const script = "require [\"fileinto\", \"body\", "
	    "\"mime\", \"foreverypart\", \"variables\", \"extracttext\", "
	    "\"editheader\", \"relational\", \"vacation\"];\n"
	    "if header :matches \"x-a\" \"*zz*\" { discard; }\n"
	    "if address :contains [\"from\", \"to\"] \"nope\" { discard; }\n"
	    "if body :text :contains \"nope\" { discard; }\n"
	    "if body :content \"text\" :matches \"*nope*\" { discard; }\n"
	    "foreverypart { if header :mime :param \"filename\" :contains "
	    "\"content-disposition\" \"exe\" { discard; } "
	    "extracttext :first 100 \"t\"; }\n"
	    "vacation \"away\"; fileinto \"x\";";
	struct buf m;

	(void)state;
	buf_init(&m, BIG);
	repeat(&m, "X-A: some value of a header field\n", 100000);
	(void)buf_addz(&m, "\nbody\n");
	survive("100,000 fields", str_of(script), buf_str(&m), NULL,
	    HOSTILE_OK);

	buf_reset(&m);
	(void)buf_addz(&m, "X-A: ");
	repeat(&m, "0123456789", 5000000);
	(void)buf_addz(&m, "\n\nbody\n");
	survive("a field of 50 MB", str_of(script), buf_str(&m), NULL,
	    HOSTILE_OK);

	buf_reset(&m);
	(void)buf_addz(&m, "To: ");
	repeat(&m, "a@example.org, ", 60000);
	(void)buf_addz(&m, "\n\nbody\n");
	survive("60,000 addresses", str_of(script), buf_str(&m), NULL,
	    HOSTILE_OK);

	buf_reset(&m);
	(void)buf_addz(&m, "Subject: s\n");
	for (int i = 0; i < 10000; i++)
		(void)buf_addf(&m, "Content-Type: multipart/mixed; "
		    "boundary=b%d\n\n--b%d\n", i, i);
	survive("MIME 10,000 deep", str_of(script), buf_str(&m), NULL,
	    HOSTILE_OK);

	buf_reset(&m);
	(void)buf_addz(&m, "Content-Type: multipart/mixed; boundary=b\n\n");
	repeat(&m, "--b\nContent-Type: text/html\n\n<p>x</p>\n", 50000);
	survive("50,000 parts", str_of(script), buf_str(&m), NULL,
	    HOSTILE_OK);

	buf_reset(&m);
	(void)buf_addz(&m, "X-A: ");
	repeat(&m, "=?utf-8?q?=41?= ", 60000);
	(void)buf_addz(&m, "\n\nbody\n");
	survive("encoded words", str_of(script), buf_str(&m), NULL,
	    HOSTILE_OK);
	buf_release(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_keep_goes_on_to_the_next_script),
		cmocka_unit_test(a_failing_script_keeps_what_earlier_ones_did),
		cmocka_unit_test(only_the_image_of_this_very_script_is_used),
		cmocka_unit_test(the_trace_says_what_was_tested_and_done),
		cmocka_unit_test(extensions_are_named),
		cmocka_unit_test(hostile_scripts_end_in_a_keep),
		cmocka_unit_test(hostile_work_is_bounded),
		cmocka_unit_test(includes_are_bounded),
		cmocka_unit_test(hostile_messages_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
