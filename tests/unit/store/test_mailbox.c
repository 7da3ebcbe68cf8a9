/* Mailboxes: what is stored, what is repaired, what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <dirent.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/buf.h"
#include "store/base/file.h"
#include "store/convert.h"
#include "store/folder.h"
#include "store/mailbox.h"
#include "tests/unit/maps.h"
#include "tests/unit/tree.h"

/* What a sync does is seen elsewhere; three thousand of them are most of the
 * time that this would take. */
int
fsync(int fd)
{
	(void)fd;
	return 0;
}

int
fdatasync(int fd)
{
	(void)fd;
	return 0;
}

static char root[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/vbox-mailbox-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	remove_tree(root);
	return 0;
}

static struct mailbox_spec
spec_of(enum mailbox_format format, const char *path)
{
	return (struct mailbox_spec){ .format = format,
	    .variant = CONTENT_MBOXRD, .root = root, .path = path,
	    .make = MAILBOX_MAY_MAKE, .dir_mode = 0700, .file_mode = 0600,
	    .lock = { .order = { MBOX_LOCK_FCNTL, MBOX_LOCK_DOTLOCK },
	    .stale_ms = 300000 }, .hostname = "host.test" };
}

static const char message[] = "Subject: x\n\nbody\n";
#define COPY "From a@b  Sat Nov 21 01:54:49 2026\nSubject: x\n\nbody\n\n"

static int
deliver_bytes(const struct mailbox_spec *spec, struct str bytes, size_t body,
    struct verdict *v)
{
	struct source src = { .mem = bytes.p, .fd = -1, .n = bytes.n };
	struct content c = { .sender = STR("a@b"), .when = 1795226089,
	    .message = &src, .body = body };

	*v = VERDICT_INIT;
	return mailbox_deliver(spec, &c, v);
}

static int
deliver(const struct mailbox_spec *spec, struct verdict *v)
{
	return deliver_bytes(spec, str_of(message), 12, v);
}

static void
path_of(const char *path, char *out, size_t size)
{
	assert_true((size_t)snprintf(out, size, "%s/%s", root, path) < size);
}

static void
put_file(const char *path, const char *text)
{
	char full[600];
	int fd;

	path_of(path, full, sizeof(full));
	fd = open(full, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static struct buf
get_file(const char *path)
{
	char full[600];
	struct buf b;
	int fd;

	buf_init(&b, 10000000);
	path_of(path, full, sizeof(full));
	fd = open(full, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(file_read_whole(fd, &b), 0);
	close(fd);
	return b;
}

static void
assert_file(const char *path, const char *want)
{
	struct buf b = get_file(path);

	assert_string_equal(b.p, want);
	buf_release(&b);
}

static unsigned
count_in(const char *path, char *last, size_t size)
{
	char full[600];
	DIR *d;
	struct dirent *e;
	unsigned n = 0;

	path_of(path, full, sizeof(full));
	d = opendir(full);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			n++;
			(void)snprintf(last, size, "%s", e->d_name);
		}
	closedir(d);
	return n;
}

static void
mbox_is_made_and_grows(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "d.test/fred");
	struct verdict v;
	struct stat st;
	char full[600];

	(void)state;
	assert_int_equal(deliver(&s, &v), 0);
	assert_int_equal(deliver(&s, &v), 0);
	assert_file("d.test/fred", COPY COPY);
	path_of("d.test/fred", full, sizeof(full));
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	path_of("d.test", full, sizeof(full));
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	s.make = MAILBOX_MUST_EXIST;
	s.path = "d.test/joe";
	assert_int_equal(deliver(&s, &v), -1);
	assert_int_equal(verdict_kind(&v), VERDICT_LATER);
}

/* A lost final line end would glue our From_ line to the last mail. */
static void
mbox_end_is_mended(void **state)
{
	static const struct {
		const char *path, *old, *want;
	} cases[] = {
		{ "a", "From x\n\nold\n\n", "From x\n\nold\n\n" COPY },
		{ "b", "From x\n\nold\n", "From x\n\nold\n\n" COPY },
		{ "c", "From x\n\nold", "From x\n\nold\n\n" COPY },
		{ "d", "\n", "\n" COPY },
		{ "e", "x", "x\n\n" COPY },
	};
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mailbox_spec s = spec_of(MAILBOX_MBOX, cases[i].path);

		put_file(cases[i].path, cases[i].old);
		assert_int_equal(deliver(&s, &v), 0);
		assert_file(cases[i].path, cases[i].want);
	}
}

