#include "lda/scripts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/place.h"
#include "store/base/file.h"

/* Whose files are these? */
enum owner { OWNER_ADMIN, OWNER_USER };
enum found { FOUND_IT, FOUND_NOTHING, FOUND_REFUSED, FOUND_TROUBLE };

struct loader {
	const struct settings *s;
	const struct account *account;
	struct arena *a;
	struct scripts *r;
	struct verdict *v;
};

/* errno of an open: is the script simply not there, or does it stand where it
 * may not? */
static enum found
of_errno(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return FOUND_NOTHING;
	case EXDEV:	/* a link out of the home */
	case ELOOP:
	case EACCES:
	case EPERM:
	case EISDIR:
	case ENXIO:
		return FOUND_REFUSED;
	default:
		return FOUND_TROUBLE;
	}
}

/* Judges and reads an open script. `why` says what is wrong with it. */
static enum found
read_script(const struct loader *l, int fd, struct str *text_r,
    const char **why)
{
	struct stat st;
	struct buf text;
	enum found r = FOUND_TROUBLE;

	if (fstat(fd, &st) < 0)
		return FOUND_TROUBLE;
	*why = !S_ISREG(st.st_mode) ? "it is not a regular file" :
	    st.st_uid != geteuid() && st.st_uid != 0 ?
	    "it belongs to somebody else" :
	    st.st_mode & S_IWOTH || (st.st_mode & S_IWGRP &&
	    st.st_gid != getegid()) ? "others can write it" :
	    (uint64_t)st.st_size > l->s->sieve_max_script_size ?
	    "it is longer than sieve_max_script_size" : NULL;
	if (*why)
		return FOUND_REFUSED;
	buf_init(&text, (size_t)l->s->sieve_max_script_size);
	if (file_read_whole(fd, &text) == 0) {
		*text_r = arena_copy(l->a, buf_str(&text));
		r = text_r->p ? FOUND_IT : FOUND_TROUBLE;
	}
	buf_release(&text);
	return r;
}

/* One script at root/path. A link out of the root is refused for a user, an
 * administrator's may point where it likes. */
static enum found
fetch(const struct loader *l, enum owner owner, const char *root,
    const char *path, struct str *text_r, const char **why)
{
	int dir, fd = -1;
	enum found r;

	*why = "it cannot be opened";
	dir = file_open_root(root);
	if (dir < 0)
		return of_errno(errno);
	fd = owner == OWNER_USER ?
	    file_open_inside(dir, path, O_RDONLY) :
	    openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		r = of_errno(errno);
		*why = errno == EXDEV ? "it is a link that leaves the home" :
		    *why;
	} else {
		r = read_script(l, fd, text_r, why);
	}
	file_close(&fd);
	file_close(&dir);
	return r;
}

static int
add(const struct loader *l, enum engine_location location, const char *name,
    struct str text)
{
	struct engine_script *script;
	struct str copy = arena_copy(l->a, str_of(name));

	if (l->r->n == SCRIPTS_MAX || !copy.p)
		return verdict_set(l->v, V_TROUBLE, "more than %d scripts",
		    SCRIPTS_MAX);
	script = &l->r->list[l->r->n++];
	script->name = copy;
	script->text = text;
	script->location = location;
	return 0;
}

static int
refuse(const struct loader *l, const char *name, const char *why)
{
	if (!l->r->why.n) {
		l->r->refused = arena_copy(l->a, str_of(name));
		l->r->why = str_of(why);
	}
	return 0;
}

static int
take(const struct loader *l, enum engine_location location, enum owner owner,
    const char *root, const char *path, const char *name, bool *there_r)
{
	struct str text;
	const char *why;

	*there_r = true;
	switch (fetch(l, owner, root, path, &text, &why)) {
	case FOUND_IT:
		return add(l, location, name, text);
	case FOUND_REFUSED:
		return refuse(l, name, why);
	case FOUND_TROUBLE:
		return verdict_errno(l->v, errno, "read script %s/%s", root,
		    path);
	case FOUND_NOTHING:
		break;
	}
	*there_r = false;
	return 0;
}

static int
is_script(const struct dirent *e)
{
	return e->d_name[0] != '.' &&
	    str_ends(str_of(e->d_name), STR(".sieve"));
}

/* A directory of the administrator's: every *.sieve in the order of names. */
static int
take_directory(const struct loader *l, const char *path)
{
	struct dirent **list = NULL;
	int n = scandir(path, &list, is_script, alphasort), r = 0;
	bool there;

	if (n < 0)
		return verdict_errno(l->v, errno, "read directory %s", path);
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = take(l, ENGINE_GLOBAL, OWNER_ADMIN, path,
			    list[i]->d_name, list[i]->d_name, &there);
		free(list[i]);
	}
	free(list);
	return r;
}

