#include "store/quota_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/checksum.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/sha256.h"

/* Number of the format; a new one counts everything anew. */
static const char magic[4] = { 'V', 'Q', 'L', '1' };
#define FILE_MODE 0600
#define DIR_MODE 0700
#define CAPACITY_LEAST 128
#define CAPACITY_MOST (1u << 26)
/* Entries that one look into the table reads. */
#define PROBE 4
/* Reservations that could not be given back at once. */
#define ORPHANS 64
/* Between two tries for the lock. */
#define NAP_LEAST_US 20
#define NAP_MOST_US 2000
/* Byte ranges that stand for locks lie behind all data. */
#define BYTE_LOCK ((off_t)1 << 40)
#define BYTE_COUNT (BYTE_LOCK + 1)
#define BYTE_ALIVE (BYTE_LOCK + 2)
/* A process is known by one of so many bytes. */
#define TOKENS 0x7fffffffu
#define TOKEN_TRIES 32
#define PATH_ROOM 1024

struct slot {
	struct ledger_key key;
	uint64_t bytes, messages;
	uint64_t id;
	uint32_t token;		/* of the process */
	uint32_t spare;
	uint64_t spare2[2];
};

_Static_assert(sizeof(struct ledger_head) == 64, "head on disk");
_Static_assert(sizeof(struct slot) == 64, "slot on disk");
_Static_assert(sizeof(struct ledger_entry) == 32, "entry on disk");

#define SLOTS_AT ((off_t)sizeof(struct ledger_head))
#define TABLE_AT (SLOTS_AT + LEDGER_SLOTS * (off_t)sizeof(struct slot))
/* Read with the head: enough for most. */
#define FIRST_SLOTS 15

struct ledger {
	char *root, *path;
	int fd;
	unsigned refs;
	uint64_t last_used;
	pid_t pid;		/* whose the byte range locks are */
	uint32_t token;		/* 0: none yet */
	struct {
		struct ledger_head head;
		struct slot slot[LEDGER_SLOTS];
	} now;
	uint32_t slots_changed;	/* the first that must be written */
	struct ledger_head disk;	/* as it was read or written last */
	/* The entry that was looked at last, while it is locked. */
	bool looked;
	int look_answer;
	uint32_t look_at;
	struct ledger_entry look;
	uint64_t orphan[ORPHANS];
	unsigned orphans;
};

/* What this process has open. */
static struct ledger *kept[LEDGER_KEEP];
static uint64_t uses;

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

	if (token == l->token)
		return true;
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
		token = token % TOKENS + 1;
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

static void
dispose(struct ledger *l)
{
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

/* A file that was removed, or that we have from before a fork, is not ours
 * to go on with. */
static bool
outdated(const struct ledger *l)
{
	struct stat st;

	return l->pid != getpid() || fstat(l->fd, &st) < 0 || st.st_nlink == 0;
}

int
ledger_open(const char *root, const char *path, struct ledger **l_r,
    struct verdict *v)
{
	struct ledger *l, **place = NULL;
	int fd;

	for (size_t i = 0; i < LEDGER_KEEP; i++) {
		l = kept[i];
		if (l && same_file(l, root, path)) {
			if (l->refs == 0 && outdated(l)) {
				dispose(l);
				kept[i] = NULL;
				place = &kept[i];
				break;
			}
			l->refs++;
			l->last_used = ++uses;
			*l_r = l;
			return 0;
		}
		if (!l)
			place = &kept[i];
	}
	for (size_t i = 0; i < LEDGER_KEEP && (!place || *place); i++)
		if (kept[i]->refs == 0 && (!place ||
		    kept[i]->last_used < (*place)->last_used))
			place = &kept[i];
	if (!place)
		return verdict_set(v, V_BOX_BUSY, "too many quota ledgers open");
	fd = open_file(root, path, v);
	if (fd < 0)
		return -1;
	if (*place)
		dispose(*place);
	l = mem_zalloc(1, sizeof(*l));
	l->fd = fd;
	l->pid = getpid();
	l->root = mem_dup(root);
	l->path = mem_dup(path);
	l->refs = 1;
	l->last_used = ++uses;
	*place = l;
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

/* --- head and slots -------------------------------------------------------------- */

static uint32_t
sum_of(const struct ledger_head *h)
{
	size_t skip = offsetof(struct ledger_head, boot);

	return (uint32_t)checksum_of((const char *)h + skip,
	    sizeof(*h) - skip);
}

static bool
believable(const struct ledger_head *h)
{
	return memcmp(h->magic, magic, sizeof(magic)) == 0 &&
	    h->crc == sum_of(h) && h->slots <= LEDGER_SLOTS &&
	    h->capacity >= CAPACITY_LEAST && h->capacity <= CAPACITY_MOST &&
	    (h->capacity & (h->capacity - 1)) == 0 && h->used < h->capacity;
}

/* Which boot this is; 0 where the kernel does not tell. */
static uint64_t
boot_id(void)
{
	static uint64_t id;
	static bool asked;
	unsigned char digest[SHA256_BYTES];
	struct sha256 h;
	char text[64];
	ssize_t n;
	int fd;

	if (asked)
		return id;
	asked = true;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text));
	file_close(&fd);
	if (n > 0) {
		sha256_init(&h);
		sha256_add(&h, text, (size_t)n);
		sha256_end(&h, digest);
		memcpy(&id, digest, sizeof(id));
	}
	return id;
}

