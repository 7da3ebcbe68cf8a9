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
#include "lda/user_file.h"

struct loader {
	const struct settings *s;
	const struct account *account;
	struct arena *a;
	struct scripts *r;
	struct verdict *v;
};

/* One script at root/path. */
static enum user_file
fetch(const struct loader *l, enum user_file_owner owner, const char *root,
    const char *path, struct str *text_r, const char **why)
{
	struct user_file_place place = { .owner = owner, .root = root,
	    .path = path, .max = (size_t)l->s->sieve_max_script_size,
	    .too_long = "it is longer than sieve_max_script_size" };

	return user_file_read(&place, l->a, text_r, why);
}

static int
add(const struct loader *l, enum engine_location location, const char *name,
    struct str text)
{
	struct engine_script *script;
	struct str copy = arena_copy(l->a, str_of(name));

	if (l->r->n == SCRIPTS_MAX)
		return verdict_set(l->v, V_TROUBLE, "more than %d scripts",
		    SCRIPTS_MAX);
	/* Most recipients have none. */
	if (!l->r->list)
		l->r->list = arena_array(l->a, SCRIPTS_MAX,
		    sizeof(*l->r->list));
	if (!l->r->list || !copy.p)
		return verdict_set(l->v, V_NO_MEMORY, "arena is full");
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
take(const struct loader *l, enum engine_location location, enum user_file_owner owner,
    const char *root, const char *path, const char *name, bool *there_r)
{
	struct str text;
	const char *why;

	*there_r = true;
	switch (fetch(l, owner, root, path, &text, &why)) {
	case USER_FILE_READ:
		return add(l, location, name, text);
	case USER_FILE_REFUSED:
		return refuse(l, name, why);
	case USER_FILE_TROUBLE:
		return verdict_errno(l->v, errno, "read script %s/%s", root,
		    path);
	case USER_FILE_ABSENT:
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
			r = take(l, ENGINE_GLOBAL, USER_FILE_ADMIN, path,
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
			if (user_file_errno(errno) == USER_FILE_ABSENT)
				continue;
			return verdict_errno(l->v, errno, "%s: %s", setting, full);
		}
		if (S_ISDIR(st.st_mode) ? take_directory(l, full) < 0 :
		    take(l, ENGINE_GLOBAL, USER_FILE_ADMIN, root, path, path,
		    &there) < 0)
			return -1;
	}
	return 0;
}

int
scripts_load(const struct settings *s, const struct account *account,
    struct arena *a, struct scripts *r, struct verdict *v)
{
	struct loader l = { s, account, a, r, v };
	const char *root, *path;
	enum user_file_owner owner;
	bool there = false;

	*r = (struct scripts){ .list = NULL };
	if (s->sieve_engine == SET_ENGINE_NONE)
		return 0;
	if (take_list(&l, "sieve_before", &s->sieve_before) < 0 ||
	    take_list(&l, "sieve_domain", &s->sieve_domain) < 0)
		return -1;
	if (s->sieve_script[0]) {
		if (user_file_place("sieve_script", s->sieve_script, s,
		    account, a, &root, &path, &owner, v) < 0 ||
		    take(&l, ENGINE_PERSONAL, owner, root, path, path, &there) < 0)
			return -1;
	}
	if (!there && s->sieve_default[0]) {
		if (place_path("sieve_default", s->sieve_default, s, account, a,
		    &root, &path, v) < 0 ||
		    take(&l, ENGINE_GLOBAL, USER_FILE_ADMIN, root, path, path,
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
	enum user_file_owner owner;
	char full[4096];
	struct str text;
	int n;

	/* RFC 6609 section 3.1: a name, not a path. */
	if (!template[0] || name.n == 0 || name.p[0] == '.' ||
	    str_chr(name, '/') >= 0 || str_chr(name, '\0') >= 0 || name.n > 200)
		return ENGINE_NO;
	if (user_file_place("sieve_dir", template, s, account, a, &root, &path,
	    &owner, &v) < 0)
		return ENGINE_BROKEN;
	n = snprintf(full, sizeof(full), "%s%s%.*s.sieve", path,
	    path[0] ? "/" : "", STR_ARG(name));
	if (n < 0 || (size_t)n >= sizeof(full))
		return ENGINE_NO;
	switch (fetch(&l, location == ENGINE_PERSONAL ? USER_FILE_USER :
	    USER_FILE_ADMIN, root, full, &text, &why)) {
	case USER_FILE_READ:
		break;
	case USER_FILE_TROUBLE:
		return ENGINE_BROKEN;
	case USER_FILE_ABSENT:
	case USER_FILE_REFUSED:
		return ENGINE_NO;
	}
	*r = (struct engine_script){ .name = arena_copy(a, name), .text = text,
	    .location = location };
	return r->name.p ? ENGINE_YES : ENGINE_BROKEN;
}

const struct engine *
scripts_engine(const struct settings *s)
{
	return s->sieve_engine == SET_ENGINE_LIBSIEVE ? &engine_libsieve :
	    &engine_native;
}

static void
load_engine(const struct settings *s)
{
	const char *why;

	/* One that cannot be loaded says so at each message. */
	if (scripts_engine(s)->load)
		(void)scripts_engine(s)->load(&why);
}

void
scripts_engines_load(const struct config *c)
{
	load_engine(&c->global);
	for (size_t i = 0; i < c->section_count; i++)
		load_engine(&c->sections[i].settings);
}
