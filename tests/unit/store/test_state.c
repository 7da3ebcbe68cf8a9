/* The account's memory: what is marked, for how long, and what happens when
 * its file is broken, foreign, locked or full. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/sqlite.h"
#include "store/state.h"
#include "tests/unit/tree.h"

#define NOW INT64_C(1795226089)
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static char root[64];

static int
setup(void **state)
{
	(void)state;
	clock_set_us(NOW * 1000000);
	(void)snprintf(root, sizeof(root), "/tmp/vbox-state-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	clock_set_us(-1);
	remove_tree(root);
	return 0;
}

#define BOX "d.test/fred.db"

static char *
path_of(const char *suffix)
{
	static char path[200];

	(void)snprintf(path, sizeof(path), "%s/" BOX "%s", root, suffix);
	return path;
}

static int
exists(const char *suffix)
{
	return access(path_of(suffix), F_OK) == 0;
}

static enum state_answer
seen(enum state_kind kind, const char *key)
{
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);
	enum state_answer a = state_seen(s, kind, str_of(key), &v);

	if (a == STATE_BROKEN)
		print_message("%s\n", v.detail);
	state_close(&s);
	return a;
}

static int
mark(enum state_kind kind, const char *key, int64_t seconds,
    enum state_sync sync)
{
	struct state_mark m = { kind, str_of(key), seconds };
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);
	int r = state_mark(s, &m, 1, sync, &v);

	state_close(&s);
	return r;
}

static void
asking_makes_nothing(void **state)
{
	struct state_mark m = { STATE_COPY, STR("k"), 0 };
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);

	(void)state;
	assert_int_equal(seen(STATE_VACATION, "k"), STATE_NO);
	assert_int_equal(state_forget(s, &m, 1, &v), 0);
	assert_int_equal(state_mark(s, &m, 0, STATE_SYNC, &v), 0);
	state_close(&s);
	assert_int_equal(rmdir(root), 0);	/* nothing was made in it */
	assert_int_equal(mkdir(root, 0700), 0);
}

static void
marks_hold_until_their_end(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mark(STATE_VACATION, "a", 100, STATE_NO_SYNC), 0);
	assert_int_equal(mark(STATE_REDIRECT, "a", 300, STATE_SYNC), 0);
	assert_int_equal(mark(STATE_DUPLICATE, "none", 0, STATE_SYNC), 0);
	assert_int_equal(seen(STATE_VACATION, "a"), STATE_YES);
	assert_int_equal(seen(STATE_REDIRECT, "a"), STATE_YES);
	assert_int_equal(seen(STATE_COPY, "a"), STATE_NO);
	assert_int_equal(seen(STATE_VACATION, "b"), STATE_NO);
	assert_int_equal(seen(STATE_DUPLICATE, "none"), STATE_NO);
	clock_set_us((NOW + 99) * 1000000);
	assert_int_equal(seen(STATE_VACATION, "a"), STATE_YES);
	clock_set_us((NOW + 100) * 1000000);
	assert_int_equal(seen(STATE_VACATION, "a"), STATE_NO);
	assert_int_equal(seen(STATE_REDIRECT, "a"), STATE_YES);
	/* The new end counts (RFC 7352 :last). */
	assert_int_equal(mark(STATE_VACATION, "a", 1000, STATE_NO_SYNC), 0);
	clock_set_us((NOW + 1000) * 1000000);
	assert_int_equal(seen(STATE_VACATION, "a"), STATE_YES);
	assert_int_equal(stat(path_of(""), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void
directories_are_ours_alone(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);
	char dir[100];
	struct stat st;

	(void)state;
	assert_int_equal(state_prepare(s, &v), 0);
	state_close(&s);
	(void)snprintf(dir, sizeof(dir), "%s/d.test", root);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(seen(STATE_COPY, "k"), STATE_BROKEN);
}

static void
claims_are_given_once(void **state)
{
	struct state_mark m = { STATE_NOTICE, STR("script"), 86400 };
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);

	(void)state;
	assert_int_equal(state_claim(s, &m, STATE_NO_SYNC, &v), STATE_NO);
	assert_int_equal(state_claim(s, &m, STATE_NO_SYNC, &v), STATE_YES);
	clock_set_us((NOW + 50000) * 1000000);
	assert_int_equal(state_claim(s, &m, STATE_NO_SYNC, &v), STATE_YES);
	/* The second claim did not prolong it. */
	clock_set_us((NOW + 86400) * 1000000);
	assert_int_equal(state_claim(s, &m, STATE_NO_SYNC, &v), STATE_NO);
	assert_int_equal(state_forget(s, &m, 1, &v), 0);
	assert_int_equal(state_claim(s, &m, STATE_NO_SYNC, &v), STATE_NO);
	state_close(&s);
}

