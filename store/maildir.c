/*
 * Maildir (cr.yp.to/proto/maildir.html): one file a message, never locked.
 *
 * The file is written without a name in tmp (O_TMPFILE), synced, linked into
 * new (or cur, when it carries flags) under a unique name, and the directory
 * synced: killed at any point, it leaves nothing behind but a whole message.
 * Where the file system has no O_TMPFILE the file gets its name in tmp first,
 * as the paper says.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/self.h"
#include "store/keywords.h"
#include "store/mailbox_format.h"
#include "store/redo.h"

/* Collected before one write(2). */
#define PIECE ((size_t)64 * 1024)
/* What is larger is written from where it is. */
#define DIRECT ((size_t)4096)
/* A name that exists is a clock that stood still; another is tried. */
#define NAME_TRIES 20
#define NAME_SIZE 256
/* Longest host part of a name, so that NAME_SIZE always suffices. */
#define HOST_MAX 100

struct maildir {
	struct mailbox mb;	/* first */
	int dirfd;		/* the Maildir or one of its folders */
	int tmp, dest;		/* directories */
	int fd;			/* the message */
	char tmp_name[NAME_SIZE];	/* empty: it has no name in tmp */
	char name[NAME_SIZE];	/* in dest; empty: not linked */
	bool done;
	char letters[KEYWORDS_MAX + 1];	/* of the keywords */
	uint64_t crlf_size;	/* W=: size with CRLF line ends */
	char last;
	char *piece;
	size_t n;
	bool whole;		/* the piece is all of it, and is kept */
	bool linked;
	dev_t dev;
};

static struct maildir *
maildir_of(struct mailbox *mb)
{
	return (struct maildir *)(void *)mb;
}

/* --- directories ------------------------------------------------------------ */

static int
sub_dir(struct maildir *m, const char *name, struct verdict *v)
{
	const struct mailbox_spec *s = m->mb.spec;
	struct stat st;
	int fd = file_open_dir(m->dirfd, name,
	    s->make == MAILBOX_MAY_MAKE ? FILE_MAKE : FILE_NO_MAKE, s->dir_mode);

	if (fd < 0) {
		verdict_errno(v, errno, "open %s/%s in %s", s->path, name,
		    s->root);
		return -1;
	}
	if (fstat(fd, &st) < 0)
		verdict_errno(v, errno, "fstat");
	else if (st.st_uid != self_euid())
		verdict_set(v, V_BOX_UNSAFE, "%s/%s in %s belongs to uid %u",
		    s->path, name, s->root, (unsigned)st.st_uid);
	else if (mailbox_judge_dir(s, &st, v) == 0) {
		m->dev = st.st_dev;
		return fd;
	}
	file_close(&fd);
	return -1;
}

/* A Maildir++ folder says so by an empty file, so that agents that are
 * started inside find the quota file above. */
static int
mark_folder(struct maildir *m, struct verdict *v)
{
	int fd = file_open_beneath(m->dirfd, "maildirfolder",
	    O_WRONLY | O_CREAT | O_EXCL, m->mb.spec->file_mode);

	if (fd < 0 && errno != EEXIST)
		return verdict_errno(v, errno, "create maildirfolder");
	file_close(&fd);
	return 0;
}

/* Is it there and ours, if it need not be opened? Nobody but us can put
 * another in its place: the directory above was judged. */
static bool
sub_dir_there(const struct maildir *m, const char *name)
{
	struct verdict ignored;
	struct stat st;

	verdict_init(&ignored);
	return fstatat(m->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode) && st.st_uid == self_euid() &&
	    mailbox_judge_dir(m->mb.spec, &st, &ignored) == 0;
}

