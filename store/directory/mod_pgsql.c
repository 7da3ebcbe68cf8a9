/*
 * PostgreSQL. Every wait has the deadline of the question, from connecting to
 * the last row, so a server that hangs costs no more than that; a connection
 * that was lost since the last question is made again once.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/directory/module.h"
#include "store/directory/sql.h"

extern const char vbox_module_version[];
extern const struct sql_driver vbox_sql_driver;

MODULE_VERSION;

/* contrib/sql/postgresql.sql as it is. */
__asm__(".section .rodata\n"
	"pgsql_schema:\n"
	".incbin \"contrib/sql/postgresql.sql\"\n"
	".byte 0\n"
	".previous\n");
extern const char pgsql_schema[] __attribute__((visibility("hidden")));

struct pgsql_db {
	char *conninfo;
	unsigned timeout_ms;
	PGconn *conn;			/* NULL: not connected */
	bool prepared[SQL_SLOTS];
	size_t changed;
	int64_t deadline;		/* of the question under way */
};

/* How a try went: LOST is worth another one, with a new connection. */
enum attempt { ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_LOST };

static int
failed(struct pgsql_db *p, const char *what, struct verdict *v)
{
	const char *why = p->conn != NULL ? PQerrorMessage(p->conn) : "";

	return verdict_set(v, V_DIRECTORY_DOWN, "postgresql: %s: %s", what,
	    why[0] != '\0' ? why : "no answer in time");
}

static void
disconnect(struct pgsql_db *p)
{
	PQfinish(p->conn);
	p->conn = NULL;
	memset(p->prepared, 0, sizeof(p->prepared));
}

/* 0 when the socket is ready, -1 when the time is over. */
static int
wait_for(struct pgsql_db *p, short events)
{
	struct pollfd fd = { .fd = PQsocket(p->conn), .events = events };

	for (;;) {
		int64_t left = p->deadline - clock_mono_ms();
		int r;

		if (left <= 0 || fd.fd < 0)
			return -1;
		r = poll(&fd, 1, (int)left);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -1;
	}
}

/* NOTICEs would land on stderr, which is a sender's bounce for some MTAs. */
static void
silent(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

static int
connect_db(struct pgsql_db *p, struct verdict *v)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	p->conn = PQconnectStart(p->conninfo);
	if (p->conn == NULL || PQstatus(p->conn) == CONNECTION_BAD)
		goto fail;
	(void)PQsetNoticeReceiver(p->conn, silent, NULL);
	while (status != PGRES_POLLING_OK) {
		if (status == PGRES_POLLING_FAILED)
			goto fail;
		if (wait_for(p, status == PGRES_POLLING_READING ? POLLIN :
		    POLLOUT) < 0)
			goto fail;
		status = PQconnectPoll(p->conn);
	}
	if (PQsetnonblocking(p->conn, 1) < 0)
		goto fail;
	return 0;
fail:
	failed(p, "connect", v);
	disconnect(p);
	return -1;
}

static int
flush(struct pgsql_db *p)
{
	int r;

	while ((r = PQflush(p->conn)) > 0) {
		/* The server may want us to read before it reads. */
		if (wait_for(p, POLLIN | POLLOUT) < 0 ||
		    PQconsumeInput(p->conn) == 0)
			return -1;
	}
	return r;
}

/* The next result; NULL at the end or, with *lost_r set, on trouble. */
static PGresult *
next_result(struct pgsql_db *p, bool *lost_r)
{
	*lost_r = true;
	while (PQisBusy(p->conn))
		if (wait_for(p, POLLIN) < 0 || PQconsumeInput(p->conn) == 0)
			return NULL;
	*lost_r = false;
	return PQgetResult(p->conn);
}

static int
give_rows(const PGresult *res, sql_row_fn *each, void *arg, struct verdict *v)
{
	const char *names[SQL_COLUMNS_MAX];
	struct str values[SQL_COLUMNS_MAX];
	struct sql_row row = { .names = names, .values = values };
	int columns = PQnfields(res);

	if (columns > SQL_COLUMNS_MAX)
		columns = SQL_COLUMNS_MAX;
	row.count = (size_t)columns;
	for (int c = 0; c < columns; c++)
		names[c] = PQfname(res, c);
	for (int r = 0; r < PQntuples(res) && each != NULL; r++) {
		for (int c = 0; c < columns; c++)
			values[c] = PQgetisnull(res, r, c) ?
			    str_mem(NULL, 0) : str_mem(PQgetvalue(res, r, c),
			    (size_t)PQgetlength(res, r, c));
		if (each(&row, arg, v) < 0)
			return -1;
	}
	return 0;
}

/* All results of what was sent; the connection is idle afterwards, or lost. */
static enum attempt
collect(struct pgsql_db *p, sql_row_fn *each, void *arg, struct verdict *v)
{
	enum attempt outcome = ATTEMPT_DONE;
	PGresult *res;
	bool lost;
	uint64_t n;

	while ((res = next_result(p, &lost)) != NULL) {
		ExecStatusType status = PQresultStatus(res);

		if (status == PGRES_TUPLES_OK) {
			if (outcome == ATTEMPT_DONE &&
			    give_rows(res, each, arg, v) < 0)
				outcome = ATTEMPT_FAILED;
		} else if (status != PGRES_COMMAND_OK &&
		    outcome == ATTEMPT_DONE) {
			failed(p, "query", v);
			outcome = ATTEMPT_FAILED;
		}
		if (num_u64(str_of(PQcmdTuples(res)), INT64_MAX, &n) == 0)
			p->changed = (size_t)n;
		PQclear(res);
	}
	if (lost || PQstatus(p->conn) == CONNECTION_BAD) {
		failed(p, "query", v);
		return ATTEMPT_LOST;
	}
	return outcome;
}

