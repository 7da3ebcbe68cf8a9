#include "lda/server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "filters/message/charset.h"
#include "lda/filter.h"
#include "lda/log.h"
#include "lda/lookup.h"
#include "lda/metrics.h"
#include "lda/resolve.h"
#include "lda/scripts.h"
#include "lda/server/answerer.h"
#include "lda/server/peers.h"
#include "lda/server/sandbox.h"
#include "lda/server/submitter.h"
#include "store/base/file.h"
#include "store/directory/name.h"
#include "store/redo.h"
#include "store/retry.h"
#include "store/state.h"

/* A worker that had nothing to do for so long looks whether it is needed. */
#define IDLE_MS 10000

/* The order of the day, set by signals, which are open only while we wait. */
static volatile sig_atomic_t order = SESSION_GO_ON;
static struct board_slot *own_slot;	/* where the master writes it, too */

struct worker {
	struct service *service;
	unsigned slot;
	struct directory *directory;
	struct retry *retry;
	struct resolver resolver;
	struct agent agent;
	struct session_site site;
	sigset_t waiting;
	int epoll;
};

static struct service *tls_service;	/* for secure(), which has no other way */

static void
on_signal(int sig)
{
	if (sig == SIGUSR1 && order < SESSION_RETIRE)
		order = SESSION_RETIRE;
	else if (sig == SIGTERM)
		order = order >= SESSION_STOP ? SESSION_STOP_NOW : SESSION_STOP;
}

static enum session_order
present_order(void)
{
	int told = own_slot ? atomic_load(&own_slot->order) : SESSION_GO_ON;

	return (enum session_order)(told > order ? told : order);
}

static void
set_signals(struct worker *w)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction preset = { .sa_handler = SIG_DFL };
	sigset_t blocked;

	/* Held but while we wait for a client or a lock: a message is either
	 * stored and answered, or neither. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGUSR1);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
	sigemptyset(&w->waiting);
	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGUSR1, &act, NULL);
	/* The terminal's and the master's: not for us. */
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGXFSZ, &ignore, NULL);
	(void)sigaction(SIGCHLD, &preset, NULL);
}

/* Signals are held while we deliver; a lock that is waited for asks here. */
static bool
stop_pending(void)
{
	sigset_t set;

	return order >= SESSION_STOP || (sigpending(&set) == 0 &&
	    sigismember(&set, SIGTERM) == 1);
}

/* --- one connection ------------------------------------------------------------ */

static void
done(const struct report *r)
{
	report_log(r);
	if (r->verdict->why == V_BOX_BUSY)
		metrics_add(METRIC_LOCK_TIMEOUTS, 1);
	if (r->delivery) {
		metrics_add(METRIC_DOTLOCKS_REMOVED,
		    delivery_locks_broken(r->delivery));
		metrics_add(METRIC_MBOX_REPAIRS,
		    delivery_repaired(r->delivery) > 0);
	}
	metrics_delivery(r->verdict, (uint64_t)r->elapsed_ms * 1000,
	    r->verdict->why == V_OK && r->delivery ?
	    delivery_size(r->delivery) : 0);
}

static int
secure(struct wire *w, int64_t deadline)
{
	return tls_accept(tls_service->tls, w, deadline);
}

static enum session_trust
trust(const struct worker *w, const struct sockaddr_storage *peer)
{
	/* Who may write to a unix socket is said by its mode. */
	if (peer->ss_family != AF_INET && peer->ss_family != AF_INET6)
		return SESSION_TRUSTED;
	return peers_have(&w->service->config.global.xclient_peers, peer) ?
	    SESSION_TRUSTED : SESSION_STRANGER;
}

