/*
 * What looking at attachments costs, and what the process boundary does.
 *
 *	bench_content RULES MESSAGE...
 *
 * For each file with a message, in microseconds, medians: typing alone, in
 * this process; the policy in a warm filter process; a script of one line in
 * a warm filter process and in this one, whose difference is the boundary.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filters/message/message.h"
#include "lda/filter.h"
#include "lda/filter_wire.h"
#include "store/base/file.h"

#define ROUNDS 201
#define MESSAGE_MAX (64u << 20)
#define DATABASE "/usr/share/misc/magic.mgc"

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median of what fn takes, the first runs not counted. */
static double
median(void (*fn)(void *), void *arg, int rounds)
{
	static double times[ROUNDS];

	for (int i = -3; i < rounds; i++) {
		double began = now_us();

		fn(arg);
		if (i >= 0)
			times[i] = now_us() - began;
	}
	qsort(times, (size_t)rounds, sizeof(*times), compare);
	return times[rounds / 2];
}

struct bench {
	struct source source;
	struct str message, rules;
	const struct attachment_typer *typer;
	size_t found;
};

static void
scan(void *arg)
{
	struct bench *b = arg;
	struct attachments list;
	struct message m;
	struct arena a;

	arena_init(&a, 32u << 20);
	message_init(&m, &a, b->message);
	attachment_scan(b->typer, &a, message_mime(&m), &list);
	b->found = list.n;
	arena_release(&a);
}

static void
filter(struct bench *b, struct str rules, size_t scripts)
{
	static const struct engine_settings settings = { .extensions =
	    { "default", 7 } };
	static const struct engine_world world;
	static const struct engine_envelope envelope;
	static struct buf image;
	static struct engine_script script = { .name = { "s", 1 },
	    .text = { "keep;", 5 } };
	struct engine_errors errors;
	struct filter_how how = { .engine = &engine_native, .sandbox = true,
	    .timeout_ms = 30000, .cpu_ms = 1000, .memory = 64u << 20,
	    .life = FILTER_WARM, .database = DATABASE };
	struct engine_job job = { .settings = &settings, .world = &world,
	    .envelope = &envelope, .scripts = &script, .n_scripts = scripts,
	    .now = 1, .user = { "u", 1 }, .host = { "h", 1 } };
	struct arena arena;
	struct filter_content content = { .rules = rules, .arena = &arena };
	struct verdict v = VERDICT_INIT;
	struct engine_result r;

	if (!script.image.n) {
		buf_init(&image, 1u << 20);
		engine_errors_init(&errors);
		if (engine_native.compile(&settings, &script, &image,
		    &errors) < 0)
			abort();
		script.image = buf_str(&image);
	}
	arena_init(&arena, 1u << 20);
	engine_result_init(&r);
	if (filter_run(&how, &job, &b->source, &content, &r, &v) < 0 ||
	    (rules.n && !content.judged) || r.errors.count) {
		fprintf(stderr, "%s %.*s\n", v.detail, STR_ARG(content.why));
		exit(1);
	}
	engine_result_release(&r);
	arena_release(&arena);
}

static void
policy(void *arg)
{
	filter(arg, ((struct bench *)arg)->rules, 0);
}

static void
script(void *arg)
{
	filter(arg, STR(""), 1);
}

static int
deaf(void *arg, enum filter_frame type, struct str body)
{
	(void)arg;
	(void)type;
	(void)body;
	return 0;
}

/* What `script` has the other process do. */
static void
script_here(void *arg)
{
	static const struct engine_settings settings = { .extensions =
	    { "default", 7 } };
	static const struct engine_world world;
	static const struct engine_envelope envelope;
	static const struct engine_script keep = { .name = { "s", 1 },
	    .text = { "keep;", 5 } };
	static struct engine_script compiled;
	static const struct filter_ear ear = { .hear = deaf };
	struct bench *b = arg;
	struct engine_job job = { .settings = &settings, .world = &world,
	    .envelope = &envelope, .scripts = &compiled, .n_scripts = 1,
	    .now = 1, .user = { "u", 1 }, .host = { "h", 1 },
	    .message = b->message };
	struct filter_content none = { .rules = STR("") };

	if (!compiled.image.n) {
		static struct buf image;
		struct engine_errors errors;

		compiled = keep;
		buf_init(&image, 1u << 20);
		engine_errors_init(&errors);
		if (engine_native.compile(&settings, &keep, &image,
		    &errors) < 0)
			abort();
		compiled.image = buf_str(&image);
	}
	(void)filter_work(&engine_native, &job, &none, NULL, &ear);
}

int
main(int argc, char **argv)
{
	struct attachment_typer typer;
	struct verdict v = VERDICT_INIT;

	if (argc < 3)
		return 2;
	if (attachment_typer_open(&typer, DATABASE, &v) < 0 ||
	    filter_preload(DATABASE, &v) < 0) {
		fprintf(stderr, "%s\n", v.detail);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		struct bench b = { .rules = str_of(argv[1]), .typer = &typer };
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC), rounds;
		double typing, judging, there, here;
		struct buf text;

		buf_init(&text, MESSAGE_MAX);
		if (fd < 0 || file_read_whole(fd, &text) < 0) {
			perror(argv[i]);
			return 1;
		}
		close(fd);
		b.message = buf_str(&text);
		b.source = (struct source){ .mem = text.p, .fd = -1,
		    .n = text.n };
		rounds = text.n > (1u << 20) ? 31 : ROUNDS;
		/* By turns, so that all see the same neighbours. */
		typing = median(scan, &b, rounds);
		filter_end();
		there = median(script, &b, rounds);
		here = median(script_here, &b, rounds);
		judging = median(policy, &b, rounds);
		printf("%s %zu %zu %.0f %.0f %.0f %.0f\n",
		    strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i],
		    text.n, b.found, typing, judging, there, here);
		buf_release(&text);
	}
	filter_end();
	return 0;
}
