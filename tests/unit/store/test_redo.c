/* The redo log: what was said to be stored is there after a power cut. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/redo_aside.h"
#include "store/redo_format.h"
#include "store/redo_replay.h"
#include "tests/unit/tree.h"

#define SIZE REDO_SIZE_LEAST
#define SLOTS 16

static char top[64], state_dir[80], mail[80];
static struct redo *log_;
static unsigned count;
/* What a replay said of each copy, in order. */
static enum redo_outcome outcomes[64];
static size_t outcome_count;
static char last_aside[REDO_ASIDE_NAME];

static void
open_log(void)
{
	struct verdict v = VERDICT_INIT;

	if (redo_open(state_dir, SIZE, SLOTS, &log_, &v) < 0)
		fail_msg("%s", v.detail);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(top, "/var/tmp/vbox-redo-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
	(void)snprintf(mail, sizeof(mail), "%s/mail", top);
	count = 0;
	return mkdir(state_dir, 0700) < 0 || mkdir(mail, 0700) < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	redo_close(&log_);
	remove_tree(top);
	return 0;
}

/* A log in use; false, and the test is skipped, where it cannot be. */
static bool
begin_log(void)
{
	struct verdict v = VERDICT_INIT;

	open_log();
	assert_int_equal(redo_state(log_), REDO_CLEAN);
	if (redo_start(log_, &v) == 0)
		return true;
	assert_int_equal(v.why, V_CONFIG);
	print_message("skipped: %s\n", v.detail);
	return false;
}

static struct mailbox_spec
spec_of(enum mailbox_format format, const char *path)
{
	return (struct mailbox_spec){ .format = format,
	    .variant = CONTENT_MBOXRD, .root = mail, .path = path,
	    .make = MAILBOX_MAY_MAKE, .dir_mode = 0700, .file_mode = 0600,
	    .sync = MAILBOX_NO_SYNC, .hostname = "h", .keep_bytes = true,
	    .lock = { .order = { MBOX_LOCK_FCNTL, MBOX_LOCK_DOTLOCK },
	    .timeout_ms = 30000, .stale_ms = 300000 } };
}

/* As the kernel has it: what went wrong is told once. */
static int datasync_error;
static bool stop_in_datasync;
/* Or once for each opening of the file: how many errors there were, and how
 * many were told stands in the opening's position. */
static _Atomic off_t *disk_errors;
static bool stop_when_told;

int
fdatasync(int fd)
{
	if (stop_in_datasync)
		(void)raise(SIGSTOP);
	if (datasync_error) {
		errno = datasync_error;
		datasync_error = 0;
		return -1;
	}
	if (disk_errors && lseek(fd, 0, SEEK_CUR) < *disk_errors) {
		assert_int_equal(lseek(fd, *disk_errors, SEEK_SET),
		    *disk_errors);
		if (stop_when_told)
			(void)raise(SIGSTOP);
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* Somebody stops us where we write our own record, or those of others. */
static bool stop_in_pwritev, stop_in_pwrite;

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	if (stop_in_pwritev) {
		stop_in_pwritev = false;
		(void)raise(SIGSTOP);
	}
	return syscall(SYS_pwritev, fd, iov, n, at, 0);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (stop_in_pwrite && n % REDO_PAGE == 0) {
		stop_in_pwrite = false;
		(void)raise(SIGSTOP);
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

static bool taken_back;	/* the next delivery says that it failed after all */

/* Delivers a message through the log, as lda/delivery does. */
static bool
deliver(unsigned slot, enum mailbox_format format, const char *path,
    unsigned flags, const char *body)
{
	struct mailbox_spec spec = spec_of(format, path);
	struct content content = { .sender = STR("a@b"), .when = 1000000000 };
	struct verdict v = VERDICT_INIT;
	struct redo_copy copy;
	struct mailbox *mb = NULL;
	char head[128], text[128], mark[64];
	struct source source = { .mem = text, .fd = -1 };
	uint64_t place;
	bool ok;

	count++;
	(void)snprintf(head, sizeof(head), "Received: by x\n\tid %d.%u\n\tfor "
	    "y\n", (int)getpid(), count);
	(void)snprintf(mark, sizeof(mark), "\n\tid %d.%u\n", (int)getpid(),
	    count);
	(void)snprintf(text, sizeof(text), "Subject: s\n\n%s\nend of %d.%u\n",
	    body, (int)getpid(), count);
	content.head = str_of(head);
	content.message = &source;
	source.n = strlen(text);
	content.body = 12;
	spec.flags = flags;
	if (mailbox_open(&spec, &content, &mb, &v) < 0 ||
	    mailbox_settle(mb, &v) < 0 || (!mailbox_redo_first(mb) &&
	    mailbox_publish(mb, &v) < 0) ||
	    !mailbox_redo(mb, &copy))
		fail_msg("%s", v.detail);
	/* Not while another one adds the file system. */
	for (int64_t end = clock_mono_ms() + 10000; !redo_covers(log_, &copy); )
		assert_true(clock_mono_ms() < end);
	copy.mark = str_of(mark);
	ok = redo_begin(log_, slot);
	place = ok ? redo_add(log_, &copy, 1) : 0;
	ok = place && redo_commit(log_);
	assert_int_equal(mailbox_publish(mb, &v), 0);
	if (taken_back)
		redo_void(log_, place);
	redo_end(log_, slot);
	assert_int_equal(mailbox_sync(mb, &v), 0);
	mailbox_close(&mb);
	return ok;
}

static char *
read_file(const char *path, size_t *n_r)
{
	static char text[1 << 16];
	char name[400];
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s/%s", mail, path);
	f = fopen(name, "r");
	*n_r = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	if (f)
		fclose(f);
	text[*n_r] = '\0';
	return text;
}

static void
write_file(const char *path, const char *text, size_t n)
{
	char name[400];
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s/%s", mail, path);
	f = fopen(name, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* The machine goes down: the log is as it was left, and this is another
 * boot. */
static void
power_cut(void)
{
	struct redo *r;

	redo_close(&log_);
	open_log();
	r = log_;
	memset(r->boot, 0, sizeof(r->boot));
	strcpy(r->boot, "another boot");
	for (unsigned i = 0; i < 2; i++)
		if (r->head[i].state == REDO_SEGMENT_ACTIVE)
			assert_int_equal(redo_write_head(r, i,
			    REDO_SEGMENT_ACTIVE), 0);
	redo_close(&log_);
	open_log();
}

static void
told(void *arg, const struct redo_copy *c, enum redo_outcome outcome,
    const char *aside, const struct verdict *why)
{
	(void)arg;
	(void)c;
	(void)why;
	outcomes[outcome_count++ % 64] = outcome;
	if (outcome == REDO_SET_ASIDE)
		(void)snprintf(last_aside, sizeof(last_aside), "%s", aside);
}

static void
replay(void)
{
	struct redo_how how = { .lock_timeout_ms = 30000, .stale_ms = 300000,
	    .hostname = "h", .told = told };
	struct verdict v = VERDICT_INIT;

	outcome_count = 0;
	assert_int_equal(redo_state(log_), REDO_TORN);
	if (redo_replay(log_, &how, &v) < 0)
		fail_msg("%s", v.detail);
	assert_int_equal(redo_state(log_), REDO_CLEAN);
	/* As the files have it, too. */
	redo_close(&log_);
	open_log();
	assert_int_equal(redo_state(log_), REDO_CLEAN);
}

static char box[1 << 16];
static size_t box_n;

static void
remember(const char *path)
{
	memcpy(box, read_file(path, &box_n), sizeof(box));
}

static void
is_as_remembered(const char *path)
{
	size_t n;
	const char *p = read_file(path, &n);

	assert_int_equal(n, box_n);
	assert_memory_equal(p, box, n);
}

/* --- mbox -------------------------------------------------------------------------- */

static void
an_mbox_of_any_length_becomes_whole(void **state)
{
	size_t first;

	(void)state;
	for (size_t left = 0; ; left += 7) {
		redo_close(&log_);
		if (!begin_log())
			return;
		write_file("fred", "", 0);
		assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
		(void)read_file("fred", &first);
		assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "two"));
		assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "three"));
		remember("fred");
		power_cut();
		if (left > box_n)
			break;
		write_file("fred", box, left);
		replay();
		is_as_remembered("fred");
		assert_int_equal(outcome_count, 3);
		assert_int_equal(outcomes[0], left >= first ? REDO_THERE :
		    REDO_MENDED);
		assert_int_equal(outcomes[2], left == box_n ? REDO_THERE :
		    REDO_MENDED);
	}
	replay();
}

static void
holes_of_zeros_are_filled(void **state)
{
	char torn[1 << 16];

	(void)state;
	if (!begin_log())
		return;
	write_file("fred", "From x Mon\n\nold\n\n", 17);
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "two"));
	remember("fred");
	power_cut();
	memcpy(torn, box, box_n);
	memset(torn + 30, 0, 60);
	memset(torn + box_n - 20, 0, 20);
	write_file("fred", torn, box_n);
	replay();
	is_as_remembered("fred");
	assert_int_equal(outcomes[0], REDO_MENDED);
	assert_int_equal(outcomes[1], REDO_MENDED);
}

