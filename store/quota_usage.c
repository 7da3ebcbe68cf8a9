#include "store/quota_usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/checksum.h"
#include "store/base/file.h"

#define PATH_ROOM 4096

void
quota_found_init(struct quota_found *f)
{
	*f = (struct quota_found){ .dir = -1 };
	maildirsize_init(&f->maildirsize);
	mbox_counts_init(&f->counts);
}

void
quota_found_release(struct quota_found *f)
{
	if (!f->borrowed)
		file_close(&f->dir);
	maildirsize_close(&f->maildirsize);
	mbox_counts_release(&f->counts);
}

void
quota_found_remember(struct quota_found *f, const struct quota_usage *u,
    uint64_t stamp, uint64_t inbox)
{
	f->stamp = stamp;
	f->inbox = inbox;
	f->maildirsize.bytes = u->bytes;
	f->maildirsize.messages = u->messages;
}

/* --- Maildir ------------------------------------------------------------------- */

/* Told by maildirsize. */
static int
told(struct quota_found *f, int r)
{
	f->stamp = f->maildirsize.stamp;
	if (r > 0)
		f->usage = (struct quota_usage){ f->maildirsize.bytes,
		    f->maildirsize.messages };
	return r;
}

static int
maildir_usage(const struct quota_place *p, enum quota_effort effort,
    struct quota_found *f, struct verdict *v)
{
	struct maildirsize_how how = { .limits = p->limits,
	    .file_mode = p->file_mode, .exempt = p->exempt,
	    .exempt_count = p->exempt_count };
	int root;

	f->maildirsize.stamp = f->stamp;
	if (effort == QUOTA_PEEK)
		return told(f, maildirsize_peek(p->root, p->path, &p->limits,
		    &f->maildirsize, v));
	if (f->dir < 0 && p->dir > 0) {
		f->dir = p->dir;
		f->borrowed = true;
	}
	if (f->dir < 0) {
		root = file_open_root(p->root);
		if (root < 0)
			return verdict_errno(v, errno, "open %s", p->root);
		f->dir = file_open_beneath(root, p->path[0] ? p->path : ".",
		    O_RDONLY | O_DIRECTORY, 0);
		file_close(&root);
		if (f->dir < 0 && errno == ENOENT) {
			f->usage = (struct quota_usage){ 0, 0 };
			return 1;
		}
		if (f->dir < 0)
			return verdict_errno(v, errno, "open %s", p->path);
	}
	if (effort == QUOTA_SCAN)
		return maildirsize_scan(f->dir, &how, &f->usage.bytes,
		    &f->usage.messages, v) < 0 ? -1 : 1;
	if (effort == QUOTA_COUNT)
		return told(f, maildirsize_count(f->dir, &how, &f->maildirsize,
		    v) < 0 ? -1 : 1);
	return told(f, maildirsize_open(f->dir, &p->limits, &f->maildirsize,
	    v));
}

/* --- mbox ---------------------------------------------------------------------- */

struct walk {
	const struct quota_place *p;
	struct quota_found *f;
	enum quota_effort effort;
	struct stat inbox;	/* st_ino 0: there is none */
	struct verdict *v;
};

/* The mbox as it is, by what mbox_count.h knows a file. */
static uint64_t
stamp_of(const struct stat *st)
{
	const uint64_t parts[] = { (uint64_t)st->st_dev, (uint64_t)st->st_ino,
	    (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
	    (uint64_t)st->st_mtim.tv_nsec };
	uint64_t sum = checksum_of(parts, sizeof(parts));

	return sum ? sum : 1;
}

void
quota_found_appended(struct quota_found *f, const struct stat *st)
{
	if (f->stamp == 0)
		return;
	f->stamp = stamp_of(st);
	f->inbox++;
}

static int
count_file(struct walk *w, int dir, const char *name, const struct stat *st,
    uint64_t *n_r)
{
	struct quota_found *f = w->f;

	if (!f->counts_read && w->effort <= QUOTA_LOOK)
		mbox_counts_read(&f->counts, w->p->state_root,
		    w->p->counts_path);
	f->counts_read = true;
	return mbox_counts_of(&f->counts, dir, name, st, n_r, w->v);
}

static int
add_file(struct walk *w, int dir, const char *name, const struct stat *st)
{
	uint64_t n;

	w->f->usage.bytes += (uint64_t)st->st_size;
	if (!w->p->limits.messages)
		return 0;
	if (count_file(w, dir, name, st, &n) < 0)
		return -1;
	w->f->usage.messages += n;
	return 0;
}

static bool
ends(const char *name, const char *with)
{
	size_t n = strlen(name), k = strlen(with);

	return n >= k && strcmp(name + n - k, with) == 0;
}

/* Files of programs, not folders: as folder.c refuses them. */
static bool
is_foreign(const char *name)
{
	return name[0] == '.' || ends(name, ".lock") ||
	    strncmp(name, "dovecot", 7) == 0;
}

static bool
is_exempt(const struct quota_place *p, const char *path)
{
	for (size_t i = 0; i < p->exempt_count; i++)
		if (strcmp(p->exempt[i], path) == 0)
			return true;
	return false;
}

static int add_dir(struct walk *w, int fd, const char *path, unsigned level);

static int
add_name(struct walk *w, int dir, const char *name, const char *path,
    unsigned level)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : verdict_errno(w->v, errno,
		    "look at folder %s", path);
	if (S_ISREG(st.st_mode)) {
		if (is_exempt(w->p, path) || (st.st_ino == w->inbox.st_ino &&
		    st.st_dev == w->inbox.st_dev))
			return 0;
		return add_file(w, dir, name, &st);
	}
	if (!S_ISDIR(st.st_mode) || level == QUOTA_LEVELS)
		return 0;
	fd = file_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : verdict_errno(w->v, errno,
		    "open folder directory %s", path);
	return add_dir(w, fd, path, level + 1);
}

