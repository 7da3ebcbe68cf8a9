#include "lda/server/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/server/notify.h"
#include "lda/server/sandbox.h"
#include "store/base/clock.h"
#include "store/redo_replay.h"

/* A service that was killed leaves workers for a moment, which hold the
 * log's lock. */
#define LOCK_WAIT_MS 3000
#define LOCK_NAP_MS 20
/* Nothing to do: how long the keeper sleeps. */
#define KEEPER_SLEEP_MS 60000
/* After a power cut nobody holds a mailbox for long. */
#define REPLAY_LOCK_MS 30000
/* How often the master looks whether that is through, or whether it is to end;
 * how often it asks systemd for more time, and for how much. */
#define REPLAY_LOOK_MS 100
#define REPLAY_SAY_MS 1000
#define REPLAY_GRACE_US 60000000
/* What a slow disk allocates of a log in a second; and time for the rest. */
#define ZEROS_PER_SECOND (20ULL << 20)
#define START_US 90000000ULL

/* --- what was left ------------------------------------------------------------- */

struct tally {
	const char *state_dir;
	unsigned long there, written, aside;
};

static void
told(void *arg, const struct redo_copy *c, enum redo_outcome outcome,
    const char *aside, const struct verdict *why)
{
	struct tally *t = arg;

	switch (outcome) {
	case REDO_THERE:
		t->there++;
		break;
	case REDO_MENDED:
	case REDO_ADDED:
		t->written++;
		metrics_add(METRIC_LOG_MENDED, 1);
		break;
	case REDO_SET_ASIDE:
		t->aside++;
		metrics_add(METRIC_LOG_ASIDE, 1);
		log_say(SET_LOG_ERROR, "delivery log: a message for %s/%s%s%s "
		    "is in %s/" REDO_DIR "/" REDO_ASIDE "/%s: %s; see vboxadm "
		    "log restore", c->spec.root, c->spec.path,
		    c->spec.folder ? "/" : "", c->spec.folder ?
		    c->spec.folder : "", t->state_dir, aside, why->detail);
		break;
	}
	metrics_add(METRIC_LOG_REPLAYED, 1);
}

/* In a process of its own, as confined as a worker: it reads what strangers
 * wrote. */
static int
replay(struct service *s)
{
	const struct settings *set = &s->config.global;
	struct tally t = { .state_dir = set->state_dir };
	struct redo_how how = { .lock_timeout_ms = REPLAY_LOCK_MS,
	    .stale_ms = (int64_t)set->dotlock_stale,
	    .slot_dir = set->state_dir, .hostname = s->hostname,
	    .told = told, .arg = &t };
	struct verdict v = VERDICT_INIT;
	struct redo *r = NULL;
	int result;

	log_connect();
	if (redo_open(set->state_dir, 0, 0, &r, &v) < 0 || !r ||
	    sandbox_enter(&s->config, &v) < 0) {
		log_say(SET_LOG_ERROR, "delivery log: %s", v.detail);
		return EX_TEMPFAIL;
	}
	log_say(SET_LOG_WARNING, "delivery log: the machine went down while "
	    "mail was in it, mending mailboxes");
	result = redo_replay(r, &how, &v);
	if (result < 0)
		log_say(SET_LOG_ERROR, "delivery log: %s; what is in it stays",
		    v.detail);
	log_say(t.aside ? SET_LOG_ERROR : SET_LOG_INFO, "delivery log: %lu "
	    "message%s whole, %lu written again, %lu set aside", t.there,
	    t.there == 1 ? " was" : "s were", t.written, t.aside);
	redo_close(&r);
	return result < 0 ? EX_TEMPFAIL : EX_OK;
}

static int
replay_apart(struct service *s)
{
	int status = -1;
	struct timespec look = { .tv_nsec = REPLAY_LOOK_MS * 1000000L };
	int64_t said = 0, now;
	sigset_t child, pending;
	pid_t pid = fork(), got = 0;

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		_exit(getppid() == s->master ? replay(s) : EX_TEMPFAIL);
	}
	/* The master has them blocked. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (pid > 0 && (got = waitpid(pid, &status, WNOHANG)) == 0) {
		now = clock_mono_ms();
		if (now - said >= REPLAY_SAY_MS) {
			notify_say("EXTEND_TIMEOUT_USEC=%d", REPLAY_GRACE_US);
			if (notify_watchdog_ms())
				notify_say("WATCHDOG=1");
			said = now;
		}
		/* It may be begun again at any time. */
		if (sigpending(&pending) == 0 &&
		    (sigismember(&pending, SIGTERM) == 1 ||
		    sigismember(&pending, SIGINT) == 1))
			(void)kill(pid, SIGKILL);
		(void)sigtimedwait(&child, NULL, &look); /* or later */
	}
	return got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* --- opening -------------------------------------------------------------------- */

static int
open_log(struct service *s, struct verdict *v)
{
	const struct settings *set = &s->config.global;
	struct timespec nap = { .tv_nsec = LOCK_NAP_MS * 1000000L };
	int64_t deadline = clock_mono_ms() + LOCK_WAIT_MS;
	uint64_t size = redo_size(set->delivery_log);

	while (redo_open(set->state_dir, size, s->board->slots, &s->redo,
	    v) < 0) {
		if (v->why != V_BOX_BUSY || clock_mono_ms() > deadline)
			return -1;
		(void)nanosleep(&nap, NULL); /* sooner does no harm */
	}
	return 0;
}

