/*
 * Any bytes as a compiled script from a cache: refused, or run without harm.
 * The fuzzer owns nodes, arguments and strings; magic, version, fingerprint,
 * sizes and the text are made right here, or nothing would ever get in.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/engine.h"
#include "filters/sieve/check.h"
#include "filters/sieve/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char message[] =
    "From: a@example.org\nTo: b@example.org\nSubject: s\n"
    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b--\n";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct engine_settings settings = { .extensions = STR("all") };
	struct engine_envelope envelope = {
		.from = STR("a@example.org"), .to = STR("b@example.org"),
	};
	struct engine_script script = { .name = STR("fuzz"),
	    .text = STR("keep;") };
	struct engine_job job = {
		.settings = &settings,
		.scripts = &script,
		.n_scripts = 1,
		.envelope = &envelope,
		.message = STR(""),
	};
	struct program_header *h;
	struct engine_result result;
	struct program program;
	size_t total = n + script.text.n;
	char *image;

	if (n < sizeof(*h))
		return 0;
	image = malloc(total);
	if (!image)
		return 0;
	memcpy(image, data, n);
	memcpy(image + n, script.text.p, script.text.n);
	h = (void *)image;
	memcpy(h->magic, "VBSIEVE", 8);
	h->version = PROGRAM_VERSION;
	h->fingerprint = check_fingerprint(&settings);
	h->n_total = (uint32_t)total;
	h->n_text = (uint32_t)script.text.n;
	/* the bytes are what the tables leave */
	{
		uint64_t tables = sizeof(*h) +
		    (uint64_t)h->n_nodes * sizeof(struct node) +
		    (uint64_t)h->n_args * sizeof(struct arg) +
		    (uint64_t)h->n_strings * sizeof(struct program_string);

		if (tables <= n)
			h->n_bytes = (uint32_t)(n - tables);
	}
	job.message = str_mem(message, sizeof(message) - 1);
	if (program_load(str_mem(image, total), script.text, h->fingerprint,
	    &program) == 0) {
		script.image = str_mem(image, total);
		engine_result_init(&result);
		(void)engine_native.run(&job, &result);
		if (result.n_actions == 0)
			abort();
		engine_result_release(&result);
	}
	free(image);
	return 0;
}