/* Takes fd over. */
static int
add_dir(struct walk *w, int fd, const char *path, unsigned level)
{
	DIR *d = fdopendir(fd);
	char below[PATH_ROOM];
	struct dirent *e;
	int r = -1, n;

	if (!d) {
		verdict_errno(w->v, errno, "read folders");
		file_close(&fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		if (is_foreign(e->d_name))
			continue;
		n = snprintf(below, sizeof(below), "%s%s%s", path,
		    path[0] ? "/" : "", e->d_name);
		if (n < 0 || (size_t)n >= sizeof(below))
			continue;	/* no name of a folder is so long */
		if (add_name(w, dirfd(d), e->d_name, below, level) < 0)
			goto out;
	}
	if (errno != 0)
		verdict_errno(w->v, errno, "read folders");
	else
		r = 0;
out:
	(void)closedir(d);
	return r;
}

/* 1 when it is there. Nothing is opened: a size is no secret, and whoever
 * delivers judges what stands there. */
static int
look_at(const char *root, const char *path, struct stat *st, struct verdict *v)
{
	char name[PATH_ROOM];
	int n = snprintf(name, sizeof(name), "%s/%s", root, path);

	if (n < 0 || (size_t)n >= sizeof(name))
		return verdict_errno(v, ENAMETOOLONG, "look at %s", path);
	if (lstat(name, st) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 :
	    verdict_errno(v, errno, "look at %s", path);
}

static int
count_inbox(struct walk *w)
{
	const struct quota_place *p = w->p;
	int r, root = file_open_root(p->root);

	if (root < 0)
		return verdict_errno(w->v, errno, "open %s", p->root);
	r = count_file(w, root, p->path, &w->inbox, &w->f->inbox);
	file_close(&root);
	return r;
}

static int
add_inbox(struct walk *w)
{
	const struct quota_place *p = w->p;
	struct quota_found *f = w->f;
	uint64_t remembered = f->stamp;
	int r = 1;

	f->stamp = 0;
	if (p->inbox)
		w->inbox = *p->inbox;
	else
		r = look_at(p->root, p->path, &w->inbox, w->v);
	if (r <= 0 || !S_ISREG(w->inbox.st_mode))
		return r < 0 ? -1 : 0;
	f->usage.bytes += (uint64_t)w->inbox.st_size;
	if (!p->limits.messages)
		return 0;
	f->stamp = stamp_of(&w->inbox);
	if ((remembered != f->stamp || w->effort > QUOTA_LOOK) &&
	    count_inbox(w) < 0)
		return -1;
	f->usage.messages += f->inbox;
	return 0;
}

static int
add_folders(struct walk *w)
{
	const struct quota_place *p = w->p;
	struct stat st;
	int fd, root, r;

	if (!p->folder_root)
		return 0;
	r = look_at(p->folder_root, p->folder_path, &st, w->v);
	if (r <= 0)
		return r;
	root = file_open_root(p->folder_root);
	if (root < 0)
		return errno == ENOENT ? 0 : verdict_errno(w->v, errno,
		    "open %s", p->folder_root);
	fd = file_open_beneath(root, p->folder_path[0] ? p->folder_path : ".",
	    O_RDONLY | O_DIRECTORY, 0);
	file_close(&root);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
		    verdict_errno(w->v, errno, "open %s", p->folder_path);
	return add_dir(w, fd, "", 0);
}

static int
mbox_usage(const struct quota_place *p, enum quota_effort effort,
    struct quota_found *f, struct verdict *v)
{
	struct walk w = { .p = p, .f = f, .effort = effort, .v = v };

	f->usage = (struct quota_usage){ 0, 0 };
	mbox_counts_release(&f->counts);
	f->counts_read = false;
	if (add_inbox(&w) < 0 || add_folders(&w) < 0)
		return -1;
	if (p->limits.messages && effort != QUOTA_SCAN)
		mbox_counts_write(&f->counts, p->state_root, p->counts_path);
	return 1;
}

/* --- either ---------------------------------------------------------------------- */

int
quota_usage(const struct quota_place *p, enum quota_effort effort,
    struct quota_found *f, struct verdict *v)
{
	return p->format == MAILBOX_MAILDIR ? maildir_usage(p, effort, f, v) :
	    mbox_usage(p, effort, f, v);
}

bool
quota_usage_doubtful(const struct quota_place *p, const struct quota_found *f)
{
	/* mbox is asked of the disk each time. */
	return p->format == MAILBOX_MAILDIR && f->dir >= 0 &&
	    maildirsize_doubtful(f->dir, &f->maildirsize);
}
