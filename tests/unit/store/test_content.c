/* What a message looks like in a mailbox, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/buf.h"
#include "store/base/file.h"
#include "store/content.h"

#define WHEN 1795226089
#define BLANKS "                                                  "
#define FROM "From a@b  Sat Nov 21 01:54:49 2026\n"

static int
collect(void *arg, const char *p, size_t n)
{
	return buf_add(arg, p, n);
}

/* As the spool would find it: behind the first empty line. */
static uint64_t
body_of(struct str m)
{
	ptrdiff_t at = str_find(m, STR("\n\n"));

	if (str_starts(m, STR("\n")))
		return 1;
	return at < 0 ? m.n : (uint64_t)at + 2;
}

static void
write_copy(struct str message, enum content_format format, struct buf *out)
{
	static const struct str drop[] = { { "Return-Path", 11 } };
	struct source src = { .mem = message.p, .fd = -1, .n = message.n };
	struct content c = { .sender = STR("a@b"), .when = WHEN,
	    .head = STR("Delivered-To: x@y\n"), .message = &src,
	    .body = body_of(message), .drop = drop, .drops = 1 };

	buf_reset(out);
	assert_int_equal(content_write(&c, format, collect, out), 0);
	assert_false(out->full);
}

static void
copies_look_as_the_format_says(void **state)
{
	static const struct {
		const char *name;
		enum content_format format;
		const char *message, *want;
	} cases[] = {
		{ "plain keeps bytes", CONTENT_PLAIN,
		    "A: 1\n\nFrom x\n>From y\nend",
		    "Delivered-To: x@y\nA: 1\n\nFrom x\n>From y\nend" },
		{ "mboxrd", CONTENT_MBOXRD,
		    "A: 1\n\nFrom x\n>From y\n>>From z\n> From\nFromage\nend\n",
		    FROM "Delivered-To: x@y\nA: 1\n\n>From x\n>>From y\n"
		    ">>>From z\n> From\nFromage\nend\n\n" },
		{ "mboxo", CONTENT_MBOXO,
		    "A: 1\n\nFrom x\n>From y\n",
		    FROM "Delivered-To: x@y\nA: 1\n\n>From x\n>From y\n\n" },
		{ "mboxcl2", CONTENT_MBOXCL2,
		    "A: 1\nContent-Length: 1\n\nFrom x\nend",
		    FROM "Delivered-To: x@y\nA: 1\nContent-Length: 11\n\n"
		    "From x\nend\n\n" },
		{ "no final line end", CONTENT_MBOXRD, "A: 1\n\nx",
		    FROM "Delivered-To: x@y\nA: 1\n\nx\n\n" },
		{ "header alone", CONTENT_MBOXRD, "A: 1\n",
		    FROM "Delivered-To: x@y\nA: 1\n\n\n" },
		{ "empty message", CONTENT_MBOXRD, "",
		    FROM "Delivered-To: x@y\n\n\n" },
		{ "metadata stops in an mbox", CONTENT_MBOXRD,
		    "Status: RO\nA: 1\nX-Status: D\n more\nx-uid : 7\n"
		    "X-Keywords: k\nX-IMAPbase: 1 2\nX-IMAP: 3\nB: 2\n\n"
		    "Status: stays\n",
		    FROM "Delivered-To: x@y\nA: 1\nB: 2\n\nStatus: stays\n\n" },
		{ "however far away the colon is", CONTENT_MBOXRD,
		    "Status" BLANKS BLANKS ":RO\nA: 1\nX-UID\n" BLANKS BLANKS
		    ": 7\nStatus" BLANKS BLANKS "no\nB" BLANKS BLANKS ": 2\n\nb\n",
		    FROM "Delivered-To: x@y\nA: 1\nStatus" BLANKS BLANKS "no\n"
		    "B" BLANKS BLANKS ": 2\n\nb\n\n" },
		{ "and passes in a Maildir", CONTENT_PLAIN,
		    "Status: RO\nA: 1\n\nb\n",
		    "Delivered-To: x@y\nStatus: RO\nA: 1\n\nb\n" },
		{ "old Return-Path is dropped with its folds", CONTENT_PLAIN,
		    "A: 1\nreturn-path:\n <old@x>\n\tmore\nB: 2\n\nb\n",
		    "Delivered-To: x@y\nA: 1\nB: 2\n\nb\n" },
		{ "only dropped fields", CONTENT_PLAIN,
		    "Return-Path: <x>\n\nb\n", "Delivered-To: x@y\n\nb\n" },
		{ "boundary forged in the header", CONTENT_MBOXRD,
		    "A: 1\nFrom evil@x  Sat Nov 21 01:54:49 2026\nB: 2\n\nb\n",
		    FROM "Delivered-To: x@y\nA: 1\n"
		    ">From evil@x  Sat Nov 21 01:54:49 2026\nB: 2\n\nb\n\n" },
		{ "boundary forged in the header, mboxcl2", CONTENT_MBOXCL2,
		    "From evil  Sat Nov 21 01:54:49 2026\n\nb\n",
		    FROM "Delivered-To: x@y\n"
		    ">From evil  Sat Nov 21 01:54:49 2026\n"
		    "Content-Length: 2\n\nb\n\n" },
		{ "empty line first", CONTENT_PLAIN, "\nbody\n",
		    "Delivered-To: x@y\n\nbody\n" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 100000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		write_copy(str_of(cases[i].message), cases[i].format, &out);
		if (strcmp(out.p, cases[i].want) != 0)
			fail_msg("%s: got\n%s\nwant\n%s", cases[i].name, out.p,
			    cases[i].want);
	}
	buf_release(&out);
}

static void
carriage_returns_end_a_header_too(void **state)
{
	struct str m = STR("A: 1\r\nReturn-Path: x\r\n\r\nFrom b\r\n");
	struct source src = { .mem = m.p, .fd = -1, .n = m.n };
	static const struct str drop[] = { { "Return-Path", 11 } };
	struct content c = { .sender = STR("a@b"), .when = WHEN,
	    .head = STR(""), .message = &src, .body = 24, .drop = drop,
	    .drops = 1 };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(content_write(&c, CONTENT_MBOXRD, collect, &out), 0);
	assert_string_equal(out.p, FROM "A: 1\r\n\r\n>From b\r\n\n");
	buf_release(&out);
}

static void
sender_cannot_break_the_from_line(void **state)
{
	struct source src = { .mem = "A: 1\n\nb\n", .fd = -1, .n = 8 };
	struct content c = { .sender = STR("a b\nFrom c"), .when = WHEN,
	    .message = &src, .body = 6 };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(content_write(&c, CONTENT_MBOXRD, collect, &out), 0);
	assert_string_equal(out.p, "From a-b-From-c  Sat Nov 21 01:54:49 2026\n"
	    "A: 1\n\nb\n\n");
	c.sender = STR("");
	buf_reset(&out);
	assert_int_equal(content_write(&c, CONTENT_MBOXRD, collect, &out), 0);
	assert_true(str_starts(buf_str(&out), STR("From MAILER-DAEMON  Sat")));
	buf_release(&out);
}

/* A header edited by a script passes the same way as the message's own. */
static void
another_header_may_stand_for_it(void **state)
{
	struct source src = { .mem = "A: 1\n\nbody\n", .fd = -1, .n = 11 };
	struct content c = { .sender = STR("a@b"), .when = WHEN,
	    .head = STR("X: y\n"), .message = &src, .body = 6,
	    .header = STR("B: 2\nStatus: RO\n\n") };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(content_write(&c, CONTENT_PLAIN, collect, &out), 0);
	assert_string_equal(out.p, "X: y\nB: 2\nStatus: RO\n\nbody\n");
	buf_reset(&out);
	assert_int_equal(content_write(&c, CONTENT_MBOXRD, collect, &out), 0);
	assert_string_equal(out.p, FROM "X: y\nB: 2\n\nbody\n\n");
	buf_release(&out);
}

/* --- reversible: 10,000 random bodies (M1) --------------------------------- */

static uint32_t seed = 1;

static uint32_t
noise(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static void
random_body(struct buf *b)
{
	static const char *const words[] = {
		"From ", ">", ">>", "\n", "\n\n", "From", "x", " ", "\r\n",
		"Status: R\n", "\nFrom ", "\n>From ", "A: b\n", ">From \n",
	};
	uint32_t n = noise(60);

	buf_reset(b);
	for (uint32_t i = 0; i < n; i++) {
		if (noise(8) == 0)
			buf_addc(b, (char)noise(256));
		else
			buf_addz(b, words[noise(sizeof(words) / sizeof(*words))]);
	}
	/* A body of text ends in a line end; mbox cannot say otherwise. */
	if (b->n == 0 || b->p[b->n - 1] != '\n')
		buf_addc(b, '\n');
}

/* What a reader of the format gets: the body behind the first empty line,
 * unquoted. */
static struct str
read_back(struct str copy, enum content_format format, struct buf *out)
{
	ptrdiff_t at = str_find(copy, STR("\n\n"));
	struct str rest, line;

	assert_true(at >= 0);
	rest = str_sub(copy, (size_t)at + 2, copy.n);
	assert_true(str_ends(rest, STR("\n")));
	rest.n--;			/* the blank line behind the message */
	buf_reset(out);
	if (format == CONTENT_MBOXCL2)
		return rest;
	rest.n--;			/* the last line end, put back below */
	while (str_split(&rest, '\n', &line)) {
		size_t i = 0;

		while (i < line.n && line.p[i] == '>')
			i++;
		assert_false(str_starts(line, STR("From ")));
		if (i > 0 && str_starts(str_sub(line, i, line.n), STR("From ")))
			line = str_sub(line, 1, line.n);
		buf_adds(out, line);
		buf_addc(out, '\n');
	}
	return buf_str(out);
}

static void
bodies_come_back_identical(void **state)
{
	struct buf body, message, copy, back;

	(void)state;
	buf_init(&body, 100000);
	buf_init(&message, 100000);
	buf_init(&copy, 200000);
	buf_init(&back, 200000);
	for (int i = 0; i < 10000; i++) {
		enum content_format format = i % 2 ? CONTENT_MBOXRD :
		    CONTENT_MBOXCL2;

		random_body(&body);
		buf_reset(&message);
		buf_addz(&message, "Subject: x\n\n");
		buf_adds(&message, buf_str(&body));
		write_copy(buf_str(&message), format, &copy);
		if (!str_eq(read_back(buf_str(&copy), format, &back),
		    buf_str(&body)))
			fail_msg("body %d differs: %s", i, body.p);
	}
	buf_release(&body);
	buf_release(&message);
	buf_release(&copy);
	buf_release(&back);
}

/* The same bytes from a file, which is read in pieces whose borders fall on
 * every kind of place, as from memory. */
static void
pieces_make_no_difference(void **state)
{
	struct buf message, a, b;
	char path[] = "/tmp/vbox-content-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	buf_init(&message, 1000000);
	buf_init(&a, 2000000);
	buf_init(&b, 2000000);
	for (int shift = 0; shift < 40; shift++) {
		struct source mem, file;
		struct content c = { .sender = STR("a@b"), .when = WHEN };
		static const struct str drop[] = { { "X-Drop", 6 } };

		buf_reset(&message);
		for (int i = 0; i < shift; i++)
			buf_addc(&message, 'H');
		buf_addz(&message, ": first\n");
		for (int i = 0; message.n < 140000; i++)
			buf_addf(&message, i % 3 ? "X-Drop: %d\n more\n" :
			    "Keep-%d: x\n", i);
		buf_addc(&message, '\n');
		c.body = message.n;
		while (message.n < 400000)
			buf_addz(&message, ">>>>From x\nFrom y\n");
		mem = (struct source){ .mem = message.p, .fd = -1, .n = message.n };
		file = (struct source){ .fd = fd, .n = message.n };
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(file_pwrite_all(fd, message.p, message.n, 0), 0);
		c.drop = drop;
		c.drops = 1;
		for (int f = CONTENT_PLAIN; f <= CONTENT_MBOXCL2; f++) {
			buf_reset(&a);
			buf_reset(&b);
			c.message = &mem;
			assert_int_equal(content_write(&c, (enum content_format)f,
			    collect, &a), 0);
			c.message = &file;
			assert_int_equal(content_write(&c, (enum content_format)f,
			    collect, &b), 0);
			assert_true(str_eq(buf_str(&a), buf_str(&b)));
			assert_int_equal(str_find(buf_str(&a), STR("X-Drop")), -1);
			assert_true(str_find(buf_str(&a), STR("Keep-3:")) > 0);
		}
	}
	close(fd);
	buf_release(&message);
	buf_release(&a);
	buf_release(&b);
}

/* Line by line, as RFC 4155's readers look at it. */
static void
quote_slowly(struct str body, enum content_format format, struct buf *out)
{
	while (body.n) {
		ptrdiff_t nl = str_chr(body, '\n');
		struct str line = str_sub(body, 0, nl < 0 ? body.n :
		    (size_t)nl + 1), at = line;

		while (format == CONTENT_MBOXRD && str_starts(at, STR(">")))
			at = str_sub(at, 1, at.n);
		if (str_starts(at, STR("From ")))
			buf_addc(out, '>');
		buf_adds(out, line);
		body = str_sub(body, line.n, body.n);
	}
	if (!str_ends(buf_str(out), STR("\n")))
		buf_addc(out, '\n');
	buf_addc(out, '\n');
}

/* From_ lines and what nearly is one, in memory and where a piece of a file ends. */
static void
every_from_line_is_quoted(void **state)
{
	static const char *const bits[] = { "From ", "From", "Fro", "F", "m ",
	    ">", ">>", "\n", "\n>From ", "\nFrom ", "\n>>>", "x" };
	struct buf message, want, copy;
	FILE *file = tmpfile();

	(void)state;
	assert_non_null(file);
	buf_init(&message, 100000);
	buf_init(&want, 200000);
	buf_init(&copy, 200000);
	for (int i = 0; i < 4000; i++) {
		enum content_format format = i & 1 ? CONTENT_MBOXRD :
		    CONTENT_MBOXO;
		struct source src = { .fd = -1 };
		struct content c = { .sender = STR("a@b"), .when = WHEN,
		    .message = &src, .body = 6 };
		size_t n = i & 2 ? 65536 - (size_t)random() % 60 : 0;

		buf_reset(&message);
		buf_reset(&want);
		buf_reset(&copy);
		buf_addz(&message, "A: b\n\n");
		while (message.n < n)
			buf_addc(&message, "xxxxxxxxF>\n"[random() % 11]);
		for (int k = 0; k < 30; k++)
			buf_addz(&message, bits[(size_t)random() %
			    (sizeof(bits) / sizeof(*bits))]);
		src.n = message.n;
		if (i & 2) {
			src.fd = fileno(file);
			assert_int_equal(file_pwrite_all(src.fd, message.p,
			    message.n, 0), 0);
		} else {
			src.mem = message.p;
		}
		buf_addz(&want, FROM "A: b\n\n");
		quote_slowly(str_sub(buf_str(&message), 6, message.n), format,
		    &want);
		assert_int_equal(content_write(&c, format, collect, &copy), 0);
		if (!str_eq(buf_str(&copy), buf_str(&want)))
			fail_msg("body %d differs: %.*s", i, 200, copy.p);
	}
	(void)fclose(file);
	buf_release(&message);
	buf_release(&want);
	buf_release(&copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_look_as_the_format_says),
		cmocka_unit_test(carriage_returns_end_a_header_too),
		cmocka_unit_test(sender_cannot_break_the_from_line),
		cmocka_unit_test(another_header_may_stand_for_it),
		cmocka_unit_test(bodies_come_back_identical),
		cmocka_unit_test(pieces_make_no_difference),
		cmocka_unit_test(every_from_line_is_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
