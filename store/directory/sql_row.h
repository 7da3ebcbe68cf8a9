/*
 * A row of a database as a domain, user or alias: columns are known by their
 * names, may come in any order, and those that a site does not have may be
 * missing.
 */
#ifndef STORE_DIRECTORY_SQL_ROW_H
#define STORE_DIRECTORY_SQL_ROW_H

#include <stdbool.h>

#include "store/base/arena.h"
#include "store/base/verdict.h"
#include "store/directory/record.h"
#include "store/directory/sql.h"

/* What each column of one query means, learnt from its first row; zeroed at
 * first. */
struct sql_columns {
	unsigned char meaning[SQL_COLUMNS_MAX];
	size_t count;
};

/*
 * Fills in what the row says of an entry whose kind is set. A further row of
 * an alias adds its targets. 0, or -1 with V_DIRECTORY_DOWN.
 */
int sql_row_entry(const struct sql_row *row, struct sql_columns *columns,
    struct arena *a, struct directory_entry *entry, struct verdict *v);

/* Has this database the newest column, or was it made before that came? 0 or
 * -1. */
int sql_columns_current(const struct sql_driver *driver, void *db,
    bool *current_r, struct verdict *v);

#endif
