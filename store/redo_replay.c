#include "store/redo_replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/redo_aside.h"
#include "store/redo_format.h"

/* How much of the end of an mbox is searched for a message that is not where
 * it was put. */
#define SEARCH_MAX ((uint64_t)256 * 1024 * 1024)
/* Another program may have written that many bytes of fields into a header. */
#define FIELDS_MAX ((size_t)16 * 1024)
/* The end of a message by which it is known to be whole. */
#define TAIL ((size_t)512)
#define NAME_MAX_BYTES 255
/* Read in one go where zeros are looked for. */
#define PIECE 4096
/* Mailboxes of which the end is remembered; a forgotten one is searched. */
#define ENDS 1024

/* Where a message of the log ends that is where it was put. */
struct end {
	dev_t dev;
	ino_t ino;
	uint64_t at;
};

struct replay {
	struct redo *redo;
	const struct redo_how *how;
	struct redo_names names;
	struct verdict verdict;
	struct redo_disks disks;
	struct end ends[ENDS];
};

/* --- mbox ---------------------------------------------------------------------- */

/* How a mailbox's bytes from an offset on compare with a message: what a disk
 * did not write is a hole of zeros, or beyond the end. */
enum likeness { LIKE_EQUAL, LIKE_TORN, LIKE_OTHER };

static enum likeness
compare(struct str there, struct str wanted)
{
	bool whole = there.n >= wanted.n;

	for (size_t i = 0; i < there.n && i < wanted.n; i++) {
		if (there.p[i] == wanted.p[i])
			continue;
		if (there.p[i] != '\0')
			return LIKE_OTHER;
		whole = false;
	}
	return whole ? LIKE_EQUAL : LIKE_TORN;
}

/* What is behind the mark, up to the next message. */
static struct str
this_message(struct str there, const struct redo_copy *c)
{
	struct str rest = str_sub(there, 0, c->bytes.n + FIELDS_MAX);
	ptrdiff_t next = c->spec.variant == CONTENT_MBOXCL2 ? -1 :
	    str_find(rest, STR("\n\nFrom "));

	return next < 0 ? rest : str_sub(rest, 0, (size_t)next + 1);
}

/* The message under its mark, whole: another program may have written into
 * its header, so only mark and end are compared. */
static bool
holds(struct str there, const struct redo_copy *c)
{
	ptrdiff_t header = str_find(c->bytes, STR("\n\n"));
	struct str body = header < 0 ? STR("") :
	    str_sub(c->bytes, (size_t)header, c->bytes.n);
	size_t tail = body.n < TAIL ? body.n : TAIL;
	struct str end = str_trim(str_sub(body, body.n - tail, tail));

	if (c->mark.n == 0)
		return false;
	for (;;) {
		ptrdiff_t at = str_find(there, c->mark);

		if (at < 0)
			return false;
		there = str_sub(there, (size_t)at + c->mark.n, there.n);
		if (str_find(this_message(there, c), end) >= 0)
			return true;
	}
}

static int
search_mbox(int fd, uint64_t size, const struct redo_copy *c)
{
	uint64_t from = size > SEARCH_MAX ? size - SEARCH_MAX : 0;
	char *p = mem_alloc((size_t)(size - from) + 1);
	ssize_t n = file_pread_full(fd, p, (size_t)(size - from), (off_t)from);
	int r = n < 0 ? -1 : holds(str_mem(p, (size_t)n), c);

	free(p);
	return r;
}

/* A descriptor that appends does so with pwrite(2), too. */
static int
append_off(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags & ~O_APPEND);
}

/* Writes what belongs at the copy's offset in a mailbox of `size` bytes. */
static int
write_in_place(int fd, uint64_t size, const struct redo_copy *c,
    struct verdict *v)
{
	if (append_off(fd) < 0 || file_pwrite_all(fd, c->before.p, c->before.n,
	    (off_t)c->offset) < 0 ||
	    file_pwrite_all(fd, c->bytes.p, c->bytes.n,
	    (off_t)(c->offset + c->before.n)) < 0) {
		verdict_errno(v, errno, "write %s in %s", c->spec.path,
		    c->spec.root);
		/* No beginning of it stays, lest other mail comes behind. */
		if (size >= c->offset && ftruncate(fd, (off_t)size) < 0)
			verdict_errno(v, errno, "cut %s", c->spec.path);
		return -1;
	}
	return 0;
}

