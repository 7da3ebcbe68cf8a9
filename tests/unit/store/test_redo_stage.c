/* Records that one process writes for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/redo_stage.h"

#define SLOTS 130
#define GENERATION 7
#define PAGES 2000

static struct redo_stage stage;
static int fd;
/* Writes to the file. */
static unsigned writes;

ssize_t
pwrite(int to, const void *p, size_t n, off_t at)
{
	assert_int_equal(to, fd);
	writes++;
	return lseek(to, at, SEEK_SET) < 0 ? -1 : write(to, p, n);
}

static int
setup(void **state)
{
	char name[] = "/tmp/vbox-stage-XXXXXX";

	(void)state;
	fd = mkstemp(name);
	writes = 0;
	return fd < 0 || unlink(name) < 0 ? -1 : redo_stage_open(&stage, SLOTS,
	    PAGES);
}

static int
teardown(void **state)
{
	(void)state;
	redo_stage_close(&stage);
	return close(fd);
}

/* n bytes of one letter, in two pieces. */
static bool
put(unsigned slot, uint64_t page, size_t n, char letter)
{
	static char text[2 * REDO_STAGE_BYTES];
	const struct iovec iov[2] = { { text, n / 3 },
	    { text + n / 3, n - n / 3 } };

	memset(text, letter, n);
	return redo_stage_put(&stage, slot, GENERATION, page * REDO_PAGE, iov,
	    2, n);
}

static void
is_there(uint64_t page, size_t n, char letter)
{
	static char text[REDO_STAGE_BYTES];

	assert_int_equal(pread(fd, text, n, (off_t)(page * REDO_PAGE)), n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(text[i], letter);
}

static void
write_all(unsigned want)
{
	writes = 0;
	assert_int_equal(redo_stage_write(&stage, fd, GENERATION), 0);
	assert_int_equal(writes, want);
}

static void
neighbours_are_written_together(void **state)
{
	(void)state;
	assert_true(put(0, 9, 100, 'a'));
	assert_true(put(63, 5, REDO_PAGE + 1, 'b'));
	assert_true(put(64, 7, 2 * REDO_PAGE, 'c'));
	assert_true(put(129, 11, 1, 'd'));
	write_all(2);		/* 5 to 9, and 11 */
	is_there(9, 100, 'a');
	is_there(5, REDO_PAGE + 1, 'b');
	is_there(7, 2 * REDO_PAGE, 'c');
	is_there(11, 1, 'd');
	/* Behind a record is nothing of another. */
	assert_int_equal(pwrite(fd, "x", 1, 12 * REDO_PAGE), 1);
	is_there(11, 1, 'd');
	assert_int_equal(lseek(fd, 11 * REDO_PAGE + 1, SEEK_SET),
	    11 * REDO_PAGE + 1);
	for (unsigned i = 1; i < REDO_PAGE; i++) {
		char c = 1;

		assert_int_equal(read(fd, &c, 1), 1);
		assert_int_equal(c, 0);
	}
}

static void
more_than_fits_is_written_in_parts(void **state)
{
	const unsigned pages = REDO_STAGE_BYTES / REDO_PAGE;

	(void)state;
	for (unsigned i = 0; i < SLOTS; i++)
		assert_true(put(i, 1 + (SLOTS - 1 - i) * pages,
		    REDO_STAGE_BYTES, (char)('0' + i % 70)));
	assert_int_equal(redo_stage_write(&stage, fd, GENERATION), 0);
	assert_in_range(writes, 2, SLOTS);
	for (unsigned i = 0; i < SLOTS; i++)
		is_there(1 + (SLOTS - 1 - i) * pages, REDO_STAGE_BYTES,
		    (char)('0' + i % 70));
}

static void
each_is_written_once(void **state)
{
	(void)state;
	assert_true(put(3, 5, 10, 'a'));
	write_all(1);
	write_all(0);
	assert_true(put(4, 6, 10, 'b'));
	write_all(1);
	/* The next of the same slot. */
	redo_stage_take(&stage, 3);
	assert_true(put(3, 7, 20, 'c'));
	write_all(1);
	is_there(5, 10, 'a');
	is_there(6, 10, 'b');
	is_there(7, 20, 'c');
}

static void
what_is_taken_is_not_written(void **state)
{
	(void)state;
	assert_true(put(3, 5, 10, 'a'));
	redo_stage_take(&stage, 3);
	write_all(0);
	redo_stage_take(&stage, SLOTS);
	redo_stage_take(&stage, 2);
	write_all(0);
}

static void
another_segment_is_another_matter(void **state)
{
	(void)state;
	assert_true(put(3, 5, 10, 'a'));
	assert_int_equal(redo_stage_write(&stage, fd, GENERATION + 1), 0);
	assert_int_equal(writes, 0);
	write_all(1);
}

static void
long_ones_and_strangers_are_not_taken(void **state)
{
	struct redo_stage none;

	(void)state;
	assert_false(put(3, 5, REDO_STAGE_BYTES + 1, 'a'));
	assert_false(put(SLOTS, 5, 1, 'a'));
	/* Nobody put these so: whoever did would write where no record is. */
	assert_true(put(3, 0, 10, 'a'));
	assert_true(put(4, PAGES - 1, REDO_PAGE + 1, 'a'));
	assert_true(put(5, UINT64_MAX / REDO_PAGE, 10, 'a'));
	write_all(0);
	assert_true(put(4, PAGES - 1, REDO_PAGE, 'a'));
	write_all(1);
	assert_int_equal(redo_stage_open(&none, 0, 0), 0);
	assert_int_equal(redo_stage_keep_private(&none), 0);
	redo_stage_begin(&none, GENERATION);
	assert_int_equal(redo_stage_void(&none, fd, GENERATION, REDO_PAGE), 0);
	redo_stage_close(&none);
}

static bool
is_mapped(const void *p)
{
	unsigned char there;

	return mincore((void *)(uintptr_t)p, 1, &there) == 0;
}

/* What others have put, and what was written for them. */
static void
a_filter_has_nobodys_mail(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_true(put(3, 5, 10, 'a'));
	write_all(1);
	assert_true(is_mapped(stage.bytes) && is_mapped(stage.together));
	assert_int_equal(redo_stage_keep_private(&stage), 0);
	pid = fork();
	if (pid == 0)
		_exit(is_mapped(stage.staged) || is_mapped(stage.bytes) ||
		    is_mapped(stage.together));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(put(4, 6, 10, 'b'));
	write_all(1);
	is_there(6, 10, 'b');
}

static void
a_disk_that_does_not_write_is_told_of(void **state)
{
	int good = fd;

	(void)state;
	assert_true(put(3, 5, 10, 'a'));
	fd = dup(0);
	assert_true(fd >= 0 && close(fd) == 0);
	assert_int_equal(redo_stage_write(&stage, fd, GENERATION), -1);
	/* Not taken for written. */
	fd = good;
	write_all(1);
	is_there(5, 10, 'a');
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(neighbours_are_written_together),
		TEST(more_than_fits_is_written_in_parts),
		TEST(each_is_written_once),
		TEST(what_is_taken_is_not_written),
		TEST(another_segment_is_another_matter),
		TEST(long_ones_and_strangers_are_not_taken),
		TEST(a_filter_has_nobodys_mail),
		TEST(a_disk_that_does_not_write_is_told_of),
	};

	return cmocka_run_group_tests_name("redo_stage", tests, NULL, NULL);
}
