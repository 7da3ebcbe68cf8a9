/*
 * "sqlite:PATH[?queries=FILE]" and "pgsql:FILE": the three questions as SQL,
 * the schema's or the site's own.
 */
#include "store/directory/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/directory/backend.h"
#include "store/directory/module.h"
#include "store/directory/sql_queries.h"
#include "store/directory/sql_row.h"

/* How long a database without the newest columns is believed to be so. */
#define LOOK_AGAIN_MS 30000
/* A statement that fails sooner failed for what it says. */
#define QUICK_MS 500

struct sql_directory {
	const struct sql_driver *driver;
	void *db;
	struct sql_queries queries;
	struct sql_columns columns[SQL_QUESTIONS];
	bool schema_checked;
	int64_t before_until_ms;	/* lacks the newest columns, by then
					 * vboxadm may have added them */
};

/* A question under way. */
struct asking {
	struct sql_directory *s;
	enum sql_question question;
	struct arena *a;
	struct directory_entry *entry;
	size_t rows;
};

/* --- rows ---------------------------------------------------------------------- */

static int
take_row(const struct sql_row *row, void *arg, struct verdict *v)
{
	struct asking *k = arg;
	struct sql_directory *s = k->s;

	if (k->rows++ > 0 && k->entry->kind != ENTRY_ALIAS)
		return verdict_set(v, V_DIRECTORY_DOWN,
		    "directory: more than one row for one name");
	return sql_row_entry(row, &s->columns[k->question], k->a, k->entry, v);
}

static int
take_version(const struct sql_row *row, void *arg, struct verdict *v)
{
	uint64_t version = 0;

	*(bool *)arg = true;
	if (row->count > 0 && row->values[0].p != NULL &&
	    num_u64(row->values[0], INT64_MAX, &version) == 0 &&
	    version == SQL_SCHEMA_VERSION)
		return 0;
	return verdict_set(v, V_DIRECTORY_DOWN,
	    "directory: schema version %llu, this program wants %d "
	    "(vboxadm upgrade)", (unsigned long long)version,
	    SQL_SCHEMA_VERSION);
}

/* A question failed: because the database was made before a column came, and
 * is not upgraded yet? Not asked when it took long to fail. */
static bool
lacks_columns(struct sql_directory *s, int64_t asked_ms)
{
	struct verdict ignored = VERDICT_INIT;
	bool there = true;

	return clock_mono_ms() - asked_ms < QUICK_MS &&
	    sql_columns_current(s->driver, s->db, &there, &ignored) == 0 &&
	    !there;
}

/* Such a database is asked as before: its users have no policy of their own. */
static int
ask_before(struct sql_directory *s, struct sql_statement *st,
    struct asking *asking, struct verdict *v)
{
	st->slot = SQL_QUESTIONS;
	st->text = s->queries.user_before.text;
	asking->rows = 0;
	return s->driver->query(s->db, st, take_row, asking, v);
}

static int
run_question(struct sql_directory *s, struct sql_statement *st,
    struct asking *asking, struct verdict *v)
{
	int64_t now = clock_mono_ms();
	struct verdict first = VERDICT_INIT;

	if (asking->question != SQL_QUESTION_USER ||
	    !s->queries.user_before.text)
		return s->driver->query(s->db, st, take_row, asking, v);
	if (now < s->before_until_ms)
		return ask_before(s, st, asking, v);
	if (s->driver->query(s->db, st, take_row, asking, &first) == 0)
		return 0;
	if (asking->rows == 0 && lacks_columns(s, now)) {
		s->before_until_ms = now + LOOK_AGAIN_MS;
		return ask_before(s, st, asking, v);
	}
	*v = first;
	return -1;
}

/* A site with its own three queries has its own schema. */
static int
check_schema(struct sql_directory *s, struct verdict *v)
{
	struct sql_statement st = {
		.slot = SQL_ONCE, .text = "SELECT version FROM vbox_schema",
	};
	bool found = false;

	if (s->schema_checked || s->queries.all_own)
		return 0;
	if (s->driver->query(s->db, &st, take_version, &found, v) < 0)
		return -1;
	if (!found)
		return verdict_set(v, V_DIRECTORY_DOWN,
		    "directory: vbox_schema is empty");
	s->schema_checked = true;
	return 0;
}

static enum directory_answer
ask(struct sql_directory *s, enum sql_question q, struct str local,
    struct str domain, struct arena *a, struct directory_entry *e,
    struct verdict *v)
{
	const struct sql_query *query = &s->queries.of[q];
	struct asking asking = { .s = s, .question = q, .a = a, .entry = e };
	struct str params[SQL_PARAMS_MAX], address = STR("");
	struct sql_statement st = {
		.slot = (unsigned)q, .text = query->text, .params = params,
		.count = query->count,
	};