/* How many bytes before an offset are zero: a disk has not written what
 * another program did. -1 with errno. */
static int
zeros_before(int fd, uint64_t at, uint64_t *n_r)
{
	char piece[PIECE];
	uint64_t begin = at;

	while (begin > 0) {
		size_t n = begin < PIECE ? (size_t)begin : PIECE, k = n;
		ssize_t got = file_pread_full(fd, piece, n, (off_t)(begin - n));

		if (got != (ssize_t)n) {
			errno = got < 0 ? errno : EIO;
			return -1;
		}
		while (k && piece[k - 1] == '\0')
			k--;
		begin -= n - k;
		if (k)
			break;
	}
	*n_r = at - begin;
	return 0;
}

/* Zeros at the end of a mailbox are no mail. 1 when some were cut off. */
static int
cut_zeros(int fd)
{
	struct stat st;
	uint64_t n;

	if (fstat(fd, &st) < 0 ||
	    zeros_before(fd, (uint64_t)st.st_size, &n) < 0)
		return -1;
	if (n == 0)
		return 0;
	return ftruncate(fd, st.st_size - (off_t)n) < 0 ? -1 : 1;
}

/*
 * The message was put behind line ends; are they there? Zeros in their place
 * are made line ends, or nobody would see where the message begins. 1, 0 when
 * something else is there, or -1 with errno.
 */
static int
stands_apart(int fd, const struct redo_copy *c)
{
	size_t want = c->offset < 2 ? (size_t)c->offset : 2;
	uint64_t zeros;
	char end[2], *fill;
	int r;

	if (c->before.n >= want)
		return 1;
	if (zeros_before(fd, c->offset, &zeros) < 0)
		return -1;
	if (zeros) {
		fill = mem_alloc((size_t)zeros);
		memset(fill, '\n', (size_t)zeros);
		r = append_off(fd) < 0 ? -1 : file_pwrite_all(fd, fill,
		    (size_t)zeros, (off_t)(c->offset - zeros));
		free(fill);
		return r < 0 ? -1 : 1;
	}
	want -= c->before.n;
	if (file_pread_full(fd, end, want, (off_t)(c->offset - want)) !=
	    (ssize_t)want)
		return -1;
	return memcmp(end, "\n\n", want) == 0;
}

static struct end *
end_of(struct replay *p, const struct stat *st)
{
	return &p->ends[st->st_ino % ENDS];
}

/*
 * Nothing, or only a beginning, is where the message was put. Has a reader
 * deleted mail before it, so that it is elsewhere and the mailbox ends here by
 * chance? Not if the message that it was put behind is in its place.
 */
static bool
may_be_elsewhere(struct replay *p, const struct stat *st,
    const struct redo_copy *c, struct str there)
{
	const struct end *e = end_of(p, st);

	return str_find(there, c->mark) < 0 && !(e->dev == st->st_dev &&
	    e->ino == st->st_ino && e->at == c->offset);
}

static int
judge_mbox(struct replay *p, int fd, const struct redo_copy *c,
    enum redo_outcome *outcome_r, struct verdict *v)
{
	size_t n = c->before.n + c->bytes.n;
	enum likeness like = LIKE_OTHER;
	struct stat st;
	char *wanted, *there;
	ssize_t got = 0;
	bool elsewhere = true;
	int found = 0, apart = 1;

