/*
 * mbox: one file, messages appended under locks (RFC 4155).
 *
 * The whole copy is made, or at least measured, before the first byte is
 * written; the append is announced in the undo record; whatever fails, the
 * file is cut back to its old size while we still hold the locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/self.h"
#include "store/keywords.h"
#include "store/mailbox_format.h"
#include "store/redo.h"

/* Copies up to this size are built in memory and written in one call. */
#define BUILD_MAX (512 * 1024)
/* How often the path may turn out to be another file than the one that we
 * locked, before we call it unsafe. A reader that rewrites by rename does so
 * once. */
#define REPLACED_TRIES 10
/* Status, X-Status and the keywords of one message. */
#define FLAGS_MAX (128 + 2 * MAILBOX_KEYWORDS * (KEYWORD_BYTES + 1))
/* Name of the mbox below its directory, and its path's directory. */
#define NAME_MAX_BYTES 255

struct mbox {
	struct mailbox mb;	/* first */
	struct kept *dir;	/* dirfd is its, or NULL */
	int dirfd, fd;
	char name[NAME_MAX_BYTES + 1];
	struct mbox_lock lock;
	struct undo undo;
	struct undo_plan plan;
	struct content content;	/* the caller's and the fields of flags */
	struct buf flags;
	struct buf copy;	/* the whole copy when it is small */
	bool built;
	ino_t ino;
	dev_t dev;
	uint64_t before;	/* size as we found it */
	struct str fill;	/* line ends that were missing there */
	uint64_t old_size;	/* where our message begins */
	bool appended;		/* something may have been written */
	bool done;
};

static struct mbox *
mbox_of(struct mailbox *mb)
{
	return (struct mbox *)(void *)mb;
}

/* --- making the copy ------------------------------------------------------- */

static int
sink_build(void *arg, const char *p, size_t n)
{
	struct mbox *m = arg;

	m->mb.size += n;
	if (m->built && (m->mb.size > BUILD_MAX || buf_add(&m->copy, p, n) < 0)) {
		m->built = false;
		buf_release(&m->copy);
	}
	return 0;
}

static int
sink_plan(void *arg, const char *p, size_t n)
{
	undo_feed(arg, p, n);
	return 0;
}

struct appending {
	struct mbox *m;
	size_t n, room;		/* in the piece */
	char *piece;
};
#define PIECE ((size_t)256 * 1024)
#define PAGE 4096

static int
flush(struct appending *a)
{
	size_t n = a->n;

	a->n = 0;
	a->room = PIECE;
	mbox_locks_refresh();
	return file_write_all(a->m->fd, a->piece, n);
}

static int
sink_append(void *arg, const char *p, size_t n)
{
	struct appending *a = arg;

	while (n) {
		size_t take = a->room - a->n < n ? a->room - a->n : n;

		memcpy(a->piece + a->n, p, take);
		a->n += take;
		p += take;
		n -= take;
		if (a->n == a->room && flush(a) < 0)
			return -1;
	}
	return 0;
}

/* Flags and keywords are fields of an mbox message. */
static void
add_flags(struct mbox *m)
{
	const struct mailbox_spec *s = m->mb.spec;
	size_t n = s->keyword_count < MAILBOX_KEYWORDS ? s->keyword_count :
	    MAILBOX_KEYWORDS;

	m->content = *m->mb.content;
	m->mb.content = &m->content;
	if (!s->flags && !n)
		return;
	buf_adds(&m->flags, m->content.mbox_head);
	keywords_mbox_head(s->flags, s->keywords, n, &m->flags);
	m->content.mbox_head = buf_str(&m->flags);
	for (size_t i = 0; i < s->keyword_count; i++)
		if (i >= n || !keywords_valid(s->keywords[i]))
			m->mb.keywords_lost++;
}

/* Size of the copy, and the copy itself when it is small. Nothing of it
 * depends on the mailbox, so it is done before any lock is held. */
static int
build(struct mbox *m, struct verdict *v)
{
	m->built = true;
	if (content_write(m->mb.content, m->mb.spec->variant, sink_build, m) < 0)
		return verdict_errno(v, errno, "read spooled message");
	return 0;
}

/* --- opening --------------------------------------------------------------- */

