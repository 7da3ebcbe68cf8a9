/* Reading an mbox message by message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/mailbox.h"
#include "store/mbox_read.h"

#define FROM "From a@b  Sat Nov 21 03:14:36 2026\n"
#define WHEN 1795230876

static const struct {
	const char *file;
	enum content_format variant;
	int want;		/* messages; -1: not an mbox */
	const char *body[3];
} cases[] = {
	{ "", CONTENT_MBOXRD, 0, { NULL } },
	{ "x\n", CONTENT_MBOXRD, -1, { NULL } },
	{ "From here\n\n", CONTENT_MBOXRD, -1, { NULL } },
	{ FROM "A: b\n\nbody\n\n", CONTENT_MBOXRD, 1, { "body\n" } },
	{ FROM "A: b\n\nbody\n", CONTENT_MBOXRD, 1, { "body\n" } },
	{ FROM "A: b\n\nbody", CONTENT_MBOXRD, 1, { "body" } },
	{ FROM "A: b\n\n\n", CONTENT_MBOXRD, 1, { "" } },
	{ FROM "A: b\n", CONTENT_MBOXRD, 1, { "" } },
	{ FROM, CONTENT_MBOXRD, 1, { "" } },
	{ FROM "\n" FROM "\n", CONTENT_MBOXRD, 2, { "", "" } },
	{ FROM "A: b\n\none\n\n" FROM "A: c\n\ntwo\n\n", CONTENT_MBOXRD, 2,
	    { "one\n", "two\n" } },
	/* No blank line in front, no date behind: part of the text. */
	{ FROM "A: b\n\none\n" FROM "two\n\n", CONTENT_MBOXRD, 1,
	    { "one\n" FROM "two\n" } },
	{ FROM "A: b\n\none\n\nFrom there on\n\n", CONTENT_MBOXRD, 1,
	    { "one\n\nFrom there on\n" } },
	/* Content-Length, believed only where it leads to a boundary. */
	{ FROM "Content-Length: 42\n\none\n\n" FROM "x\n\n" FROM "A: c\n\n\n",
	    CONTENT_MBOXCL2, 2, { "one\n\n" FROM "x\n", "" } },
	{ FROM "Content-Length: 5\n\none\n\n" FROM "A: c\n\n\n",
	    CONTENT_MBOXCL2, 2, { "one\n", "" } },
	{ FROM "Content-Length: 99999\n\none\n\n" FROM "A: c\n\n\n",
	    CONTENT_MBOXCL2, 2, { "one\n", "" } },
	{ FROM "Content-Length: 42\n\none\n\n" FROM "x\n\n\n",
	    CONTENT_MBOXRD, 2, { "one\n", "" } },
};

static void
messages_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str file = str_of(cases[i].file);
		struct mbox_message m;
		size_t at = 0;
		int n = 0, r;

		while ((r = mbox_read(file, &at, cases[i].variant, &m)) > 0) {
			if (n >= cases[i].want || !str_eq(m.body,
			    str_of(cases[i].body[n])))
				fail_msg("case %zu: message %d: \"%.*s\"", i,
				    n, STR_ARG(m.body));
			assert_int_equal(m.when, WHEN);
			assert_true(str_eq(m.sender, STR("a@b")));
			n++;
		}
		if ((r < 0 ? -1 : n) != cases[i].want)
			fail_msg("case %zu: %d messages, %d", i, n, r);
	}
}

static void
notes_of_programs_are_read(void **state)
{
	struct str file = STR(FROM "Status: RO\r\nX-Status: AF\n"
	    "x-keywords: one two\nSubject: x\n\nbody\n\n"
	    FROM "X-IMAP: 123 456\nSubject: INTERNAL\n\nbody\n\n");
	struct mbox_message m;
	size_t at = 0;

	(void)state;
	assert_int_equal(mbox_read(file, &at, CONTENT_MBOXRD, &m), 1);
	assert_int_equal(m.flags, MAILBOX_SEEN | MAILBOX_ANSWERED |
	    MAILBOX_FLAGGED);
	assert_true(m.old && m.blank && !m.internal);
	assert_true(str_eq(m.keywords, STR("one two")));
	assert_int_equal(mbox_read(file, &at, CONTENT_MBOXRD, &m), 1);
	assert_true(m.internal);
	assert_int_equal(mbox_read(file, &at, CONTENT_MBOXRD, &m), 0);
}

static void
from_lines_have_a_date(void **state)
{
	static const struct {
		const char *line;
		int want;
	} lines[] = {
		{ "From a Sat Nov 21 03:14:36 2026\n", 1 },
		{ "From a  Sat Nov  1 03:14:36 2026 +0100\n", 1 },
		{ "From a Sat Nov 21 03:14:36 2026 remote from x\n", 1 },
		{ "From a Sat Foo 21 03:14:36 2026\n", -1 },
		{ "From a Sat Nov 21 03:14 2026\n", -1 },
		{ "From Sat Nov 21 03:14:36 2026\n", -1 },
		{ "From a\n", -1 }, { "From \n", -1 }, { "From", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct mbox_message m;
		size_t at = 0;

		if (mbox_read(str_of(lines[i].line), &at, CONTENT_MBOXRD,
		    &m) != lines[i].want)
			fail_msg("%s", lines[i].line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_told_apart),
		cmocka_unit_test(notes_of_programs_are_read),
		cmocka_unit_test(from_lines_have_a_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
