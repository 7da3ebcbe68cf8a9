/*
 * What fuzzing found, and the seeds it begins with, once more through the
 * same drivers: tests/fuzz/fuzz_*.c of filters/message. Run from the top.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define LLVMFuzzerTestOneInput drive_header
#include "tests/fuzz/fuzz_header.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput drive_address
#include "tests/fuzz/fuzz_address.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput drive_date
#include "tests/fuzz/fuzz_date.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput drive_mime
#include "tests/fuzz/fuzz_mime.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput drive_charset
#include "tests/fuzz/fuzz_charset.c"
#undef LLVMFuzzerTestOneInput

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

static void
finds_and_seeds(void **state)
{
	static const struct {
		const char *name;
		int (*drive)(const uint8_t *, size_t);
	} drivers[] = {
		{ "header", drive_header }, { "address", drive_address },
		{ "date", drive_date }, { "mime", drive_mime },
		{ "charset", drive_charset },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		int seeds = replay("seeds", drivers[i].name, drivers[i].drive);

		if (seeds == 0)
			fail_msg("no seeds for %s: not run from the top?",
			    drivers[i].name);
		print_message("%s: %d seeds, %d finds\n", drivers[i].name,
		    seeds, replay("finds", drivers[i].name, drivers[i].drive));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_and_seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
