/*
 * Messages made to cost: each shape is read with everything that a script
 * could ask for, within a second of CPU (more under sanitizers) and 64 MB
 * besides the message itself. Sizes are a tenth of what is meant, and the
 * limit a quarter, so that `make unit` stays short: what is not linear misses
 * it by far. HOSTILE=full in the environment runs them as they stand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "filters/message/address.h"
#include "filters/message/date.h"
#include "filters/message/limits.h"
#include "filters/message/message.h"

#define MEMORY ((size_t)64 << 20)
#define MB ((size_t)1 << 20)

#ifdef __SANITIZE_ADDRESS__
#define SLOWER 10
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOWER 10
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

static double
cpu(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All that Sieve may ask of a message. */
static void
read_all(struct str bytes)
{
	struct arena a;
	struct message m;
	const struct mime_tree *t;
	struct buf b;
	size_t texts = 0;

	arena_init(&a, MEMORY);
	message_init(&m, &a, bytes);
	for (struct field *f = header_first(&m.header); f; f = field_after(f))
		(void)field_text(&m.header, f);
	for (struct field *f = header_find(&m.header, STR("x")); f;
	    f = field_next(f)) {
		struct address_list l;
		struct date d;

		/* An engine looks at a field when a script names it: not at
		 * each of 65,536. */
		if (++texts > 3)
			break;
		address_list(&a, f->value, &l);
		(void)date_parse_field(f->value, &d);
	}
	(void)header_add(&m.header, HEADER_TOP, STR("Y"), STR("z"));
	buf_init(&b, bytes.n + 100);
	(void)header_write(&m.header, &b);
	buf_release(&b);
	t = message_mime(&m);
	buf_init(&b, MIME_DECODED_MAX);
	for (const struct mime_part *p = t->root; p; p = mime_next(t->root, p))
		if (p->kind == MIME_LEAF)
			(void)mime_extract_text(p, &b);
	buf_release(&b);
	arena_release(&a);
}

/* front, then `piece` until `size` bytes, then back. */
static void
shape(const char *name, struct str front, struct str piece, struct str back,
    size_t size)
{
	struct buf b;
	/* Ten times what it takes; what grows with the square takes more. */
	double before, took, limit = 1.0 * SLOWER;

	if (getenv("HOSTILE"))
		limit *= 4;
	else
		size /= 10;
	buf_init(&b, size + 4096);
	(void)buf_adds(&b, front);
	while (b.n + piece.n + back.n <= size)
		(void)buf_adds(&b, piece);
	(void)buf_adds(&b, back);
	before = cpu();
	read_all(buf_str(&b));
	took = cpu() - before;
	if (took > limit)
		fail_msg("%s: %.2f s", name, took);
	print_message("%-28s %6.3f s for %3zu MB\n", name, took, size / MB);
	buf_release(&b);
}

#define S(literal) { literal, sizeof(literal) - 1 }

