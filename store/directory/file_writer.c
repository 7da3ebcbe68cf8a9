/*
 * Changes of the directory file: lines replaced, added or taken out, comments
 * and everything else kept. The new file is written beside the old one,
 * synced and renamed over it, so readers see the old one or the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/directory/backend.h"
#include "store/directory/file.h"
#include "store/directory/file_line.h"

#define NEW_FILE_MODE 0640
#define LOCK_TRIES 10
/* Strings of one line. */
#define LINE_ARENA (1024 * 1024)

/* A line, and its entry's name when it has one. */
struct line {
	char *text;		/* NULL: taken out */
	struct str name;	/* local@domain or @domain, canonical; owned */
	enum directory_entry_kind kind;
	size_t chain;		/* next of the same bucket, index + 1 */
};

struct file_writer {
	char *path;
	int fd;			/* locked; -1: not loaded */
	struct line *lines;
	size_t count, cap;
	size_t *buckets;	/* index + 1 */
	size_t bucket_count;
	bool begun;
};

static int
failed(const struct file_writer *w, const char *what, struct verdict *v)
{
	verdict_errno(v, errno, "%s: %s", w->path, what);
	v->why = V_DIRECTORY_DOWN;
	return -1;
}

/* --- names -------------------------------------------------------------------- */

static size_t
bucket_of(const struct file_writer *w, struct str name)
{
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * 1099511628211ULL;
	return (size_t)((h ^ (h >> 29)) % w->bucket_count);
}

static void
hang(struct file_writer *w, size_t index)
{
	size_t b = bucket_of(w, w->lines[index].name);

	w->lines[index].chain = w->buckets[b];
	w->buckets[b] = index + 1;
}

static void
rehash(struct file_writer *w)
{
	w->bucket_count = w->bucket_count > 0 ? w->bucket_count * 4 : 1024;
	free(w->buckets);
	w->buckets = mem_zalloc(w->bucket_count, sizeof(*w->buckets));
	for (size_t i = 0; i < w->count; i++)
		if (w->lines[i].name.p != NULL)
			hang(w, i);
}

static struct line *
line_named(const struct file_writer *w, struct str name)
{
	if (w->bucket_count == 0)
		return NULL;
	for (size_t i = w->buckets[bucket_of(w, name)]; i != 0;
	    i = w->lines[i - 1].chain)
		if (w->lines[i - 1].text != NULL &&
		    str_eq(w->lines[i - 1].name, name))
			return &w->lines[i - 1];
	return NULL;
}

static void
entry_name(const struct directory_entry *e, struct buf *out)
{
	switch (e->kind) {
	case ENTRY_DOMAIN:
		(void)buf_addc(out, '@');
		(void)buf_adds(out, e->is.domain.name);
		return;
	case ENTRY_USER:
		(void)buf_adds(out, e->is.user.local);
		(void)buf_addc(out, '@');
		(void)buf_adds(out, e->is.user.domain);
		return;
	case ENTRY_ALIAS:
		(void)buf_adds(out, e->is.alias.local);
		(void)buf_addc(out, '@');
		(void)buf_adds(out, e->is.alias.domain);
		return;
	}
}

/* e NULL: a comment or a blank line. */
static void
add_line(struct file_writer *w, struct str text,
    const struct directory_entry *e)
{
	struct line l = { .text = mem_dupn(text.p, text.n) };

	if (w->count >= w->cap) {
		w->cap = w->cap > 0 ? w->cap * 2 : 256;
		w->lines = mem_realloc(w->lines, w->cap * sizeof(*w->lines));
	}
	if (e != NULL) {
		struct buf name;

		buf_init(&name, FILE_LINE_MAX);
		entry_name(e, &name);
		l.name = str_mem(mem_dupn(name.p, name.n), name.n);
		l.kind = e->kind;
		buf_release(&name);
	}
	w->lines[w->count++] = l;
	if (w->count > w->bucket_count)
		rehash(w);
	else if (e != NULL)
		hang(w, w->count - 1);
}

