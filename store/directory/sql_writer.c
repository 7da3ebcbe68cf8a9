/* Changes of a directory in a database: the schema of contrib/sql only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/directory/backend.h"
#include "store/directory/module.h"
#include "store/directory/sql.h"
#include "store/directory/sql_queries.h"
#include "store/directory/sql_row.h"

/* A change may have to wait for another, a list may be long. */
#define WRITER_TIMEOUT_MS 60000
/* Strings of one entry. */
#define ENTRY_ARENA (1024 * 1024)

enum slot {
	SLOT_PUT_DOMAIN, SLOT_PUT_USER, SLOT_PUT_ALIAS,
	SLOT_REMOVE_DOMAIN, SLOT_REMOVE_USER, SLOT_REMOVE_ALIAS,
	SLOT_GET_DOMAIN, SLOT_GET_USER, SLOT_GET_ALIAS,
};

#define DOMAIN_COLUMNS "name, alias_of, catch_all, format, host, state, " \
	"reason, until, quota_bytes, user_quota_bytes, user_quota_messages"
#define USER_COLUMNS "local, domain, password, home, format, host, state, " \
	"reason, until, quota_bytes, quota_messages, forward, keep, content"
#define ALIAS_COLUMNS "local, domain, targets"
#define SET(column) column " = excluded." column

static const char put_domain[] =
    "INSERT INTO domains (" DOMAIN_COLUMNS ") VALUES "
    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
    "ON CONFLICT (name) DO UPDATE SET " SET("alias_of") ", "
    SET("catch_all") ", " SET("format") ", " SET("host") ", " SET("state")
    ", " SET("reason") ", " SET("until") ", " SET("quota_bytes") ", "
    SET("user_quota_bytes") ", " SET("user_quota_messages");
static const char put_user[] =
    "INSERT INTO accounts (" USER_COLUMNS ") VALUES "
    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, "
    "?14) "
    "ON CONFLICT (domain, local) DO UPDATE SET " SET("password") ", "
    SET("home") ", " SET("format") ", " SET("host") ", " SET("state") ", "
    SET("reason") ", " SET("until") ", " SET("quota_bytes") ", "
    SET("quota_messages") ", " SET("forward") ", " SET("keep") ", "
    SET("content");
static const char put_alias[] =
    "INSERT INTO aliases (" ALIAS_COLUMNS ") VALUES (?1, ?2, ?3) "
    "ON CONFLICT (domain, local) DO UPDATE SET " SET("targets");

static const char *const removals[] = {
	[ENTRY_DOMAIN] = "DELETE FROM domains WHERE name = ?1",
	[ENTRY_USER] = "DELETE FROM accounts WHERE domain = ?1 AND local = ?2",
	[ENTRY_ALIAS] = "DELETE FROM aliases WHERE domain = ?1 AND local = ?2",
};

static const char *const selections[] = {
	[ENTRY_DOMAIN] = "SELECT " DOMAIN_COLUMNS " FROM domains",
	[ENTRY_USER] = "SELECT " USER_COLUMNS " FROM accounts",
	[ENTRY_ALIAS] = "SELECT " ALIAS_COLUMNS " FROM aliases",
};

struct sql_writer {
	const struct sql_driver *driver;
	void *db;
};

/* --- parameters ------------------------------------------------------------------ */

/* Values of one statement and the memory of those that were made. */
struct params {
	struct str list[SQL_PARAMS_MAX];
	size_t count;
	struct arena a;
};

static void
add_text(struct params *p, struct str s)
{
	p->list[p->count++] = s.n > 0 ? s : str_mem(NULL, 0);
}

static void
add_number(struct params *p, bool set, long long value)
{
	char digits[32];
	int n;

	n = snprintf(digits, sizeof(digits), "%lld", value);
	add_text(p, set ? arena_copy(&p->a, str_mem(digits, (size_t)n)) :
	    STR(""));
}

static void
add_limit(struct params *p, uint64_t value)
{
	add_number(p, value != DIRECTORY_UNSET, (long long)value);
}

static void
add_list(struct params *p, struct directory_list l)
{
	struct buf joined;

	buf_init(&joined, ENTRY_ARENA / 2);
	for (size_t i = 0; i < l.count; i++) {
		if (i > 0)
			(void)buf_addc(&joined, ',');
		(void)buf_adds(&joined, l.list[i]);
	}
	add_text(p, arena_copy(&p->a, buf_str(&joined)));
	buf_release(&joined);
}

static void
add_state(struct params *p, const struct directory_state *s)
{
	add_text(p, str_of(account_state_word(s->state)));
	add_text(p, s->reason);
	add_number(p, s->until != 0, (long long)s->until);
}

