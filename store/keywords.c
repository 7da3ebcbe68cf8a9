#include "store/keywords.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/num.h"
#include "store/mailbox.h"

#define NAMES_FILE "dovecot-keywords"
#define NEW_FILE NAMES_FILE ".lock"
/*
 * Who holds this may change the file. Dovecot takes NEW_FILE for its own left
 * over and removes it, so that one alone keeps nobody out.
 */
#define LOCK_FILE "dovecot-uidlist.lock"
/* Dovecot holds it while it looks at a folder: some milliseconds. */
#define LOCK_WAIT_MS 2000
#define LOCK_PAUSE_MS 10
/* 26 names, and as much again for what others wrote into it. */
#define FILE_BYTES (2 * KEYWORDS_MAX * (KEYWORD_BYTES + 8))

/* The file: a name for each letter that is given away. */
struct table {
	struct buf bytes;		/* the names borrow from here */
	struct str name[KEYWORDS_MAX];	/* n = 0: free */
	time_t mtime;			/* 0: there is no file */
};

bool
keywords_valid(struct str name)
{
	if (name.n == 0 || name.n > KEYWORD_BYTES)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' ||
		    (unsigned char)name.p[i] >= 0x7f ||
		    strchr("(){%*\"\\]", name.p[i]))
			return false;
	return true;
}

unsigned
keywords_system_flag(struct str name)
{
	static const struct {
		struct str name;
		unsigned flag;
	} flags[] = {
		{ { "\\Seen", 5 }, MAILBOX_SEEN },
		{ { "\\Answered", 9 }, MAILBOX_ANSWERED },
		{ { "\\Flagged", 8 }, MAILBOX_FLAGGED },
		{ { "\\Deleted", 8 }, MAILBOX_DELETED },
		{ { "\\Draft", 6 }, MAILBOX_DRAFT },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (str_caseeq(name, flags[i].name))
			return flags[i].flag;
	return 0;
}

/* --- the file --------------------------------------------------------------- */

/* Lines that say nothing we know are passed over, as Dovecot does. */
static void
parse(struct table *t)
{
	struct str rest = buf_str(&t->bytes), line;

	while (str_split(&rest, '\n', &line)) {
		ptrdiff_t space = str_chr(line, ' ');
		uint64_t at;

		if (space > 0 && num_u64(str_sub(line, 0, (size_t)space),
		    KEYWORDS_MAX - 1, &at) == 0)
			t->name[at] = str_sub(line, (size_t)space + 1, line.n);
	}
}

static int
load(int dirfd, struct table *t)
{
	struct stat st;
	int fd = file_open_beneath(dirfd, NAMES_FILE, O_RDONLY, 0), r = -1;

	buf_reset(&t->bytes);
	memset(t->name, 0, sizeof(t->name));
	t->mtime = 0;
	if (fd < 0 && errno == ENOENT)
		r = 0;
	else if (fd >= 0 && fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode)) {
			t->mtime = st.st_mtime;
			r = file_read_whole(fd, &t->bytes);
		} else {
			errno = EINVAL;
		}
	}
	file_close(&fd);
	if (r == 0)
		parse(t);
	return r;
}

/* IMAP keywords know no case (RFC 3501 section 2.3.2). */
static int
find(const struct table *t, struct str name)
{
	for (int i = 0; i < KEYWORDS_MAX; i++)
		if (t->name[i].n && str_caseeq(t->name[i], name))
			return i;
	return -1;
}

/* Behind the last one: a letter that was given back may still stand in the
 * name of a file. */
static int
first_free(const struct table *t)
{
	int at = KEYWORDS_MAX;

	while (at > 0 && t->name[at - 1].n == 0)
		at--;
	return at < KEYWORDS_MAX ? at : -1;
}

static bool
any_missing(const struct table *t, const struct str *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (keywords_valid(names[i]) && find(t, names[i]) < 0)
			return true;
	return false;
}

static int
take_lock(int dirfd, mode_t mode)
{
	int64_t deadline = clock_mono_ms() + LOCK_WAIT_MS;

	for (;;) {
		int fd = file_open_beneath(dirfd, LOCK_FILE,
		    O_WRONLY | O_CREAT | O_EXCL, mode);

		if (fd >= 0) {
			file_close(&fd);
			return 0;
		}
		if (errno != EEXIST || clock_mono_ms() >= deadline)
			return -1;
		(void)poll(NULL, 0, LOCK_PAUSE_MS);
	}
}

