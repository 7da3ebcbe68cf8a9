/*
 * What fuzzing found, and the seeds it begins with, once more through the
 * same drivers: tests/fuzz/fuzz_*.c of filters/message. Run from the top.
 */
#include "tests/unit/replay.h"

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
#define LLVMFuzzerTestOneInput drive_regex
#include "tests/fuzz/fuzz_regex.c"
#undef LLVMFuzzerTestOneInput

static void
finds_and_seeds(void **state)
{
	static const struct driver drivers[] = {
		{ "header", drive_header }, { "address", drive_address },
		{ "date", drive_date }, { "mime", drive_mime },
		{ "charset", drive_charset }, { "regex", drive_regex },
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