	if (fstat(fd, &st) < 0)
		return verdict_errno(v, errno, "fstat %s", c->spec.path);
	if ((uint64_t)st.st_size >= c->offset) {
		wanted = mem_alloc(n + 1);
		there = mem_alloc(n + 1);
		memcpy(wanted, c->before.p, c->before.n);
		memcpy(wanted + c->before.n, c->bytes.p, c->bytes.n);
		got = file_pread_full(fd, there, n, (off_t)c->offset);
		if (got >= 0)
			like = compare(str_mem(there, (size_t)got),
			    str_mem(wanted, n));
		if (got >= 0 && like == LIKE_TORN)
			elsewhere = may_be_elsewhere(p, &st, c,
			    str_mem(there, (size_t)got));
		free(there);
		free(wanted);
	}
	if (got >= 0 && like != LIKE_OTHER)
		apart = stands_apart(fd, c);
	if (got < 0 || apart < 0)
		return verdict_errno(v, errno, "read %s", c->spec.path);
	if (apart == 0 && like == LIKE_EQUAL) {
		/* There, but as a part of what is before it. */
		*outcome_r = REDO_ADDED;
		return 0;
	}
	if (apart == 0)
		like = LIKE_OTHER;
	if (like != LIKE_EQUAL && elsewhere)
		found = search_mbox(fd, (uint64_t)st.st_size, c);
	if (found < 0)
		return verdict_errno(v, errno, "read %s", c->spec.path);
	*outcome_r = found || like == LIKE_EQUAL ? REDO_THERE :
	    like == LIKE_TORN ? REDO_MENDED : REDO_ADDED;
	if (*outcome_r == REDO_MENDED &&
	    write_in_place(fd, (uint64_t)st.st_size, c, v) < 0)
		return -1;
	if (!found && like != LIKE_OTHER)
		*end_of(p, &st) = (struct end){ .dev = st.st_dev,
		    .ino = st.st_ino, .at = c->offset + n };
	return 0;
}

static int
redo_mbox(struct replay *p, const struct redo_copy *c,
    enum redo_outcome *outcome_r, struct verdict *v)
{
	struct source bytes = { .mem = c->bytes.p, .fd = -1, .n = c->bytes.n };
	/* As it is: all of it is called a header that nothing is taken from. */
	struct content content = { .message = &bytes, .body = c->bytes.n };
	struct mailbox_spec spec = c->spec;
	struct mailbox *mb = NULL;
	int r;

	spec.variant = CONTENT_PLAIN;
	spec.sync = MAILBOX_NO_SYNC;	/* redo_replay does it */
	if (mailbox_open(&spec, &content, &mb, v) < 0)
		return -1;
	r = cut_zeros(mailbox_descriptor(mb));
	if (r < 0)
		verdict_errno(v, errno, "cut zeros off %s", c->spec.path);
	if (r > 0) {
		/* It remembers how long the file was. */
		mailbox_close(&mb);
		r = mailbox_open(&spec, &content, &mb, v);
	}
	if (r < 0) {
		mailbox_close(&mb);
		return -1;
	}
	r = judge_mbox(p, mailbox_descriptor(mb), c, outcome_r, v);
	if (r == 0 && *outcome_r == REDO_ADDED &&
	    (mailbox_publish(mb, v) < 0 || mailbox_sync(mb, v) < 0))
		r = -1;
	mailbox_close(&mb);
	return r;
}

/* --- Maildir --------------------------------------------------------------------- */

/* The name up to where flags begin. */
static struct str
base_of(struct str name)
{
	ptrdiff_t colon = str_rchr(name, ':');

	return colon < 0 ? name : str_sub(name, 0, (size_t)colon);
}

/* Looks in a directory for the message under whatever flags. 1: out has its
 * name. */