/* Readers look at the time of change in seconds, so it has to move on. */
static int
fill(int fd, const struct table *t, mode_t mode)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
	    { .tv_sec = clock_now() } };
	struct buf out;
	int r;

	buf_init(&out, FILE_BYTES);
	for (int i = 0; i < KEYWORDS_MAX; i++) {
		if (t->name[i].n == 0)
			continue;
		buf_addf(&out, "%d ", i);
		buf_adds(&out, t->name[i]);
		buf_addc(&out, '\n');
	}
	if (times[1].tv_sec <= t->mtime)
		times[1].tv_sec = t->mtime + 1;
	r = file_write_all(fd, out.p, out.n);
	buf_release(&out);
	if (r == 0 && (fchmod(fd, mode) < 0 || futimens(fd, times) < 0))
		r = -1;
	return r == 0 ? file_sync(fd) : r;
}

static int
replace(int dirfd, const struct table *t, mode_t mode)
{
	int fd, r;

	if (unlinkat(dirfd, NEW_FILE, 0) < 0 && errno != ENOENT)
		return -1;
	fd = file_open_beneath(dirfd, NEW_FILE, O_WRONLY | O_CREAT | O_EXCL,
	    mode);
	if (fd < 0)
		return -1;
	r = fill(fd, t, mode);
	if (file_close_checked(&fd) < 0)
		r = -1;
	if (r == 0)
		r = renameat(dirfd, NEW_FILE, dirfd, NAMES_FILE);
	if (r < 0) {
		int keep = errno;

		(void)unlinkat(dirfd, NEW_FILE, 0);	/* the first error counts */
		errno = keep;
		return -1;
	}
	/* Its name has to be there before that of the message that uses it. */
	return file_sync(dirfd);
}

/* Adds what is missing, under the lock. */
static int
add_missing(int dirfd, struct table *t, const struct str *names, size_t n,
    mode_t mode)
{
	bool added = false;
	int r, keep;

	if (take_lock(dirfd, mode) < 0)
		return -1;
	r = load(dirfd, t);
	for (size_t i = 0; r == 0 && i < n; i++) {
		int at = first_free(t);

		if (!keywords_valid(names[i]) || find(t, names[i]) >= 0 || at < 0)
			continue;
		t->name[at] = names[i];
		added = true;
	}
	if (r == 0 && added)
		r = replace(dirfd, t, mode);
	keep = errno;
	if (unlinkat(dirfd, LOCK_FILE, 0) < 0 && r == 0)
		r = -1;
	else
		errno = keep;
	if (r < 0)
		/* What is not in the file stands for nothing. */
		(void)load(dirfd, t);	/* has failed already or is as before */
	return r;
}

size_t
keywords_letters(int dirfd, const struct str *names, size_t n,
    mode_t file_mode, struct buf *out, struct verdict *v)
{
	bool used[KEYWORDS_MAX] = { false };
	struct table t;
	size_t left_out = 0;
	int error = 0;

	buf_init(&t.bytes, FILE_BYTES);
	if (load(dirfd, &t) < 0)
		error = errno;
	else if (any_missing(&t, names, n) && first_free(&t) >= 0 &&
	    add_missing(dirfd, &t, names, n, file_mode) < 0)
		error = errno;
	for (size_t i = 0; i < n; i++) {
		int at = keywords_valid(names[i]) ? find(&t, names[i]) : -1;

		if (at < 0)
			left_out++;
		else
			used[at] = true;
	}
	for (int i = 0; i < KEYWORDS_MAX; i++)
		if (used[i])
			buf_addc(out, (char)('a' + i));
	if (error)
		verdict_errno(v, error, NAMES_FILE);
	else if (left_out)
		verdict_set(v, V_TROUBLE, NAMES_FILE
		    ": no letter left, or no name for a keyword");
	buf_release(&t.bytes);
	return left_out;
}

/* --- mbox ------------------------------------------------------------------- */

void
keywords_mbox_head(unsigned flags, const struct str *names, size_t n,
    struct buf *out)
{
	static const struct {
		unsigned flag;
		char letter;
	} letters[] = {
		{ MAILBOX_ANSWERED, 'A' }, { MAILBOX_FLAGGED, 'F' },
		{ MAILBOX_DRAFT, 'T' }, { MAILBOX_DELETED, 'D' },
	};
	bool begun = false;

	/* O: not new; a message that was read is not. */
	if (flags & MAILBOX_SEEN)
		buf_addz(out, "Status: RO\n");
	if (flags & ~(unsigned)MAILBOX_SEEN) {
		buf_addz(out, "X-Status: ");
		for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
			if (flags & letters[i].flag)
				buf_addc(out, letters[i].letter);
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < n; i++) {
		if (!keywords_valid(names[i]))
			continue;
		buf_addz(out, begun ? " " : "X-Keywords: ");
		buf_adds(out, names[i]);
		begun = true;
	}
	if (begun)
		buf_addc(out, '\n');
}
