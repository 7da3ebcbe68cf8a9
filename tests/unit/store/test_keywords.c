/* Flags and keywords in the ways of Maildir and mbox. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/keywords.h"
#include "store/mailbox.h"
#include "tests/unit/tree.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static char root[64];
static int dirfd_root = -1;

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof(root), "/tmp/vbox-keywords-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	dirfd_root = file_open_root(root);
	return dirfd_root < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	file_close(&dirfd_root);
	remove_tree(root);
	return 0;
}

static void
put_file(const char *name, const char *text)
{
	int fd = openat(dirfd_root, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	file_close(&fd);
}

static void
check_file(const char *name, const char *want)
{
	struct buf got;
	int fd = openat(dirfd_root, name, O_RDONLY);

	if (!want) {
		assert_int_equal(fd, -1);
		return;
	}
	buf_init(&got, 20000);
	assert_int_equal(file_read_whole(fd, &got), 0);
	assert_string_equal(got.p, want);
	buf_release(&got);
	file_close(&fd);
}

/* `names` are divided by blanks. */
static size_t
letters(const char *names, const char *want)
{
	struct str list[40], rest = str_of(names), one;
	struct verdict v = VERDICT_INIT;
	struct buf got;
	size_t n = 0, lost;

	while (str_split(&rest, ' ', &one))
		list[n++] = one;
	buf_init(&got, KEYWORDS_MAX);
	lost = keywords_letters(dirfd_root, list, n, 0600, &got, &v);
	assert_false(got.full);
	assert_string_equal(got.p, want);
	buf_release(&got);
	return lost;
}

static void
names_become_letters(void **state)
{
	(void)state;
	assert_int_equal(letters("$Label1 work", "ab"), 0);
	check_file("dovecot-keywords", "0 $Label1\n1 work\n");
	/* Known ones, whatever their case, whatever their order. */
	assert_int_equal(letters("WORK $label1 work", "ab"), 0);
	assert_int_equal(letters("new work", "bc"), 0);
	check_file("dovecot-keywords", "0 $Label1\n1 work\n2 new\n");
	check_file("dovecot-keywords.lock", NULL);
	check_file("dovecot-uidlist.lock", NULL);
}

/* What Dovecot wrote keeps its place; gaps stay, since an old letter may
 * still stand in the name of a file. */
static void
others_letters_stay(void **state)
{
	(void)state;
	put_file("dovecot-keywords", "0 a\n3 d\nnonsense\n77 far\n4 \n");
	assert_int_equal(letters("d x", "de"), 0);
	check_file("dovecot-keywords", "0 a\n3 d\n4 x\n");
}

static void
time_moves_on(void **state)
{
	struct stat before, after;

	(void)state;
	assert_int_equal(letters("a", "a"), 0);
	assert_int_equal(fstatat(dirfd_root, "dovecot-keywords", &before, 0), 0);
	assert_int_equal(letters("b", "b"), 0);
	assert_int_equal(fstatat(dirfd_root, "dovecot-keywords", &after, 0), 0);
	assert_true(after.st_mtime > before.st_mtime);
	assert_int_equal(after.st_mode & 0777, 0600);
}

