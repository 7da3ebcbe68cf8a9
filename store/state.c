#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/sha256.h"
#include "store/sqlite.h"

/* "vbxs": a file that says it is another program's is not taken over. */
#define APPLICATION_ID 0x76627873
#define SCHEMA_VERSION 1
#define PAGE_BYTES 4096
/* Each first opener reads the log; at this length it is written back. */
#define LOG_PAGES 100
/* What goes, besides the expired, when the file is at its ceiling. Keys are
 * spread over all pages, so a few would free hardly one. */
#define MAKE_ROOM 20000
/* No mark holds longer: 20 years. */
#define SECONDS_MAX (INT64_C(20) * 366 * 86400)
#define NAME_BYTES 255
#define RETRY_PAUSE_MS 3
/* Read in one go to name a message. */
#define PIECE 65536

/* A digest is as good as the key, always short, and tells a reader of the
 * file nothing about who wrote to whom. */
static const char schema[] =
    "CREATE TABLE mark(kind INTEGER NOT NULL, key BLOB NOT NULL,"
    " until INTEGER NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;"
    "CREATE INDEX mark_until ON mark(until)";

struct state {
	char *root, *dir;
	char name[NAME_BYTES + 1];
	const struct sqlite *sql;
	int dirfd;
	sqlite3 *db;
	int wait_ms;
	char repaired[VERDICT_DETAIL];
};

/* What one call wants. */
enum work_what { WORK_SEEN, WORK_MARK, WORK_CLAIM, WORK_FORGET, WORK_PREPARE };

struct work {
	enum work_what what;
	const struct state_mark *marks;
	size_t n;
	enum state_sync sync;
	bool found;	/* SEEN, CLAIM: there is one that holds */
	int64_t now;
};

/* Answers of ours beside SQLite's codes, which are not negative. */
enum {
	RC_FOREIGN = -1,	/* a database, but not of ours */
	RC_NEWER = -2,
	RC_REPORTED = -3,	/* the verdict is set */
	RC_ABSENT = -4,
};

struct state *
state_open(const char *root, const char *path)
{
	struct state *s = mem_zalloc(1, sizeof(*s));
	struct str whole = str_of(path), name = whole;
	ptrdiff_t slash = str_rchr(whole, '/');

	s->dirfd = -1;
	s->wait_ms = STATE_WAIT_MS;
	s->root = mem_dup(root);
	if (slash >= 0)
		name = str_sub(whole, (size_t)slash + 1, whole.n);
	s->dir = slash > 0 ? mem_dupn(path, (size_t)slash) : mem_dup(".");
	/* A name that is too long stays empty and is refused when used. */
	if (name.n <= NAME_BYTES)
		memcpy(s->name, name.p, name.n);
	return s;
}

static void
shut(struct state *s)
{
	if (s->db)
		(void)s->sql->close(s->db);	/* nothing is prepared */
	s->db = NULL;
}

void
state_close(struct state **s)
{
	if (!*s)
		return;
	shut(*s);
	file_close(&(*s)->dirfd);
	free((*s)->root);
	free((*s)->dir);
	free(*s);
	*s = NULL;
}

void
state_set_wait(struct state *s, int ms)
{
	s->wait_ms = ms;
	if (s->db)
		(void)s->sql->busy_timeout(s->db, ms);	/* cannot fail */
}

const char *
state_repaired(const struct state *s)
{
	return s->repaired[0] ? s->repaired : NULL;
}

int
state_preload(struct verdict *v)
{
	return sqlite_load(v) ? 0 : -1;
}

/* --- the file --------------------------------------------------------------- */

static int
trouble(const struct state *s, const char *what, struct verdict *v)
{
	verdict_errno(v, errno, "%s %s/%s in %s", what, s->dir, s->name,
	    s->root);
	return RC_REPORTED;
}