	if (query->text == NULL)
		return DIR_ABSENT; /* a site without aliases */
	if (query->wants_address) {
		char *p = arena_alloc(a, local.n + 1 + domain.n);

		if (p == NULL) {
			verdict_set(v, V_NO_MEMORY, "directory: arena is full");
			return DIR_BROKEN;
		}
		memcpy(p, local.p, local.n);
		p[local.n] = '@';
		memcpy(p + local.n + 1, domain.p, domain.n);
		address = str_mem(p, local.n + 1 + domain.n);
	}
	for (size_t i = 0; i < query->count; i++)
		params[i] = query->params[i] == SQL_PARAM_LOCAL ? local :
		    query->params[i] == SQL_PARAM_DOMAIN ? domain : address;
	if (check_schema(s, v) < 0 || run_question(s, &st, &asking, v) < 0)
		return DIR_BROKEN;
	return asking.rows > 0 ? DIR_FOUND : DIR_ABSENT;
}

/* --- answers --------------------------------------------------------------------- */

static enum directory_answer
sql_domain(void *self, struct str domain, struct arena *a,
    struct domain_record *r, struct verdict *v)
{
	struct directory_entry e = { .kind = ENTRY_DOMAIN };
	enum directory_answer answer;

	domain_record_init(&e.is.domain);
	e.is.domain.name = domain;
	answer = ask(self, SQL_QUESTION_DOMAIN, STR(""), domain, a, &e, v);
	if (answer == DIR_FOUND)
		*r = e.is.domain;
	return answer;
}

static enum directory_answer
sql_user(void *self, struct str local, struct str domain, struct arena *a,
    struct account *r, struct verdict *v)
{
	struct directory_entry e = { .kind = ENTRY_USER };
	enum directory_answer answer;

	account_init(&e.is.user);
	e.is.user.local = local;
	e.is.user.domain = domain;
	answer = ask(self, SQL_QUESTION_USER, local, domain, a, &e, v);
	if (answer == DIR_FOUND)
		*r = e.is.user;
	return answer;
}

static enum directory_answer
sql_alias(void *self, struct str local, struct str domain, struct arena *a,
    struct alias_record *r, struct verdict *v)
{
	struct directory_entry e = { .kind = ENTRY_ALIAS };
	enum directory_answer answer;

	e.is.alias.local = local;
	e.is.alias.domain = domain;
	answer = ask(self, SQL_QUESTION_ALIAS, local, domain, a, &e, v);
	if (answer != DIR_FOUND)
		return answer;
	if (e.is.alias.targets.count == 0)
		return DIR_ABSENT;
	*r = e.is.alias;
	return DIR_FOUND;
}

static void
sql_close(void *self)
{
	struct sql_directory *s = self;

	if (s->driver != NULL && s->db != NULL)
		s->driver->close(s->db);
	sql_queries_release(&s->queries);
	free(s);
}

static int
sql_open(const char *kind, const char *spec,
    const struct directory_settings *set, void **self_r, struct verdict *v)
{
	struct sql_directory *s = mem_zalloc(1, sizeof(*s));
	struct buf where;
	int r = -1;

	buf_init(&where, SQL_TEXT_MAX);
	if (sql_queries_load(kind, spec, set->want, &s->queries, &where,
	    v) < 0)
		goto out;
	s->driver = module_load(set->module_dir, kind, SQL_DRIVER_SYMBOL, v);
	if (s->driver == NULL)
		goto out;
	r = s->driver->open(where.p, SQL_READ, set->timeout_ms > 0 ?
	    set->timeout_ms : BACKEND_TIMEOUT_MS, &s->db, v);
out:
	buf_release(&where);
	if (r < 0)
		sql_close(s);
	else
		*self_r = s;
	return r;
}

static int
sqlite_open(const char *spec, const struct directory_settings *set,
    void **self_r, struct verdict *v)
{
	return sql_open("sqlite", spec, set, self_r, v);
}

static int
pgsql_open(const char *spec, const struct directory_settings *set,
    void **self_r, struct verdict *v)
{
	return sql_open("pgsql", spec, set, self_r, v);
}

const struct directory_backend backend_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.domain = sql_domain,
	.user = sql_user,
	.alias = sql_alias,
	.close = sql_close,
};

const struct directory_backend backend_pgsql = {
	.name = "pgsql",
	.open = pgsql_open,
	.domain = sql_domain,
	.user = sql_user,
	.alias = sql_alias,
	.close = sql_close,
};
