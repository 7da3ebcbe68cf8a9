/* The ledger when its users are killed, one machine instruction later each
 * time, when it is cut under their hands, and after a reboot. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/file.h"
#include "store/quota_ledger.h"

#define PATH "d/quota.ledger"
/* Kills of one kind, spread over all instructions. */
#ifndef __SANITIZE_ADDRESS__
#define KILLS 64
/* A new table is measured in thousands of them. */
#define KILLS_GROWING 8
#else
/* Each of them is many. */
#define KILLS 16
#define KILLS_GROWING 2
#endif

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

static struct ledger_key
key_of(unsigned i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "user%u", i);
	return ledger_key_of(str_of(name), STR("d.test"));
}

/* What one delivery does, and as much as it can be. */
static int
deliver(struct ledger *l, struct ledger_key key)
{
	struct verdict v = VERDICT_INIT;
	struct ledger_entry e;
	uint64_t id;

	if (ledger_lock(l, &v) < 0)
		return 1;
	ledger_find(l, &key, &e);
	e.flags = LEDGER_SEEN;
	if (ledger_put(l, &e, &v) < 0 ||
	    ledger_hold(l, &key, 500, 1, &id, &v) < 0)
		return 1;
	ledger_unlock(l);
	if (ledger_lock(l, &v) < 0)
		return 1;
	ledger_find(l, &key, &e);
	e.counted += 500;
	e.bytes += 500;
	e.messages++;
	e.stamp++;
	if (ledger_put(l, &e, &v) < 0 || !ledger_drop(l, id))
		return 1;
	ledger_unlock(l);
	return 0;
}

/* Whatever became of it: nobody holds anything, each entry is one of ours and
 * has numbers that belong together, and a total that is known is their sum. */
static void
judge(struct ledger *l, unsigned users)
{
	struct verdict v = VERDICT_INIT;
	struct ledger_key none = { { 0, 0 } };
	struct ledger_sum mine, all;
	struct ledger_entry *list;
	uint64_t total = 0;
	size_t n;

	assert_int_equal(ledger_lock(l, &v), 0);
	assert_int_equal(ledger_bury(l, NULL, &v), 0);
	ledger_flying(l, &none, &mine, &all);
	assert_int_equal(all.count, 0);
	ledger_entries(l, &list, &n);
	assert_true(n <= ledger_head(l)->used);
	for (size_t i = 0; i < n; i++) {
		bool ours = false;

		for (unsigned u = 0; u < users && !ours; u++) {
			struct ledger_key key = key_of(u);

			ours = memcmp(&key, &list[i].key, sizeof(key)) == 0;
		}
		assert_true(ours);
		if (list[i].stamp) {
			assert_int_equal(list[i].bytes, list[i].stamp * 500);
			assert_int_equal(list[i].messages, list[i].stamp);
		}
		total += list[i].counted;
	}
	free(list);
	if (ledger_head(l)->known)
		assert_int_equal(ledger_head(l)->total, total);
	/* As a count of the domain would. */
	ledger_head(l)->total = total;
	ledger_head(l)->known = 1;
	ledger_unlock(l);
}

/* Runs a delivery for so many instructions at most, and kills it; how many
 * there were. */
