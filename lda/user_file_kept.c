#include "lda/user_file_kept.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/base/checksum.h"
#include "store/base/clock.h"
#include "store/base/file.h"

/* As many as script_cache keeps images. */
#define KEPT 64
#define KEPT_TEXT_MAX 65536
#define KEPT_TOTAL (256u * 1024)
/* Read anew after this: a program that writes to a mapped file may leave its
 * times alone for a while. */
#define KEPT_MS 60000
/* Times of files are as coarse as this, at worst. */
#define GRAIN_US 2000000
/* Steps of a way: link, directories, file. */
#define STEPS_MAX 5
#define KEPT_PATH_MAX 4096

enum step_kind { STEP_DIRECTORY, STEP_LINK, STEP_FILE };

struct step {
	enum step_kind kind;
	struct buf path;
	struct stat st;		/* of a link or a file */
};

struct kept_text {
	struct buf name;	/* owner, root and path */
	struct step steps[STEPS_MAX];
	size_t n;		/* 0: seen, not kept */
	struct buf text;
	int64_t read_ms;
	uint64_t used;
};

static struct kept_text kept[KEPT];
/* Of their names, side by side: a look at all of them is a look at few lines of
 * the processor's cache. */
static uint64_t sums[KEPT];
static uint64_t kept_clock;
static size_t kept_bytes;

static uint64_t
sum_of(const struct user_file_place *place)
{
	struct checksum c = { .lane = { (uint64_t)place->owner } };

	checksum_add(&c, place->root, strlen(place->root));
	checksum_add(&c, place->path, strlen(place->path));
	return checksum_value(&c);
}

static bool
is_named(const struct kept_text *k, const struct user_file_place *place)
{
	struct str name = buf_str(&k->name), root = str_of(place->root);

	return k->used && name.n > root.n + 2 &&
	    name.p[0] == (char)place->owner &&
	    str_eq(str_sub(name, 1, root.n), root) &&
	    name.p[1 + root.n] == '\0' &&
	    str_eq(str_sub(name, root.n + 2, name.n), str_of(place->path));
}

static struct kept_text *
find(const struct user_file_place *place)
{
	uint64_t sum = sum_of(place);

	for (size_t i = 0; i < KEPT; i++)
		if (sums[i] == sum && is_named(&kept[i], place))
			return &kept[i];
	return NULL;
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
	    a->st_gid == b->st_gid && a->st_size == b->st_size &&
	    same_time(a->st_mtim, b->st_mtim) &&
	    same_time(a->st_ctim, b->st_ctim);
}

