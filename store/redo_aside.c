#include "store/redo_aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/redo_format.h"

#define PLACE ".place"
#define PLACE_MAX ((size_t)16 * 1024)
#define ASIDE_MODE 0600
#define VERSION 1u

static const char magic[8] = "vboxside";

/* In front of the description in NAME.place; host order, as the log. */
struct place_head {
	char magic[8];
	uint32_t version;
	uint32_t n;		/* bytes of the description */
	uint64_t sum;		/* of the description and the message */
};

/* --- writing ------------------------------------------------------------------- */

static void
place_name(const char *name, char *out, size_t size)
{
	(void)snprintf(out, size, "%s" PLACE, name); /* was measured */
}

static int
write_file(int dir, const char *name, const struct iovec *parts, int count)
{
	int fd = file_open_beneath(dir, name, O_WRONLY | O_CREAT | O_TRUNC,
	    ASIDE_MODE);
	struct iovec iov[2];
	int r = -1;

	memcpy(iov, parts, (size_t)count * sizeof(*iov));
	if (fd >= 0 && file_writev_all(fd, iov, count) == 0)
		r = file_sync(fd);
	file_close(&fd);
	return r;
}

static int
write_both(int dir, const char *name, const struct redo_copy *c,
    const struct buf *text)
{
	struct place_head h = { .version = VERSION, .n = (uint32_t)text->n };
	struct checksum sum = { .n = 0 };
	struct iovec place[2] = { { &h, sizeof(h) }, { text->p, text->n } };
	struct iovec bytes = { (void *)(uintptr_t)c->bytes.p, c->bytes.n };
	char other[REDO_ASIDE_NAME + sizeof(PLACE)];

	memcpy(h.magic, magic, sizeof(magic));
	checksum_add(&sum, text->p, text->n);
	checksum_add(&sum, c->bytes.p, c->bytes.n);
	h.sum = checksum_value(&sum);
	place_name(name, other, sizeof(other));
	return write_file(dir, other, place, 2) < 0 ||
	    write_file(dir, name, &bytes, 1) < 0 ? -1 : file_sync(dir);
}

int
redo_aside_write(int log_dir, const char *name, const struct redo_copy *c,
    struct verdict *v)
{
	int dir = file_open_dir(log_dir, REDO_ASIDE, FILE_MAKE, 0700), r = -1;
	struct buf text;

	buf_init(&text, PLACE_MAX);
	if (redo_describe(c, &text) < 0)
		errno = ENAMETOOLONG;
	else if (dir >= 0)
		r = write_both(dir, name, c, &text);
	if (r < 0)
		verdict_errno(v, errno, "set a message of the delivery log "
		    "aside as %s", name);
	buf_release(&text);
	file_close(&dir);
	return r;
}

/* --- reading ------------------------------------------------------------------- */

/* 0; 1: there is none; -1. */
static int
open_aside(const char *state_dir, int *dir_r, struct verdict *v)
{
	int top = file_open_root(state_dir), dir = -1;

	if (top >= 0)
		dir = file_open_dir(top, REDO_DIR "/" REDO_ASIDE, FILE_NO_MAKE,
		    0);
	if (dir < 0 && top >= 0 && errno == ENOENT) {
		file_close(&top);
		return 1;
	}
	if (dir < 0)
		verdict_errno(v, errno, "open %s/" REDO_DIR "/" REDO_ASIDE,
		    state_dir);
	file_close(&top);
	*dir_r = dir;
	return dir < 0 ? -1 : 0;
}

struct loaded {
	struct stat st;
	char *text;		/* the description, the message */
	struct redo_copy copy;
	struct redo_names names;
};

static int
read_piece(int fd, char *p, size_t n, off_t at)
{
	ssize_t got = file_pread_full(fd, p, n, at);

	if (got >= 0 && (size_t)got != n)
		errno = EIO;
	return got == (ssize_t)n ? 0 : -1;
}

static int
load_from(int place, int message, const char *name, struct loaded *l,
    struct verdict *v)
{
	struct place_head h = { .n = 0 };
	struct checksum sum = { .n = 0 };
	struct str in;
	size_t n;

	if (read_piece(place, (char *)&h, sizeof(h), 0) < 0)
		return verdict_errno(v, errno, "%s" PLACE, name);
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 ||
	    h.version != VERSION || h.n > PLACE_MAX ||
	    l->st.st_size > (off_t)REDO_RECORD_MAX)
		return verdict_set(v, V_TROUBLE, "%s" PLACE " is of another "
		    "version", name);
	n = (size_t)l->st.st_size;
	l->text = mem_alloc(h.n + n + 1);
	if (read_piece(place, l->text, h.n, sizeof(h)) < 0 ||
	    read_piece(message, l->text + h.n, n, 0) < 0)
		return verdict_errno(v, errno, "%s", name);
	checksum_add(&sum, l->text, h.n + n);
	in = str_mem(l->text, h.n + n);
	if (checksum_value(&sum) != h.sum ||
	    redo_parse(&in, &l->copy, &l->names) < 0 || in.n)
		return verdict_set(v, V_TROUBLE, "%s is not what was set "
		    "aside, or " PLACE " is not", name);
	return 0;
}

/* What `name` is and where it belongs. -1: the verdict says why not; l->text
 * is the caller's to free. */