static int
open_dirs(struct maildir *m, struct verdict *v)
{
	const struct mailbox_spec *s = m->mb.spec;
	bool missing;

	m->dirfd = mailbox_open_dir(s, s->path, &missing, v);
	if (m->dirfd < 0)
		return -1;
	if (s->folder && s->folder[0]) {
		int fd = sub_dir(m, s->folder, v);

		if (fd < 0)
			return -1;
		file_close(&m->dirfd);
		m->dirfd = fd;
		if (s->make == MAILBOX_MAY_MAKE && mark_folder(m, v) < 0)
			return -1;
	}
	if (!sub_dir_there(m, "tmp")) {
		m->tmp = sub_dir(m, "tmp", v);
		if (m->tmp < 0)
			return -1;
	}
	/* Readers look for both; a Maildir with one of them is half made. */
	m->dest = sub_dir(m, "new", v);
	if (m->dest < 0)
		return -1;
	if (s->flags || s->keyword_count ||
	    (s->make == MAILBOX_MAY_MAKE && !sub_dir_there(m, "cur"))) {
		int cur = sub_dir(m, "cur", v);

		if (cur < 0)
			return -1;
		if (s->flags || s->keyword_count) {
			file_close(&m->dest);
			m->dest = cur;
		} else {
			file_close(&cur);
		}
	}
	return 0;
}

/* --- names ------------------------------------------------------------------ */

static void
add_host(struct buf *out, const char *host)
{
	size_t used = 0;

	for (const char *p = host; *p && used < HOST_MAX; p++, used++) {
		if (*p == '/')
			buf_addz(out, "\\057");
		else if (*p == ':')
			buf_addz(out, "\\072");
		else if (!ascii_iscntrl(*p) && (unsigned char)*p < 0x80)
			buf_addc(out, *p);
	}
}

/* System flags, then the letters of keywords: in ASCII order. */
static void
add_info(struct buf *out, const struct maildir *m)
{
	const struct mailbox_spec *s = m->mb.spec;
	static const struct {
		unsigned flag;
		char letter;
	} letters[] = {
		{ MAILBOX_DRAFT, 'D' }, { MAILBOX_FLAGGED, 'F' },
		{ MAILBOX_ANSWERED, 'R' }, { MAILBOX_SEEN, 'S' },
		{ MAILBOX_DELETED, 'T' },
	};

	if (!s->flags && !s->keyword_count)
		return;
	buf_addz(out, ":2,");
	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
		if (s->flags & letters[i].flag)
			buf_addc(out, letters[i].letter);
	buf_addz(out, m->letters);
}

/* Before the message has a name: what a letter means has to be there first. */
static void
give_letters(struct maildir *m)
{
	const struct mailbox_spec *s = m->mb.spec;
	struct verdict why = VERDICT_INIT;
	struct buf out;

	if (s->keyword_count == 0)
		return;
	buf_init(&out, KEYWORDS_MAX);
	m->mb.keywords_lost = keywords_letters(m->dirfd, s->keywords,
	    s->keyword_count, s->file_mode, &out, &why);
	memcpy(m->letters, out.p, out.n + 1);
	buf_release(&out);
}

/* time.MmicrosecondsPpidQcountRrandom.host: no two alike on this host while
 * the clock runs, nor in two pid namespaces on one. */
