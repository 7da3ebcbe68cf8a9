/* vboxadm sieve list, put, activate: a user's scripts where ManageSieve keeps
 * them, NAME.sieve in sieve_dir and sieve_script a link to the active one. As
 * the mail user, and inside the administrator's directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/adm/nouns.h"
#include "lda/adm/sieve.h"
#include "lda/json.h"
#include "lda/place.h"
#include "store/base/file.h"

/* A path below an administrator's directory. */
#define PATH_MOST 4096
/* Of a script's name. */
#define NAME_MOST 200
#define HOME_MODE 0700
#define SCRIPT_MODE 0600
/* Where Pigeonhole, too, puts a script that was no link. */
#define ORIGINAL "dovecot.orig.sieve"

struct shelf {
	struct adm *a;
	struct directory *directory;
	struct account account;
	const struct settings *s;
	const char *root;	/* of both */
	const char *dir;	/* sieve_dir below it */
	const char *active;	/* sieve_script below it */
	const char *link;	/* its last part */
	int root_fd, dir_fd, link_fd;
};

/* --- where ------------------------------------------------------------------------- */

static int
find_account(struct shelf *h, struct verdict *v)
{
	struct adm *a = h->a;
	struct str local, domain;

	if (adm_address(a, a->args[0], &local, &domain, v) < 0 ||
	    adm_directory(a, DIRECTORY_WANT_DELIVERY, &h->directory, v) < 0)
		return -1;
	account_init(&h->account);
	h->account.local = local;
	h->account.domain = domain;
	h->s = config_domain(&a->config, domain);
	switch (directory_user(h->directory, local, domain, &a->arena,
	    &h->account, v)) {
	case DIR_FOUND:
		return 0;
	case DIR_ABSENT:
		return verdict_set(v, V_UNKNOWN_USER, "%s: no such user",
		    a->args[0]);
	case DIR_BROKEN:
		break;
	}
	return -1;
}

static int
find_places(struct shelf *h, struct verdict *v)
{
	const char *root;

	if (!h->s->sieve_dir[0] || !h->s->sieve_script[0])
		return verdict_set(v, V_CONFIG, "sieve_dir or sieve_script is "
		    "empty: users have no scripts");
	if (place_path("sieve_dir", h->s->sieve_dir, h->s, &h->account,
	    &h->a->arena, &h->root, &h->dir, v) < 0 ||
	    place_path("sieve_script", h->s->sieve_script, h->s, &h->account,
	    &h->a->arena, &root, &h->active, v) < 0)
		return -1;
	if (strcmp(root, h->root) != 0)
		return verdict_set(v, V_CONFIG, "sieve_dir and sieve_script "
		    "are not below the same directory");
	return 0;
}

/* What is missing stays so without FILE_MAKE, and its descriptor is -1. */
static int
open_one(struct shelf *h, const char *path, enum file_make make, int *fd_r,
    struct verdict *v)
{
	*fd_r = file_open_dir(h->root_fd, path, make, HOME_MODE);
	if (*fd_r < 0 && (errno != ENOENT || make == FILE_MAKE))
		return verdict_errno(v, errno, "%s/%s", h->root, path);
	return 0;
}

static int
shelf_open(struct adm *a, enum file_make make, struct shelf *h,
    struct verdict *v)
{
	ptrdiff_t slash;
	struct str parent;

	*h = (struct shelf){ .a = a, .root_fd = -1, .dir_fd = -1,
	    .link_fd = -1 };
	if (adm_config(a, v) < 0 || adm_become_vmail(a, v) < 0 ||
	    find_account(h, v) < 0 || find_places(h, v) < 0)
		return -1;
	slash = str_rchr(str_of(h->active), '/');
	h->link = h->active + slash + 1;
	parent = slash <= 0 ? STR(".") : arena_copy(&a->arena,
	    str_sub(str_of(h->active), 0, (size_t)slash));
	if (!parent.p)
		return verdict_set(v, V_NO_MEMORY, "arena is full");
	h->root_fd = file_open_root(h->root);
	if (h->root_fd < 0)
		return verdict_errno(v, errno, "%s", h->root);
	return open_one(h, h->dir, make, &h->dir_fd, v) < 0 ||
	    open_one(h, parent.p, make, &h->link_fd, v) < 0 ? -1 : 0;
}

static void
shelf_close(struct shelf *h)
{
	file_close(&h->link_fd);
	file_close(&h->dir_fd);
	file_close(&h->root_fd);
	directory_close(&h->directory);
}

/* "NAME.sieve" of a name that ManageSieve would take, too: RFC 5804 section
 * 1.6, and one part of a path. */
