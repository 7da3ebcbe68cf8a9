/* maildirsize, the ledger, and a reservation's way through both. */
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

#include "store/base/file.h"
#include "store/maildirsize.h"
#include "store/quota.h"
#include "store/quota_ledger.h"
#include "tests/unit/maps.h"

static char top[64];

static int
make_top(void **state)
{
	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/vbox-quota.XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int
remove_top(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "/bin/rm -rf %s", top);
	return system(command); /* a test's own directory */
}

static int
maildir(void)
{
	static const char *const subs[] = { "box", "box/new", "box/cur",
	    "box/tmp" };
	int dir = file_open_root(top), box;

	for (size_t i = 0; i < sizeof(subs) / sizeof(*subs); i++)
		(void)mkdirat(dir, subs[i], 0700);
	box = openat(dir, "box", O_RDONLY | O_DIRECTORY);
	file_close(&dir);
	assert_true(box >= 0);
	return box;
}

static void
put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	file_close(&fd);
}

static void
maildirsize_is_believed_or_not(void **state)
{
	static const struct {
		const char *text;
		int want;
		uint64_t bytes, messages;
	} cases[] = {
		{ "1000S,10C\n", 1, 0, 0 },
		{ "1000S,10C\n     100 2\n      -40 -1\n", 1, 60, 1 },
		{ "10C,1000S\n100 2\n", 1, 100, 2 },
		{ "1000S,10C \n100 2 \n", 1, 100, 2 },
		{ "1000S,10C\r\n100 2\r\n", 1, 100, 2 },
		{ "1000S,10C\n100 2", 0, 0, 0 },
		{ "1000S,10C\n100\n", 0, 0, 0 },
		{ "1000S,10C\n100 -2\n", 0, 0, 0 },
		{ "1000S,10C\n-1 2\n", 0, 0, 0 },
		{ "1000S,10C\n\n", 0, 0, 0 },
		{ "1000S,10C\n9999999999999999999999 1\n", 0, 0, 0 },
		{ "1000S,10C\n1 1\nx 1\n", 0, 0, 0 },
		{ "1000S\n100 2\n", 0, 0, 0 },
		{ "", 0, 0, 0 },
	};
	struct maildirsize_limits limits = { 1000, 10 };
	struct verdict v = VERDICT_INIT;
	int box = maildir();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct maildirsize m;
		int r;

		maildirsize_init(&m);
		put(box, "maildirsize", cases[i].text);
		r = maildirsize_open(box, &limits, &m, &v);
		if (r != cases[i].want)
			fail_msg("case %zu: %d", i, r);
		if (r > 0) {
			assert_int_equal(m.bytes, cases[i].bytes);
			assert_int_equal(m.messages, cases[i].messages);
		}
		maildirsize_close(&m);
	}
	file_close(&box);
}

static void
maildirsize_counts_what_is_there(void **state)
{
	static const char *const folders[] = { ".Work", ".Work/cur",
	    ".Work/new", ".Trash", ".Trash/cur", ".Trash/new" };
	const char *exempt = ".Trash";
	struct maildirsize_how how = { .limits = { 1000, 0 },
	    .file_mode = 0600, .exempt = &exempt, .exempt_count = 1 };
	struct maildirsize m, again;
	struct verdict v = VERDICT_INIT;
	int box = maildir();

	(void)state;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		assert_int_equal(mkdirat(box, folders[i], 0700), 0);
	put(box, "new/1.a.host,S=100", "12345");	/* its name is believed */
	put(box, "cur/2.b.host:2,S", "12345");
	put(box, "cur/3.c.host,S=7,W=9:2,", "x");
	put(box, "cur/.hidden", "x");
	put(box, "tmp/4.d.host", "x");
	put(box, ".Work/cur/5.e.host,S=1000", "x");
	put(box, ".Trash/cur/6.f.host,S=5000", "x");
	maildirsize_init(&m);
	maildirsize_init(&again);
	assert_int_equal(maildirsize_count(box, &how, &m, &v), 0);
	assert_int_equal(m.bytes, 1112);
	assert_int_equal(m.messages, 4);
	assert_int_equal(maildirsize_open(box, &how.limits, &again, &v), 1);
	assert_int_equal(again.bytes, 1112);
	assert_int_equal(again.ino, m.ino);
	/* Another one writes in between; both are seen. */
	assert_int_equal(maildirsize_add(box, &how.limits, &again, 10, 1, &v),
	    1);
	assert_int_equal(maildirsize_add(box, &how.limits, &m, 20, 1, &v), 1);
	assert_int_equal(m.bytes, 1142);
	assert_int_equal(m.messages, 6);
	/* Made anew: what was to be added is not. */
	assert_int_equal(maildirsize_count(box, &how, &again, &v), 0);
	assert_int_equal(maildirsize_add(box, &how.limits, &m, 20, 1, &v), 0);
	assert_int_equal(maildirsize_open(box, &how.limits, &m, &v), 1);
	assert_int_equal(m.bytes, 1112);
	/* A copy of the Maildir by hard links keeps the old file alive. */
	assert_int_equal(linkat(box, "maildirsize", box, "copy", 0), 0);
	assert_int_equal(maildirsize_open(box, &how.limits, &m, &v), 1);
	assert_int_equal(maildirsize_count(box, &how, &again, &v), 0);
	assert_int_equal(maildirsize_add(box, &how.limits, &m, 20, 1, &v), 0);
	assert_int_equal(maildirsize_open(box, &how.limits, &m, &v), 1);
	assert_int_equal(m.bytes, 1112);
	maildirsize_close(&m);
	maildirsize_close(&again);
	file_close(&box);
}

