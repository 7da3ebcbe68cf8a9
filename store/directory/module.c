#include "store/directory/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* dlopen(3) with a path that holds a slash: no search, no LD_LIBRARY_PATH. */
static void *
open_in(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int n;

	n = snprintf(path, sizeof(path), "%s/directory_%s.so", dir, name);
	if (n < 0 || (size_t)n >= sizeof(path) || strchr(path, '/') == NULL)
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* Is what lies in this directory ours? A program that was unpacked below
 * /tmp must not load what somebody else put there. */
static bool
is_ours(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	    (st.st_uid == 0 || st.st_uid == geteuid()) &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The build tree: build/gcc/vbox-deliver and build/gcc/tests/unit/... both
 * have build/gcc/modules on the way up. */
static void *
open_beside_program(const char *name)
{
	char path[PATH_MAX];
	ssize_t n;
	void *handle = NULL;

	n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/modules"));
	if (n <= 0)
		return NULL;
	path[n] = '\0';
	for (int up = 0; up < 5 && handle == NULL; up++) {
		char *slash = strrchr(path, '/');
		size_t at;

		if (slash == NULL || slash == path)
			break;
		at = (size_t)(slash - path);
		memcpy(path + at, "/modules", sizeof("/modules"));
		if (is_ours(path))
			handle = open_in(path, name);
		path[at] = '\0';
	}
	return handle;
}

const void *
module_load(const char *dir, const char *name, const char *symbol,
    struct verdict *v)
{
	void *handle;
	const char *version;
	const void *object;

	handle = open_in(dir != NULL ? dir : VBOX_LIBDIR, name);
	if (handle == NULL) {
		/* The first error names the place the administrator knows. */
		const char *why = dlerror();

		verdict_set(v, V_CONFIG, "module %s: %s", name,
		    why != NULL ? why : "bad path");
		if (dir == NULL || strcmp(dir, VBOX_LIBDIR) == 0)
			handle = open_beside_program(name);
		if (handle == NULL)
			return NULL;
	}
	version = dlsym(handle, "vbox_module_version");
	object = dlsym(handle, symbol);
	if (version == NULL || object == NULL ||
	    strcmp(version, VBOX_VERSION) != 0) {
		verdict_set(v, V_CONFIG,
		    "module %s: not of this version (" VBOX_VERSION ")", name);
		return NULL;
	}
	return object;
}
