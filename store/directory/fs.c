/*
 * "fs": the convention of "Extending Use of Sendmail and Procmail for
 * Virtual Mail Hosting" (Langley 2007). A domain exists when its directory
 * exists, a mailbox when its file or directory exists: `mkdir` makes a
 * domain, `touch` a user. No states, aliases or forwards.
 *
 * Looked for are mbox_path, maildir_path and home. The root (what is
 * in front of the first %) must be there for the configured format: a file
 * system that is not mounted must not look like a site without users.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/directory/backend.h"

enum place { PLACE_MBOX, PLACE_MAILDIR, PLACE_HOME, PLACE_COUNT };

struct fs_directory {
	char *path[PLACE_COUNT];	/* without %h; NULL: not usable */
	enum place first;		/* of the configured format */
};

/* What stands at a path. */
enum found { FOUND_NOT_ASKED, FOUND_NOTHING, FOUND_FILE, FOUND_DIRECTORY };

/* --- templates ---------------------------------------------------------------- */

/* A copy with %h replaced by the home template. */
static char *
without_home(const char *text, const char *home)
{
	struct buf b;
	char *copy;

	buf_init(&b, PATH_MAX);
	for (; *text != '\0'; text++) {
		if (text[0] == '%' && text[1] == 'h') {
			(void)buf_addz(&b, home != NULL ? home : "");
			text++;
			continue;
		}
		if (text[0] == '%' && text[1] != '\0')
			(void)buf_addc(&b, *text++);
		(void)buf_addc(&b, *text);
	}
	copy = b.full ? NULL : mem_dup(b.p);
	buf_release(&b);
	return copy;
}

/* Bytes of the template before the component that holds the user's name. */
static size_t
domain_part(const char *text)
{
	size_t slash = 0;

	for (size_t i = 0; text[i] != '\0'; i++) {
		if (text[i] == '/')
			slash = i;
		if (text[i] != '%' || text[i + 1] == '\0')
			continue;
		if (text[i + 1] == 'n' || text[i + 1] == 'u')
			return slash;
		i++;
	}
	return 0;
}

static bool
has_domain(const char *text, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (text[i] == '%' && text[i + 1] == 'd')
			return true;
	return false;
}

/* The first n bytes of a template with names put in; *root_r is where the
 * administrator's part ends. */
static void
expand(const char *text, size_t n, struct str local, struct str domain,
    struct buf *out, size_t *root_r)
{
	size_t slash = 0;
	bool named = false;

	for (size_t i = 0; i < n; i++) {
		if (text[i] != '%' || i + 1 >= n) {
			if (text[i] == '/' && !named)
				slash = out->n;
			(void)buf_addc(out, text[i]);
			continue;
		}
		named = true;
		switch (text[++i]) {
		case 'd':
			(void)buf_adds(out, domain);
			break;
		case 'n':
			(void)buf_adds(out, local);
			break;
		case 'u':
			(void)buf_adds(out, local);
			(void)buf_addc(out, '@');
			(void)buf_adds(out, domain);
			break;
		default:
			(void)buf_addc(out, text[i]);
		}
	}
	*root_r = slash;
}

/* --- looking ------------------------------------------------------------------- */

/* What is at root/rest; a link is something, and delivery judges it. -1 for
 * "could not look". */
static int
look_below(const char *root, const char *rest, enum found *found_r)
{
	struct stat st;
	int dir = file_open_root(root[0] != '\0' ? root : "/"), fd;

	if (dir < 0)
		return -1;
	fd = file_open_beneath(dir, rest, O_PATH, 0);
	file_close(&dir);
	if (fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			*found_r = FOUND_NOTHING;
		else if (errno == ELOOP || errno == EXDEV)
			*found_r = FOUND_FILE;
		else
			return -1;
		return 0;
	}
	if (fstat(fd, &st) < 0) {
		file_close(&fd);
		return -1;
	}
	file_close(&fd);
	*found_r = S_ISDIR(st.st_mode) ? FOUND_DIRECTORY : FOUND_FILE;
	return 0;
}

static int
look(const struct fs_directory *f, enum place place, struct str local,
    struct str domain, enum found *found_r, struct verdict *v)
{
	const char *text = f->path[place];
	struct buf path;
	size_t root;
	int r = 0;

