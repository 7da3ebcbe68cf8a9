/*
 * SQLite, loaded when it is first needed: linked in or linked to, it would
 * cost every start of vbox-deliver 0.1 to 0.25 ms, and most deliveries ask it
 * nothing (docs/ARCHITECTURE.md, "Process start"). Private to store/.
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <sqlite3.h>

#include "store/base/verdict.h"

/* Its functions, named as in sqlite3.h without the prefix. */
#define SQLITE_FUNCTIONS(X) \
	X(open_v2) X(close) X(exec) X(busy_timeout) X(errmsg) \
	X(prepare_v2) X(bind_int64) X(bind_blob) X(step) X(finalize) \
	X(column_int64) X(db_config) X(vfs_find) X(vfs_register)

struct sqlite {
#define SQLITE_MEMBER(name) __typeof__(sqlite3_##name) *name;
	SQLITE_FUNCTIONS(SQLITE_MEMBER)
#undef SQLITE_MEMBER
};

/*
 * A VFS that takes paths as they are. SQLite's own looks at every component
 * and resolves links first, which would turn /proc/self/fd/N/NAME, a file
 * below a directory that we hold open, back into a path that may since lead
 * elsewhere.
 */
#define SQLITE_VFS_BENEATH "vbox-beneath"

/* NULL with V_CONFIG when it is not installed. */
const struct sqlite *sqlite_load(struct verdict *v);

#endif