static int
look(const char *path, struct stat *st)
{
	return fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

static bool
holds(const struct step *s)
{
	struct stat st;

	return look(s->path.p, &st) == 0 && (s->kind == STEP_DIRECTORY ?
	    S_ISDIR(st.st_mode) : same(&st, &s->st));
}

bool
user_file_recall(const struct user_file_place *place, struct arena *a,
    struct str *text_r)
{
	struct kept_text *k = find(place);

	if (!k || k->n == 0)
		return false;
	if (clock_mono_ms() - k->read_ms > KEPT_MS || k->text.n > place->max)
		k->n = 0;
	for (size_t i = 0; i < k->n; i++)
		if (!holds(&k->steps[i]))
			k->n = 0;	/* and no step is looked at any more */
	if (k->n == 0)
		return false;
	k->used = ++kept_clock;
	*text_r = arena_copy(a, buf_str(&k->text));
	return text_r->p;
}

/* --- keeping ------------------------------------------------------------------------ */

/* Does stat(2) tell at once what was changed, wherever that was? */
static bool
is_local(int fd)
{
	static const unsigned long known[] = {
		0xEF53,		/* ext2, 3, 4 */
		0x58465342,	/* xfs */
		0x9123683E,	/* btrfs */
		0x2FC12FC1,	/* ZFS */
		0xF2F52010,	/* f2fs */
		0xCA451A4E,	/* bcachefs */
		0x01021994,	/* tmpfs */
	};

	return file_system_among(fd, known, sizeof(known) / sizeof(*known));
}

static bool
is_old(const struct stat *st, int64_t when_us)
{
	int64_t changed_us = (int64_t)st->st_ctim.tv_sec * 1000000 +
	    st->st_ctim.tv_nsec / 1000;

	return changed_us < when_us - GRAIN_US;
}

/* The way's next step: root/path. NULL when it is too long a way. */
static struct step *
add_step(struct kept_text *k, const char *root, struct str path)
{
	struct step *s = &k->steps[k->n];

	if (k->n == STEPS_MAX)
		return NULL;
	if (!s->path.max)
		buf_init(&s->path, KEPT_PATH_MAX);
	buf_reset(&s->path);
	(void)buf_addz(&s->path, root);
	(void)buf_addc(&s->path, '/');
	if (buf_adds(&s->path, path) < 0 || look(s->path.p, &s->st) < 0)
		return NULL;
	s->kind = S_ISDIR(s->st.st_mode) ? STEP_DIRECTORY :
	    S_ISLNK(s->st.st_mode) ? STEP_LINK : STEP_FILE;
	k->n++;
	return s;
}

/* Where a link in a home leads, as a path of that home. 0, or -1 when that is
 * not plain. */
static int
follow(const struct step *link, struct str path, struct buf *out)
{
	ptrdiff_t slash = str_rchr(path, '/');
	char target[KEPT_PATH_MAX];
	ssize_t n = readlink(link->path.p, target, sizeof(target));

	if (n <= 0 || n == (ssize_t)sizeof(target) || target[0] == '/')
		return -1;
	(void)buf_adds(out, str_sub(path, 0, (size_t)(slash + 1)));
	return buf_add(out, target, (size_t)n);
}

/*
 * Writes down the way to root/path: directories, then the file, or one link to
 * such a way (`linked`: that is behind us). 0, or -1 when it is another, and
 * then the file is opened each time.
 */
static int
walk(struct kept_text *k, const char *root, struct str path, bool linked,
    const struct stat *st, int64_t when_us)
{
	size_t at = 0;

	for (;;) {
		struct str rest = str_sub(path, at, path.n);
		ptrdiff_t slash = str_chr(rest, '/');
		size_t n = slash < 0 ? rest.n : (size_t)slash;
		struct step *s;
		struct buf way;
		int r;

		if (n == 0 || str_eq(str_sub(rest, 0, n), STR(".")) ||
		    str_eq(str_sub(rest, 0, n), STR("..")))
			return -1;
		at += n;
		s = add_step(k, root, str_sub(path, 0, at));
		if (!s)
			return -1;
		if (slash >= 0) {
			if (s->kind != STEP_DIRECTORY)
				return -1;
			at++;
			continue;
		}
		if (!is_old(&s->st, when_us))
			return -1;
		if (s->kind == STEP_FILE)
			return same(&s->st, st) ? 0 : -1;
		if (s->kind != STEP_LINK || linked)
			return -1;
		buf_init(&way, KEPT_PATH_MAX);
		r = follow(s, path, &way) < 0 ? -1 : walk(k, root,
		    buf_str(&way), true, st, when_us);
		buf_release(&way);
		return r;
	}
}

static void
drop_text(struct kept_text *k)
{
	kept_bytes -= k->text.n;
	buf_release(&k->text);
	k->n = 0;
}

/* What was used the longest ago; of those with a text, or of all. */
static struct kept_text *
oldest(bool with_text)
{
	struct kept_text *old = NULL;

	for (size_t i = 0; i < KEPT; i++)
		if ((!with_text || kept[i].text.n) &&
		    (!old || kept[i].used < old->used))
			old = &kept[i];
	return old;
}

static void
note_name(const struct user_file_place *place)
{
	struct kept_text *k = oldest(false);

	if (k->used)
		drop_text(k);
	else
		buf_init(&k->name, 2 * KEPT_PATH_MAX);
	buf_init(&k->text, KEPT_TEXT_MAX);
	buf_reset(&k->name);
	(void)buf_addc(&k->name, (char)place->owner);
	(void)buf_addz(&k->name, place->root);
	(void)buf_addc(&k->name, '\0');
	(void)buf_addz(&k->name, place->path);
	sums[k - kept] = sum_of(place);
	k->used = ++kept_clock;
}

void
user_file_keep(const struct user_file_place *place, int fd,
    const struct stat *st, int64_t when_us, struct str text)
{
	struct kept_text *k = find(place);

	/* Most are read once by a process: the first time only the name is
	 * written down. */
	if (!k) {
		note_name(place);
		return;
	}
	drop_text(k);
	k->used = ++kept_clock;
	k->read_ms = clock_mono_ms();
	if (text.n == 0 || text.n > KEPT_TEXT_MAX ||
	    text.n != (size_t)st->st_size || !is_old(st, when_us) ||
	    !is_local(fd) || walk(k, place->root, str_of(place->path), false, st,
	    when_us) < 0) {
		k->n = 0;
		return;
	}
	while (kept_bytes + text.n > KEPT_TOTAL)
		drop_text(oldest(true));
	(void)buf_adds(&k->text, text);		/* it fits */
	kept_bytes += k->text.n;
}