/* Another program had written what is before the message, and the disk has
 * not: whatever is there, the message begins at the start of a line, behind a
 * blank one. */
static void
a_message_stands_apart(void **state)
{
	static const struct {
		const char *old;	/* 17 bytes */
		size_t n;		/* of the message that are there */
		enum redo_outcome want;
	} cases[] = {
		{ "From x Mon\n\nold\n\n", 5000, REDO_THERE },
		{ "From x Mon\n\n\0\0\0\0\0", 5000, REDO_THERE },
		{ "From x Mon\n\n\0\0\0\0\0", 20, REDO_MENDED },
		{ "From x Mon\n\n\0\0\0\0\0", 0, REDO_ADDED },
		{ "From x Mon\n\nold  ", 5000, REDO_ADDED },
		{ "From x Mon\n\nold  ", 20, REDO_ADDED },
		{ "From x Mon\n\nold\n ", 0, REDO_ADDED },
	};
	char torn[1 << 16], *text, *at;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!begin_log())
			return;
		write_file("fred", "From x Mon\n\nold\n\n", 17);
		assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
		remember("fred");
		power_cut();
		memcpy(torn, cases[i].old, 17);
		memcpy(torn + 17, box + 17, box_n - 17);
		write_file("fred", torn, cases[i].n > box_n - 17 ? box_n :
		    17 + cases[i].n);
		replay();
		assert_int_equal(outcome_count, 1);
		assert_int_equal(outcomes[0], cases[i].want);
		text = read_file("fred", &n);
		/* The last thing in the box, whole. */
		at = text + n - (box_n - 17);
		assert_memory_equal(at, box + 17, box_n - 17);
		assert_memory_equal(at - 2, "\n\n", 2);
		assert_int_equal(memchr(text, '\0', n) != NULL, false);
		redo_close(&log_);
	}
}