static void
domain_params(struct params *p, const struct domain_record *r)
{
	add_text(p, r->name);
	add_text(p, r->alias_of);
	add_list(p, r->catch_all);
	add_text(p, r->format);
	add_text(p, r->host);
	add_state(p, &r->state);
	add_limit(p, r->quota_bytes);
	add_limit(p, r->user_quota_bytes);
	add_limit(p, r->user_quota_messages);
}

static void
user_params(struct params *p, const struct account *r)
{
	add_text(p, r->local);
	add_text(p, r->domain);
	add_text(p, r->password);
	add_text(p, r->home);
	add_text(p, r->format);
	add_text(p, r->host);
	add_state(p, &r->state);
	add_limit(p, r->quota_bytes);
	add_limit(p, r->quota_messages);
	add_list(p, r->forwards);
	add_number(p, true, r->keep == FORWARD_KEEP);
	add_text(p, r->content);
}

/* --- changes ----------------------------------------------------------------------- */

static int
run(struct sql_writer *w, unsigned slot, const char *text,
    const struct str *params, size_t count, struct verdict *v)
{
	struct sql_statement st = {
		.slot = slot, .text = text, .params = params, .count = count,
	};

	return w->driver->query(w->db, &st, NULL, NULL, v);
}

static int
writer_put(void *self, const struct directory_entry *e, struct verdict *v)
{
	struct sql_writer *w = self;
	struct params p = { .count = 0 };
	int r = -1;

	arena_init(&p.a, ENTRY_ARENA);
	switch (e->kind) {
	case ENTRY_DOMAIN:
		domain_params(&p, &e->is.domain);
		r = run(w, SLOT_PUT_DOMAIN, put_domain, p.list, p.count, v);
		break;
	case ENTRY_USER:
		user_params(&p, &e->is.user);
		r = run(w, SLOT_PUT_USER, put_user, p.list, p.count, v);
		break;
	case ENTRY_ALIAS:
		add_text(&p, e->is.alias.local);
		add_text(&p, e->is.alias.domain);
		add_list(&p, e->is.alias.targets);
		r = run(w, SLOT_PUT_ALIAS, put_alias, p.list, p.count, v);
		break;
	}
	arena_release(&p.a);
	return r;
}

static int
writer_remove(void *self, enum directory_entry_kind kind, struct str local,
    struct str domain, bool *existed_r, struct verdict *v)
{
	struct sql_writer *w = self;
	struct str params[2] = { domain, local };

	if (run(w, SLOT_REMOVE_DOMAIN + (unsigned)kind, removals[kind], params,
	    kind == ENTRY_DOMAIN ? 1 : 2, v) < 0)
		return -1;
	*existed_r = w->driver->changed(w->db) > 0;
	return 0;
}

static int
writer_rename_domain(void *self, struct str from, struct str to,
    struct verdict *v)
{
	struct str params[2] = { to, from };

	return run(self, SQL_ONCE, "UPDATE domains SET name = ?1 "
	    "WHERE name = ?2", params, 2, v);
}

static int
writer_begin(void *self, struct verdict *v)
{
	const struct sql_writer *w = self;

	return run(self, SQL_ONCE, w->driver->begin, NULL, 0, v);
}

static int
writer_commit(void *self, struct verdict *v)
{
	return run(self, SQL_ONCE, "COMMIT", NULL, 0, v);
}

static void
writer_rollback(void *self)
{
	struct verdict v = VERDICT_INIT;

	/* Closing does the same. */
	(void)run(self, SQL_ONCE, "ROLLBACK", NULL, 0, &v);
}

/* --- lists -------------------------------------------------------------------------- */

struct listing {
	enum directory_entry_kind kind;
	directory_entry_fn *each;
	void *arg;
	struct sql_columns columns;
};

static int
list_row(const struct sql_row *row, void *arg, struct verdict *v)
{
	struct listing *l = arg;
	struct directory_entry e = { .kind = l->kind };
	struct arena a;
	int r;

	if (e.kind == ENTRY_DOMAIN)
		domain_record_init(&e.is.domain);
	if (e.kind == ENTRY_USER)
		account_init(&e.is.user);
	arena_init(&a, ENTRY_ARENA);
	r = sql_row_entry(row, &l->columns, &a, &e, v);
	if (r == 0)
		r = l->each(&e, l->arg, v);
	arena_release(&a);
	return r;
}

static int
writer_list(void *self, enum directory_entry_kind kind, struct str local,
    struct str domain, directory_entry_fn *each, void *arg, struct verdict *v)
{
	struct sql_writer *w = self;
	struct listing l = { .kind = kind, .each = each, .arg = arg };
	struct str params[2] = { domain, local };
	struct sql_statement st = { .slot = SQL_ONCE, .params = params };
	char text[512];