/* An empty ledger in the place of one that is new or cannot be read. */
static int
begin_anew(struct ledger *l, ssize_t had, struct verdict *v)
{
	struct ledger_head *h = &l->now.head;

	*h = (struct ledger_head){ .boot = boot_id(),
	    .capacity = CAPACITY_LEAST, .boots = 1,
	    /* There was something: then what it knew is lost. */
	    .distrust = had > 0 };
	memcpy(h->magic, magic, sizeof(magic));
	l->disk = (struct ledger_head){ .slots = 0 };
	if (ftruncate(l->fd, 0) < 0 || ftruncate(l->fd, TABLE_AT +
	    (off_t)h->capacity * (off_t)sizeof(struct ledger_entry)) < 0)
		return verdict_errno(v, errno, "make quota ledger");
	return ledger_write(l, v);
}

static int
read_head(struct ledger *l, struct verdict *v)
{
	struct ledger_head *h = &l->now.head;
	size_t first = sizeof(*h) + FIRST_SLOTS * sizeof(struct slot);
	ssize_t got = file_pread_full(l->fd, &l->now, first, 0);
	size_t rest;

	if (got < 0)
		return verdict_errno(v, errno, "read quota ledger");
	if ((size_t)got < first || !believable(h))
		return begin_anew(l, got, v);
	if (h->slots > FIRST_SLOTS) {
		rest = (h->slots - FIRST_SLOTS) * sizeof(struct slot);
		if (file_pread_full(l->fd, &l->now.slot[FIRST_SLOTS], rest,
		    (off_t)first) != (ssize_t)rest)
			return verdict_errno(v, errno ? errno : EIO,
			    "read quota ledger");
	}
	l->slots_changed = h->slots;
	l->disk = *h;
	return 0;
}

static void
remove_slot(struct ledger *l, uint32_t i)
{
	struct ledger_head *h = &l->now.head;

	h->slots--;
	if (i != h->slots)
		l->now.slot[i] = l->now.slot[h->slots];
	if (i < l->slots_changed)
		l->slots_changed = i;
}

static int
doubt(struct ledger *l, const struct ledger_key *key, struct verdict *v)
{
	struct ledger_entry e;

	if (ledger_find(l, key, &e, v) < 0)
		return -1;
	e.flags |= LEDGER_DOUBT;
	return ledger_put(l, &e, v);
}

static bool
is_orphan(const struct ledger *l, uint64_t id)
{
	for (unsigned i = 0; i < l->orphans; i++)
		if (l->orphan[i] == id)
			return true;
	return false;
}