static void
line_ends_that_were_missing_come_back(void **state)
{
	(void)state;
	if (!begin_log())
		return;
	write_file("fred", "From x Mon\n\nno line end", 23);
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	remember("fred");
	power_cut();
	write_file("fred", box, 23);
	replay();
	is_as_remembered("fred");
}

static void
a_box_that_lost_its_directory_is_made(void **state)
{
	char dir[200];

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "d.test/fred", 0, "one"));
	remember("d.test/fred");
	power_cut();
	(void)snprintf(dir, sizeof(dir), "%s/d.test", mail);
	remove_tree(dir);
	replay();
	is_as_remembered("d.test/fred");
	assert_int_equal(outcomes[0], REDO_MENDED);
}

/* A reader has removed what was before, or written into the header. */
static void
what_a_reader_has_moved_is_found(void **state)
{
	char changed[1 << 16];
	const char *received;
	size_t n;

	(void)state;
	if (!begin_log())
		return;
	write_file("fred", "From x Mon\n\nold and long mail, which goes\n\n", 43);
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	remember("fred");
	power_cut();
	received = strstr(box + 43, "Subject:");
	assert_non_null(received);
	n = (size_t)(received - box) - 43;
	memcpy(changed, box + 43, n);
	memcpy(changed + n, "X-UID: 7\nStatus: O\n", 19);
	memcpy(changed + n + 19, received, box_n - 43 - n);
	write_file("fred", changed, box_n - 43 + 19);
	replay();
	assert_int_equal(outcome_count, 1);
	assert_int_equal(outcomes[0], REDO_THERE);
	assert_memory_equal(read_file("fred", &n), changed, box_n - 43 + 19);
	assert_int_equal(n, box_n - 43 + 19);
}

/* Mail came before the replay, behind a torn tail: the tail is not taken for
 * the message. */
static void
behind_other_mail_it_is_added_once(void **state)
{
	static const char other[] = "From y Mon\n\nother\n\n";
	char torn[1 << 16];
	const char *p, *again;
	size_t n, cut;

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	remember("fred");
	power_cut();
	cut = box_n - 25;
	memcpy(torn, box, cut);
	memcpy(torn + cut, other, sizeof(other) - 1);
	write_file("fred", torn, cut + sizeof(other) - 1);
	replay();
	assert_int_equal(outcomes[0], REDO_ADDED);
	p = read_file("fred", &n);
	assert_memory_equal(p, torn, cut + sizeof(other) - 1);
	again = p + cut + sizeof(other) - 1;
	assert_int_equal(p + n - again, box_n);
	assert_memory_equal(again, box, box_n);
	/* Another power cut, before the log was marked: it is found. */
	redo_close(&log_);
	open_log();
	log_->head[1].state = REDO_SEGMENT_ACTIVE;
	strcpy(log_->boot, "a third boot");
	assert_int_equal(redo_write_head(log_, 1, REDO_SEGMENT_ACTIVE), 0);
	redo_close(&log_);
	open_log();
	replay();
	assert_int_equal(outcome_count, 1);
	assert_int_equal(outcomes[0], REDO_THERE);
}

/* --- Maildir ------------------------------------------------------------------------ */

/* The only file of a directory; its name below `mail`. */
static const char *
only_file(const char *dir)
{
	static char name[512];
	char path[300];
	struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/%s", mail, dir);
	name[0] = '\0';
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.') {
			assert_string_equal(name, "");
			(void)snprintf(name, sizeof(name), "%s/%s", dir,
			    e->d_name);
		}
	if (d)
		closedir(d);
	return name;
}

static void
a_maildir_gets_back_what_is_missing(void **state)
{
	char name[512], path[600];

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MAILDIR, "m", 0, "one"));
	strcpy(name, only_file("m/new"));
	remember(name);
	assert_true(box_n > 20);
	power_cut();
	(void)snprintf(path, sizeof(path), "%s/%s", mail, name);
	assert_int_equal(unlink(path), 0);
	replay();
	assert_int_equal(outcomes[0], REDO_MENDED);
	assert_string_equal(only_file("m/new"), name);
	is_as_remembered(name);
	assert_string_equal(only_file("m/tmp"), "");
}

static void
an_empty_file_is_filled(void **state)
{
	char name[512];

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MAILDIR, "m", MAILBOX_SEEN, "one"));
	strcpy(name, only_file("m/cur"));
	remember(name);
	power_cut();
	write_file(name, "", 0);
	replay();
	assert_int_equal(outcomes[0], REDO_MENDED);
	assert_string_equal(only_file("m/cur"), name);
	assert_string_equal(only_file("m/new"), "");
	is_as_remembered(name);
}

