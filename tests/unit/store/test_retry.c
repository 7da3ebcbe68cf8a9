/* The retry journal: what is known, by whom, for how long. */
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
#include "store/mailbox_find.h"
#include "store/retry.h"
#include "tests/unit/maps.h"

#define HOUR_MS 3600000

static char top[] = "/tmp/vbox-retry-XXXXXX";
static int dir;
static struct retry *journal;

static struct retry_key
key_of(const char *text, const char *sender, const char *local, uint64_t which)
{
	struct source s = { .mem = text, .fd = -1, .n = strlen(text) };
	struct retry_key digest;

	assert_int_equal(retry_digest(journal, &s, &digest), 0);
	return retry_key(journal, &digest, str_of(sender), str_of(local),
	    STR("d.test"), which);
}

static enum retry_answer
begin(const struct retry_key *k, uint64_t window)
{
	struct retry_entry past;

	return retry_begin(journal, k, window, "id.1", &past);
}

static void
a_delivered_message_is_known(void **state)
{
	struct retry_key k = key_of("m", "s", "fred", 0);

	(void)state;
	assert_int_equal(begin(&k, HOUR_MS), RETRY_NEW);
	retry_done(journal, &k);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_KNOWN);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_KNOWN);
}

static void
one_that_failed_is_not(void **state)
{
	struct retry_key k = key_of("failed", "s", "fred", 0);

	(void)state;
	assert_int_equal(begin(&k, HOUR_MS), RETRY_NEW);
	retry_undo(journal, &k);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_NEW);
	retry_undo(journal, &k);
}

static void
whatever_differs_is_another(void **state)
{
	const struct retry_key keys[] = {
		key_of("x", "s", "fred", 0), key_of("y", "s", "fred", 0),
		key_of("x", "t", "fred", 0), key_of("x", "s", "anna", 0),
		key_of("x", "s", "fred", 1), key_of("x", "sf", "red", 0),
		key_of("", "s", "fred", 0), key_of("x12345678", "s", "fred", 0),
		key_of("x1234567", "s", "fred", 0),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		assert_int_equal(begin(&keys[i], HOUR_MS), RETRY_NEW);
		retry_done(journal, &keys[i]);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_int_equal(begin(&keys[i], HOUR_MS), RETRY_KNOWN);
}

static void
it_is_forgotten_in_time(void **state)
{
	struct retry_key k = key_of("old", "s", "fred", 0);

	(void)state;
	clock_set_us(1000000000000000);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_NEW);
	retry_done(journal, &k);
	clock_set_us(1000000000000000 + 3600LL * 1000000);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_KNOWN);
	clock_set_us(1000000000000000 + 3601LL * 1000000);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_NEW);
	/* A clock that was set back believes nothing of the future. */
	retry_done(journal, &k);
	clock_set_us(1000000000000000);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_NEW);
	clock_set_us(-1);
	retry_undo(journal, &k);
}

