#include "store/quota_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/base/boot.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/sha256.h"

/* Number of the format; a new one counts everything anew. */
static const char magic[4] = { 'V', 'Q', 'L', '2' };
#define FILE_MODE 0600
#define DIR_MODE 0700
#define CAPACITY_LEAST 128u
#define CAPACITY_MOST (1u << 24)
/* Entries that a look without the lock goes over at most. */
#define PEEK_MOST 64
/* Whoever waits for the lock looks this often whether its holder lives. */
#define LOOK_MS 2
/* Byte ranges that stand for locks lie behind all data. */
#define BYTE_COUNT (((off_t)1 << 40) + 1)
#define BYTE_ALIVE (((off_t)1 << 40) + 2)
/* A process is known by one of so many bytes. 0 is nobody, and dead. */
#define TOKENS 0x7fffffffu
#define TOKEN_TRIES 32
/* In the lock beside the number: somebody waits. */
#define WAITED 0x80000000u
#define PATH_ROOM 1024
/* Names whose key is kept. */
#define KEY_NAMES 400
#define PAGE ((size_t)4096)

/* A reservation; there while its id is not 0. */
struct slot {
	uint64_t id;		/* number of the process, count, place */
	struct ledger_key key;
	uint64_t bytes, messages;
	uint64_t spare[3];
};

/* An entry as words, each of which is there or not when a process is killed. */
enum { KEY_0, KEY_1, COUNTED, BYTES, MESSAGES, STAMP, INBOX, STATE, WORDS };
union cell {
	struct ledger_entry entry;
	uint64_t word[WORDS];
};

_Static_assert(sizeof(struct ledger_head) == 64, "head on disk");
_Static_assert(sizeof(struct slot) == 64, "slot on disk");
_Static_assert(sizeof(union cell) == sizeof(struct ledger_entry) &&
    sizeof(union cell) == 64, "entry on disk");
_Static_assert(offsetof(struct ledger_entry, stamp) == STAMP * 8 &&
    offsetof(struct ledger_entry, boot) == STATE * 8, "words of an entry");

#define SLOTS_AT sizeof(struct ledger_head)
#define TABLE_AT (SLOTS_AT + LEDGER_SLOTS * sizeof(struct slot))
/* Room in an id for its place. */
#define PLACE_BITS 10
_Static_assert(LEDGER_SLOTS < 1 << PLACE_BITS, "a slot's place in its id");

struct ledger {
	char *root, *path;
	int fd;
	unsigned refs;
	uint64_t last_used;
	uint32_t token;		/* 0: none yet */
	char *map;
	size_t size;
	volatile sig_atomic_t lost;
};

/* What this process has open. */
static struct ledger *kept[LEDGER_KEEP];
static uint64_t uses;

/* --- memory that may go away ------------------------------------------------------ */

static struct sigaction before;

/* The file was cut, or there is no room for a page of it: empty memory in its
 * place lets the caller go on to where it asks ledger_lost(). */