/* Reservations of the dead, and ours that were given up. The doubt is written before the slot goes. */
static int
bury(struct ledger *l, bool *changed, struct verdict *v)
{
	uint32_t i = 0;

	while (i < l->now.head.slots) {
		if (is_alive(l, l->now.slot[i].token) &&
		    !is_orphan(l, l->now.slot[i].id)) {
			i++;
			continue;
		}
		if (doubt(l, &l->now.slot[i].key, v) < 0)
			return -1;
		remove_slot(l, i);
		/* It may have died between its entry and the total. */
		l->now.head.known = 0;
		*changed = true;
	}
	return 0;
}

static int
check(struct ledger *l, struct verdict *v)
{
	struct ledger_head *h = &l->now.head;
	uint64_t boot = boot_id();
	bool changed = false;

	if (boot && h->boot != boot) {
		h->boot = boot;
		h->boots++;
		h->slots = 0;
		h->known = 0;
		changed = true;
	}
	if (h->dirty) {
		h->dirty = 0;
		h->known = 0;
		changed = true;
	}
	if (bury(l, &changed, v) < 0)
		return -1;
	l->orphans = 0;
	return changed ? ledger_write(l, v) : 0;
}

int
ledger_lock(struct ledger *l, struct verdict *v)
{
	int64_t deadline = 0;
	long us = NAP_LEAST_US;

	l->looked = false;
	while (try_range(l->fd, BYTE_LOCK) < 0) {
		struct timespec ts;

		if (errno != EAGAIN && errno != EACCES)
			return verdict_errno(v, errno, "lock quota ledger");
		if (!deadline)
			deadline = clock_mono_ms() + LEDGER_WAIT_MS;
		else if (clock_mono_ms() > deadline)
			return verdict_set(v, V_BOX_BUSY,
			    "quota ledger is locked");
		ts = (struct timespec){ .tv_nsec = us * 1000 };
		(void)nanosleep(&ts, NULL); /* sooner does no harm */
		us = us * 2 < NAP_MOST_US ? us * 2 : NAP_MOST_US;
	}
	if ((l->token == 0 && come_alive(l, v) < 0) || read_head(l, v) < 0 ||
	    check(l, v) < 0) {
		ledger_unlock(l);
		return -1;
	}
	return 0;
}

void
ledger_unlock(struct ledger *l)
{
	free_range(l->fd, BYTE_LOCK);
}

bool
ledger_glance(const struct ledger *l, struct ledger_head *h_r)
{
	/* Torn by a writer, it does not have its sum. */
	return file_pread_full(l->fd, h_r, sizeof(*h_r), 0) ==
	    sizeof(*h_r) && believable(h_r) && !h_r->dirty && h_r->known &&
	    h_r->boot == boot_id();
}

struct ledger_head *
ledger_head(struct ledger *l)
{
	return &l->now.head;
}

int
ledger_write(struct ledger *l, struct verdict *v)
{
	struct ledger_head *h = &l->now.head;
	/* Dropped slots need no writing, only the head that counts them. */
	uint32_t from = l->slots_changed;
	size_t n = sizeof(*h) + h->slots * sizeof(struct slot);

	h->crc = sum_of(h);
	if (from >= h->slots && memcmp(h, &l->disk, sizeof(*h)) == 0)
		return 0;
	if (from >= h->slots) {
		n = sizeof(*h);
	} else if (h->slots > FIRST_SLOTS) {
		/* Not in one page: slots before the head that counts them. A
		 * slot that is there twice goes by its id, both. */
		if (file_pwrite_all(l->fd, &l->now.slot[from],
		    (h->slots - from) * sizeof(struct slot), SLOTS_AT +
		    (off_t)(from * sizeof(struct slot))) < 0)
			return verdict_errno(v, errno, "write quota ledger");
		n = sizeof(*h);
	}
	if (file_pwrite_all(l->fd, &l->now, n, 0) < 0)
		return verdict_errno(v, errno, "write quota ledger");
	l->slots_changed = h->slots;
	l->disk = *h;
	return 0;
}

int
ledger_mark_dirty(struct ledger *l, struct verdict *v)
{
	l->now.head.dirty = 1;
	return ledger_write(l, v);
}

/* --- reservations ------------------------------------------------------------------ */

