#include "store/maildirsize.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/checksum.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/num.h"

#define NAME "maildirsize"
/* Each line has at least this many bytes, so that appends over NFS do not
 * tear. */
#define LINE_LEAST 14
#define LINE_MOST 64
#define NAME_MOST 64
#define PATH_ROOM 4096
/* How often a count begins again because somebody moved mail meanwhile. */
#define TRIES 4

/* --- the text ---------------------------------------------------------------- */

/* "10000000S,1000C"; limits of kinds that we do not know are let pass. */
static bool
same_limits(struct str line, const struct maildirsize_limits *want)
{
	struct maildirsize_limits have = { 0, 0 };
	struct str part;
	uint64_t n;

	while (str_split(&line, ',', &part)) {
		if (part.n < 2 || num_u64(str_sub(part, 0, part.n - 1),
		    INT64_MAX, &n) < 0)
			continue;
		if (part.p[part.n - 1] == 'S')
			have.bytes = n;
		else if (part.p[part.n - 1] == 'C')
			have.messages = n;
	}
	return have.bytes == want->bytes && have.messages == want->messages;
}

/* Largest number of digits that cannot overflow. */
#define DIGITS_MOST 18

/* Blanks, a sign, digits; moves *p. Written out, since each delivery may read
 * some hundred of these lines. */
static bool
take_number(const char **p, const char *end, int64_t *n_r)
{
	const char *at = *p, *first;
	int64_t n = 0;
	bool minus;

	while (at < end && *at == ' ')
		at++;
	minus = at < end && *at == '-';
	at += minus;
	for (first = at; at < end && *at >= '0' && *at <= '9'; at++) {
		if (at - first >= DIGITS_MOST)
			return false;
		n = n * 10 + (*at - '0');
	}
	if (at == first)
		return false;
	*p = at;
	*n_r = minus ? -n : n;
	return true;
}

/* "    20500 12" and its line end; moves *p behind it. */
static bool
take_line(const char **p, const char *end, int64_t *bytes_r,
    int64_t *messages_r)
{
	if (!take_number(p, end, bytes_r) || *p == end || **p != ' ' ||
	    !take_number(p, end, messages_r))
		return false;
	while (*p < end && (**p == ' ' || **p == '\r'))
		(*p)++;
	if (*p == end || **p != '\n')
		return false;
	(*p)++;
	return true;
}

/* False: not to be believed. */
static bool
parse(struct str text, const struct maildirsize_limits *limits,
    struct maildirsize *m)
{
	int64_t bytes = 0, messages = 0, b, n;
	ptrdiff_t first = str_chr(text, '\n');
	const char *p, *end = text.p + text.n;

	if (first < 0 || !same_limits(str_trim(str_sub(text, 0,
	    (size_t)first)), limits))
		return false;
	for (p = text.p + first + 1; p < end; ) {
		/* The last one has no end: it is being written, or a crash
		 * cut it. */
		if (!take_line(&p, end, &b, &n) ||
		    __builtin_add_overflow(bytes, b, &bytes) ||
		    __builtin_add_overflow(messages, n, &messages))
			return false;
	}
	if (bytes < 0 || messages < 0)
		return false;
	m->bytes = (uint64_t)bytes;
	m->messages = (uint64_t)messages;
	return true;
}

static void
add_limits(struct buf *out, const struct maildirsize_limits *l)
{
	if (l->bytes || !l->messages)
		buf_addf(out, "%lluS", (unsigned long long)l->bytes);
	if (l->messages)
		buf_addf(out, "%s%lluC", l->bytes ? "," : "",
		    (unsigned long long)l->messages);
	buf_addc(out, '\n');
}

static void
add_line(struct buf *out, int64_t bytes, int64_t messages)
{
	char number[LINE_MOST];
	int n = snprintf(number, sizeof(number), "%lld", (long long)messages);
	int wide = LINE_LEAST - 2 - n;

	buf_addf(out, "%*lld %s\n", wide > 1 ? wide : 1, (long long)bytes,
	    number);
}

