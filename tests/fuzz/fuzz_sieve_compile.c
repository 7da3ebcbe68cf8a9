/*
 * Any bytes as a script: lexer, parser, check. What compiles must load.
 */
#include <stdint.h>
#include <stdlib.h>

#include "filters/engine.h"
#include "filters/sieve/check.h"
#include "filters/sieve/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct engine_settings settings = { .extensions = STR("all") };
	struct engine_script script = { .name = STR("fuzz"),
	    .text = str_mem(data, n) };
	struct engine_errors errors;
	struct program program;
	struct buf image;

	buf_init(&image, 64 * 1024 * 1024);
	engine_errors_init(&errors);
	if (engine_native.compile(&settings, &script, &image, &errors) == 0) {
		if (program_load(buf_str(&image), script.text,
		    check_fingerprint(&settings), &program))
			abort();
	} else if (errors.count == 0) {
		abort();
	}
	engine_errors_release(&errors);
	buf_release(&image);
	return 0;
}
