#include "lda/user_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/place.h"
#include "lda/user_file_kept.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/self.h"

/* "root/path"; -1: it does not fit. */
static int
join(const char *root, const char *path, char *out, size_t size)
{
	size_t root_n = strlen(root), path_n = strlen(path);

	if (root_n >= size || path_n >= size - root_n - 1)
		return -1;
	memcpy(out, root, root_n);
	out[root_n] = '/';
	memcpy(out + root_n + 1, path, path_n + 1);
	return 0;
}

int
user_file_place(const char *setting, const char *template,
    const struct settings *s, const struct account *account, struct arena *a,
    const char **root_r, const char **path_r, enum user_file_owner *owner_r,
    struct verdict *v)
{
	const char *below = template + strlen("%h/");
	bool at_home = str_starts(str_of(template), STR("%h/"));
	struct str home;
	const char *root, *path;
	char full[4096];

	/* As most say where a script is: nothing but the home is to be made. */
	if (at_home && below[0] && !strchr(below, '%')) {
		if (place_home(s, account, a, &home, v) < 0)
			return -1;
		if (home.n) {
			*root_r = home.p;
			*path_r = below;
			*owner_r = USER_FILE_USER;
			return 0;
		}
	}
	if (place_path(setting, template, s, account, a, &root, &path, v) < 0)
		return -1;
	*root_r = root;
	*path_r = path;
	/* Without a name in it the path is the administrator's. */
	*owner_r = str_chr(str_of(template), '%') >= 0 ? USER_FILE_USER :
	    USER_FILE_ADMIN;
	if (!at_home)
		return 0;
	if (place_home(s, account, a, &home, v) < 0)
		return -1;
	if (join(root, path, full, sizeof(full)) < 0)
		return verdict_set(v, V_CONFIG, "%s: path too long", setting);
	if (str_starts(str_of(full), home) && full[home.n] == '/') {
		struct str rest = arena_copy(a, str_of(full + home.n + 1));

		if (!rest.p)
			return verdict_set(v, V_NO_MEMORY, "arena is full");
		*root_r = home.p;
		*path_r = rest.p;
	}
	return 0;
}

enum user_file
user_file_errno(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return USER_FILE_ABSENT;
	case EXDEV:	/* a link out of the home */
	case ELOOP:
	case EACCES:
	case EPERM:
	case EISDIR:
	case ENXIO:
		return USER_FILE_REFUSED;
	default:
		return USER_FILE_TROUBLE;
	}
}

/* Judges and reads an open file. */
static enum user_file
read_open(const struct user_file_place *place, int fd, struct arena *a,
    struct str *text_r, const char **why)
{
	int64_t when = clock_now_us();
	struct stat st;
	struct buf text;
	enum user_file r = USER_FILE_TROUBLE;

	if (fstat(fd, &st) < 0)
		return USER_FILE_TROUBLE;
	*why = !S_ISREG(st.st_mode) ? "it is not a regular file" :
	    st.st_uid != self_euid() && st.st_uid != 0 ?
	    "it belongs to somebody else" :
	    st.st_mode & S_IWOTH || (st.st_mode & S_IWGRP &&
	    st.st_gid != getegid()) ? "others can write it" :
	    (uint64_t)st.st_size > place->max ? place->too_long : NULL;
	if (*why)
		return USER_FILE_REFUSED;
	buf_init(&text, place->max);
	if (file_read_whole(fd, &text) == 0) {
		*text_r = arena_copy(a, buf_str(&text));
		r = text_r->p ? USER_FILE_READ : USER_FILE_TROUBLE;
	}
	if (r == USER_FILE_READ)
		user_file_keep(place, fd, &st, when, *text_r);
	buf_release(&text);
	return r;
}

enum user_file
user_file_read(const struct user_file_place *place, struct arena *a,
    struct str *text_r, const char **why)
{
	char full[4096];
	struct stat st;
	int dir, fd = -1;
	enum user_file r;

	if (user_file_recall(place, a, text_r))
		return USER_FILE_READ;
	*why = "it cannot be opened";
	/* Most users have none: one look tells, whatever the way there is. */
	if (join(place->root, place->path, full, sizeof(full)) == 0 && fstatat(AT_FDCWD, full, &st,
	    AT_SYMLINK_NOFOLLOW) < 0 &&
	    user_file_errno(errno) == USER_FILE_ABSENT)
		return USER_FILE_ABSENT;
	dir = file_open_root(place->root);
	if (dir < 0)
		return user_file_errno(errno);
	fd = place->owner == USER_FILE_USER ?
	    file_open_inside(dir, place->path, O_RDONLY) :
	    openat(dir, place->path, O_RDONLY | O_CLOEXEC | O_NOCTTY |
	    O_NONBLOCK);
	if (fd < 0) {
		r = user_file_errno(errno);
		*why = errno == EXDEV ? "it is a link that leaves the home" :
		    *why;
	} else {
		r = read_open(place, fd, a, text_r, why);
	}
	file_close(&fd);
	file_close(&dir);
	return r;
}