/* --- the file ---------------------------------------------------------------- */

void
maildirsize_init(struct maildirsize *m)
{
	*m = (struct maildirsize){ .fd = -1 };
}

void
maildirsize_close(struct maildirsize *m)
{
	file_close(&m->fd);
}

/* Not the time of its last line alone: a program may set that back. */
static uint64_t
stamp_of(const struct stat *st, const struct maildirsize_limits *limits)
{
	const uint64_t parts[] = { (uint64_t)st->st_dev, (uint64_t)st->st_ino,
	    (uint64_t)st->st_size, (uint64_t)st->st_ctim.tv_sec,
	    (uint64_t)st->st_ctim.tv_nsec, limits->bytes, limits->messages };
	uint64_t sum = checksum_of(parts, sizeof(parts));

	return sum ? sum : 1;
}

static void
identify(const struct stat *st, struct maildirsize *m)
{
	m->dev = st->st_dev;
	m->ino = st->st_ino;
	m->links = st->st_nlink;
	m->size = st->st_size;
	m->changed = st->st_mtim;
}

/* What the open file says. 1, 0 or -1. */
static int
read_file(int fd, const struct maildirsize_limits *limits,
    struct maildirsize *m, struct verdict *v)
{
	char text[MAILDIRSIZE_MAX + 1];
	uint64_t remembered = m->stamp;
	struct stat st;
	ssize_t got;