static void
bad_names_are_left_out(void **state)
{
	static const struct {
		const char *name;
		size_t n;
		bool valid;
	} cases[] = {
		{ "$Forwarded", 10, true }, { "a.b-c_d:e", 9, true },
		{ "", 0, false }, { "a b", 3, false }, { "a\nb", 3, false },
		{ "\\Seen", 5, false }, { "a(b", 3, false }, { "a]b", 3, false },
		{ "a\0b", 3, false }, { "\xc3\xbc", 2, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(keywords_valid(str_mem(cases[i].name,
		    cases[i].n)), cases[i].valid);
	assert_int_equal(letters("a{b ok", "a"), 1);
	check_file("dovecot-keywords", "0 ok\n");
}

static void
twenty_six_at_most(void **state)
{
	(void)state;
	assert_int_equal(letters("k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 k10 k11 k12 k13 "
	    "k14 k15 k16 k17 k18 k19 k20 k21 k22 k23 k24 k25 k26 k27",
	    "abcdefghijklmnopqrstuvwxyz"), 2);
	assert_int_equal(letters("k28 k25", "z"), 1);
}

/* Somebody has the lock: known names are given, new ones are not, and
 * nothing of his is touched. */
static void
a_lock_is_respected(void **state)
{
	(void)state;
	put_file("dovecot-keywords", "0 a\n");
	put_file("dovecot-uidlist.lock", "");
	assert_int_equal(letters("a b", "a"), 1);
	check_file("dovecot-keywords", "0 a\n");
	check_file("dovecot-uidlist.lock", "");
	/* A file of the new names left by a crash is in nobody's way. */
	assert_int_equal(unlinkat(dirfd_root, "dovecot-uidlist.lock", 0), 0);
	put_file("dovecot-keywords.lock", "0 half");
	assert_int_equal(letters("a b", "ab"), 0);
	check_file("dovecot-keywords.lock", NULL);
}

static void
no_link_is_followed(void **state)
{
	(void)state;
	put_file("other", "0 secret\n");
	assert_int_equal(symlinkat("other", dirfd_root, "dovecot-keywords"), 0);
	assert_int_equal(letters("secret new", ""), 2);
	check_file("other", "0 secret\n");
	assert_int_equal(unlinkat(dirfd_root, "dovecot-keywords", 0), 0);
	assert_int_equal(symlinkat("other", dirfd_root,
	    "dovecot-keywords.lock"), 0);
	assert_int_equal(letters("new", "a"), 0);
	check_file("other", "0 secret\n");
}

static void
many_at_once_agree(void **state)
{
	struct buf want, got;
	int status;

	(void)state;
	for (int p = 0; p < 4; p++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			for (int i = 0; i < 6; i++) {
				char name[20];
				struct str s;
				struct verdict v = VERDICT_INIT;
				struct buf out;

				(void)snprintf(name, sizeof(name), "k%d-%d", p, i);
				s = str_of(name);
				/* On a slow disk the lock may be out of reach
				 * for longer than a delivery waits for it. */
				(void)alarm(60);
				buf_init(&out, KEYWORDS_MAX);
				while (keywords_letters(dirfd_root, &s, 1, 0600,
				    &out, &v) != 0)
					;
				buf_release(&out);
			}
			_exit(0);
		}
	}
	for (int p = 0; p < 4; p++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	/* 24 names, each with a letter of its own. */
	buf_init(&want, 10000);
	buf_init(&got, KEYWORDS_MAX);
	for (int p = 0; p < 4; p++)
		for (int i = 0; i < 6; i++)
			buf_addf(&want, "%sk%d-%d", p || i ? " " : "", p, i);
	assert_int_equal(letters(want.p, "abcdefghijklmnopqrstuvwx"), 0);
	buf_release(&want);
	buf_release(&got);
}

/* --- in mailboxes ------------------------------------------------------------ */

static int
deliver(enum mailbox_format format, const char *path, unsigned flags,
    const struct str *keywords, size_t n)
{
	static const char text[] = "Subject: x\nStatus: RO\n\nbody\n";
	struct source src = { .mem = text, .fd = -1, .n = sizeof(text) - 1 };
	struct content c = { .sender = STR("a@b"), .when = 1795226089,
	    .message = &src, .body = sizeof(text) - 1 - 5 };
	struct mailbox_spec spec = { .format = format,
	    .variant = CONTENT_MBOXRD, .root = root, .path = path,
	    .make = MAILBOX_MAY_MAKE, .dir_mode = 0700, .file_mode = 0600,
	    .lock = { .order = { MBOX_LOCK_FCNTL, MBOX_LOCK_DOTLOCK },
	    .stale_ms = 300000 }, .hostname = "host.test", .flags = flags,
	    .keywords = keywords, .keyword_count = n };
	struct verdict v = VERDICT_INIT;

	return mailbox_deliver(&spec, &c, &v);
}

static void
mbox_lines(void **state)
{
	static const struct {
		unsigned flags;
		const char *keywords;
		const char *want;
	} cases[] = {
		{ 0, NULL, "" },
		{ MAILBOX_SEEN, NULL, "Status: RO\n" },
		{ MAILBOX_FLAGGED, "$Label1 work", "X-Status: F\n"
		    "X-Keywords: $Label1 work\n" },
		{ MAILBOX_SEEN | MAILBOX_ANSWERED | MAILBOX_FLAGGED |
		    MAILBOX_DRAFT | MAILBOX_DELETED, "x{ y",
		    "Status: RO\nX-Status: AFTD\nX-Keywords: y\n" },
		{ 0, "a\rb", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str list[4], rest = str_of(cases[i].keywords), one;
		struct buf want;
		size_t n = 0;

		while (cases[i].keywords && str_split(&rest, ' ', &one))
			list[n++] = one;
		put_file("box", "x\n\n");
		assert_int_equal(deliver(MAILBOX_MBOX, "box", cases[i].flags,
		    list, n), 0);
		buf_init(&want, 2000);
		buf_addz(&want, "x\n\nFrom a@b  Sat Nov 21 01:54:49 2026\n");
		buf_addz(&want, cases[i].want);
		buf_addz(&want, "Subject: x\n\nbody\n\n");
		check_file("box", want.p);
		buf_release(&want);
	}
}

/* Readers learn a keyword from the first message of a mailbox. */
static void
a_new_mbox_names_its_keywords(void **state)
{
	static const struct str keywords[] = { { "work", 4 }, { "$x", 2 } };

	(void)state;
	clock_set_us(INT64_C(1795226089) * 1000000);
	assert_int_equal(deliver(MAILBOX_MBOX, "new", MAILBOX_FLAGGED,
	    keywords, COUNT(keywords)), 0);
	clock_set_us(-1);
	check_file("new", "From a@b  Sat Nov 21 01:54:49 2026\n"
	    "X-IMAPbase: 1795226089 0000000000 work $x\n"
	    "X-Status: F\nX-Keywords: work $x\nSubject: x\n\nbody\n\n");
	assert_int_equal(deliver(MAILBOX_MBOX, "plain", MAILBOX_FLAGGED,
	    NULL, 0), 0);
	check_file("plain", "From a@b  Sat Nov 21 01:54:49 2026\n"
	    "X-Status: F\nSubject: x\n\nbody\n\n");
}

static void
maildir_names(void **state)
{
	static const struct str keywords[] = { { "work", 4 }, { "$x", 2 } };
	struct dirent *e;
	char cur[100];
	int found = 0;
	DIR *d;

	(void)state;
	assert_int_equal(deliver(MAILBOX_MAILDIR, "M", MAILBOX_SEEN |
	    MAILBOX_FLAGGED, keywords, COUNT(keywords)), 0);
	(void)snprintf(cur, sizeof(cur), "%s/M/cur", root);
	d = opendir(cur);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			assert_true(str_ends(str_of(e->d_name), STR(":2,FSab")));
			found++;
		}
	closedir(d);
	assert_int_equal(found, 1);
	check_file("M/dovecot-keywords", "0 work\n1 $x\n");
}

static void
system_flags(void **state)
{
	(void)state;
	assert_int_equal(keywords_system_flag(STR("\\seen")), MAILBOX_SEEN);
	assert_int_equal(keywords_system_flag(STR("\\DRAFT")), MAILBOX_DRAFT);
	assert_int_equal(keywords_system_flag(STR("\\Recent")), 0);
	assert_int_equal(keywords_system_flag(STR("Seen")), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(names_become_letters),
		CASE(others_letters_stay),
		CASE(time_moves_on),
		CASE(bad_names_are_left_out),
		CASE(twenty_six_at_most),
		CASE(a_lock_is_respected),
		CASE(no_link_is_followed),
		CASE(many_at_once_agree),
		CASE(mbox_lines),
		CASE(a_new_mbox_names_its_keywords),
		CASE(maildir_names),
		CASE(system_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