static int
load(int dir, const char *name, struct loaded *l, struct verdict *v)
{
	char other[REDO_ASIDE_NAME + sizeof(PLACE)];
	int message = -1, place = -1, r = -1;

	place_name(name, other, sizeof(other));
	message = file_open_beneath(dir, name, O_RDONLY | O_NONBLOCK, 0);
	if (message < 0 || fstat(message, &l->st) < 0) {
		verdict_errno(v, errno, "%s", name);
	} else if (!S_ISREG(l->st.st_mode)) {
		verdict_set(v, V_TROUBLE, "%s is not a file", name);
	} else {
		place = file_open_beneath(dir, other, O_RDONLY | O_NONBLOCK,
		    0);
		if (place < 0)
			verdict_errno(v, errno, "%s", other);
		else
			r = load_from(place, message, name, l, v);
	}
	file_close(&place);
	file_close(&message);
	return r;
}

/* --- all of them ----------------------------------------------------------------- */

struct names {
	char (*v)[REDO_ASIDE_NAME];
	size_t n, room;
};

static bool
is_message(const char *name)
{
	size_t n = strlen(name), suffix = strlen(PLACE);

	return name[0] != '.' && n < REDO_ASIDE_NAME &&
	    (n < suffix || strcmp(name + n - suffix, PLACE) != 0);
}

static int
in_order(const void *a, const void *b)
{
	return strverscmp(a, b);
}

static int
read_names(int dir, struct names *names)
{
	int fd = file_open_beneath(dir, ".", O_RDONLY | O_DIRECTORY, 0), error;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		file_close(&fd);
		return -1;
	}
	while ((errno = 0, e = readdir(d))) {
		if (!is_message(e->d_name))
			continue;
		if (names->n == names->room) {
			names->room = names->room ? names->room * 2 : 16;
			names->v = mem_realloc(names->v,
			    names->room * sizeof(*names->v));
		}
		memcpy(names->v[names->n++], e->d_name,
		    strlen(e->d_name) + 1);
	}
	error = errno;
	(void)closedir(d);
	errno = error;
	if (names->n)
		qsort(names->v, names->n, sizeof(*names->v), in_order);
	return error ? -1 : 0;
}

static int
tell(int dir, const char *name,
    int (*each)(void *arg, const struct redo_kept *kept), void *arg)
{
	struct loaded *l = mem_zalloc(1, sizeof(*l));
	struct verdict why = VERDICT_INIT;
	struct redo_kept kept = { .name = name, .why = &why };
	int r = 0;

	/* Else somebody has restored it in the meantime. */
	if (fstatat(dir, name, &l->st, AT_SYMLINK_NOFOLLOW) == 0) {
		kept.when = (int64_t)l->st.st_mtime;
		kept.bytes = (uint64_t)l->st.st_size;
		kept.copy = load(dir, name, l, &why) == 0 ? &l->copy : NULL;
		r = each(arg, &kept);
	}
	free(l->text);
	free(l);
	return r;
}

int
redo_aside_walk(const char *state_dir,
    int (*each)(void *arg, const struct redo_kept *kept), void *arg,
    struct verdict *v)
{
	struct names names = { .n = 0 };
	int dir = -1, r = open_aside(state_dir, &dir, v);

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (read_names(dir, &names) < 0)
		r = verdict_errno(v, errno, "read %s/" REDO_DIR "/" REDO_ASIDE,
		    state_dir);
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = tell(dir, names.v[i], each, arg);
	free(names.v);
	file_close(&dir);
	return r;
}

/* --- one of them ------------------------------------------------------------------- */

/* The message first: a .place alone is nothing. */
static int
remove_both(int dir, const char *name, struct verdict *v)
{
	char other[REDO_ASIDE_NAME + sizeof(PLACE)];

	place_name(name, other, sizeof(other));
	if (unlinkat(dir, name, 0) < 0 || file_sync(dir) < 0 ||
	    unlinkat(dir, other, 0) < 0)
		return verdict_errno(v, errno, "%s is in its mailbox; remove "
		    "it", name);
	return 0;
}

static int
restore(int dir, const char *name, const struct redo_how *how,
    struct verdict *v)
{
	struct loaded *l = mem_zalloc(1, sizeof(*l));
	enum redo_outcome outcome;
	int r = load(dir, name, l, v);

	if (r == 0)
		r = redo_put(how, &l->copy, &outcome, v);
	/* What was found whole may be whole in memory only. */
	if (r == 0 && redo_sync_root(l->copy.spec.root) < 0)
		r = verdict_errno(v, errno, "sync %s", l->copy.spec.root);
	if (r == 0)
		r = remove_both(dir, name, v);
	if (r == 0 && how->told)
		how->told(how->arg, &l->copy, outcome, name, v);
	free(l->text);
	free(l);
	return r;
}

int
redo_aside_restore(const char *state_dir, const char *name,
    const struct redo_how *how, struct verdict *v)
{
	int dir = -1, r;

	if (!is_message(name) || strchr(name, '/'))
		return verdict_set(v, V_USAGE, "%s: not the name of a message",
		    name);
	r = open_aside(state_dir, &dir, v);
	if (r > 0)
		return verdict_set(v, V_USAGE, "%s: nothing was set aside",
		    name);
	/* One at a time: a reader may delete what the first has restored
	 * before the second looks for it. */
	if (r == 0 && flock(dir, LOCK_EX) < 0)
		r = verdict_errno(v, errno, "lock %s/" REDO_DIR "/" REDO_ASIDE,
		    state_dir);
	if (r == 0)
		r = restore(dir, name, how, v);
	file_close(&dir);
	return r;
}