/* --- torn tails ------------------------------------------------------------ */

#define LONG 20000

/* A long message of lines, in the spool's form. */
static struct str
long_message(void)
{
	static char text[LONG];
	size_t n = (size_t)snprintf(text, sizeof(text), "Subject: x\n\n");

	for (int i = 0; n + 40 < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "line %d of some text\n", i);
	return str_mem(text, n);
}

/* Leaves the mbox as a kill after `keep` bytes of the append would: the
 * record set, the tail short. Every second time the process that dies has
 * delivered before: then its copy of the message is in mapped memory. */
static void
tear(const struct mailbox_spec *s, struct str bytes, const char *old,
    uint64_t keep)
{
	struct source src = { .mem = bytes.p, .fd = -1, .n = bytes.n };
	struct content c = { .sender = STR("a@b"), .when = 1795226089,
	    .message = &src, .body = 12 };
	char full[600];
	pid_t pid;
	int status;

	path_of(s->path, full, sizeof(full));
	(void)unlink(full);
	put_file(s->path, old);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct verdict v = VERDICT_INIT;
		struct mailbox_spec other = *s;
		struct mailbox *mb = NULL;

		other.path = "other";
		for (uint64_t i = 0; keep % 2 && i < 2; i++)
			if (mailbox_deliver(&other, &c, &v) < 0)
				_exit(1);
		if (mailbox_open(s, &c, &mb, &v) < 0 ||
		    mailbox_publish(mb, &v) < 0)
			_exit(1);
		_exit(0);	/* dies with the record set */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(truncate(full, (off_t)(strlen(old) + keep)), 0);
}

#define OLD "From x  Sat Nov 21 01:54:49 2026\n\nold\n\n"

/* With the dead process's copy wherever it was torn; by the sums where a disk
 * tears. */
static void
torn_tail_is_cut(void **state)
{
	static const enum undo_place places[] = { UNDO_AUTO, UNDO_FILE };
	struct str bytes = long_message();
	struct verdict v;

	(void)state;
	for (int p = 0; p < 4; p++) {
		struct mailbox_spec s = spec_of(MAILBOX_MBOX, "torn");
		uint64_t step = p < 2 ? 97 : 512, keep = p < 2 ? 3 :
		    512 - (sizeof(OLD) - 1);

		s.undo = places[p % 2];
		s.lock.slot_dir = p < 2 ? root : NULL;
		for (; keep < bytes.n; keep += step) {
			struct buf b;

			tear(&s, bytes, OLD, keep);
			assert_int_equal(deliver(&s, &v), 0);
			b = get_file("torn");
			if (!str_eq(buf_str(&b), STR(OLD COPY)))
				fail_msg("torn after %d, %d bytes left",
				    (int)keep, (int)b.n);
			buf_release(&b);
		}
	}
}

/* What another program wrote behind the torn tail stays, to the byte. */
static void
foreign_bytes_survive(void **state)
{
	static const char *const foreign[] = {
		"From joe@x  Sat Nov 21 02:54:49 2026\nSubject: y\n\nforeign\n\n",
		"no mail at all\n", "x", "\n",
	};
	struct str bytes = long_message();
	struct verdict v;

	(void)state;
	for (size_t f = 0; f < 4; f++) {
		struct mailbox_spec s = spec_of(MAILBOX_MBOX, "torn");

		for (uint64_t keep = 3; keep < bytes.n - 60; keep += 271) {
			struct buf b;

			/* Without a copy, sums alone know a From_ line, and
			 * that no disk tears in the middle of a sector. */
			s.lock.slot_dir = keep % 2 ? root : NULL;
			tear(&s, bytes, OLD, keep);
			put_file("torn", foreign[f]);
			assert_int_equal(deliver(&s, &v), 0);
			b = get_file("torn");
			assert_true(str_starts(buf_str(&b), STR(OLD)));
			if (str_find(str_sub(buf_str(&b), sizeof(OLD) - 1 + keep,
			    b.n), str_of(foreign[f])) != 0)
				fail_msg("\"%s\" behind %d bytes is gone",
				    foreign[f], (int)keep);
			assert_true(str_ends(buf_str(&b), STR("\n" COPY)));
			buf_release(&b);
		}
	}
}

/* Another program rewrote the box after a crash of ours: what lies where our
 * message began is its business. */
