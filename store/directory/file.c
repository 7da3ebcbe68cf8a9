/*
 * "file:PATH": one line per domain, user and alias (file_line.h).
 *
 * A delivery asks a few questions and ends, so at first a question is a scan
 * of the bytes, which parses no line but the one that answers. A process
 * that goes on asking gets an index. The file is read again when its
 * stat changes; to be replaced whole it should be renamed into place.
 */
#include "store/directory/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/directory/backend.h"
#include "store/directory/file_line.h"
#include "store/directory/name.h"

/* So many scans cost what an index costs. */
#define SCANS_BEFORE_INDEX 12
/* How often a file that changes under our eyes is read again. */
#define READ_TRIES 5
/* Scratch for the names of a line. */
#define NAMES_ARENA 8192
#define LOAD_FACTOR 2

/* A line by its address. `implied`: a domain that only users speak of. */
struct slot {
	uint64_t hash;
	size_t offset;
	size_t number;		/* of the line, from 1; 0: free slot */
	bool implied;
};

struct file_directory {
	char *path;
	struct buf content;
	struct stat stamp;
	bool loaded;
	unsigned scans;
	struct slot *slots;	/* NULL: no index yet */
	size_t slot_mask;
};

/* Where a question found its answer. */
struct hit {
	struct str line;
	size_t number;
	bool implied;
};

struct cursor {
	const struct buf *content;
	size_t at;		/* the next line's offset */
	size_t number;		/* of the line read last, from 1 */
};

static enum directory_answer
broken(const struct file_directory *f, size_t number, const char *what,
    struct verdict *v)
{
	verdict_set(v, V_DIRECTORY_DOWN, "%s:%zu: %s", f->path, number, what);
	return DIR_BROKEN;
}

/* --- reading ---------------------------------------------------------------- */

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void
drop_index(struct file_directory *f)
{
	free(f->slots);
	f->slots = NULL;
	f->scans = 0;
}

/* Reads until the file was the same before and after: somebody may be
 * writing it in place. */
static int
read_settled(struct file_directory *f, int fd, struct verdict *v)
{
	struct stat before, after;

	for (int i = 0; i < READ_TRIES; i++) {
		if (fstat(fd, &before) < 0 || lseek(fd, 0, SEEK_SET) < 0)
			return verdict_errno(v, errno, "%s", f->path);
		if (!S_ISREG(before.st_mode) || (before.st_mode & S_IWOTH))
			return verdict_set(v, V_DIRECTORY_DOWN,
			    "%s: not a plain file, or others can write it",
			    f->path);
		buf_reset(&f->content);
		if (file_read_whole(fd, &f->content) < 0 ||
		    fstat(fd, &after) < 0)
			return verdict_errno(v, errno, "%s", f->path);
		if (same_file(&before, &after)) {
			f->stamp = after;
			return 0;
		}
	}
	return verdict_set(v, V_DIRECTORY_DOWN, "%s: changes all the time",
	    f->path);
}

static int
refresh(struct file_directory *f, struct verdict *v)
{
	struct stat now;
	int fd, r;

	if (f->loaded && stat(f->path, &now) == 0 &&
	    same_file(&now, &f->stamp))
		return 0;
	f->loaded = false;
	drop_index(f);
	fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		verdict_errno(v, errno, "%s", f->path);
		v->why = V_DIRECTORY_DOWN;
		return -1;
	}
	r = read_settled(f, fd, v);
	file_close(&fd);
	if (r < 0)
		v->why = V_DIRECTORY_DOWN;
	f->loaded = r == 0;
	return r;
}

/* --- lines ------------------------------------------------------------------ */

static bool
next_line(struct cursor *c, struct str *line_r, size_t *offset_r)
{
	const char *start, *end;
	size_t left;

	if (c->at >= c->content->n)
		return false;
	start = c->content->p + c->at;
	left = c->content->n - c->at;
	end = memchr(start, '\n', left);
	*line_r = str_mem(start, end != NULL ? (size_t)(end - start) : left);
	*offset_r = c->at;
	c->at += line_r->n + 1;
	c->number++;
	return true;
}

static struct str
line_at(const struct file_directory *f, size_t offset)
{
	struct cursor c = { .content = &f->content, .at = offset };
	struct str line = STR("");
	size_t at;

	(void)next_line(&c, &line, &at); /* an index points at lines */
	return line;
}

static bool
needs_folding(struct str address)
{
	for (size_t i = 0; i < address.n; i++)
		if ((unsigned char)address.p[i] >= 0x80 ||
		    address.p[i] == '"')
			return true;
	return false;
}

/* The address of a line in two parts. As it stands when it is ASCII (the
 * caller folds case), canonical otherwise; local is empty for a domain. */
static int
split_address(struct str address, struct arena *a, struct str *local_r,
    struct str *domain_r)
{
	struct verdict v;
	ptrdiff_t at = str_rchr(address, '@');

