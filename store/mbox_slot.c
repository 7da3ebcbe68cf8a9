#include "store/mbox_slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/base/checksum.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/self.h"

/* Slots of all processes that deliver here at the same time; one that finds
 * none free in some tries goes without. */
#define SLOT_DIR "locks"
#define SLOTS 256
#define SLOT_TRIES 64
/* A copy that a dead process left keeps its slot for so long: then nobody
 * has delivered to that mbox, or it is gone. */
#define COPY_KEPT_SECONDS (30 * 86400)
/* Of a copy, the least that is mapped; letters without attachments fit. */
#define MAP_FIRST ((size_t)64 * 1024)
#define COPY_MAGIC 0x79706356u	/* "Vcpy" in memory */

/* In front of a copy; host order. */
struct copy_head {
	uint32_t magic;
	uint32_t busy;
	struct slot_append what;
	uint64_t n;
	uint64_t sum;		/* of the n bytes behind it */
};
static const struct copy_head no_copy;

/* One of a process, with the copy of one append at a time; a child of it has
 * its own. */
static struct {
	int lock, copy;
	uint64_t ino;		/* of lock */
	char *map;		/* of copy, `mapped` bytes; NULL: none */
	size_t mapped;
	pid_t owner;
	int64_t pid_ms;		/* when the pid was last written */
	bool unlinkable;	/* the mailboxes are on another file system */
	bool useless;		/* no directory, no slot */
	bool again;		/* a copy was made before: it pays to map it */
	bool busy;		/* the copy is of an append that did not end */
} slot = { .lock = -1, .copy = -1 };

/* A lock's age is that of its slot, and another host's patience may be ten
 * seconds (dotlock_stale); the holder refreshes what it holds. */
#define PID_KEPT_MS 2000

int
slot_write_pid(int fd)
{
	char text[24];
	/* Always as long, so that a later pid covers an earlier one; shorter
	 * than the 16 bytes that liblockfile 1.17 can read. */
	int n = snprintf(text, sizeof(text), "%-10d\n", (int)self_pid());

	return file_pwrite_all(fd, text, (size_t)n, 0);
}

static void
give_up_slot(void)
{
	/* A child has not the mapping, and may have another in its place. */
	if (slot.map && slot.owner == self_pid())
		(void)munmap(slot.map, slot.mapped);
	slot.map = NULL;
	slot.mapped = 0;
	slot.pid_ms = 0;
	file_close(&slot.lock);
	file_close(&slot.copy);
}

/* Does a block that is allocated stay writable? One that writes elsewhere (btrfs,
 * ZFS) may find no space then, and memory says that with SIGBUS. */
static bool
blocks_stay(int fd)
{
	static const unsigned long known[] = {
		0xEF53,		/* ext2, 3, 4 */
		0x58465342,	/* xfs */
		0x01021994,	/* tmpfs */
	};

	return file_system_among(fd, known, sizeof(known) / sizeof(*known));
}

/*
 * Room for n bytes of the copy, in memory: a page of it costs nothing to
 * write, where a call costs a microsecond and more. The blocks are allocated
 * first, since memory cannot say "no space". false: write it with calls.
 */
static bool
map_copy(size_t n)
{
	size_t want = MAP_FIRST;
	void *p;

	if (n <= slot.mapped)
		return true;
	if (!blocks_stay(slot.copy))
		return false;
	while (want < n)
		want *= 2;
	if (fallocate(slot.copy, 0, 0, (off_t)want) < 0)
		return false;
	p = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_SHARED, slot.copy, 0);
	if (p == MAP_FAILED)
		return false;
	/* A filter that is forked reads what strangers wrote: not others' mail
	 * as well, still less what a torn tail is compared with. */
	if (madvise(p, want, MADV_DONTFORK) < 0) {
		(void)munmap(p, want);
		return false;
	}
	if (slot.map)
		(void)munmap(slot.map, slot.mapped);
	slot.map = p;
	slot.mapped = want;
	return true;
}

/* Does the file hold a copy that somebody may still want? */
static bool
copy_waits(int fd)
{
	struct copy_head h;
	struct stat st;

	return file_pread_full(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) &&
	    h.magic == COPY_MAGIC && h.busy && fstat(fd, &st) == 0 &&
	    st.st_mtime + COPY_KEPT_SECONDS > time(NULL);
}