static void
serve(struct worker *w, const struct role *role, int in, int out,
    const struct sockaddr_storage *peer)
{
	struct wire wire = { .in = in, .out = out, .waiting = &w->waiting };
	struct session_site site = w->site;
	char client[PEER_TEXT];
	struct visit visit = { .site = &site, .wire = &wire,
	    .client = client, .trust = trust(w, peer) };
	int on = 1;

	peer_text(peer, client);
	if (peer->ss_family == AF_INET || peer->ss_family == AF_INET6) {
		(void)setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(out, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		if (w->service->tls)
			site.secure = secure;
	}
	wire_brisk(&wire);
	metrics_add(METRIC_CONNECTIONS, 1);
	metrics_add(METRIC_CONNECTIONS_NOW, 1);
	role->serve(&visit);
	metrics_subtract(METRIC_CONNECTIONS_NOW, 1);
	tls_finish(&wire);
}

/* --- the pool -------------------------------------------------------------------- */

static void
set_state(struct worker *w, enum board_state state)
{
	atomic_store(&w->service->board->slot[w->slot].state, (int)state);
}

void
worker_poke(const struct service *s)
{
	static const uint64_t one = 1;

	if (write(s->poke, &one, sizeof(one)) < 0)
		return;		/* full: it is awake */
}

static void
accept_one(struct worker *w, const struct listener *l)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	socklen_t n = sizeof(peer);
	struct board_slot *slot = &w->service->board->slot[w->slot];
	int fd;

	fd = accept4(l->fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC);
	if (fd < 0)
		return;		/* another worker was quicker */
	set_state(w, BOARD_BUSY);
	worker_poke(w->service);
	atomic_fetch_add(&slot->served, 1);
	serve(w, l->role, fd, fd, &peer);
	(void)close(fd);
	set_state(w, BOARD_IDLE);
	worker_poke(w->service);
}

static int
watch(struct worker *w)
{
	struct listeners *l = &w->service->listeners;

	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		/* Exclusive: one connection wakes one worker. */
		struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE,
		    .data.u32 = (uint32_t)i };

		if (l->v[i].role->protocol == NULL && epoll_ctl(w->epoll, EPOLL_CTL_ADD, l->v[i].fd, &e) < 0)
			return -1;
	}
	return 0;
}

static void
loop(struct worker *w)
{
	struct epoll_event e;
	int n;

	set_state(w, BOARD_IDLE);
	while (order == SESSION_GO_ON) {
		n = epoll_pwait(w->epoll, &e, 1, IDLE_MS, &w->waiting);
		if (n == 1)
			accept_one(w, &w->service->listeners.v[e.data.u32]);
		else if (n == 0)
			worker_poke(w->service);
		else if (errno != EINTR)
			break;
	}
}

/* --- begin ------------------------------------------------------------------------- */

/* Loads what a first question loads (modules, among them the one for names
 * beyond ASCII, and connections), while files outside of the mail may still be
 * opened. The answer is of no interest. */
static void
warm_up(struct worker *w)
{
	struct domain_record record;
	struct verdict v;
	struct arena a;

	arena_init(&a, RESOLVE_ARENA);
	(void)resolve_domain(&w->resolver, STR("w\303\244rmen.invalid"), &a, &record,
	    &v);
	arena_release(&a);
	/* The accounts' state is asked much later; a directory that is no
	 * SQLite has not loaded it. Without it the state says so itself. */
	(void)state_preload(&v);
	/* For the filters, which inherit them: Landlock hides iconv's tables. */
	(void)charset_preload();
	scripts_engines_load(&w->service->config);
}

void
worker_preload(const struct config *c)
{
	struct directory *d = NULL;
	struct verdict ignored;

	/* Each worker says what is missing when it wants it. */
	if (lookup_open(c, LOOKUP_ONCE, &d, &ignored) == 0)
		directory_close(&d);
	(void)name_preload(&ignored);
	(void)state_preload(&ignored);
	(void)charset_preload();
}

static bool
wants_journal(const struct config *c)
{
	bool yes = c->global.retry_journal != 0;

	for (size_t i = 0; i < c->section_count; i++)
		yes = yes || c->sections[i].settings.retry_journal != 0;
	return yes;
}