	verdict_init(&v);
	if (at < 0)
		return -1;
	if (needs_folding(address)) {
		*local_r = STR("");
		if (at == 0)
			return name_domain(str_sub(address, 1, address.n), a,
			    domain_r, &v);
		return name_address(address, a, local_r, domain_r, &v);
	}
	*local_r = str_sub(address, 0, (size_t)at);
	*domain_r = str_sub(address, (size_t)at + 1, address.n);
	return 0;
}

/* --- scan ------------------------------------------------------------------- */

static enum directory_answer
scan(struct file_directory *f, struct str local, struct str domain,
    struct hit *hit_r, struct verdict *v)
{
	struct cursor c = { .content = &f->content };
	struct hit hit = { .number = 0 };
	struct str line, address, l, d;
	struct arena names;
	size_t offset;
	enum directory_answer answer = DIR_ABSENT;

	arena_init(&names, NAMES_ARENA);
	while (next_line(&c, &line, &offset)) {
		address = file_line_address(line);
		if (address.n == 0)
			continue;
		arena_reset(&names);
		if (split_address(address, &names, &l, &d) < 0) {
			answer = broken(f, c.number, "not an address", v);
			goto out;
		}
		if (!str_caseeq(d, domain))
			continue;
		if (!str_caseeq(l, local)) {
			/* A user speaks for the domain. */
			if (local.n == 0 && hit.number == 0)
				hit = (struct hit){ line, c.number, true };
			continue;
		}
		if (hit.number != 0 && !hit.implied) {
			answer = broken(f, c.number,
			    "the same address a second time", v);
			goto out;
		}
		hit = (struct hit){ line, c.number, false };
	}
	if (hit.number != 0) {
		*hit_r = hit;
		answer = DIR_FOUND;
	}
out:
	arena_release(&names);
	return answer;
}

/* --- index ------------------------------------------------------------------ */

static uint64_t
hash_folded(struct str local, struct str domain)
{
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < local.n; i++)
		h = (h ^ (unsigned char)ascii_lower(local.p[i])) *
		    1099511628211ULL;
	h = (h ^ '@') * 1099511628211ULL;
	for (size_t i = 0; i < domain.n; i++)
		h = (h ^ (unsigned char)ascii_lower(domain.p[i])) *
		    1099511628211ULL;
	return h ^ (h >> 29);
}

/* Does this slot hold the name? */
static bool
slot_is(const struct file_directory *f, const struct slot *s, uint64_t hash,
    struct str local, struct str domain, struct arena *names)
{
	struct str l, d;

	if (s->hash != hash)
		return false;
	arena_reset(names);
	if (split_address(file_line_address(line_at(f, s->offset)), names, &l,
	    &d) < 0)
		return false;
	if (s->implied)
		l = STR("");
	return str_caseeq(l, local) && str_caseeq(d, domain);
}

/* The slot of the name, or the free one where it belongs. */
static struct slot *
slot_of(const struct file_directory *f, struct str local, struct str domain)
{
	uint64_t hash = hash_folded(local, domain);
	struct arena names;
	size_t i = hash & f->slot_mask;

	arena_init(&names, NAMES_ARENA);
	while (f->slots[i].number != 0 &&
	    !slot_is(f, &f->slots[i], hash, local, domain, &names))
		i = (i + 1) & f->slot_mask;
	arena_release(&names);
	return &f->slots[i];
}

static size_t
count_lines(const struct buf *content)
{
	struct cursor c = { .content = content };
	struct str line;
	size_t offset;

	while (next_line(&c, &line, &offset))
		;
	return c.number;
}

/* -1 when the address has a line already. */
static int
index_line(struct file_directory *f, struct str local, struct str domain,
    size_t offset, size_t number)
{
	struct slot *s = slot_of(f, local, domain);

	if (s->number != 0 && !s->implied)
		return -1;
	*s = (struct slot){ hash_folded(local, domain), offset, number, false };
	if (local.n == 0)
		return 0;
	s = slot_of(f, STR(""), domain);
	if (s->number == 0)
		*s = (struct slot){ hash_folded(STR(""), domain), offset,
		    number, true };
	return 0;
}

/* Two slots a line (its domain too), half of them free. */
static enum directory_answer
build_index(struct file_directory *f, struct verdict *v)
{
	size_t want = count_lines(&f->content) * 2 * LOAD_FACTOR, size = 64;
	struct cursor c = { .content = &f->content };
	struct str line, address, local, domain;
	struct arena names;
	size_t offset;
	enum directory_answer answer = DIR_FOUND;

	while (size < want)
		size *= 2;
	f->slots = mem_zalloc(size, sizeof(*f->slots));
	f->slot_mask = size - 1;
	arena_init(&names, NAMES_ARENA);
	while (answer == DIR_FOUND && next_line(&c, &line, &offset)) {
		address = file_line_address(line);
		if (address.n == 0)
			continue;
		arena_reset(&names);
		if (split_address(address, &names, &local, &domain) < 0)
			answer = broken(f, c.number, "not an address", v);
		else if (index_line(f, local, domain, offset, c.number) < 0)
			answer = broken(f, c.number,
			    "the same address a second time", v);
	}
	arena_release(&names);
	if (answer != DIR_FOUND)
		drop_index(f);
	return answer;
}

