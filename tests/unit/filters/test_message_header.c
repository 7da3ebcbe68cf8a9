/* Header: what is a field, how it reads, what the overlay does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "filters/message/header.h"
#include "filters/message/limits.h"
#include "filters/message/message.h"

#define LIMIT ((size_t)64 << 20)

#define assert_str(got, want) do { \
	struct str g_ = (got), w_ = (want); \
	if (!str_eq(g_, w_)) \
		fail_msg("got \"%.*s\", want \"%.*s\"", \
		    STR_ARG(g_), STR_ARG(w_)); \
} while (0)

/* What is a field: name and unfolded value, or the count of all lines. */
static void
reads_fields(void **state)
{
	static const struct {
		const char *bytes;
		size_t count;
		const char *name;
		const char *value;	/* NULL: not there */
		const char *body;
	} cases[] = {
		{ "A: b\n\nbody", 1, "a", "b", "body" },
		{ "A: b\r\n\r\nbody", 1, "a", "b", "body" },
		{ "A:b\n\n", 1, "A", "b", "" },
		{ "A:  b \t \n\n", 1, "A", "b", "" },
		{ "A:\n\n", 1, "A", "", "" },
		{ "A: \n\n", 1, "A", "", "" },
		{ "A : b\n\n", 1, "a", "b", "" },
		{ "A\t: b\n\n", 1, "a", "b", "" },
		{ "A: b\n c\n\n", 1, "a", "b c", "" },
		{ "A: b\r\n c\r\n\r\n", 1, "a", "b c", "" },
		{ "A: b\n\tc\n\n", 1, "a", "b c", "" },
		{ "A: b\n\t  c\n d\n\n", 1, "a", "b   c d", "" },
		{ "A:\n b\n\n", 1, "a", "b", "" },
		{ "A: b\n \n c\n\nx", 1, "a", "b  c", "x" },
		{ "A: b\n", 1, "a", "b", "" },
		{ "A: b", 1, "a", "b", "" },
		{ "A: b\n c", 1, "a", "b c", "" },
		{ "A: b\r\n", 1, "a", "b", "" },
		{ "", 0, "a", NULL, "" },
		{ "\n", 0, "a", NULL, "" },
		{ "\r\n", 0, "a", NULL, "" },
		{ "\nA: b\n", 0, "a", NULL, "A: b\n" },
		{ "\n\n", 0, "a", NULL, "\n" },
		{ "no colon\nA: b\n\n", 2, "a", "b", "" },
		{ "From x Sat Nov 21 02:54:49 2026\nA: b\n\n", 2, "a", "b", "" },
		{ ">From x y: z\nA: b\n\n", 2, "a", "b", "" },
		{ " folded first: x\nA: b\n\n", 2, "a", "b", "" },
		{ "no colon\n folded: on\nA: b\n\n", 2, "folded", NULL, "" },
		{ ": nameless\nA: b\n\n", 2, "a", "b", "" },
		{ "A: b\nA: c\n\n", 2, "a", "b", "" },
		{ "A: b\rc\n\n", 1, "a", "b\rc", "" },
		{ "A: b:c\n\n", 1, "a", "b:c", "" },
		{ "A b: c\n\n", 1, "a", NULL, "" },
		{ "A\x01: c\n\n", 1, "a", NULL, "" },
		{ "Subject: =?utf-8?q?x?=\n\n", 1, "subject",
		    "=?utf-8?q?x?=", "" },
		{ "A: b\n\r\nbody", 1, "a", "b", "body" },
		{ "A: b\r\n\nbody", 1, "a", "b", "body" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct message m;
		struct field *f;

		arena_init(&a, LIMIT);
		message_init(&m, &a, str_of(cases[i].bytes));
		if (m.header.count != cases[i].count)
			fail_msg("case %zu: %zu fields, want %zu", i,
			    m.header.count, cases[i].count);
		f = header_find(&m.header, str_of(cases[i].name));
		if ((f == NULL) != (cases[i].value == NULL))
			fail_msg("case %zu: found %d", i, f != NULL);
		if (f)
			assert_str(field_value(&m.header, f),
			    str_of(cases[i].value));
		assert_str(m.body, str_of(cases[i].body));
		assert_int_equal(m.header.bytes.n + m.body.n, m.bytes.n);
		arena_release(&a);
	}
}

static void
decodes_text(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "=?utf-8?q?a=20b?=", "a b" },
		{ "=?utf-8?q?a?=\n =?utf-8?q?b?=", "ab" },
		{ "=?iso-8859-1?q?=FC?= x", "\xc3\xbc x" },
		{ "gr\xfc\xdf", "gr\xef\xbf\xbd\xef\xbf\xbd" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "=?utf-8?q?_x_?=", "x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct message m;
		char text[200];

		arena_init(&a, LIMIT);
		(void)snprintf(text, sizeof(text), "S: %s\n\n", cases[i].value);
		message_init(&m, &a, str_of(text));
		assert_str(field_text(&m.header, header_first(&m.header)),
		    str_of(cases[i].want));
		arena_release(&a);
	}
}

