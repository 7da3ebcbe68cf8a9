/*
 * What fuzzing found, and the seeds it begins with, once more through the
 * same drivers: tests/fuzz/fuzz_*.c of the filter process. Run from the top.
 */
#include "tests/unit/replay.h"

#define LLVMFuzzerTestOneInput drive_filter
#include "tests/fuzz/fuzz_filter.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput drive_filter_wire
#include "tests/fuzz/fuzz_filter_wire.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput drive_attachment
#include "tests/fuzz/fuzz_attachment.c"
#undef LLVMFuzzerTestOneInput

static void
finds_and_seeds(void **state)
{
	static const struct driver drivers[] = {
		{ "filter", drive_filter },
		{ "filter_wire", drive_filter_wire },
		{ "attachment", drive_attachment },
	};

	(void)state;
	replay_all(drivers, sizeof(drivers) / sizeof(drivers[0]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_and_seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
