#include "store/mbox_count.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/checksum.h"
#include "store/base/file.h"
#include "store/base/mem.h"

#define PIECE ((size_t)256 * 1024)
#define MAGIC 0x31434d56u	/* "VMC1" */
#define FILE_MODE 0600
#define PATH_ROOM 4096

struct head {
	uint32_t magic, crc;
	uint64_t n;
};

void
mbox_counts_init(struct mbox_counts *c)
{
	*c = (struct mbox_counts){ .list = NULL };
}

void
mbox_counts_release(struct mbox_counts *c)
{
	free(c->list);
	mbox_counts_init(c);
}

void
mbox_counts_read(struct mbox_counts *c, const char *root, const char *path)
{
	struct head h;
	int dir = file_open_root(root), fd;
	size_t n;

	c->n = 0;
	c->changed = false;
	if (dir < 0)
		return;
	fd = file_open_beneath(dir, path, O_RDONLY, 0);
	file_close(&dir);
	if (fd < 0)
		return;
	if (file_pread_full(fd, &h, sizeof(h), 0) != sizeof(h) ||
	    h.magic != MAGIC || h.n > MBOX_COUNTS_MAX)
		goto out;
	n = (size_t)h.n * sizeof(*c->list);
	if (h.n > c->room) {
		c->list = mem_realloc(c->list, n);
		c->room = (size_t)h.n;
	}
	if (h.n && (file_pread_full(fd, c->list, n, sizeof(h)) != (ssize_t)n ||
	    (uint32_t)checksum_of(c->list, n) != h.crc))
		goto out;
	c->n = (size_t)h.n;
out:
	file_close(&fd);
}

/* Files that are gone leave the list sooner or later: the oldest goes when
 * there is no room. */
static struct mbox_count *
add(struct mbox_counts *c)
{
	if (c->n == MBOX_COUNTS_MAX) {
		memmove(c->list, c->list + 1, (c->n - 1) * sizeof(*c->list));
		c->n--;
	}
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 8;
		c->list = mem_realloc(c->list, c->room * sizeof(*c->list));
	}
	return &c->list[c->n++];
}

static int
open_place(const char *root, const char *path, struct verdict *v)
{
	char parent[PATH_ROOM];
	const char *slash = strrchr(path, '/');
	int dir = file_open_root(root), sub, fd;
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (dir < 0)
		return verdict_errno(v, errno, "open %s", root);
	fd = file_open_beneath(dir, path, O_WRONLY | O_CREAT, FILE_MODE);
	if (fd < 0 && errno == ENOENT && n && n < sizeof(parent)) {
		memcpy(parent, path, n);
		parent[n] = '\0';
		sub = file_open_dir(dir, parent, FILE_MAKE, 0700);
		if (sub >= 0)
			fd = file_open_beneath(sub, slash + 1,
			    O_WRONLY | O_CREAT, FILE_MODE);
		file_close(&sub);
	}
	if (fd < 0)
		verdict_errno(v, errno, "open %s in %s", path, root);
	file_close(&dir);
	return fd;
}

void
mbox_counts_write(struct mbox_counts *c, const char *root, const char *path)
{
	struct verdict ignored = VERDICT_INIT;
	size_t n = c->n * sizeof(*c->list);
	struct head h = { .magic = MAGIC, .n = c->n,
	    .crc = (uint32_t)checksum_of(c->list, n) };
	char *all;
	int fd;

	if (!c->changed)
		return;
	fd = open_place(root, path, &ignored);
	if (fd < 0)
		return;
	all = mem_alloc(sizeof(h) + n);
	memcpy(all, &h, sizeof(h));
	if (n)
		memcpy(all + sizeof(h), c->list, n);
	/* Torn by whatever: its sum tells. */
	(void)file_pwrite_all(fd, all, sizeof(h) + n, 0);
	free(all);
	file_close(&fd);
	c->changed = false;
}

/* Lines "From " at the start or behind an empty line. */
static int
count_file(int fd, uint64_t *n_r)
{
	static const char mark[] = "\n\nFrom ";
	char *piece = mem_alloc(PIECE);
	size_t seen = 2;	/* the start is as good as an empty line */
	uint64_t n = 0;
	ssize_t got;
	off_t at = 0;

	while ((got = file_pread_full(fd, piece, PIECE, at)) > 0) {
		const char *p = piece, *end = piece + got;

		at += got;
		while (p < end) {
			if (seen == 0 &&
			    (p = memchr(p, '\n', (size_t)(end - p))) == NULL)
				break;
			if (*p == mark[seen])
				seen++;
			else if (*p == '\n')
				seen = seen == 2 ? 2 : 1;
			else
				seen = 0;
			p++;
			if (seen == sizeof(mark) - 1) {
				n++;
				seen = 0;
			}
		}
	}
	free(piece);
	if (got < 0)
		return -1;
	*n_r = n;
	return 0;
}

static void
fill(struct mbox_count *x, const struct stat *st, uint64_t messages)
{
	*x = (struct mbox_count){ .dev = (uint64_t)st->st_dev,
	    .ino = (uint64_t)st->st_ino, .size = (uint64_t)st->st_size,
	    .changed_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
	    st->st_mtim.tv_nsec, .messages = messages };
}

static struct mbox_count *
find(const struct mbox_counts *c, const struct stat *st)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].ino == (uint64_t)st->st_ino &&
		    c->list[i].dev == (uint64_t)st->st_dev)
			return &c->list[i];
	return NULL;
}

int
mbox_counts_of(struct mbox_counts *c, int dir, const char *name,
    const struct stat *st, uint64_t *messages_r, struct verdict *v)
{
	struct mbox_count now, *have = find(c, st);
	struct stat after;
	uint64_t n = 0;
	int fd, r;

	fill(&now, st, 0);
	if (have && have->size == now.size &&
	    have->changed_ns == now.changed_ns) {
		*messages_r = have->messages;
		return 0;
	}
	fd = file_open_beneath(dir, name, O_RDONLY, 0);
	if (fd < 0) {
		*messages_r = 0;
		return errno == ENOENT ? 0 :
		    verdict_errno(v, errno, "open %s to count", name);
	}
	r = count_file(fd, &n);
	if (r < 0)
		verdict_errno(v, errno, "read %s to count", name);
	/* Remembered only when nobody wrote meanwhile. */
	if (r == 0 && fstat(fd, &after) == 0 && after.st_size == st->st_size &&
	    after.st_ino == st->st_ino &&
	    after.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	    after.st_mtim.tv_nsec == st->st_mtim.tv_nsec) {
		now.messages = n;
		*(have ? have : add(c)) = now;
		c->changed = true;
	}
	file_close(&fd);
	if (r == 0)
		*messages_r = n;
	return r;
}

bool
mbox_counts_known(const struct mbox_counts *c, const struct stat *st,
    uint64_t *messages_r)
{
	const struct mbox_count *have = find(c, st);

	if (have)
		*messages_r = have->messages;
	return have != NULL;
}

void
mbox_counts_set(struct mbox_counts *c, const struct stat *st,
    uint64_t messages)
{
	struct mbox_count *have = find(c, st);

	fill(have ? have : add(c), st, messages);
	c->changed = true;
}