static int
make_name(const struct maildir *m, char *name)
{
	static unsigned count;
	static char noise[16];	/* of this process */
	static pid_t owner;
	struct buf out;
	uint64_t now = (uint64_t)clock_now_us();

	if (owner != self_pid()) {
		uint32_t random;

		/* Without it the rest is still unique. */
		if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
			random = 0;
		(void)snprintf(noise, sizeof(noise), "R%08x.", random); /* fits */
		owner = self_pid();
	}
	buf_init(&out, NAME_SIZE - 1);
	buf_addu(&out, now / 1000000);
	buf_addz(&out, ".M");
	buf_addu(&out, now % 1000000);
	buf_addc(&out, 'P');
	buf_addu(&out, (uint64_t)owner);
	buf_addc(&out, 'Q');
	buf_addu(&out, __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
	buf_addz(&out, noise);
	add_host(&out, m->mb.spec->hostname);
	buf_addz(&out, ",S=");
	buf_addu(&out, m->mb.size);
	buf_addz(&out, ",W=");
	buf_addu(&out, m->crlf_size);
	add_info(&out, m);
	if (out.full) {
		buf_release(&out);
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, out.p, out.n + 1);
	buf_release(&out);
	return 0;
}

/* --- the message ------------------------------------------------------------ */

/*
 * How many of n line ends are LF alone; `last` is the byte before them. Sixteen
 * places are counted at a time, as compilers know it for any processor: a search
 * for each line takes twice as long.
 */
static size_t
bare_lfs(const char *p, size_t n, char last)
{
	typedef signed char places __attribute__((vector_size(16)));
	size_t i = 1, count;

	if (n == 0)
		return 0;
	count = p[0] == '\n' && last != '\r';
	for (size_t end; n - i >= sizeof(places); ) {
		places sum = { 0 }, here, before;

		/* As often as a place can count. */
		end = n - i < SCHAR_MAX * sizeof(places) ? n :
		    i + SCHAR_MAX * sizeof(places);
		for (; end - i >= sizeof(places); i += sizeof(places)) {
			memcpy(&here, p + i, sizeof(here));
			memcpy(&before, p + i - 1, sizeof(before));
			sum -= (here == '\n') & (before != '\r');
		}
		for (size_t k = 0; k < sizeof(places); k++)
			count += (size_t)sum[k];
	}
	for (; i < n; i++)
		count += p[i] == '\n' && p[i - 1] != '\r';
	return count;
}

static int
flush(struct maildir *m)
{
	size_t n = m->n;

	m->n = 0;
	return n ? file_write_all(m->fd, m->piece, n) : 0;
}

/* What was collected and n bytes behind it, at once. */
static int
flush_with(struct maildir *m, const char *p, size_t n)
{
	struct iovec iov[] = { { m->piece, m->n }, { (void *)(uintptr_t)p, n } };

	m->n = 0;
	return file_writev_all(m->fd, iov, 2);
}

static int
sink(void *arg, const char *p, size_t n)
{
	struct maildir *m = arg;

	m->mb.size += n;
	m->crlf_size += n + bare_lfs(p, n, m->last);
	if (n)
		m->last = p[n - 1];
	if (n >= DIRECT && !m->mb.spec->keep_bytes)
		return flush_with(m, p, n);
	while (n) {
		size_t take = PIECE - m->n < n ? PIECE - m->n : n;

		memcpy(m->piece + m->n, p, take);
		m->n += take;
		p += take;
		n -= take;
		if (m->n == PIECE && flush(m) < 0)
			return -1;
	}
	return 0;
}

/* A file in tmp, without a name where that can be had. */
static int
open_tmp(struct maildir *m, struct verdict *v)
{
	mode_t mode = m->mb.spec->file_mode;

	m->fd = file_open_beneath(m->dirfd, "tmp", O_WRONLY | O_TMPFILE, mode);
	if (m->fd < 0 && m->tmp < 0) {
		int error = errno;

		m->tmp = sub_dir(m, "tmp", v);
		if (m->tmp < 0)
			return -1;
		errno = error;
	}
	if (m->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR ||
	    errno == ENOENT || errno == EINVAL)) {
		for (int i = 0; i < NAME_TRIES; i++) {
			if (make_name(m, m->tmp_name) < 0)
				break;
			m->fd = file_open_beneath(m->tmp, m->tmp_name,
			    O_WRONLY | O_CREAT | O_EXCL, mode);
			if (m->fd >= 0 || errno != EEXIST)
				break;
		}
		if (m->fd < 0)
			m->tmp_name[0] = '\0';
	}
	if (m->fd < 0)
		return verdict_errno(v, errno, "create message in %s/tmp",
		    m->mb.spec->path);
	/* The umask is the caller's, the mode the administrator's. */
	if ((mode & file_umask()) && fchmod(m->fd, mode) < 0)
		return verdict_errno(v, errno, "fchmod");
	return 0;
}

static int
maildir_open(struct mailbox *mb, struct verdict *v)
{
	struct maildir *m = maildir_of(mb);

	m->dirfd = m->tmp = m->dest = m->fd = -1;
	if (open_dirs(m, v) < 0 || open_tmp(m, v) < 0)
		return -1;
	give_letters(m);
	m->piece = mem_alloc(PIECE);
	if (content_write(mb->content, CONTENT_PLAIN, sink, m) < 0 ||
	    flush(m) < 0)
		return verdict_errno(v, errno, "write message in %s/tmp",
		    mb->spec->path);
	m->whole = mb->spec->keep_bytes && mb->size < PIECE;
	if (!m->whole) {
		free(m->piece);
		m->piece = NULL;
	} else if (make_name(m, m->name) < 0) {
		return verdict_errno(v, errno, "name a message in %s",
		    mb->spec->path);
	}
	/* An alias may have hundreds of copies open. */
	if (!mb->spec->keep_dir)
		file_close(&m->dirfd);
	if (!m->tmp_name[0])
		file_close(&m->tmp);
	return 0;
}

