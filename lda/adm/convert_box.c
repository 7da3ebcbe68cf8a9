#include "lda/adm/convert_box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/file.h"
#include "store/mbox_lock.h"

#define DEPTH_MAX 16
#define PATH_BYTES 4096

/* A name below an open directory. */
struct place {
	int dir;
	char name[NAME_MAX + 1];
};

static int
failed(const char *root, const char *path, struct verdict *v)
{
	return verdict_errno(v, errno, "%s/%s", root, path);
}

/* The directory that holds the last component of root/path. */
static int
place_open(struct place *p, const char *root, const char *path,
    enum file_make make, mode_t mode)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_BYTES];
	int top = file_open_root(root);

	p->dir = top;
	if (top < 0)
		return -1;
	if (snprintf(p->name, sizeof(p->name), "%s",
	    slash != NULL ? slash + 1 : path) >= (int)sizeof(p->name)) {
		errno = ENAMETOOLONG;
		file_close(&p->dir);
		return -1;
	}
	if (slash == NULL)
		return 0;
	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path),
	    path); /* shorter than a path that was opened */
	p->dir = file_open_dir(top, parent, make, mode);
	file_close(&top);
	return p->dir < 0 ? -1 : 0;
}

/* Renames NAME + from to NAME + to; something that is there is in the way. */
static int
place_rename(const struct place *p, const char *from, const char *to)
{
	char a[NAME_MAX + 32], b[NAME_MAX + 32];

	(void)snprintf(a, sizeof(a), "%s%s", p->name, from); /* fits */
	(void)snprintf(b, sizeof(b), "%s%s", p->name, to);
	return renameat2(p->dir, a, p->dir, b, RENAME_NOREPLACE) < 0 ||
	    file_sync(p->dir) < 0 ? -1 : 0;
}

/* As place_rename; nothing there is no error. */
static int
place_set_aside(const struct place *p)
{
	if (place_rename(p, "", CONVERT_OLD) == 0 || errno == ENOENT)
		return 0;
	return -1;
}

/* --- Maildirs --------------------------------------------------------------------- */

static int
make_maildir(int at, const char *path, mode_t mode)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	int dir = file_open_dir(at, path, FILE_MAKE, mode), fd;

	for (size_t i = 0; i < 3 && dir >= 0; i++) {
		fd = file_open_dir(dir, parts[i], FILE_MAKE, mode);
		if (fd < 0)
			file_close(&dir);
		file_close(&fd);
	}
	return dir;
}

/* No message in it? A directory that was made for a new user may go. */
static bool
is_empty_maildir(int at, const char *name)
{
	static const char *const parts[] = { "new", "cur" };
	bool empty = true;
	int dir = file_open_dir(at, name, FILE_NO_MAKE, 0);

	for (size_t i = 0; i < 2 && dir >= 0; i++) {
		int fd = file_open_dir(dir, parts[i], FILE_NO_MAKE, 0);
		struct dirent *e;
		DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

		while (d != NULL && (e = readdir(d)) != NULL)
			empty = empty && e->d_name[0] == '.';
		if (d != NULL)
			closedir(d);
	}
	file_close(&dir);
	return empty;
}

/* --- mbox to Maildir ---------------------------------------------------------------- */

/* One mbox file, locked while it is read; absent is empty. Without a dotlock,
 * whose file would be one more folder for Dovecot: nobody delivers, and it
 * looks at fcntl locks. */
static int
file_to_maildir(const struct convert_job *job, const struct place *p,
    int maildir, struct convert_count *count, struct verdict *v)
{
	struct mbox_lock_how how = job->mbox.lock;
	struct mbox_lock lock;
	int fd = file_open_beneath(p->dir, p->name, O_RDWR, 0), r = -1;

	if (fd < 0)
		return errno == ENOENT ? 0 : failed("", p->name, v);
	how.order[0] = MBOX_LOCK_FCNTL;
	how.order[1] = MBOX_LOCK_NONE;
	mbox_lock_init(&lock);
	if (mbox_lock_take(&lock, p->dir, p->name, fd, &how, v) == 0)
		r = convert_to_maildir(fd, maildir, &job->how, count, v);
	mbox_lock_release(&lock);
	file_close(&fd);
	return r;
}

/* "Work/2026" as ".Work.2026" in the new Maildir. A dot in a name would read
 * as a level. */