static void
what_a_reader_took_to_cur_stays_there(void **state)
{
	char name[512], from[600], to[700], moved[600];

	(void)state;
	for (int emptied = 0; emptied < 2; emptied++) {
		redo_close(&log_);
		if (!begin_log())
			return;
		(void)snprintf(to, sizeof(to), "%s/m", mail);
		remove_tree(to);
		assert_true(deliver(0, MAILBOX_MAILDIR, "m", 0, "one"));
		strcpy(name, only_file("m/new"));
		remember(name);
		power_cut();
		(void)snprintf(from, sizeof(from), "%s/%s", mail, name);
		(void)snprintf(moved, sizeof(moved), "m/cur/%s:2,RS", name + 6);
		(void)snprintf(to, sizeof(to), "%s/%s", mail, moved);
		assert_int_equal(rename(from, to), 0);
		if (emptied)
			write_file(moved, "", 0);
		replay();
		assert_int_equal(outcomes[0], emptied ? REDO_MENDED :
		    REDO_THERE);
		assert_string_equal(only_file("m/new"), "");
		assert_string_equal(only_file("m/cur"), moved);
		is_as_remembered(moved);
	}
}

/* --- the log ----------------------------------------------------------------------------- */

static void
what_has_no_place_is_set_aside(void **state)
{
	char path[300];
	struct stat st;
	size_t n;

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	assert_true(deliver(0, MAILBOX_MBOX, "anna", 0, "two"));
	remember("fred");
	power_cut();
	(void)snprintf(path, sizeof(path), "%s/fred", mail);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	replay();
	assert_int_equal(outcomes[0], REDO_SET_ASIDE);
	assert_int_equal(outcomes[1], REDO_THERE);
	assert_int_equal(outcome_count, 2);
	(void)snprintf(path, sizeof(path), "%s/" REDO_DIR "/" REDO_ASIDE,
	    state_dir);
	assert_int_equal(stat(path, &st), 0);
	(void)snprintf(path, sizeof(path), "../state/" REDO_DIR "/" REDO_ASIDE
	    "/%s", last_aside);
	is_as_remembered(path);
	(void)read_file("anna", &n);
	assert_true(n > 0);
}

static char kept_names[8][REDO_ASIDE_NAME];
static size_t kept_count, kept_unknown;

static int
take_kept(void *arg, const struct redo_kept *kept)
{
	(void)arg;
	assert_true(kept->bytes > 0 && kept->when > 0);
	if (!kept->copy)
		kept_unknown++;
	else
		assert_string_equal(kept->copy->spec.root, mail);
	(void)snprintf(kept_names[kept_count++ % 8], REDO_ASIDE_NAME, "%s",
	    kept->name);
	return 0;
}

static void
list_kept(size_t want)
{
	struct verdict v = VERDICT_INIT;

	kept_count = kept_unknown = 0;
	if (redo_aside_walk(state_dir, take_kept, NULL, &v) < 0)
		fail_msg("%s", v.detail);
	assert_int_equal(kept_count, want);
}

static int
restore(const char *name)
{
	struct redo_how how = { .lock_timeout_ms = 30000, .stale_ms = 300000,
	    .hostname = "h", .told = told };
	struct verdict v = VERDICT_INIT;

	outcome_count = 0;
	return redo_aside_restore(state_dir, name, &how, &v);
}

/* Two messages that are set aside, since a directory stands in the way. */
static bool
set_two_aside(enum mailbox_format format)
{
	char path[300], away[320];

	if (!begin_log())
		return false;
	assert_true(deliver(0, format, "fred", MAILBOX_FLAGGED, "one"));
	assert_true(deliver(0, format, "fred", 0, "two"));
	if (format == MAILBOX_MBOX)
		remember("fred");
	power_cut();
	(void)snprintf(path, sizeof(path), "%s/fred", mail);
	(void)snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	if (format == MAILBOX_MBOX)
		assert_int_equal(mkdir(path, 0700), 0);
	else
		write_file("fred", "x", 1);
	list_kept(0);
	replay();
	assert_int_equal(outcome_count, 2);
	assert_int_equal(outcomes[0], REDO_SET_ASIDE);
	assert_int_equal(outcomes[1], REDO_SET_ASIDE);
	list_kept(2);
	assert_int_equal(kept_unknown, 0);
	/* It is still in the way. */
	assert_int_equal(restore(kept_names[0]), -1);
	list_kept(2);
	assert_int_equal(format == MAILBOX_MBOX ? rmdir(path) : unlink(path),
	    0);
	return true;
}

static void
what_was_set_aside_is_restored(void **state)
{
	(void)state;
	if (!set_two_aside(MAILBOX_MBOX))
		return;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(restore(kept_names[i]), 0);
		assert_int_equal(outcomes[0], REDO_MENDED);
	}
	is_as_remembered("fred");
	assert_int_equal(restore(kept_names[0]), -1);
	list_kept(0);
	is_as_remembered("fred");
}

static void
save_aside(const char *name, char *out, size_t *n_r)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "../state/" REDO_DIR "/" REDO_ASIDE
	    "/%s", name);
	memcpy(out, read_file(path, n_r), 4096);
}

static void
put_aside(const char *name, const char *text, size_t n)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "../state/" REDO_DIR "/" REDO_ASIDE
	    "/%s", name);
	write_file(path, text, n);
}

/* The power goes before the files are removed, other mail has come, and they
 * are damaged. */