static int
judge(const struct mbox *m, const struct stat *st, struct verdict *v)
{
	const char *what = NULL;

	if (!S_ISREG(st->st_mode))
		what = "not a regular file";
	else if (st->st_nlink != 1)
		what = "has several names";
	else if (st->st_uid != self_euid())
		what = "belongs to another user";
	else if ((st->st_mode & S_IWOTH) ||
	    ((st->st_mode & S_IWGRP) && st->st_gid != getegid() &&
	    !(m->mb.spec->file_mode & S_IWGRP)))
		what = "writable by others";
	else if (!(st->st_mode & S_IWUSR))
		what = "not writable";
	if (what)
		return verdict_set(v, V_BOX_UNSAFE, "%s in %s: %s",
		    m->mb.spec->path, m->mb.spec->root, what);
	return 0;
}

static int
open_box(struct mbox *m, struct verdict *v)
{
	const struct mailbox_spec *s = m->mb.spec;

	m->fd = file_open_beneath(m->dirfd, m->name, O_RDWR | O_APPEND, 0);
	if (m->fd < 0 && errno == ENOENT && s->make == MAILBOX_MAY_MAKE) {
		m->fd = file_open_beneath(m->dirfd, m->name,
		    O_RDWR | O_APPEND | O_CREAT | O_EXCL, s->file_mode);
		/* The umask is the caller's, the mode the administrator's. */
		if (m->fd >= 0 && fchmod(m->fd, s->file_mode) < 0)
			return verdict_errno(v, errno, "fchmod %s", s->path);
		if (m->fd < 0 && errno == EEXIST)	/* made meanwhile */
			m->fd = file_open_beneath(m->dirfd, m->name,
			    O_RDWR | O_APPEND, 0);
	}
	if (m->fd < 0) {
		int error = errno;

		/* Not ours to write, or no file at all (a socket says ENXIO,
		 * a directory EISDIR): something else stands in its place. */
		verdict_errno(v, error, "open %s in %s", s->path, s->root);
		if (error == EACCES || error == EPERM || error == EBUSY ||
		    error == ETXTBSY || error == ENODEV)
			v->why = V_BOX_UNSAFE;
		return -1;
	}
	return 0;
}

/* Has the path still the file that we hold the locks of? */
static bool
still_there(const struct mbox *m, struct stat *st)
{
	struct stat at;

	return fstat(m->fd, st) == 0 &&
	    fstatat(m->dirfd, m->name, &at, AT_SYMLINK_NOFOLLOW) == 0 &&
	    at.st_dev == st->st_dev && at.st_ino == st->st_ino;
}

static int
open_locked(struct mbox *m, struct verdict *v)
{
	const struct mailbox_spec *s = m->mb.spec;
	struct stat st;

	for (int i = 0; i < REPLACED_TRIES; i++) {
		if (open_box(m, v) < 0)
			return -1;
		if (mbox_lock_take(&m->lock, m->dirfd, m->name, m->fd,
		    &s->lock, v) < 0) {
			/* What is not a mailbox is not busy. */
			if (fstat(m->fd, &st) == 0)
				(void)judge(m, &st, v);	/* v says it */
			return -1;
		}
		m->mb.locks_broken = m->lock.broken;
		if (still_there(m, &st)) {
			m->old_size = (uint64_t)st.st_size;
			m->ino = st.st_ino;
			m->dev = st.st_dev;
			return judge(m, &st, v);
		}
		mbox_lock_release(&m->lock);
		file_close(&m->fd);
	}
	return verdict_set(v, V_BOX_UNSAFE, "%s in %s is replaced all the time",
	    s->path, s->root);
}

/* Splits path into the directory (into dir) and the name. */
static int
split_path(struct mbox *m, char *dir, size_t size, struct verdict *v)
{
	struct str path = str_of(m->mb.spec->path), name = path;
	ptrdiff_t slash = str_rchr(path, '/');

	dir[0] = '\0';
	if (slash >= 0) {
		name = str_sub(path, (size_t)slash + 1, path.n);
		if ((size_t)slash >= size)
			return verdict_errno(v, ENAMETOOLONG, "%s", m->mb.spec->path);
		memcpy(dir, path.p, (size_t)slash);
		dir[slash] = '\0';
	}
	if (name.n == 0 || name.n > NAME_MAX_BYTES)
		return verdict_errno(v, ENAMETOOLONG, "%s", m->mb.spec->path);
	memcpy(m->name, name.p, name.n);
	m->name[name.n] = '\0';
	return 0;
}

/* Has it never held mail? Then no reader has given it a UIDVALIDITY. */
static bool
virgin(const struct mbox *m)
{
	struct statx st;

	if (m->old_size || statx(m->fd, "", AT_EMPTY_PATH,
	    STATX_MTIME | STATX_BTIME, &st) < 0 ||
	    !(st.stx_mask & STATX_BTIME))
		return false;
	return st.stx_mtime.tv_sec <= st.stx_btime.tv_sec + 1;
}

