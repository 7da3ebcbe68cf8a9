#include "store/sqlite.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libsqlite3.so.0"

static struct sqlite api;
static sqlite3_vfs beneath;

static int
path_as_it_is(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	size_t n = strlen(path);

	(void)vfs;
	if (size <= 0 || n >= (size_t)size)
		return SQLITE_CANTOPEN;
	memcpy(out, path, n + 1);
	return SQLITE_OK;
}

static int
add_vfs(void)
{
	sqlite3_vfs *unix_vfs = api.vfs_find("unix");

	if (!unix_vfs)
		return -1;
	beneath = *unix_vfs;
	beneath.pNext = NULL;
	beneath.zName = SQLITE_VFS_BENEATH;
	beneath.xFullPathname = path_as_it_is;
	return api.vfs_register(&beneath, 0) == SQLITE_OK ? 0 : -1;
}

const struct sqlite *
sqlite_load(struct verdict *v)
{
	static const struct sqlite *loaded;
	void *handle;

	if (loaded)
		return loaded;
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		const char *why = dlerror();

		verdict_set(v, V_CONFIG, "%s: %s", LIBRARY, why ? why : "?");
		return NULL;
	}
	/* ISO C has no cast from object to function pointer; POSIX wants it to
	 * work, so the bytes are copied. */
#define SQLITE_LOOK_UP(name) do { \
		void *at = dlsym(handle, "sqlite3_" #name); \
		if (!at) { \
			verdict_set(v, V_CONFIG, "%s has no sqlite3_" #name, \
			    LIBRARY); \
			return NULL; \
		} \
		memcpy(&api.name, &at, sizeof(at)); \
	} while (0);
	SQLITE_FUNCTIONS(SQLITE_LOOK_UP)
#undef SQLITE_LOOK_UP
	if (add_vfs() < 0) {
		verdict_set(v, V_CONFIG, "%s has no unix VFS", LIBRARY);
		return NULL;
	}
	loaded = &api;
	return loaded;
}
