/*
 * SQLite. Readers open the file read-only: in WAL mode (vboxadm switches it
 * on) they neither wait for a writer nor make it wait, and need no right to
 * write as long as the -wal and -shm files stay, which vboxadm sees to.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/directory/module.h"
#include "store/directory/sql.h"

extern const char vbox_module_version[];
extern const struct sql_driver vbox_sql_driver;

MODULE_VERSION;

/* contrib/sql/sqlite.sql as it is. */
__asm__(".section .rodata\n"
	"sqlite_schema:\n"
	".incbin \"contrib/sql/sqlite.sql\"\n"
	".byte 0\n"
	".previous\n");
extern const char sqlite_schema[] __attribute__((visibility("hidden")));

/* Holds password hashes: for root and the group that delivers. */
#define NEW_FILE_MODE 0640

struct sqlite_db {
	char *path;
	enum sql_mode mode;
	unsigned timeout_ms;
	sqlite3 *db;		/* NULL: not open */
	struct stat stamp;	/* of the file that is open */
	sqlite3_stmt *prepared[SQL_SLOTS];
};

static int
failed(const struct sqlite_db *s, const char *what, struct verdict *v)
{
	return verdict_set(v, V_DIRECTORY_DOWN, "%s: %s: %s", s->path, what,
	    s->db != NULL ? sqlite3_errmsg(s->db) : "not open");
}

static void
shut(struct sqlite_db *s)
{
	for (size_t i = 0; i < SQL_SLOTS; i++) {
		sqlite3_finalize(s->prepared[i]);
		s->prepared[i] = NULL;
	}
	sqlite3_close(s->db);
	s->db = NULL;
}

/* SQLite would make it 0644 and ours alone. */
static int
make_file(const struct sqlite_db *s, struct verdict *v)
{
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY,
	    NEW_FILE_MODE);

	if (fd < 0)
		return verdict_errno(v, errno, "%s", s->path);
	file_close(&fd);
	return 0;
}

static int
prepare_to_write(struct sqlite_db *s, struct verdict *v)
{
	int stay = 1;

	if (sqlite3_exec(s->db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL) !=
	    SQLITE_OK || sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL,
	    NULL, NULL) != SQLITE_OK)
		return failed(s, "pragma", v);
	/* The -wal and -shm files stay, so that readers without the right to
	 * make them can open the database. */
	(void)sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL,
	    &stay); /* a file system that cannot keeps working for root */
	return 0;
}

static int
connect_db(struct sqlite_db *s, struct verdict *v)
{
	int flags = SQLITE_OPEN_NOMUTEX | (s->mode == SQL_WRITE ?
	    SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);

	if (s->mode == SQL_WRITE && make_file(s, v) < 0)
		return -1;
	if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK ||
	    stat(s->path, &s->stamp) < 0) {
		failed(s, "open", v);
		shut(s);
		return -1;
	}
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, (int)s->timeout_ms);
	if (s->mode == SQL_WRITE && prepare_to_write(s, v) < 0) {
		shut(s);
		return -1;
	}
	return 0;
}

/* Opens what is not open, and what somebody put another file in place of. */
static int
ready(struct sqlite_db *s, struct verdict *v)
{
	struct stat now;

	if (s->db != NULL && s->mode == SQL_READ &&
	    (stat(s->path, &now) < 0 || now.st_dev != s->stamp.st_dev ||
	    now.st_ino != s->stamp.st_ino))
		shut(s);
	return s->db != NULL ? 0 : connect_db(s, v);
}

static sqlite3_stmt *
prepare(struct sqlite_db *s, const struct sql_statement *st)
{
	sqlite3_stmt *p = NULL;

	if (st->slot < SQL_SLOTS && s->prepared[st->slot] != NULL)
		return s->prepared[st->slot];
	if (sqlite3_prepare_v3(s->db, st->text, -1,
	    st->slot < SQL_SLOTS ? SQLITE_PREPARE_PERSISTENT : 0, &p,
	    NULL) != SQLITE_OK)
		return NULL;
	if (st->slot < SQL_SLOTS)
		s->prepared[st->slot] = p;
	return p;
}