/* ?1 becomes $1. */
static void
dollars(const char *text, struct buf *out)
{
	char quote = '\0';

	for (; *text != '\0'; text++) {
		if (quote != '\0')
			quote = *text == quote ? '\0' : quote;
		else if (*text == '\'' || *text == '"')
			quote = *text;
		(void)buf_addc(out, quote == '\0' && text[0] == '?' &&
		    ascii_isdigit(text[1]) ? '$' : *text);
	}
}

static enum attempt
prepare(struct pgsql_db *p, const struct sql_statement *st, const char *name,
    struct verdict *v)
{
	enum attempt outcome;
	struct buf text;
	int sent;

	if (st->slot < SQL_SLOTS && p->prepared[st->slot])
		return ATTEMPT_DONE;
	buf_init(&text, SQL_TEXT_MAX);
	dollars(st->text, &text);
	sent = PQsendPrepare(p->conn, name, text.p, 0, NULL);
	buf_release(&text);
	if (sent == 0 || flush(p) < 0) {
		failed(p, "prepare", v);
		return ATTEMPT_LOST;
	}
	outcome = collect(p, NULL, NULL, v);
	if (outcome == ATTEMPT_DONE && st->slot < SQL_SLOTS)
		p->prepared[st->slot] = true;
	return outcome;
}

static enum attempt
attempt(struct pgsql_db *p, const struct sql_statement *st, sql_row_fn *each,
    void *arg, struct verdict *v)
{
	const char *values[SQL_PARAMS_MAX];
	int lengths[SQL_PARAMS_MAX];
	char *copies[SQL_PARAMS_MAX];
	char name[32] = "";
	enum attempt outcome;
	int sent;

	if (p->conn == NULL && connect_db(p, v) < 0)
		return ATTEMPT_FAILED;
	if (st->slot < SQL_SLOTS)
		(void)snprintf(name, sizeof(name), "vbox%u", st->slot);
	outcome = prepare(p, st, name, v);
	if (outcome != ATTEMPT_DONE)
		return outcome;
	for (size_t i = 0; i < st->count; i++) {
		struct str s = st->params[i];

		copies[i] = s.p != NULL ? mem_dupn(s.p, s.n) : NULL;
		values[i] = copies[i];
		lengths[i] = (int)s.n;
	}
	sent = PQsendQueryPrepared(p->conn, name, (int)st->count, values,
	    lengths, NULL, 0);
	for (size_t i = 0; i < st->count; i++)
		free(copies[i]);
	if (sent == 0 || flush(p) < 0) {
		failed(p, "query", v);
		return ATTEMPT_LOST;
	}
	return collect(p, each, arg, v);
}

static bool
in_transaction(const struct pgsql_db *p)
{
	PGTransactionStatusType status;

	if (p->conn == NULL)
		return false;
	status = PQtransactionStatus(p->conn);
	return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

static int
pgsql_query(void *self, const struct sql_statement *st, sql_row_fn *each,
    void *arg, struct verdict *v)
{
	struct pgsql_db *p = self;
	bool had_connection = p->conn != NULL, in_one = in_transaction(p);
	enum attempt outcome;

	p->deadline = clock_mono_ms() + p->timeout_ms;
	outcome = attempt(p, st, each, arg, v);
	if (outcome == ATTEMPT_LOST) {
		bool late = clock_mono_ms() >= p->deadline;

		disconnect(p);
		/* It was idle and went away (a restart): once more. No row
		 * was given yet, since results come whole. */
		if (had_connection && !in_one && !late) {
			outcome = attempt(p, st, each, arg, v);
			if (outcome == ATTEMPT_LOST)
				disconnect(p);
		}
	}
	return outcome == ATTEMPT_DONE ? 0 : -1;
}

static int
pgsql_script(void *self, const char *text, struct verdict *v)
{
	struct pgsql_db *p = self;
	enum attempt outcome = ATTEMPT_LOST;

	p->deadline = clock_mono_ms() + p->timeout_ms;
	if (p->conn == NULL && connect_db(p, v) < 0)
		return -1;
	if (PQsendQuery(p->conn, text) == 0 || flush(p) < 0)
		failed(p, "script", v);
	else
		outcome = collect(p, NULL, NULL, v);
	if (outcome == ATTEMPT_LOST)
		disconnect(p);
	return outcome == ATTEMPT_DONE ? 0 : -1;
}

static size_t
pgsql_changed(void *self)
{
	const struct pgsql_db *p = self;

	return p->changed;
}

static int
pgsql_open_db(const char *spec, enum sql_mode mode, unsigned timeout_ms,
    void **self_r, struct verdict *v)
{
	struct pgsql_db *p = mem_zalloc(1, sizeof(*p));

	(void)mode; /* rights are the database's matter */
	(void)v;    /* connected by the first question */
	p->conninfo = mem_dup(spec);
	p->timeout_ms = timeout_ms;
	*self_r = p;
	return 0;
}

static void
pgsql_close_db(void *self)
{
	struct pgsql_db *p = self;

	disconnect(p);
	free(p->conninfo);
	free(p);
}

const struct sql_driver vbox_sql_driver = {
	.open = pgsql_open_db,
	.query = pgsql_query,
	.script = pgsql_script,
	.changed = pgsql_changed,
	.close = pgsql_close_db,
	.begin = "BEGIN",
	.schema = pgsql_schema,
	/* Those that we may use; a role without the new one goes on. */
	.columns = "SELECT column_name FROM information_schema.columns "
	    "WHERE table_name = 'accounts' "
	    "AND table_schema = ANY (current_schemas(false))",
};