static int
take_list(const struct loader *l, const char *setting,
    const struct setting_list *list)
{
	char full[4096];
	const char *root, *path;
	struct stat st;
	bool there;
	int n;

	for (size_t i = 0; i < list->n; i++) {
		if (place_path(setting, list->v[i], l->s, l->account, l->a,
		    &root, &path, l->v) < 0)
			return -1;
		n = snprintf(full, sizeof(full), "%s/%s", root, path);
		if (n < 0 || (size_t)n >= sizeof(full))
			return verdict_set(l->v, V_CONFIG, "%s: path too long",
			    setting);
		if (stat(full, &st) < 0) {
			if (of_errno(errno) == FOUND_NOTHING)
				continue;
			return verdict_errno(l->v, errno, "%s: %s", setting, full);
		}
		if (S_ISDIR(st.st_mode) ? take_directory(l, full) < 0 :
		    take(l, ENGINE_GLOBAL, OWNER_ADMIN, root, path, path,
		    &there) < 0)
			return -1;
	}
	return 0;
}

/* Where a template that begins with %h leads: the home is the root, so that
 * links in it may go anywhere in it. */
static int
in_home(const struct loader *l, const char *setting, const char *template,
    const char **root_r, const char **path_r, enum owner *owner_r)
{
	struct str home;
	const char *root, *path;
	char full[4096];
	int n;

	if (place_path(setting, template, l->s, l->account, l->a, &root, &path,
	    l->v) < 0)
		return -1;
	*root_r = root;
	*path_r = path;
	*owner_r = OWNER_USER;
	if (!str_starts(str_of(template), STR("%h/")))
		return 0;
	if (place_home(l->s, l->account, l->a, &home, l->v) < 0)
		return -1;
	n = snprintf(full, sizeof(full), "%s/%s", root, path);
	if (n < 0 || (size_t)n >= sizeof(full))
		return verdict_set(l->v, V_CONFIG, "%s: path too long", setting);
	if (str_starts(str_of(full), home) && full[home.n] == '/') {
		struct str rest = arena_copy(l->a, str_of(full + home.n + 1));

		if (!rest.p)
			return verdict_set(l->v, V_NO_MEMORY, "arena is full");
		*root_r = home.p;
		*path_r = rest.p;
	}
	return 0;
}

int
scripts_load(const struct settings *s, const struct account *account,
    struct arena *a, struct scripts *r, struct verdict *v)
{
	struct loader l = { s, account, a, r, v };
	const char *root, *path;
	enum owner owner;
	bool there = false;

	*r = (struct scripts){ .list = arena_array(a, SCRIPTS_MAX,
	    sizeof(*r->list)) };
	if (!r->list)
		return verdict_set(v, V_NO_MEMORY, "arena is full");
	if (s->sieve_engine == SET_ENGINE_NONE)
		return 0;
	if (take_list(&l, "sieve_before", &s->sieve_before) < 0 ||
	    take_list(&l, "sieve_domain", &s->sieve_domain) < 0)
		return -1;
	if (s->sieve_script[0]) {
		if (in_home(&l, "sieve_script", s->sieve_script, &root, &path,
		    &owner) < 0 ||
		    take(&l, ENGINE_PERSONAL, owner, root, path, path, &there) < 0)
			return -1;
	}
	if (!there && s->sieve_default[0]) {
		if (place_path("sieve_default", s->sieve_default, s, account, a,
		    &root, &path, v) < 0 ||
		    take(&l, ENGINE_GLOBAL, OWNER_ADMIN, root, path, path,
		    &there) < 0)
			return -1;
	}
	return take_list(&l, "sieve_after", &s->sieve_after);
}

enum engine_answer
scripts_include(const struct settings *s, const struct account *account,
    enum engine_location location, struct str name, struct arena *a,
    struct engine_script *r)
{
	struct verdict v = VERDICT_INIT;
	struct loader l = { s, account, a, NULL, &v };
	const char *template = location == ENGINE_PERSONAL ? s->sieve_dir :
	    s->sieve_global;
	const char *root, *path, *why;
	enum owner owner;
	char full[4096];
	struct str text;
	int n;

	/* RFC 6609 section 3.1: a name, not a path. */
	if (!template[0] || name.n == 0 || name.p[0] == '.' ||
	    str_chr(name, '/') >= 0 || str_chr(name, '\0') >= 0 || name.n > 200)
		return ENGINE_NO;
	if (in_home(&l, "sieve_dir", template, &root, &path, &owner) < 0)
		return ENGINE_BROKEN;
	n = snprintf(full, sizeof(full), "%s%s%.*s.sieve", path,
	    path[0] ? "/" : "", STR_ARG(name));
	if (n < 0 || (size_t)n >= sizeof(full))
		return ENGINE_NO;
	switch (fetch(&l, location == ENGINE_PERSONAL ? OWNER_USER : OWNER_ADMIN,
	    root, full, &text, &why)) {
	case FOUND_IT:
		break;
	case FOUND_TROUBLE:
		return ENGINE_BROKEN;
	case FOUND_NOTHING:
	case FOUND_REFUSED:
		return ENGINE_NO;
	}
	*r = (struct engine_script){ .name = arena_copy(a, name), .text = text,
	    .location = location };
	return r->name.p ? ENGINE_YES : ENGINE_BROKEN;
}
