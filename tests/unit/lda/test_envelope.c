#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lda/envelope.h"

static void
from_lines_name_a_sender(void **state)
{
	static const struct {
		const char *line;
		const char *want;	/* NULL: no From_ line */
	} t[] = {
		{ "From a@b Sat Nov 21 03:00:00 2026", "a@b" },
		{ "From a@b  Sat Nov 21 03:00:00 2026", "a@b" },
		{ "From a@b", "a@b" },
		{ "From \"a b\"@c Sat Nov 21 03:00:00 2026", "\"a b\"@c" },
		{ "From <a@b> Sat Nov 21 03:00:00 2026", "a@b" },
		{ "From MAILER-DAEMON Sat Nov 21 03:00:00 2026", "" },
		{ "From <> Sat Nov 21 03:00:00 2026", "" },
		/* as sendmail 8.17 writes it for MAIL FROM:<> */
		{ "From  Sat Nov 21 03:00:00 2026", "" },
		{ "From ", "" },
		{ "From: a@b", NULL },
		{ "from a@b Sat Nov 21 03:00:00 2026", NULL },
		{ ">From a@b Sat Nov 21 03:00:00 2026", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct str sender = STR("untouched");
		bool is = envelope_from_line(str_of(t[i].line), &sender);

		assert_int_equal(is, t[i].want != NULL);
		assert_true(str_eq(sender,
		    t[i].want ? str_of(t[i].want) : STR("untouched")));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_lines_name_a_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