static void
rewritten_box_is_left_alone(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "torn");
	struct str bytes = long_message();
	char mail[3000], full[600];
	struct verdict v;
	struct buf b;
	size_t n;

	(void)state;
	tear(&s, bytes, "From x  Sat Nov 21 01:54:49 2026\n\nold\n\n", 9000);
	path_of("torn", full, sizeof(full));
	assert_int_equal(truncate(full, 0), 0);
	n = (size_t)snprintf(mail, sizeof(mail),
	    "From y  Sat Nov 21 01:54:49 2026\n\n");
	while (n < 2500)
		n += (size_t)snprintf(mail + n, sizeof(mail) - n, "new text\n");
	put_file("torn", mail);
	assert_int_equal(deliver(&s, &v), 0);
	b = get_file("torn");
	assert_true(str_starts(buf_str(&b), str_of(mail)));
	assert_true(str_ends(buf_str(&b), STR("\n\n" COPY)));
	buf_release(&b);
}

/* The same before we have taken ours back: a file that became shorter does not
 * grow by NULs. */
static void
shorter_box_does_not_grow(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "short");
	struct source src = { .mem = message, .fd = -1,
	    .n = sizeof(message) - 1 };
	struct content c = { .sender = STR("a@b"), .when = 1795226089,
	    .message = &src, .body = 12 };
	struct mailbox *mb = NULL;
	struct verdict v;
	char full[600];
	struct buf b;

	(void)state;
	put_file("short", "From x  Sat Nov 21 01:54:49 2026\n\nold\n\n");
	path_of("short", full, sizeof(full));
	assert_int_equal(mailbox_open(&s, &c, &mb, &v), 0);
	assert_int_equal(mailbox_publish(mb, &v), 0);
	assert_int_equal(truncate(full, 0), 0);
	put_file("short", "From y\n");
	mailbox_close(&mb);
	b = get_file("short");
	assert_true(str_eq(buf_str(&b), STR("From y\n")));
	buf_release(&b);
}

/* In a process of its own, since a slot is kept: false when a step failed. */
static bool
store_together(const struct mailbox_spec *specs, size_t n, int rounds)
{
	struct source src = { .mem = message, .fd = -1,
	    .n = sizeof(message) - 1 };
	struct content c = { .sender = STR("a@b"), .when = 1795226089,
	    .message = &src, .body = 12 };
	struct mailbox *mbs[3] = { NULL };
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid > 0) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		return status == 0;
	}
	while (rounds-- > 0) {
		struct verdict v = VERDICT_INIT;
		int bad = 0;

		for (size_t i = 0; i < n; i++)
			bad |= mailbox_open(&specs[i], &c, &mbs[i], &v);
		for (size_t i = n; !bad && i-- > 0; )
			bad |= mailbox_publish(mbs[i], &v);
		for (size_t i = 0; !bad && i < n; i++)
			bad |= mailbox_sync(mbs[i], &v);
		if (bad)
			_exit(1);
		for (size_t i = 0; i < n; i++)
			mailbox_close(&mbs[i]);
	}
	_exit(0);
}

/* One message for several, round after round: the copies that a process keeps
 * for its own end must not use up the slots of all. */
static void
many_at_once_use_one_slot(void **state)
{
	static const char *const paths[] = { "a", "b", "c" };
	struct mailbox_spec specs[3];
	char name[300];

	(void)state;
	for (int i = 0; i < 3; i++) {
		specs[i] = spec_of(MAILBOX_MBOX, paths[i]);
		specs[i].lock.slot_dir = root;
	}
	assert_true(store_together(specs, 3, 5));
	for (int i = 0; i < 3; i++)
		assert_file(paths[i], COPY COPY COPY COPY COPY);
	/* N and N.copy */
	assert_int_equal(count_in("locks", name, sizeof(name)), 2);
}

/* Copies in slots that belong to appends of which nobody noted the end. */
static unsigned
count_waiting_copies(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++) {
		char path[600];
		uint32_t head[2];	/* magic, busy */
		int fd;

		(void)snprintf(path, sizeof(path), "%s/locks/%u.copy", root, i);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		if (file_pread_full(fd, head, sizeof(head), 0) ==
		    (ssize_t)sizeof(head))
			n += head[1] != 0;
		close(fd);
	}
	return n;
}

