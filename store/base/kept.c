#include "store/base/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/checksum.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/self.h"

/* Directories that one process keeps: a path may lie in any of a few places. One
 * that finds them all taken is opened and closed as if there were none. */
#define ROWS 16
#define WAYS 4

struct kept {
	char *path;		/* of the root, and behind its NUL the name */
	size_t path_n;		/* both NULs counted */
	int fd;
	dev_t dev;
	ino_t ino;
	unsigned users;
	bool placed;		/* in the table */
};

static struct kept *place[ROWS][WAYS];

static struct kept **
row_of(const char *path, size_t n)
{
	return place[checksum_of(path, n) % ROWS];
}

static void
displace(struct kept *k)
{
	struct kept **row = row_of(k->path, k->path_n);

	for (size_t i = 0; i < WAYS; i++)
		if (row[i] == k)
			row[i] = NULL;
	k->placed = false;
}

static void
destroy(struct kept *k)
{
	displace(k);
	file_close(&k->fd);
	free(k->path);
	free(k);
}

static bool
is_still(const struct kept *k, const struct stat *st)
{
	return S_ISDIR(st->st_mode) && st->st_dev == k->dev &&
	    st->st_ino == k->ino;
}

static struct kept *
look(const char *path, size_t n)
{
	struct kept **row = row_of(path, n);

	for (size_t i = 0; i < WAYS; i++)
		if (row[i] && row[i]->path_n == n &&
		    memcmp(row[i]->path, path, n) == 0)
			return row[i];
	return NULL;
}

/* A place that is free, or whose directory nobody works in: the next one in
 * turn. */
static void
settle(struct kept *k)
{
	static unsigned turn;
	struct kept **row = row_of(k->path, k->path_n);

	for (size_t i = 0; i < WAYS && !k->placed; i++)
		if (!row[i]) {
			row[i] = k;
			k->placed = true;
		}
	for (size_t i = 0; i < WAYS && !k->placed; i++) {
		struct kept **at = &row[turn++ % WAYS];

		if ((*at)->users == 0) {
			destroy(*at);
			*at = k;
			k->placed = true;
		}
	}
}

/* Takes over fd. */
static int
keep(const char *path, size_t n, int fd, struct kept **k_r, struct stat *st)
{
	struct kept *k;

	if (fd < 0)
		return -1;
	if (fstat(fd, st) < 0) {
		file_close(&fd);
		return -1;
	}
	k = mem_zalloc(1, sizeof(*k));
	k->path = mem_dupn(path, n);
	k->path_n = n;
	k->fd = fd;
	k->dev = st->st_dev;
	k->ino = st->st_ino;
	k->users = 1;
	settle(k);
	*k_r = k;
	return 0;
}

/* Somebody works in it still: he keeps it, the table does not. */
static void
retire(struct kept *k)
{
	if (k->users == 0) {
		destroy(k);
		return;
	}
	displace(k);
}

/* Does the path, `root` with its NUL and the name behind it, lead to k still? The
 * way through a root is the administrator's, and may be a link; the name may
 * not. */
static bool
leads_to(const struct kept *k, char *path, size_t root_n, struct stat *st)
{
	bool beneath = path[root_n] != '\0';
	int r;

	if (beneath)
		path[root_n - 1] = '/';
	r = fstatat(AT_FDCWD, path, st, beneath ? AT_SYMLINK_NOFOLLOW : 0);
	path[root_n - 1] = '\0';
	return r == 0 && is_still(k, st);
}

int
kept_open(const char *root, const char *name, struct kept **k_r,
    struct stat *st_r)
{
	size_t root_n = strlen(root) + 1, n = root_n + strlen(name) + 1;
	struct kept *k, *above = NULL;
	char path[4096 + 256];
	struct stat st;
	int fd;

	if (strchr(name, '/')) {
		errno = EINVAL;
		return -1;
	}
	if (n > sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(path, root, root_n);
	memcpy(path + root_n, name, n - root_n);
	k = look(path, n);
	if (k && leads_to(k, path, root_n, st_r)) {
		k->users++;
		*k_r = k;
		return 0;
	}
	if (k)
		retire(k);
	if (name[0] && kept_open(root, "", &above, &st) < 0)
		return -1;
	fd = above ? file_open_beneath(above->fd, name, O_RDONLY | O_DIRECTORY,
	    0) : file_open_root(root);
	kept_close(&above);
	return keep(path, n, fd, k_r, st_r);
}

int
kept_fd(const struct kept *k)
{
	return k->fd;
}

void
kept_close(struct kept **k)
{
	int error = errno;

	if (*k && --(*k)->users == 0 && !(*k)->placed)
		destroy(*k);
	*k = NULL;
	errno = error;
}
