#include "lda/server/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/filter.h"
#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/server/keeper.h"
#include "lda/server/notify.h"
#include "lda/server/submitter.h"
#include "lda/server/worker.h"
#include "store/base/clock.h"

/* Idle workers kept ready; with `workers = 0` two for each processor. */
#define SPARE_PER_CPU 2
#define SPARE_LEAST 4
/* Processes that answer questions: one for each processor, and another one
 * when one waits for a directory. */
#define ANSWERERS_LEAST 2
#define ANSWERERS_MOST 32
/* Workers that were all busy once are kept so long: MTAs come in waves. */
#define PEAK_KEPT_MS 60000
/* A worker that dies sooner than this did not get to work: the next one
 * waits as long. */
#define TOO_SOON_MS 1000
/* Draining: after the first time clients are hung up on between lines, after
 * the second workers are killed; mail not yet answered is sent again. */
#define DRAIN_POLITE_MS 20000
#define DRAIN_MS 30000
/* How long a reload waits for idle workers of before. */
#define RELOAD_WAIT_MS 2000
/* Lines of a wrong configuration that are logged. */
#define PROBLEMS_MAX 16384

struct master {
	struct service *s;
	sigset_t waiting;
	unsigned used;		/* slots that were ever used */
	int64_t pause_until;	/* no forks before */
	pid_t submitter;
	pid_t keeper;		/* of the delivery log; -1: none */
	int64_t keeper_ms;	/* when it was started */
	int64_t next_watchdog;
	int64_t next_textfile;
	bool busy;		/* no slot left: we answer ourselves */
	unsigned peak;		/* most workers busy at a time, lately */
	int64_t peak_ms;	/* when it was so */
};

static volatile sig_atomic_t got_hup, got_term, got_chld;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		got_hup = 1;
	else if (sig == SIGCHLD)
		got_chld = 1;
	else
		got_term = 1;
}

static void
set_signals(struct master *m)
{
	static const int ours[] = { SIGHUP, SIGTERM, SIGINT, SIGCHLD };
	struct sigaction act = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		sigaddset(&blocked, ours[i]);
		(void)sigaction(ours[i], &act, NULL);
	}
	/* For a worker that is told to retire before it is ready for that. */
	sigaddset(&blocked, SIGUSR1);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGXFSZ, &ignore, NULL);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
	sigemptyset(&m->waiting);
}

/* --- workers ----------------------------------------------------------------- */

static enum board_state
state_of(const struct master *m, unsigned i)
{
	return (enum board_state)atomic_load(&m->s->board->slot[i].state);
}

static unsigned
most_workers(const struct master *m)
{
	uint64_t most = m->s->config.global.max_connections;
	unsigned slots = m->s->board->slots - BOARD_ANSWERERS;

	return most < slots ? (unsigned)most : slots;
}

/* Processes that answer questions, where there is a door for them. */
static unsigned
answerers(const struct master *m)
{
	const struct listeners *l = &m->s->listeners;
	uint64_t n = m->s->config.global.map_workers;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (n == 0)
		n = cpus > ANSWERERS_LEAST ? (uint64_t)cpus : ANSWERERS_LEAST;
	if (n > ANSWERERS_MOST)
		n = ANSWERERS_MOST;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].role->protocol != NULL)
			return (unsigned)n;
	return 0;
}

static unsigned
spare(const struct master *m)
{
	uint64_t n = m->s->config.global.workers;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (n == 0) {
		n = cpus > 0 ? (uint64_t)cpus * SPARE_PER_CPU : 1;
		if (n < SPARE_LEAST)
			n = SPARE_LEAST;
	}
	return n < most_workers(m) ? (unsigned)n : most_workers(m);
}

static int
start_worker(struct master *m, unsigned slot)
{
	struct board_slot *b = &m->s->board->slot[slot];
	pid_t pid;

	b->generation = m->s->generation;
	atomic_store(&b->state, (int)BOARD_STARTING);
	pid = fork();
	if (pid == 0)
		_exit(worker_run(m->s, slot));
	if (pid < 0) {
		board_clear(m->s->board, slot);
		log_say(SET_LOG_ERROR, "cannot fork a worker: %s",
		    strerror(errno));
		return -1;
	}
	atomic_store(&b->pid, pid);
	b->started_ms = clock_mono_ms();
	if (slot >= m->used)
		m->used = slot + 1;
	metrics_add(METRIC_WORKERS_NOW, 1);
	return 0;
}

/* How many idle workers are not too many. */
static unsigned
enough(struct master *m, unsigned want)
{
	unsigned busy = 0, idle_most = 4 * want + 8;
	int64_t now = clock_mono_ms();

	for (unsigned i = BOARD_ANSWERERS; i < m->used; i++)
		busy += state_of(m, i) == BOARD_BUSY;
	if (busy >= m->peak || now - m->peak_ms > PEAK_KEPT_MS) {
		m->peak = busy;
		m->peak_ms = now;
	}
	return m->peak > idle_most ? m->peak : idle_most;
}

