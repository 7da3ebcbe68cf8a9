/*
 * Many processes at the delivery log, stopped and killed anywhere: what was
 * acknowledged was in the file and synced, and is there when the segment is
 * used anew; what was taken back is not. Two seconds, or so many hundredths as
 * VBOX_SOAK says, and until something was acknowledged.
 */
#define LEADER_LOOK_MS 5
#define LEADER_LOOKS 4
#include "store/redo.c"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/tree.h"

#define SLOTS 100
#define WORKERS 20
#define PAGES 1000u
#define SYNC_US 400
/* As many calls until a worker stops; how long that is; how often somebody is
 * stopped or killed from outside. */
#define CALLS 500
#define STOPPED_MS 60
#define CHAOS_MS 3
#define QUIET_MS 60000
#define MESSAGE_MAX 60000

enum fate { UNKNOWN, ACKNOWLEDGED, PERHAPS, TAKEN_BACK };

struct page {
	_Atomic enum fate fate;		/* of the record that begins here */
	uint64_t id;
	_Atomic uint64_t written;	/* when it was first whole; 0: not yet */
};

static struct {
	_Atomic uint64_t now, synced[2];	/* no time, but an order */
	_Atomic uint64_t ids, acknowledged, checked;
	_Atomic unsigned wrong;
	/* Where each worker writes for others, and has not synced. */
	_Atomic uint64_t from[SLOTS], to[SLOTS];
	struct page page[2][PAGES];
} *shared;

static struct redo *log_;
static char top[64], mail[80];
static uint64_t seed;
static unsigned me = SLOTS;		/* our slot */

static uint64_t
chance(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static void
wrong(const char *what, uint64_t page)
{
	if (shared->wrong++ < 10)
		print_error("%s: page %llu, process %d\n", what,
		    (unsigned long long)page, (int)getpid());
}

static void
nap(uint64_t us)
{
	struct timespec t = { .tv_nsec = (long)us * 1000 };

	(void)nanosleep(&t, NULL);
}

/* --- the disk ---------------------------------------------------------------------- */

static void
hazard(void)
{
	if (me == SLOTS)
		return;
	if (chance(CALLS) == 0)
		(void)raise(SIGSTOP);
	else if (chance(4) == 0)
		(void)sched_yield();
	else if (chance(16) == 0)
		nap(chance(300));
}

static bool
is_segment(int fd, unsigned *which_r)
{
	*which_r = log_ && fd == log_->segment[1];
	return log_ && fd == log_->segment[*which_r];
}

static void
was_written(unsigned which, uint64_t at, uint64_t n)
{
	for (uint64_t p = at / REDO_PAGE; p * REDO_PAGE < at + n; p++) {
		uint64_t never = 0;

		if (p == 0 || p >= PAGES)
			wrong("not a record's place", p);
		else
			(void)atomic_compare_exchange_strong(
			    &shared->page[which][p].written, &never,
			    ++shared->now);
	}
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	unsigned which;
	bool for_others = is_segment(fd, &which) && n % REDO_PAGE == 0 &&
	    me < SLOTS;
	ssize_t done;

	if (for_others) {
		shared->to[me] = ((uint64_t)at + n) / REDO_PAGE;
		shared->from[me] = (uint64_t)at / REDO_PAGE;
	}
	hazard();
	done = syscall(SYS_pwrite64, fd, p, n, at);
	if (for_others && done > 0)
		was_written(which, (uint64_t)at, (uint64_t)done);
	hazard();
	return done;
}

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	unsigned which;
	ssize_t done;

	hazard();
	done = syscall(SYS_pwritev, fd, iov, count, at, 0);
	if (done > 0 && is_segment(fd, &which))
		was_written(which, (uint64_t)at, (uint64_t)done);
	hazard();
	return done;
}

/* What was written before it began is durable when it has ended. */
int
fdatasync(int fd)
{
	uint64_t begun = ++shared->now, before;
	unsigned which;

	if (me < SLOTS)
		shared->to[me] = 0;
	hazard();
	nap(chance(SYNC_US));
	if (is_segment(fd, &which))
		for (before = shared->synced[which]; before < begun &&
		    !atomic_compare_exchange_strong(&shared->synced[which],
		    &before, begun); )
			;
	hazard();
	return 0;
}

int
syncfs(int fd)
{
	(void)fd;
	return 0;
}

/* --- what must be there ---------------------------------------------------------------- */

static void
fill(char *p, size_t n, uint64_t id)
{
	uint64_t x = id * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (char)x;
	}
}