static int
open_dir(struct state *s, enum file_make make, struct verdict *v)
{
	struct stat st;
	int root;

	if (s->dirfd >= 0)
		return SQLITE_OK;
	root = file_open_root(s->root);
	if (root < 0)
		return trouble(s, "open directory of", v);
	s->dirfd = file_open_dir(root, s->dir, make, 0700);
	file_close(&root);
	if (s->dirfd < 0)
		return errno == ENOENT && make == FILE_NO_MAKE ? RC_ABSENT :
		    trouble(s, "open directory of", v);
	if (fstat(s->dirfd, &st) < 0)
		return trouble(s, "fstat directory of", v);
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		verdict_set(v, V_CONFIG, "%s in %s: uid %u, mode %04o: others "
		    "could change the state", s->dir, s->root,
		    (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
		file_close(&s->dirfd);
		return RC_REPORTED;
	}
	return SQLITE_OK;
}

static int
make_file(struct state *s, struct verdict *v)
{
	int fd = file_open_beneath(s->dirfd, s->name,
	    O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 && errno != EEXIST)
		return trouble(s, "create", v);
	file_close(&fd);
	return SQLITE_OK;
}

/* By name and without opening it: closing a second descriptor would take
 * away SQLite's locks. Nobody but us can exchange it in this directory. */
static int
judge_file(const struct state *s, const struct stat *st, struct verdict *v)
{
	if (S_ISREG(st->st_mode) && st->st_nlink == 1 &&
	    st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH)))
		return SQLITE_OK;
	verdict_set(v, V_CONFIG, "%s/%s in %s: mode %06o, uid %u, %u names: "
	    "not a state file of ours", s->dir, s->name, s->root,
	    (unsigned)st->st_mode, (unsigned)st->st_uid,
	    (unsigned)st->st_nlink);
	return RC_REPORTED;
}

/* At home the file is the user's: what he put beside our table is no program
 * that runs in our name. An endless view would be an endless delivery. */
static int
distrust(struct state *s)
{
	static const int what[][2] = {
		/* Every delivery is the last to close: it would write the
		 * log back into the file with three syncs each time. */
		{ SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof(what) / sizeof(*what) &&
	    rc == SQLITE_OK; i++)
		rc = s->sql->db_config(s->db, what[i][0], what[i][1], NULL);
	return rc;
}

static int
open_file(struct state *s, enum file_make make, struct verdict *v)
{
	struct stat st;
	char path[NAME_BYTES + 40];
	int rc;

	if (s->name[0] == '\0') {
		errno = ENAMETOOLONG;
		return trouble(s, "open", v);
	}
	rc = open_dir(s, make, v);
	if (rc == SQLITE_OK && make == FILE_MAKE)
		rc = make_file(s, v);
	if (rc != SQLITE_OK)
		return rc;
	if (fstatat(s->dirfd, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? RC_ABSENT : trouble(s, "look at", v);
	rc = judge_file(s, &st, v);
	if (rc != SQLITE_OK || s->db)
		return rc;
	if (!s->sql && !(s->sql = sqlite_load(v)))
		return RC_REPORTED;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", s->dirfd,
	    s->name); /* fits */
	rc = s->sql->open_v2(path, &s->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_NOMUTEX, SQLITE_VFS_BENEATH);
	if (rc == SQLITE_OK)
		rc = s->sql->busy_timeout(s->db, s->wait_ms);
	return rc == SQLITE_OK ? distrust(s) : rc;
}

/* Logs of the broken file would be played into the new one. */
static int
move_aside(struct state *s, const char *why, struct verdict *v)
{
	static const char *const parts[] = { "-journal", "-wal", "-shm", "" };
	char from[NAME_BYTES + 40], to[NAME_BYTES + 40];

	(void)snprintf(s->repaired, sizeof(s->repaired),
	    "state file %.100s/%.100s moved aside: %.200s", s->dir, s->name,
	    why); /* cut */
	shut(s);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		(void)snprintf(from, sizeof(from), "%s%s", s->name, parts[i]);
		(void)snprintf(to, sizeof(to), "%s.broken%s", s->name, parts[i]);
		if (renameat(s->dirfd, from, s->dirfd, to) < 0 &&
		    errno != ENOENT)
			return trouble(s, "move aside", v);
	}
	return file_sync(s->dirfd) < 0 ? trouble(s, "move aside", v) : SQLITE_OK;
}

/* --- statements ------------------------------------------------------------- */

static int
exec(struct state *s, const char *text)
{
	return s->sql->exec(s->db, text, NULL, NULL, NULL);
}

struct values {
	int64_t number[2];
	size_t numbers;
	const unsigned char *digest;	/* behind the numbers; or NULL */
	int64_t last;
	bool has_last;
};

/* One statement; *got_r is the first column of its first row, if any. */
static int
query(struct state *s, const char *text, const struct values *val, bool *row_r,
    int64_t *got_r)
{
	sqlite3_stmt *st = NULL;
	int rc = s->sql->prepare_v2(s->db, text, -1, &st, NULL), i = 0;

	for (size_t k = 0; rc == SQLITE_OK && val && k < val->numbers; k++)
		rc = s->sql->bind_int64(st, ++i, val->number[k]);
	if (rc == SQLITE_OK && val && val->digest)
		rc = s->sql->bind_blob(st, ++i, val->digest, SHA256_BYTES,
		    SQLITE_STATIC);
	if (rc == SQLITE_OK && val && val->has_last)
		rc = s->sql->bind_int64(st, ++i, val->last);
	if (rc == SQLITE_OK) {
		rc = s->sql->step(st);
		if (row_r)
			*row_r = rc == SQLITE_ROW;
		if (rc == SQLITE_ROW && got_r)
			*got_r = s->sql->column_int64(st, 0);
		if (rc == SQLITE_ROW || rc == SQLITE_DONE)
			rc = SQLITE_OK;
	}
	(void)s->sql->finalize(st);	/* says the error of step again */
	return rc;
}

static void
digest_of(struct str key, unsigned char digest[SHA256_BYTES])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, key.p, key.n);
	sha256_end(&h, digest);
}

