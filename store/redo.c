#include "store/redo.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "store/base/boot.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/base/self.h"
#include "store/redo_format.h"

/* A segment that is fuller than this share of 4 calls the keeper. */
#define FULL_QUARTERS 3
/* A waiter looks whether the one that syncs still lives; who was not through
 * after so many looks is stopped, perhaps, and another one syncs, too. A test
 * has less patience. */
#ifndef LEADER_LOOK_MS
#define LEADER_LOOK_MS 100
#define LEADER_LOOKS 30
#endif
/* The keeper, for deliveries that are about to end. */
#define WRITERS_NAP_NS 1000000L
/* Zeros are written in pieces of this. */
#define ZEROS ((size_t)1 << 20)
/* Root directories that are remembered; longer ones are not logged. */
#define ROOT_MAX 512

struct place {
	dev_t dev;
	bool good;
	char root[ROOT_MAX];
};

/* One of the two segments, as processes share it. */
struct use {
	uint64_t generation;
	uint8_t secret[REDO_SECRET];
	int64_t when;
	_Atomic bool dirty;		/* not known to be clean */
	_Atomic bool failed;		/* the disk did not take its mail */
	_Atomic uint64_t written;	/* records, counted when written or put */
	_Atomic uint64_t synced;	/* as many are on the disk */
	_Atomic pid_t writer;		/* who has the file's lock, probably */
	_Atomic pid_t leader;		/* who syncs */
	_Atomic uint32_t round;		/* syncs that have begun */
	_Atomic uint64_t upto;		/* what the last of them is for */
	/* That of an even round, that of an odd one; each rings when its
	 * round has ended, and for one sleeper when the one before it has. */
	struct bell {
		_Atomic uint32_t rung;
		_Atomic uint32_t sleepers;
	} bell[2];
	_Atomic int64_t first_ms;	/* when the first record came; 0: none */
};

struct redo_shared {
	/* Generation (its low 32 bits) << 32 | the next free page. */
	_Atomic uint64_t cursor;
	struct use use[2];
	_Atomic bool broken;		/* do not use it */
	_Atomic bool urgent;		/* keeper: the segment is nearly full */
	_Atomic uint32_t call;		/* futex of the keeper */
	_Atomic uint64_t records, bytes, syncs, direct, flushes;
	_Atomic uint32_t places;
	_Atomic pid_t adding;
	struct place place[REDO_PLACES];
	/* The generation that each process is writing for; 0: none. */
	_Atomic uint32_t writing[];
};

static int
futex(_Atomic uint32_t *word, int op, uint32_t value, int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
	    .tv_nsec = ms % 1000 * 1000000L };

	return (int)syscall(SYS_futex, word, op, value,
	    op == FUTEX_WAIT ? &ts : NULL, NULL, 0);
}

/* Kinds of which it is known that they keep what was written, in order of
 * nothing, until syncfs(2), and that a file of theirs is overwritten in
 * place. */
static bool
keeps_well(int fd)
{
	static const unsigned long known[] = {
		0xEF53,		/* ext2, 3, 4 */
		0x58465342,	/* xfs */
	};

	return file_system_among(fd, known, sizeof(known) / sizeof(*known));
}

/* --- opening ------------------------------------------------------------------- */

static size_t
shared_size(unsigned slots)
{
	return sizeof(struct redo_shared) + slots * sizeof(uint32_t);
}

static void
read_head(struct redo *r, unsigned which)
{
	if (r->segment[which] >= 0)
		redo_read_head(r, which);
	else
		r->head[which].state = REDO_SEGMENT_CLEAN;
}

static const char *const names[2] = { "segment.0", "segment.1" };

static int
open_files(struct redo *r, const char *state_dir, bool make, struct verdict *v)
{
	int top = file_open_root(state_dir);

	if (top < 0)
		return verdict_errno(v, errno, "open %s", state_dir);
	r->dir = file_open_dir(top, REDO_DIR, make ? FILE_MAKE : FILE_NO_MAKE,
	    0700);
	file_close(&top);
	if (r->dir < 0)
		return !make && errno == ENOENT ? 1 :
		    verdict_errno(v, errno, "open %s/" REDO_DIR, state_dir);
	r->lock = file_open_beneath(r->dir, "lock", O_RDWR | O_CREAT, 0600);
	if (r->lock < 0)
		return verdict_errno(v, errno, "open %s/" REDO_DIR "/lock",
		    state_dir);
	if (flock(r->lock, LOCK_EX | LOCK_NB) < 0)
		return verdict_set(v, V_BOX_BUSY,
		    "another service uses %s/" REDO_DIR, state_dir);
	for (unsigned i = 0; i < 2; i++) {
		r->segment[i] = file_open_beneath(r->dir, names[i],
		    O_RDWR | (make ? O_CREAT : 0), 0600);
		if (r->segment[i] < 0 && (make || errno != ENOENT))
			return verdict_errno(v, errno, "open %s/" REDO_DIR "/%s",
			    state_dir, names[i]);
		read_head(r, i);
	}
	return 0;
}

