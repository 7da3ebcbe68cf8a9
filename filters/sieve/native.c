/* Our own engine behind engine.h. */
#include "filters/engine.h"
#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/registry.h"

static void
extensions(const struct engine_settings *settings, struct buf *out)
{
	uint64_t bits = registry_allowed(settings->extensions, NULL);

	/* 0 is the language itself, which has no name to require */
	for (unsigned i = 1; i < registry_count(); i++) {
		if (!(bits >> i & 1))
			continue;
		if (out->n)
			(void)buf_addc(out, ' ');
		(void)buf_addz(out, registry_ext(i)->name);
	}
}

const struct engine engine_native = {
	.name = "native",
	.compile = check_compile,
	.run = eval_run,
	.extensions = extensions,
};
