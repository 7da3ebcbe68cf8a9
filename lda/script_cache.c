#include "lda/script_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/checksum.h"
#include "store/base/file.h"

#define CACHE_DIR "sieve-cache"
#define CACHE_PATH 700
/* Counts up whenever this file's form changes; the image has a version of its
 * own, judged by the engine. */
#define CACHE_FORM 0x31635678u
#define CACHE_IMAGE_MAX (16u * 1024 * 1024)
/* Scripts shorter than this compile faster than a file is opened. */
#define CACHE_WORTH 200

/* In front of the image; host order, since it never leaves the host. */
struct head {
	uint32_t form;
	uint32_t image_n;
	uint64_t text_n;
	uint64_t text_sum, text_sum2;	/* of the script, by two seeds */
	uint64_t set_sum;		/* of what compiling depends on */
	uint64_t image_sum;
};

static uint64_t
seeded(uint64_t seed, struct str s)
{
	struct checksum c = { .lane = { seed } };

	checksum_add(&c, s.p, s.n);
	return checksum_value(&c);
}

static void
fill_head(struct head *h, const struct filter_how *how,
    const struct engine_settings *set,
    const struct engine_script *script)
{
	memset(h, 0, sizeof(*h));
	h->form = CACHE_FORM;
	h->text_n = script->text.n;
	h->text_sum = seeded(1, script->text);
	h->text_sum2 = seeded(0x517cc1b727220a95u, script->text);
	h->set_sum = seeded(script->location, set->extensions) ^
	    seeded(set->max_actions, set->delimiter) ^
	    seeded(set->max_redirects, STR(VBOX_VERSION)) ^
	    seeded(3, str_of(how->engine->name));
}

/* Whose script it is, and which. */
static uint64_t
owner_of(const struct account *account, const struct engine_script *script)
{
	struct checksum c = { .lane = { script->location } };

	checksum_add(&c, account->domain.p, account->domain.n);
	checksum_add(&c, "/", 1);
	checksum_add(&c, account->local.p, account->local.n);
	checksum_add(&c, "/", 1);
	checksum_add(&c, script->name.p, script->name.n);
	return checksum_value(&c);
}

/* "DOMAIN/USER" and the file's name in it. */
static int
names(const struct account *account, const struct engine_script *script,
    char *dir, char *name)
{
	int n = snprintf(dir, CACHE_PATH, CACHE_DIR "/%.*s/%.*s",
	    STR_ARG(account->domain), STR_ARG(account->local));
	int k = snprintf(name, CACHE_PATH, "%016llx", (unsigned long long)
	    seeded(script->location, script->name));

	return n < 0 || n >= CACHE_PATH || k < 0 ? -1 : 0;
}

/* --- in memory, for a process that lives ------------------------------------- */

/* Images that a worker keeps, so that a user to whom mail comes costs no look
 * into the files: at most half a megabyte for each worker, some five kilobytes
 * for ten rules. */
#define KEPT 64
#define KEPT_IMAGE_MAX 65536
#define KEPT_TOTAL (512u * 1024)

struct kept {
	struct head head;
	struct buf image;
	uint64_t used;
};

static struct kept kept[KEPT];
/* Sums of account and name; side by side, since all are looked at. */
static uint64_t owners[KEPT];
static uint64_t kept_clock;
static size_t kept_bytes;

static bool
same_script(const struct head *a, const struct head *b)
{
	return a->form == b->form && a->text_n == b->text_n &&
	    a->text_sum == b->text_sum && a->text_sum2 == b->text_sum2 &&
	    a->set_sum == b->set_sum;
}

/* Borrowed until the next keep(). */
static bool
recall(uint64_t owner, const struct head *want, struct str *image_r)
{
	for (size_t i = 0; i < KEPT; i++)
		if (owners[i] == owner && kept[i].image.n &&
		    same_script(&kept[i].head, want)) {
			kept[i].used = ++kept_clock;
			*image_r = buf_str(&kept[i].image);
			return true;
		}
	return false;
}

static void
drop(struct kept *k)
{
	kept_bytes -= k->image.n;
	buf_release(&k->image);
}

/* What was used the longest ago; of those with an image, or of all. */
static struct kept *
oldest(bool with_image)
{
	struct kept *old = NULL;

	for (size_t i = 0; i < KEPT; i++)
		if ((!with_image || kept[i].image.n) &&
		    (!old || kept[i].used < old->used))
			old = &kept[i];
	return old;
}

