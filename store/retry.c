#include "store/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"

#define MAGIC "vboxrtr1"
/* Slots that one key may stand in, beginning at its own. */
#define REACH 8
#define READ_PIECE 65536
#define NAME "retry.journal"

enum state { FREE = 0, BEGUN, DONE };

struct slot {
	struct retry_key key;
	int64_t when_ms;	/* wall clock */
	uint64_t born;		/* start time of the process, by the kernel */
	int32_t pid;
	uint32_t state;
	char id[RETRY_ID];
};

struct head {
	char magic[8];
	uint64_t secret[2];
	uint64_t slots;
};

struct file {
	struct head head;
	struct slot slot[RETRY_SLOTS];
};

struct retry {
	int fd;
	struct file *file;
	uint64_t born;
	pid_t pid;
};

/* --- SipHash-2-4 with 128 bits of result (Aumasson, Bernstein) -------------- */

struct sip {
	uint64_t v[4];
	unsigned char rest[8];
	size_t rest_n;
	uint64_t n;
};

static uint64_t
rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void
sip_init(struct sip *s, const uint64_t key[2])
{
	*s = (struct sip){ .v = {
		key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL ^ 0xee,
		key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL,
	} };
}

static void
sip_word(struct sip *s, const unsigned char *p)
{
	uint64_t m = 0;

	for (int i = 7; i >= 0; i--)
		m = m << 8 | p[i];
	s->v[3] ^= m;
	sip_round(s->v);
	sip_round(s->v);
	s->v[0] ^= m;
}

static void
sip_add(struct sip *s, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	s->n += n;
	for (; n && s->rest_n; n--) {
		s->rest[s->rest_n++] = *p++;
		if (s->rest_n == 8) {
			sip_word(s, s->rest);
			s->rest_n = 0;
		}
	}
	for (; n >= 8; n -= 8, p += 8)
		sip_word(s, p);
	for (; n; n--)
		s->rest[s->rest_n++] = *p++;
}

static struct retry_key
sip_end(struct sip *s)
{
	struct retry_key k;

	memset(s->rest + s->rest_n, 0, 8 - s->rest_n);
	s->rest[7] = (unsigned char)s->n;
	sip_word(s, s->rest);
	s->v[2] ^= 0xee;
	for (int i = 0; i < 4; i++)
		sip_round(s->v);
	k.h[0] = s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
	s->v[1] ^= 0xdd;
	for (int i = 0; i < 4; i++)
		sip_round(s->v);
	k.h[1] = s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
	return k;
}

/* --- processes ---------------------------------------------------------------- */

/* When a process was started (proc(5), stat, field 22); 0: it is not there. */
static uint64_t
born(pid_t pid)
{
	char path[64], text[1024];
	struct str rest, word = STR("");
	uint64_t when = 0;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* fits */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = file_read_full(fd, text, sizeof(text));
	file_close(&fd);
	rest = str_mem(text, n > 0 ? (size_t)n : 0);
	/* The name in parentheses may hold anything. */
	rest = str_sub(rest, (size_t)(str_rchr(rest, ')') + 2), rest.n);
	for (int field = 3; field <= 22; field++)
		if (!str_split(&rest, ' ', &word))
			return 0;
	return num_u64(word, UINT64_MAX, &when) < 0 ? 0 : when;
}

/* --- the file ------------------------------------------------------------------- */

static int
lock(int fd, short type, off_t at, off_t n)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = at,
	    .l_len = n };
	int r;

	do {
		r = fcntl(fd, F_OFD_SETLKW, &l);
	} while (r < 0 && errno == EINTR);
	return r;
}

static int
prepare(int fd, struct verdict *v)
{
	struct head head = { .slots = RETRY_SLOTS };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return verdict_errno(v, errno, NAME);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid())
		return verdict_set(v, V_CONFIG, NAME " is not ours");
	if (st.st_size == (off_t)sizeof(struct file))
		return 0;
	memcpy(head.magic, MAGIC, sizeof(head.magic));
	if (getrandom(head.secret, sizeof(head.secret), 0) !=
	    (ssize_t)sizeof(head.secret) || ftruncate(fd, 0) < 0 ||
	    file_pwrite_all(fd, &head, sizeof(head), 0) < 0 ||
	    ftruncate(fd, sizeof(struct file)) < 0)
		return verdict_errno(v, errno, "make " NAME);
	return 0;
}

int
retry_open(int dirfd, struct retry **r_r, struct verdict *v)
{
	struct retry *r = mem_zalloc(1, sizeof(*r));
	int done;

	r->file = MAP_FAILED;
	r->pid = getpid();
	r->born = born(r->pid);
	r->fd = file_open_beneath(dirfd, NAME, O_RDWR | O_CREAT, 0600);
	if (r->fd < 0) {
		verdict_errno(v, errno, "open " NAME);
		goto fail;
	}
	if (lock(r->fd, F_WRLCK, 0, 0) < 0) {
		verdict_errno(v, errno, "lock " NAME);
		goto fail;
	}
	done = prepare(r->fd, v);
	(void)lock(r->fd, F_UNLCK, 0, 0); /* a close would, too */
	if (done < 0)
		goto fail;
	r->file = mmap(NULL, sizeof(struct file), PROT_READ | PROT_WRITE,
	    MAP_SHARED, r->fd, 0);
	if (r->file == MAP_FAILED) {
		verdict_errno(v, errno, "map " NAME);
		goto fail;
	}
	/* A filter reads what strangers wrote: with the secret and the slots
	 * it could make mail known that nobody has stored. */
	if (madvise(r->file, sizeof(struct file), MADV_DONTFORK) < 0) {
		verdict_errno(v, errno, "keep " NAME " from children");
		goto fail;
	}
	if (memcmp(r->file->head.magic, MAGIC, sizeof(r->file->head.magic)) != 0 ||
	    r->file->head.slots != RETRY_SLOTS) {
		verdict_set(v, V_CONFIG, NAME " is not a retry journal");
		goto fail;
	}
	*r_r = r;
	return 0;
fail:
	retry_close(&r);
	return -1;
}