/* Keeps those who answer. */
static void
keep_answerers(struct master *m)
{
	unsigned want = answerers(m), slot = 0;

	for (unsigned i = 0; i < BOARD_ANSWERERS && want > 0; i++)
		if (state_of(m, i) != BOARD_FREE &&
		    m->s->board->slot[i].generation == m->s->generation)
			want--;
	if (clock_mono_ms() < m->pause_until)
		return;
	for (; want > 0; want--) {
		while (slot < BOARD_ANSWERERS &&
		    state_of(m, slot) != BOARD_FREE)
			slot++;
		if (slot == BOARD_ANSWERERS || start_worker(m, slot) < 0)
			break;
	}
}

/* The order stands on the board before the signal comes. */
static void
tell_worker(struct board_slot *b, int sig)
{
	int told = atomic_load(&b->order);

	if (sig == SIGUSR1 && told < SESSION_RETIRE)
		atomic_store(&b->order, (int)SESSION_RETIRE);
	else if (sig == SIGTERM)
		atomic_store(&b->order, told >= SESSION_STOP ?
		    (int)SESSION_STOP_NOW : (int)SESSION_STOP);
	(void)kill(atomic_load(&b->pid), sig);
}

/* Keeps enough idle workers, of this generation, and not far too many. */
static void
keep_pool(struct master *m)
{
	unsigned idle = 0, all = 0, want = spare(m), most = most_workers(m);
	unsigned idle_most = enough(m, want), slot = BOARD_ANSWERERS;

	keep_answerers(m);
	for (unsigned i = BOARD_ANSWERERS; i < m->used; i++) {
		struct board_slot *b = &m->s->board->slot[i];
		enum board_state state = state_of(m, i);

		if (state == BOARD_FREE)
			continue;
		all++;
		if (state == BOARD_BUSY || b->generation != m->s->generation)
			continue;
		idle++;
		if (idle > idle_most && state == BOARD_IDLE)
			/* Retires; one that just got a client serves it. */
			tell_worker(b, SIGUSR1);
	}
	if (clock_mono_ms() < m->pause_until)
		return;
	while (idle < want && all < most) {
		while (slot < most + BOARD_ANSWERERS &&
		    state_of(m, slot) != BOARD_FREE)
			slot++;
		if (slot >= most + BOARD_ANSWERERS ||
		    start_worker(m, slot) < 0)
			break;
		idle++;
		all++;
	}
	m->busy = idle == 0 && all >= most;
}

static void
signal_workers(const struct master *m, int sig, bool old_only)
{
	for (unsigned i = 0; i < m->used; i++) {
		struct board_slot *b = &m->s->board->slot[i];

		if (state_of(m, i) != BOARD_FREE && atomic_load(&b->pid) > 0 &&
		    (!old_only || b->generation != m->s->generation))
			tell_worker(b, sig);
	}
}

static void
buried(struct master *m, unsigned slot, pid_t pid, int status)
{
	struct board_slot *b = &m->s->board->slot[slot];
	bool idle_end = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (!idle_end) {
		metrics_add(METRIC_WORKER_CRASHES, 1);
		if (slot < BOARD_ANSWERERS)
			metrics_subtract(METRIC_CONNECTIONS_NOW,
			    atomic_load(&b->connections));
		else if (state_of(m, slot) == BOARD_BUSY)
			metrics_subtract(METRIC_CONNECTIONS_NOW, 1);
		log_say(SET_LOG_ERROR, "worker %d ended with %s %d, "
		    "after %llu connections", (int)pid,
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status), (unsigned long long)b->served);
		if (clock_mono_ms() - b->started_ms < TOO_SOON_MS &&
		    b->served == 0)
			m->pause_until = clock_mono_ms() + TOO_SOON_MS;
	}
	b->served = 0;
	board_clear(m->s->board, slot);
	if (m->s->redo)
		redo_forget(m->s->redo, slot, pid);
	metrics_subtract(METRIC_WORKERS_NOW, 1);
}

static void
bury(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->submitter) {
			m->submitter = -1;
			continue;
		}
		if (pid == m->keeper) {
			/* A reload ends it so. */
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM)
				log_say(SET_LOG_ERROR, "the keeper of the "
				    "delivery log has ended, status %d; "
				    "another one is started", status);
			m->keeper = -1;
			continue;
		}
		for (unsigned i = 0; i < m->used; i++)
			if (atomic_load(&m->s->board->slot[i].pid) == pid) {
				buried(m, i, pid, status);
				break;
			}
	}
}