static int
look(struct state *s, struct work *w)
{
	unsigned char digest[SHA256_BYTES];
	struct values val = { .number = { w->marks[0].kind }, .numbers = 1,
	    .digest = digest, .last = w->now, .has_last = true };

	digest_of(w->marks[0].key, digest);
	return query(s, "SELECT 1 FROM mark WHERE kind = ? AND key = ? AND "
	    "until > ?", &val, &w->found, NULL);
}

static int
put(struct state *s, const struct work *w, const struct state_mark *m)
{
	unsigned char digest[SHA256_BYTES];
	struct values val = { .number = { m->kind }, .numbers = 1,
	    .digest = digest, .has_last = true };

	/* A mark that has ended before it began. */
	if (m->seconds <= 0)
		return SQLITE_OK;
	digest_of(m->key, digest);
	val.last = w->now + (m->seconds < SECONDS_MAX ? m->seconds : SECONDS_MAX);
	return query(s, "INSERT OR REPLACE INTO mark(kind, key, until) "
	    "VALUES(?, ?, ?)", &val, NULL, NULL);
}

static int
drop(struct state *s, const struct state_mark *m)
{
	unsigned char digest[SHA256_BYTES];
	struct values val = { .number = { m->kind }, .numbers = 1,
	    .digest = digest };

	digest_of(m->key, digest);
	return query(s, "DELETE FROM mark WHERE kind = ? AND key = ?", &val,
	    NULL, NULL);
}

/* The first to end, at most `count` of those that end by `until`. */
static int
sweep(struct state *s, int64_t until, int64_t count)
{
	struct values val = { .number = { until, count }, .numbers = 2 };

	return query(s, "DELETE FROM mark WHERE (kind, key) IN (SELECT kind, "
	    "key FROM mark WHERE until <= ? ORDER BY until LIMIT ?)", &val,
	    NULL, NULL);
}