static int
bind(sqlite3_stmt *p, const struct sql_statement *st)
{
	for (size_t i = 0; i < st->count; i++) {
		struct str value = st->params[i];
		int r;

		if (value.p == NULL)
			r = sqlite3_bind_null(p, (int)i + 1);
		else
			r = sqlite3_bind_text(p, (int)i + 1, value.p,
			    (int)value.n, SQLITE_STATIC);
		if (r != SQLITE_OK)
			return -1;
	}
	return 0;
}

static int
give_row(sqlite3_stmt *p, sql_row_fn *each, void *arg, struct verdict *v)
{
	const char *names[SQL_COLUMNS_MAX];
	struct str values[SQL_COLUMNS_MAX];
	struct sql_row row = { .names = names, .values = values };
	int n = sqlite3_column_count(p);

	for (int i = 0; i < n && i < SQL_COLUMNS_MAX; i++) {
		const unsigned char *text = sqlite3_column_text(p, i);

		names[i] = sqlite3_column_name(p, i);
		values[i] = text == NULL ? str_mem(NULL, 0) :
		    str_mem(text, (size_t)sqlite3_column_bytes(p, i));
		row.count++;
	}
	return each != NULL ? each(&row, arg, v) : 0;
}

static int
sqlite_query(void *self, const struct sql_statement *st, sql_row_fn *each,
    void *arg, struct verdict *v)
{
	struct sqlite_db *s = self;
	sqlite3_stmt *p = NULL;
	int r = -1, code = SQLITE_ROW;

	if (ready(s, v) < 0)
		return -1;
	p = prepare(s, st);
	if (p == NULL || bind(p, st) < 0) {
		failed(s, "prepare", v);
		goto out;
	}
	while ((code = sqlite3_step(p)) == SQLITE_ROW)
		if (give_row(p, each, arg, v) < 0)
			goto out;
	if (code != SQLITE_DONE)
		failed(s, "query", v);
	else
		r = 0;
out:
	if (p != NULL && st->slot < SQL_SLOTS) {
		(void)sqlite3_reset(p); /* says the step's error again */
		(void)sqlite3_clear_bindings(p); /* cannot fail */
	} else {
		sqlite3_finalize(p);
	}
	/* A damaged or vanished file: look at it anew next time. A writer in
	 * its transaction keeps what it has. */
	if (r < 0 && s->mode == SQL_READ)
		shut(s);
	return r;
}

static int
sqlite_script(void *self, const char *text, struct verdict *v)
{
	struct sqlite_db *s = self;

	if (ready(s, v) < 0)
		return -1;
	if (sqlite3_exec(s->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return failed(s, "script", v);
	return 0;
}

static size_t
sqlite_changed(void *self)
{
	struct sqlite_db *s = self;

	return s->db != NULL ? (size_t)sqlite3_changes(s->db) : 0;
}

static int
sqlite_open_db(const char *spec, enum sql_mode mode, unsigned timeout_ms,
    void **self_r, struct verdict *v)
{
	struct sqlite_db *s = mem_zalloc(1, sizeof(*s));

	(void)v; /* opened by the first question */
	s->path = mem_dup(spec);
	s->mode = mode;
	s->timeout_ms = timeout_ms;
	*self_r = s;
	return 0;
}

static void
sqlite_close_db(void *self)
{
	struct sqlite_db *s = self;

	shut(s);
	free(s->path);
	free(s);
}

const struct sql_driver vbox_sql_driver = {
	.open = sqlite_open_db,
	.query = sqlite_query,
	.script = sqlite_script,
	.changed = sqlite_changed,
	.close = sqlite_close_db,
	.begin = "BEGIN IMMEDIATE",
	.schema = sqlite_schema,
	.columns = "SELECT name FROM pragma_table_info('accounts')",
};