static void
restored_once_however_often(void **state)
{
	static char bytes[4096], place[4096];
	char other[REDO_ASIDE_NAME + 8];
	size_t n, place_n, before;

	(void)state;
	if (!set_two_aside(MAILBOX_MBOX))
		return;
	write_file("fred", "From x\n\nother mail\n\n", 20);
	(void)snprintf(other, sizeof(other), "%s.place", kept_names[1]);
	save_aside(kept_names[1], bytes, &n);
	save_aside(other, place, &place_n);
	assert_int_equal(restore(kept_names[1]), 0);
	assert_int_equal(outcomes[0], REDO_ADDED);
	(void)read_file("fred", &before);
	put_aside(kept_names[1], bytes, n);
	put_aside(other, place, place_n);
	assert_int_equal(restore(kept_names[1]), 0);
	assert_int_equal(outcomes[0], REDO_THERE);
	(void)read_file("fred", &n);
	assert_int_equal(n, before);

	bytes[0] ^= 1;
	put_aside(kept_names[0], bytes, 10);
	assert_int_equal(restore(kept_names[0]), -1);
	list_kept(1);
	assert_int_equal(kept_unknown, 1);
	assert_int_equal(restore("../lock"), -1);
	assert_int_equal(restore("no-such"), -1);
	(void)read_file("fred", &n);
	assert_int_equal(n, before);
}

static void
a_maildir_gets_back_what_was_set_aside(void **state)
{
	(void)state;
	if (!set_two_aside(MAILBOX_MAILDIR))
		return;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(restore(kept_names[i]), 0);
		assert_int_equal(outcomes[0], REDO_MENDED);
	}
	list_kept(0);
	assert_non_null(strstr(only_file("fred/cur"), ":2,F"));
	(void)only_file("fred/new");
}

/* A record that a kill or the power tore does not hide those behind it. */
static void
torn_records_are_passed_over(void **state)
{
	size_t n;

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "a", 0, "one"));
	assert_true(deliver(0, MAILBOX_MBOX, "b", 0, "two"));
	assert_true(deliver(0, MAILBOX_MBOX, "c", 0, "three"));
	power_cut();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(file_pwrite_all(log_->segment[i], "?", 1,
		    2 * REDO_PAGE + 200), 0);
	write_file("a", "", 0);
	write_file("c", "", 0);
	replay();
	assert_int_equal(outcome_count, 2);
	(void)read_file("a", &n);
	assert_true(n > 0);
	(void)read_file("c", &n);
	assert_true(n > 0);
}

/* Bytes of an earlier use of the segment mean nothing. */
/* The sender was told to come again. */
static void
what_was_taken_back_is_not_replayed(void **state)
{
	size_t n;

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "box", 0, "one"));
	remember("box");
	taken_back = true;
	assert_true(deliver(0, MAILBOX_MBOX, "other", 0, "two"));
	taken_back = false;
	power_cut();
	write_file("box", "", 0);
	write_file("other", "", 0);
	replay();
	assert_int_equal(outcome_count, 1);
	is_as_remembered("box");
	(void)read_file("other", &n);
	assert_int_equal(n, 0);
}

/* Another's record did not reach the disk, and the sync behind a record that
 * is taken back was told. */
static void
what_was_not_written_is_not_acknowledged(void **state)
{
	struct redo_copy c = { .spec = spec_of(MAILBOX_MBOX, "fred"),
	    .bytes = STR("From x\n\nx\n\n"), .mark = STR("x") };
	uint64_t place;

	(void)state;
	if (!begin_log())
		return;
	assert_true(redo_begin(log_, 0));
	assert_int_not_equal(redo_add(log_, &c, 1), 0);
	place = redo_add(log_, &c, 1);
	assert_int_not_equal(place, 0);
	datasync_error = EIO;
	redo_void(log_, place);
	assert_int_equal(datasync_error, 0);
	assert_false(redo_commit(log_));
	redo_end(log_, 0);
	assert_false(redo_begin(log_, 0));
}

static void
records_of_before_are_not_replayed(void **state)
{
	struct verdict v = VERDICT_INIT;
	size_t n;

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "a", 0, "one"));
	for (int i = 0; i < 3; i++) {
		assert_true(deliver(0, MAILBOX_MBOX, "b", 0, "two"));
		assert_int_equal(redo_keep(log_, 0, 0, &v), 0);
	}
	assert_true(deliver(0, MAILBOX_MBOX, "c", 0, "three"));
	assert_int_equal(redo_counts(log_).flushes, 3);
	power_cut();
	write_file("a", "", 0);
	write_file("b", "", 0);
	write_file("c", "", 0);
	replay();
	assert_int_equal(outcome_count, 1);
	(void)read_file("a", &n);
	assert_int_equal(n, 0);
	(void)read_file("c", &n);
	assert_true(n > 0);
}

/* A power cut while the keeper syncs: both segments hold mail. */
static void
two_segments_are_replayed_in_order(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct redo_head head[2];

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "two"));
	for (unsigned i = 0; i < 2; i++)
		assert_true(file_pread_full(log_->segment[i], &head[i],
		    sizeof(head[i]), 0) >= 0);
	assert_int_equal(redo_keep(log_, 0, 0, &v), 0);
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "three"));
	/* As if the first had not been marked yet. */
	for (unsigned i = 0; i < 2; i++)
		if (head[i].state == REDO_SEGMENT_ACTIVE)
			assert_int_equal(file_pwrite_all(log_->segment[i],
			    &head[i], sizeof(head[i]), 0), 0);
	remember("fred");
	power_cut();
	write_file("fred", "", 0);
	replay();
	assert_int_equal(outcome_count, 3);
	is_as_remembered("fred");
}