static void
forget(struct file_writer *w)
{
	for (size_t i = 0; i < w->count; i++) {
		free(w->lines[i].text);
		free((void *)(uintptr_t)w->lines[i].name.p);
	}
	free(w->lines);
	free(w->buckets);
	w->lines = NULL;
	w->buckets = NULL;
	w->count = w->cap = w->bucket_count = 0;
	file_close(&w->fd);
}

/* --- reading -------------------------------------------------------------------- */

/* The file, locked against another vboxadm; again when that one has put a
 * new file in its place meanwhile. */
static int
open_locked(struct file_writer *w, struct verdict *v)
{
	struct stat mine, there;

	for (int i = 0; i < LOCK_TRIES; i++) {
		w->fd = open(w->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY |
		    O_NONBLOCK, NEW_FILE_MODE);
		if (w->fd < 0)
			return failed(w, "open", v);
		if (flock(w->fd, LOCK_EX) < 0 || fstat(w->fd, &mine) < 0)
			return failed(w, "lock", v);
		if (!S_ISREG(mine.st_mode))
			return verdict_set(v, V_DIRECTORY_DOWN,
			    "%s: not a regular file", w->path);
		if (stat(w->path, &there) == 0 && there.st_ino == mine.st_ino &&
		    there.st_dev == mine.st_dev)
			return 0;
		file_close(&w->fd);
	}
	return verdict_set(v, V_DIRECTORY_DOWN, "%s: changes all the time",
	    w->path);
}

static int
parse_lines(struct file_writer *w, struct str rest, struct verdict *v)
{
	struct directory_entry e;
	struct arena a;
	struct buf why;
	struct str line;
	int r = 0;

	arena_init(&a, LINE_ARENA);
	buf_init(&why, VERDICT_DETAIL);
	if (rest.n > 0 && rest.p[rest.n - 1] == '\n')
		rest.n--;
	while (rest.n > 0 && str_split(&rest, '\n', &line)) {
		arena_reset(&a);
		if (file_line_address(line).n == 0) {
			add_line(w, line, NULL);
			continue;
		}
		if (file_line_parse(line, &a, &e, &why) < 0) {
			r = verdict_set(v, V_CONFIG, "%s:%zu: %s", w->path,
			    w->count + 1, why.p);
			break;
		}
		add_line(w, line, &e);
	}
	arena_release(&a);
	buf_release(&why);
	return r;
}

static int
load(struct file_writer *w, struct verdict *v)
{
	struct buf content;
	int r = -1;

	if (w->fd >= 0)
		return 0;
	buf_init(&content, FILE_DIRECTORY_MAX);
	if (open_locked(w, v) == 0) {
		if (file_read_whole(w->fd, &content) < 0)
			failed(w, "read", v);
		else
			r = parse_lines(w, buf_str(&content), v);
	}
	buf_release(&content);
	if (r < 0)
		forget(w);
	return r;
}

/* --- writing -------------------------------------------------------------------- */

static int
write_beside(struct file_writer *w, int dir, const char *tmp,
    struct verdict *v)
{
	struct stat st;
	struct buf out;
	int fd, r = -1;

	buf_init(&out, FILE_DIRECTORY_MAX);
	for (size_t i = 0; i < w->count; i++) {
		if (w->lines[i].text == NULL)
			continue;
		(void)buf_addz(&out, w->lines[i].text);
		(void)buf_addc(&out, '\n');
	}
	(void)unlinkat(dir, tmp, 0); /* of one that was killed */
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(w->fd, &st) < 0 ||
	    fchown(fd, st.st_uid, st.st_gid) < 0 ||
	    fchmod(fd, st.st_mode & 0777) < 0 ||
	    file_write_all(fd, out.p, out.n) < 0 || file_sync(fd) < 0)
		failed(w, "write", v);
	else
		r = 0;
	if (file_close_checked(&fd) < 0 && r == 0)
		r = failed(w, "close", v);
	buf_release(&out);
	return r;
}

