/*
 * What Sieve costs: a script of 40 rules, as web mail writes them, on a
 * message of 10 KB. Microseconds for compiling, loading the compiled form,
 * and a whole run from compiled form to plan.
 *
 *	bench_sieve		prints them
 *	bench_sieve -w DIR	writes bench.sieve and bench.eml there, for
 *				sieve-test
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filters/engine.h"
#include "filters/sieve/check.h"
#include "filters/sieve/program.h"

#define RULES 40
#define ROUNDS 2000

static void
make_script(struct buf *b)
{
	(void)buf_addz(b, "require [\"fileinto\", \"copy\", \"imap4flags\", "
	    "\"envelope\", \"body\", \"variables\", \"relational\", "
	    "\"comparator-i;ascii-numeric\"];\n");
	for (int i = 0; i < RULES; i++) {
		(void)buf_addf(b, "# rule:[rule %d]\n", i);
		switch (i % 5) {
		case 0:
			(void)buf_addf(b, "if header :contains [\"Subject\","
			    "\"List-Id\"] \"project-%d\"\n{\n\tfileinto "
			    "\"Projects/%d\";\n\tstop;\n}\n", i, i);
			break;
		case 1:
			(void)buf_addf(b, "if anyof (address :is \"From\" "
			    "[\"a%d@example.net\", \"b%d@example.net\"], "
			    "address :domain :is \"From\" \"d%d.example\")\n"
			    "{\n\tfileinto \"People/%d\";\n}\n", i, i, i, i);
			break;
		case 2:
			(void)buf_addf(b, "if allof (header :matches \"Subject"
			    "\" \"[list%d] *\", not header :contains "
			    "\"X-Spam-Flag\" \"YES\")\n{\n\tset \"s\" \"${1}"
			    "\";\n\tfileinto \"Lists/%d\";\n}\n", i, i);
			break;
		case 3:
			(void)buf_addf(b, "if address :contains [\"To\",\"Cc\""
			    "] \"alias%d@\"\n{\n\taddflag \"$Label%d\";\n}\n",
			    i, i);
			break;
		case 4:
			(void)buf_addf(b, "if allof (size :over %dM, header "
			    ":value \"ge\" :comparator \"i;ascii-numeric\" "
			    "\"X-Priority\" \"%d\")\n{\n\tdiscard;\n}\n",
			    i + 1, i);
			break;
		}
	}
}

static void
make_message(struct buf *b)
{
	for (int i = 0; i < 8; i++)
		(void)buf_addf(b, "Received: from mx%d.example.net "
		    "(mx%d.example.net [192.0.2.%d])\n\tby hub.example.org "
		    "with ESMTPS id %dABCDEF\n\tfor <fred@example.org>; "
		    "Sat, 21 Nov 2026 02:54:%02d +0100\n", i, i, i, i, i);
	(void)buf_addz(b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/"
	    "relaxed; d=example.net;\n\ts=20260101; h=from:to:subject; bh="
	    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\n\tb=ABCDEF\n"
	    "From: =?utf-8?q?J=C3=B6rg_M=C3=BCller?= <joerg@example.net>\n"
	    "To: Fred <fred@example.org>, Wilma <wilma@example.org>\n"
	    "Cc: barney@example.org\n"
	    "Subject: =?utf-8?q?Angebot_f=C3=BCr_den_Herbst?= "
	    "=?utf-8?q?_und_weiteres?=\n"
	    "Date: Sat, 21 Nov 2026 02:54:49 +0100\n"
	    "Message-ID: <abcdef@example.net>\n"
	    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
	    "X-Mailer: bench\nX-Priority: 3\n\n");
	while (b->n < 10 * 1024)
		(void)buf_addz(b, "Lorem ipsum dolor sit amet, consectetur "
		    "adipisici elit, sed eiusmod tempor.\n");
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *list, size_t n)
{
	qsort(list, n, sizeof(*list), by_value);
	return list[n / 2];
}

static void
write_file(const char *dir, const char *name, const struct buf *b)
{
	char path[500];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f)) {
		perror(path);
		exit(1);
	}
}

int
main(int argc, char **argv)
{
	static double compile[ROUNDS], load[ROUNDS], run[ROUNDS];
	struct engine_settings settings = { 0 };
	struct engine_envelope envelope = {
		.from = STR("joerg@example.net"), .to = STR("fred@example.org"),
	};
	struct engine_script script = { .name = STR("bench") };
	struct engine_job job = {
		.settings = &settings,
		.scripts = &script,
		.n_scripts = 1,
		.envelope = &envelope,
		.now = 1795226089,
	};
	struct buf text, message, image;

	buf_init(&text, 1 << 20);
	buf_init(&message, 1 << 20);
	buf_init(&image, 64 << 20);
	make_script(&text);
	make_message(&message);
	if (argc == 3 && strcmp(argv[1], "-w") == 0) {
		write_file(argv[2], "bench.sieve", &text);
		write_file(argv[2], "bench.eml", &message);
		return 0;
	}
	script.text = buf_str(&text);
	job.message = buf_str(&message);
	for (int i = 0; i < ROUNDS; i++) {
		struct engine_errors errors;
		struct engine_result result;
		struct program program;
		double t0 = now_us(), t1, t2, t3;

		engine_errors_init(&errors);
		buf_reset(&image);
		if (engine_native.compile(&settings, &script, &image,
		    &errors)) {
			fprintf(stderr, "does not compile\n");
			return 1;
		}
		engine_errors_release(&errors);
		t1 = now_us();
		if (program_load(buf_str(&image), script.text,
		    check_fingerprint(&settings), &program)) {
			fprintf(stderr, "does not load\n");
			return 1;
		}
		t2 = now_us();
		script.image = buf_str(&image);
		engine_result_init(&result);
		if (engine_native.run(&job, &result) || !result.n_actions) {
			fprintf(stderr, "does not run\n");
			return 1;
		}
		engine_result_release(&result);
		t3 = now_us();
		compile[i] = t1 - t0;
		load[i] = t2 - t1;
		run[i] = t3 - t2;
	}
	printf("sieve: %d rules, %zu bytes of script, %zu of message; median "
	    "of %d, CPU\n", RULES, text.n, message.n, ROUNDS);
	printf("compile  %7.1f us\nload     %7.1f us\nevaluate %7.1f us "
	    "(message read, load, run, plan)\n", median(compile, ROUNDS),
	    median(load, ROUNDS), median(run, ROUNDS));
	buf_release(&text);
	buf_release(&message);
	buf_release(&image);
	return 0;
}