	m->stamp = 0;
	if (fstat(fd, &st) < 0)
		return verdict_errno(v, errno, "fstat maildirsize");
	if (!S_ISREG(st.st_mode) || st.st_size > MAILDIRSIZE_MAX)
		return 0;
	identify(&st, m);
	if (remembered && remembered == stamp_of(&st, limits)) {
		m->stamp = remembered;
		return 1;
	}
	/* One read: what it does not give is a line that is being written. */
	do {
		got = pread(fd, text, sizeof(text), 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return verdict_errno(v, errno, "read maildirsize");
	if (got > MAILDIRSIZE_MAX || !parse(str_mem(text, (size_t)got), limits,
	    m))
		return 0;
	if (got == st.st_size)
		m->stamp = stamp_of(&st, limits);
	m->size = got;
	return 1;
}

/* What is there instead of a file that we could read and write. */
static bool
is_to_be_replaced(int error)
{
	return error == ENOENT || error == ELOOP || error == ENXIO ||
	    error == EISDIR || error == EACCES || error == EPERM;
}

int
maildirsize_open(int dir, const struct maildirsize_limits *limits,
    struct maildirsize *m, struct verdict *v)
{
	int r;

	maildirsize_close(m);
	m->fd = file_open_beneath(dir, NAME, O_RDWR | O_APPEND, 0);
	if (m->fd < 0)
		return is_to_be_replaced(errno) ? 0 :
		    verdict_errno(v, errno, "open maildirsize");
	r = read_file(m->fd, limits, m, v);
	if (r <= 0)
		maildirsize_close(m);
	return r;
}

int
maildirsize_peek(const char *root, const char *path,
    const struct maildirsize_limits *limits, struct maildirsize *m,
    struct verdict *v)
{
	char name[PATH_ROOM];
	struct stat st;
	int r, fd, dir, n = snprintf(name, sizeof(name), "%s/%s%s" NAME, root,
	    path, path[0] ? "/" : "");

	if (n < 0 || (size_t)n >= sizeof(name))
		return verdict_errno(v, ENAMETOOLONG, "look at %s", path);
	/* Nothing is opened: that it is the same says enough. */
	if (m->stamp && lstat(name, &st) == 0 && S_ISREG(st.st_mode) &&
	    m->stamp == stamp_of(&st, limits)) {
		identify(&st, m);
		return 1;
	}
	dir = file_open_root(root);
	if (dir < 0)
		return verdict_errno(v, errno, "open %s", root);
	fd = file_open_beneath(dir, name + strlen(root) + 1, O_RDONLY, 0);
	file_close(&dir);
	if (fd < 0)
		return is_to_be_replaced(errno) ? 0 :
		    verdict_errno(v, errno, "open maildirsize");
	r = read_file(fd, limits, m, v);
	file_close(&fd);
	return r;
}

/* What stands behind what we know, our own line among it; what cannot be
 * understood is left to whoever reads the file next. */
static void
catch_up(int fd, const struct maildirsize_limits *limits,
    const struct stat *st, struct maildirsize *m)
{
	char text[MAILDIRSIZE_MAX];
	const char *p = text;
	int64_t bytes, messages;
	ssize_t got;

	got = file_pread_full(fd, text, sizeof(text), m->size);
	if (got <= 0)
		return;
	while (take_line(&p, text + got, &bytes, &messages)) {
		m->bytes += (uint64_t)bytes;
		m->messages += (uint64_t)messages;
	}
	/* Less than nothing: who reads it next counts it anew. */
	if (m->bytes > INT64_MAX || m->messages > INT64_MAX) {
		m->bytes = m->bytes > INT64_MAX ? 0 : m->bytes;
		m->messages = m->messages > INT64_MAX ? 0 : m->messages;
	} else if (p == text + got && m->size + got == st->st_size) {
		m->stamp = stamp_of(st, limits);
	}
	m->size += got;
}

/* Something else has the name? A file that has lost its last one says so
 * itself. */
static bool
has_gone(int dir, const struct maildirsize *m)
{
	struct stat st;

	return m->links == 0 || (m->links > 1 && (fstatat(dir, NAME, &st,
	    AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != m->ino ||
	    st.st_dev != m->dev));
}

int
maildirsize_add(int dir, const struct maildirsize_limits *limits,
    struct maildirsize *m, int64_t bytes, int64_t messages, struct verdict *v)
{
	struct buf line;
	struct stat st;
	ssize_t done;
	int r = -1;

	buf_init(&line, LINE_MOST);
	add_line(&line, bytes, messages);
	m->stamp = 0;
	if (has_gone(dir, m)) {
		r = 0;
		goto out;
	}
	/* One write, or it is not done: half a line is told by its missing
	 * end, and the file is counted anew. */
	do {
		done = write(m->fd, line.p, line.n);
	} while (done < 0 && errno == EINTR);
	if (done != (ssize_t)line.n) {
		verdict_errno(v, done < 0 ? errno : ENOSPC,
		    "write maildirsize");
		goto out;
	}
	if (fstat(m->fd, &st) < 0) {
		verdict_errno(v, errno, "fstat maildirsize");
		goto out;
	}
	m->links = st.st_nlink;
	r = has_gone(dir, m) ? 0 : 1;
	if (st.st_size == m->size + done) {
		m->bytes += (uint64_t)bytes;
		m->messages += (uint64_t)messages;
		m->stamp = stamp_of(&st, limits);
		m->size = st.st_size;
	} else {
		catch_up(m->fd, limits, &st, m);
	}
out:
	buf_release(&line);
	return r;
}

/* --- counting ---------------------------------------------------------------- */

struct count {
	uint64_t bytes, messages;
};

/* The number behind ",S=" of a message's name. */
static bool
size_in_name(const char *name, uint64_t *size_r)
{
	const char *at = strstr(name, ",S=");
	size_t n = 0;

	if (!at)
		return false;
	at += 3;
	while (ascii_isdigit(at[n]))
		n++;
	if (at[n] != '\0' && at[n] != ',' && at[n] != ':')
		return false;
	return num_u64(str_mem(at, n), INT64_MAX, size_r) == 0;
}

/* All messages of a directory `cur` or `new`. */
static int
count_messages(int dir, struct count *c, struct verdict *v)
{
	int r = -1, fd = file_open_beneath(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	uint64_t size;

	if (!d) {
		verdict_errno(v, errno, "open directory of a Maildir");
		file_close(&fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		if (e->d_name[0] == '.' || e->d_type == DT_DIR)
			continue;
		if (!size_in_name(e->d_name, &size)) {
			if (fstatat(dirfd(d), e->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) < 0)
				continue;	/* moved or removed just now */
			if (!S_ISREG(st.st_mode))
				continue;
			size = (uint64_t)st.st_size;
		}
		c->bytes += size;
		c->messages++;
	}
	if (errno != 0)
		verdict_errno(v, errno, "read directory of a Maildir");
	else
		r = 0;
	(void)closedir(d);
	return r;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* One folder. A message that moves from new to cur between two looks would
 * count twice or never: then we look again. */
static int
count_folder(int dir, struct count *sum, struct verdict *v)
{
	static const char *const subs[] = { "new", "cur" };
	struct stat before[2], after;
	int fd[2] = { -1, -1 }, r = -1;
	bool moved = true;
	struct count c = { 0, 0 };

	for (int i = 0; i < 2; i++) {
		fd[i] = file_open_beneath(dir, subs[i], O_RDONLY | O_DIRECTORY, 0);
		/* A directory without them is no folder. */
		if (fd[i] < 0 && errno != ENOENT && errno != ENOTDIR &&
		    errno != ELOOP) {
			verdict_errno(v, errno, "open %s of a Maildir", subs[i]);
			goto out;
		}
	}
	for (int i = 0; i < TRIES && moved; i++) {
		c = (struct count){ 0, 0 };
		for (int k = 0; k < 2; k++)
			if (fd[k] >= 0 && fstat(fd[k], &before[k]) < 0) {
				verdict_errno(v, errno, "fstat");
				goto out;
			}
		moved = false;
		for (int k = 0; k < 2; k++)
			if (fd[k] >= 0 && count_messages(fd[k], &c, v) < 0)
				goto out;
		for (int k = 0; k < 2; k++)
			if (fd[k] >= 0 && (fstat(fd[k], &after) < 0 ||
			    !same_time(&before[k].st_mtim, &after.st_mtim)))
				moved = true;
	}
	sum->bytes += c.bytes;
	sum->messages += c.messages;
	r = 0;
out:
	file_close(&fd[0]);
	file_close(&fd[1]);
	return r;
}

static bool
exempt(const struct maildirsize_how *how, const char *name)
{
	for (size_t i = 0; i < how->exempt_count; i++)
		if (strcmp(how->exempt[i], name) == 0)
			return true;
	return false;
}

/* Calls `each` for the Maildir itself and its folders that count. */
static int
each_folder(int dir, const struct maildirsize_how *how,
    int (*each)(void *arg, int folder, struct verdict *v), void *arg,
    struct verdict *v)
{
	int r = -1, fd = file_open_beneath(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		verdict_errno(v, errno, "open Maildir");
		file_close(&fd);
		return -1;
	}
	if (each(arg, dir, v) < 0)
		goto out;
	for (;;) {
		int folder;

		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		if (e->d_name[0] != '.' || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 || (e->d_type != DT_DIR &&
		    e->d_type != DT_UNKNOWN) || (how && exempt(how, e->d_name)))
			continue;
		folder = file_open_beneath(dir, e->d_name,
		    O_RDONLY | O_DIRECTORY, 0);
		if (folder < 0)
			continue;	/* removed just now, or no directory */
		if (each(arg, folder, v) < 0) {
			file_close(&folder);
			goto out;
		}
		file_close(&folder);
	}
	if (errno != 0)
		verdict_errno(v, errno, "read Maildir");
	else
		r = 0;
out:
	(void)closedir(d);
	return r;
}

static int
count_one(void *arg, int folder, struct verdict *v)
{
	return count_folder(folder, arg, v);
}

int
maildirsize_scan(int dir, const struct maildirsize_how *how,
    uint64_t *bytes_r, uint64_t *messages_r, struct verdict *v)
{
	struct count c = { 0, 0 };

	if (each_folder(dir, how, count_one, &c, v) < 0)
		return -1;
	*bytes_r = c.bytes;
	*messages_r = c.messages;
	return 0;
}

/* Where the file stands while we count. */
static void
mark_of(int dir, struct stat *st)
{
	if (fstatat(dir, NAME, st, AT_SYMLINK_NOFOLLOW) < 0)
		*st = (struct stat){ .st_size = -1 };
}

static int
replace(int dir, const struct maildirsize_how *how, const struct count *c,
    struct maildirsize *m, struct verdict *v)
{
	char name[NAME_MOST];
	struct buf text;
	struct stat st;
	int fd = -1, r = -1;

	buf_init(&text, MAILDIRSIZE_MAX);
	add_limits(&text, &how->limits);
	add_line(&text, (int64_t)c->bytes, (int64_t)c->messages);
	(void)snprintf(name, sizeof(name), "tmp/%lld.P%d.vbox-%s",
	    (long long)clock_now_us(), (int)getpid(), NAME); /* fits */
	fd = file_open_beneath(dir, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL,
	    how->file_mode);
	if (fd < 0) {
		verdict_errno(v, errno, "create maildirsize in tmp");
		goto out;
	}
	if (fchmod(fd, how->file_mode) < 0 ||
	    file_write_all(fd, text.p, text.n) < 0 || fstat(fd, &st) < 0 ||
	    renameat(dir, name, dir, NAME) < 0) {
		verdict_errno(v, errno, "write maildirsize");
		(void)unlinkat(dir, name, 0); /* readers clean tmp, too */
		goto out;
	}
	identify(&st, m);
	m->bytes = c->bytes;
	m->messages = c->messages;
	/* The rename has changed its time: nobody remembers this one. */
	m->stamp = 0;
	maildirsize_close(m);
	m->fd = fd;
	fd = -1;
	r = 0;
out:
	file_close(&fd);
	buf_release(&text);
	return r;
}

int
maildirsize_count(int dir, const struct maildirsize_how *how,
    struct maildirsize *m, struct verdict *v)
{
	struct stat before, after;
	struct count c = { 0, 0 };

	/* A line that comes while we count may tell of mail that we have seen
	 * or not seen. */
	for (int i = 0; i < TRIES; i++) {
		mark_of(dir, &before);
		if (maildirsize_scan(dir, how, &c.bytes, &c.messages, v) < 0)
			return -1;
		mark_of(dir, &after);
		if (before.st_ino == after.st_ino &&
		    before.st_size == after.st_size)
			break;
	}
	return replace(dir, how, &c, m, v);
}

/* --- doubts ------------------------------------------------------------------- */

struct changes {
	const struct timespec *counted, *added;
	bool seen;
};

static bool
later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec ||
	    (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

static int
look_for_changes(void *arg, int folder, struct verdict *v)
{
	struct changes *c = arg;
	struct stat st;

	(void)v;
	if (fstatat(folder, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    later(&st.st_mtim, c->counted))
		c->seen = true;
	if (fstatat(folder, "new", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    later(&st.st_mtim, c->added))
		c->seen = true;
	return c->seen ? -1 : 0;
}

/* Made when it was counted last: its birth. */
static bool
born(int dir, struct timespec *t_r)
{
	struct statx x;

	if (statx(dir, NAME, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &x) < 0 ||
	    !(x.stx_mask & STATX_BTIME))
		return false;
	*t_r = (struct timespec){ .tv_sec = x.stx_btime.tv_sec,
	    .tv_nsec = x.stx_btime.tv_nsec };
	return true;
}

bool
maildirsize_doubtful(int dir, const struct maildirsize *m)
{
	struct timespec counted;
	struct changes c = { &counted, &m->changed, false };
	struct verdict ignored = VERDICT_INIT;

	/* A file system that does not know it: by the last line alone. */
	if (!born(dir, &counted))
		counted = m->changed;
	if (clock_now() - counted.tv_sec > MAILDIRSIZE_OLD_SECONDS)
		return true;
	/* -1 means that something was seen, or could not be read. */
	return each_folder(dir, NULL, look_for_changes, &c, &ignored) < 0;
}