static void
a_full_log_says_so_until_it_is_flushed(void **state)
{
	struct verdict v = VERDICT_INIT;
	static char bytes[REDO_RECORD_MAX];
	struct redo_copy c = { .spec = spec_of(MAILBOX_MBOX, "x"),
	    .bytes = { bytes, sizeof(bytes) - REDO_PAGE } };
	unsigned n = 0;

	(void)state;
	if (!begin_log())
		return;
	memset(bytes, 'x', sizeof(bytes));
	for (;;) {
		bool there;

		assert_true(redo_begin(log_, 0));
		there = redo_add(log_, &c, 1);
		if (there)
			assert_true(redo_commit(log_));
		redo_end(log_, 0);
		if (!there)
			break;
		n++;
	}
	assert_int_equal(n, (SIZE / 2 - REDO_PAGE) / sizeof(bytes));
	assert_int_equal(redo_counts(log_).direct, 1);
	assert_int_equal(redo_keep(log_, 3600000, 0, &v), 0);	/* urgent */
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	c.bytes.n = REDO_RECORD_MAX;
	assert_true(redo_begin(log_, 0));
	assert_false(redo_add(log_, &c, 1));
	redo_end(log_, 0);
}

static void
of_this_boot_it_is_only_synced(void **state)
{
	struct verdict v = VERDICT_INIT;
	size_t n;

	(void)state;
	if (!begin_log())
		return;
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "one"));
	redo_close(&log_);	/* killed */
	open_log();
	assert_int_equal(redo_state(log_), REDO_UNSYNCED);
	/* Its owner has deleted everything since. */
	write_file("fred", "", 0);
	assert_int_equal(redo_settle(log_, &v), 0);
	assert_int_equal(redo_state(log_), REDO_CLEAN);
	(void)read_file("fred", &n);
	assert_int_equal(n, 0);
	assert_int_equal(redo_start(log_, &v), 0);
	assert_true(deliver(0, MAILBOX_MBOX, "fred", 0, "two"));
	assert_int_equal(redo_stop(log_, &v), 0);
	redo_close(&log_);
	open_log();
	assert_int_equal(redo_state(log_), REDO_CLEAN);
}

static void
one_service_at_a_time(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct redo *other;

	(void)state;
	if (!begin_log())
		return;
	assert_int_equal(redo_open(state_dir, SIZE, SLOTS, &other, &v), -1);
	assert_int_equal(v.why, V_BOX_BUSY);
	assert_null(other);
}

static void
no_log_is_made_when_none_is_wanted(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct stat st;
	char path[200];

	(void)state;
	assert_int_equal(redo_open(state_dir, 0, SLOTS, &log_, &v), 0);
	assert_null(log_);
	(void)snprintf(path, sizeof(path), "%s/" REDO_DIR, state_dir);
	assert_int_equal(stat(path, &st), -1);
}

/* --- many processes -------------------------------------------------------------------------- */

#define WRITERS 8
#define EACH 150

struct tally {
	_Atomic unsigned acknowledged[WRITERS];
};

static void
write_for_ever(unsigned me, struct tally *t)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "u%u", me);
	for (unsigned i = 0; i < EACH; i++) {
		if (!deliver(me, MAILBOX_MBOX, path, 0, "x"))
			_exit(1);
		t->acknowledged[me]++;
	}
	_exit(0);
}

static int
count_record(void *arg, const struct redo_record *h, struct str body)
{
	unsigned *found = arg;
	struct redo_names names;
	struct redo_copy c;

	(void)h;
	assert_int_equal(redo_parse(&body, &c, &names), 0);
	found[names.path[1] - '0']++;
	return 0;
}

/* What the master does when a process has ended: 1, or 0 where none has. */
static unsigned
bury(const pid_t pid[WRITERS], int options)
{
	unsigned who = 0;
	int status;
	pid_t p = waitpid(-1, &status, options);

	if (p <= 0)
		return 0;
	while (who < WRITERS && pid[who] != p)
		who++;
	assert_int_not_equal(who, WRITERS);
	redo_forget(log_, who, p);
	if (who % 2 == 0)
		assert_int_equal(status, 0);
	return 1;
}

/* Some are killed, those who sync for others among them: nobody waits for the
 * dead, and what was acknowledged is in the log. */