/* Killed when n of both mboxes had the message and none was synced. */
static void
die_over(const struct mailbox_spec *specs, size_t n)
{
	struct source src = { .mem = message, .fd = -1,
	    .n = sizeof(message) - 1 };
	struct content c = { .sender = STR("a@b"), .when = 1795226089,
	    .message = &src, .body = 12 };
	struct mailbox *mbs[2] = { NULL };
	struct verdict v = VERDICT_INIT;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid > 0) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		return;
	}
	for (size_t i = 0; i < 2; i++)
		if (mailbox_open(&specs[i], &c, &mbs[i], &v) < 0)
			_exit(1);
	for (size_t i = 0; i < n; i++)
		if (mailbox_publish(mbs[i], &v) < 0)
			_exit(2);
	(void)raise(SIGKILL);
	_exit(3);
}

/* Whatever became of an append that nobody ended, whole, torn or never begun:
 * its copy is for the next delivery to that mbox, and no longer. */
static void
copies_of_the_dead_do_not_stay(void **state)
{
	static const size_t lengths[] = { sizeof(COPY) - 1, 20, 0 };
	struct mailbox_spec specs[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		specs[i] = spec_of(MAILBOX_MBOX, i ? "b" : "a");
		specs[i].lock = (struct mbox_lock_how){ .slot_dir = root,
		    .order = { MBOX_LOCK_FCNTL } };
	}
	for (size_t n = 1; n <= 2; n++)
		for (size_t k = 0; k < sizeof(lengths) / sizeof(*lengths); k++) {
			char path[600];

			die_over(specs, n);
			assert_int_equal(count_waiting_copies(), 1);
			path_of("a", path, sizeof(path));
			assert_int_equal(truncate(path, (off_t)lengths[k]), 0);
			assert_true(store_together(specs, 2, 1));
			assert_int_equal(count_waiting_copies(), 0);
			assert_file("a", k == 0 ? COPY COPY : COPY);
			assert_file("b", n == 1 ? COPY : COPY COPY);
			for (int i = 0; i < 2; i++) {
				path_of(i ? "b" : "a", path, sizeof(path));
				assert_int_equal(unlink(path), 0);
			}
		}
}

static int
wait_for(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid ? status : -1;
}

#define NOT_MAPPED 3

/* 0 when it and then its own child could store `times` messages each, without
 * the child seeing what its parent keeps. */
static int
store_and_fork(const struct mailbox_spec *spec, int times, int generations)
{
	struct verdict v;
	pid_t pid;

	if (has_in_memory(".copy"))
		return 1;
	for (int i = 0; i < times; i++)
		if (deliver(spec, &v) < 0)
			return 2;
	/* From the second on. */
	if (!has_in_memory(".copy"))
		return NOT_MAPPED;
	if (generations == 1)
		return 0;
	pid = fork();
	if (pid == 0)
		_exit(store_and_fork(spec, times, generations - 1));
	return wait_for(pid) != 0 ? 4 : deliver(spec, &v) < 0 ? 5 : 0;
}

/* Filters are children, and read what strangers wrote: the mail of others is
 * not theirs to see, or to change. */
static void
children_do_not_have_the_copy(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "fred");
	pid_t pid;
	int status;

	(void)state;
	s.lock.slot_dir = root;
	pid = fork();
	if (pid == 0)
		_exit(store_and_fork(&s, 2, 2));
	status = wait_for(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_MAPPED)
		skip();		/* not on this file system */
	assert_int_equal(status, 0);
	assert_file("fred", COPY COPY COPY COPY COPY);
}

/* --- locks -------------------------------------------------------------------- */

static void
dead_locks_are_broken_and_living_ones_not(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "fred");
	struct verdict v;
	char text[40], full[600];
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	int status;
	pid_t dead = fork();

	(void)state;
	assert_true(dead >= 0);
	if (dead == 0)
		_exit(0);
	assert_int_equal(waitpid(dead, &status, 0), dead);
	path_of("fred.lock", full, sizeof(full));

	(void)snprintf(text, sizeof(text), "%d\n", (int)dead);
	put_file("fred.lock", text);
	assert_int_equal(deliver(&s, &v), 0);
	assert_int_equal(access(full, F_OK), -1);

	/* Alive and made in its lifetime: the parent of this test. */
	(void)snprintf(text, sizeof(text), "%d", (int)getppid());
	put_file("fred.lock", text);
	assert_int_equal(deliver(&s, &v), -1);
	assert_int_equal(v.why, V_BOX_BUSY);
	assert_int_equal(access(full, F_OK), 0);

	/* The same pid, but older than that process: used again. */
	assert_int_equal(utimensat(AT_FDCWD, full, old, 0), 0);
	assert_int_equal(deliver(&s, &v), 0);

	/* Nobody's: by age. */
	put_file("fred.lock", "");
	assert_int_equal(deliver(&s, &v), -1);
	assert_int_equal(v.why, V_BOX_BUSY);
	assert_int_equal(utimensat(AT_FDCWD, full, old, 0), 0);
	assert_int_equal(deliver(&s, &v), 0);

	/* Another host's, longer than liblockfile's buffer. */
	put_file("fred.lock", "1:a-host-with-a-very-long-name.example");
	assert_int_equal(deliver(&s, &v), -1);
	assert_int_equal(utimensat(AT_FDCWD, full, old, 0), 0);
	assert_int_equal(deliver(&s, &v), 0);

	/* No dotlock at all. */
	assert_int_equal(mkdir(full, 0700), 0);
	assert_int_equal(utimensat(AT_FDCWD, full, old, 0), 0);
	assert_int_equal(deliver(&s, &v), -1);
	assert_int_equal(v.why, V_BOX_BUSY);
	assert_int_equal(rmdir(full), 0);
}