static int
file_name(const char *name, char file_r[NAME_MOST + sizeof(".sieve")],
    struct verdict *v)
{
	size_t n = strlen(name);
	bool bad = n == 0 || n > NAME_MOST || name[0] == '.';

	for (size_t i = 0; i < n && !bad; i++)
		bad = name[i] == '/' || ascii_iscntrl(name[i]);
	if (bad)
		return verdict_set(v, V_USAGE, "%s: no name for a script", name);
	memcpy(file_r, name, n);
	memcpy(file_r + n, ".sieve", sizeof(".sieve"));
	return 0;
}

/* --- list ---------------------------------------------------------------------------- */

static int
is_script(const struct dirent *e)
{
	return e->d_name[0] != '.' &&
	    str_ends(str_of(e->d_name), STR(".sieve"));
}

static bool
is_active(const struct shelf *h, const char *file)
{
	struct stat one, active;

	return h->link_fd >= 0 &&
	    fstatat(h->link_fd, h->link, &active, 0) == 0 &&
	    fstatat(h->dir_fd, file, &one, 0) == 0 &&
	    one.st_dev == active.st_dev && one.st_ino == active.st_ino;
}

static void
print_one(const struct shelf *h, const char *file, size_t index)
{
	struct buf *out = &h->a->out;
	struct str name = str_sub(str_of(file), 0,
	    strlen(file) - strlen(".sieve"));
	bool is = is_active(h, file);

	if (!h->a->json) {
		(void)buf_addf(out, "%.*s%s\n", STR_ARG(name),
		    is ? " active" : "");
		return;
	}
	(void)buf_addz(out, index ? ",{" : "{");
	json_member(out, "name", name);
	json_name(out, "active");
	(void)buf_addz(out, is ? "true}" : "false}");
}

int
adm_sieve_list(struct adm *a, struct verdict *v)
{
	struct dirent **list = NULL;
	struct shelf h;
	int n = 0, r = -1;

	if (shelf_open(a, FILE_NO_MAKE, &h, v) < 0)
		goto out;
	if (h.dir_fd >= 0)
		n = scandirat(h.dir_fd, ".", &list, is_script, alphasort);
	if (n < 0) {
		verdict_errno(v, errno, "%s/%s", h.root, h.dir);
		goto out;
	}
	if (a->json)
		(void)buf_addc(&a->out, '[');
	for (int i = 0; i < n; i++) {
		print_one(&h, list[i]->d_name, (size_t)i);
		free(list[i]);
	}
	free(list);
	if (a->json)
		(void)buf_addz(&a->out, "]\n");
	r = 0;
out:
	shelf_close(&h);
	return r;
}

/* --- put ----------------------------------------------------------------------------- */

static int
store(const struct shelf *h, const char *file, struct str text,
    struct verdict *v)
{
	char fresh[NAME_MOST + 64];
	int fd, n = snprintf(fresh, sizeof(fresh), ".%ld.%s", (long)getpid(),
	    file);
	int r = -1;

	if (n < 0 || (size_t)n >= sizeof(fresh))
		return verdict_set(v, V_USAGE, "%s: too long", file);
	fd = file_open_beneath(h->dir_fd, fresh, O_WRONLY | O_CREAT | O_EXCL,
	    SCRIPT_MODE);
	if (fd < 0)
		return verdict_errno(v, errno, "%s/%s/%s", h->root, h->dir, file);
	if (file_write_all(fd, text.p, text.n) < 0 || file_sync(fd) < 0 ||
	    file_close_checked(&fd) < 0 ||
	    renameat(h->dir_fd, fresh, h->dir_fd, file) < 0) {
		verdict_errno(v, errno, "%s/%s/%s", h->root, h->dir, file);
		(void)unlinkat(h->dir_fd, fresh, 0); /* the verdict stands */
	} else if (file_sync(h->dir_fd) < 0) {
		verdict_errno(v, errno, "sync %s/%s", h->root, h->dir);
	} else {
		r = 0;
	}
	file_close(&fd);
	return r;
}

/* With --json the judgement is all that is told. */
static void
report_put(const struct shelf *h, const char *file)
{
	struct adm *a = h->a;

	if (a->quiet || a->json)
		return;
	(void)buf_addf(&a->out, "stored %s of %s", a->args[1], a->args[0]);
	if (is_active(h, file))
		(void)buf_addz(&a->out, ", the active script\n");
	else
		(void)buf_addf(&a->out, "; it is not active: vboxadm sieve "
		    "activate %s %s\n", a->args[0], a->args[1]);
}

/* Of the domain in USER@DOMAIN. */
static const struct settings *
settings_of(struct adm *a)
{
	struct str address = str_of(a->args[0]);
	ptrdiff_t at = str_rchr(address, '@');

	return config_domain(&a->config, at < 0 ? STR("") :
	    str_sub(address, (size_t)at + 1, address.n));
}

