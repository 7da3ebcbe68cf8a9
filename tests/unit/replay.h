/* Replays what is kept for a fuzz driver. Private to the tests of finds. */
#ifndef TESTS_UNIT_REPLAY_H
#define TESTS_UNIT_REPLAY_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

struct driver {
	const char *name;
	int (*drive)(const uint8_t *, size_t);
};

/* Every file of the directory, and each with one byte less from either end;
 * returns how many files there were. */
static int
replay(const char *kind, const char *name, int (*drive)(const uint8_t *, size_t))
{
	static uint8_t bytes[32768];
	char path[400];
	struct dirent *e;
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "tests/fuzz/%s/%s", kind, name);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		ssize_t size;
		int fd;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "tests/fuzz/%s/%s/%s", kind,
		    name, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		size = read(fd, bytes, sizeof(bytes));
		assert_true(size >= 0);
		(void)close(fd);
		(void)drive(bytes, (size_t)size);
		if (size > 1) {
			(void)drive(bytes, (size_t)size - 1);
			(void)drive(bytes + 1, (size_t)size - 1);
		}
		n++;
	}
	if (d)
		(void)closedir(d);
	return n;
}

/* Seeds and finds of each driver. */
static void
replay_all(const struct driver *drivers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int seeds = replay("seeds", drivers[i].name, drivers[i].drive);

		if (seeds == 0)
			fail_msg("no seeds for %s: not run from the top?",
			    drivers[i].name);
		print_message("%s: %d seeds, %d finds\n", drivers[i].name,
		    seeds, replay("finds", drivers[i].name, drivers[i].drive));
	}
}

#endif