int
redo_open(const char *state_dir, uint64_t size, unsigned slots,
    struct redo **r_r, struct verdict *v)
{
	struct redo *r = mem_zalloc(1, sizeof(*r));
	int result;

	*r_r = NULL;
	r->dir = r->lock = r->segment[0] = r->segment[1] = -1;
	r->slots = slots;
	for (size_t i = 0; i < REDO_PLACES; i++)
		r->place[i] = -1;
	r->size = size / 2 / REDO_PAGE * REDO_PAGE;
	/* Where the kernel does not tell, it stays empty, and every start is
	 * taken for one after a power cut. */
	static_assert(sizeof(r->boot) > BOOT_ID_MAX, "and zeros behind");
	memcpy(r->boot, boot_id().p, boot_id().n);
	result = open_files(r, state_dir, size > 0, v);
	if (result == 0) {
		r->shared = mmap(NULL, shared_size(slots),
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (r->shared == MAP_FAILED)
			r->shared = NULL;
		if (!r->shared || redo_stage_open(&r->stage, slots,
		    r->size / REDO_PAGE) < 0)
			result = verdict_errno(v, errno, "shared memory");
	}
	if (result != 0)
		redo_close(&r);
	*r_r = r;
	return result < 0 ? -1 : 0;
}

int
redo_keep_private(struct redo *r)
{
	return madvise(r->shared, shared_size(r->slots), MADV_DONTFORK) < 0 ?
	    -1 : redo_stage_keep_private(&r->stage);
}

static bool
same_file(int a, int b)
{
	struct stat x, y;

	if (fstat(a, &x) < 0 || fstat(b, &y) < 0)
		return false;
	if (x.st_dev == y.st_dev && x.st_ino == y.st_ino)
		return true;
	errno = ESTALE;
	return false;
}

int
redo_open_own(struct redo *r)
{
	int fd[2] = { -1, -1 };
	bool good = true;

	for (unsigned i = 0; i < 2 && good; i++) {
		fd[i] = file_open_beneath(r->dir, names[i], O_RDWR, 0);
		good = fd[i] >= 0 && same_file(fd[i], r->segment[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		file_close(good ? &r->segment[i] : &fd[i]);
		if (good)
			r->segment[i] = fd[i];
	}
	return good ? 0 : -1;
}

void
redo_close(struct redo **r)
{
	if (!*r)
		return;
	if ((*r)->shared)
		(void)munmap((*r)->shared, shared_size((*r)->slots));
	redo_stage_close(&(*r)->stage);
	for (size_t i = 0; i < REDO_PLACES; i++)
		file_close(&(*r)->place[i]);
	file_close(&(*r)->segment[0]);
	file_close(&(*r)->segment[1]);
	file_close(&(*r)->lock);
	file_close(&(*r)->dir);
	free(*r);
	*r = NULL;
}

enum redo_state
redo_state(const struct redo *r)
{
	enum redo_state worst = REDO_CLEAN;

	for (unsigned i = 0; i < 2; i++) {
		const struct redo_head *h = &r->head[i];
		enum redo_state s = REDO_UNSYNCED;

		if (h->state == REDO_SEGMENT_CLEAN)
			continue;
		if (!r->boot[0] || memcmp(h->boot, r->boot, REDO_BOOT) != 0)
			s = REDO_TORN;
		else if (h->state == REDO_SEGMENT_FAILED)
			s = REDO_FAILED;
		if (s > worst)
			worst = s;
	}
	return worst;
}

/* --- left by another process of this boot ----------------------------------------- */

struct roots {
	struct redo_names names;
	struct redo_disks disks;
};

static int
note_roots(void *arg, const struct redo_record *h, struct str body)
{
	struct roots *roots = arg;
	struct redo_copy c;

	(void)h;
	/* What cannot be read is of another version: replay says so. */
	while (body.n && redo_parse(&body, &c, &roots->names) == 0)
		redo_note_root(&roots->disks, c.spec.root);
	return 0;
}

int
redo_settle(struct redo *r, struct verdict *v)
{
	struct roots *roots = mem_zalloc(1, sizeof(*roots));
	const char *root;
	int result = 0;

	for (unsigned i = 0; i < 2 && result == 0; i++)
		if (r->head[i].state != REDO_SEGMENT_CLEAN &&
		    redo_walk(r, i, note_roots, roots) < 0)
			result = verdict_errno(v, errno, "read the delivery log");
	if (result == 0 && redo_sync_noted(&roots->disks, &root) < 0)
		result = verdict_errno(v, errno,
		    "sync %s behind the delivery log", root);
	for (unsigned i = 0; i < 2 && result == 0; i++)
		if (r->head[i].state != REDO_SEGMENT_CLEAN &&
		    redo_write_head(r, i, REDO_SEGMENT_CLEAN) < 0)
			result = verdict_errno(v, errno, "mark the delivery log");
	free(roots);
	return result;
}

/* --- beginning ---------------------------------------------------------------------- */

/* Blocks that were never written would be allocated with every record, and
 * that is another write than the record's. */
static int
allocate(struct redo *r, unsigned which)
{
	struct stat st;
	char *zeros;
	int result = 0;

	if (fstat(r->segment[which], &st) < 0)
		return -1;
	if ((uint64_t)st.st_size == r->size)
		return 0;
	if (ftruncate(r->segment[which], 0) < 0)
		return -1;
	zeros = mem_zalloc(1, ZEROS);
	for (uint64_t at = 0; at < r->size && result == 0; at += ZEROS)
		result = file_pwrite_all(r->segment[which], zeros,
		    r->size - at < ZEROS ? (size_t)(r->size - at) : ZEROS,
		    (off_t)at);
	free(zeros);
	return result < 0 ? -1 : file_sync(r->segment[which]);
}

/* The processes that write heads are not always those that began the segment. */
static int
mark(struct redo *r, unsigned which, enum redo_segment_state state)
{
	const struct use *u = &r->shared->use[which];
	struct redo_head *h = &r->head[which];

	h->generation = u->generation;
	h->when = u->when;
	memcpy(h->secret, u->secret, sizeof(h->secret));
	return redo_write_head(r, which, state);
}

/* The segment of the next generation, empty. It is used once the cursor
 * points to it. */
static int
begin_segment(struct redo *r, uint64_t generation)
{
	unsigned which = (unsigned)(generation & 1);
	struct use *u = &r->shared->use[which];

	if (getrandom(u->secret, sizeof(u->secret), 0) !=
	    (ssize_t)sizeof(u->secret))
		return -1;
	u->generation = generation;
	u->when = (int64_t)clock_now();
	atomic_store(&u->written, 0);
	atomic_store(&u->synced, 0);
	atomic_store(&u->upto, 0);
	atomic_store(&u->writer, 0);
	atomic_store(&u->leader, 0);
	atomic_store(&u->first_ms, 0);
	redo_stage_begin(&r->stage, (uint32_t)generation);
	atomic_store(&u->dirty, true);
	return mark(r, which, REDO_SEGMENT_ACTIVE);
}

/* Linux before 5.8 keeps to itself what went wrong when syncfs(2) wrote. */
static bool
errors_are_told(void)
{
	struct str rest, part;
	uint64_t major, minor;
	struct utsname u;

	if (uname(&u) < 0)
		return false;
	rest = str_of(u.release);
	return str_split(&rest, '.', &part) &&
	    num_u64(part, UINT16_MAX, &major) == 0 &&
	    str_split(&rest, '.', &part) &&
	    (major > 5 || (num_u64(part, UINT16_MAX, &minor) == 0 &&
	    major == 5 && minor >= 8));
}

int
redo_remove(struct redo *r, struct verdict *v)
{
	int removed = 0;

	for (unsigned i = 0; i < 2; i++)
		if (unlinkat(r->dir, names[i], 0) == 0)
			removed++;
		else if (errno != ENOENT)
			return verdict_errno(v, errno, "remove %s", names[i]);
	if (removed && file_sync(r->dir) < 0)
		return verdict_errno(v, errno, "sync the directory");
	return 0;
}

static int
look_below(int top, const char *state_dir, uint64_t size, struct verdict *v)
{
	int dir = file_open_dir(top, REDO_DIR, FILE_NO_MAKE, 0);
	uint64_t have = 0;
	struct statvfs fs;
	struct stat st;
	int r = 0;

	if (dir < 0 && errno != ENOENT)
		return verdict_errno(v, errno, "%s/" REDO_DIR, state_dir);
	if (dir >= 0 && faccessat(dir, ".", R_OK | W_OK | X_OK,
	    AT_EACCESS) < 0)
		r = verdict_errno(v, errno, "%s/" REDO_DIR, state_dir);
	for (unsigned i = 0; i < 2 && dir >= 0; i++)
		if (fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			have += (uint64_t)st.st_size;
	if (r == 0 && !keeps_well(dir < 0 ? top : dir))
		r = verdict_set(v, V_CONFIG, "the file system of %s%s is "
		    "neither ext4 nor xfs", state_dir,
		    dir < 0 ? "" : "/" REDO_DIR);
	if (r == 0 && have < size && fstatvfs(dir < 0 ? top : dir,
	    &fs) == 0 && fs.f_bavail * fs.f_frsize < size - have)
		r = verdict_set(v, V_CONFIG, "no room for %llu MB in %s",
		    (unsigned long long)(size >> 20), state_dir);
	file_close(&dir);
	return r;
}

int
redo_look(const char *state_dir, uint64_t size, struct verdict *v)
{
	int top = file_open_root(state_dir), r;

	if (!errors_are_told())
		r = verdict_set(v, V_CONFIG, "it wants Linux 5.8 or later");
	else if (top < 0)
		r = verdict_errno(v, errno, "%s", state_dir);
	else
		r = look_below(top, state_dir, size, v);
	file_close(&top);
	return r;
}

/* 0 in its low bits says "none"; even and odd ones take turns. */
static uint64_t
generation_after(uint64_t generation)
{
	return (generation + 1) & UINT32_MAX ? generation + 1 : generation + 3;
}

int
redo_start(struct redo *r, struct verdict *v)
{
	uint64_t generation;

	if (!errors_are_told())
		return verdict_set(v, V_CONFIG,
		    "the delivery log wants Linux 5.8 or later");
	if (!keeps_well(r->dir))
		return verdict_set(v, V_CONFIG,
		    "the delivery log must be on ext4 or xfs");
	if (allocate(r, 0) < 0 || allocate(r, 1) < 0 || file_sync(r->dir) < 0) {
		verdict_errno(v, errno, "allocate %llu MB", (unsigned long long)
		    (2 * r->size >> 20));
		/* Others need the room; if it stays, it is there next time. */
		for (unsigned i = 0; i < 2; i++)
			(void)unlinkat(r->dir, names[i], 0);
		return -1;
	}
	generation = r->head[0].generation > r->head[1].generation ?
	    r->head[0].generation : r->head[1].generation;
	generation = generation_after(generation);
	if (begin_segment(r, generation) < 0)
		return verdict_errno(v, errno, "begin the delivery log");
	atomic_store(&r->shared->cursor, generation << 32 | 1);
	return 0;
}

/* --- in a worker ------------------------------------------------------------------------ */

/* Learns about a file system. */
static void
add_place(struct redo_shared *s, dev_t dev, const char *root)
{
	uint32_t n = atomic_load(&s->places);
	struct stat st;
	struct place *p;
	int fd;

	if (n >= REDO_PLACES || strlen(root) >= ROOT_MAX)
		return;
	fd = file_open_root(root);
	if (fd < 0)
		return;
	p = &s->place[n];
	p->dev = dev;
	p->good = fstat(fd, &st) == 0 && st.st_dev == dev && keeps_well(fd);
	memcpy(p->root, root, strlen(root) + 1);
	file_close(&fd);
	atomic_store(&s->places, n + 1);
}

/* Whoever writes there: the master and the keeper look into no others. */
static uint32_t
count_places(const struct redo_shared *s)
{
	uint32_t n = atomic_load(&s->places);

	return n < REDO_PLACES ? n : REDO_PLACES;
}

static const struct place *
find_place(const struct redo_shared *s, dev_t dev)
{
	uint32_t n = count_places(s);

	for (uint32_t i = 0; i < n; i++)
		if (s->place[i].dev == dev)
			return &s->place[i];
	return NULL;
}

bool
redo_covers(struct redo *r, const struct redo_copy *c)
{
	struct redo_shared *s = r->shared;
	const struct place *p = find_place(s, c->dev);
	pid_t nobody = 0;

	if (!p && atomic_compare_exchange_strong(&s->adding, &nobody,
	    self_pid())) {
		if (!find_place(s, c->dev))
			add_place(s, c->dev, c->spec.root);
		atomic_store(&s->adding, 0);
		p = find_place(s, c->dev);
	}
	return p && p->good;
}

static struct use *
use_of(const struct redo *r, uint32_t generation)
{
	return &r->shared->use[generation & 1];
}

void
redo_end(struct redo *r, unsigned slot)
{
	atomic_store(&r->shared->writing[slot], 0);
}

bool
redo_begin(struct redo *r, unsigned slot)
{
	struct redo_shared *s = r->shared;
	uint32_t generation;

	if (slot >= r->slots || atomic_load(&s->broken))
		return false;
	/* Said before it is true: so the keeper never misses us. */
	do {
		generation = (uint32_t)(atomic_load(&s->cursor) >> 32);
		if (generation == 0) {
			redo_end(r, slot);
			return false;
		}
		atomic_store(&s->writing[slot], generation);
	} while ((uint32_t)(atomic_load(&s->cursor) >> 32) != generation);
	r->generation = generation;
	r->slot = slot;
	r->staged = false;
	r->ticket = 0;
	return true;
}

static void
call_keeper(struct redo_shared *s)
{
	atomic_fetch_add(&s->call, 1);
	(void)futex(&s->call, FUTEX_WAKE, 1, 0);
}

/* The keeper says it, and syncs what was acknowledged. */
static void
give_up(struct redo_shared *s)
{
	atomic_store(&s->broken, true);
	call_keeper(s);
}

static void
press(struct redo_shared *s)
{
	if (!atomic_exchange(&s->urgent, true))
		call_keeper(s);
}

static bool
begin_writing(struct use *u)
{
	pid_t nobody = 0;

	return atomic_compare_exchange_strong(&u->writer, &nobody, self_pid());
}

static void
end_writing(struct use *u)
{
	pid_t me = self_pid();

	/* Unless we were taken for dead. */
	(void)atomic_compare_exchange_strong(&u->writer, &me, 0);
}

/* Pages for n bytes in our generation; 0: there is no room. */
static uint64_t
reserve(struct redo *r, size_t n)
{
	struct redo_shared *s = r->shared;
	uint64_t want = redo_room(n) / REDO_PAGE, most = r->size / REDO_PAGE;
	uint64_t c = atomic_load(&s->cursor), page;

	do {
		page = c & UINT32_MAX;
		if (c >> 32 != r->generation)
			return 0;
		if (page + want > most) {
			press(s);
			return 0;
		}
	} while (!atomic_compare_exchange_weak(&s->cursor, &c, c + want));
	if (page + want > most / 4 * FULL_QUARTERS)
		press(s);
	return page;
}

/* Head, descriptions and bytes of a record in iov, its sums made. */
static int
compose(const struct redo_copy *copies, size_t n, struct buf *text,
    size_t *ends, struct iovec *iov, struct redo_record *h)
{
	struct checksum sum = { .n = 0 };
	size_t begin = 0;

	for (size_t i = 0; i < n; i++) {
		if (redo_describe(&copies[i], text) < 0)
			return -1;
		ends[i] = text->n;
		h->n += copies[i].bytes.n;
	}
	h->n += text->n;
	if (h->n + sizeof(*h) > REDO_RECORD_MAX)
		return -1;
	for (size_t i = 0; i < n; i++) {
		iov[1 + 2 * i] = (struct iovec){ text->p + begin,
		    ends[i] - begin };
		iov[2 + 2 * i] = (struct iovec){ (void *)(uintptr_t)
		    copies[i].bytes.p, copies[i].bytes.n };
		checksum_add(&sum, text->p + begin, ends[i] - begin);
		checksum_add(&sum, copies[i].bytes.p, copies[i].bytes.n);
		begin = ends[i];
	}
	h->body_sum = checksum_value(&sum);
	return 0;
}

/* Where it belongs, unless somebody else writes just now: we would wait for
 * the inode's lock. Then whoever syncs next writes ours, too. 0, or -1 with
 * errno. */
static int
hand_over(struct redo *r, const struct redo_record *h, struct iovec *iov,
    int count)
{
	struct use *u = use_of(r, r->generation);
	bool alone = begin_writing(u);
	int result = 0;

	if (!alone && !r->staged && redo_stage_put(&r->stage, r->slot,
	    r->generation, h->at, iov, count, sizeof(*h) + (size_t)h->n))
		r->staged = true;
	else
		result = file_pwritev_all(r->segment[r->generation & 1], iov,
		    count, (off_t)h->at);
	if (alone)
		end_writing(u);
	return result;
}

static uint64_t
write_record(struct redo *r, const struct redo_copy *copies, size_t n,
    struct buf *text)
{
	struct redo_shared *s = r->shared;
	struct use *u = use_of(r, r->generation);
	struct redo_record h = { .generation = u->generation };
	struct iovec iov[1 + 2 * REDO_COPIES_MAX];
	size_t ends[REDO_COPIES_MAX];
	int64_t none = 0;
	uint64_t page;

	if (compose(copies, n, text, ends, iov, &h) < 0)
		return 0;
	page = reserve(r, sizeof(h) + (size_t)h.n);
	if (page == 0) {
		atomic_fetch_add(&s->direct, 1);
		return 0;
	}
	memcpy(h.secret, u->secret, sizeof(h.secret));
	h.at = page * REDO_PAGE;
	h.sum = redo_record_sum(&h);
	iov[0] = (struct iovec){ &h, sizeof(h) };
	if (hand_over(r, &h, iov, (int)(1 + 2 * n)) < 0) {
		give_up(s);
		return 0;
	}
	/* Behind it: who syncs up to this number has it. */
	r->ticket = atomic_fetch_add(&u->written, 1) + 1;
	if (atomic_load(&u->first_ms) == 0 &&
	    atomic_compare_exchange_strong(&u->first_ms, &none,
	    clock_mono_ms()))
		call_keeper(s);
	atomic_fetch_add(&s->records, 1);
	atomic_fetch_add(&s->bytes, h.n);
	return h.at;
}

uint64_t
redo_add(struct redo *r, const struct redo_copy *copies, size_t n)
{
	struct buf text;
	uint64_t place;

	if (n == 0 || n > REDO_COPIES_MAX)
		return 0;
	buf_init(&text, REDO_RECORD_MAX);
	place = write_record(r, copies, n, &text);
	buf_release(&text);
	return place;
}

static void
ring(struct bell *b, uint32_t for_how_many)
{
	atomic_fetch_add(&b->rung, 1);
	if (atomic_load(&b->sleepers))
		(void)futex(&b->rung, FUTEX_WAKE, for_how_many, 0);
}

#define ALL (UINT32_MAX >> 1)

/* Writes and syncs for all who have come; wakes them, and one of those who
 * have come since, who will be next. */
static void
lead(struct redo *r, struct use *u)
{
	uint32_t round = atomic_fetch_add(&u->round, 1) + 1;
	uint64_t upto = atomic_load(&u->written), synced;
	pid_t me = self_pid();
	bool alone = begin_writing(u);
	int fd = r->segment[r->generation & 1], written;

	atomic_store(&u->upto, upto);
	written = redo_stage_write(&r->stage, fd, r->generation);
	if (alone)
		end_writing(u);
	/* The kernel tells each worker once what went wrong (redo_open_own).
	 * Where it was told before, or another was, that was said before we
	 * could lead: then ours went well for nobody. */
	if (written < 0 || file_datasync(fd) < 0)
		give_up(r->shared);
	else if (!atomic_load(&r->shared->broken))
		for (synced = atomic_load(&u->synced); synced < upto &&
		    !atomic_compare_exchange_weak(&u->synced, &synced, upto); )
			;
	atomic_fetch_add(&r->shared->syncs, 1);
	/* Another leads if we took too long. */
	(void)atomic_compare_exchange_strong(&u->leader, &me, 0);
	ring(&u->bell[round & 1], ALL);
	ring(&u->bell[(round + 1) & 1], 1);
}

/* Takes the place of one who died or sleeps, if he led; all look for themselves
 * then. */
static void
depose(struct use *u, pid_t leader)
{
	if (!atomic_compare_exchange_strong(&u->leader, &leader, 0))
		return;
	ring(&u->bell[0], ALL);
	ring(&u->bell[1], ALL);
}

/* Sleeps until the sync that is for our record has ended, or we are to begin
 * it. Returns the bell; *looks_r is counted when nothing has happened. */
static struct bell *
wait_turn(const struct redo *r, struct use *u, uint32_t round, pid_t leader,
    unsigned *looks_r)
{
	bool in_this = leader && r->ticket <= atomic_load(&u->upto);
	struct bell *b = &u->bell[(in_this ? round : round + 1) & 1];
	uint32_t rung = atomic_load(&b->rung);

	/* The bell is read before the state that would make us sleep in vain:
	 * it rings afterwards, or has, and we do not sleep. */
	if (atomic_load(&u->leader) == 0 || atomic_load(&u->round) != round)
		return b;
	atomic_fetch_add(&b->sleepers, 1);
	if (futex(&b->rung, FUTEX_WAIT, rung, LEADER_LOOK_MS) < 0 &&
	    errno == ETIMEDOUT) {
		/* The master sees who has died; it may be dead itself. */
		leader = atomic_load(&u->leader);
		/* Or another has done so meanwhile, and that is the next one. */
		if (leader && atomic_load(&u->round) == round &&
		    (++*looks_r > LEADER_LOOKS ||
		    (kill(leader, 0) < 0 && errno == ESRCH)))
			depose(u, leader);
	}
	atomic_fetch_sub(&b->sleepers, 1);
	return b;
}

bool
redo_commit(struct redo *r)
{
	struct use *u = use_of(r, r->generation);
	struct bell *woken = NULL;
	uint32_t before = atomic_load(&u->round);
	unsigned looks = 0;
	bool safe;

	for (;;) {
		uint32_t round = atomic_load(&u->round);
		pid_t leader = 0;

		if (round != before)
			looks = 0;
		before = round;
		safe = atomic_load(&u->synced) >= r->ticket;
		if (safe || atomic_load(&r->shared->broken))
			break;
		if (atomic_compare_exchange_strong(&u->leader, &leader,
		    self_pid())) {
			lead(r, u);
			woken = NULL;
		} else {
			woken = wait_turn(r, u, round, leader, &looks);
		}
	}
	if (r->staged)
		redo_stage_take(&r->stage, r->slot);
	r->staged = false;
	/* Woken to be next, and there is no need: it is another's turn. */
	if (woken && atomic_load(&u->leader) == 0)
		ring(woken, 1);
	return safe;
}

void
redo_void(struct redo *r, uint64_t place)
{
	struct use *u = use_of(r, r->generation);
	int fd = r->segment[r->generation & 1];

	/* If that fails, a power cut would show the message that nobody was
	 * told of. Others wait for the log: a sync of our own could be told
	 * of what went wrong with theirs. */
	if (redo_stage_void(&r->stage, fd, r->generation, place) == 0) {
		r->ticket = atomic_fetch_add(&u->written, 1) + 1;
		if (!redo_commit(r))
			(void)file_datasync(fd);
	}
}

/* --- in the master and in the keeper -------------------------------------------------------- */

void
redo_forget(struct redo *r, unsigned slot, pid_t pid)
{
	for (unsigned i = 0; i < 2; i++) {
		pid_t writer = pid;

		depose(&r->shared->use[i], pid);
		(void)atomic_compare_exchange_strong(
		    &r->shared->use[i].writer, &writer, 0);
	}
	(void)atomic_compare_exchange_strong(&r->shared->adding, &pid, 0);
	if (slot < r->slots) {
		redo_stage_take(&r->stage, slot);
		redo_end(r, slot);
	}
}

static bool
somebody_writes(const struct redo *r, uint32_t generation)
{
	for (unsigned i = 0; i < r->slots; i++)
		if (atomic_load(&r->shared->writing[i]) == generation)
			return true;
	return false;
}

/* A worker wrote it, and could still. */
static void
read_root(const struct place *p, char root[ROOT_MAX])
{
	memcpy(root, p->root, ROOT_MAX);
	root[ROOT_MAX - 1] = '\0';
}

/* Roots are opened when mail is first logged and stay open: the directory may
 * lose its name, and an error that somebody else's syncfs was told of is news
 * only for descriptors that were open then. */
static void
open_places(struct redo *r)
{
	char root[ROOT_MAX];

	for (uint32_t i = 0; i < count_places(r->shared); i++)
		if (r->shared->place[i].good && r->place[i] < 0) {
			read_root(&r->shared->place[i], root);
			r->place[i] = file_open_root(root);
		}
}

static int
sync_place(const struct redo *r, uint32_t i)
{
	char root[ROOT_MAX];

	if (r->place[i] >= 0)
		return redo_sync_fd(r->place[i]);
	read_root(&r->shared->place[i], root);
	return redo_sync_root(root);
}

/* Whose mail is in this segment becomes durable where it lies. */
static int
flush(struct redo *r, unsigned which, struct verdict *v)
{
	struct redo_shared *s = r->shared;
	struct use *u = &s->use[which];
	struct timespec nap = { .tv_nsec = WRITERS_NAP_NS };
	char root[ROOT_MAX];

	if (!atomic_load(&u->dirty))
		return 0;
	if (atomic_load(&u->failed))
		return verdict_set(v, V_TROUBLE, "the disk did not take its mail");
	while (somebody_writes(r, (uint32_t)u->generation))
		(void)nanosleep(&nap, NULL); /* sooner does no harm */
	open_places(r);
	for (uint32_t i = 0; i < count_places(s); i++) {
		const struct place *p = &s->place[i];

		if (!p->good || sync_place(r, i) == 0)
			continue;
		read_root(p, root);
		verdict_errno(v, errno, "sync %s behind the delivery log",
		    root);
		atomic_store(&s->broken, true);
		atomic_store(&u->failed, true);
		/* If that cannot be written, it is replayed all the same. */
		(void)mark(r, which, REDO_SEGMENT_FAILED);
		return -1;
	}
	if (mark(r, which, REDO_SEGMENT_CLEAN) < 0) {
		atomic_store(&s->broken, true);
		return verdict_errno(v, errno, "mark the delivery log");
	}
	atomic_store(&u->dirty, false);
	atomic_fetch_add(&s->flushes, 1);
	return 0;
}

int
redo_keep(struct redo *r, uint64_t flush_ms, uint64_t patience_ms,
    struct verdict *v)
{
	struct redo_shared *s = r->shared;
	uint32_t call = atomic_load(&s->call);
	uint64_t generation, wait = patience_ms;
	int64_t first;
	struct use *u;

	open_places(r);
	if (atomic_load(&s->broken))
		return verdict_set(v, V_TROUBLE, "it could not be written");
	u = use_of(r, (uint32_t)(atomic_load(&s->cursor) >> 32));
	generation = u->generation;
	first = atomic_load(&u->first_ms);
	if (first && !atomic_load(&s->urgent)) {
		int64_t age = clock_mono_ms() - first;

		if (age < (int64_t)flush_ms &&
		    flush_ms - (uint64_t)age < wait)
			wait = flush_ms - (uint64_t)age;
		else if (age >= (int64_t)flush_ms)
			wait = 0;
	}
	if (!first || (wait && !atomic_load(&s->urgent))) {
		(void)futex(&s->call, FUTEX_WAIT, call, (int64_t)wait);
		return 0;
	}
	/* One keeper died, perhaps, before the other segment was clean. */
	if (flush(r, (unsigned)(generation + 1) & 1, v) < 0)
		return -1;
	generation = generation_after(generation);
	if (begin_segment(r, generation) < 0) {
		atomic_store(&s->broken, true);
		return verdict_errno(v, errno, "begin a segment of the delivery "
		    "log");
	}
	atomic_store(&s->urgent, false);
	atomic_store(&s->cursor, generation << 32 | 1);
	return flush(r, (unsigned)(generation + 1) & 1, v);
}

int
redo_stop(struct redo *r, struct verdict *v)
{
	atomic_store(&r->shared->cursor, 0);
	return flush(r, 0, v) < 0 || flush(r, 1, v) < 0 ? -1 : 0;
}

struct redo_counts
redo_counts(const struct redo *r)
{
	const struct redo_shared *s = r->shared;

	return (struct redo_counts){
		.records = atomic_load(&s->records),
		.bytes = atomic_load(&s->bytes),
		.syncs = atomic_load(&s->syncs),
		.direct = atomic_load(&s->direct),
		.flushes = atomic_load(&s->flushes),
	};
}