static time_t
mtime_of(const char *full)
{
	struct stat st;

	assert_int_equal(stat(full, &st), 0);
	return st.st_mtime;
}

/* What takes long touches the locks that are held; one that is another's by
 * then is left alone, and nothing is written under it. */
static void
lock_held_for_long(void **state)
{
	static const enum dotlock_method methods[] = { DOTLOCK_AUTO,
	    DOTLOCK_AUTO, DOTLOCK_LIBLOCKFILE };
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct mbox_lock l;
	struct verdict v;
	char full[600];
	int dir;

	(void)state;
	path_of("fred.lock", full, sizeof(full));
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		struct mbox_lock_how how = { .order = { MBOX_LOCK_DOTLOCK },
		    .method = methods[i], .stale_ms = 300000,
		    .slot_dir = i == 1 ? root : NULL };

		mbox_lock_init(&l);
		assert_int_equal(mbox_lock_take(&l, dir, "fred", -1, &how, &v), 0);
		assert_int_equal(utimensat(AT_FDCWD, full, old, 0), 0);
		mbox_locks_refresh();
		assert_int_equal(mtime_of(full), 1000);	/* not yet */
		l.refreshed_ms -= MBOX_LOCK_REFRESH_MS;
		mbox_locks_refresh();
		assert_true(mtime_of(full) > 1000);
		l.seen_ms -= 3600000;
		assert_true(mbox_lock_held(&l));

		put_file("theirs", "");
		assert_int_equal(renameat(dir, "theirs", dir, "fred.lock"), 0);
		assert_int_equal(utimensat(AT_FDCWD, full, old, 0), 0);
		l.seen_ms -= 3600000;
		l.refreshed_ms -= 3600000;
		mbox_locks_refresh();
		assert_int_equal(mtime_of(full), 1000);
		assert_false(mbox_lock_held(&l));
		mbox_lock_release(&l);
		assert_int_equal(mtime_of(full), 1000);
		assert_int_equal(unlink(full), 0);
		mbox_locks_refresh();	/* none is held: no crash */

		/* Nor does the file system give theirs the number that ours
		 * had. */
		assert_int_equal(mbox_lock_take(&l, dir, "fred", -1, &how, &v), 0);
		assert_int_equal(unlink(full), 0);
		put_file("fred.lock", "");
		l.seen_ms -= 3600000;
		assert_false(mbox_lock_held(&l));
		mbox_lock_release(&l);
		assert_int_equal(unlink(full), 0);
	}
	assert_int_equal(close(dir), 0);
}

/* With "a" locked, "b" is waited for until the slot's pid is old: is "c" locked
 * by the slot afterwards? */
static bool
slot_serves_after_wait(void)
{
	struct mbox_lock_how how = { .order = { MBOX_LOCK_DOTLOCK },
	    .stale_ms = 300000, .timeout_ms = 2500, .slot_dir = root };
	struct mbox_lock a, b, c;
	struct verdict v;
	struct stat st;
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good;

	mbox_lock_init(&a);
	mbox_lock_init(&b);
	mbox_lock_init(&c);
	good = mbox_lock_take(&a, dir, "a", -1, &how, &v) == 0 &&
	    mbox_lock_take(&b, dir, "b", -1, &how, &v) < 0 &&
	    v.why == V_BOX_BUSY;
	mbox_lock_release(&a);
	good = good && mbox_lock_take(&c, dir, "c", -1, &how, &v) == 0 &&
	    fstatat(dir, "c.lock", &st, 0) == 0 && st.st_nlink == 2;
	mbox_lock_release(&c);
	return good;
}