static void
holds_nul(void **state)
{
	struct arena a;
	struct message m;

	(void)state;
	arena_init(&a, LIMIT);
	message_init(&m, &a, STR("A: x\0y\nB\0: c\n\nq\0r"));
	assert_int_equal(m.header.count, 2);
	assert_str(field_value(&m.header, header_find(&m.header, STR("a"))),
	    STR("x\0y"));
	assert_null(header_find(&m.header, STR("B")));
	assert_null(header_find(&m.header, STR("B\0")));
	assert_str(m.body, STR("q\0r"));
	arena_release(&a);
}

static void
walks_both_ways(void **state)
{
	struct arena a;
	struct message m;
	struct field *f;

	(void)state;
	arena_init(&a, LIMIT);
	message_init(&m, &a,
	    STR("X: 1\nY: a\nx: 2\njunk\nX: 3\nZ: b\n\n"));
	f = header_find(&m.header, STR("x"));
	assert_str(f->value, STR(" 1"));
	f = field_next(f);
	assert_str(f->value, STR(" 2"));
	f = field_next(f);
	assert_str(f->value, STR(" 3"));
	assert_null(field_next(f));
	assert_ptr_equal(f, header_find_last(&m.header, STR("X")));
	f = field_prev(field_prev(f));
	assert_str(f->value, STR(" 1"));
	assert_null(field_prev(f));
	f = header_last(&m.header);
	assert_str(f->name, STR("Z"));
	assert_str(field_before(field_before(f))->raw, STR("junk\n"));
	arena_release(&a);
}

/* Many names, so that the table has more than one bucket. */
static void
finds_among_many(void **state)
{
	struct arena a;
	struct message m;
	struct buf b;

	(void)state;
	arena_init(&a, LIMIT);
	buf_init(&b, LIMIT);
	for (int i = 0; i < 2000; i++)
		(void)buf_addf(&b, "X-%d: v%d\n", i % 1000, i);
	(void)buf_addz(&b, "\n");
	message_init(&m, &a, buf_str(&b));
	for (int i = 0; i < 1000; i++) {
		char name[16], want[16];
		struct field *f;

		(void)snprintf(name, sizeof(name), "x-%d", i);
		(void)snprintf(want, sizeof(want), "v%d", i);
		f = header_find(&m.header, str_of(name));
		assert_str(field_value(&m.header, f), str_of(want));
		(void)snprintf(want, sizeof(want), "v%d", i + 1000);
		assert_str(field_value(&m.header, field_next(f)), str_of(want));
		assert_null(field_next(field_next(f)));
	}
	buf_release(&b);
	arena_release(&a);
}

static void
check_header(struct message *m, const char *want)
{
	struct buf b;

	buf_init(&b, LIMIT);
	assert_int_equal(header_write(&m->header, &b), 0);
	assert_str(buf_str(&b), str_of(want));
	buf_release(&b);
}