static int
save(struct file_writer *w, struct verdict *v)
{
	/* Where a link leads, so that the link stays. */
	char *real = realpath(w->path, NULL);
	char *copy1 = mem_dup(real ? real : w->path);
	char *copy2 = mem_dup(copy1), tmp[NAME_MAX + 1];
	const char *name = basename(copy2);
	int dir, r = -1;

	free(real);
	dir = file_open_root(dirname(copy1));
	if (dir < 0 || snprintf(tmp, sizeof(tmp), ".%s.new", name) >=
	    (int)sizeof(tmp)) {
		failed(w, "open directory", v);
		goto out;
	}
	if (write_beside(w, dir, tmp, v) < 0)
		goto out;
	if (file_rename_over(dir, tmp, dir, name) < 0 || file_sync(dir) < 0) {
		failed(w, "rename", v);
		goto out;
	}
	r = 0;
out:
	if (r < 0 && dir >= 0)
		(void)unlinkat(dir, tmp, 0); /* may not be there */
	file_close(&dir);
	free(copy1);
	free(copy2);
	return r;
}

/* Outside of begin and commit each change is one of its own. */
static int
settle(struct file_writer *w, int r, struct verdict *v)
{
	if (w->begun)
		return r;
	if (r == 0)
		r = save(w, v);
	forget(w);
	return r;
}

/* --- the calls ------------------------------------------------------------------- */

static int
writer_begin(void *self, struct verdict *v)
{
	struct file_writer *w = self;

	if (load(w, v) < 0)
		return -1;
	w->begun = true;
	return 0;
}

static int
writer_commit(void *self, struct verdict *v)
{
	struct file_writer *w = self;

	w->begun = false;
	return settle(w, 0, v);
}

static void
writer_rollback(void *self)
{
	struct file_writer *w = self;

	w->begun = false;
	forget(w);
}

static int
writer_put(void *self, const struct directory_entry *e, struct verdict *v)
{
	struct file_writer *w = self;
	struct buf name, text;
	struct line *there;

	if (load(w, v) < 0)
		return -1;
	buf_init(&name, FILE_LINE_MAX);
	buf_init(&text, FILE_LINE_MAX);
	entry_name(e, &name);
	file_line_print(e, &text);
	there = line_named(w, buf_str(&name));
	if (there != NULL) {
		free(there->text);
		there->text = mem_dupn(text.p, text.n);
		there->kind = e->kind;
	} else {
		add_line(w, buf_str(&text), e);
	}
	buf_release(&name);
	buf_release(&text);
	return settle(w, 0, v);
}

static int
writer_remove(void *self, enum directory_entry_kind kind, struct str local,
    struct str domain, bool *existed_r, struct verdict *v)
{
	struct file_writer *w = self;
	struct buf name;
	struct line *there;

	if (load(w, v) < 0)
		return -1;
	buf_init(&name, FILE_LINE_MAX);
	(void)buf_adds(&name, local);
	(void)buf_addc(&name, '@');
	(void)buf_adds(&name, domain);
	there = line_named(w, buf_str(&name));
	*existed_r = there != NULL && there->kind == kind;
	if (*existed_r) {
		free(there->text);
		there->text = NULL;
	}
	buf_release(&name);
	return settle(w, 0, v);
}

static int
by_name(const void *a, const void *b)
{
	const struct line *const *x = a, *const *y = b;
	ptrdiff_t ax = str_rchr((*x)->name, '@'), ay = str_rchr((*y)->name, '@');
	int order = str_cmp(str_sub((*x)->name, (size_t)ax, SIZE_MAX),
	    str_sub((*y)->name, (size_t)ay, SIZE_MAX));

	return order != 0 ? order : str_cmp((*x)->name, (*y)->name);
}

static bool
wanted(const struct line *l, enum directory_entry_kind kind,
    struct str local, struct str domain)
{
	ptrdiff_t at;

	if (l->text == NULL || l->name.p == NULL || l->kind != kind)
		return false;
	at = str_rchr(l->name, '@');
	if (domain.n > 0 && !str_eq(domain, str_sub(l->name, (size_t)at + 1,
	    l->name.n)))
		return false;
	return local.n == 0 || str_eq(local, str_sub(l->name, 0, (size_t)at));
}

static int
give_line(const struct line *l, directory_entry_fn *each, void *arg,
    struct verdict *v)
{
	struct directory_entry e;
	struct arena a;
	struct buf why;
	int r = -1;