static int
folder_to_maildir(const struct convert_job *job, int dir, const char *file,
    const char *folder, int maildir, struct convert_count *count,
    struct verdict *v)
{
	char name[NAME_MAX + 1];
	struct place p = { .dir = dir };
	int fd, mark, r;

	(void)snprintf(p.name, sizeof(p.name), "%s", file); /* from readdir */
	if (snprintf(name, sizeof(name), ".%s", folder) >= (int)sizeof(name))
		return verdict_set(v, V_USAGE, "folder %s: name is too long",
		    folder);
	for (char *c = name + 1; *c != '\0'; c++)
		*c = *c == '.' ? '_' : *c == '/' ? '.' : *c;
	fd = make_maildir(maildir, name, job->maildir.dir_mode);
	if (fd < 0)
		return failed("Maildir", name, v);
	mark = file_open_beneath(fd, "maildirfolder", O_WRONLY | O_CREAT,
	    job->how.file_mode);
	r = mark < 0 ? failed(name, "maildirfolder", v) :
	    file_to_maildir(job, &p, fd, count, v);
	file_close(&mark);
	file_close(&fd);
	return r;
}

static bool
is_folder_name(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && !(n > 5 && strcmp(name + n - 5, ".lock") == 0);
}

static int
tree_to_maildir(const struct convert_job *job, int dir, const char *above,
    int depth, int maildir, struct convert_count *count, struct verdict *v)
{
	struct dirent *e;
	struct stat st;
	DIR *handle = fdopendir(dir);
	int r = 0;

	if (handle == NULL || depth > DEPTH_MAX) {
		file_close(&dir);
		return verdict_set(v, V_USAGE, "folders are too deep");
	}
	while (r == 0 && (e = readdir(handle)) != NULL) {
		char folder[PATH_BYTES];

		if (!is_folder_name(e->d_name) || fstatat(dir, e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		(void)snprintf(folder, sizeof(folder), "%s%s%s", above,
		    above[0] != '\0' ? "/" : "", e->d_name); /* judged below */
		if (S_ISREG(st.st_mode)) {
			r = folder_to_maildir(job, dir, e->d_name, folder,
			    maildir, count, v);
		} else if (S_ISDIR(st.st_mode)) {
			int sub = file_open_dir(dir, e->d_name, FILE_NO_MAKE,
			    0);

			r = sub < 0 ? failed(above, e->d_name, v) :
			    tree_to_maildir(job, sub, folder, depth + 1,
			    maildir, count, v);
		}
	}
	closedir(handle);
	return r;
}

static int
folders_to_maildir(const struct convert_job *job, int maildir,
    struct convert_count *count, struct verdict *v)
{
	struct place p;
	int dir, r;

	if (job->folders.path == NULL || job->folders.path[0] == '\0')
		return 0;
	if (place_open(&p, job->folders.root, job->folders.path, FILE_NO_MAKE,
	    0) < 0)
		return errno == ENOENT ? 0 : failed(job->folders.root,
		    job->folders.path, v);
	dir = file_open_dir(p.dir, p.name, FILE_NO_MAKE, 0);
	if (dir < 0)
		r = errno == ENOENT ? 0 : failed(job->folders.root,
		    job->folders.path, v);
	else
		r = tree_to_maildir(job, dir, "", 0, maildir, count, v);
	file_close(&p.dir);
	return r;
}

/* The old INBOX and folders get out of the way. */
static int
set_mbox_aside(const struct convert_job *job, const struct place *inbox,
    struct verdict *v)
{
	struct place p;
	int r;

	if (place_set_aside(inbox) < 0)
		return failed(job->mbox.root, job->mbox.path, v);
	if (job->folders.path == NULL || job->folders.path[0] == '\0' ||
	    place_open(&p, job->folders.root, job->folders.path, FILE_NO_MAKE,
	    0) < 0)
		return 0;
	r = place_set_aside(&p) < 0 ? failed(job->folders.root,
	    job->folders.path, v) : 0;
	file_close(&p.dir);
	return r;
}

/* With the INBOX locked from the first byte read to the last rename. */
static int
locked_to_maildir(const struct convert_job *job, const struct place *inbox,
    const struct place *target, int fd, struct convert_count *count,
    struct verdict *v)
{
	char building[NAME_MAX + 32];
	int maildir, r = -1;

	(void)snprintf(building, sizeof(building), "%s" CONVERT_NEW,
	    target->name); /* fits */
	maildir = make_maildir(target->dir, building, job->maildir.dir_mode);
	if (maildir < 0)
		return failed(job->maildir.root, building, v);
	if (fd >= 0 && convert_to_maildir(fd, maildir, &job->how, count, v) < 0)
		goto out;
	if (folders_to_maildir(job, maildir, count, v) < 0)
		goto out;
	if (syncfs(maildir) < 0) {
		failed(job->maildir.root, building, v);
		goto out;
	}
	if (is_empty_maildir(target->dir, target->name) &&
	    place_set_aside(target) < 0) {
		failed(job->maildir.root, job->maildir.path, v);
		goto out;
	}
	if (place_rename(target, CONVERT_NEW, "") < 0)
		failed(job->maildir.root, job->maildir.path, v);
	else
		r = set_mbox_aside(job, inbox, v);
out:
	file_close(&maildir);
	return r;
}

int
convert_box_to_maildir(const struct convert_job *job,
    struct convert_count *count, struct verdict *v)
{
	struct place inbox = { .dir = -1 }, target = { .dir = -1 };
	struct mbox_lock lock;
	int fd = -1, r = -1;

	mbox_lock_init(&lock);
	if (place_open(&inbox, job->mbox.root, job->mbox.path, FILE_MAKE,
	    job->mbox.dir_mode) < 0) {
		failed(job->mbox.root, job->mbox.path, v);
		goto out;
	}
	if (place_open(&target, job->maildir.root, job->maildir.path,
	    FILE_MAKE, job->maildir.dir_mode) < 0) {
		failed(job->maildir.root, job->maildir.path, v);
		goto out;
	}
	fd = file_open_beneath(inbox.dir, inbox.name, O_RDWR, 0);
	if (fd < 0 && errno != ENOENT) {
		failed(job->mbox.root, job->mbox.path, v);
		goto out;
	}
	if (fd >= 0 && mbox_lock_take(&lock, inbox.dir, inbox.name, fd,
	    &job->mbox.lock, v) < 0)
		goto out;
	r = locked_to_maildir(job, &inbox, &target, fd, count, v);
out:
	mbox_lock_release(&lock);
	file_close(&fd);
	file_close(&inbox.dir);
	file_close(&target.dir);
	return r;
}

/* --- Maildir to mbox ------------------------------------------------------------------ */

/* A Maildir into the file NAME + CONVERT_NEW, synced. */
static int
maildir_to_file(const struct convert_job *job, int maildir,
    const struct place *p, struct convert_count *count, struct verdict *v)
{
	char building[NAME_MAX + 32];
	int fd, r;

	(void)snprintf(building, sizeof(building), "%s" CONVERT_NEW, p->name);
	(void)unlinkat(p->dir, building, 0); /* of a try that was stopped */
	fd = file_open_beneath(p->dir, building, O_WRONLY | O_CREAT | O_EXCL,
	    job->how.file_mode);
	if (fd < 0)
		return failed("", building, v);
	r = convert_to_mbox(maildir, fd, &job->how, count, v);
	if (r == 0 && file_sync(fd) < 0)
		r = failed("", building, v);
	file_close(&fd);
	return r;
}

/* ".Work.2026" as "Work/2026" below the new folder directory. mbox has no
 * folder that holds both mail and folders: the level that is mail already
 * gives its dot a hyphen. */
static int
folder_to_file(const struct convert_job *job, int from, const char *name,
    int folders, struct convert_count *count, struct verdict *v)
{
	char path[NAME_MAX + 1];
	struct place p = { .dir = -1 };
	int maildir = file_open_dir(from, name, FILE_NO_MAKE, 0), r = -1;
	const char *slash;
	char above[NAME_MAX + 2];

	if (maildir < 0)
		return failed("Maildir", name, v);
	(void)snprintf(path, sizeof(path), "%s", name + 1); /* shorter */
	for (char *c = path; *c != '\0'; c++) {
		if (*c != '.')
			continue;
		(void)snprintf(above, sizeof(above), ".%.*s", (int)(c - path),
		    name + 1);
		*c = faccessat(from, above, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ?
		    '-' : '/';
	}
	slash = strrchr(path, '/');
	(void)snprintf(p.name, sizeof(p.name), "%s",
	    slash != NULL ? slash + 1 : path);
	(void)snprintf(above, sizeof(above), "%.*s",
	    slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
	p.dir = file_open_dir(folders, above, FILE_MAKE,
	    job->mbox.dir_mode);
	if (p.dir < 0)
		failed("folders", path, v);
	else if (maildir_to_file(job, maildir, &p, count, v) == 0)
		r = place_rename(&p, CONVERT_NEW, "") < 0 ?
		    failed("folders", path, v) : 0;
	file_close(&p.dir);
	file_close(&maildir);
	return r;
}

static int
folders_to_files(const struct convert_job *job, int from, int folders,
    struct convert_count *count, struct verdict *v)
{
	int fd = file_open_dir(from, ".", FILE_NO_MAKE, 0), r = 0;
	DIR *handle = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	struct stat st;

	if (handle == NULL) {
		file_close(&fd);
		return failed(job->maildir.root, job->maildir.path, v);
	}
	while (r == 0 && (e = readdir(handle)) != NULL) {
		if (e->d_name[0] != '.' || e->d_name[1] == '\0' ||
		    e->d_name[1] == '.' || fstatat(from, e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			continue;
		r = folder_to_file(job, from, e->d_name, folders, count, v);
	}
	closedir(handle);
	return r;
}

/* An INBOX that was touched for a new user, and holds nothing. */
static void
drop_empty_file(const struct place *p)
{
	struct stat st;

	if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size == 0)
		(void)unlinkat(p->dir, p->name, 0); /* else it is in the way */
}

static int
publish_mbox(const struct convert_job *job, const struct place *inbox,
    const struct place *folders, const struct place *source,
    struct verdict *v)
{
	drop_empty_file(inbox);
	if (place_rename(inbox, CONVERT_NEW, "") < 0)
		return failed(job->mbox.root, job->mbox.path, v);
	if (folders->dir >= 0) {
		/* Made for a new user, or left from the time before. */
		(void)unlinkat(folders->dir, folders->name, AT_REMOVEDIR);
		if (place_rename(folders, CONVERT_NEW, "") < 0)
			return failed(job->folders.root, job->folders.path, v);
	}
	if (place_set_aside(source) < 0)
		return failed(job->maildir.root, job->maildir.path, v);
	return 0;
}

static int
build_mbox(const struct convert_job *job, int maildir,
    const struct place *inbox, const struct place *folders,
    struct convert_count *count, struct verdict *v)
{
	char building[NAME_MAX + 32];
	int dir, r;

	if (maildir_to_file(job, maildir, inbox, count, v) < 0)
		return -1;
	if (folders->dir < 0)
		return 0;
	(void)snprintf(building, sizeof(building), "%s" CONVERT_NEW,
	    folders->name); /* fits */
	dir = file_open_dir(folders->dir, building, FILE_MAKE,
	    job->mbox.dir_mode);
	if (dir < 0)
		return failed(job->folders.root, building, v);
	r = folders_to_files(job, maildir, dir, count, v);
	if (r == 0 && syncfs(dir) < 0)
		r = failed(job->folders.root, building, v);
	file_close(&dir);
	return r;
}

int
convert_box_to_mbox(const struct convert_job *job,
    struct convert_count *count, struct verdict *v)
{
	struct place inbox = { .dir = -1 }, folders = { .dir = -1 },
	    source = { .dir = -1 };
	int maildir = -1, r = -1;

	if (place_open(&inbox, job->mbox.root, job->mbox.path, FILE_MAKE,
	    job->mbox.dir_mode) < 0) {
		failed(job->mbox.root, job->mbox.path, v);
		goto out;
	}
	if (place_open(&source, job->maildir.root, job->maildir.path,
	    FILE_MAKE, job->maildir.dir_mode) < 0) {
		failed(job->maildir.root, job->maildir.path, v);
		goto out;
	}
	if (job->folders.path != NULL && job->folders.path[0] != '\0' &&
	    place_open(&folders, job->folders.root, job->folders.path,
	    FILE_MAKE, job->mbox.dir_mode) < 0) {
		failed(job->folders.root, job->folders.path, v);
		goto out;
	}
	maildir = file_open_dir(source.dir, source.name, FILE_NO_MAKE, 0);
	if (maildir < 0 && errno == ENOENT) {
		r = 0; /* no mail yet */
		goto out;
	}
	if (maildir < 0) {
		failed(job->maildir.root, job->maildir.path, v);
		goto out;
	}
	if (build_mbox(job, maildir, &inbox, &folders, count, v) == 0)
		r = publish_mbox(job, &inbox, &folders, &source, v);
out:
	file_close(&maildir);
	file_close(&inbox.dir);
	file_close(&folders.dir);
	file_close(&source.dir);
	return r;
}