static void
overlay_adds_and_deletes(void **state)
{
	struct arena a;
	struct message m;
	struct field *f;
	struct str *list;
	size_t n;

	(void)state;
	arena_init(&a, LIMIT);
	message_init(&m, &a, STR("A: 1\nB: 2\nB: 3\n folded\nC: 4\n\nbody"));
	assert_int_equal(header_pieces(&m.header, &list, &n), 0);
	assert_int_equal(n, 1);
	assert_ptr_equal(list[0].p, m.bytes.p);	/* borrowed */

	f = header_add(&m.header, HEADER_TOP, STR("B"), STR("top"));
	assert_non_null(f);
	assert_true(f->added);
	assert_ptr_equal(header_find(&m.header, STR("b")), f);
	assert_str(field_value(&m.header, field_next(f)), STR("2"));
	f = header_add(&m.header, HEADER_BOTTOM, STR("b"), STR("end"));
	assert_ptr_equal(header_find_last(&m.header, STR("B")), f);
	assert_str(field_text(&m.header, field_prev(f)), STR("3 folded"));
	check_header(&m, "B: top\nA: 1\nB: 2\nB: 3\n folded\nC: 4\nb: end\n\n");
	assert_int_equal(header_pieces(&m.header, &list, &n), 0);
	assert_int_equal(n, 4);

	/* Deleting in a loop. */
	for (f = header_find(&m.header, STR("b")); f; f = field_next(f))
		if (!f->added)
			header_delete(&m.header, f);
	check_header(&m, "B: top\nA: 1\nC: 4\nb: end\n\n");
	for (f = header_find(&m.header, STR("b")); f; f = field_next(f))
		header_delete(&m.header, f);
	assert_null(header_find(&m.header, STR("B")));
	assert_null(header_find_last(&m.header, STR("B")));
	check_header(&m, "A: 1\nC: 4\n\n");
	f = header_replace(&m.header, header_first(&m.header),
	    (struct str){ NULL, 0 }, STR("new"));
	assert_non_null(f);
	check_header(&m, "A: new\nC: 4\n\n");
	f = header_replace(&m.header, f, STR("C"), (struct str){ NULL, 0 });
	check_header(&m, "C: new\nC: 4\n\n");
	assert_ptr_equal(header_find(&m.header, STR("c")), f);
	assert_ptr_equal(field_prev(header_find_last(&m.header, STR("c"))), f);
	assert_null(header_find(&m.header, STR("a")));
	header_delete(&m.header, header_first(&m.header));
	header_delete(&m.header, header_first(&m.header));
	check_header(&m, "\n");
	assert_int_equal(m.header.count, 0);
	assert_str(m.body, STR("body"));
	arena_release(&a);
}