static unsigned
count_workers(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->used; i++)
		n += state_of(m, i) != BOARD_FREE;
	return n;
}

/* Types of attachments, for the filters of all workers: these may open nothing.
 * Where there are none, a policy that applies says so. */
static void
preload(const struct config *c)
{
	struct verdict v = VERDICT_INIT;
	bool wanted = c->global.content_rules.n > 0;

	for (size_t i = 0; i < c->section_count; i++)
		wanted = wanted || c->sections[i].settings.content_rules.n > 0;
	if (filter_preload(c->global.magic_database, &v) < 0)
		log_say(wanted ? SET_LOG_ERROR : SET_LOG_DEBUG,
		    "attachments cannot be typed: %s", v.detail);
}

/* --- reload --------------------------------------------------------------------- */

static void
log_problems(const struct buf *problems)
{
	struct str rest = buf_str(problems), line;

	while (str_split(&rest, '\n', &line))
		if (line.n)
			log_say(SET_LOG_ERROR, "%.*s", STR_ARG(line));
}

static int
start_submitter(struct master *m)
{
	struct verdict v = VERDICT_INIT;

	m->s->submitter = -1;
	m->submitter = submitter_start(&m->s->config, &m->s->submitter, &v);
	if (m->submitter < 0)
		log_say(SET_LOG_ERROR, "no submit helper: %s", v.detail);
	return m->submitter < 0 ? -1 : 0;
}

/* The delivery log is used without its keeper, too, until it is full. */
static void
mind_keeper(struct master *m)
{
	int64_t now = clock_mono_ms();

	if (!m->s->redo || m->keeper >= 0 ||
	    (m->keeper_ms && now - m->keeper_ms < TOO_SOON_MS))
		return;
	m->keeper_ms = now;
	m->keeper = keeper_start(m->s);
}

/* Idle workers of the old configuration leave at once; until they have,
 * they might take one more client. */
static void
wait_for_old(struct master *m)
{
	int64_t deadline = clock_mono_ms() + RELOAD_WAIT_MS;
	struct timespec ts = { .tv_nsec = 2000000 };
	bool waiting = true;

	while (waiting && clock_mono_ms() < deadline) {
		bury(m);
		waiting = false;
		for (unsigned i = 0; i < m->used; i++)
			waiting = waiting || (state_of(m, i) == BOARD_IDLE &&
			    m->s->board->slot[i].generation !=
			    m->s->generation);
		if (waiting)
			(void)ppoll(NULL, 0, &ts, &m->waiting);
	}
}

/* The workers of before keep what they have until their clients leave; the
 * helper of before ends with the last of them. */
static void
reload(struct master *m)
{
	struct service *s = m->s;
	struct listeners fresh = { .n = 0 }, old = s->listeners;
	struct config config, before;
	struct verdict v = VERDICT_INIT;
	struct buf problems;

	notify_reloading();
	buf_init(&problems, PROBLEMS_MAX);
	if (config_load(s->conf, &config, &problems, &v) < 0) {
		log_problems(&problems);
		log_say(SET_LOG_ERROR, "the configuration stays as it was: %s",
		    v.detail);
		goto out;
	}
	for (size_t i = 0; i < old.n; i++)
		if (old.v[i].inherited)
			fresh.v[fresh.n++] = old.v[i];
	if (listen_open(&fresh, &config.global, NULL, &old, &v) < 0) {
		log_say(SET_LOG_ERROR, "the configuration stays as it was: %s",
		    v.detail);
		config_release(&config);
		goto out;
	}
	before = s->config;
	if (before.global.delivery_log != config.global.delivery_log)
		log_say(SET_LOG_WARNING, "delivery_log: takes effect when the "
		    "service is started again");
	s->config = config;
	s->listeners = fresh;
	listen_close(&old, &fresh);
	log_close();
	log_open("vbox-lmtpd", &s->config.global);
	config_release(&before);
	preload(&s->config);
	/* The next one has the new configuration. */
	if (m->keeper > 0)
		(void)kill(m->keeper, SIGTERM);
	if (s->submitter >= 0)
		(void)close(s->submitter);
	(void)start_submitter(m);
	worker_preload(&s->config);
	s->generation++;
	keep_pool(m);
	signal_workers(m, SIGUSR1, true);
	wait_for_old(m);
	metrics_add(METRIC_RELOADS, 1);
	log_say(SET_LOG_INFO, "configuration loaded");
out:
	buf_release(&problems);
	notify_say("READY=1");
}

/* --- when all are busy -------------------------------------------------------------- */

