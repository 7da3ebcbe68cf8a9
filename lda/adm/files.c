#include "lda/adm/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/place.h"
#include "lda/template.h"
#include "store/base/file.h"

/* Deeper than any Maildir; a tree made by a stranger must not exhaust us. */
#define DEPTH_MAX 64

static bool
is_below(const struct account_file *f, const struct account_file *above)
{
	size_t n = strlen(above->path);

	return strcmp(f->root, above->root) == 0 &&
	    strncmp(f->path, above->path, n) == 0 &&
	    (f->path[n] == '/' || f->path[n] == '\0');
}

static int
home_file(struct adm *a, const struct settings *s,
    const struct account *account, struct account_file *f_r,
    struct verdict *v)
{
	struct template_names names = { .domain = account->domain,
	    .user = account->local };
	struct buf out;
	size_t root;
	int r = -1;

	buf_init(&out, PATH_MAX);
	if (template_expand(s->home, &names, &out, &root) < 0) {
		verdict_set(v, V_CONFIG, "home does not make a path");
	} else {
		f_r->root = arena_copy(&a->arena,
		    str_sub(buf_str(&out), 0, root)).p;
		f_r->path = arena_copy(&a->arena,
		    str_sub(buf_str(&out), root + 1, out.n)).p;
		r = 0;
	}
	buf_release(&out);
	return r;
}

static int
box_file(struct adm *a, const struct settings *s, const struct account *account,
    const char *format, struct account_file *f_r, struct verdict *v)
{
	struct target t = { .kind = TARGET_MAILBOX, .account = *account };
	struct mailbox_spec spec;

	t.account.format = str_of(format);
	if (place_mailbox(s, &t, STR(""), "localhost", &a->arena, &spec, v) < 0)
		return -1;
	*f_r = (struct account_file){ spec.root, spec.path };
	return 0;
}

int
account_files(struct adm *a, const struct account *account,
    struct account_file files[ACCOUNT_FILES_MAX], struct verdict *v)
{
	const struct settings *s;
	struct account_file f;
	int n = 0;

	if (adm_config(a, v) < 0)
		return -1;
	s = config_domain(&a->config, account->domain);
	if (account->home.n == 0 && s->home[0] != '\0') {
		if (home_file(a, s, account, &files[0], v) < 0)
			return -1;
		n++;
	}
	for (int maildir = 0; maildir <= 1; maildir++) {
		bool inside = false;

		if (box_file(a, s, account, maildir ? "maildir" : "mbox", &f,
		    v) < 0)
			return -1;
		for (int i = 0; i < n; i++)
			inside = inside || is_below(&f, &files[i]);
		/* A path without the user's name is not his alone. */
		if (!inside && f.path[0] != '\0')
			files[n++] = f;
	}
	return n;
}

struct str
account_file_name(struct adm *a, const struct account_file *f)
{
	struct buf b;
	struct str s;

	buf_init(&b, PATH_MAX);
	(void)buf_addf(&b, "%s/%s", f->root, f->path);
	s = arena_copy(&a->arena, buf_str(&b));
	buf_release(&b);
	return s;
}

/* --- removing ------------------------------------------------------------------- */

static int
remove_at(int dir, const char *name, int depth)
{
	struct dirent *e;
	DIR *handle;
	int fd, r = 0;

	if (unlinkat(dir, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth > DEPTH_MAX) {
		errno = ELOOP;
		return -1;
	}
	fd = file_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return -1;
	handle = fdopendir(fd);
	if (handle == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (e = readdir(handle)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = remove_at(dirfd(handle), e->d_name, depth + 1);
	closedir(handle);
	return r < 0 ? -1 : unlinkat(dir, name, AT_REMOVEDIR);
}

/* The directory that holds the last component of root/path, which *name_r
 * points at. -1 with errno; `make` makes what is missing. */
static int
open_parent(const struct account_file *f, enum file_make make, mode_t mode,
    const char **name_r)
{
	const char *slash = strrchr(f->path, '/');
	char parent[PATH_MAX];
	int root = file_open_root(f->root), fd = root;

	if (root < 0)
		return -1;
	*name_r = f->path;
	if (slash == NULL)
		return root;
	*name_r = slash + 1;
	(void)snprintf(parent, sizeof(parent), "%.*s",
	    (int)(slash - f->path), f->path);
	fd = file_open_dir(root, parent, make, mode);
	file_close(&root);
	return fd;
}

int
account_file_remove(const struct account_file *f, struct verdict *v)
{
	const char *name;
	int dir = open_parent(f, FILE_NO_MAKE, 0, &name), r = 1;

	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0)
		return verdict_errno(v, errno, "%s/%s", f->root, f->path);
	if (remove_at(dir, name, 0) < 0)
		r = errno == ENOENT ? 0 :
		    verdict_errno(v, errno, "%s/%s", f->root, f->path);
	else if (file_sync(dir) < 0)
		r = verdict_errno(v, errno, "%s/%s", f->root, f->path);
	file_close(&dir);
	return r;
}

/* --- moving --------------------------------------------------------------------- */

/* A directory that was made belongs to whom the old one belongs to. */
static int
same_owner(int from, int to)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	return fstat(from, &st) < 0 ? -1 : fchown(to, st.st_uid, st.st_gid);
}

int
account_file_move(const struct account_file *from,
    const struct account_file *to, mode_t dir_mode, struct verdict *v)
{
	const char *old, *new;
	struct stat st;
	int a = open_parent(from, FILE_NO_MAKE, 0, &old), b = -1, r = -1;

	if (a < 0 && errno == ENOENT)
		return 0;
	if (a < 0) {
		verdict_errno(v, errno, "%s/%s", from->root, from->path);
		goto out;
	}
	if (fstatat(a, old, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
		r = 0;
		goto out;
	}
	b = open_parent(to, FILE_MAKE, dir_mode, &new);
	if (b < 0 || same_owner(a, b) < 0 || renameat2(a, old, b, new, RENAME_NOREPLACE) < 0 ||
	    file_sync(b) < 0 || file_sync(a) < 0) {
		verdict_errno(v, errno, "%s/%s to %s/%s", from->root,
		    from->path, to->root, to->path);
		goto out;
	}
	r = 1;
out:
	file_close(&a);
	file_close(&b);
	return r;
}

int
account_files_move(struct adm *a, const struct account *from,
    const struct account *to, struct verdict *v)
{
	struct account_file old[ACCOUNT_FILES_MAX], new[ACCOUNT_FILES_MAX];
	int n = account_files(a, from, old, v);

	if (n < 0 || account_files(a, to, new, v) != n)
		return -1;
	for (int i = 0; i < n; i++) {
		if (strcmp(old[i].root, new[i].root) != 0)
			return verdict_set(v, V_USAGE, "%s and %s: not the "
			    "same file system, perhaps; move it by hand",
			    old[i].root, new[i].root);
		if (account_file_move(&old[i], &new[i],
		    a->config.global.dir_mode, v) < 0)
			return -1;
	}
	return 0;
}
