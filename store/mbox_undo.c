#include "store/mbox_undo.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/mbox_slot.h"

#define ATTRIBUTE "user.vbox"
#define MAGIC 0x7556	/* "Vu" in memory */
/* Marks closer than this would prove nothing more. */
#define MARK_LEAST 64
/* Disks write nothing smaller. */
#define SECTOR 512
/* Read in one go while a tail is judged. */
#define PIECE 65536
/* A whole block, so that overwriting it never allocates. */
#define FILE_SIZE 4096
/* Longest From_ line that is looked for behind a torn tail. */
#define FROM_LOOK 4096

/*
 * In host order: a record never leaves its host's file system, and a foreign
 * one fails its check sum. 68 bytes are what a 256-byte ext4 inode has room
 * for beside the name; a larger one would cost a block of its own.
 */
struct record {
	uint16_t magic;
	uint16_t busy;		/* 1: an append is going on */
	uint32_t ino;		/* low half: a copied file has another */
	uint64_t old_size, new_size;
	uint16_t sum[UNDO_MARKS];
	uint32_t own_sum;	/* of all before */
} __attribute__((packed, aligned(4)));
static_assert(sizeof(struct record) == 68, "outgrows the inode");

static void
set_marks(struct undo_plan *plan)
{
	uint64_t step = MARK_LEAST;

	while ((plan->new_size - plan->old_size) / step >= UNDO_MARKS)
		step *= 2;
	plan->marks = 0;
	for (uint64_t at = step - plan->old_size % step;
	    at < plan->new_size - plan->old_size && plan->marks < UNDO_MARKS;
	    at += step)
		plan->mark[plan->marks++] = at;
}

void
undo_plan(struct undo_plan *plan, uint64_t old_size, uint64_t new_size)
{
	*plan = (struct undo_plan){ .old_size = old_size, .new_size = new_size };
	set_marks(plan);
}

void
undo_feed(struct undo_plan *plan, const char *p, size_t n)
{
	while (n) {
		size_t take = n;

		if (plan->next < plan->marks &&
		    plan->mark[plan->next] - plan->fed < take)
			take = (size_t)(plan->mark[plan->next] - plan->fed);
		checksum_add(&plan->sums, p, take);
		plan->fed += take;
		p += take;
		n -= take;
		if (plan->next < plan->marks && plan->fed == plan->mark[plan->next])
			plan->sum[plan->next++] =
			    (uint16_t)checksum_value(&plan->sums);
	}
}

void
undo_init(struct undo *u, int fd, enum undo_place place, const char *slot_dir)
{
	*u = (struct undo){ .place = place, .fd = fd, .file = -1,
	    .slot_dir = slot_dir };
}

void
undo_release(struct undo *u)
{
	if (u->copied)
		slot_copy_leave();
	u->copied = false;
	file_close(&u->file);
}

