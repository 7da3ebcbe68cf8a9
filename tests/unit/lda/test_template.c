/* Path templates: what becomes of names, and whose part of a path is whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lda/template.h"

#define PATH_MOST 64

static void
names_become_paths(void **state)
{
	static const struct {
		const char *template, *home, *path, *root;
	} cases[] = {
		{ "/var/spool/vbox/%d/%n", NULL, "/var/spool/vbox/a.test/fred", "/var/spool/vbox" },
		{ "/var/mail/%u", NULL, "/var/mail/fred@a.test", "/var/mail" },
		{ "/%n", NULL, "/fred", "/" },
		{ "/m/%d.d/x", NULL, "/m/a.test.d/x", "/m" },
		{ "/m/box-%n", NULL, "/m/box-fred", "/m" },
		{ "/m//%n", NULL, "/m//fred", "/m" },
		{ "/m/50%%/%n", NULL, "/m/50%/fred", "/m/50%" },
		{ "%h/Maildir", "/home/%d/%n", "/home/a.test/fred/Maildir", "/home" },
		{ "%h", "/home/%n", "/home/fred", "/home" },
		{ "%h/%d", "/srv", "/srv/a.test", "/srv" },
		/* A doubled sign stands for one, also in a literal home. */
		{ "%h/m", "/srv/%%n", "/srv/%n/m", "/srv/%n" },
		/* Without a name the last part is what is opened. */
		{ "/srv/all", NULL, "/srv/all", "/srv" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct template_names names = { .domain = STR("a.test"),
		    .user = STR("fred"), .home = cases[i].home };
		struct buf out;
		size_t root = 99;

		buf_init(&out, PATH_MOST);
		if (template_expand(cases[i].template, &names, &out, &root) < 0)
			fail_msg("%s", cases[i].template);
		assert_string_equal(out.p, cases[i].path);
		buf_cut(&out, root);
		assert_string_equal(out.p, cases[i].root);
		buf_release(&out);
	}
}

static void
no_name_leaves_its_place(void **state)
{
	static const struct str names[] = {
		{ "", 0 }, { ".", 1 }, { "..", 2 }, { "/", 1 }, { "a/b", 3 },
		{ "../x", 4 }, { "a\0b", 3 }, { "/etc/passwd", 11 },
	};
	static const char *const templates[] = {
		"/m/%d/%n", "/m/%n", "/m/x%n", "/m/%u", "%h/x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t t = 0; t < sizeof(templates) / sizeof(templates[0]);
		    t++) {
			struct template_names user = { .domain = STR("a.test"),
			    .user = names[i], .home = "/h/%n" };
			struct template_names domain = { .domain = names[i],
			    .user = STR("fred"), .home = "/h/%d" };
			size_t root = 99;
			struct buf out;

			buf_init(&out, PATH_MOST);
			(void)buf_addz(&out, "before");
			assert_int_equal(template_expand(templates[t], &user,
			    &out, &root), -1);
			/* Nothing is left of a failure. */
			assert_string_equal(out.p, "before");
			assert_int_equal(root, 99);
			if (strstr(templates[t], "%d") ||
			    strstr(templates[t], "%u") || templates[t][0] == '%')
				assert_int_equal(template_expand(templates[t],
				    &domain, &out, &root), -1);
			buf_release(&out);
		}
}

static void
what_does_not_fit_is_refused(void **state)
{
	char user[PATH_MOST + 1];
	struct template_names names = { .domain = STR("a.test"),
	    .user = { user, sizeof(user) } };
	struct buf out;
	size_t root;

	(void)state;
	memset(user, 'x', sizeof(user));
	buf_init(&out, PATH_MOST);
	assert_int_equal(template_expand("/m/%n", &names, &out, &root), -1);
	/* %h where there is none, and a home that is made of itself */
	names.user = STR("fred");
	assert_int_equal(template_expand("%h/m", &names, &out, &root), -1);
	names.home = "%h/x";
	assert_int_equal(template_expand("%h/m", &names, &out, &root), -1);
	/* What template_check would not have let in. */
	assert_int_equal(template_expand("/m/%x", &names, &out, &root), -1);
	assert_int_equal(template_expand("m/%n", &names, &out, &root), -1);
	assert_int_equal(template_expand("", &names, &out, &root), -1);
	assert_int_equal(out.n, 0);
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_become_paths),
		cmocka_unit_test(no_name_leaves_its_place),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