static void
fault(int sig, siginfo_t *info, void *context)
{
	const char *at = info->si_addr;

	(void)context;
	for (size_t i = 0; i < LEDGER_KEEP; i++) {
		struct ledger *l = kept[i];

		if (!l || !l->map || at < l->map || at >= l->map + l->size)
			continue;
		l->lost = 1;
		if (mmap(l->map, l->size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
			return;
	}
	/* Not ours: it comes again, to whom it came before. */
	(void)sigaction(sig, &before, NULL);
}

/* A child has the memory and the descriptors, but no locks: it is somebody
 * else. Most are filters, which read what strangers wrote: what is kept for
 * the next delivery they do not have. */
static void
forked(void)
{
	for (size_t i = 0; i < LEDGER_KEEP; i++) {
		struct ledger *l = kept[i];

		if (!l)
			continue;
		l->token = 0;
		if (l->refs || !l->map)
			continue;
		(void)munmap(l->map, l->size);
		l->map = NULL;
		l->lost = 1;
	}
}

static void
prepare_process(void)
{
	static bool done;
	struct sigaction sa = { .sa_sigaction = fault,
	    .sa_flags = SA_SIGINFO };

	if (done)
		return;
	done = true;
	(void)sigaction(SIGBUS, &sa, &before);
	(void)pthread_atfork(NULL, NULL, forked);
}

bool
ledger_lost(const struct ledger *l)
{
	return l->lost;
}

static int
lost(struct verdict *v)
{
	return verdict_set(v, V_TROUBLE,
	    "quota ledger was cut, or its disk is full or broken");
}

/* Blocks for the pages from `at` on, without changing a byte; the file
 * becomes as long as that. */
static int
reserve_room(int fd, size_t at, size_t n)
{
	struct stat st;
	int r;

	do {
		r = fallocate(fd, 0, (off_t)at, (off_t)n);
	} while (r < 0 && errno == EINTR);
	if (r == 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
		return r;
	/* Where that is not to be had there may be a hole, and a SIGBUS. What
	 * is written is the end of the last entry, which nobody uses. */
	if (fstat(fd, &st) < 0)
		return -1;
	return (size_t)st.st_size >= at + n ? 0 :
	    file_pwrite_all(fd, "", 1, (off_t)(at + n - 1));
}

static int
map_all(struct ledger *l, size_t size)
{
	void *p = l->map ? mremap(l->map, l->size, size, MREMAP_MAYMOVE) :
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);

	if (p == MAP_FAILED)
		return -1;
	l->map = p;
	l->size = size;
	return 0;
}

/* --- byte range locks ---------------------------------------------------------- */

static int
range(int fd, int command, short type, off_t at, struct flock *f)
{
	int r;

	*f = (struct flock){ .l_type = type, .l_whence = SEEK_SET,
	    .l_start = at, .l_len = 1 };
	do {
		r = fcntl(fd, command, f);
	} while (r < 0 && errno == EINTR);
	return r;
}

static int
try_range(int fd, off_t at)
{
	struct flock f;

	return range(fd, F_SETLK, F_WRLCK, at, &f);
}

static void
free_range(int fd, off_t at)
{
	struct flock f;

	(void)range(fd, F_SETLK, F_UNLCK, at, &f); /* closing would, too */
}

static bool
is_alive(const struct ledger *l, uint32_t token)
{
	struct flock f;

	if (token == l->token || token == 0)
		return token != 0;
	/* An error is no proof of death. */
	return range(l->fd, F_GETLK, F_WRLCK, BYTE_ALIVE + (off_t)token, &f) < 0 ||
	    f.l_type != F_UNLCK;
}

/* The byte that says that we live; kept as long as the file is open. */
static int
come_alive(struct ledger *l, struct verdict *v)
{
	uint32_t token;

	for (int i = 0; i < TOKEN_TRIES; i++) {
		if (getrandom(&token, sizeof(token), GRND_NONBLOCK) !=
		    sizeof(token))
			token = (uint32_t)clock_now_us() ^
			    (uint32_t)getpid() << 12;
		token = token % (TOKENS - 1) + 1;
		if (try_range(l->fd, BYTE_ALIVE + (off_t)token) == 0) {
			l->token = token;
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return verdict_errno(v, errno, "lock quota ledger");
	}
	return verdict_set(v, V_TROUBLE, "no free byte in quota ledger");
}

/* --- opening ------------------------------------------------------------------- */

static size_t
table_at(uint32_t capacity)
{
	return TABLE_AT + (size_t)(capacity - CAPACITY_LEAST) *
	    sizeof(union cell);
}

/* With all smaller tables before it. */
static size_t
size_for(uint32_t capacity)
{
	return table_at(capacity) + (size_t)capacity * sizeof(union cell);
}

static int
open_file(const char *root, const char *path, struct verdict *v)
{
	char parent[PATH_ROOM];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	int dir = file_open_root(root), sub, fd;

	if (dir < 0)
		return verdict_errno(v, errno, "open %s", root);
	fd = file_open_beneath(dir, path, O_RDWR | O_CREAT, FILE_MODE);
	if (fd < 0 && errno == ENOENT && n && n < sizeof(parent)) {
		memcpy(parent, path, n);
		parent[n] = '\0';
		sub = file_open_dir(dir, parent, FILE_MAKE, DIR_MODE);
		if (sub >= 0)
			fd = file_open_beneath(sub, slash + 1, O_RDWR | O_CREAT,
			    FILE_MODE);
		file_close(&sub);
	}
	if (fd < 0)
		verdict_errno(v, errno, "open %s in %s", path, root);
	file_close(&dir);
	return fd;
}

/* A new or a short file becomes as long as the smallest; two who do that at
 * the same time do no harm. */
static int
open_map(struct ledger *l, struct verdict *v)
{
	size_t least = size_for(CAPACITY_LEAST);
	size_t most = size_for(CAPACITY_MOST);
	struct stat st;

	if (fstat(l->fd, &st) < 0)
		return verdict_errno(v, errno, "fstat quota ledger");
	if (!S_ISREG(st.st_mode))
		return verdict_set(v, V_TROUBLE, "quota ledger is no file");
	if ((size_t)st.st_size < least) {
		/* Most slots are never used: their pages stay a hole. */
		if (reserve_room(l->fd, 0, PAGE) < 0 ||
		    reserve_room(l->fd, TABLE_AT, least - TABLE_AT) < 0)
			return verdict_errno(v, errno, "make quota ledger");
		st.st_size = (off_t)least;
	}
	if (map_all(l, (size_t)st.st_size < most ? (size_t)st.st_size :
	    most) < 0)
		return verdict_errno(v, errno, "map quota ledger");
	return 0;
}

static void
dispose(struct ledger *l)
{
	if (l->map)
		(void)munmap(l->map, l->size);
	file_close(&l->fd);
	free(l->root);
	free(l->path);
	free(l);
}

static bool
same_file(const struct ledger *l, const char *root, const char *path)
{
	return strcmp(l->path, path) == 0 && strcmp(l->root, root) == 0;
}

/* Removed or cut? */
static bool
outdated(const struct ledger *l)
{
	struct stat st;

	return l->lost || fstat(l->fd, &st) < 0 ||
	    st.st_nlink == 0 || (size_t)st.st_size < l->size;
}

/* The one that is open, or the place for it; NULL: there is none. */
static struct ledger **
seek_kept(const char *root, const char *path)
{
	struct ledger **place = NULL;

	for (size_t i = 0; i < LEDGER_KEEP; i++)
		if (kept[i] && same_file(kept[i], root, path))
			return &kept[i];
	for (size_t i = 0; i < LEDGER_KEEP; i++) {
		if (!kept[i])
			return &kept[i];
		if (kept[i]->refs == 0 && (!place ||
		    kept[i]->last_used < (*place)->last_used))
			place = &kept[i];
	}
	return place;
}

int
ledger_open(const char *root, const char *path, enum ledger_use use,
    struct ledger **l_r, struct verdict *v)
{
	struct ledger **place = seek_kept(root, path), *l;

	if (!place)
		return verdict_set(v, V_BOX_BUSY, "too many quota ledgers open");
	l = *place;
	if (l && (!same_file(l, root, path) || (l->refs == 0 &&
	    (use == LEDGER_ASK ? l->lost : outdated(l))))) {
		dispose(l);
		l = *place = NULL;
	}
	if (!l) {
		prepare_process();
		l = mem_zalloc(1, sizeof(*l));
		l->fd = open_file(root, path, v);
		if (l->fd < 0 || open_map(l, v) < 0) {
			dispose(l);
			return -1;
		}
		l->root = mem_dup(root);
		l->path = mem_dup(path);
		*place = l;
	}
	l->refs++;
	l->last_used = ++uses;
	*l_r = l;
	return 0;
}

void
ledger_close(struct ledger **l)
{
	/* The file stays open: closing it would give up what other holders
	 * of this process have, and the next delivery wants it again. */
	if (*l)
		(*l)->refs--;
	*l = NULL;
}

/* --- the lock ---------------------------------------------------------------------- */

struct ledger_head *
ledger_head(struct ledger *l)
{
	return (struct ledger_head *)(void *)l->map;
}

static const struct ledger_head *
head_of(const struct ledger *l)
{
	return (const struct ledger_head *)(const void *)l->map;
}

static struct slot *
slots_of(struct ledger *l)
{
	return (struct slot *)(void *)(l->map + SLOTS_AT);
}

static bool
swap(uint32_t *lock, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(lock, &from, to, false,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* One try of those who have to wait. True: it is ours. */
static bool
wait_for(struct ledger *l)
{
	uint32_t *lock = &ledger_head(l)->lock;
	uint32_t now = __atomic_load_n(lock, __ATOMIC_RELAXED);
	struct timespec ts = { .tv_nsec = LOOK_MS * 1000000L };

	/* Others may wait as well: whoever has waited says so. */
	if (now == 0)
		return swap(lock, 0, l->token | WAITED);
	if (!(now & WAITED) && !swap(lock, now, now | WAITED))
		return false;
	now |= WAITED;
	if (syscall(SYS_futex, lock, FUTEX_WAIT, now, &ts, NULL, 0) == 0 ||
	    errno != ETIMEDOUT)
		return false;
	return !is_alive(l, now & ~WAITED) && swap(lock, now, l->token | WAITED);
}

static int
take_lock(struct ledger *l, struct verdict *v)
{
	int64_t deadline;

	if (swap(&ledger_head(l)->lock, 0, l->token))
		return 0;
	deadline = clock_mono_ms() + LEDGER_WAIT_MS;
	while (!wait_for(l))
		if (clock_mono_ms() > deadline)
			return verdict_set(v, V_BOX_BUSY,
			    "quota ledger is locked");
	return 0;
}

void
ledger_unlock(struct ledger *l)
{
	uint32_t *lock = &ledger_head(l)->lock;

	if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) & WAITED)
		(void)syscall(SYS_futex, lock, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* --- the head -------------------------------------------------------------------- */

static bool
believable(const struct ledger_head *h)
{
	return memcmp(h->magic, magic, sizeof(magic)) == 0 &&
	    h->slots <= LEDGER_SLOTS && h->capacity >= CAPACITY_LEAST &&
	    h->capacity <= CAPACITY_MOST &&
	    (h->capacity & (h->capacity - 1)) == 0 && h->used < h->capacity;
}

/* Which boot this is; 0 where the kernel does not tell. */
static uint64_t
this_boot(void)
{
	static uint64_t id;
	static bool known;
	unsigned char digest[SHA256_BYTES];
	struct sha256 h;

	if (!known && boot_id().n) {
		sha256_init(&h);
		sha256_add(&h, boot_id().p, boot_id().n);
		sha256_end(&h, digest);
		memcpy(&id, digest, sizeof(id));
	}
	known = true;
	return id;
}

static union cell *
table_of(struct ledger *l, uint32_t capacity)
{
	return (union cell *)(void *)(l->map + table_at(capacity));
}

/* The compiler leaves stores on both sides where they are. A process that is
 * killed has done all that stand before some point, and none behind it. */
static void
then(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/* An empty ledger in the place of one that is new or makes no sense. */
static void
begin_anew(struct ledger *l)
{
	struct ledger_head *h = ledger_head(l);

	memset(h->magic, 0, sizeof(h->magic));
	then();
	h->boot = this_boot();
	h->total = 0;
	h->counted_us = 0;
	h->cost_us = h->known = h->slots = h->used = 0;
	h->capacity = CAPACITY_LEAST;
	memset(h->spare, 0, sizeof(h->spare));
	memset(table_of(l, CAPACITY_LEAST), 0,
	    CAPACITY_LEAST * sizeof(union cell));
	then();
	memcpy(h->magic, magic, sizeof(magic));
}

static uint32_t
count_used(struct ledger *l)
{
	uint32_t capacity = ledger_head(l)->capacity, n = 0;
	const union cell *table = table_of(l, capacity);

	for (uint32_t i = 0; i < capacity; i++)
		n += table[i].word[KEY_0] != 0;
	return n;
}

/* After a reboot, what lies on the disk may be of any age. */
static void
begin_boot(struct ledger *l, uint64_t boot)
{
	struct ledger_head *h = ledger_head(l);

	h->known = 0;
	h->slots = 0;
	h->used = count_used(l);
	then();
	h->boot = boot;
}

/* Another process may have made the table larger. */
static int
keep_up(struct ledger *l, struct verdict *v)
{
	const struct ledger_head *h = head_of(l);
	struct stat st;

	if (!believable(h) || size_for(h->capacity) <= l->size)
		return 0;
	if (fstat(l->fd, &st) < 0)
		return verdict_errno(v, errno, "fstat quota ledger");
	/* Shorter than its head says, it is none. */
	if ((size_t)st.st_size < size_for(h->capacity))
		begin_anew(l);
	else if (map_all(l, (size_t)st.st_size) < 0)
		return verdict_errno(v, errno, "map quota ledger");
	return 0;
}

static int
check(struct ledger *l, struct verdict *v)
{
	uint64_t boot = this_boot();

	if (keep_up(l, v) < 0)
		return -1;
	if (!believable(head_of(l)))
		begin_anew(l);
	/* A table that is full of what nobody can read any more. */
	if (boot && head_of(l)->boot != boot) {
		begin_boot(l, boot);
		if (!believable(head_of(l)))
			begin_anew(l);
	}
	return l->lost ? lost(v) : 0;
}

int
ledger_lock(struct ledger *l, struct verdict *v)
{
	if (l->lost)
		return lost(v);
	if ((l->token == 0 && come_alive(l, v) < 0) || take_lock(l, v) < 0)
		return -1;
	if (check(l, v) < 0) {
		ledger_unlock(l);
		return -1;
	}
	return 0;
}

bool
ledger_glance(const struct ledger *l, uint64_t *total_r)
{
	const struct ledger_head *h = head_of(l);

	if (!believable(h) || h->boot != this_boot())
		return false;
	*total_r = __atomic_load_n(&h->total, __ATOMIC_RELAXED);
	return __atomic_load_n(&h->known, __ATOMIC_RELAXED);
}

/* --- reservations ------------------------------------------------------------------ */

static bool
same_key(const struct ledger_key *a, const struct ledger_key *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

static uint32_t
owner_of(uint64_t id)
{
	return (uint32_t)(id >> 32);
}

void
ledger_flying(struct ledger *l, const struct ledger_key *key,
    struct ledger_sum *account_r, struct ledger_sum *all_r)
{
	const struct slot *slots = slots_of(l);
	uint32_t n = ledger_head(l)->slots;

	*account_r = *all_r = (struct ledger_sum){ 0, 0, 0 };
	for (uint32_t i = 0; i < n; i++) {
		const struct slot *s = &slots[i];

		if (s->id == 0)
			continue;
		all_r->bytes += s->bytes;
		all_r->messages += s->messages;
		all_r->count++;
		if (!same_key(&s->key, key))
			continue;
		account_r->bytes += s->bytes;
		account_r->messages += s->messages;
		account_r->count++;
	}
}

/* Slots at the end that nobody has. */
static void
trim(struct ledger *l)
{
	struct ledger_head *h = ledger_head(l);
	const struct slot *slots = slots_of(l);
	uint32_t n = h->slots;

	while (n > 0 && slots[n - 1].id == 0)
		n--;
	h->slots = n;
}

int
ledger_bury(struct ledger *l, const struct ledger_key *key,
    struct verdict *v)
{
	struct ledger_head *h = ledger_head(l);
	struct slot *slots = slots_of(l);
	uint32_t n = h->slots;
	bool some = false;

	for (uint32_t i = 0; i < n; i++) {
		struct ledger_entry e;

		if (slots[i].id == 0 || (key && !same_key(&slots[i].key, key)) ||
		    is_alive(l, owner_of(slots[i].id)))
			continue;
		/* The doubt is written before the slot goes. */
		ledger_find(l, &slots[i].key, &e);
		e.flags |= LEDGER_DOUBT;
		if (ledger_put(l, &e, v) < 0)
			return -1;
		h = ledger_head(l);	/* both may lie elsewhere now */
		slots = slots_of(l);
		/* What it stored is in the mailbox, perhaps, and not in the
		 * total. */
		h->known = 0;
		then();
		slots[i].id = 0;
		some = true;
	}
	if (some)
		trim(l);
	return 0;
}

static int
free_place(struct ledger *l, uint32_t *i_r, struct verdict *v)
{
	const struct ledger_head *h = ledger_head(l);
	const struct slot *slots = slots_of(l);
	uint32_t i = 0;
	size_t at;

	while (i < h->slots && slots[i].id != 0)
		i++;
	if (i == LEDGER_SLOTS)
		return verdict_set(v, V_BOX_BUSY,
		    "%d deliveries into one domain", LEDGER_SLOTS);
	/* The first of its page may lie in a hole. */
	at = SLOTS_AT + i * sizeof(struct slot);
	if (i == h->slots && at % PAGE == 0 &&
	    reserve_room(l->fd, at, PAGE) < 0)
		return verdict_errno(v, errno, "quota ledger");
	*i_r = i;
	return 0;
}

int
ledger_hold(struct ledger *l, const struct ledger_key *key,
    uint64_t bytes, uint64_t messages, uint64_t *id_r, struct verdict *v)
{
	static uint32_t count;
	struct ledger_head *h = ledger_head(l);
	struct slot *s;
	uint32_t i = 0;

	if ((h->slots == LEDGER_SLOTS && ledger_bury(l, NULL, v) < 0) ||
	    free_place(l, &i, v) < 0)
		return -1;
	h = ledger_head(l);
	s = &slots_of(l)[i];
	s->key = *key;
	s->bytes = bytes;
	s->messages = messages;
	then();
	count = (count + 1) & (UINT32_MAX >> PLACE_BITS);
	count += count == 0;	/* an id that is abandoned is not 0 either */
	s->id = (uint64_t)l->token << 32 | count << PLACE_BITS | i;
	then();
	if (i == h->slots)
		h->slots = i + 1;
	*id_r = s->id;
	return 0;
}

static struct slot *
slot_of(struct ledger *l, uint64_t id)
{
	return &slots_of(l)[id & ((1u << PLACE_BITS) - 1)];
}

bool
ledger_drop(struct ledger *l, uint64_t id)
{
	struct slot *s = slot_of(l, id);

	/* In an older ledger, that was given up? */
	if (s->id != id || s >= slots_of(l) + ledger_head(l)->slots)
		return false;
	then();
	s->id = 0;
	trim(l);
	return true;
}

void
ledger_abandon(struct ledger *l, uint64_t id)
{
	/* Nobody else touches a slot whose owner lives. */
	(void)__atomic_compare_exchange_n(&slot_of(l, id)->id, &id,
	    id & UINT32_MAX, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* --- the table ------------------------------------------------------------------------ */

/* Where the key is, or where it would be; NULL when there is no room. */
static union cell *
seek(union cell *table, uint32_t capacity, const struct ledger_key *key)
{
	uint32_t i = (uint32_t)key->word[0];

	for (uint32_t n = 0; n < capacity; n++, i++) {
		union cell *c = &table[i & (capacity - 1)];

		if (c->word[KEY_0] == 0 || same_key(&c->entry.key, key))
			return c;
	}
	return NULL;
}

void
ledger_find(struct ledger *l, const struct ledger_key *key,
    struct ledger_entry *e_r)
{
	const struct ledger_head *h = ledger_head(l);
	const union cell *c = seek(table_of(l, h->capacity), h->capacity, key);

	if (c && c->word[KEY_0] != 0)
		*e_r = c->entry;
	else
		*e_r = (struct ledger_entry){ .key = *key,
		    .boot = (uint32_t)h->boot, .flags = LEDGER_DOUBT };
}

bool
ledger_peek(const struct ledger *l, const struct ledger_key *key,
    struct ledger_entry *e_r)
{
	const struct ledger_head *h = head_of(l);
	uint32_t capacity = __atomic_load_n(&h->capacity, __ATOMIC_ACQUIRE);
	uint32_t i = (uint32_t)key->word[0];
	const union cell *table;

	if (!believable(h) || h->boot != this_boot() ||
	    capacity < CAPACITY_LEAST || size_for(capacity) > l->size)
		return false;
	table = (const union cell *)(const void *)(l->map + table_at(capacity));
	for (uint32_t n = 0; n < PEEK_MOST; n++, i++) {
		const uint64_t *w = table[i & (capacity - 1)].word;
		union cell copy;

		for (int k = 0; k < WORDS; k++)
			copy.word[k] = __atomic_load_n(&w[k], __ATOMIC_ACQUIRE);
		if (copy.word[KEY_0] == 0)
			return false;
		if (!same_key(&copy.entry.key, key))
			continue;
		*e_r = copy.entry;
		/* Its numbers were changed meanwhile? */
		return copy.word[STAMP] ==
		    __atomic_load_n(&w[STAMP], __ATOMIC_ACQUIRE) &&
		    e_r->boot == (uint32_t)h->boot &&
		    !(e_r->flags & LEDGER_DOUBT);
	}
	return false;
}

void
ledger_entries(struct ledger *l, struct ledger_entry **list_r, size_t *n_r)
{
	uint32_t capacity = ledger_head(l)->capacity;
	struct ledger_entry *list = mem_alloc(capacity * sizeof(*list));
	const union cell *table = table_of(l, capacity);
	size_t n = 0;

	for (uint32_t i = 0; i < capacity; i++)
		if (table[i].word[KEY_0] != 0)
			list[n++] = table[i].entry;
	*list_r = list;
	*n_r = n;
}

/* A table twice as large behind all others: the old one holds until the head
 * knows the new one, so it does not matter where we are killed. */
static int
grow(struct ledger *l, struct verdict *v)
{
	uint32_t old = ledger_head(l)->capacity, new = old * 2, n = 0;
	const union cell *from;
	union cell *to;
	size_t at;

	if (l->lost || old < CAPACITY_LEAST)
		return lost(v);
	if (new > CAPACITY_MOST)
		return verdict_set(v, V_TROUBLE, "quota ledger is too large");
	at = table_at(new);
	if (reserve_room(l->fd, at, size_for(new) - at) < 0)
		return verdict_errno(v, errno, "grow quota ledger");
	if (l->size < size_for(new) && map_all(l, size_for(new)) < 0)
		return verdict_errno(v, errno, "map quota ledger");
	from = table_of(l, old);
	to = table_of(l, new);
	memset(to, 0, new * sizeof(*to));	/* somebody died here before */
	for (uint32_t i = 0; i < old; i++) {
		if (from[i].word[KEY_0] == 0)
			continue;
		*seek(to, new, &from[i].entry.key) = from[i];
		n++;
	}
	then();
	ledger_head(l)->capacity = new;
	then();
	ledger_head(l)->used = n;
	return 0;
}

static void
store(uint64_t *w, uint64_t value)
{
	__atomic_store_n(w, value, __ATOMIC_RELEASE);
}

static bool
same_words(const uint64_t *a, const uint64_t *b, int from, int to)
{
	return memcmp(a + from, b + from,
	    (size_t)(to - from) * sizeof(*a)) == 0;
}

/* The numbers, and behind them what they are true of. */
static void
put_numbers(uint64_t *w, const uint64_t *new)
{
	if (same_words(w, new, BYTES, STATE))
		return;
	store(&w[STAMP], 0);
	store(&w[BYTES], new[BYTES]);
	store(&w[MESSAGES], new[MESSAGES]);
	store(&w[INBOX], new[INBOX]);
	store(&w[STAMP], new[STAMP]);
}

/* While entry and total are not the same, the total is not known. */
static void
put_counted(struct ledger_head *h, uint64_t *w, uint64_t counted)
{
	uint64_t old = w[COUNTED], total = h->total;

	if (old == counted)
		return;
	/* A total that is less than its parts is no total. */
	if (!h->known || total < old) {
		h->known = 0;
		store(&w[COUNTED], counted);
		return;
	}
	h->known = 0;
	then();
	store(&w[COUNTED], counted);
	h->total = total - old + counted;
	then();
	h->known = 1;
}

int
ledger_put(struct ledger *l, const struct ledger_entry *e, struct verdict *v)
{
	struct ledger_head *h = ledger_head(l);
	const union cell new = { .entry = *e };
	union cell *c = seek(table_of(l, h->capacity), h->capacity, &e->key);

	if (!c || (c->word[KEY_0] == 0 && (uint64_t)(h->used + 1) * 4 >
	    (uint64_t)h->capacity * 3)) {
		if (grow(l, v) < 0)
			return -1;
		h = ledger_head(l);
		c = seek(table_of(l, h->capacity), h->capacity, &e->key);
	}
	if (!c || l->lost)
		return lost(v);
	if (c->word[KEY_0] == 0) {
		/* Rather one too many than one too few. */
		h->used++;
		then();
		memset(&c->word[KEY_1 + 1], 0, (WORDS - KEY_1 - 1) *
		    sizeof(*c->word));
		store(&c->word[STATE], new.word[STATE]);
		store(&c->word[KEY_1], new.word[KEY_1]);
		store(&c->word[KEY_0], new.word[KEY_0]);
	}
	put_counted(h, c->word, new.word[COUNTED]);
	put_numbers(c->word, new.word);
	if (c->word[STATE] != new.word[STATE])
		store(&c->word[STATE], new.word[STATE]);
	return 0;
}

/* --- counting ---------------------------------------------------------------------------- */

int
ledger_count_begin(struct ledger *l, struct verdict *v)
{
	if (try_range(l->fd, BYTE_COUNT) == 0)
		return 1;
	return errno == EAGAIN || errno == EACCES ? 0 :
	    verdict_errno(v, errno, "lock quota ledger");
}

void
ledger_count_end(struct ledger *l)
{
	free_range(l->fd, BYTE_COUNT);
}

struct ledger_key
ledger_key_of(struct str local, struct str domain)
{
	/* The last one: a delivery asks twice. */
	static struct ledger_key key;
	static char names[KEY_NAMES];
	static size_t local_n, all_n;
	unsigned char digest[SHA256_BYTES];
	struct sha256 h;

	if (all_n == local.n + domain.n && local_n == local.n && all_n &&
	    memcmp(names, local.p, local.n) == 0 &&
	    memcmp(names + local.n, domain.p, domain.n) == 0)
		return key;
	sha256_init(&h);
	sha256_part(&h, local);
	sha256_part(&h, domain);
	sha256_end(&h, digest);
	memcpy(&key, digest, sizeof(key));
	key.word[0] += key.word[0] == 0;
	all_n = 0;
	if (local.n && domain.n && local.n + domain.n <= sizeof(names)) {
		memcpy(names, local.p, local.n);
		memcpy(names + local.n, domain.p, domain.n);
		local_n = local.n;
		all_n = local.n + domain.n;
	}
	return key;
}