	st.count = domain.n == 0 ? 0 : local.n == 0 ? 1 : 2;
	if (st.count == 2 || (st.count == 1 && kind == ENTRY_DOMAIN))
		st.slot = SLOT_GET_DOMAIN + (unsigned)kind;
	(void)snprintf(text, sizeof(text), "%s%s%s ORDER BY %s",
	    selections[kind],
	    st.count == 0 ? "" : kind == ENTRY_DOMAIN ? " WHERE name = ?1" :
	    " WHERE domain = ?1",
	    st.count == 2 ? " AND local = ?2" : "",
	    kind == ENTRY_DOMAIN ? "name" : "domain, local");
	st.text = text;
	return w->driver->query(w->db, &st, list_row, &l, v);
}

/* --- schema ------------------------------------------------------------------------- */

static int
take_version(const struct sql_row *row, void *arg, struct verdict *v)
{
	(void)v;
	if (row->count > 0 && row->values[0].p != NULL)
		(void)num_u64(row->values[0], INT64_MAX, arg);
	return 0;
}

/* Columns that came later. An older program does not miss them, so the version
 * stays. */
static int
add_columns(struct sql_writer *w, struct verdict *v)
{
	bool there;

	if (sql_columns_current(w->driver, w->db, &there, v) < 0)
		return -1;
	return there ? 0 : run(w, SQL_ONCE,
	    "ALTER TABLE accounts ADD COLUMN content TEXT", NULL, 0, v);
}

/* Makes the tables where there are none. A database of a later version is
 * left alone. */
static int
make_schema(struct sql_writer *w, struct verdict *v)
{
	struct sql_statement st = {
		.slot = SQL_ONCE, .text = "SELECT version FROM vbox_schema",
	};
	struct verdict ignored = VERDICT_INIT;
	uint64_t version = 0;

	if (w->driver->query(w->db, &st, take_version, &version,
	    &ignored) == 0) {
		if (version == SQL_SCHEMA_VERSION)
			return add_columns(w, v);
		return verdict_set(v, V_CONFIG, "directory: schema version "
		    "%llu, this program knows %d",
		    (unsigned long long)version, SQL_SCHEMA_VERSION);
	}
	if (writer_begin(w, v) < 0)
		return -1;
	if (w->driver->script(w->db, w->driver->schema, v) < 0) {
		writer_rollback(w);
		return -1;
	}
	return run(w, SQL_ONCE, "COMMIT", NULL, 0, v);
}

static void
writer_close(void *self)
{
	struct sql_writer *w = self;

	if (w->db != NULL)
		w->driver->close(w->db);
	free(w);
}

static int
writer_open(const char *kind, const char *spec,
    const struct directory_settings *set, void **self_r, struct verdict *v)
{
	struct sql_writer *w = mem_zalloc(1, sizeof(*w));
	struct sql_queries queries = { .all_own = false };
	struct buf where;
	int r = -1;

	buf_init(&where, SQL_TEXT_MAX);
	w->driver = module_load(set->module_dir, kind, SQL_DRIVER_SYMBOL, v);
	if (w->driver == NULL || sql_queries_load(kind, spec,
	    DIRECTORY_WANT_PASSWORD, &queries, &where, v) < 0)
		goto out;
	if (queries.all_own) {
		verdict_set(v, V_CONFIG, "directory \"%s:%s\": has queries of "
		    "its own, so it is changed by its own means", kind, spec);
		goto out;
	}
	if (w->driver->open(where.p, SQL_WRITE, WRITER_TIMEOUT_MS, &w->db,
	    v) < 0 || make_schema(w, v) < 0)
		goto out;
	r = 0;
out:
	sql_queries_release(&queries);
	buf_release(&where);
	if (r < 0)
		writer_close(w);
	else
		*self_r = w;
	return r;
}

static int
writer_open_sqlite(const char *spec, const struct directory_settings *set,
    void **self_r, struct verdict *v)
{
	return writer_open("sqlite", spec, set, self_r, v);
}

static int
writer_open_pgsql(const char *spec, const struct directory_settings *set,
    void **self_r, struct verdict *v)
{
	return writer_open("pgsql", spec, set, self_r, v);
}

#define SQL_WRITER(word, opener) { \
	.name = word, .open = opener, .begin = writer_begin, \
	.commit = writer_commit, .rollback = writer_rollback, \
	.put = writer_put, .remove = writer_remove, .list = writer_list, \
	.rename_domain = writer_rename_domain, .close = writer_close }

const struct directory_writer_backend writer_sqlite =
    SQL_WRITER("sqlite", writer_open_sqlite);
const struct directory_writer_backend writer_pgsql =
    SQL_WRITER("pgsql", writer_open_pgsql);
