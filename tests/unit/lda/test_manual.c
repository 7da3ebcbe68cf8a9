/* vbox.conf(5) and the table of settings say the same. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/base/file.h"

#define PAGE "docs/man/vbox.conf.5"
#define PAGE_MAX (1 << 20)
#define ARENA_MAX (1 << 20)

static void
every_setting_is_described_as_it_is(void **state)
{
	struct settings preset;
	struct arena arena;
	struct buf page, want, value;
	const char *at, *next;
	size_t described = 0;
	int fd = open(PAGE, O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	buf_init(&page, PAGE_MAX);
	assert_int_equal(file_read_whole(fd, &page), 0);
	file_close(&fd);
	arena_init(&arena, ARENA_MAX);
	settings_init(&preset, &arena);
	/* The page is written for the default PREFIX, and says so. */
	preset.module_dir = "/usr/local/lib/vbox";
	buf_init(&want, PAGE_MAX);
	buf_init(&value, PAGE_MAX);
	at = strstr(page.p, "\n.Sh SETTINGS\n");
	assert_non_null(at);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		buf_reset(&want);
		(void)buf_addf(&want, "\n.It Cm %s\n%s, ", row->name,
		    setting_type_name(row->type));
		setting_range(row, &want);
		(void)buf_addz(&want, "; default ");
		buf_reset(&value);
		setting_print(row, &preset, &value);
		/* mdoc has a word for a backslash. */
		for (size_t k = 0; k < value.n; k++) {
			(void)buf_addc(&want, value.p[k]);
			if (value.p[k] == '\\')
				(void)buf_addc(&want, 'e');
		}
		(void)buf_addf(&want, "; scope %s\n.Pp\n",
		    setting_scope_name(row->scope));
		/* In the order of the table, with a sentence behind it. */
		next = strstr(at, want.p);
		if (!next)
			fail_msg(PAGE " does not have, or not in its place:%s",
			    want.p);
		at = next + want.n - 1;
		assert_true(at[1] != '\0' && strncmp(at, "\n.It ", 5) != 0);
	}
	at = strstr(page.p, "\n.Sh SETTINGS\n");
	for (next = at; (next = strstr(next, "\n.It Cm ")) != NULL; next++)
		described++;
	assert_int_equal(described, settings_count);
	buf_release(&want);
	buf_release(&value);
	arena_release(&arena);
	buf_release(&page);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_setting_is_described_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
