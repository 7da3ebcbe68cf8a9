/* Users' files that are kept in memory: what was changed is seen at once, and
 * what may not be read is not recalled. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/user_file_kept.h"
#include "store/base/clock.h"

static char top[] = "/dev/shm/vbox-user-file-XXXXXX";
static char home[100];
static struct arena arena;

static const char *
in_home(const char *name)
{
	static char path[4][200];
	static unsigned turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", home, name);
	return p;
}

static void
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct user_file_place
place_of(const char *path, enum user_file_owner owner)
{
	return (struct user_file_place){ .owner = owner, .root = home,
	    .path = path, .max = 1000, .too_long = "too long" };
}

static enum user_file
get(const char *path, struct str *text)
{
	struct user_file_place place = place_of(path, USER_FILE_USER);
	const char *why;

	return user_file_read(&place, &arena, text, &why);
}

static bool
recalled(const char *path)
{
	struct user_file_place place = place_of(path, USER_FILE_USER);
	struct str text;

	return user_file_recall(&place, &arena, &text);
}

static void
assert_text(const char *path, const char *want)
{
	struct str text;

	assert_int_equal(get(path, &text), USER_FILE_READ);
	if (!str_eq(text, str_of(want)))
		fail_msg("%s: %.*s, not %s", path, STR_ARG(text), want);
}

/* Read until it is kept; a minute later for the file's times. */
static void
keep(const char *path, const char *want)
{
	clock_set_us(-1);
	clock_set_us(clock_now_us() + 60 * 1000000LL);
	for (int i = 0; i < 3; i++)
		assert_text(path, want);
	assert_true(recalled(path));
}

static int
set_up(void **state)
{
	char sieve[150];

	(void)state;
	arena_init(&arena, 1 << 20);
	memcpy(top + sizeof(top) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(top));
	(void)snprintf(home, sizeof(home), "%s/home", top);
	(void)snprintf(sieve, sizeof(sieve), "%s/home/sieve", top);
	assert_int_equal(mkdir(home, 0700) | mkdir(sieve, 0700), 0);
	put(in_home("sieve/one.sieve"), "one");
	put(in_home("sieve/two.sieve"), "two");
	assert_int_equal(symlink("sieve/one.sieve", in_home(".dovecot.sieve")), 0);
	put(in_home("plain"), "plain");
	return 0;
}

static int
tear_down(void **state)
{
	char command[200];

	(void)state;
	clock_set_us(-1);
	arena_release(&arena);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);	/* a test's own directory */
}

static const char *const ways[] = { "plain", "sieve/one.sieve",
	".dovecot.sieve" };

static void
a_change_is_seen_at_once(void **state)
{
	static const char *const files[] = { "plain", "sieve/one.sieve",
	    "sieve/one.sieve" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct timespec old[2] = { { .tv_sec = 1000 },
		    { .tv_sec = 1000 } };
		struct str text;

		put(in_home(files[i]), "aaa");
		assert_int_equal(utimensat(AT_FDCWD, in_home(files[i]), old, 0),
		    0);
		keep(ways[i], "aaa");
		/* As long, and as old as it says. */
		put(in_home(files[i]), "bbb");
		assert_int_equal(utimensat(AT_FDCWD, in_home(files[i]), old, 0),
		    0);
		assert_false(recalled(ways[i]));
		assert_text(ways[i], "bbb");
		keep(ways[i], "bbb");
		/* Another file of that name, as editors make one. */
		put(in_home("new"), "ccc");
		assert_int_equal(rename(in_home("new"), in_home(files[i])), 0);
		assert_text(ways[i], "ccc");
		keep(ways[i], "ccc");
		assert_int_equal(unlink(in_home(files[i])), 0);
		assert_int_equal(get(ways[i], &text), USER_FILE_ABSENT);
		put(in_home(files[i]), "ddd");
		assert_text(ways[i], "ddd");
	}
}

static void
another_script_is_made_active(void **state)
{
	(void)state;
	keep(".dovecot.sieve", "one");
	assert_int_equal(symlink("sieve/two.sieve", in_home("new")), 0);
	assert_int_equal(rename(in_home("new"), in_home(".dovecot.sieve")), 0);
	assert_text(".dovecot.sieve", "two");
	keep(".dovecot.sieve", "two");
	assert_int_equal(unlink(in_home(".dovecot.sieve")), 0);
	put(in_home(".dovecot.sieve"), "three");
	assert_text(".dovecot.sieve", "three");
	keep(".dovecot.sieve", "three");
}

static void
what_may_not_be_read_is_not_recalled(void **state)
{
	struct str text;
	char there[200];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *want = i ? "one" : "plain";

		keep(ways[i], want);
		assert_int_equal(chmod(in_home(ways[i]), 0606), 0);
		assert_int_equal(get(ways[i], &text), USER_FILE_REFUSED);
		assert_int_equal(chmod(in_home(ways[i]), 0600), 0);
		keep(ways[i], want);
		if (geteuid() == 0) {
			assert_int_equal(chown(in_home(ways[i]), 12345, 0), 0);
			assert_int_equal(get(ways[i], &text),
			    USER_FILE_REFUSED);
			assert_int_equal(chown(in_home(ways[i]), 0, 0), 0);
		}
		keep(ways[i], want);
	}
	/* The very same files, but outside the home now. */
	(void)snprintf(there, sizeof(there), "%s/sieve", top);
	assert_int_equal(rename(in_home("sieve"), there), 0);
	assert_int_equal(symlink(there, in_home("sieve")), 0);
	assert_int_equal(get("sieve/one.sieve", &text), USER_FILE_REFUSED);
	assert_int_equal(get(".dovecot.sieve", &text), USER_FILE_REFUSED);
}

static void
what_may_change_unseen_is_read_each_time(void **state)
{
	struct user_file_place admin = place_of("plain", USER_FILE_ADMIN);
	struct str text;

	(void)state;
	/* Just written: it may be written again before the clock moves. */
	for (int i = 0; i < 4; i++)
		assert_text("plain", "plain");
	assert_false(recalled("plain"));
	keep("plain", "plain");
	/* The owner belongs to the name. */
	assert_false(user_file_recall(&admin, &arena, &text));
	/* A way through "..", or over two links, is gone each time. */
	keep("sieve/one.sieve", "one");
	assert_int_equal(symlink("../plain", in_home("sieve/up")), 0);
	assert_int_equal(symlink("sieve/up", in_home("twice")), 0);
	for (int i = 0; i < 4; i++) {
		assert_text("sieve/up", "plain");
		assert_text("twice", "plain");
	}
	assert_false(recalled("sieve/up"));
	assert_false(recalled("twice"));
}

/* More files than are kept, one of them again and again. */
static void
what_is_used_stays(void **state)
{
	char name[20];

	(void)state;
	keep("plain", "plain");
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		put(in_home(name), name);
		for (int k = 0; k < 2; k++)
			assert_text(name, name);
		assert_text("plain", "plain");
	}
	assert_true(recalled("plain"));
	assert_true(recalled("f299"));
	assert_false(recalled("f0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_change_is_seen_at_once,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_script_is_made_active,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    what_may_not_be_read_is_not_recalled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    what_may_change_unseen_is_read_each_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_used_stays, set_up,
		    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