/* What is remembered is believed as long as the file is the same. */
static void
maildirsize_is_remembered(void **state)
{
	struct maildirsize_limits limits = { 1000, 10 }, others = { 2000, 10 };
	struct maildirsize m, other;
	struct verdict v = VERDICT_INIT;
	uint64_t stamp;
	int box = maildir();

	(void)state;
	maildirsize_init(&m);
	maildirsize_init(&other);
	put(box, "maildirsize", "1000S,10C\n           100 1\n");
	assert_int_equal(maildirsize_peek(top, "box", &limits, &m, &v), 1);
	stamp = m.stamp;
	assert_int_not_equal(stamp, 0);
	m.bytes = 777;	/* so we see whether it was read */
	assert_int_equal(maildirsize_peek(top, "box", &limits, &m, &v), 1);
	assert_int_equal(m.bytes, 777);
	assert_int_equal(maildirsize_open(box, &limits, &m, &v), 1);
	assert_int_equal(m.bytes, 777);
	/* Our own line is remembered with it. */
	assert_int_equal(maildirsize_add(box, &limits, &m, 10, 1, &v), 1);
	assert_int_not_equal(m.stamp, stamp);
	assert_int_equal(maildirsize_peek(top, "box", &limits, &m, &v), 1);
	assert_int_equal(m.bytes, 787);
	/* Another limit, another line, another file. */
	assert_int_equal(maildirsize_peek(top, "box", &others, &m, &v), 0);
	assert_int_equal(maildirsize_open(box, &limits, &m, &v), 1);
	assert_int_equal(m.bytes, 110);
	assert_int_equal(maildirsize_open(box, &limits, &other, &v), 1);
	assert_int_equal(maildirsize_add(box, &limits, &other, -5, 0, &v), 1);
	assert_int_equal(maildirsize_peek(top, "box", &limits, &m, &v), 1);
	assert_int_equal(m.bytes, 105);
	put(box, "another", "1000S,10C\n           300 1\n"
	    "             5 1\n             0 0\n");
	assert_int_equal(renameat(box, "another", box, "maildirsize"), 0);
	assert_int_equal(maildirsize_open(box, &limits, &m, &v), 1);
	assert_int_equal(m.bytes, 305);
	maildirsize_close(&m);
	maildirsize_close(&other);
	file_close(&box);
}

static struct ledger_key
key_of(unsigned i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "user%u", i);
	return ledger_key_of(str_of(name), STR("d.test"));
}

static void
ledger_keeps_many_accounts(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger *l;
	struct ledger_entry e;

	(void)state;
	assert_int_equal(ledger_open(top, "d/quota.ledger", LEDGER_WRITE, &l,
	    &v), 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct ledger_key key = key_of(i);

		assert_int_equal(ledger_lock(l, &v), 0);
		ledger_find(l, &key, &e);
		assert_true(e.flags & LEDGER_DOUBT);
		e.flags = 0;
		e.counted = i;
		assert_int_equal(ledger_put(l, &e, &v), 0);
		ledger_unlock(l);
	}
	assert_int_equal(ledger_lock(l, &v), 0);
	assert_int_equal(ledger_head(l)->used, 2000);
	for (unsigned i = 0; i < 2000; i++) {
		struct ledger_key key = key_of(i);

		ledger_find(l, &key, &e);
		assert_false(e.flags & LEDGER_DOUBT);
		assert_int_equal(e.counted, i);
	}
	ledger_unlock(l);
	ledger_close(&l);
}

/* A filter is a child: what is kept for the next delivery is not its, and who
 * wants a ledger opens it anew. */
static void
kept_ledgers_are_not_the_childs(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger *l;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(ledger_open(top, "x/quota.ledger", LEDGER_WRITE, &l,
	    &v), 0);
	assert_int_equal(ledger_lock(l, &v), 0);
	ledger_unlock(l);
	ledger_close(&l);
	assert_true(has_in_memory("/quota.ledger"));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (has_in_memory("/quota.ledger"))
			_exit(1);
		if (ledger_open(top, "x/quota.ledger", LEDGER_WRITE, &l, &v) < 0 ||
		    ledger_lock(l, &v) < 0)
			_exit(2);
		ledger_unlock(l);
		_exit(ledger_lost(l) ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ledger_open(top, "x/quota.ledger", LEDGER_WRITE, &l,
	    &v), 0);
	assert_false(ledger_lost(l));
	assert_int_equal(ledger_lock(l, &v), 0);
	ledger_unlock(l);
	ledger_close(&l);
}