static void
shapes(void **state)
{
	static const struct {
		const char *name;
		struct str front, piece, back;
		size_t size;
	} cases[] = {
		{ "one header line", S("X: "), S("aaaaaaaaaaaaaaaa"), S("\n\n"),
		    100 * MB },
		{ "one folded field", S("X: "), S("a\n "), S("\n\n"), 100 * MB },
		{ "folds only", S("X:"), S("\n "), S("\n\n"), 100 * MB },
		{ "short fields", S(""), S("X: y\n"), S("\n"), 100 * MB },
		{ "lines without colon", S(""), S("x\n"), S("\n"), 100 * MB },
		{ "names of one bucket", S(""), S("\1:\n"), S("\n"), 20 * MB },
		{ "body of line ends", S("X: y\n\n"), S("\n"), S(""), 100 * MB },
		{ "encoded words", S("X: "), S("=?utf-8?q?=C3=A4?= "), S("\n\n"),
		    20 * MB },
		{ "encoded words of Japan", S("X: "),
		    S("=?iso-2022-jp?b?GyRCRnwbKEI=?= "), S("\n\n"), 20 * MB },
		{ "starts of words", S("X: "), S("=?"), S("\n\n"), 20 * MB },
		{ "words without end", S("X: "), S("=?a?q?"), S("\n\n"), 20 * MB },
		{ "fields of words", S(""), S("X: =?utf-8?q?=C3?=\n"), S("\n"),
		    20 * MB },
		{ "addresses", S("X: "), S("Fred <a@b>, "), S("\n\n"), 20 * MB },
		{ "opening comments", S("X: "), S("("), S("\n\n"), 20 * MB },
		{ "comments", S("X: "), S("(a)"), S("\n\n"), 20 * MB },
		{ "opening angles", S("X: "), S("<"), S("\n\n"), 20 * MB },
		{ "routes", S("X: <"), S("@a,"), S("\n\n"), 20 * MB },
		{ "quotes", S("X: "), S("\""), S("\n\n"), 20 * MB },
		{ "backslashes", S("X: \""), S("\\"), S("\n\n"), 20 * MB },
		{ "groups", S("X: "), S("g:;"), S("\n\n"), 20 * MB },
		{ "ats", S("X: "), S("a@"), S("\n\n"), 20 * MB },
		{ "dots", S("X: a"), S("."), S("\n\n"), 20 * MB },
		{ "parameters", S("Content-Type: text/plain"), S("; a*0=b"),
		    S("\n\n"), 20 * MB },
		{ "semicolons", S("Content-Type: text/plain"), S(";"), S("\n\n"),
		    20 * MB },
		{ "type of slashes", S("Content-Type: "), S("(c)a/"), S("\n\n"),
		    20 * MB },
		{ "parts", S("Content-Type: multipart/x; boundary=b\n\n"),
		    S("--b\n\nx\n"), S("--b--\n"), 20 * MB },
		{ "parts with parameters",
		    S("Content-Type: multipart/x; boundary=b\n\n"),
		    S("--b\nContent-Type: a/b;a=1;b=2;c=3;d=4;e=5;f=6;g=7;h=8;i=9;"
		    "j*0=1;j*1=2;j*2=3;j*3=4;j*4=5;j*5=6;k=1;l=2;m=3;n=4;o=5;p=6;"
		    "q=7;r=8;s=9;t=0;u=1;v=2;w=3;x=4;y=5;z=6\n\nx\n"),
		    S("--b--\n"), 20 * MB },
		{ "multiparts in multiparts", S(""),
		    S("Content-Type: multipart/x; boundary=b\n\n--b\n"), S(""),
		    20 * MB },
		{ "messages in messages", S(""),
		    S("Content-Type: message/rfc822\n\n"), S(""), 20 * MB },
		{ "dashes", S("Content-Type: multipart/x; boundary=b\n\n--b\n\n"),
		    S("--\n"), S(""), 100 * MB },
		{ "near boundaries",
		    S("Content-Type: multipart/x; boundary=b\n\n--b\n\n"),
		    S("--b-\n"), S(""), 100 * MB },
		{ "html tags", S("Content-Type: text/html\n\n"), S("<p>"), S(""),
		    20 * MB },
		{ "html opening", S("Content-Type: text/html\n\n"), S("<"), S(""),
		    20 * MB },
		{ "html open tags", S("Content-Type: text/html\n\n"), S("<a "),
		    S(""), 20 * MB },
		{ "html quotes", S("Content-Type: text/html\n\n"),
		    S("<a =\">\" "), S(""), 20 * MB },
		{ "html quotes turned", S("Content-Type: text/html\n\n"),
		    S("<a =\"'><a ='\">"), S("=\""), 20 * MB },
		{ "html comments", S("Content-Type: text/html\n\n"), S("<!--"),
		    S(""), 20 * MB },
		{ "html scripts", S("Content-Type: text/html\n\n"),
		    S("<script></"), S(""), 20 * MB },
		{ "html ampersands", S("Content-Type: text/html\n\n"), S("&"),
		    S(""), 20 * MB },
		{ "html entities", S("Content-Type: text/html\n\n"), S("&zz"),
		    S(""), 20 * MB },
		{ "html numbers", S("Content-Type: text/html\n\n"), S("&#1"),
		    S(""), 20 * MB },
		{ "base64 noise", S("Content-Transfer-Encoding: base64\n\n"),
		    S("!"), S(""), 100 * MB },
		{ "base64", S("Content-Transfer-Encoding: base64\n\n"),
		    S("QUFBQUFBQUFBQUFBQUFB\n"), S(""), 100 * MB },
		{ "quoted-printable",
		    S("Content-Transfer-Encoding: quoted-printable\n\n"),
		    S("=41"), S(""), 100 * MB },
		{ "soft line ends",
		    S("Content-Transfer-Encoding: quoted-printable\n\n"),
		    S("=\n"), S(""), 100 * MB },
		{ "blanks",
		    S("Content-Transfer-Encoding: quoted-printable\n\n"),
		    S(" "), S(""), 100 * MB },
		{ "8-bit noise", S("Content-Type: text/plain; charset=utf-8\n\n"),
		    S("\xff"), S(""), 100 * MB },
		{ "broken gb2312",
		    S("Content-Type: text/plain; charset=gb2312\n\n"),
		    S("\xff"), S(""), 100 * MB },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		shape(cases[i].name, cases[i].front, cases[i].piece,
		    cases[i].back, cases[i].size);
}

/* Ninety boundaries, and a body of lines that resemble them. */
static void
many_boundaries(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, MB);
	for (int i = 0; i < 90; i++)
		(void)buf_addf(&b, "Content-Type: multipart/x; boundary=%d\n\n"
		    "--%d\n", i + 10, i + 10);
	(void)buf_addz(&b, "\n");
	shape("boundaries, deep", buf_str(&b), STR("--9\n"), STR(""), 50 * MB);
	shape("boundaries, reopened", buf_str(&b), STR("--10\n\n--11\n"),
	    STR(""), 20 * MB);
	buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),
		cmocka_unit_test(many_boundaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