/*
 * Dovecot believes an X-Keywords field only when it knows its words, from its
 * index or from X-IMAPbase of the first message. In a new mailbox we write
 * that one; in an old one a word that was never used is lost to Dovecot,
 * since another program's first message is not ours to change.
 */
static int
name_keywords(struct mbox *m, struct verdict *v)
{
	const struct mailbox_spec *s = m->mb.spec;
	struct buf names;

	if (s->keyword_count == 0 || !virgin(m))
		return 0;
	buf_init(&names, FLAGS_MAX);
	buf_addf(&names, "X-IMAPbase: %u 0000000000", (unsigned)clock_now());
	for (size_t i = 0; i < s->keyword_count && i < MAILBOX_KEYWORDS; i++)
		if (keywords_valid(s->keywords[i])) {
			buf_addc(&names, ' ');
			buf_adds(&names, s->keywords[i]);
		}
	buf_addc(&names, '\n');
	buf_adds(&names, m->content.mbox_head);
	buf_reset(&m->flags);
	buf_adds(&m->flags, buf_str(&names));
	buf_release(&names);
	m->content.mbox_head = buf_str(&m->flags);
	m->mb.size = 0;
	buf_reset(&m->copy);
	return build(m, v);
}

static int
mbox_open(struct mailbox *mb, struct verdict *v)
{
	struct mbox *m = mbox_of(mb);
	char dir[4096];

	m->dirfd = m->fd = -1;
	mbox_lock_init(&m->lock);
	undo_init(&m->undo, -1, UNDO_OFF, NULL);
	buf_init(&m->copy, BUILD_MAX);
	buf_init(&m->flags, m->mb.content->mbox_head.n + FLAGS_MAX);
	add_flags(m);
	if (build(m, v) < 0 || split_path(m, dir, sizeof(dir), v) < 0)
		return -1;
	m->dirfd = mailbox_keep_dir(mb->spec, dir, &m->dir, v);
	if (m->dirfd < 0 || open_locked(m, v) < 0)
		return -1;
	undo_init(&m->undo, m->fd, mb->spec->undo, mb->spec->lock.slot_dir);
	if (undo_repair(&m->undo, m->dirfd, m->name, &m->old_size,
	    &mb->repaired, v) < 0)
		return -1;
	m->before = m->old_size;
	return name_keywords(m, v);
}

/* --- appending ------------------------------------------------------------- */

static int
mbox_settle(struct mailbox *mb, struct verdict *v)
{
	/* Appending shows the bytes, so nothing can be on disk before. */
	(void)mb;
	(void)v;
	return 0;
}

/* What another program left without its last line end, or without the blank
 * line, would swallow our From_ line. */
static int
missing_end(struct mbox *m, struct str *fill_r, struct verdict *v)
{
	char end[2];
	size_t n = m->old_size < 2 ? (size_t)m->old_size : 2;
	ssize_t got;

	*fill_r = STR("");
	if (n == 0)
		return 0;
	got = file_pread_full(m->fd, end, n, (off_t)(m->old_size - n));
	if (got < 0 || (size_t)got != n)
		return verdict_errno(v, got < 0 ? errno : EIO, "read %s",
		    m->mb.spec->path);
	if (end[n - 1] != '\n')
		*fill_r = STR("\n\n");
	else if (n == 2 && end[0] != '\n')
		*fill_r = STR("\n");
	return 0;
}

static int
append(struct mbox *m)
{
	struct appending a = { .m = m };
	int r;

	if (m->built)
		return file_write_all(m->fd, m->copy.p, m->copy.n);
	/* Pieces end at page boundaries of the file: there a kill tears. */
	a.room = PIECE - (size_t)(m->old_size % PAGE);
	a.piece = mem_alloc(PIECE);
	r = content_write(m->mb.content, m->mb.spec->variant, sink_append, &a);
	if (r == 0)
		r = flush(&a);
	free(a.piece);
	return r;
}

