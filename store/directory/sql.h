/*
 * A database behind the directory. A driver (mod_sqlite.c, mod_pgsql.c) runs
 * statements; what they say and what their columns mean is the same for all
 * and stands in sql.c (questions) and sql_writer.c (changes).
 *
 * Statements are text with ?1 ... ?9 for parameters; values go in and come out
 * as text, NULL as a str whose p is NULL. A statement has a slot, under
 * which the driver keeps it prepared.
 */
#ifndef STORE_DIRECTORY_SQL_H
#define STORE_DIRECTORY_SQL_H

#include <stddef.h>

#include "store/base/str.h"
#include "store/base/verdict.h"

#define SQL_DRIVER_SYMBOL "vbox_sql_driver"
#define SQL_SLOTS 32
/* Unprepared: used once. */
#define SQL_ONCE SQL_SLOTS
#define SQL_PARAMS_MAX 16
#define SQL_COLUMNS_MAX 24
#define SQL_TEXT_MAX 16384

/* The version of contrib/sql that this program reads and writes. */
#define SQL_SCHEMA_VERSION 1

enum sql_mode {
	SQL_READ,	/* the least rights */
	SQL_WRITE,	/* SQLite: makes the file when it is not there */
};

struct sql_row {
	const char *const *names;
	const struct str *values;	/* borrowed for the call */
	size_t count;
};

/* 0 to go on, -1 to stop: the query fails with the verdict it set. */
typedef int sql_row_fn(const struct sql_row *row, void *arg,
    struct verdict *v);

struct sql_statement {
	unsigned slot;		/* below SQL_SLOTS, or SQL_ONCE */
	const char *text;
	const struct str *params;
	size_t count;
};

struct sql_driver {
	/* Connecting may be put off to the first query. */
	int (*open)(const char *spec, enum sql_mode mode, unsigned timeout_ms,
	    void **self_r, struct verdict *v);
	/* 0, or -1: could not be asked, v says why (V_DIRECTORY_DOWN). A lost
	 * connection is made again once, unless in a transaction. */
	int (*query)(void *self, const struct sql_statement *st,
	    sql_row_fn *each, void *arg, struct verdict *v);
	/* Several statements without parameters or results. */
	int (*script)(void *self, const char *text, struct verdict *v);
	/* Rows that the last statement changed. */
	size_t (*changed)(void *self);
	void (*close)(void *self);
	const char *begin;	/* opens a transaction that writes */
	/* contrib/sql of this database. */
	const char *schema;
	/* A statement whose rows are the names of the columns of accounts. */
	const char *columns;
};

#endif