/* Whatever the last time left; afterwards the log is clean, or -1. */
static int
mend(struct service *s, struct verdict *v)
{
	switch (redo_state(s->redo)) {
	case REDO_CLEAN:
		return 0;
	case REDO_UNSYNCED:
		return redo_settle(s->redo, v);
	case REDO_FAILED:
		return verdict_set(v, V_CONFIG, "mail is in it that the disk did "
		    "not take; start the machine anew when the disk is well");
	case REDO_TORN:
		break;
	}
	/* Its heads are read again when the other process is through. */
	redo_close(&s->redo);
	if (replay_apart(s) < 0)
		return verdict_set(v, V_TROUBLE, "it could not be replayed");
	if (open_log(s, v) < 0)
		return -1;
	return !s->redo || redo_state(s->redo) == REDO_CLEAN ? 0 :
	    verdict_set(v, V_TROUBLE, "it could not be replayed");
}

/* Mail goes on without it; who started us by hand sees it, too. */
static void
complain(const struct settings *set, const struct verdict *v)
{
	(void)dprintf(STDERR_FILENO, "vbox-lmtpd: no delivery log: %s "
	    "(%s/" REDO_DIR ")\n", v->detail, set->state_dir);
	log_say(SET_LOG_ERROR, "no delivery log: %s (%s/" REDO_DIR ")",
	    v->detail, set->state_dir);
}

static void
say_in_use(const struct settings *set)
{
	uint64_t size = redo_size(set->delivery_log);

	metrics_add(METRIC_LOG_ROOM, size);
	log_say(SET_LOG_INFO, "delivery log: %llu MB in %s/" REDO_DIR,
	    (unsigned long long)(size >> 20), set->state_dir);
}

void
keeper_open(struct service *s)
{
	const struct settings *set = &s->config.global;
	struct verdict v = VERDICT_INIT;
	int r;

	if (open_log(s, &v) < 0) {
		/* Who never had one need not hear of it. */
		if (set->delivery_log)
			complain(set, &v);
		else
			log_say(SET_LOG_DEBUG, "no delivery log: %s",
			    v.detail);
		return;
	}
	if (!s->redo)
		return;
	/* Zeros are written to all of it, when it is new. */
	notify_say("EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)
	    (set->delivery_log / ZEROS_PER_SECOND * 1000000 + START_US));
	r = mend(s, &v);
	if (r == 0 && s->redo)
		r = set->delivery_log ? redo_start(s->redo, &v) :
		    redo_remove(s->redo, &v);
	if (r < 0)
		complain(set, &v);
	else if (s->redo && set->delivery_log)
		say_in_use(set);
	if (r < 0 || !set->delivery_log)
		redo_close(&s->redo);
}

/* --- the process ------------------------------------------------------------------ */

static void
keep(struct service *s)
{
	const struct settings *set = &s->config.global;
	struct verdict v = VERDICT_INIT;

	while (redo_keep(s->redo, set->delivery_log_flush, KEEPER_SLEEP_MS,
	    &v) == 0)
		;
	log_say(SET_LOG_ERROR, "delivery log: %s; it is not used any more",
	    v.detail);
	metrics_subtract(METRIC_LOG_ROOM, metrics_value(METRIC_LOG_ROOM));
	/* What was acknowledged before. */
	if (redo_stop(s->redo, &v) < 0)
		log_say(SET_LOG_ERROR, "delivery log: %s", v.detail);
	for (;;)
		(void)pause();	/* until we are told to end */
}

pid_t
keeper_start(struct service *s)
{
	struct sigaction preset = { .sa_handler = SIG_DFL };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;
	pid_t pid = fork();

	if (pid < 0)
		log_say(SET_LOG_ERROR, "cannot fork the keeper of the delivery "
		    "log: %s", strerror(errno));
	if (pid != 0)
		return pid;
	(void)sigaction(SIGTERM, &preset, NULL);
	(void)sigaction(SIGCHLD, &preset, NULL);
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGUSR1, &ignore, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != s->master)
		_exit(EX_OK);
	/* A door is closed when the master and the workers have closed it. */
	for (size_t i = 0; i < s->listeners.n; i++)
		(void)close(s->listeners.v[i].fd);
	keep(s);
	_exit(EX_OK);
}

void
keeper_close(struct service *s, pid_t keeper)
{
	struct verdict v = VERDICT_INIT;
	struct redo_counts n;

	if (keeper > 0) {
		(void)kill(keeper, SIGKILL);
		while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (!s->redo)
		return;
	if (redo_stop(s->redo, &v) < 0)
		log_say(SET_LOG_ERROR, "delivery log: %s", v.detail);
	n = redo_counts(s->redo);
	log_say(SET_LOG_INFO, "delivery log: %llu messages, %llu syncs, %llu "
	    "found no room", (unsigned long long)n.records,
	    (unsigned long long)n.syncs, (unsigned long long)n.direct);
	redo_close(&s->redo);
}