static unsigned
run_and_kill(unsigned user, unsigned steps)
{
	struct verdict v = VERDICT_INIT;
	struct ledger_key key = key_of(user);
	struct ledger *l;
	unsigned done;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ledger_open(top, PATH, LEDGER_WRITE, &l, &v) < 0 ||
		    ledger_lock(l, &v) < 0 ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(2);
		ledger_unlock(l);
		(void)raise(SIGSTOP);
		_exit(deliver(l, key));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		skip();		/* ptrace is not allowed here */
	assert_true(WIFSTOPPED(status));
	for (done = 0; done < steps && WIFSTOPPED(status); done++) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	if (!WIFSTOPPED(status)) {
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		return done;
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return done;
}

static void
killed_at_any_instruction(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger *l;
	unsigned all, users = 0;

	(void)state;
	assert_int_equal(ledger_open(top, PATH, LEDGER_WRITE, &l, &v), 0);
	judge(l, users);
	all = run_and_kill(users++, UINT_MAX);
	judge(l, users);
	for (unsigned i = 0; i < KILLS; i++) {
		/* A new account, and one that is known. */
		unsigned user = i % 2 ? users++ : 0;

		(void)run_and_kill(user, 1 + i * all / KILLS);
		judge(l, users);
	}
	ledger_close(&l);
}

static void
fill(struct ledger *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(deliver(l, key_of(i)), 0);
}

/* The table of the smallest ledger is full with 96 accounts; the next one
 * finds it so each time, since a larger one is only there when it is whole. */
static void
killed_while_the_table_grows(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger *l;
	unsigned all = 0, grown = 0;

	(void)state;
	for (unsigned i = 0; i < KILLS_GROWING; i++) {
		char name[128];

		assert_int_equal(ledger_open(top, PATH, LEDGER_WRITE, &l, &v), 0);
		judge(l, 0);
		fill(l, 96);
		if (i == 0)
			all = run_and_kill(96, UINT_MAX);
		(void)run_and_kill(96, 1 + i * (all / KILLS_GROWING));
		judge(l, 97);
		grown += ledger_head(l)->capacity > 128;
		fill(l, 97);
		judge(l, 97);
		assert_int_equal(ledger_head(l)->capacity, 256);
		for (unsigned u = 0; u < 96; u++) {
			struct ledger_key key = key_of(u);
			struct ledger_entry e;

			assert_true(ledger_peek(l, &key, &e));
			assert_int_equal(e.messages, 2);
		}
		ledger_close(&l);
		(void)snprintf(name, sizeof(name), "%s/" PATH, top);
		assert_int_equal(unlink(name), 0);
	}
	assert_in_range(grown, 1, KILLS_GROWING - 1);	/* both were seen */
}

static void
lock_of_the_dead_is_taken_over(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger *l;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(ledger_open(top, PATH, LEDGER_WRITE, &l, &v) < 0 ||
		    ledger_lock(l, &v) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ledger_open(top, PATH, LEDGER_WRITE, &l, &v), 0);
	assert_int_not_equal(ledger_head(l)->lock, 0);
	assert_int_equal(ledger_lock(l, &v), 0);
	ledger_unlock(l);
	assert_int_equal(ledger_head(l)->lock, 0);
	ledger_close(&l);
}

/* Cut by somebody while we have it in memory. */
static void
cut_under_our_hands(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger_key key = key_of(0);
	struct ledger_entry e;
	struct ledger *l;
	uint64_t id, total;
	char name[128];

	(void)state;
	(void)snprintf(name, sizeof(name), "%s/" PATH, top);
	assert_int_equal(ledger_open(top, PATH, LEDGER_WRITE, &l, &v), 0);
	fill(l, 3);
	assert_int_equal(ledger_lock(l, &v), 0);
	assert_int_equal(ledger_hold(l, &key, 100, 1, &id, &v), 0);
	assert_int_equal(truncate(name, 0), 0);
	ledger_find(l, &key, &e);
	assert_true(e.flags & LEDGER_DOUBT);
	assert_int_equal(ledger_put(l, &e, &v), -1);
	ledger_unlock(l);
	assert_true(ledger_lost(l));
	assert_int_equal(ledger_lock(l, &v), -1);
	ledger_abandon(l, id);
	assert_false(ledger_glance(l, &total));
	assert_false(ledger_peek(l, &key, &e));
	ledger_close(&l);
	/* The next delivery finds a new one. */
	assert_int_equal(ledger_open(top, PATH, LEDGER_WRITE, &l, &v), 0);
	assert_false(ledger_lost(l));
	fill(l, 3);
	judge(l, 3);
	ledger_close(&l);
}

static void
after_a_reboot_all_is_doubtful(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger_key key = key_of(0);
	struct ledger_sum mine, all;
	struct ledger_entry e;
	struct ledger *l;
	uint64_t id, total;

	(void)state;
	assert_int_equal(ledger_open(top, PATH, LEDGER_WRITE, &l, &v), 0);
	fill(l, 3);
	judge(l, 3);
	assert_true(ledger_glance(l, &total));
	assert_int_equal(total, 1500);
	assert_true(ledger_peek(l, &key, &e));
	assert_int_equal(ledger_lock(l, &v), 0);
	assert_int_equal(ledger_hold(l, &key, 100, 1, &id, &v), 0);
	ledger_unlock(l);
	ledger_head(l)->boot ^= 1;
	ledger_head(l)->used = 1;	/* as old as any page may be */
	assert_false(ledger_glance(l, &total));
	assert_false(ledger_peek(l, &key, &e));
	assert_int_equal(ledger_lock(l, &v), 0);
	ledger_flying(l, &key, &mine, &all);
	assert_int_equal(all.count, 0);
	assert_false(ledger_head(l)->known);
	assert_int_equal(ledger_head(l)->used, 3);
	assert_false(ledger_drop(l, id));
	ledger_unlock(l);
	ledger_close(&l);
}

/* What was given up is as if its process had died. */
static void
abandoned_is_buried(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct ledger_key key = key_of(0);
	struct ledger_sum mine, all;
	struct ledger_entry e;
	struct ledger *l;
	uint64_t id[70];

	(void)state;
	assert_int_equal(ledger_open(top, PATH, LEDGER_WRITE, &l, &v), 0);
	fill(l, 1);
	judge(l, 1);
	/* More than lie in the first page. */
	assert_int_equal(ledger_lock(l, &v), 0);
	for (unsigned i = 0; i < 70; i++)
		assert_int_equal(ledger_hold(l, &key, i, 1, &id[i], &v), 0);
	for (unsigned i = 0; i < 69; i++)
		assert_true(ledger_drop(l, id[i]));
	assert_int_equal(ledger_head(l)->slots, 70);
	ledger_unlock(l);
	ledger_abandon(l, id[69]);
	assert_int_equal(ledger_lock(l, &v), 0);
	assert_int_equal(ledger_bury(l, &key, &v), 0);
	ledger_flying(l, &key, &mine, &all);
	assert_int_equal(all.count, 0);
	assert_int_equal(ledger_head(l)->slots, 0);
	assert_false(ledger_head(l)->known);
	ledger_find(l, &key, &e);
	assert_true(e.flags & LEDGER_DOUBT);
	ledger_unlock(l);
	ledger_close(&l);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_top, remove_top)
	const struct CMUnitTest tests[] = {
		/* First: cmocka takes SIGBUS for itself at each test. */
		TEST(cut_under_our_hands),
		TEST(killed_at_any_instruction),
		TEST(killed_while_the_table_grows),
		TEST(lock_of_the_dead_is_taken_over),
		TEST(after_a_reboot_all_is_doubtful),
		TEST(abandoned_is_buried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