static bool
is_file_of_ours(int fd, struct stat *st)
{
	return fstat(fd, st) == 0 && S_ISREG(st->st_mode) &&
	    st->st_uid == self_euid();
}

/*
 * Takes slot N, or leaves slot.lock at -1. A lock file with a second name is
 * a lock that a dead process left: it must keep its content, or the dead
 * one's lock would look like ours, so the slot gets a new file.
 */
static void
take_slot(int dir, unsigned n)
{
	char name[16], copy[24];
	struct stat st, at;
	uint64_t ino;
	int fd = -1;

	(void)snprintf(name, sizeof(name), "%u", n);		/* fits */
	(void)snprintf(copy, sizeof(copy), "%u.copy", n);	/* fits */
	for (int round = 0; round < 2; round++) {
		fd = file_open_beneath(dir, name, O_RDWR | O_CREAT, 0644);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ||
		    !is_file_of_ours(fd, &st))
			goto fail;
		/* The name may be another file's by now. */
		if (st.st_nlink == 1 && fstatat(dir, name, &at,
		    AT_SYMLINK_NOFOLLOW) == 0 && at.st_ino == st.st_ino &&
		    at.st_dev == st.st_dev)
			break;
		if (round > 0 || (st.st_nlink > 1 && unlinkat(dir, name, 0) < 0))
			goto fail;
		file_close(&fd);
	}
	ino = st.st_ino;
	slot.copy = file_open_beneath(dir, copy, O_RDWR | O_CREAT, 0600);
	if (slot.copy < 0 || !is_file_of_ours(slot.copy, &st) ||
	    st.st_nlink != 1 || copy_waits(slot.copy)) {
		file_close(&slot.copy);
		goto fail;
	}
	slot.lock = fd;
	slot.ino = ino;
	return;
fail:
	file_close(&fd);
}

static int
open_dir(const char *path, enum file_make make)
{
	int root = file_open_root(path), dir;

	if (root < 0)
		return -1;
	dir = file_open_dir(root, SLOT_DIR, make, 0700);
	file_close(&root);
	return dir;
}

/* Has this process a slot now? */
static bool
have_slot(const char *path)
{
	int dir;

	if (slot.owner != self_pid()) {
		give_up_slot();
		slot.owner = self_pid();
		slot.unlinkable = slot.useless = slot.busy = false;
	}
	if (slot.lock >= 0)
		return true;
	if (slot.useless)
		return false;
	dir = open_dir(path, FILE_MAKE);
	/* Processes begin at different slots and rarely meet. */
	for (unsigned i = 0; dir >= 0 && i < SLOT_TRIES && slot.lock < 0; i++)
		take_slot(dir, ((unsigned)self_pid() + i) % SLOTS);
	file_close(&dir);
	slot.useless = slot.lock < 0;
	return !slot.useless;
}

int
slot_lock(const char *path, uint64_t *ino_r)
{
	int64_t now = clock_mono_ms();
	struct stat st;

	if (!have_slot(path) || slot.unlinkable)
		return -1;
	*ino_r = slot.ino;
	if (slot.pid_ms && now - slot.pid_ms < PID_KEPT_MS)
		return slot.lock;
	/* A second name is a lock that we hold, or could not take away. */
	if (fstat(slot.lock, &st) < 0 || st.st_nlink != 1 ||
	    slot_write_pid(slot.lock) < 0)
		return -1;
	slot.pid_ms = now;
	return slot.lock;
}

void
slot_lock_useless(void)
{
	slot.unlinkable = true;
}

/* --- copies -------------------------------------------------------------------- */

/* What is behind the head first, "busy" last: a kill comes between two
 * instructions, and the kernel has then what was stored before it. */
static void
fill_map(const struct copy_head *h, struct str copy)
{
	struct copy_head quiet = *h;

	quiet.busy = 0;
	memcpy(slot.map + sizeof(quiet), copy.p, copy.n);
	memcpy(slot.map, &quiet, sizeof(quiet));
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(slot.map + offsetof(struct copy_head, busy), &h->busy,
	    sizeof(h->busy));
}

