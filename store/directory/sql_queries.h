/*
 * The texts of the three questions: the schema's, or a site's own from a file.
 *
 *	# comment
 *	query_user = SELECT home, quota AS quota_bytes FROM mailbox
 *	    WHERE login = :address
 *	query_alias = ...
 *	query_domain = ...
 *
 * A line that begins with white space continues the one before. :local,
 * :domain and :address stand for the name that is looked for. For PostgreSQL
 * the other lines of the file are the conninfo (PQconnectdb), so its password
 * is in no command line; an empty value switches a question off.
 */
#ifndef STORE_DIRECTORY_SQL_QUERIES_H
#define STORE_DIRECTORY_SQL_QUERIES_H

#include <stdbool.h>
#include <stddef.h>

#include "store/base/buf.h"
#include "store/base/verdict.h"
#include "store/directory/directory.h"
#include "store/directory/sql.h"

enum sql_question {
	SQL_QUESTION_DOMAIN,
	SQL_QUESTION_USER,
	SQL_QUESTION_ALIAS,
	SQL_QUESTIONS
};

enum sql_param { SQL_PARAM_LOCAL, SQL_PARAM_DOMAIN, SQL_PARAM_ADDRESS };

struct sql_query {
	char *text;		/* with ?1 ...; NULL: not asked */
	enum sql_param params[SQL_PARAMS_MAX];
	size_t count;
	bool wants_address;
};

struct sql_queries {
	struct sql_query of[SQL_QUESTIONS];
	bool all_own;		/* none is the schema's */
	struct sql_query user_before;	/* of a database without the column
					 * `content`; text NULL: own query */
};

/* `spec` as in the configuration behind "sqlite:" or "pgsql:"; `where` gets
 * what the driver opens. 0 or -1; on failure *q needs no release. */
int sql_queries_load(const char *kind, const char *spec,
    enum directory_want want, struct sql_queries *q, struct buf *where,
    struct verdict *v);
void sql_queries_release(struct sql_queries *q);

#endif