static int
maildir_settle(struct mailbox *mb, struct verdict *v)
{
	struct maildir *m = maildir_of(mb);

	if (mb->spec->sync == MAILBOX_SYNC && file_sync(m->fd) < 0)
		return verdict_errno(v, errno, "fsync message in %s/tmp",
		    mb->spec->path);
	return 0;
}

static int
maildir_publish(struct mailbox *mb, struct verdict *v)
{
	struct maildir *m = maildir_of(mb);

	for (int i = 0; i < NAME_TRIES; i++) {
		if (!m->name[0] && make_name(m, m->name) < 0)
			break;
		m->linked = m->tmp_name[0] ?
		    linkat(m->tmp, m->tmp_name, m->dest, m->name, 0) == 0 :
		    file_link_open(m->fd, m->dest, m->name) == 0;
		if (m->linked)
			return 0;
		/* The redo log may have this name. */
		if (errno != EEXIST || m->whole)
			break;
		m->name[0] = '\0';
	}
	return verdict_errno(v, errno, "link message into %s", mb->spec->path);
}

static int
maildir_sync(struct mailbox *mb, struct verdict *v)
{
	struct maildir *m = maildir_of(mb);

	if (mb->spec->sync == MAILBOX_SYNC && file_sync(m->dest) < 0)
		return verdict_errno(v, errno, "fsync directory of %s",
		    mb->spec->path);
	m->done = true;
	return 0;
}

static void
maildir_retract(struct mailbox *mb)
{
	maildir_of(mb)->done = false;
}

static void
maildir_close(struct mailbox *mb)
{
	struct maildir *m = maildir_of(mb);

	/* A reader may have moved it to cur: then it was seen, and the sender
	 * will send it again; better twice than not at all. */
	if (m->linked && !m->done &&
	    unlinkat(m->dest, m->name, 0) == 0)
		(void)file_sync(m->dest);
	if (m->tmp_name[0])
		(void)unlinkat(m->tmp, m->tmp_name, 0); /* a reader cleans tmp */
	free(m->piece);
	file_close(&m->fd);
	file_close(&m->tmp);
	file_close(&m->dest);
	file_close(&m->dirfd);
}

/* Whatever is there, is there; a folder is a directory of the Maildir. */
static int
maildir_exists(const struct mailbox_spec *spec, struct verdict *v)
{
	struct mailbox_spec folder = *spec;
	char path[PATH_MAX];
	int n;

	if (spec->folder && spec->folder[0]) {
		n = snprintf(path, sizeof(path), "%s%s%s", spec->path,
		    spec->path[0] ? "/" : "", spec->folder);
		if (n < 0 || (size_t)n >= sizeof(path))
			return 0;
		folder.path = path;
	}
	return mbox_ops.exists(&folder, v);
}

static int
maildir_descriptor(const struct mailbox *mb)
{
	const struct maildir *m = (const struct maildir *)(const void *)mb;

	return mb->spec->folder && mb->spec->folder[0] ? -1 : m->dirfd;
}

static bool
maildir_redo(const struct mailbox *mb, struct redo_copy *c)
{
	const struct maildir *m = (const struct maildir *)(const void *)mb;

	if (!m->whole)
		return false;
	c->dev = m->dev;
	c->sub = mb->spec->flags || mb->spec->keyword_count ? STR("cur") :
	    STR("new");
	c->name = str_of(m->name);
	c->bytes = str_mem(m->piece, mb->size);
	return true;
}

const struct mailbox_ops maildir_ops = {
	.redo = maildir_redo,
	.redo_first = true,
	.descriptor = maildir_descriptor,
	.open = maildir_open,
	.settle = maildir_settle,
	.publish = maildir_publish,
	.sync = maildir_sync,
	.retract = maildir_retract,
	.close = maildir_close,
	.exists = maildir_exists,
	.size = sizeof(struct maildir),
};