static void
slot_outlives_a_wait(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	put_file("b.lock", "1\n");	/* of a living process */
	pid = fork();
	if (pid == 0)
		_exit(slot_serves_after_wait() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A large mbox takes minutes to convert. */
static void
convert_keeps_lock_young(void **state)
{
	static const char *const dirs[] = { "md", "md/cur", "md/new", "md/tmp" };
	struct mbox_lock_how lock_how = { .order = { MBOX_LOCK_DOTLOCK },
	    .stale_ms = 300000 };
	struct convert_how how = { .variant = CONTENT_MBOXRD,
	    .file_mode = 0600, .hostname = "host" };
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct convert_count count = { 0 };
	struct mbox_lock l;
	struct verdict v;
	char full[600];
	int dir, box, maildir;

	(void)state;
	put_file("box", "From a@b Thu Jan  1 00:00:00 1970\nA: b\n\nc\n\n");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		path_of(dirs[i], full, sizeof(full));
		assert_int_equal(mkdir(full, 0700), 0);
	}
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	box = openat(dir, "box", O_RDONLY | O_CLOEXEC);
	maildir = openat(dir, "md", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0 && box >= 0 && maildir >= 0);
	mbox_lock_init(&l);
	assert_int_equal(mbox_lock_take(&l, dir, "box", box, &lock_how, &v), 0);
	path_of("box.lock", full, sizeof(full));
	assert_int_equal(utimensat(AT_FDCWD, full, old, 0), 0);
	l.refreshed_ms -= MBOX_LOCK_REFRESH_MS;
	assert_int_equal(convert_to_maildir(box, maildir, &how, &count, &v), 0);
	assert_int_equal(count.messages, 1);
	assert_true(mtime_of(full) > 1000);
	mbox_lock_release(&l);
	assert_int_equal(close(maildir), 0);
	assert_int_equal(close(box), 0);
	assert_int_equal(close(dir), 0);
}

static void
liblockfile_serves_too(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "fred");
	struct verdict v;
	char full[600];

	(void)state;
	s.lock.method = DOTLOCK_LIBLOCKFILE;
	assert_int_equal(deliver(&s, &v), 0);
	assert_file("fred", COPY);
	path_of("fred.lock", full, sizeof(full));
	assert_int_equal(access(full, F_OK), -1);
	put_file("fred.lock", "1\n");
	assert_int_equal(deliver(&s, &v), -1);
	assert_int_equal(v.why, V_BOX_BUSY);
	assert_file("fred.lock", "1\n");
}

/* A classic fcntl lock of another program excludes us, and nothing of ours
 * is left behind while we wait. */