int
adm_sieve_put(struct adm *a, struct verdict *v)
{
	char file[NAME_MOST + sizeof(".sieve")];
	struct shelf h = { .root_fd = -1, .dir_fd = -1, .link_fd = -1 };
	struct buf text;
	int r = -1;

	if (adm_config(a, v) < 0 || file_name(a->args[1], file, v) < 0)
		return -1;
	/* The caller's file, read as the caller. */
	buf_init(&text, a->config.global.sieve_max_script_size);
	if (sieve_read(a->args[2], &text, v) < 0)
		goto out;
	switch (sieve_judge(a, settings_of(a), a->args[2], buf_str(&text))) {
	case SIEVE_WRONG:
		a->exit = EX_DATAERR;
		r = 0;
		break;
	case SIEVE_SOUND:
		if (shelf_open(a, FILE_MAKE, &h, v) < 0)
			break;
		r = store(&h, file, buf_str(&text), v);
		if (r == 0)
			report_put(&h, file);
		break;
	}
out:
	shelf_close(&h);
	buf_release(&text);
	return r;
}

/* --- activate ------------------------------------------------------------------------ */

/* From the directory of sieve_script to the script: what both paths have in
 * common is left out, so that a home can be moved. */
static int
link_text(const struct shelf *h, const char *file, struct buf *out,
    struct verdict *v)
{
	size_t common = 0;

	for (size_t i = 0; h->active[i] && h->active[i] == h->dir[i]; i++)
		if (h->active[i] == '/')
			common = i + 1;
	for (const char *p = h->active + common; *p; p++)
		if (*p == '/')
			(void)buf_addz(out, "../");
	(void)buf_addf(out, "%s/%s", h->dir + common, file);
	return out->full ? verdict_set(v, V_CONFIG, "sieve_dir is too long") : 0;
}

/* A script that was no link is kept under the name that Pigeonhole gives it;
 * an older one there is not overwritten. */
static int
keep_original(const struct shelf *h, struct verdict *v)
{
	struct stat st;

	if (fstatat(h->link_fd, h->link, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : verdict_errno(v, errno, "%s/%s",
		    h->root, h->active);
	if (S_ISLNK(st.st_mode))
		return 0;
	if (!S_ISREG(st.st_mode))
		return verdict_set(v, V_TROUBLE, "%s/%s is no script", h->root,
		    h->active);
	if (linkat(h->link_fd, h->link, h->dir_fd, ORIGINAL, 0) < 0)
		return verdict_errno(v, errno, "keep %s/%s as " ORIGINAL,
		    h->root, h->active);
	return file_sync(h->dir_fd) < 0 ? verdict_errno(v, errno, "sync %s/%s",
	    h->root, h->dir) : 0;
}

static int
make_link(const struct shelf *h, const char *text, struct verdict *v)
{
	char fresh[64];
	int r = -1;

	(void)snprintf(fresh, sizeof(fresh), ".vbox-sieve.%ld",
	    (long)getpid()); /* fits */
	if (symlinkat(text, h->link_fd, fresh) < 0 ||
	    renameat(h->link_fd, fresh, h->link_fd, h->link) < 0) {
		verdict_errno(v, errno, "link %s/%s", h->root, h->active);
		(void)unlinkat(h->link_fd, fresh, 0); /* the verdict stands */
	} else if (file_sync(h->link_fd) < 0) {
		verdict_errno(v, errno, "sync beside %s/%s", h->root, h->active);
	} else {
		r = 0;
	}
	return r;
}

int
adm_sieve_activate(struct adm *a, struct verdict *v)
{
	char file[NAME_MOST + sizeof(".sieve")];
	struct shelf h = { .root_fd = -1, .dir_fd = -1, .link_fd = -1 };
	struct stat st;
	struct buf text;
	int r = -1;

	if (file_name(a->args[1], file, v) < 0)
		return -1;
	buf_init(&text, PATH_MOST);
	if (shelf_open(a, FILE_NO_MAKE, &h, v) < 0)
		goto out;
	if (h.dir_fd < 0 || h.link_fd < 0 ||
	    fstatat(h.dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		verdict_set(v, V_USAGE, "%s: no such script", a->args[1]);
		goto out;
	}
	if (link_text(&h, file, &text, v) == 0 && keep_original(&h, v) == 0)
		r = make_link(&h, text.p, v);
	if (r == 0 && !a->quiet && !a->json)
		(void)buf_addf(&a->out, "activated %s of %s\n", a->args[1],
		    a->args[0]);
out:
	shelf_close(&h);
	buf_release(&text);
	return r;
}