/* Without the journal mail is delivered as if it were off. */
static void
open_journal(struct worker *w)
{
	struct verdict v = VERDICT_INIT;
	int dir;

	if (!wants_journal(&w->service->config))
		return;
	dir = file_open_root(w->service->config.global.state_dir);
	if (dir < 0)
		verdict_errno(&v, errno, "%s",
		    w->service->config.global.state_dir);
	if (dir < 0 || retry_open(dir, &w->retry, &v) < 0)
		log_say(SET_LOG_WARNING, "no retry journal: %s", v.detail);
	file_close(&dir);
}

static void
join_log(struct service *s)
{
	const char *what = NULL;

	if (!s->redo)
		return;
	/* A filter must not have it. */
	if (redo_keep_private(s->redo) < 0)
		what = "keep its memory apart";
	else if (redo_open_own(s->redo) < 0)
		what = "open it";
	if (!what)
		return;
	log_say(SET_LOG_WARNING, "no delivery log: %s: %s", what,
	    strerror(errno));
	redo_close(&s->redo);
}

static int
prepare(struct worker *w, struct service *s, struct verdict *v)
{
	w->service = s;
	tls_service = s;
	if (lookup_open(&s->config, LOOKUP_LONG, &w->directory, v) < 0)
		return -1;
	w->resolver = (struct resolver){ .directory = w->directory,
	    .delimiters = s->config.global.recipient_delimiter };
	/* What a filter is made to do concerns nobody else. A kernel that takes
	 * no advice leaves the board to it: no reason to serve nobody. */
	if (board_keep_private(s->board) < 0 && errno != ENOSYS)
		return verdict_errno(v, errno, "keep the board apart");
	join_log(s);
	w->agent = (struct agent){ .config = &s->config,
	    .resolver = &w->resolver, .hostname = s->hostname,
	    .filter_life = FILTER_WARM, .mode = DELIVERY_REAL,
	    .redo = s->redo, .redo_slot = w->slot,
	    .stop = stop_pending };
	w->site = (struct session_site){ .agent = &w->agent,
	    .board = s->board, .slot = w->slot, .order = present_order,
	    .done = done };
	open_journal(w);
	w->site.retry = w->retry;
	warm_up(w);
	log_own();
	if (s->submitter >= 0)
		submitter_use(s->submitter);
	return sandbox_enter(&s->config, v);
}

int
worker_run(struct service *s, unsigned slot)
{
	static struct worker w;
	struct verdict v = VERDICT_INIT;
	int r = 0;

	w.slot = slot;
	own_slot = &s->board->slot[slot];
	set_signals(&w);
	/* A master that is killed takes us along once we are idle. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != s->master)
		return 0;	/* it was killed before we asked for that */
	w.service = s;
	if (slot >= BOARD_ANSWERERS && watch(&w) < 0) {
		log_say(SET_LOG_ERROR, "worker cannot watch its sockets");
		return EX_TEMPFAIL;
	}
	if (prepare(&w, s, &v) < 0) {
		log_say(SET_LOG_ERROR, "worker cannot start: %s", v.detail);
		return EX_TEMPFAIL;
	}
	if (slot < BOARD_ANSWERERS) {
		struct answerer a = { .service = s, .slot = slot,
		    .agent = &w.agent, .waiting = &w.waiting,
		    .order = present_order };

		r = answerer_run(&a) < 0 ? EX_TEMPFAIL : 0;
	} else {
		loop(&w);
	}
	filter_end();
	directory_close(&w.directory);
	return r;
}

int
worker_inetd(struct service *s)
{
	static struct worker w;
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	struct verdict v = VERDICT_INIT;
	socklen_t n = sizeof(peer);

	set_signals(&w);
	/* Who fails says so when types are wanted. */
	(void)filter_preload(s->config.global.magic_database, &v);
	v = VERDICT_INIT;
	if (getpeername(STDIN_FILENO, (struct sockaddr *)&peer, &n) < 0)
		peer.ss_family = AF_UNIX;
	if (prepare(&w, s, &v) < 0) {
		log_say(SET_LOG_ERROR, "cannot start: %s", v.detail);
		return EX_TEMPFAIL;
	}
	serve(&w, &roles[0], STDIN_FILENO, STDIN_FILENO, &peer);
	directory_close(&w.directory);
	return 0;
}