#define CLAIMERS 4
#define CLAIMS 60

/* Exit status: how many keys this process got. */
static int
claim_all(void)
{
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);
	int mine = 0;

	for (int i = 0; i < CLAIMS; i++) {
		char key[20];
		struct state_mark m = { .kind = STATE_VACATION, .seconds = 60 };

		(void)snprintf(key, sizeof(key), "key%d", i);
		m.key = str_of(key);
		switch (state_claim(s, &m, STATE_NO_SYNC, &v)) {
		case STATE_NO:
			mine++;
			break;
		case STATE_YES:
			break;
		default:
			return 255;
		}
	}
	state_close(&s);
	return mine;
}

static void
claims_of_many_at_once(void **state)
{
	int total = 0, status;

	(void)state;
	for (int i = 0; i < CLAIMERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(claim_all());
	}
	for (int i = 0; i < CLAIMERS; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		assert_int_not_equal(WEXITSTATUS(status), 255);
		total += WEXITSTATUS(status);
	}
	assert_int_equal(total, CLAIMS);
}

static void
all_or_none(void **state)
{
	struct state_mark marks[] = {
		{ STATE_REDIRECT, STR("m a@b"), 60 },
		{ STATE_REDIRECT, STR("m c@d"), 60 },
		{ STATE_COPY, { "m\0INBOX", 7 }, 60 },
	};
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);

	(void)state;
	assert_int_equal(state_mark(s, marks, COUNT(marks), STATE_SYNC, &v), 0);
	assert_int_equal(seen(STATE_REDIRECT, "m a@b"), STATE_YES);
	assert_int_equal(seen(STATE_REDIRECT, "m c@d"), STATE_YES);
	assert_int_equal(state_seen(s, STATE_COPY, marks[2].key, &v), STATE_YES);
	assert_int_equal(seen(STATE_COPY, "m"), STATE_NO);
	assert_int_equal(state_forget(s, marks, 2, &v), 0);
	assert_int_equal(seen(STATE_REDIRECT, "m a@b"), STATE_NO);
	assert_int_equal(seen(STATE_REDIRECT, "m c@d"), STATE_NO);
	assert_int_equal(state_seen(s, STATE_COPY, marks[2].key, &v), STATE_YES);
	state_close(&s);
}

static void
write_file(const char *suffix, const char *bytes, size_t n)
{
	int fd = open(path_of(suffix), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, bytes, n), 0);
	file_close(&fd);
}

/* What was there is aside, the account goes on with an empty file. */
static void
check_moved_aside(void)
{
	struct state_mark m = { STATE_VACATION, STR("new"), 60 };
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);

	assert_int_equal(state_mark(s, &m, 1, STATE_SYNC, &v), 0);
	assert_non_null(state_repaired(s));
	state_close(&s);
	assert_true(exists(".broken"));
	assert_int_equal(seen(STATE_VACATION, "new"), STATE_YES);
	assert_int_equal(seen(STATE_VACATION, "old"), STATE_NO);
}

static void
garbage_is_moved_aside(void **state)
{
	char junk[9000];

	(void)state;
	memset(junk, 'x', sizeof(junk));
	assert_int_equal(mark(STATE_VACATION, "old", 60, STATE_SYNC), 0);
	assert_int_equal(unlink(path_of("-wal")), 0);
	write_file("", junk, sizeof(junk));
	assert_int_equal(seen(STATE_VACATION, "old"), STATE_NO);
	assert_true(exists(".broken"));
	write_file("", junk, sizeof(junk));
	write_file("-journal", junk, sizeof(junk));
	check_moved_aside();
	assert_false(exists("-journal"));
}

