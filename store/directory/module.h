/*
 * Modules: shared objects with a library behind them that most deliveries do
 * not need. Loaded on demand, never unloaded.
 */
#ifndef STORE_DIRECTORY_MODULE_H
#define STORE_DIRECTORY_MODULE_H

#include "store/base/verdict.h"

/* Every module says MODULE_VERSION once: one of another version of vbox-lda
 * is refused, since the two share structs. */
#define MODULE_VERSION \
	const char vbox_module_version[] = VBOX_VERSION

/*
 * The object `symbol` of DIR/directory_NAME.so. `dir` NULL: VBOX_LIBDIR, and
 * for that also `modules` beside the program (a build tree). NULL with
 * V_CONFIG.
 */
const void *module_load(const char *dir, const char *name, const char *symbol,
    struct verdict *v);

#endif