static void
turn_away(struct master *m, const struct listener *l)
{
	char text[512];
	int n, fd;

	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	metrics_add(METRIC_CONNECTIONS_REFUSED, 1);
	n = snprintf(text, sizeof(text), "421 4.3.2 %s Too many connections, "
	    "please try again later\r\n", m->s->hostname);
	if (n > 0 && l->role == &roles[0])	/* one try: it may be deaf */
		(void)send(fd, text, (size_t)n, MSG_NOSIGNAL);
	(void)close(fd);
}

/* --- life ------------------------------------------------------------------------------ */

static int
next_timeout(const struct master *m)
{
	int64_t now = clock_mono_ms(), at = now + 1000;

	if (m->next_watchdog && m->next_watchdog < at)
		at = m->next_watchdog;
	return at <= now ? 0 : (int)(at - now);
}

static void
timers(struct master *m)
{
	const struct settings *s = &m->s->config.global;
	int64_t now = clock_mono_ms(), every = notify_watchdog_ms();
	struct verdict v = VERDICT_INIT;

	if (every && now >= m->next_watchdog) {
		notify_say("WATCHDOG=1");
		m->next_watchdog = now + every;
	}
	if (s->metrics_textfile[0] && now >= m->next_textfile) {
		if (metrics_write(s->metrics_textfile, &v) < 0)
			log_say(SET_LOG_WARNING, "metrics: %s", v.detail);
		m->next_textfile = now + (int64_t)s->metrics_interval;
	}
}

/* Sleeps until something happens. */
static void
wait_for_events(struct master *m)
{
	struct pollfd p[1 + LISTEN_MOST] = { { .fd = m->s->poke,
	    .events = POLLIN } };
	struct listeners *l = &m->s->listeners;
	nfds_t count = 1;
	struct timespec ts;
	uint64_t pokes;
	int ms = next_timeout(m);

	/* Those who answer turn away for themselves; poll(2) passes over -1. */
	if (m->busy)
		for (size_t i = 0; i < l->n; i++)
			p[count++] = (struct pollfd){ .fd =
			    l->v[i].role->protocol != NULL ? -1 : l->v[i].fd,
			    .events = POLLIN };
	ts = (struct timespec){ .tv_sec = ms / 1000,
	    .tv_nsec = ms % 1000 * 1000000L };
	if (ppoll(p, count, &ts, &m->waiting) <= 0)
		return;
	if (p[0].revents && read(m->s->poke, &pokes, sizeof(pokes)) < 0)
		pokes = 0;	/* somebody was quicker */
	for (nfds_t i = 1; i < count; i++)
		if (p[i].revents)
			turn_away(m, &l->v[i - 1]);
}

static void
drain(struct master *m)
{
	int64_t began = clock_mono_ms(), polite = began + DRAIN_POLITE_MS;
	struct timespec ts = { .tv_nsec = 100000000 };

	notify_say("STOPPING=1");
	log_say(SET_LOG_INFO, "stopping");
	listen_close(&m->s->listeners, NULL);
	signal_workers(m, SIGTERM, false);
	while (count_workers(m) > 0) {
		if (clock_mono_ms() > polite) {
			signal_workers(m, SIGTERM, false);
			polite = INT64_MAX;
		}
		if (clock_mono_ms() > began + DRAIN_MS) {
			log_say(SET_LOG_WARNING, "%u workers did not end in "
			    "time", count_workers(m));
			signal_workers(m, SIGKILL, false);
		}
		if (notify_watchdog_ms())
			notify_say("WATCHDOG=1");
		(void)ppoll(NULL, 0, &ts, &m->waiting);
		bury(m);
	}
	keeper_close(m->s, m->keeper);
}

int
master_run(struct service *s, void (*ready)(void))
{
	static struct master m;

	m.s = s;
	s->master = getpid();
	m.submitter = m.keeper = -1;
	set_signals(&m);
	s->poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->poke < 0) {
		log_say(SET_LOG_ERROR, "eventfd: %s", strerror(errno));
		return EX_TEMPFAIL;
	}
	keeper_open(s);
	preload(&s->config);
	(void)start_submitter(&m);	/* logged; only forwards need it */
	worker_preload(&s->config);
	mind_keeper(&m);
	keep_pool(&m);
	ready();
	log_say(SET_LOG_INFO, "ready, version " VBOX_VERSION);
	while (!got_term) {
		wait_for_events(&m);
		if (got_chld) {
			got_chld = 0;
			bury(&m);
		}
		if (got_hup) {
			got_hup = 0;
			reload(&m);
		}
		if (m.submitter < 0) {
			if (s->submitter >= 0)
				(void)close(s->submitter);
			(void)start_submitter(&m);
			s->generation++;
			signal_workers(&m, SIGUSR1, true);
		}
		mind_keeper(&m);
		keep_pool(&m);
		timers(&m);
	}
	drain(&m);
	log_say(SET_LOG_INFO, "stopped");
	return 0;
}