static int
mbox_publish(struct mailbox *mb, struct verdict *v)
{
	struct mbox *m = mbox_of(mb);
	struct stat st;
	uint64_t start;

	if (!mbox_lock_held(&m->lock))
		return verdict_set(v, V_BOX_BUSY,
		    "our dotlock of %s was taken away", mb->spec->path);
	if (missing_end(m, &m->fill, v) < 0)
		return -1;
	if (m->fill.n) {
		/* Not part of the record: a repair may leave it there. */
		m->appended = true;
		if (file_write_all(m->fd, m->fill.p, m->fill.n) < 0)
			return verdict_errno(v, errno, "append to %s",
			    mb->spec->path);
	}
	start = m->old_size + m->fill.n;
	undo_plan(&m->plan, start, start + mb->size);
	if (m->built)
		undo_feed(&m->plan, m->copy.p, m->copy.n);
	else if (content_write(mb->content, mb->spec->variant, sink_plan,
	    &m->plan) < 0)
		return verdict_errno(v, errno, "read spooled message");
	if (undo_begin(&m->undo, m->dirfd, m->name, m->ino, &m->plan,
	    m->built ? buf_str(&m->copy) : STR(""), v) < 0)
		return -1;
	m->appended = true;
	m->old_size = start;
	if (append(m) < 0)
		return verdict_errno(v, errno, "append to %s", mb->spec->path);
	/* Somebody who writes without locks has come between: then the copy
	 * is whole but not in one piece. */
	if (fstat(m->fd, &st) < 0)
		return verdict_errno(v, errno, "fstat %s", mb->spec->path);
	if ((uint64_t)st.st_size != start + mb->size)
		return verdict_set(v, V_BOX_BUSY,
		    "%s grew under our locks: a program writes it without",
		    mb->spec->path);
	return 0;
}

static int
mbox_sync(struct mailbox *mb, struct verdict *v)
{
	struct mbox *m = mbox_of(mb);

	if (mb->spec->sync == MAILBOX_SYNC) {
		if (file_datasync(m->fd) < 0)
			return verdict_errno(v, errno, "fdatasync %s",
			    mb->spec->path);
		/* A new file is only there when its name is, whoever made
		 * it. */
		if (m->before == 0 && file_sync(m->dirfd) < 0)
			return verdict_errno(v, errno, "fsync directory of %s",
			    mb->spec->path);
	}
	m->done = true;
	undo_end(&m->undo);
	return 0;
}

/* Back to the old size, as long as what is there is ours alone. */
static void
take_back(struct mbox *m)
{
	/* Not fstat(2): that may be what failed and brought us here. */
	off_t end = lseek(m->fd, 0, SEEK_END);

	if (end < 0 || (uint64_t)end > m->old_size + m->mb.size ||
	    (uint64_t)end < m->before)
		return;
	/* When this fails, the undo record lets the next delivery do it. */
	if (ftruncate(m->fd, (off_t)m->before) == 0 &&
	    file_sync(m->fd) == 0)
		undo_end(&m->undo);
}

static void
mbox_retract(struct mailbox *mb)
{
	mbox_of(mb)->done = false;
}

static void
mbox_close(struct mailbox *mb)
{
	struct mbox *m = mbox_of(mb);

	if (m->appended && !m->done)
		take_back(m);
	mbox_lock_release(&m->lock);
	undo_release(&m->undo);
	file_close(&m->fd);
	if (m->dir)
		m->dirfd = -1;
	kept_close(&m->dir);
	file_close(&m->dirfd);
	buf_release(&m->copy);
	buf_release(&m->flags);
}

static int
mbox_exists(const struct mailbox_spec *spec, struct verdict *v)
{
	struct stat st;
	int root = file_open_root(spec->root), fd;

	if (root < 0)
		return verdict_errno(v, errno, "open %s", spec->root);
	fd = file_open_beneath(root, spec->path, O_PATH | O_NOFOLLOW, 0);
	file_close(&root);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
		    verdict_errno(v, errno, "look for %s in %s", spec->path,
		    spec->root);
	if (fstat(fd, &st) < 0) {
		verdict_errno(v, errno, "fstat");
		file_close(&fd);
		return -1;
	}
	file_close(&fd);
	return 1;
}

static int
mbox_descriptor(const struct mailbox *mb)
{
	return ((const struct mbox *)(const void *)mb)->fd;
}

static bool
mbox_redo(const struct mailbox *mb, struct redo_copy *c)
{
	const struct mbox *m = (const struct mbox *)(const void *)mb;

	c->dev = m->dev;
	c->offset = m->before;
	c->before = m->fill;
	c->bytes = buf_str(&m->copy);
	return m->built;
}

const struct mailbox_ops mbox_ops = {
	.redo = mbox_redo,
	.descriptor = mbox_descriptor,
	.open = mbox_open,
	.settle = mbox_settle,
	.publish = mbox_publish,
	.sync = mbox_sync,
	.retract = mbox_retract,
	.close = mbox_close,
	.exists = mbox_exists,
	.size = sizeof(struct mbox),
};