/* The first page is whole, those behind it are not. */
static void
torn_pages_are_moved_aside(void **state)
{
	struct verdict v = VERDICT_INIT;
	const struct sqlite *sql = sqlite_load(&v);
	char junk[4096];
	sqlite3 *db;
	int fd;

	(void)state;
	assert_int_equal(mark(STATE_VACATION, "old", 60, STATE_SYNC), 0);
	assert_int_equal(sql->open_v2(path_of(""), &db, SQLITE_OPEN_READWRITE,
	    NULL), SQLITE_OK);
	assert_int_equal(sql->exec(db, "PRAGMA journal_mode = DELETE", NULL,
	    NULL, NULL), SQLITE_OK);
	sql->close(db);
	memset(junk, 0x5a, sizeof(junk));
	fd = open(path_of(""), O_WRONLY);
	assert_int_equal(file_pwrite_all(fd, junk, sizeof(junk), 4096), 0);
	assert_int_equal(file_pwrite_all(fd, junk, sizeof(junk), 8192), 0);
	file_close(&fd);
	check_moved_aside();
}

static void
another_programs_database_is_moved_aside(void **state)
{
	struct verdict v = VERDICT_INIT;
	const struct sqlite *sql = sqlite_load(&v);
	sqlite3 *db;

	(void)state;
	assert_int_equal(mark(STATE_VACATION, "old", 60, STATE_SYNC), 0);
	assert_int_equal(unlink(path_of("-wal")), 0);
	assert_int_equal(unlink(path_of("")), 0);
	write_file("", "", 0);
	assert_int_equal(sql->open_v2(path_of(""), &db, SQLITE_OPEN_READWRITE,
	    NULL), SQLITE_OK);
	assert_int_equal(sql->exec(db, "CREATE TABLE mark(x)", NULL, NULL,
	    NULL), SQLITE_OK);
	sql->close(db);
	check_moved_aside();
}

static void
a_newer_file_is_left_alone(void **state)
{
	struct verdict v = VERDICT_INIT;
	const struct sqlite *sql = sqlite_load(&v);
	sqlite3 *db;

	(void)state;
	assert_int_equal(mark(STATE_VACATION, "old", 60, STATE_SYNC), 0);
	assert_int_equal(sql->open_v2(path_of(""), &db, SQLITE_OPEN_READWRITE,
	    NULL), SQLITE_OK);
	assert_int_equal(sql->exec(db, "PRAGMA user_version = 2", NULL, NULL,
	    NULL), SQLITE_OK);
	sql->close(db);
	assert_int_equal(seen(STATE_VACATION, "old"), STATE_BROKEN);
	assert_int_equal(mark(STATE_VACATION, "x", 60, STATE_SYNC), -1);
	assert_false(exists(".broken"));
}

/* Links and other things in its place are not followed, not changed. */
static void
only_a_file_of_ours(void **state)
{
	char other[100];
	struct stat st;

	(void)state;
	(void)snprintf(other, sizeof(other), "%s/other", root);
	assert_int_equal(mark(STATE_VACATION, "k", 60, STATE_SYNC), 0);
	assert_int_equal(unlink(path_of("-wal")), 0);
	assert_int_equal(rename(path_of(""), other), 0);
	assert_int_equal(stat(other, &st), 0);

	assert_int_equal(symlink(other, path_of("")), 0);
	assert_int_equal(seen(STATE_VACATION, "k"), STATE_BROKEN);
	assert_int_equal(mark(STATE_VACATION, "k", 60, STATE_SYNC), -1);
	assert_int_equal(unlink(path_of("")), 0);

	assert_int_equal(link(other, path_of("")), 0);
	assert_int_equal(seen(STATE_VACATION, "k"), STATE_BROKEN);
	assert_int_equal(unlink(path_of("")), 0);

	assert_int_equal(mkfifo(path_of(""), 0600), 0);
	assert_int_equal(seen(STATE_VACATION, "k"), STATE_BROKEN);
	assert_int_equal(unlink(path_of("")), 0);

	assert_int_equal(mkdir(path_of(""), 0700), 0);
	assert_int_equal(mark(STATE_VACATION, "k", 60, STATE_SYNC), -1);
}