struct seen {
	unsigned which;
	uint64_t id[PAGES];
};

static int
see(void *arg, const struct redo_record *h, struct str body)
{
	static struct redo_names texts;
	static char want[MESSAGE_MAX];
	struct seen *s = arg;
	struct redo_copy c;
	uint64_t id;

	if (redo_parse(&body, &c, &texts) < 0 ||
	    num_u64(str_of(texts.path), UINT64_MAX, &id) < 0 ||
	    c.bytes.n > sizeof(want)) {
		wrong("a strange record", h->at / REDO_PAGE);
		return 0;
	}
	fill(want, c.bytes.n, id);
	if (memcmp(want, c.bytes.p, c.bytes.n) != 0)
		wrong("other bytes", h->at / REDO_PAGE);
	s->id[h->at / REDO_PAGE] = id;
	return 0;
}

/* A segment that nobody writes to any more. */
static void
check_segment(unsigned which)
{
	struct seen *s = mem_zalloc(1, sizeof(*s));

	redo_read_head(log_, which);
	if (redo_walk(log_, which, see, s) < 0)
		wrong("cannot be read", 0);
	for (unsigned i = 0; i < PAGES; i++) {
		struct page *p = &shared->page[which][i];
		enum fate fate = p->fate;

		if (fate == ACKNOWLEDGED && s->id[i] != p->id)
			wrong("acknowledged and not there", i);
		if (fate == TAKEN_BACK && s->id[i])
			wrong("taken back and there", i);
		shared->checked += fate != UNKNOWN;
		p->fate = UNKNOWN;
		p->written = 0;
	}
	free(s);
}

/* The first thing that is done when a segment is used anew. */
ssize_t
getrandom(void *p, size_t n, unsigned flags)
{
	uint64_t cursor = log_ ? atomic_load(&log_->shared->cursor) : 0;

	if (cursor)
		check_segment((unsigned)(generation_after(cursor >> 32) & 1));
	return syscall(SYS_getrandom, p, n, flags);
}

/* --- the processes ----------------------------------------------------------------------- */

static uint64_t
add(uint64_t *id_r)
{
	static char bytes[MESSAGE_MAX], path[32];
	struct redo_copy c = { .spec = { .format = MAILBOX_MBOX, .root = mail,
	    .path = path }, .bytes = { bytes, 1 + chance(chance(16) ? 12000 :
	    MESSAGE_MAX) } };

	*id_r = ++shared->ids;
	(void)snprintf(path, sizeof(path), "%llu",
	    (unsigned long long)*id_r);
	fill(bytes, c.bytes.n, *id_r);
	return redo_add(log_, &c, 1);
}

static void
was_acknowledged(unsigned which, uint64_t place, uint64_t id)
{
	uint64_t first = place / REDO_PAGE, last;
	struct page *p = &shared->page[which][first];
	struct redo_record h = { .n = 0 };

	if (file_pread_full(log_->segment[which], &h, sizeof(h),
	    (off_t)place) != sizeof(h) || h.sum != redo_record_sum(&h) ||
	    h.at != place)
		wrong("acknowledged and not written", first);
	last = (place + sizeof(h) + h.n - 1) / REDO_PAGE;
	for (uint64_t i = first; i <= last && i < PAGES; i++)
		if (shared->page[which][i].written == 0 ||
		    shared->page[which][i].written > shared->synced[which])
			wrong("acknowledged and not synced", i);
	p->id = id;
	p->fate = ACKNOWLEDGED;
	shared->acknowledged++;
}

static void
deliver(void)
{
	uint64_t place[3], id[3];
	unsigned which, n = 0, most = 1 + (unsigned)chance(3);
	struct page *p;

	if (!redo_begin(log_, me)) {
		wrong("no log", 0);
		_exit(1);
	}
	which = log_->generation & 1;
	for (unsigned i = 0; i < most; i++) {
		place[n] = add(&id[n]);
		n += place[n] != 0;
	}
	if (!redo_commit(log_))
		wrong("not acknowledged", 0);
	for (unsigned i = 0; i < n; i++)
		was_acknowledged(which, place[i], id[i]);
	if (n && chance(8) == 0) {
		p = &shared->page[which][place[0] / REDO_PAGE];
		p->fate = PERHAPS;
		redo_void(log_, place[0]);
		p->fate = TAKEN_BACK;
	}
	redo_end(log_, me);
	if (n == 0)
		nap(500);
}