	arena_init(&a, LINE_ARENA);
	buf_init(&why, VERDICT_DETAIL);
	if (file_line_parse(str_of(l->text), &a, &e, &why) < 0)
		verdict_set(v, V_CONFIG, "%s", why.p);
	else
		r = each(&e, arg, v);
	arena_release(&a);
	buf_release(&why);
	return r;
}

static int
writer_list(void *self, enum directory_entry_kind kind, struct str local,
    struct str domain, directory_entry_fn *each, void *arg, struct verdict *v)
{
	struct file_writer *w = self;
	const struct line **found, *one;
	struct buf name;
	size_t count = 0;
	int r = 0;

	if (load(w, v) < 0)
		return -1;
	found = mem_zalloc(w->count, sizeof(*found));
	if (local.n > 0 || (domain.n > 0 && kind == ENTRY_DOMAIN)) {
		buf_init(&name, FILE_LINE_MAX);
		(void)buf_adds(&name, local);
		(void)buf_addc(&name, '@');
		(void)buf_adds(&name, domain);
		one = line_named(w, buf_str(&name));
		if (one != NULL && one->kind == kind)
			found[count++] = one;
		buf_release(&name);
	} else {
		for (size_t i = 0; i < w->count; i++)
			if (wanted(&w->lines[i], kind, local, domain))
				found[count++] = &w->lines[i];
	}
	if (count > 1)
		qsort(found, count, sizeof(*found), by_name);
	for (size_t i = 0; i < count && r == 0; i++)
		r = give_line(found[i], each, arg, v);
	free(found);
	if (!w->begun)
		forget(w);
	return r;
}

/* The line again with another domain. */
static void
move_line(struct line *l, struct str to)
{
	struct directory_entry e;
	struct arena a;
	struct buf why, text;

	arena_init(&a, LINE_ARENA);
	buf_init(&why, VERDICT_DETAIL);
	buf_init(&text, FILE_LINE_MAX);
	if (file_line_parse(str_of(l->text), &a, &e, &why) == 0) {
		if (e.kind == ENTRY_DOMAIN)
			e.is.domain.name = to;
		else if (e.kind == ENTRY_USER)
			e.is.user.domain = to;
		else
			e.is.alias.domain = to;
		file_line_print(&e, &text);
		free(l->text);
		l->text = mem_dupn(text.p, text.n);
	}
	arena_release(&a);
	buf_release(&why);
	buf_release(&text);
}

static int
writer_rename_domain(void *self, struct str from, struct str to,
    struct verdict *v)
{
	struct file_writer *w = self;

	if (load(w, v) < 0)
		return -1;
	for (size_t i = 0; i < w->count; i++)
		for (int kind = ENTRY_DOMAIN; kind <= ENTRY_ALIAS; kind++)
			if (wanted(&w->lines[i],
			    (enum directory_entry_kind)kind, STR(""), from))
				move_line(&w->lines[i], to);
	/* The names of the lines are old now; what follows reads anew. */
	if (save(w, v) < 0)
		return -1;
	forget(w);
	return w->begun ? load(w, v) : 0;
}

static void
writer_close(void *self)
{
	struct file_writer *w = self;

	forget(w);
	free(w->path);
	free(w);
}

static int
writer_open(const char *spec, const struct directory_settings *set,
    void **self_r, struct verdict *v)
{
	struct file_writer *w;

	(void)set;
	if (spec[0] != '/')
		return verdict_set(v, V_CONFIG,
		    "directory \"file:%s\": wants an absolute path", spec);
	w = mem_zalloc(1, sizeof(*w));
	w->path = mem_dup(spec);
	w->fd = -1;
	*self_r = w;
	return 0;
}

const struct directory_writer_backend writer_file = {
	.name = "file",
	.open = writer_open,
	.begin = writer_begin,
	.commit = writer_commit,
	.rollback = writer_rollback,
	.put = writer_put,
	.remove = writer_remove,
	.list = writer_list,
	.rename_domain = writer_rename_domain,
	.close = writer_close,
};