static bool
same_key(const struct ledger_key *a, const struct ledger_key *b)
{
	return memcmp(a->byte, b->byte, LEDGER_KEY) == 0;
}

void
ledger_flying(const struct ledger *l, const struct ledger_key *key,
    struct ledger_sum *account_r, struct ledger_sum *all_r)
{
	*account_r = *all_r = (struct ledger_sum){ 0, 0, 0 };
	for (uint32_t i = 0; i < l->now.head.slots; i++) {
		const struct slot *s = &l->now.slot[i];

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

int
ledger_hold(struct ledger *l, const struct ledger_key *key,
    uint64_t bytes, uint64_t messages, uint64_t *id_r, struct verdict *v)
{
	static uint32_t count;
	struct ledger_head *h = &l->now.head;

	if (h->slots == LEDGER_SLOTS)
		return verdict_set(v, V_BOX_BUSY,
		    "%d deliveries into one domain", LEDGER_SLOTS);
	*id_r = (uint64_t)l->token << 32 | ++count;
	if (h->slots < l->slots_changed)
		l->slots_changed = h->slots;
	l->now.slot[h->slots++] = (struct slot){ .key = *key, .bytes = bytes,
	    .messages = messages, .id = *id_r, .token = l->token };
	return 0;
}

bool
ledger_drop(struct ledger *l, uint64_t id)
{
	bool there = false;
	uint32_t i = 0;

	while (i < l->now.head.slots) {
		if (l->now.slot[i].id != id) {
			i++;
			continue;
		}
		remove_slot(l, i);
		there = true;
	}
	return there;
}

void
ledger_drop_later(struct ledger *l, uint64_t id)
{
	/* More than so many end with the process. */
	if (l->orphans < ORPHANS)
		l->orphan[l->orphans++] = id;
}

/* --- the table ------------------------------------------------------------------------ */

static bool
is_empty(const struct ledger_entry *e)
{
	static const struct ledger_key none;

	return same_key(&e->key, &none);
}

static uint32_t
home_of(const struct ledger_key *key, uint32_t capacity)
{
	uint32_t n;

	memcpy(&n, key->byte, sizeof(n));
	return n & (capacity - 1);
}

static off_t
place_of(uint32_t i)
{
	return TABLE_AT + (off_t)i * (off_t)sizeof(struct ledger_entry);
}

/* Where the key is, or the empty place where it would be. 1, 0 or -1. */
static int
seek_table(struct ledger *l, const struct ledger_key *key, uint32_t *at_r,
    struct ledger_entry *e_r, struct verdict *v)
{
	struct ledger_entry piece[PROBE];
	uint32_t capacity = l->now.head.capacity;
	uint32_t i = home_of(key, capacity), n;

	for (uint32_t looked = 0; looked < capacity; looked += n) {
		n = capacity - i < PROBE ? capacity - i : PROBE;
		if (file_pread_full(l->fd, piece, n * sizeof(*piece),
		    place_of(i)) != (ssize_t)(n * sizeof(*piece)))
			return verdict_errno(v, errno ? errno : EIO,
			    "read quota ledger");
		for (uint32_t k = 0; k < n; k++) {
			*at_r = i + k;
			if (is_empty(&piece[k]))
				return 0;
			if (same_key(&piece[k].key, key)) {
				*e_r = piece[k];
				return 1;
			}
		}
		i = (i + n) & (capacity - 1);
	}
	return verdict_set(v, V_TROUBLE, "quota ledger is full");
}

static int
seek(struct ledger *l, const struct ledger_key *key, uint32_t *at_r,
    struct ledger_entry *e_r, struct verdict *v)
{
	if (!l->looked || !same_key(&l->look.key, key)) {
		l->looked = false;
		l->look_answer = seek_table(l, key, &l->look_at, &l->look, v);
		if (l->look_answer < 0)
			return -1;
		l->look.key = *key;
		l->looked = true;
	}
	*at_r = l->look_at;
	*e_r = l->look;
	return l->look_answer;
}

int
ledger_find(struct ledger *l, const struct ledger_key *key,
    struct ledger_entry *e_r, struct verdict *v)
{
	const struct ledger_head *h = &l->now.head;
	uint32_t at;
	int r = seek(l, key, &at, e_r, v);

	if (r != 0)
		return r;
	*e_r = (struct ledger_entry){ .key = *key, .boot = h->boots,
	    .flags = h->distrust ? LEDGER_DOUBT : 0 };
	return 0;
}

int
ledger_entries(struct ledger *l, struct ledger_entry **list_r,
    size_t *n_r, struct verdict *v)
{
	uint32_t capacity = l->now.head.capacity;
	size_t bytes = capacity * sizeof(struct ledger_entry), n = 0;
	struct ledger_entry *list = mem_alloc(bytes);
	ssize_t got = file_pread_full(l->fd, list, bytes, TABLE_AT);

	if (got < 0 || (size_t)got != bytes) {
		free(list);
		return verdict_errno(v, got < 0 ? errno : EIO,
		    "read quota ledger");
	}
	for (uint32_t i = 0; i < capacity; i++)
		if (!is_empty(&list[i]))
			list[n++] = list[i];
	*list_r = list;
	*n_r = n;
	return 0;
}

/* A table twice as large. Killed on the way, it is dirty and half empty: the
 * missing accounts are doubtful. */
static int
grow(struct ledger *l, struct verdict *v)
{
	struct ledger_head *h = &l->now.head;
	uint32_t capacity = h->capacity * 2, distrust = h->distrust;
	struct ledger_entry *list, *table;
	size_t n, bytes;
	int r = -1;

	if (capacity > CAPACITY_MOST)
		return verdict_set(v, V_TROUBLE, "quota ledger is too large");
	if (ledger_entries(l, &list, &n, v) < 0)
		return -1;
	table = mem_zalloc(capacity, sizeof(*table));
	bytes = capacity * sizeof(*table);
	for (size_t i = 0; i < n; i++) {
		uint32_t at = home_of(&list[i].key, capacity);

		while (!is_empty(&table[at]))
			at = (at + 1) & (capacity - 1);
		table[at] = list[i];
	}
	l->looked = false;
	h->capacity = capacity;
	h->used = (uint32_t)n;
	h->distrust = 1;
	h->dirty = 1;
	if (ftruncate(l->fd, TABLE_AT + (off_t)bytes) < 0)
		verdict_errno(v, errno, "grow quota ledger");
	else if (ledger_write(l, v) == 0) {
		if (file_pwrite_all(l->fd, table, bytes, TABLE_AT) < 0)
			verdict_errno(v, errno, "grow quota ledger");
		else
			r = 0;
	}
	if (r == 0) {
		h->distrust = (uint8_t)distrust;
		h->dirty = 0;
		r = ledger_write(l, v);
	}
	free(table);
	free(list);
	return r;
}

int
ledger_put(struct ledger *l, const struct ledger_entry *e, struct verdict *v)
{
	struct ledger_head *h = &l->now.head;
	struct ledger_entry old;
	uint32_t at;
	int r;

	if ((uint64_t)(h->used + 1) * 4 > (uint64_t)h->capacity * 3 &&
	    grow(l, v) < 0)
		return -1;
	r = seek(l, &e->key, &at, &old, v);
	if (r < 0)
		return -1;
	if (r == 0)
		h->used++;	/* a head that is not written counts it later:
				 * see grow() */
	else if (memcmp(&old, e, sizeof(old)) == 0)
		return 0;
	l->looked = false;
	if (file_pwrite_all(l->fd, e, sizeof(*e), place_of(at)) < 0)
		return verdict_errno(v, errno, "write quota ledger");
	l->looked = true;
	l->look_answer = 1;
	l->look = *e;
	return r == 0 ? ledger_write(l, v) : 0;
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
	unsigned char digest[SHA256_BYTES];
	struct ledger_key key;
	struct sha256 h;

	sha256_init(&h);
	sha256_part(&h, local);
	sha256_part(&h, domain);
	sha256_end(&h, digest);
	memcpy(key.byte, digest, sizeof(key.byte));
	return key;
}