/* Makes the tables when there are none; refuses what is not ours. */
static int
check_schema(struct state *s, enum file_make make, bool *empty_r)
{
	int64_t version = 0, id = 0, tables = 0;
	char text[120];
	int rc = query(s, "PRAGMA user_version", NULL, NULL, &version);

	if (rc == SQLITE_OK)
		rc = query(s, "PRAGMA application_id", NULL, NULL, &id);
	if (rc != SQLITE_OK)
		return rc;
	*empty_r = version == 0;
	if (version != 0)
		return id != APPLICATION_ID ? RC_FOREIGN :
		    version == SCHEMA_VERSION ? SQLITE_OK : RC_NEWER;
	rc = query(s, "SELECT count(*) FROM sqlite_schema", NULL, NULL, &tables);
	if (rc == SQLITE_OK && tables)
		return RC_FOREIGN;
	if (rc != SQLITE_OK || make == FILE_NO_MAKE)
		return rc;
	(void)snprintf(text, sizeof(text), "PRAGMA application_id = %d; "
	    "PRAGMA user_version = %d", APPLICATION_ID, SCHEMA_VERSION); /* fits */
	rc = exec(s, schema);
	return rc == SQLITE_OK ? exec(s, text) : rc;
}

static int
read_work(struct state *s, struct work *w)
{
	bool empty = false;
	int rc = check_schema(s, FILE_NO_MAKE, &empty);

	return rc != SQLITE_OK || empty ? rc : look(s, w);
}

static int
change(struct state *s, struct work *w, bool make_room)
{
	bool empty;
	int rc = check_schema(s, FILE_MAKE, &empty);

	if (rc == SQLITE_OK)
		rc = sweep(s, w->now, STATE_SWEEP);
	if (rc == SQLITE_OK && make_room)
		rc = sweep(s, INT64_MAX, MAKE_ROOM);
	if (rc == SQLITE_OK && w->what == WORK_CLAIM)
		rc = look(s, w);
	if (rc != SQLITE_OK || (w->what == WORK_CLAIM && w->found))
		return rc;
	for (size_t i = 0; rc == SQLITE_OK && i < w->n; i++)
		rc = w->what == WORK_FORGET ? drop(s, &w->marks[i]) :
		    put(s, w, &w->marks[i]);
	return rc;
}

/*
 * A write-ahead log: a commit with synchronous = FULL costs one sync, with
 * NORMAL none, where a rollback journal costs five and three (11 and 9 ms
 * here). NORMAL survives the death of the process; a power cut takes the last
 * marks, never the file.
 */
static int
write_work(struct state *s, struct work *w, bool make_room)
{
	char text[250];
	int rc;

	(void)snprintf(text, sizeof(text), "PRAGMA journal_mode = WAL; "
	    "PRAGMA wal_autocheckpoint = %d; PRAGMA synchronous = %s; "
	    "PRAGMA temp_store = MEMORY; PRAGMA max_page_count = %d",
	    LOG_PAGES, w->sync == STATE_SYNC ? "FULL" : "NORMAL",
	    STATE_BYTES_MAX / PAGE_BYTES); /* fits */
	rc = exec(s, text);
	if (rc == SQLITE_OK)
		rc = exec(s, "BEGIN IMMEDIATE");
	if (rc != SQLITE_OK)
		return rc;
	rc = change(s, w, make_room);
	if (rc == SQLITE_OK)
		rc = exec(s, "COMMIT");
	if (rc != SQLITE_OK)
		(void)exec(s, "ROLLBACK");	/* may have happened already */
	return rc;
}

/* --- one call --------------------------------------------------------------- */

static int
attempt(struct state *s, struct work *w, struct verdict *v)
{
	bool reading = w->what == WORK_SEEN || w->what == WORK_FORGET;
	int rc = open_file(s, reading ? FILE_NO_MAKE : FILE_MAKE, v);

	if (rc != SQLITE_OK)
		return rc;
	if (w->what == WORK_SEEN)
		return read_work(s, w);
	rc = write_work(s, w, false);
	return rc == SQLITE_FULL ? write_work(s, w, true) : rc;
}