static int
file_name(const char *name, char *out, size_t size)
{
	int n = snprintf(out, size, ".%s.vbox-undo", name);

	if (n < 0 || (size_t)n >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

static int
open_file(struct undo *u, int dirfd, const char *name, int flags)
{
	char path[300];

	if (u->file >= 0)
		return 0;
	if (file_name(name, path, sizeof(path)) < 0)
		return -1;
	u->file = file_open_beneath(dirfd, path, O_RDWR | flags, 0600);
	return u->file < 0 ? -1 : 0;
}

static uint32_t
record_sum(const struct record *r)
{
	return (uint32_t)checksum_of(r, offsetof(struct record, own_sum));
}

/* Length of what was read, 0 when there is none, -1 on error. */
static ssize_t
load(struct undo *u, int dirfd, const char *name, struct record *r)
{
	ssize_t n;

	if (u->place == UNDO_AUTO || u->place == UNDO_XATTR) {
		n = fgetxattr(u->fd, ATTRIBUTE, r, sizeof(*r));
		if (n >= 0 || errno == ENODATA || errno == ERANGE)
			return n < 0 ? 0 : n;
		if (errno != EOPNOTSUPP)
			return -1;
		if (u->place == UNDO_XATTR)
			return 0;
		u->place = UNDO_FILE;
	}
	if (open_file(u, dirfd, name, 0) < 0)
		return errno == ENOENT ? 0 : -1;
	return file_pread_full(u->file, r, sizeof(*r), 0);
}

/* Does a From_ line begin anywhere in these bytes? Torn lines have no line
 * end, so a foreign message may stand in the middle of a line. */
static bool
has_from_line(struct str tail)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	ptrdiff_t at;

	for (; (at = str_find(tail, STR("From "))) >= 0;
	    tail = str_sub(tail, (size_t)at + 5, tail.n)) {
		struct str line = str_sub(tail, (size_t)at + 5, FROM_LOOK);
		ptrdiff_t nl = str_chr(line, '\n');

		if (nl >= 0)
			line.n = (size_t)nl;
		for (size_t i = 0; i + 4 <= line.n; i++) {
			if (line.p[i + 3] != ' ')
				continue;
			for (size_t d = 0; d + 3 <= sizeof(days) - 1; d += 3)
				if (memcmp(line.p + i, days + d, 3) == 0)
					return true;
		}
	}
	return false;
}

enum tail { TAIL_OURS, TAIL_FOREIGN, TAIL_UNREADABLE };

/* Is [old_size, size) the beginning of the recorded message and no more?
 * `torn_here`: it is known that it was torn at `size`. */
static enum tail
judge(const struct undo *u, const struct record *r, uint64_t size,
    bool torn_here)
{
	struct undo_plan plan;
	uint64_t n = size - r->old_size, proven = 0, at;
	char *piece = mem_alloc(PIECE);
	enum tail answer = TAIL_UNREADABLE;
	ssize_t got;

	undo_plan(&plan, r->old_size, r->new_size);
	for (at = 0; at < n; at += (uint64_t)got) {
		size_t want = n - at < PIECE ? (size_t)(n - at) : PIECE;

		got = file_pread_full(u->fd, piece, want, (off_t)(r->old_size + at));
		if (got <= 0)
			goto out;
		undo_feed(&plan, piece, (size_t)got);
	}
	answer = TAIL_FOREIGN;
	for (unsigned i = 0; i < plan.next; i++) {
		if (plan.sum[i] != r->sum[i])
			goto out;
		proven = plan.mark[i];
	}
	/*
	 * Behind the last mark there is no proof, only sense: our message has
	 * one From_ line, at its beginning, and quotes all others, so a
	 * second one is another program's.
	 */
	got = file_pread_full(u->fd, piece, n < 5 ? (size_t)n : 5,
	    (off_t)r->old_size);
	if (got <= 0 || memcmp(piece, "From ", (size_t)got) != 0)
		goto out;
	/* A disk tears at its sectors: any other end was written by somebody
	 * who came to it. */
	if (proven < n && size % SECTOR != 0 && !torn_here)
		goto out;
	if (proven < 5)
		proven = n < 5 ? n : 5;
	/* Pieces overlap, so that no From_ line falls between two. */
	for (at = proven; at < n; at += PIECE - FROM_LOOK) {
		size_t want = n - at < PIECE ? (size_t)(n - at) : PIECE;

		got = file_pread_full(u->fd, piece, want, (off_t)(r->old_size + at));
		if (got < 0) {
			answer = TAIL_UNREADABLE;
			goto out;
		}
		if (has_from_line(str_mem(piece, (size_t)got)))
			goto out;
	}
	answer = TAIL_OURS;
out:
	free(piece);
	return answer;
}

/* The slot's copy knows, or the record's sums must. */
static enum tail
tail_of(const struct undo *u, const struct record *r, const struct stat *st,
    uint64_t size, bool torn_here)
{
	struct slot_append what = { .ino = st->st_ino,
	    .old_size = r->old_size, .new_size = r->new_size };

	switch (u->slot_dir ? slot_copy_judge(u->slot_dir, &what, u->fd,
	    size - r->old_size) : SLOT_TAIL_UNKNOWN) {
	case SLOT_TAIL_OURS:
		return TAIL_OURS;
	case SLOT_TAIL_FOREIGN:
		return TAIL_FOREIGN;
	case SLOT_TAIL_UNKNOWN:
		break;
	}
	return judge(u, r, size, torn_here);
}

/*
 * Where the bytes of [from, size) end that are not zero. A journal may have a
 * file's new size before its last block has the bytes, and zeros are no mail
 * of anybody: a message in an mbox ends with a line end. -1 with errno.
 */
static int
end_of_text(int fd, uint64_t from, uint64_t size, uint64_t *end_r)
{
	char *piece = mem_alloc(PIECE);
	uint64_t end = size;
	int r = 0;

	while (end > from) {
		size_t n = end - from < PIECE ? (size_t)(end - from) : PIECE;
		ssize_t got = file_pread_full(fd, piece, n, (off_t)(end - n));

		if (got != (ssize_t)n) {
			errno = got < 0 ? errno : EIO;
			r = -1;
			break;
		}
		while (n && piece[n - 1] == '\0') {
			n--;
			end--;
		}
		if (n)
			break;
	}
	free(piece);
	*end_r = end;
	return r;
}

int
undo_repair(struct undo *u, int dirfd, const char *name, uint64_t *size,
    uint64_t *cut_r, struct verdict *v)
{
	struct record r;
	struct stat st;
	uint64_t end;
	ssize_t n;

	*cut_r = 0;
	if (u->place == UNDO_OFF)
		return 0;
	n = load(u, dirfd, name, &r);
	if (n < 0)
		return verdict_errno(v, errno, "read undo record");
	if ((size_t)n != sizeof(r) || r.magic != MAGIC || r.own_sum != record_sum(&r) ||
	    !r.busy)
		return 0;
	if (fstat(u->fd, &st) < 0)
		return verdict_errno(v, errno, "fstat");
	if (r.ino != (uint32_t)st.st_ino)	/* copied with the file */
		return 0;
	u->found = true;
	u->found_old = r.old_size;
	u->found_new = r.new_size;
	/* Nothing was appended, or there is other mail behind it. */
	if (*size <= r.old_size || *size > r.new_size)
		return 0;
	if (end_of_text(u->fd, r.old_size, *size, &end) < 0)
		return verdict_errno(v, errno, "read behind the undo record");
	if (end == r.new_size)
		return 0;	/* an append that ended */
	switch (end == r.old_size ? TAIL_OURS :
	    tail_of(u, &r, &st, end, end < *size)) {
	case TAIL_FOREIGN:
		return 0;
	case TAIL_UNREADABLE:
		return verdict_set(v, V_TROUBLE, "torn tail cannot be read");
	case TAIL_OURS:
		break;
	}
	if (ftruncate(u->fd, (off_t)r.old_size) < 0)
		return verdict_errno(v, errno, "cut torn tail");
	if (file_sync(u->fd) < 0)
		return verdict_errno(v, errno, "sync after cutting torn tail");
	*cut_r = *size - r.old_size;
	*size = r.old_size;
	return 0;
}

/* Puts r where the mbox has its record, or where it can have it. */
static int
save(struct undo *u, int dirfd, const char *name, const struct record *r,
    struct verdict *v)
{
	struct stat st;

	if (u->place != UNDO_FILE) {
		if (fsetxattr(u->fd, ATTRIBUTE, r, sizeof(*r), 0) == 0) {
			u->place = UNDO_XATTR;
			return 0;
		}
		if (errno != EOPNOTSUPP || u->place == UNDO_XATTR)
			return verdict_errno(v, errno, "set undo record");
		u->place = UNDO_FILE;
	}
	if (open_file(u, dirfd, name, O_CREAT) < 0)
		return verdict_errno(v, errno, "create undo record");
	if (fstat(u->file, &st) < 0)
		return verdict_errno(v, errno, "fstat");
	if (st.st_size < FILE_SIZE) {
		/* Allocated once and synced with its name; from then on each
		 * sync writes one block and no journal. */
		char *zero = mem_zalloc(1, FILE_SIZE);
		int bad = file_pwrite_all(u->file, zero, FILE_SIZE, 0) < 0 ||
		    file_sync(u->file) < 0 || file_sync(dirfd) < 0;

		free(zero);
		if (bad)
			return verdict_errno(v, errno, "write undo record");
	}
	if (file_pwrite_all(u->file, r, sizeof(*r), 0) < 0 ||
	    file_datasync(u->file) < 0)
		return verdict_errno(v, errno, "write undo record");
	return 0;
}

/* The slot may have another append's copy. */
static void
end_copy(struct undo *u)
{
	if (u->copied)
		slot_copy_end();
	u->copied = false;
}

/* The record will be ours: of the append that it tells of, a copy may be there
 * still, and would have its slot for itself. */
static void
drop_copy(struct undo *u, ino_t ino)
{
	struct slot_append what = { .ino = ino, .old_size = u->found_old,
	    .new_size = u->found_new };

	if (u->slot_dir)
		slot_copy_drop(u->slot_dir, &what);
	u->found = false;
}

int
undo_begin(struct undo *u, int dirfd, const char *name, ino_t ino,
    const struct undo_plan *plan, struct str copy, struct verdict *v)
{
	struct slot_append what = { .ino = ino, .old_size = plan->old_size,
	    .new_size = plan->new_size };
	struct record r = { .magic = MAGIC, .busy = 1, .ino = (uint32_t)ino,
	    .old_size = plan->old_size, .new_size = plan->new_size };

	if (u->place == UNDO_OFF)
		return 0;
	if (u->found)
		drop_copy(u, ino);
	u->copied = u->slot_dir && slot_copy_begin(u->slot_dir, &what, copy,
	    checksum_value(&plan->sums));
	memcpy(r.sum, plan->sum, sizeof(r.sum));
	r.own_sum = record_sum(&r);
	if (save(u, dirfd, name, &r, v) < 0) {
		end_copy(u);	/* nothing will be appended */
		return -1;
	}
	return 0;
}

void
undo_end(struct undo *u)
{
	struct record r = { .magic = MAGIC };

	end_copy(u);
	/* If this is lost, the record says that the append ended where the
	 * file ends, which is true, too. */
	r.own_sum = record_sum(&r);
	if (u->place == UNDO_XATTR)
		(void)fsetxattr(u->fd, ATTRIBUTE, &r, sizeof(r), 0);
	else if (u->place == UNDO_FILE && u->file >= 0)
		(void)file_pwrite_all(u->file, &r, sizeof(r), 0);
}