static enum directory_answer
find(struct file_directory *f, struct str local, struct str domain,
    struct hit *hit_r, struct verdict *v)
{
	const struct slot *s;

	if (refresh(f, v) < 0)
		return DIR_BROKEN;
	if (f->slots == NULL && f->scans++ < SCANS_BEFORE_INDEX)
		return scan(f, local, domain, hit_r, v);
	if (f->slots == NULL && build_index(f, v) != DIR_FOUND)
		return DIR_BROKEN;
	s = slot_of(f, local, domain);
	if (s->number == 0)
		return DIR_ABSENT;
	*hit_r = (struct hit){ line_at(f, s->offset), s->number, s->implied };
	return DIR_FOUND;
}

/* --- answers ---------------------------------------------------------------- */

/* The line parsed from a copy in the arena: the content may be gone before
 * the answer is. */
static enum directory_answer
look_up(struct file_directory *f, struct str local, struct str domain,
    struct arena *a, struct directory_entry *line_r, struct verdict *v)
{
	struct hit hit = { .number = 0 };
	struct str line;
	struct buf why;
	enum directory_answer answer = find(f, local, domain, &hit, v);

	if (answer != DIR_FOUND)
		return answer;
	if (hit.implied) {
		line_r->kind = ENTRY_DOMAIN;
		domain_record_init(&line_r->is.domain);
		line_r->is.domain.name = domain;
		return DIR_FOUND;
	}
	line = arena_copy(a, hit.line);
	if (line.p == NULL)
		return broken(f, hit.number, "no room for it", v);
	buf_init(&why, VERDICT_DETAIL);
	if (file_line_parse(line, a, line_r, &why) < 0)
		answer = broken(f, hit.number, why.p, v);
	buf_release(&why);
	return answer;
}

static enum directory_answer
file_domain(void *self, struct str domain, struct arena *a,
    struct domain_record *r, struct verdict *v)
{
	struct directory_entry line;
	enum directory_answer answer = look_up(self, STR(""), domain, a, &line,
	    v);

	if (answer == DIR_FOUND)
		*r = line.is.domain;
	return answer;
}

static enum directory_answer
file_user(void *self, struct str local, struct str domain, struct arena *a,
    struct account *r, struct verdict *v)
{
	struct directory_entry line;
	enum directory_answer answer = look_up(self, local, domain, a, &line,
	    v);

	if (answer != DIR_FOUND)
		return answer;
	if (line.kind != ENTRY_USER)
		return DIR_ABSENT;
	*r = line.is.user;
	return DIR_FOUND;
}

static enum directory_answer
file_alias(void *self, struct str local, struct str domain, struct arena *a,
    struct alias_record *r, struct verdict *v)
{
	struct directory_entry line;
	enum directory_answer answer = look_up(self, local, domain, a, &line,
	    v);

	if (answer != DIR_FOUND)
		return answer;
	if (line.kind != ENTRY_ALIAS)
		return DIR_ABSENT;
	*r = line.is.alias;
	return DIR_FOUND;
}

static int
file_open(const char *spec, const struct directory_settings *set,
    void **self_r, struct verdict *v)
{
	struct file_directory *f;

	(void)set;
	if (spec[0] != '/')
		return verdict_set(v, V_CONFIG,
		    "directory \"file:%s\": wants an absolute path", spec);
	f = mem_zalloc(1, sizeof(*f));
	f->path = mem_dup(spec);
	buf_init(&f->content, FILE_DIRECTORY_MAX);
	*self_r = f;
	return 0;
}

static void
file_close_directory(void *self)
{
	struct file_directory *f = self;

	drop_index(f);
	buf_release(&f->content);
	free(f->path);
	free(f);
}

const struct directory_backend backend_file = {
	.name = "file",
	.open = file_open,
	.domain = file_domain,
	.user = file_user,
	.alias = file_alias,
	.close = file_close_directory,
};

/* --- check ------------------------------------------------------------------ */

int
file_directory_check(const char *path, struct buf *problems, struct verdict *v)
{
	struct file_directory f = { .path = mem_dup(path) };
	struct cursor c = { .content = &f.content };
	struct str line;
	struct arena a;
	struct buf why;
	size_t offset;
	int count = -1;

	buf_init(&f.content, FILE_DIRECTORY_MAX);
	buf_init(&why, VERDICT_DETAIL);
	arena_init(&a, FILE_LINE_MAX * 16);
	if (refresh(&f, v) < 0)
		goto out;
	count = 0;
	while (next_line(&c, &line, &offset)) {
		struct directory_entry parsed;

		arena_reset(&a);
		buf_reset(&why);
		if (file_line_address(line).n == 0 ||
		    file_line_parse(line, &a, &parsed, &why) == 0)
			continue;
		(void)buf_addf(problems, "%s:%zu: %s\n", path, c.number, why.p);
		count++;
	}
	if (count == 0 && build_index(&f, v) != DIR_FOUND) {
		(void)buf_addf(problems, "%s\n", v->detail);
		count = 1;
	}
out:
	drop_index(&f);
	arena_release(&a);
	buf_release(&why);
	buf_release(&f.content);
	free(f.path);
	return count;
}