	*found_r = FOUND_NOT_ASKED;
	if (text == NULL)
		return 0;
	buf_init(&path, PATH_MAX);
	expand(text, local.n > 0 ? strlen(text) : domain_part(text), local,
	    domain, &path, &root);
	if (path.full) {
		*found_r = FOUND_NOTHING;
		goto out;
	}
	path.p[root] = '\0';
	r = look_below(path.p, path.p + root + 1, found_r);
	/* The place of another format need not be there. */
	if (r < 0 && errno == ENOENT && place != f->first)
		r = 0;
	if (r < 0) {
		path.p[root] = '/';
		verdict_errno(v, errno, "%s", path.p);
		v->why = V_DIRECTORY_DOWN;
	}
out:
	buf_release(&path);
	return r;
}

static enum directory_answer
fs_domain(void *self, struct str domain, struct arena *a,
    struct domain_record *r, struct verdict *v)
{
	const struct fs_directory *f = self;
	enum found found;

	(void)a;
	for (int p = 0; p < PLACE_COUNT; p++) {
		if (look(f, (enum place)p, STR(""), domain, &found, v) < 0)
			return DIR_BROKEN;
		if (found == FOUND_DIRECTORY || found == FOUND_FILE) {
			domain_record_init(r);
			r->name = domain;
			return DIR_FOUND;
		}
	}
	return DIR_ABSENT;
}

/* The format by what is there: the configured one if it has something,
 * else the other one; a home alone is the configured one. */
static bool
format_of(const struct fs_directory *f, const enum found *at,
    struct str *format_r)
{
	bool mbox = at[PLACE_MBOX] >= FOUND_FILE;
	bool maildir = at[PLACE_MAILDIR] == FOUND_DIRECTORY;

	*format_r = STR("");
	if (f->first == PLACE_MBOX && !mbox && maildir)
		*format_r = STR("maildir");
	if (f->first == PLACE_MAILDIR && !maildir && mbox)
		*format_r = STR("mbox");
	return mbox || maildir || at[PLACE_HOME] == FOUND_DIRECTORY;
}

static enum directory_answer
fs_user(void *self, struct str local, struct str domain, struct arena *a,
    struct account *r, struct verdict *v)
{
	const struct fs_directory *f = self;
	enum found at[PLACE_COUNT];
	struct str format;

	(void)a;
	for (int p = 0; p < PLACE_COUNT; p++)
		if (look(f, (enum place)p, local, domain, &at[p], v) < 0)
			return DIR_BROKEN;
	if (!format_of(f, at, &format))
		return DIR_ABSENT;
	account_init(r);
	r->local = local;
	r->domain = domain;
	r->format = format;
	return DIR_FOUND;
}

static enum directory_answer
fs_alias(void *self, struct str local, struct str domain, struct arena *a,
    struct alias_record *r, struct verdict *v)
{
	(void)self;
	(void)local;
	(void)domain;
	(void)a;
	(void)r;
	(void)v;
	return DIR_ABSENT;
}

static void
fs_close(void *self)
{
	struct fs_directory *f = self;

	for (int p = 0; p < PLACE_COUNT; p++)
		free(f->path[p]);
	free(f);
}

static int
fs_open(const char *spec, const struct directory_settings *set, void **self_r,
    struct verdict *v)
{
	const char *text[PLACE_COUNT] = {
		[PLACE_MBOX] = set->mbox_path,
		[PLACE_MAILDIR] = set->maildir_path,
		[PLACE_HOME] = set->home,
	};
	struct fs_directory *f;

	if (spec[0] != '\0')
		return verdict_set(v, V_CONFIG,
		    "directory \"fs\": takes no path, it uses mbox_path, "
		    "maildir_path and home");
	f = mem_zalloc(1, sizeof(*f));
	f->first = set->format != NULL && strcmp(set->format, "maildir") == 0 ?
	    PLACE_MAILDIR : PLACE_MBOX;
	for (int p = 0; p < PLACE_COUNT; p++) {
		char *path;

		if (text[p] == NULL)
			continue;
		path = without_home(text[p], set->home);
		if (path != NULL && path[0] == '/' &&
		    has_domain(path, domain_part(path)))
			f->path[p] = path;
		else
			free(path);
	}
	if (f->path[f->first] == NULL) {
		fs_close(f);
		return verdict_set(v, V_CONFIG,
		    "directory \"fs\": wants %%d as a directory above %%n in "
		    "the path of the format");
	}
	*self_r = f;
	return 0;
}

const struct directory_backend backend_fs = {
	.name = "fs",
	.open = fs_open,
	.domain = fs_domain,
	.user = fs_user,
	.alias = fs_alias,
	.close = fs_close,
};
