#include "lda/filter_share.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/mem.h"

/* How long a death may go unnoticed: nobody rings then. */
#define LOOK_MS 10

/* Whose turn it is; who changes it, wakes the other if he sleeps. */
enum turn {
	TURN_NEW,	/* nothing was posted yet */
	TURN_JOB,	/* master: a job lies here */
	TURN_COMES,	/* master: a job comes through the socket */
	TURN_PLAN,	/* filter: a plan lies here */
	TURN_TALK,	/* filter: listen to the socket */
};
/* With a job: the master sleeps. */
#define AWAITED 0x100u

/* What the filter may write, and what it may not. */
struct talk {
	_Atomic uint32_t turn;
	_Atomic uint32_t begun;		/* the last job's number */
	_Atomic uint32_t plan_n;
	char plan[FILTER_SHARE_PLAN];
};
struct job {
	uint32_t number;
	uint32_t n;
	char bytes[FILTER_SHARE_JOB];	/* aligned to 8 */
};

struct filter_share {
	struct talk *talk;
	struct job *job;
	int cpu;		/* where the filter was sent last; -1: nowhere */
};

static bool
is_job(uint32_t turn)
{
	turn &= ~AWAITED;
	return turn == TURN_JOB || turn == TURN_COMES;
}

static void
futex(_Atomic uint32_t *word, int op, uint32_t value,
    const struct timespec *timeout)
{
	/* Woken for nothing, or not asleep at all: the word is looked at. */
	(void)syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* --- the master ----------------------------------------------------------------- */

static void *
map(size_t n)
{
	return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	    -1, 0);
}

int
filter_share_open(struct filter_share **s_r)
{
	struct talk *talk = map(sizeof(*talk));
	struct job *job = talk == MAP_FAILED ? MAP_FAILED : map(sizeof(*job));

	if (job == MAP_FAILED) {
		if (talk != MAP_FAILED)
			(void)munmap(talk, sizeof(*talk));
		return -1;
	}
	*s_r = mem_alloc(sizeof(**s_r));
	**s_r = (struct filter_share){ .talk = talk, .job = job, .cpu = -1 };
	return 0;
}

int
filter_share_ours(struct filter_share *s)
{
	return madvise(s->talk, sizeof(*s->talk), MADV_DONTFORK) < 0 ? -1 :
	    madvise(s->job, sizeof(*s->job), MADV_DONTFORK);
}

void
filter_share_close(struct filter_share **s)
{
	if (*s) {
		(void)munmap((*s)->talk, sizeof(*(*s)->talk));
		(void)munmap((*s)->job, sizeof(*(*s)->job));
	}
	filter_share_forget(s);
}

void
filter_share_forget(struct filter_share **s)
{
	free(*s);
	*s = NULL;
}

void
filter_share_job(struct filter_share *s, struct buf *out)
{
	buf_init_in(out, s->job->bytes, sizeof(s->job->bytes));
}

/* A hint: where it does not help it is not missed. */
static void
stay(struct filter_share *s, pid_t filter)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	if (cpu < 0 || cpu == s->cpu || cpu >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(filter, sizeof(set), &set);
	s->cpu = cpu;
}

void
filter_share_post(struct filter_share *s, pid_t filter, size_t n)
{
	s->job->n = (uint32_t)n;
	s->job->number++;
	stay(s, filter);
	atomic_store(&s->talk->turn, n ? TURN_JOB : TURN_COMES);
	futex(&s->talk->turn, FUTEX_WAKE, 1, NULL);
}

static bool
is_dead(pid_t filter)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)filter, &info, WEXITED | WNOHANG |
	    WNOWAIT) < 0 || info.si_pid == filter;
}

enum filter_heard
filter_share_wait(struct filter_share *s, pid_t filter, int64_t deadline_ms)
{
	static const struct timespec look = { .tv_nsec = LOOK_MS * 1000000L };
	bool dead = false;

	for (;;) {
		uint32_t now = atomic_load(&s->talk->turn);

		if (now == TURN_PLAN)
			return FILTER_HEARD_PLAN;
		if (now == TURN_TALK)
			return FILTER_HEARD_TALK;
		if (!is_job(now))
			return FILTER_HEARD_NONSENSE;
		if (dead)
			return atomic_load(&s->talk->begun) == s->job->number ?
			    FILTER_HEARD_DEATH : FILTER_HEARD_NOTHING;
		if (clock_mono_ms() >= deadline_ms)
			return FILTER_HEARD_LATE;
		if (!(now & AWAITED) && !atomic_compare_exchange_strong(
		    &s->talk->turn, &now, now | AWAITED))
			continue;
		now |= AWAITED;
		futex(&s->talk->turn, FUTEX_WAIT, now, &look);
		/* Its last word may be there all the same: look once more. */
		if (atomic_load(&s->talk->turn) == now)
			dead = is_dead(filter);
	}
}

int
filter_share_plan(struct filter_share *s, struct buf *out)
{
	size_t n = atomic_load(&s->talk->plan_n);	/* once: it may change */

	return n <= sizeof(s->talk->plan) ? buf_add(out, s->talk->plan, n) : -1;
}

/* --- the filter ------------------------------------------------------------------ */

int
filter_share_enter(struct filter_share *s)
{
	return mprotect(s->job, sizeof(*s->job), PROT_READ);
}

struct str
filter_share_next(struct filter_share *s)
{
	uint32_t now = atomic_load(&s->talk->turn);

	while (!is_job(now)) {
		futex(&s->talk->turn, FUTEX_WAIT, now, NULL);
		now = atomic_load(&s->talk->turn);
	}
	/* Beside the turn, which the master is about to sleep at. */
	atomic_store(&s->talk->begun, s->job->number);
	return (struct str){ (now & ~AWAITED) == TURN_JOB ?
	    s->job->bytes : NULL, s->job->n };
}

/* A master who was not asleep yet is not woken. */
static void
answer(struct filter_share *s, enum turn next)
{
	if (atomic_exchange(&s->talk->turn, next) & AWAITED)
		futex(&s->talk->turn, FUTEX_WAKE, 1, NULL);
}

int
filter_share_say(struct filter_share *s, struct str plan)
{
	if (plan.n > sizeof(s->talk->plan))
		return -1;
	memcpy(s->talk->plan, plan.p, plan.n);
	atomic_store(&s->talk->plan_n, (uint32_t)plan.n);
	answer(s, TURN_PLAN);
	return 0;
}

void
filter_share_talk(struct filter_share *s)
{
	answer(s, TURN_TALK);
}