static void
killed_writers_hold_nobody_up(void **state)
{
	struct tally *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned found[WRITERS] = { 0 }, ended = 0;
	pid_t pid[WRITERS];

	(void)state;
	assert_ptr_not_equal(t, MAP_FAILED);
	if (!begin_log())
		return;
	for (unsigned i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			write_for_ever(i, t);
	}
	/* Each odd one when it has come some way. */
	for (unsigned i = 1; i < WRITERS; i += 2) {
		while (t->acknowledged[i] < 5 + 3 * i)
			ended += bury(pid, WNOHANG);
		assert_int_equal(kill(pid[i], SIGKILL), 0);
	}
	while (ended < WRITERS)
		ended += bury(pid, 0);
	for (unsigned i = 0; i < 2; i++) {
		redo_read_head(log_, i);
		assert_int_equal(redo_walk(log_, i, count_record, found), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_true(found[i] >= t->acknowledged[i]);
		if (i % 2 == 0)
			assert_int_equal(t->acknowledged[i], EACH);
	}
	(void)munmap(t, sizeof(*t));
}

/* A process that delivers to the mailbox of its slot and is stopped. */
static pid_t
stopped_at(bool *where, unsigned slot, const char *path)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		*where = true;
		_exit(!deliver(slot, MAILBOX_MBOX, path, 0, "x"));
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void
goes_on(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* How many whole records the log has for each of "u0" to "u7". */
static void
count_records(unsigned found[WRITERS])
{
	memset(found, 0, WRITERS * sizeof(*found));
	for (unsigned i = 0; i < 2; i++) {
		redo_read_head(log_, i);
		assert_int_equal(redo_walk(log_, i, count_record, found), 0);
	}
}

/* A record, without a mailbox; its place. */
static uint64_t
put_record(unsigned slot, const char *path, struct str bytes)
{
	struct redo_copy copy = { .spec = spec_of(MAILBOX_MBOX, path),
	    .bytes = bytes, .mark = STR("mark") };
	uint64_t place;
	struct stat st;

	assert_int_equal(stat(mail, &st), 0);
	copy.dev = st.st_dev;
	assert_true(redo_covers(log_, &copy));
	assert_true(redo_begin(log_, slot));
	place = redo_add(log_, &copy, 1);
	assert_true(place > 0);
	return place;
}

/* Whoever syncs for others may be stopped, by a debugger or an administrator. */
static void
a_stopped_writer_holds_nobody_up(void **state)
{
	pid_t pid;

	(void)state;
	if (!begin_log())
		return;
	pid = stopped_at(&stop_in_datasync, 0, "u0");
	(void)alarm(60);
	assert_true(deliver(1, MAILBOX_MBOX, "u1", 0, "x"));
	assert_true(deliver(1, MAILBOX_MBOX, "u1", 0, "y"));
	(void)alarm(0);
	goes_on(pid);
}

/* Who was told that the disk did not write is stopped before he can say so.
 * Who syncs in his place must not believe that all is well. */
static void
each_hears_that_the_disk_did_not_write(void **state)
{
	int status, other[2];
	pid_t stopped;

	(void)state;
	if (!begin_log())
		return;
	disk_errors = mmap(NULL, sizeof(*disk_errors), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(disk_errors, MAP_FAILED);
	stopped = fork();
	if (stopped == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		assert_int_equal(redo_open_own(log_), 0);
		put_record(0, "u0", STR("From a@b\n\nfirst\n\n"));
		*disk_errors = 1;
		stop_when_told = true;
		_exit(redo_commit(log_));
	}
	assert_int_equal(redo_open_own(log_), 0);
	put_record(1, "u1", STR("From a@b\n\nsecond\n\n"));
	assert_int_equal(waitpid(stopped, &status, WUNTRACED), stopped);
	assert_true(WIFSTOPPED(status));
	(void)alarm(60);
	assert_false(redo_commit(log_));
	(void)alarm(0);
	redo_end(log_, 1);
	goes_on(stopped);
	(void)munmap((void *)disk_errors, sizeof(*disk_errors));
	disk_errors = NULL;
	/* Another file in its place is not taken for it. */
	memcpy(other, log_->segment, sizeof(other));
	assert_int_equal(renameat(log_->dir, "segment.0", log_->dir, "x"), 0);
	assert_int_equal(renameat(log_->dir, "segment.1", log_->dir,
	    "segment.0"), 0);
	assert_int_equal(redo_open_own(log_), -1);
	assert_memory_equal(other, log_->segment, sizeof(other));
}

/* One is at the file and does not let go of it: the others do not wait, and
 * what they are told is true. */
static void
who_finds_the_file_taken_is_written_by_whoever_syncs(void **state)
{
	static const char too_long[REDO_STAGE_BYTES];
	unsigned found[WRITERS];
	pid_t pid;

	(void)state;
	if (!begin_log())
		return;
	pid = stopped_at(&stop_in_pwritev, 0, "u0");
	(void)alarm(60);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(deliver(1 + i, MAILBOX_MBOX, i ? "u2" : "u1", 0,
		    "x"));
		count_records(found);
		assert_int_equal(found[1] + found[2], i + 1);
	}
	/* Too long to be handed over. */
	put_record(1, "u3", str_mem(too_long, sizeof(too_long)));
	assert_true(redo_commit(log_));
	redo_end(log_, 1);
	(void)alarm(0);
	count_records(found);
	assert_int_equal(found[0], 0);
	assert_int_equal(found[3], 1);
	goes_on(pid);
	count_records(found);
	assert_int_equal(found[0], 1);
	assert_int_equal(found[1] + found[2], 3);
}

/* It goes on when what it was to write has long been written by another, and
 * the place it had it from is in use again. */
static void
who_is_stopped_while_he_writes_for_others_does_no_harm(void **state)
{
	unsigned found[WRITERS];
	pid_t at_file, syncs;

	(void)state;
	if (!begin_log())
		return;
	at_file = stopped_at(&stop_in_pwritev, 0, "u0");
	put_record(2, "u2", STR("From a@b\n\nthe first\n\n"));
	syncs = stopped_at(&stop_in_pwrite, 1, "u1");
	(void)alarm(60);
	assert_true(redo_commit(log_));
	redo_end(log_, 2);
	count_records(found);
	assert_int_equal(found[2], 1);
	put_record(2, "u2", STR("From a@b\n\nthe second, which is longer\n\n"));
	/* Not written yet, and already where the first was. */
	goes_on(syncs);
	count_records(found);
	assert_int_equal(found[1], 1);
	assert_int_equal(found[2], 1);
	assert_true(redo_commit(log_));
	redo_end(log_, 2);
	(void)alarm(0);
	goes_on(at_file);
	count_records(found);
	assert_int_equal(found[0], 1);
	assert_int_equal(found[1], 1);
	assert_int_equal(found[2], 2);
}

/* Nor is there again what was taken back while he was stopped, until the
 * segment is used anew. */
static void
what_was_taken_back_is_not_written_again(void **state)
{
	struct verdict v = VERDICT_INIT;
	unsigned found[WRITERS];
	pid_t at_file, syncs;
	uint64_t place, anew;

	(void)state;
	if (!begin_log())
		return;
	at_file = stopped_at(&stop_in_pwritev, 0, "u0");
	place = put_record(2, "u2", STR("From a@b\n\nit failed\n\n"));
	syncs = stopped_at(&stop_in_pwrite, 1, "u1");
	(void)alarm(60);
	assert_true(redo_commit(log_));
	redo_void(log_, place);
	redo_end(log_, 2);
	count_records(found);
	assert_int_equal(found[2], 0);
	goes_on(syncs);
	count_records(found);
	assert_int_equal(found[1], 1);
	assert_int_equal(found[2], 0);
	goes_on(at_file);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(deliver(0, MAILBOX_MBOX, "u0", 0, "x"));
		assert_int_equal(redo_keep(log_, 0, 0, &v), 0);
	}
	/* The same place, again by another. */
	at_file = stopped_at(&stop_in_pwritev, 0, "u0");
	anew = put_record(2, "u2", STR("From a@b\n\nit went well\n\n"));
	assert_int_equal(anew, place);
	syncs = stopped_at(&stop_in_pwrite, 1, "u1");
	assert_true(redo_commit(log_));
	redo_end(log_, 2);
	(void)alarm(0);
	goes_on(syncs);
	goes_on(at_file);
	count_records(found);
	assert_int_equal(found[2], 1);
}

/* The process is gone, its slot somebody else's: what it had put is not
 * written any more. */
static void
what_the_dead_have_put_is_forgotten(void **state)
{
	unsigned found[WRITERS];
	pid_t at_file, dead;
	int status;

	(void)state;
	if (!begin_log())
		return;
	at_file = stopped_at(&stop_in_pwritev, 0, "u0");
	dead = fork();
	if (dead == 0) {
		put_record(2, "u2", STR("From a@b\n\nnobody was told\n\n"));
		_exit(0);
	}
	assert_int_equal(waitpid(dead, &status, 0), dead);
	assert_int_equal(status, 0);
	redo_forget(log_, 2, dead);
	(void)alarm(60);
	assert_true(deliver(1, MAILBOX_MBOX, "u1", 0, "x"));
	(void)alarm(0);
	count_records(found);
	assert_int_equal(found[1], 1);
	assert_int_equal(found[2], 0);
	/* And if it dies at the file, it is nobody's. */
	assert_int_equal(kill(at_file, SIGKILL), 0);
	assert_int_equal(waitpid(at_file, &status, 0), at_file);
	redo_forget(log_, 0, at_file);
	assert_true(deliver(0, MAILBOX_MBOX, "u0", 0, "x"));
	count_records(found);
	assert_int_equal(found[0], 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_mbox_of_any_length_becomes_whole),
		TEST(holes_of_zeros_are_filled),
		TEST(a_message_stands_apart),
		TEST(line_ends_that_were_missing_come_back),
		TEST(a_box_that_lost_its_directory_is_made),
		TEST(what_a_reader_has_moved_is_found),
		TEST(behind_other_mail_it_is_added_once),
		TEST(a_maildir_gets_back_what_is_missing),
		TEST(an_empty_file_is_filled),
		TEST(what_a_reader_took_to_cur_stays_there),
		TEST(what_has_no_place_is_set_aside),
		TEST(what_was_set_aside_is_restored),
		TEST(restored_once_however_often),
		TEST(a_maildir_gets_back_what_was_set_aside),
		TEST(torn_records_are_passed_over),
		TEST(what_was_taken_back_is_not_replayed),
		TEST(what_was_not_written_is_not_acknowledged),
		TEST(records_of_before_are_not_replayed),
		TEST(two_segments_are_replayed_in_order),
		TEST(a_full_log_says_so_until_it_is_flushed),
		TEST(of_this_boot_it_is_only_synced),
		TEST(one_service_at_a_time),
		TEST(no_log_is_made_when_none_is_wanted),
		TEST(killed_writers_hold_nobody_up),
		TEST(a_stopped_writer_holds_nobody_up),
		TEST(each_hears_that_the_disk_did_not_write),
		TEST(who_finds_the_file_taken_is_written_by_whoever_syncs),
		TEST(who_is_stopped_while_he_writes_for_others_does_no_harm),
		TEST(what_was_taken_back_is_not_written_again),
		TEST(what_the_dead_have_put_is_forgotten),
	};

	return cmocka_run_group_tests_name("redo", tests, NULL, NULL);
}