static void
fcntl_of_others_is_respected(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "fred");
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2], end[2], status;
	struct verdict v;
	char full[600], byte;
	pid_t pid;

	(void)state;
	put_file("fred", "");
	path_of("fred", full, sizeof(full));
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(full, O_RDWR);

		close(end[1]);
		if (fcntl(fd, F_SETLK, &fl) < 0)
			_exit(1);
		if (write(ready[1], "x", 1) != 1 || read(end[0], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	close(end[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	for (int reverse = 0; reverse < 2; reverse++) {
		s.lock.order[reverse] = MBOX_LOCK_FCNTL;
		s.lock.order[!reverse] = MBOX_LOCK_DOTLOCK;
		s.lock.timeout_ms = 20;
		assert_int_equal(deliver(&s, &v), -1);
		assert_int_equal(v.why, V_BOX_BUSY);
		path_of("fred.lock", full, sizeof(full));
		assert_int_equal(access(full, F_OK), -1);
	}
	close(end[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(deliver(&s, &v), 0);
	assert_file("fred", COPY);
	close(ready[0]);
	close(ready[1]);
}

/* --- in its place (M10) --------------------------------------------------------- */

static void
what_is_no_box_is_not_written(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MBOX, "d/box");
	char full[600], other[600];
	struct verdict v;
	struct buf b;

	(void)state;
	path_of("d", full, sizeof(full));
	assert_int_equal(mkdir(full, 0700), 0);
	put_file("target", "untouched");
	path_of("d/box", full, sizeof(full));
	path_of("target", other, sizeof(other));

	for (int kind = 0; kind < 8; kind++) {
		switch (kind) {
		case 0:
			assert_int_equal(symlink(other, full), 0);
			break;
		case 1:
			assert_int_equal(symlink("nowhere", full), 0);
			break;
		case 2:
			assert_int_equal(link(other, full), 0);
			break;
		case 3:
			assert_int_equal(mkfifo(full, 0600), 0);
			break;
		case 4:
			assert_int_equal(mkdir(full, 0700), 0);
			break;
		case 5:
			put_file("d/box", "");
			assert_int_equal(chmod(full, 0666), 0);
			break;
		case 6:	/* the parent is everybody's */
			put_file("d/box", "");
			path_of("d", full, sizeof(full));
			assert_int_equal(chmod(full, 0777), 0);
			break;
		case 7:	/* or its group's */
			put_file("d/box", "");
			assert_int_equal(chmod(full, 0770), 0);
			break;
		default:
			break;
		}
		if (deliver(&s, &v) == 0 || v.why != V_BOX_UNSAFE)
			fail_msg("kind %d: %s %s", kind, verdict_word(&v),
			    v.detail);
		if (kind < 6 && unlink(full) < 0)
			assert_int_equal(rmdir(full), 0);
		if (kind == 6)
			assert_int_equal(chmod(full, 0700), 0);
	}
	b = get_file("target");
	assert_string_equal(b.p, "untouched");
	buf_release(&b);
	s.trust = MAILBOX_TRUST_GROUP;
	assert_int_equal(deliver(&s, &v), 0);
}

/* --- Maildir ----------------------------------------------------------------------- */

static void
maildir_gets_a_whole_message(void **state)
{
	struct mailbox_spec s = spec_of(MAILBOX_MAILDIR, "d/fred/Maildir");
	char name[300], path[700];
	struct verdict v;

	(void)state;
	assert_int_equal(deliver(&s, &v), 0);
	assert_int_equal(count_in("d/fred/Maildir/new", name, sizeof(name)), 1);
	assert_non_null(strstr(name, ".host.test,S=17,W=20"));
	(void)snprintf(path, sizeof(path), "d/fred/Maildir/new/%s", name);
	assert_file(path, message);
	assert_int_equal(count_in("d/fred/Maildir/tmp", name, sizeof(name)), 0);
	assert_int_equal(count_in("d/fred/Maildir/cur", name, sizeof(name)), 0);
	s.folder = ".Sent";
	s.flags = MAILBOX_SEEN | MAILBOX_FLAGGED;
	assert_int_equal(deliver(&s, &v), 0);
	assert_int_equal(count_in("d/fred/Maildir/.Sent/cur", name,
	    sizeof(name)), 1);
	assert_true(str_ends(str_of(name), STR(":2,FS")));
	assert_file("d/fred/Maildir/.Sent/maildirfolder", "");
}

/* S= and W=, which Dovecot believes: size, and size with CRLF line ends. */
static void
maildir_names_tell_sizes(void **state)
{
	static const size_t sizes[] = { 1, 2, 15, 16, 17, 31, 32, 33, 200, 2033,
	    4095, 4096, 4097, 10000, 65535, 65536, 65537, 200000 };
	uint32_t seed = 7;

	(void)state;
	for (size_t i = 0; i < 4 * sizeof(sizes) / sizeof(*sizes); i++) {
		struct mailbox_spec s = spec_of(MAILBOX_MAILDIR, "sizes");
		size_t n = sizes[i / 4], crlf = 0;
		char name[300], want[60], path[700];
		struct verdict v = VERDICT_INIT;
		struct buf text, got;

		s.keep_bytes = i % 2;
		buf_init(&text, n);
		for (size_t k = 0; k < n; k++) {
			seed = seed * 1664525 + 1013904223;
			buf_addc(&text, i % 4 < 2 ? "\r\n\nx"[seed >> 24 & 3] :
			    (char)(seed >> 24));
			if (text.p[k] == '\n' && (k == 0 || text.p[k - 1] != '\r'))
				crlf++;
		}
		/* All of it a body: the header is another test's. */
		assert_int_equal(deliver_bytes(&s, buf_str(&text), 0, &v), 0);
		assert_int_equal(count_in("sizes/new", name, sizeof(name)), 1);
		(void)snprintf(path, sizeof(path), "sizes/new/%s", name);
		got = get_file(path);
		/* A blank line stands in for the header that is not there. */
		assert_int_equal(got.n, n + 1);
		assert_memory_equal(got.p + 1, text.p, n);
		(void)snprintf(want, sizeof(want), ",S=%zu,W=%zu", got.n,
		    got.n + 1 + crlf);
		assert_true(str_ends(str_of(name), str_of(want)));
		path_of(path, name, sizeof(name));
		assert_int_equal(unlink(name), 0);
		buf_release(&got);
		buf_release(&text);
	}
}

static void
maildir_follows_no_link(void **state)
{
	static const char *const parts[] = { "tmp", "new" };
	struct mailbox_spec s = spec_of(MAILBOX_MAILDIR, "fred");
	char full[600], name[300];
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		path_of("fred", full, sizeof(full));
		remove_tree(full);
		assert_int_equal(mkdir(full, 0700), 0);
		path_of("elsewhere", full, sizeof(full));
		(void)mkdir(full, 0700);
		(void)snprintf(full, sizeof(full), "%s/fred/%s", root, parts[i]);
		assert_int_equal(symlink("../elsewhere", full), 0);
		assert_int_equal(deliver(&s, &v), -1);
		assert_int_equal(v.why, V_BOX_UNSAFE);
		assert_int_equal(count_in("elsewhere", name, sizeof(name)), 0);
	}
}

static void
folders_have_names_as_dovecot_reads_them(void **state)
{
	static const struct {
		enum mailbox_format format;
		const char *name, *want;	/* NULL: refused */
	} cases[] = {
		{ MAILBOX_MAILDIR, "Work", ".Work" },
		{ MAILBOX_MAILDIR, "Work/2026", ".Work.2026" },
		{ MAILBOX_MAILDIR, "INBOX.Work", ".Work" },
		{ MAILBOX_MAILDIR, "Entw\xc3\xbcrfe & mehr", ".Entw&APw-rfe &- mehr" },
		{ MAILBOX_MAILDIR, "\xe5\x8f\xb0\xe5\x8c\x97", ".&U,BTFw-" },
		{ MAILBOX_MBOX, "Work/2026", "Work/2026" },
		{ MAILBOX_MBOX, "a.b", "a.b" },
		{ MAILBOX_MBOX, "INBOX/x", "x" },
		{ MAILBOX_MBOX, "\xf0\x9f\x98\x80", "&2D3eAA-" },
		{ MAILBOX_MBOX, "../x", NULL }, { MAILBOX_MBOX, "a/../b", NULL },
		{ MAILBOX_MBOX, "/etc/passwd", NULL }, { MAILBOX_MBOX, "a//b", NULL },
		{ MAILBOX_MBOX, "a/", NULL }, { MAILBOX_MBOX, ".hidden", NULL },
		{ MAILBOX_MBOX, "x.lock", NULL }, { MAILBOX_MBOX, "", NULL },
		{ MAILBOX_MBOX, "a\nb", NULL }, { MAILBOX_MBOX, "\xff", NULL },
		{ MAILBOX_MBOX, "~root", NULL }, { MAILBOX_MAILDIR, "a..b", NULL },
		{ MAILBOX_MAILDIR, "..", NULL }, { MAILBOX_MAILDIR, "a/../b", NULL },
	};
	struct verdict v = VERDICT_INIT;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int r = folder_path(cases[i].format, str_of(cases[i].name), &out,
		    &v);

		if (cases[i].want ? r != 0 || strcmp(out.p, cases[i].want) != 0 :
		    r == 0)
			fail_msg("%s: %s", cases[i].name, r ? v.detail : out.p);
	}
	assert_true(folder_is_inbox(STR("inBox")));
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_ROOT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		WITH_ROOT(mbox_is_made_and_grows),
		WITH_ROOT(mbox_end_is_mended),
		WITH_ROOT(torn_tail_is_cut),
		WITH_ROOT(foreign_bytes_survive),
		WITH_ROOT(rewritten_box_is_left_alone),
		WITH_ROOT(shorter_box_does_not_grow),
		WITH_ROOT(many_at_once_use_one_slot),
		WITH_ROOT(children_do_not_have_the_copy),
		WITH_ROOT(copies_of_the_dead_do_not_stay),
		WITH_ROOT(dead_locks_are_broken_and_living_ones_not),
		WITH_ROOT(lock_held_for_long),
		WITH_ROOT(slot_outlives_a_wait),
		WITH_ROOT(convert_keeps_lock_young),
		WITH_ROOT(liblockfile_serves_too),
		WITH_ROOT(fcntl_of_others_is_respected),
		WITH_ROOT(what_is_no_box_is_not_written),
		WITH_ROOT(maildir_gets_a_whole_message),
		WITH_ROOT(maildir_names_tell_sizes),
		WITH_ROOT(maildir_follows_no_link),
		WITH_ROOT(folders_have_names_as_dovecot_reads_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