bool
slot_copy_begin(const char *path, const struct slot_append *what,
    struct str copy, uint64_t sum)
{
	struct copy_head h = { .magic = COPY_MAGIC, .busy = 1, .what = *what,
	    .n = copy.n, .sum = sum };

	/* Without it the tail is judged by its sums. */
	if (copy.n == 0 || copy.n > SLOT_COPY_MAX || !have_slot(path) ||
	    slot.busy)
		return false;
	slot.busy = true;
	if (slot.again && map_copy(sizeof(h) + copy.n))
		fill_map(&h, copy);
	else if (file_pwrite_all(slot.copy, copy.p, copy.n, sizeof(h)) == 0)
		(void)file_pwrite_all(slot.copy, &h, sizeof(h), 0);
	slot.again = true;
	return true;
}

void
slot_copy_end(void)
{
	if (slot.copy < 0 || slot.owner != self_pid())
		return;
	slot.busy = false;
	if (slot.map)
		memcpy(slot.map, &no_copy, sizeof(no_copy));
	else
		(void)file_pwrite_all(slot.copy, &no_copy, sizeof(no_copy), 0);
}

void
slot_copy_leave(void)
{
	if (slot.owner != self_pid())
		return;
	give_up_slot();
	slot.busy = false;
}

/* Are the n bytes of the mbox the beginning of this copy? */
static enum slot_tail
compare(int copy, const struct copy_head *h, int mbox, uint64_t n)
{
	enum slot_tail answer = SLOT_TAIL_UNKNOWN;
	char *ours = mem_alloc((size_t)h->n), *theirs = mem_alloc((size_t)n);

	if (file_pread_full(copy, ours, (size_t)h->n, sizeof(*h)) ==
	    (ssize_t)h->n && checksum_of(ours, (size_t)h->n) == h->sum &&
	    file_pread_full(mbox, theirs, (size_t)n,
	    (off_t)h->what.old_size) == (ssize_t)n)
		answer = memcmp(ours, theirs, (size_t)n) == 0 ? SLOT_TAIL_OURS :
		    SLOT_TAIL_FOREIGN;
	free(ours);
	free(theirs);
	return answer;
}

/* The copy in slot i if it is of that append, or -1. */
static int
open_copy_of(int dir, unsigned i, const struct slot_append *what,
    struct copy_head *h)
{
	struct stat st;
	char name[24];
	int fd;

	(void)snprintf(name, sizeof(name), "%u.copy", i); /* fits */
	fd = file_open_beneath(dir, name, O_RDWR, 0);
	if (fd >= 0 && !(is_file_of_ours(fd, &st) &&
	    file_pread_full(fd, h, sizeof(*h), 0) == (ssize_t)sizeof(*h) &&
	    h->magic == COPY_MAGIC && h->busy &&
	    memcmp(&h->what, what, sizeof(*what)) == 0))
		file_close(&fd);
	return fd;
}

enum slot_tail
slot_copy_judge(const char *path, const struct slot_append *what, int mbox,
    uint64_t n)
{
	enum slot_tail answer = SLOT_TAIL_UNKNOWN;
	int dir = open_dir(path, FILE_NO_MAKE);
	struct copy_head h;

	for (unsigned i = 0; dir >= 0 && i < SLOTS &&
	    answer == SLOT_TAIL_UNKNOWN; i++) {
		int fd = open_copy_of(dir, i, what, &h);

		if (fd < 0)
			continue;
		if (h.n == what->new_size - what->old_size &&
		    h.n <= SLOT_COPY_MAX && n < h.n)
			answer = compare(fd, &h, mbox, n);
		if (answer != SLOT_TAIL_UNKNOWN)
			(void)file_pwrite_all(fd, &no_copy, sizeof(no_copy), 0);
		file_close(&fd);
	}
	file_close(&dir);
	return answer;
}

void
slot_copy_drop(const char *path, const struct slot_append *what)
{
	int dir = open_dir(path, FILE_NO_MAKE);
	struct copy_head h;

	for (unsigned i = 0; dir >= 0 && i < SLOTS; i++) {
		int fd = open_copy_of(dir, i, what, &h);

		if (fd >= 0)
			(void)file_pwrite_all(fd, &no_copy, sizeof(no_copy), 0);
		file_close(&fd);
	}
	file_close(&dir);
}