static void
over_long_names_are_refused(void **state)
{
	struct verdict v = VERDICT_INIT;
	char name[400];
	struct state *s;

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	s = state_open(root, name);
	assert_int_equal(state_seen(s, STATE_COPY, STR("k"), &v), STATE_BROKEN);
	state_close(&s);
	s = state_open(root, "../outside/x.db");
	assert_int_equal(state_prepare(s, &v), -1);
	state_close(&s);
}

static void
a_lock_held_is_no_answer(void **state)
{
	struct state_mark m = { STATE_VACATION, STR("k"), 60 };
	struct verdict v = VERDICT_INIT;
	const struct sqlite *sql = sqlite_load(&v);
	struct state *s = state_open(root, BOX);
	sqlite3 *db;

	(void)state;
	assert_int_equal(state_prepare(s, &v), 0);
	assert_int_equal(sql->open_v2(path_of(""), &db, SQLITE_OPEN_READWRITE,
	    NULL), SQLITE_OK);
	assert_int_equal(sql->exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	state_set_wait(s, 10);
	assert_int_equal(state_mark(s, &m, 1, STATE_SYNC, &v), -1);
	assert_int_equal(state_claim(s, &m, STATE_SYNC, &v), STATE_BROKEN);
	assert_int_equal(v.why, V_TROUBLE);
	/* Readers need no lock. */
	assert_int_equal(state_seen(s, STATE_VACATION, m.key, &v), STATE_NO);
	assert_int_equal(sql->exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sql->close(db);
	assert_int_equal(state_mark(s, &m, 1, STATE_SYNC, &v), 0);
	state_close(&s);
}

/* Whoever owns the home may put anything beside the table, or in its place. */
static void
programs_in_the_file_do_not_run(void **state)
{
	static const char *const programs[] = {
		"CREATE TRIGGER t AFTER INSERT ON mark BEGIN "
		    "DELETE FROM mark; END",
		"DROP TABLE mark; CREATE VIEW mark AS WITH RECURSIVE "
		    "c(kind, key, until) AS (SELECT 99, x'00', 1 UNION ALL "
		    "SELECT kind, key, until + 1 FROM c) SELECT * FROM c",
	};
	struct state_mark m = { STATE_VACATION, STR("k"), 600 };
	struct verdict v = VERDICT_INIT;
	const struct sqlite *sql = sqlite_load(&v);
	sqlite3 *db;

	(void)state;
	for (size_t i = 0; i < COUNT(programs); i++) {
		struct state *s = state_open(root, BOX);

		assert_int_equal(state_mark(s, &m, 1, STATE_SYNC, &v), 0);
		state_close(&s);
		assert_int_equal(sql->open_v2(path_of(""), &db,
		    SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
		assert_int_equal(sql->exec(db, programs[i], NULL, NULL, NULL),
		    SQLITE_OK);
		sql->close(db);
		s = state_open(root, BOX);
		m.key = STR("another");
		(void)alarm(60);	/* the view has no end */
		if (i == 0) {
			assert_int_equal(state_mark(s, &m, 1, STATE_SYNC, &v),
			    0);
			assert_int_equal(state_seen(s, STATE_VACATION, m.key,
			    &v), STATE_YES);
		} else {
			assert_int_not_equal(state_seen(s, STATE_VACATION,
			    m.key, &v), STATE_YES);
		}
		(void)alarm(0);
		state_close(&s);
	}
}

static int64_t
rows(void)
{
	struct verdict v = VERDICT_INIT;
	const struct sqlite *sql = sqlite_load(&v);
	sqlite3_stmt *st;
	sqlite3 *db;
	int64_t n;

	assert_int_equal(sql->open_v2(path_of(""), &db, SQLITE_OPEN_READWRITE,
	    NULL), SQLITE_OK);
	assert_int_equal(sql->prepare_v2(db, "SELECT count(*) FROM mark", -1,
	    &st, NULL), SQLITE_OK);
	assert_int_equal(sql->step(st), SQLITE_ROW);
	n = sql->column_int64(st, 0);
	sql->finalize(st);
	sql->close(db);
	return n;
}

static void
mark_many(struct state *s, int from, int n, int64_t seconds)
{
	struct verdict v = VERDICT_INIT;
	struct state_mark *m = calloc((size_t)n, sizeof(*m));
	char *keys = calloc((size_t)n, 16);

	assert_non_null(m);
	assert_non_null(keys);
	for (int i = 0; i < n; i++) {
		(void)snprintf(keys + 16 * i, 16, "%d", from + i);
		m[i] = (struct state_mark){ STATE_DUPLICATE,
		    str_of(keys + 16 * i), seconds + from + i };
	}
	if (state_mark(s, m, (size_t)n, STATE_NO_SYNC, &v) < 0)
		fail_msg("%s", v.detail);
	free(keys);
	free(m);
}

static void
expired_marks_are_swept(void **state)
{
	struct state *s = state_open(root, BOX);

	(void)state;
	mark_many(s, 0, 500, 1);
	assert_int_equal(rows(), 500);
	clock_set_us((NOW + 5000) * 1000000);
	mark_many(s, 1000, 1, 1);
	assert_int_equal(rows(), 501 - STATE_SWEEP);
	mark_many(s, 1001, 1, 1);
	mark_many(s, 1002, 1, 1);
	assert_int_equal(rows(), 3);
	state_close(&s);
}

/* Past the ceiling the marks that end first go, and the new one is there. */
static void
a_full_file_makes_room(void **state)
{
	struct state *s = state_open(root, BOX);
	struct stat st;
	int n = 0;
	int64_t before;

	(void)state;
	do {
		before = n ? rows() : 0;
		mark_many(s, n, 1900, 1000000);
		n += 1900;
		assert_true(n < 400000);
	} while (rows() == before + 1900);
	assert_true(n > 100000);
	assert_int_equal(state_seen(s, STATE_DUPLICATE, STR("0"), NULL), STATE_NO);
	assert_int_equal(state_seen(s, STATE_DUPLICATE, STR("50000"), NULL),
	    STATE_YES);
	state_close(&s);
	assert_int_equal(stat(path_of(""), &st), 0);
	assert_true(st.st_size <= STATE_BYTES_MAX);
}

/* Killed between the deed and the next: what was marked is there. */
static void
a_mark_outlives_its_process(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		(void)mark(STATE_REDIRECT, "k", 60, STATE_NO_SYNC);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(seen(STATE_REDIRECT, "k"), STATE_YES);
}

/* Marks one key after another and says each that is done. */
static void
mark_and_tell(int pipe_end)
{
	struct verdict v = VERDICT_INIT;
	struct state *s = state_open(root, BOX);

	for (int i = 0; ; i++) {
		char key[20];
		struct state_mark m = { .kind = STATE_REDIRECT, .seconds = 60 };

		(void)snprintf(key, sizeof(key), "key%d", i);
		m.key = str_of(key);
		if (state_mark(s, &m, 1, i & 1, &v) < 0 ||
		    write(pipe_end, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

/* Killed anywhere, in making the file too: what was said is there, and the
 * file is whole. */
static void
killed_at_any_time(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		struct pollfd p = { .events = POLLIN };
		struct verdict v = VERDICT_INIT;
		int fd[2], last = -1, i, status;
		struct state *s;
		pid_t pid;

		assert_int_equal(pipe(fd), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			mark_and_tell(fd[1]);
		file_close(&fd[1]);
		/* From the first step of making it to some marks later. */
		p.fd = fd[0];
		(void)poll(round < 12 ? NULL : &p, round >= 12,
		    (int)(round % 12) / 3);
		(void)usleep(round * 37 % 500);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(fd[0], &i, sizeof(i)) == sizeof(i))
			last = i;
		file_close(&fd[0]);
		s = state_open(root, BOX);
		for (i = 0; i <= last; i++) {
			char key[20];

			(void)snprintf(key, sizeof(key), "key%d", i);
			assert_int_equal(state_seen(s, STATE_REDIRECT,
			    str_of(key), &v), STATE_YES);
		}
		assert_int_equal(state_prepare(s, &v), 0);
		assert_null(state_repaired(s));
		state_close(&s);
		remove_tree(root);
		assert_int_equal(mkdir(root, 0700), 0);
	}
}

/* No space: told, nothing broken, and later it works. */
static void
a_full_disk_is_told(void **state)
{
	struct state_mark m = { STATE_REDIRECT, STR("k"), 60 };
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(mark(STATE_REDIRECT, "before", 60, STATE_SYNC), 0);
	pid = fork();
	if (pid == 0) {
		/* EFBIG where the disk would say ENOSPC */
		struct rlimit none = { 0, RLIM_INFINITY };
		struct verdict v = VERDICT_INIT;
		struct state *s = state_open(root, BOX);
		int r;

		(void)signal(SIGXFSZ, SIG_IGN);
		(void)setrlimit(RLIMIT_FSIZE, &none);
		r = state_mark(s, &m, 1, STATE_SYNC, &v);
		_exit(r == -1 && v.why != V_OK && !state_repaired(s) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(seen(STATE_REDIRECT, "before"), STATE_YES);
	assert_int_equal(seen(STATE_REDIRECT, "k"), STATE_NO);
	assert_int_equal(mark(STATE_REDIRECT, "k", 60, STATE_SYNC), 0);
	assert_int_equal(seen(STATE_REDIRECT, "k"), STATE_YES);
}

static void
message_names(void **state)
{
	static const char text[] = "From x\nSubject: a\n\nbody\n";
	struct source memory = { .mem = text, .fd = -1, .n = sizeof(text) - 1 };
	struct source file = { .fd = -1, .n = sizeof(text) - 1 };
	char path[100];
	struct buf key[4];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/m", root);
	file.fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(file_write_all(file.fd, text, sizeof(text) - 1), 0);
	for (size_t i = 0; i < COUNT(key); i++)
		buf_init(&key[i], 200);
	assert_int_equal(state_message_key(&memory, 0, STR("a@b"), STR("c@d"),
	    &key[0]), 0);
	assert_int_equal(state_message_key(&file, 0, STR("a@b"), STR("c@d"),
	    &key[1]), 0);
	assert_int_equal(state_message_key(&memory, 0, STR("a@bc"), STR("@d"),
	    &key[2]), 0);
	assert_int_equal(state_message_key(&memory, 7, STR("a@b"), STR("c@d"),
	    &key[3]), 0);
	assert_int_equal(key[0].n, 64);
	assert_string_equal(key[0].p, key[1].p);
	assert_string_not_equal(key[0].p, key[2].p);
	assert_string_not_equal(key[0].p, key[3].p);
	/* Shorter than it was: not our message any more. */
	assert_int_equal(ftruncate(file.fd, 5), 0);
	assert_int_equal(state_message_key(&file, 0, STR("a@b"), STR("c@d"),
	    &key[1]), -1);
	for (size_t i = 0; i < COUNT(key); i++)
		buf_release(&key[i]);
	file_close(&file.fd);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(asking_makes_nothing),
		CASE(marks_hold_until_their_end),
		CASE(directories_are_ours_alone),
		CASE(claims_are_given_once),
		CASE(claims_of_many_at_once),
		CASE(all_or_none),
		CASE(garbage_is_moved_aside),
		CASE(torn_pages_are_moved_aside),
		CASE(another_programs_database_is_moved_aside),
		CASE(a_newer_file_is_left_alone),
		CASE(only_a_file_of_ours),
		CASE(over_long_names_are_refused),
		CASE(a_lock_held_is_no_answer),
		CASE(programs_in_the_file_do_not_run),
		CASE(expired_marks_are_swept),
		CASE(a_full_file_makes_room),
		CASE(a_mark_outlives_its_process),
		CASE(killed_at_any_time),
		CASE(a_full_disk_is_told),
		CASE(message_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