static int
find_name(int dir, struct str name, char *out)
{
	struct stat st;
	const struct dirent *e;
	int fd, r = 0;
	DIR *d;

	memcpy(out, name.p, name.n);
	out[name.n] = '\0';
	if (fstatat(dir, out, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (errno != ENOENT)
		return -1;
	fd = file_open_beneath(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (errno = 0, e = readdir(d)))
		if (str_eq(base_of(str_of(e->d_name)), base_of(name)) &&
		    strlen(e->d_name) <= NAME_MAX_BYTES) {
			memcpy(out, e->d_name, strlen(e->d_name) + 1);
			r = 1;
		}
	if (r == 0 && errno)
		r = -1;
	(void)closedir(d);
	return r;
}

/* 1: the file has these bytes and no others. */
static int
same_bytes(int dir, const char *name, struct str bytes)
{
	int fd = file_open_beneath(dir, name, O_RDONLY, 0), r = 0;
	struct stat st;
	char *p;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		r = -1;
	} else if ((uint64_t)st.st_size == bytes.n) {
		p = mem_alloc(bytes.n + 1);
		r = file_pread_full(fd, p, bytes.n, 0) < 0 ? -1 :
		    memcmp(p, bytes.p, bytes.n) == 0;
		free(p);
	}
	file_close(&fd);
	return r;
}

/* The message into tmp, and from there to its name; what has it is replaced. */
static int
put_file(int top, int dir, const char *name, const struct redo_copy *c)
{
	int tmp = file_open_dir(top, "tmp", FILE_MAKE, c->spec.dir_mode);
	int fd = -1, r = -1;

	if (tmp >= 0)
		fd = file_open_beneath(tmp, name, O_WRONLY | O_CREAT | O_TRUNC,
		    c->spec.file_mode);
	if (fd >= 0 && fchmod(fd, c->spec.file_mode) == 0 &&
	    file_write_all(fd, c->bytes.p, c->bytes.n) == 0)
		r = renameat(tmp, name, dir, name);
	file_close(&fd);
	file_close(&tmp);
	return r;
}

static int
redo_in(int top, const struct redo_copy *c, enum redo_outcome *outcome_r)
{
	static const char *const subs[] = { "new", "cur" };
	char name[NAME_MAX_BYTES + 1], sub[8];
	int dir, found = 0, r = -1;

	*outcome_r = REDO_MENDED;
	for (size_t i = 0; i < 2 && found == 0; i++) {
		dir = file_open_dir(top, subs[i], FILE_MAKE, c->spec.dir_mode);
		if (dir < 0)
			return -1;
		found = find_name(dir, c->name, name);
		if (found == 1) {
			r = same_bytes(dir, name, c->bytes);
			if (r == 1)
				*outcome_r = REDO_THERE;
			else if (r == 0)
				r = put_file(top, dir, name, c);
		}
		file_close(&dir);
	}
	if (found)
		return r < 0 ? -1 : 0;
	memcpy(sub, c->sub.p, c->sub.n);
	sub[c->sub.n] = '\0';
	memcpy(name, c->name.p, c->name.n);
	name[c->name.n] = '\0';
	dir = file_open_dir(top, sub, FILE_MAKE, c->spec.dir_mode);
	if (dir < 0)
		return -1;
	r = put_file(top, dir, name, c);
	file_close(&dir);
	return r;
}

static int
redo_maildir(const struct redo_copy *c, enum redo_outcome *outcome_r,
    struct verdict *v)
{
	const struct mailbox_spec *s = &c->spec;
	int root = file_open_root(s->root), top = -1, folder, r = -1;

	if (c->name.n == 0 || c->name.n > NAME_MAX_BYTES ||
	    str_chr(c->name, '/') >= 0 || (!str_eq(c->sub, STR("new")) &&
	    !str_eq(c->sub, STR("cur")))) {
		file_close(&root);
		return verdict_set(v, V_TROUBLE, "a name that makes no sense");
	}
	if (root >= 0)
		top = file_open_dir(root, s->path[0] ? s->path : ".", FILE_MAKE,
		    s->dir_mode);
	if (top >= 0 && s->folder) {
		folder = file_open_dir(top, s->folder, FILE_MAKE, s->dir_mode);
		file_close(&top);
		top = folder;
	}
	if (top >= 0)
		r = redo_in(top, c, outcome_r);
	if (r < 0)
		verdict_errno(v, errno, "write a message to %s in %s", s->path,
		    s->root);
	file_close(&top);
	file_close(&root);
	return r;
}

/* --- all of it ----------------------------------------------------------------------- */

static int
put(struct replay *p, const struct redo_how *how, struct redo_copy *c,
    enum redo_outcome *outcome_r, struct verdict *v)
{
	c->spec.lock.timeout_ms = how->lock_timeout_ms;
	c->spec.lock.stale_ms = how->stale_ms;
	c->spec.lock.slot_dir = how->slot_dir;
	c->spec.hostname = how->hostname;
	return c->spec.format == MAILBOX_MBOX ? redo_mbox(p, c, outcome_r, v) :
	    redo_maildir(c, outcome_r, v);
}

int
redo_put(const struct redo_how *how, struct redo_copy *c,
    enum redo_outcome *outcome_r, struct verdict *v)
{
	struct replay *p = mem_zalloc(1, sizeof(*p));
	int r = put(p, how, c, outcome_r, v);

	free(p);
	return r;
}

/* The same at each replay of this log, and never that of another: numbers of
 * generations begin anew with a new log. */
static void
name_aside(const struct redo_record *h, size_t which, char *name)
{
	const uint8_t *s = h->secret;

	(void)snprintf(name, REDO_ASIDE_NAME, "%llu-%llu-%zu-%02x%02x%02x%02x",
	    (unsigned long long)h->generation,
	    (unsigned long long)(h->at / REDO_PAGE), which, s[0], s[1], s[2],
	    s[3]);
}

/* 1: the verdict is set. */
static int
redo_copy(struct replay *p, struct redo_copy *c, const struct redo_record *h,
    size_t which)
{
	struct verdict why = VERDICT_INIT;
	enum redo_outcome outcome = REDO_SET_ASIDE;
	char aside[REDO_ASIDE_NAME] = "";

	if (put(p, p->how, c, &outcome, &why) < 0) {
		outcome = REDO_SET_ASIDE;
		name_aside(h, which, aside);
		if (redo_aside_write(p->redo->dir, aside, c, &p->verdict) < 0)
			return 1;
	}
	if (p->how->told)
		p->how->told(p->how->arg, c, outcome, aside, &why);
	return 0;
}

static int
redo_record(void *arg, const struct redo_record *h, struct str body)
{
	struct replay *p = arg;
	struct redo_copy c;

	for (size_t i = 0; body.n; i++) {
		if (redo_parse(&body, &c, &p->names) < 0) {
			verdict_set(&p->verdict, V_TROUBLE, "record %llu of the "
			    "delivery log cannot be read",
			    (unsigned long long)h->at);
			return 1;
		}
		redo_note_root(&p->disks, c.spec.root);
		if (redo_copy(p, &c, h, i) != 0)
			return 1;
	}
	return 0;
}

int
redo_replay(struct redo *r, const struct redo_how *how, struct verdict *v)
{
	struct replay *p = mem_zalloc(1, sizeof(*p));
	const char *root;
	unsigned first = r->head[1].generation < r->head[0].generation;
	int result = 0;

	p->redo = r;
	p->how = how;
	for (unsigned i = 0; i < 2 && result == 0; i++) {
		if (r->head[first ^ i].state == REDO_SEGMENT_CLEAN)
			continue;
		result = redo_walk(r, first ^ i, redo_record, p);
		if (result > 0)
			*v = p->verdict;
		else if (result < 0)
			verdict_errno(v, errno, "read the delivery log");
	}
	/* Not each message for itself; and what was found whole may be whole
	 * in memory only. */
	if (result == 0 && redo_sync_noted(&p->disks, &root) < 0)
		result = verdict_errno(v, errno, "sync %s", root);
	for (unsigned i = 0; i < 2 && result == 0; i++)
		if (r->head[i].state != REDO_SEGMENT_CLEAN &&
		    redo_write_head(r, i, REDO_SEGMENT_CLEAN) < 0)
			result = verdict_errno(v, errno,
			    "mark the delivery log");
	free(p);
	return result == 0 ? 0 : -1;
}