/* Another process begins and waits for a byte, or dies. */
static void
others_at_work_and_dead(void **state)
{
	struct retry_key k = key_of("work", "s", "fred", 0);
	struct retry_entry past;
	int go[2], ready[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct retry *mine = NULL;
		struct verdict v = VERDICT_INIT;

		if (retry_open(dir, &mine, &v) < 0 || retry_begin(mine, &k,
		    HOUR_MS, "id.child", &past) != RETRY_NEW ||
		    write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(retry_begin(journal, &k, HOUR_MS, "id.2", &past),
	    RETRY_AT_WORK);
	assert_int_equal(past.pid, pid);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(retry_begin(journal, &k, HOUR_MS, "id.2", &past),
	    RETRY_UNSURE);
	assert_int_equal(past.pid, pid);
	assert_string_equal(past.id, "id.child");
	retry_done(journal, &k);
	assert_int_equal(begin(&k, HOUR_MS), RETRY_KNOWN);
	for (int i = 0; i < 2; i++) {
		(void)close(go[i]);
		(void)close(ready[i]);
	}
}

/* A filter is a child, and reads what strangers wrote. */
static void
a_child_does_not_have_it(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_true(has_in_memory("/retry.journal"));
	pid = fork();
	if (pid == 0)
		_exit(has_in_memory("/retry.journal"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
old_entries_make_room(void **state)
{
	struct retry_key last;
	char text[32];

	(void)state;
	for (int i = 0; i < 2 * RETRY_SLOTS; i++) {
		(void)snprintf(text, sizeof(text), "%d", i);
		last = key_of(text, "s", "many", 0);
		assert_int_equal(begin(&last, HOUR_MS), RETRY_NEW);
		retry_done(journal, &last);
	}
	assert_int_equal(begin(&last, HOUR_MS), RETRY_KNOWN);
}

static void
write_file(const char *name, const char *text)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static void
make_dir(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void
an_interrupted_copy_is_found(void **state)
{
	struct mailbox_spec spec = { .format = MAILBOX_MAILDIR, .root = top,
	    .path = "fred" };
	const struct str mark = STR("\n\tid abc.1\n");
	struct verdict v = VERDICT_INIT;

	(void)state;
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 0);
	make_dir("fred");
	make_dir("fred/new");
	make_dir("fred/cur");
	make_dir("fred/.Sent");
	make_dir("fred/.Sent/new");
	write_file("fred/new/99.M1P7Q1R0.h,S=1", "R: x\n\tid abc.1\n\n");
	write_file("fred/new/100.M1P77Q1R0.h,S=1", "R: x\n\tid abc.1\n\n");
	write_file("fred/new/100.M1P7Q2R0.h,S=1", "R: x\n\tid abc.12\n\n");
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 0);
	write_file("fred/cur/101.M1P7Q3R0.h,S=1:2,S", "R: x\n\tid abc.1\n\n");
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 1);
	spec.folder = ".Sent";
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 0);
	write_file("fred/.Sent/new/101.M1P7Q4R0.h", "R: x\n\tid abc.1\n\n");
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 1);
	spec = (struct mailbox_spec){ .format = MAILBOX_MBOX, .root = top,
	    .path = "box" };
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 0);
	write_file("box", "From x\nR: x\n\tid abc.2\n\n");
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 0);
	write_file("box", "From x\nR: x\n\tid abc.1\n\n");
	assert_int_equal(mailbox_find(&spec, 7, 100, mark, &v), 1);
}

static void
what_stands_in_its_place_is_refused(void **state)
{
	struct retry *r = NULL;
	struct verdict v = VERDICT_INIT;
	char sub[256];
	int d;

	(void)state;
	make_dir("other");
	(void)snprintf(sub, sizeof(sub), "%s/other", top);
	d = open(sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d >= 0);
	assert_int_equal(symlinkat("/etc/passwd", d, "retry.journal"), 0);
	assert_int_equal(retry_open(d, &r, &v), -1);
	assert_null(r);
	assert_int_equal(unlinkat(d, "retry.journal", 0), 0);
	(void)close(d);
}

static int
setup(void **state)
{
	struct verdict v = VERDICT_INIT;

	(void)state;
	if (!mkdtemp(top))
		return -1;
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : retry_open(dir, &journal, &v);
}

static int
teardown(void **state)
{
	pid_t pid;

	(void)state;
	retry_close(&journal);
	(void)close(dir);
	pid = fork();
	if (pid == 0) {
		(void)execl("/bin/rm", "rm", "-rf", top, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivered_message_is_known),
		cmocka_unit_test(one_that_failed_is_not),
		cmocka_unit_test(whatever_differs_is_another),
		cmocka_unit_test(it_is_forgotten_in_time),
		cmocka_unit_test(others_at_work_and_dead),
		cmocka_unit_test(a_child_does_not_have_it),
		cmocka_unit_test(old_entries_make_room),
		cmocka_unit_test(an_interrupted_copy_is_found),
		cmocka_unit_test(what_stands_in_its_place_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