void
retry_close(struct retry **r)
{
	if (!*r)
		return;
	if ((*r)->file != MAP_FAILED)
		(void)munmap((*r)->file, sizeof(struct file)); /* ours */
	file_close(&(*r)->fd);
	free(*r);
	*r = NULL;
}

/* --- keys -------------------------------------------------------------------------- */

int
retry_digest(const struct retry *r, const struct source *message,
    struct retry_key *digest_r)
{
	static char scratch[READ_PIECE];
	struct str piece;
	uint64_t at = 0;
	struct sip s;

	sip_init(&s, r->file->head.secret);
	do {
		if (source_read(message, at, scratch, sizeof(scratch), &piece) < 0)
			return -1;
		sip_add(&s, piece.p, piece.n);
		at += piece.n;
	} while (piece.n);
	*digest_r = sip_end(&s);
	return 0;
}

static void
add_str(struct sip *s, struct str x)
{
	uint64_t n = x.n;

	sip_add(s, &n, sizeof(n));
	sip_add(s, x.p, x.n);
}

struct retry_key
retry_key(const struct retry *r, const struct retry_key *digest,
    struct str sender, struct str local, struct str domain, uint64_t which)
{
	struct sip s;

	sip_init(&s, r->file->head.secret);
	sip_add(&s, digest->h, sizeof(digest->h));
	add_str(&s, sender);
	add_str(&s, local);
	add_str(&s, domain);
	sip_add(&s, &which, sizeof(which));
	return sip_end(&s);
}

/* --- entries ------------------------------------------------------------------------- */

static size_t
first_slot(const struct retry_key *key)
{
	return (size_t)(key->h[0] % (RETRY_SLOTS - REACH));
}

/* The slots of a key are ours alone until unlock(); other keys may share
 * them, so all REACH of them are. */
static void
hold(struct retry *r, const struct retry_key *key, short type)
{
	size_t i = first_slot(key);

	/* Fails only for want of kernel memory; then two may race, and the
	 * worst of that is what no journal would have prevented. */
	(void)lock(r->fd, type, (off_t)(offsetof(struct file, slot) +
	    i * sizeof(struct slot)), (off_t)(REACH * sizeof(struct slot)));
}

static struct slot *
find(struct retry *r, const struct retry_key *key)
{
	size_t i = first_slot(key);

	for (size_t k = i; k < i + REACH; k++) {
		struct slot *s = &r->file->slot[k];

		if (s->state != FREE && s->key.h[0] == key->h[0] &&
		    s->key.h[1] == key->h[1])
			return s;
	}
	return NULL;
}

/* A free slot, or the oldest. */
static struct slot *
make_room(struct retry *r, const struct retry_key *key)
{
	size_t i = first_slot(key);
	struct slot *best = &r->file->slot[i];

	for (size_t k = i; k < i + REACH; k++) {
		struct slot *s = &r->file->slot[k];

		if (s->state == FREE)
			return s;
		if (s->when_ms < best->when_ms)
			best = s;
	}
	return best;
}

static void
write_slot(struct retry *r, struct slot *s, const struct retry_key *key,
    const char *id, int64_t now)
{
	s->state = FREE;
	s->key = *key;
	s->when_ms = now;
	s->born = r->born;
	s->pid = r->pid;
	(void)snprintf(s->id, sizeof(s->id), "%s", id); /* cut */
	s->state = BEGUN;
}

enum retry_answer
retry_begin(struct retry *r, const struct retry_key *key, uint64_t window_ms,
    const char *id, struct retry_entry *past_r)
{
	int64_t now = clock_now_us() / 1000;
	enum retry_answer answer = RETRY_NEW;
	struct slot *s;

	hold(r, key, F_WRLCK);
	s = find(r, key);
	if (s) {
		memcpy(past_r->id, s->id, sizeof(past_r->id));
		past_r->id[sizeof(past_r->id) - 1] = '\0';
		past_r->pid = s->pid;
		past_r->when = s->when_ms / 1000;
		if (s->when_ms > now || (uint64_t)(now - s->when_ms) > window_ms)
			answer = RETRY_NEW;
		else if (s->state == DONE)
			answer = RETRY_KNOWN;
		else if (s->pid != r->pid && born(s->pid) == s->born)
			answer = RETRY_AT_WORK;
		else
			answer = RETRY_UNSURE;
	}
	if (answer == RETRY_NEW || answer == RETRY_UNSURE)
		write_slot(r, s ? s : make_room(r, key), key, id, now);
	hold(r, key, F_UNLCK);
	return answer;
}

void
retry_done(struct retry *r, const struct retry_key *key)
{
	struct slot *s;

	hold(r, key, F_WRLCK);
	s = find(r, key);
	if (s)
		s->state = DONE;
	hold(r, key, F_UNLCK);
}

void
retry_undo(struct retry *r, const struct retry_key *key)
{
	struct slot *s;

	hold(r, key, F_WRLCK);
	s = find(r, key);
	if (s)
		s->state = FREE;
	hold(r, key, F_UNLCK);
}