static void
keep(uint64_t owner, const struct head *head, struct str image)
{
	struct kept *k = oldest(false);

	if (image.n > KEPT_IMAGE_MAX)
		return;
	/* An older one of the same script is not wanted any more. */
	for (size_t i = 0; i < KEPT; i++)
		if (owners[i] == owner && kept[i].image.n)
			k = &kept[i];
	if (k->used)
		drop(k);
	buf_init(&k->image, KEPT_IMAGE_MAX);
	while (kept_bytes + image.n > KEPT_TOTAL)
		drop(oldest(true));
	(void)buf_adds(&k->image, image);	/* it fits */
	kept_bytes += k->image.n;
	owners[k - kept] = owner;
	k->head = *head;
	k->used = ++kept_clock;
}

/* --- on disk ------------------------------------------------------------------ */

static int
load(int dir, const char *name, const struct head *want, struct arena *a,
    struct str *image_r)
{
	struct head have;
	struct stat st;
	char *image;
	int fd = file_open_beneath(dir, name, O_RDONLY, 0), r = -1;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) ||
	    file_read_full(fd, &have, sizeof(have)) != (ssize_t)sizeof(have) ||
	    have.image_n == 0 || have.image_n > CACHE_IMAGE_MAX ||
	    (uint64_t)st.st_size != sizeof(have) + have.image_n)
		goto out;
	image = arena_alloc(a, have.image_n);
	if (!image || file_read_full(fd, image, have.image_n) !=
	    (ssize_t)have.image_n)
		goto out;
	if (same_script(&have, want) &&
	    have.image_sum == checksum_of(image, have.image_n)) {
		*image_r = str_mem(image, have.image_n);
		r = 0;
	}
out:
	file_close(&fd);
	return r;
}

/* Whole or not at all; not synced, since it can be made again. */
static void
save(int dir, const char *name, struct head *h, struct str image)
{
	char tmp[CACHE_PATH];
	struct iovec iov[2];
	int fd;

	if (snprintf(tmp, sizeof(tmp), ".%s.%d", name, (int)getpid()) < 0)
		return;
	fd = file_open_beneath(dir, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return;
	h->image_n = (uint32_t)image.n;
	h->image_sum = checksum_of(image.p, image.n);
	iov[0] = (struct iovec){ h, sizeof(*h) };
	iov[1] = (struct iovec){ (void *)(uintptr_t)image.p, image.n };
	if (file_writev_all(fd, iov, 2) < 0 ||
	    renameat(dir, tmp, dir, name) < 0)
		(void)unlinkat(dir, tmp, 0); /* best effort */
	file_close(&fd);
}

void
script_cache_fetch(const struct filter_how *how,
    const struct engine_settings *set, const struct settings *s,
    const struct account *account, enum script_cache_mode mode,
    struct arena *a, struct engine_script *script)
{
	char path[CACHE_PATH], name[CACHE_PATH];
	struct verdict ignored = VERDICT_INIT;
	struct head head;
	struct buf image;
	bool lives = how->life == FILTER_WARM;
	uint64_t owner;
	int root, dir;

	if (script->text.n < CACHE_WORTH)
		return;
	fill_head(&head, how, set, script);
	owner = owner_of(account, script);
	if (lives && recall(owner, &head, &script->image)) {
		script->image = arena_copy(a, script->image);
		if (script->image.p)
			return;
	}
	if (names(account, script, path, name) < 0)
		return;
	root = file_open_root(s->state_dir);
	if (root < 0)
		return;
	dir = file_open_dir(root, path, mode == SCRIPT_CACHE_FILL ? FILE_MAKE :
	    FILE_NO_MAKE, 0700);
	file_close(&root);
	if (dir < 0)
		return;
	buf_init(&image, CACHE_IMAGE_MAX);
	if (load(dir, name, &head, a, &script->image) < 0 &&
	    mode == SCRIPT_CACHE_FILL &&
	    filter_compile(how, set, script, &image, &ignored) == 0 && image.n) {
		script->image = arena_copy(a, buf_str(&image));
		if (!script->image.p)
			script->image.n = 0;
		save(dir, name, &head, buf_str(&image));
	}
	if (lives && script->image.p)
		keep(owner, &head, script->image);
	buf_release(&image);
	file_close(&dir);
}