/* A child reserves and dies without a word. */
static void
reservation_of_the_dead_is_dropped(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger_key key = key_of(1);
	struct ledger_sum mine, all;
	struct ledger_entry e;
	struct ledger *l;
	uint64_t id;
	int up[2], down[2], status;
	char c = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(up) | pipe(down), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (ledger_open(top, "x/quota.ledger", LEDGER_WRITE, &l, &v) < 0 ||
		    ledger_lock(l, &v) < 0 ||
		    ledger_hold(l, &key, 500, 1, &id, &v) < 0)
			_exit(1);
		ledger_unlock(l);
		_exit(write(up[1], &c, 1) != 1 || read(down[0], &c, 1) != 1);
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	assert_int_equal(ledger_open(top, "x/quota.ledger", LEDGER_WRITE, &l,
	    &v), 0);
	assert_int_equal(ledger_lock(l, &v), 0);
	ledger_flying(l, &key, &mine, &all);
	assert_int_equal(mine.bytes, 500);
	ledger_find(l, &key, &e);
	e.flags = 0;
	assert_int_equal(ledger_put(l, &e, &v), 0);
	assert_int_equal(ledger_bury(l, NULL, &v), 0);
	ledger_find(l, &key, &e);
	assert_false(e.flags & LEDGER_DOUBT);	/* it lives */
	ledger_unlock(l);
	assert_int_equal(write(down[1], &c, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ledger_lock(l, &v), 0);
	assert_int_equal(ledger_bury(l, &key, &v), 0);
	ledger_flying(l, &key, &mine, &all);
	assert_int_equal(mine.bytes, 0);
	assert_int_equal(all.count, 0);
	ledger_find(l, &key, &e);
	assert_true(e.flags & LEDGER_DOUBT);
	ledger_unlock(l);
	ledger_close(&l);
	for (int i = 0; i < 2; i++) {
		file_close(&up[i]);
		file_close(&down[i]);
	}
}

static int
walk_nobody(void *arg, quota_found_fn *found, void *found_arg,
    struct verdict *v)
{
	(void)arg;
	(void)found;
	(void)found_arg;
	(void)v;
	return 0;
}

static void
two_reservations_wait_for_each_other(void **state)
{
	struct quota_account a = {
		.place = { .format = MAILBOX_MAILDIR, .root = top,
		    .path = "box", .limits = { 1000, 0 }, .file_mode = 0600 },
		.local = STR("fred"), .domain = STR("d.test"), .grace = 100,
		.state_root = top, .ledger_path = "d/quota.ledger",
		.walk = walk_nobody,
	};
	struct quota_hold *one = NULL, *two = NULL;
	struct quota_usage before, after;
	struct quota_news news;
	struct verdict v = VERDICT_INIT;
	int box = maildir();
	bool known;

	(void)state;
	assert_int_equal(quota_reserve(&a, 600, 1, &one, &news, &v), 0);
	/* It may yet fail: wait; with the grace there would be room for 500. */
	assert_int_equal(quota_reserve(&a, 600, 1, &two, &news, &v), -1);
	assert_int_equal(v.why, V_BOX_BUSY);
	/* That would not fit alone. */
	assert_int_equal(quota_reserve(&a, 1101, 1, &two, &news, &v), -1);
	assert_int_equal(v.why, V_FULL);
	assert_int_equal(quota_reserve(&a, 400, 1, &two, &news, &v), 0);
	quota_release(&two);
	put(box, "new/1.host,S=600", "x");
	assert_int_equal(quota_settle(&one, &news, &v), 0);
	assert_int_equal(news.percent, 60);
	assert_int_equal(quota_reserve(&a, 600, 1, &two, &news, &v), -1);
	assert_int_equal(v.why, V_FULL);
	assert_int_equal(quota_reserve(&a, 500, 1, &two, &news, &v), 0);
	put(box, "new/2.host,S=500", "x");
	assert_int_equal(quota_settle(&two, &news, &v), 0);
	/* Over the limit nothing is taken, grace or not. */
	assert_int_equal(quota_check(&a, QUOTA_SIZE_UNKNOWN, &news, &v), -1);
	assert_int_equal(v.why, V_FULL);
	assert_int_equal(quota_recalc(&a, &before, &known, &after, &v), 0);
	assert_true(known);
	assert_int_equal(before.bytes, 1100);
	assert_int_equal(after.bytes, 1100);
	file_close(&box);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(maildirsize_is_believed_or_not,
		    make_top, remove_top),
		cmocka_unit_test_setup_teardown(
		    maildirsize_counts_what_is_there, make_top, remove_top),
		cmocka_unit_test_setup_teardown(maildirsize_is_remembered,
		    make_top, remove_top),
		cmocka_unit_test_setup_teardown(ledger_keeps_many_accounts,
		    make_top, remove_top),
		cmocka_unit_test_setup_teardown(kept_ledgers_are_not_the_childs,
		    make_top, remove_top),
		cmocka_unit_test_setup_teardown(
		    reservation_of_the_dead_is_dropped, make_top, remove_top),
		cmocka_unit_test_setup_teardown(
		    two_reservations_wait_for_each_other, make_top, remove_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