static int
run(struct state *s, struct work *w, struct verdict *v)
{
	char why[200];	/* cut: SQLite's sentences are shorter */
	int64_t deadline = clock_mono_ms() + s->wait_ms;
	int rc, tries = 0;

	w->now = (int64_t)clock_now();
	for (;;) {
		w->found = false;
		rc = attempt(s, w, v);
		if (rc == SQLITE_OK || rc == RC_ABSENT)
			return 0;
		if (rc == RC_REPORTED)
			return -1;
		/* Two that make the file or read its log at the same time are
		 * told so at once, whatever busy_timeout says. */
		if ((rc == SQLITE_BUSY || rc == SQLITE_PROTOCOL) &&
		    clock_mono_ms() < deadline) {
			shut(s);
			(void)poll(NULL, 0, RETRY_PAUSE_MS);
			continue;
		}
		(void)snprintf(why, sizeof(why), "%s", rc == RC_FOREIGN ?
		    "another program's" : rc == RC_NEWER ?
		    "of a newer vbox-lda" : s->db ? s->sql->errmsg(s->db) :
		    "cannot be opened"); /* cut */
		if (tries++ || (rc != SQLITE_CORRUPT && rc != SQLITE_NOTADB &&
		    rc != RC_FOREIGN))
			break;
		if (move_aside(s, why, v) != SQLITE_OK)
			return -1;
	}
	shut(s);
	return verdict_set(v, V_TROUBLE, "state file %s/%s in %s: %s", s->dir,
	    s->name, s->root, why);
}

enum state_answer
state_seen(struct state *s, enum state_kind kind, struct str key,
    struct verdict *v)
{
	struct state_mark m = { .kind = kind, .key = key };
	struct work w = { .what = WORK_SEEN, .marks = &m, .n = 1 };

	if (run(s, &w, v) < 0)
		return STATE_BROKEN;
	return w.found ? STATE_YES : STATE_NO;
}

int
state_mark(struct state *s, const struct state_mark *marks, size_t n,
    enum state_sync sync, struct verdict *v)
{
	struct work w = { .what = WORK_MARK, .marks = marks, .n = n,
	    .sync = sync };

	return n ? run(s, &w, v) : 0;
}

enum state_answer
state_claim(struct state *s, const struct state_mark *mark,
    enum state_sync sync, struct verdict *v)
{
	struct work w = { .what = WORK_CLAIM, .marks = mark, .n = 1,
	    .sync = sync };

	if (run(s, &w, v) < 0)
		return STATE_BROKEN;
	return w.found ? STATE_YES : STATE_NO;
}

int
state_forget(struct state *s, const struct state_mark *marks, size_t n,
    struct verdict *v)
{
	struct work w = { .what = WORK_FORGET, .marks = marks, .n = n };

	return n ? run(s, &w, v) : 0;
}

int
state_prepare(struct state *s, struct verdict *v)
{
	struct work w = { .what = WORK_PREPARE };

	return run(s, &w, v);
}

/* --- names of messages ------------------------------------------------------ */

int
state_message_key(const struct source *message, uint64_t start,
    struct str sender, struct str recipient, struct buf *out)
{
	unsigned char digest[SHA256_BYTES];
	char scratch[PIECE];
	struct sha256 h;
	struct str got;

	sha256_init(&h);
	sha256_part(&h, sender);
	sha256_part(&h, recipient);
	for (uint64_t at = start; at < message->n; at += got.n) {
		if (source_read(message, at, scratch, sizeof(scratch), &got) < 0)
			return -1;
		if (got.n == 0) {
			errno = EIO;
			return -1;
		}
		sha256_add(&h, got.p, got.n);
	}
	sha256_end(&h, digest);
	sha256_hex(digest, out);
	return 0;
}