static pid_t
start(unsigned slot)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	me = slot;
	seed = (uint64_t)getpid() << 20 | 1;
	if (redo_keep_private(log_) < 0 || redo_open_own(log_) < 0)
		wrong("cannot join", 0);
	for (;;)
		deliver();
}

static pid_t
start_keeper(void)
{
	struct verdict v = VERDICT_INIT;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	while (redo_keep(log_, 40, 20, &v) == 0)
		;
	wrong(v.detail, 0);
	_exit(1);
}

struct worker {
	pid_t pid;
	int64_t stopped_until;	/* 0: it is not */
};

/* It may have been about to take back what it had written too late. */
static void
forgive(unsigned slot)
{
	for (uint64_t p = shared->from[slot]; p < shared->to[slot]; p++)
		for (unsigned i = 0; i < 2; i++)
			if (shared->page[i][p].fate == TAKEN_BACK)
				shared->page[i][p].fate = PERHAPS;
	shared->to[slot] = 0;
}

static void
look_after(unsigned slot, struct worker *w, int64_t now)
{
	int status;

	if (waitpid(w->pid, &status, WNOHANG | WUNTRACED) == w->pid) {
		if (WIFSTOPPED(status)) {
			w->stopped_until = now + 1 +
			    (int64_t)chance(STOPPED_MS);
			return;
		}
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			wrong("a worker has ended", slot);
		forgive(slot);
		redo_forget(log_, slot, w->pid);
		*w = (struct worker){ .pid = start(slot) };
		assert_true(w->pid > 0);
	}
	if (w->stopped_until && w->stopped_until <= now) {
		w->stopped_until = 0;
		(void)kill(w->pid, chance(5) ? SIGCONT : SIGKILL);
	}
}

static void
end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
run(int64_t ms)
{
	struct worker w[WORKERS];
	pid_t keeper = start_keeper();
	int64_t now = clock_mono_ms(), until = now + ms, last = now;
	uint64_t before = 0;

	assert_true(keeper > 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){ .pid = start(i * SLOTS / WORKERS) };
		assert_true(w[i].pid > 0);
	}
	while ((now < until || !shared->acknowledged) && !shared->wrong) {
		struct worker *x = &w[chance(WORKERS)];

		nap(chance(CHAOS_MS * 1000));
		now = clock_mono_ms();
		for (unsigned i = 0; i < WORKERS; i++)
			look_after(i * SLOTS / WORKERS, &w[i], now);
		if (chance(8) == 0)
			(void)kill(x->pid, chance(4) ? SIGSTOP : SIGKILL);
		if (chance(500) == 0) {
			end(keeper);
			keeper = start_keeper();
			assert_true(keeper > 0);
		}
		if (shared->acknowledged != before)
			last = now;
		before = shared->acknowledged;
		if (now - last > QUIET_MS)
			wrong("nothing is acknowledged any more", 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		end(w[i].pid);
		forgive(i * SLOTS / WORKERS);
	}
	end(keeper);
}

static void
what_was_acknowledged_is_there(void **state)
{
	const char *soak = getenv("VBOX_SOAK");
	struct verdict v = VERDICT_INIT;
	char state_dir[80];
	uint64_t ms = 200;

	(void)state;
	if (soak)
		assert_int_equal(num_u64(str_of(soak), 1000000, &ms), 0);
	ms *= 10;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	strcpy(top, "/var/tmp/vbox-redo-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
	(void)snprintf(mail, sizeof(mail), "%s/mail", top);
	assert_int_equal(mkdir(state_dir, 0700), 0);
	seed = (uint64_t)clock_mono_ms() << 20 | 1;
	if (redo_open(state_dir, 2 * PAGES * REDO_PAGE, SLOTS, &log_, &v) < 0)
		fail_msg("%s", v.detail);
	if (redo_start(log_, &v) == 0) {
		run((int64_t)ms);
		check_segment(0);
		check_segment(1);
		print_message("%llu acknowledged, %llu syncs, %llu looked "
		    "for\n", (unsigned long long)shared->acknowledged,
		    (unsigned long long)redo_counts(log_).syncs,
		    (unsigned long long)shared->checked);
		assert_int_equal(shared->wrong, 0);
		assert_true(shared->checked > 0);
	} else {
		assert_int_equal(v.why, V_CONFIG);
		print_message("skipped: %s\n", v.detail);
	}
	redo_close(&log_);
	remove_tree(top);
	(void)munmap(shared, sizeof(*shared));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_acknowledged_is_there),
	};

	return cmocka_run_group_tests_name("redo_many", tests, NULL, NULL);
}