static void
overlay_at_the_edges(void **state)
{
	static const struct {
		const char *bytes, *top, *bottom;
	} cases[] = {
		{ "", "X: y\n\n", "X: y\n\n" },
		{ "\nbody", "X: y\n\n", "X: y\n\n" },
		{ "\r\nbody", "X: y\r\n\r\n", "X: y\r\n\r\n" },
		{ "A: b", "X: y\nA: b\n\n", "A: b\nX: y\n\n" },
		{ "A: b\n", "X: y\nA: b\n\n", "A: b\nX: y\n\n" },
		{ "A: b\r\n\r\n", "X: y\r\nA: b\r\n\r\n",
		    "A: b\r\nX: y\r\n\r\n" },
		{ "From a b: c\nA: b\n\n", "From a b: c\nX: y\nA: b\n\n",
		    "From a b: c\nA: b\nX: y\n\n" },
		{ "junk\n\n", "X: y\njunk\n\n", "junk\nX: y\n\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) * 2; i++) {
		struct arena a;
		struct message m;

		arena_init(&a, LIMIT);
		message_init(&m, &a, str_of(cases[i / 2].bytes));
		assert_non_null(header_add(&m.header,
		    i % 2 ? HEADER_TOP : HEADER_BOTTOM, STR("X"), STR("y")));
		check_header(&m, i % 2 ? cases[i / 2].top : cases[i / 2].bottom);
		arena_release(&a);
	}
}

static void
added_fields_are_safe(void **state)
{
	static const struct {
		const char *text, *want, *look_up;
	} cases[] = {
		{ "plain", "X: plain\n", "plain" },
		{ "", "X: \n", "" },
		{ "  trimmed ", "X: trimmed\n", "trimmed" },
		{ "a\nEvil: b", "X: a Evil: b\n", "a Evil: b" },
		{ "a\r\n\r\nbody", "X: a  body\n", "a  body" },
		{ "a\r\n folded\n\ttoo", "X: a folded\ttoo\n", "a folded\ttoo" },
		{ "gr\xc3\xbc\xc3\x9f", "X: =?utf-8?B?Z3LDvMOf?=\n",
		    "gr\xc3\xbc\xc3\x9f" },
		{ "=?utf-8?q?x?= y", "X: =?utf-8?q?x?= y\n", "x y" },
		{ "a \xc3\xbc b", "X: a =?utf-8?B?w7w=?= b\n",
		    "a \xc3\xbc b" },
		{ "bad \xff", "X: bad =?utf-8?B?77+9?=\n", "bad \xef\xbf\xbd" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct message m;
		struct field *f;

		arena_init(&a, LIMIT);
		message_init(&m, &a, STR("\n"));
		f = header_add(&m.header, HEADER_TOP, STR("X"),
		    str_of(cases[i].text));
		assert_non_null(f);
		assert_str(f->raw, str_of(cases[i].want));
		assert_str(field_text(&m.header, f), str_of(cases[i].look_up));
		arena_release(&a);
	}
}

static void
refuses_names_and_lengths(void **state)
{
	static char big[HEADER_ADD_MAX + 1];
	static const char *const bad[] = { "", "a b", "a:", "a\n", "\xc3\xa4" };
	struct arena a;
	struct message m;

	(void)state;
	memset(big, 'x', sizeof(big));
	arena_init(&a, LIMIT);
	message_init(&m, &a, STR("A: b\n\n"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(header_add(&m.header, HEADER_TOP, str_of(bad[i]),
		    STR("x")));
	assert_null(header_add(&m.header, HEADER_TOP, STR("X"),
	    str_mem(big, sizeof(big))));
	assert_false(m.header.edited);
	assert_false(m.header.full);
	assert_non_null(header_add(&m.header, HEADER_TOP, STR("X"),
	    str_mem(big, sizeof(big) - 1)));
	/* One word of 8 KB: no line may pass 998 bytes (RFC 5322 2.1.1). */
	{
		struct str rest = header_first(&m.header)->raw, line;

		while (str_split(&rest, '\n', &line))
			assert_true(line.n <= 78);
	}
	arena_release(&a);
}

/* Long text is folded, and reads the same afterwards. */
static void
folds_and_unfolds(void **state)
{
	static const char *const texts[] = {
		"one two three four five six seven eight nine ten eleven twelve "
		"thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
		"\xc3\xa4\xc3\xb6\xc3\xbc \xc3\xa4\xc3\xb6\xc3\xbc \xc3\xa4\xc3"
		"\xb6\xc3\xbc \xc3\xa4\xc3\xb6\xc3\xbc \xc3\xa4\xc3\xb6\xc3\xbc"
		" and then plain words follow, quite a few of them, \xe2\x82\xac",
		"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac"
		"\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5"
		"\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"
		"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct arena a;
		struct message m, again;
		struct buf b;
		struct str rest, line;

		arena_init(&a, LIMIT);
		message_init(&m, &a, STR("\n"));
		assert_non_null(header_add(&m.header, HEADER_TOP,
		    STR("X-Long-Name-Of-A-Field"), str_of(texts[i])));
		buf_init(&b, LIMIT);
		assert_int_equal(header_write(&m.header, &b), 0);
		rest = buf_str(&b);
		while (str_split(&rest, '\n', &line))
			assert_true(line.n <= 78);
		message_init(&again, &a, buf_str(&b));
		assert_str(field_text(&again.header,
		    header_first(&again.header)), str_of(texts[i]));
		buf_release(&b);
		arena_release(&a);
	}
}

static void
stops_at_its_ceilings(void **state)
{
	struct arena a;
	struct message m;
	struct buf b, w;

	(void)state;
	buf_init(&b, LIMIT);
	for (size_t i = 0; i < HEADER_FIELDS_MAX + 100; i++)
		(void)buf_addf(&b, "X%zu: y\n", i);
	(void)buf_addz(&b, "\nbody");
	arena_init(&a, LIMIT);
	message_init(&m, &a, buf_str(&b));
	assert_true(m.header.cut);
	assert_int_equal(m.header.count, HEADER_FIELDS_MAX);
	assert_str(m.body, STR("body"));
	/* What is not indexed is not lost. */
	header_delete(&m.header, header_first(&m.header));
	buf_init(&w, LIMIT);
	assert_int_equal(header_write(&m.header, &w), 0);
	assert_str(buf_str(&w), str_sub(buf_str(&b), 6, b.n - 10));
	buf_release(&w);
	arena_release(&a);

	/* An arena that is too small: never a crash, always the body. */
	for (size_t limit = 0; limit < 3000; limit += 50) {
		struct field *f;

		arena_init(&a, limit);
		message_init(&m, &a, STR("A: =?utf-8?q?=C3=BC?=\nB: b\n c\n"
		    "C: d\nD: e\nE: f\n\nbody"));
		assert_str(m.body, STR("body"));
		for (f = header_first(&m.header); f; f = field_after(f))
			(void)field_text(&m.header, f);
		(void)header_add(&m.header, HEADER_TOP, STR("X"), STR("y"));
		(void)header_find(&m.header, STR("A"));
		(void)message_mime(&m);
		arena_release(&a);
	}
	buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_fields),
		cmocka_unit_test(decodes_text),
		cmocka_unit_test(holds_nul),
		cmocka_unit_test(walks_both_ways),
		cmocka_unit_test(finds_among_many),
		cmocka_unit_test(overlay_adds_and_deletes),
		cmocka_unit_test(overlay_at_the_edges),
		cmocka_unit_test(added_fields_are_safe),
		cmocka_unit_test(refuses_names_and_lengths),
		cmocka_unit_test(folds_and_unfolds),
		cmocka_unit_test(stops_at_its_ceilings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
