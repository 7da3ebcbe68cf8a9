#include "lda/server/answerer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lda/maps/serve.h"
#include "lda/metrics.h"
#include "lda/resolve.h"
#include "lda/server/worker.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"

/* One read; more than any request. */
#define PIECE 65536
#define EVENTS 64
/* Of a client that does not read its answers no more is read than this. */
#define INPUT_MAX (2 * PIECE)
/* One client's turn, in ms: many questions at once wait for those of others, and
 * a directory is slow at times. */
#define TURN_MS 10
/* Between two looks at who was quiet for too long, and at signals. */
#define SWEEP_MS 1000
#define IDLE_MS 10000
/* A retiring process hangs up on a client that is quiet for so long, and on
 * the others between two questions after the second time; on whoever never
 * stops asking, after the third. */
#define RETIRE_MS 5000
#define RETIRE_MOST_MS 15000
#define RETIRE_LAST_MS 30000
/* Who has more connections than another lets that one go first. */
#define AFTER_YOU_NS 300000
/* Descriptors that are no client's: sockets, files and servers of the
 * directory, the log. */
#define FILES_OWN 64
/* In an epoll_event: a listener's index, else the address of a caller. */
#define DOOR ((uint64_t)1 << 63)

struct caller {
	int fd;
	const struct map_protocol *protocol;
	struct buf in;		/* half a question, or what waits behind out */
	struct buf out;		/* answers that the client has not taken */
	size_t sent;
	bool again;		/* its turn was over: questions wait in `in` */
	int64_t since_ms;	/* began to wait for this request */
	struct caller *prev, *next;
};

struct hall {
	const struct answerer *a;
	const struct settings *settings;
	int epoll;
	struct caller *first;
	uint64_t most;		/* connections at a time */
	unsigned count;
	unsigned again;		/* callers that wait for another turn */
	struct arena arena;
	struct buf out;
	int64_t retired_ms;	/* 0: not told to */
	char piece[PIECE];
};

/* --- callers --------------------------------------------------------------------- */

static struct board_slot *
own_slot(const struct hall *h)
{
	return &h->a->service->board->slot[h->a->slot];
}

static void
counted(struct hall *h)
{
	struct board_slot *s = own_slot(h);

	atomic_store(&s->connections, h->count);
	atomic_store(&s->state, h->count > 0 ? BOARD_BUSY : BOARD_IDLE);
}

static void
set_again(struct hall *h, struct caller *c, bool again)
{
	h->again += again;
	h->again -= c->again;
	c->again = again;
}

static void
hang_up(struct hall *h, struct caller *c)
{
	set_again(h, c, false);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		h->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	(void)close(c->fd);	/* and out of the epoll set */
	buf_release(&c->in);
	buf_release(&c->out);
	free(c);
	h->count--;
	metrics_subtract(METRIC_CONNECTIONS_NOW, 1);
	counted(h);
}

static int
watch(const struct hall *h, int op, struct caller *c, uint32_t events)
{
	struct epoll_event e = { .events = events,
	    .data.u64 = (uint64_t)(uintptr_t)c };

	return epoll_ctl(h->epoll, op, c->fd, &e);
}

/* Is there somebody of our kind with fewer connections? */
static bool
another_has_less(const struct hall *h)
{
	const struct board *b = h->a->service->board;
	unsigned generation = b->slot[h->a->slot].generation;

	for (unsigned i = 0; i < BOARD_ANSWERERS; i++) {
		const struct board_slot *s = &b->slot[i];
		int state = atomic_load(&s->state);

		if (i != h->a->slot && s->generation == generation &&
		    (state == BOARD_IDLE || state == BOARD_BUSY) &&
		    atomic_load(&s->connections) < h->count)
			return true;
	}
	return false;
}

static void
welcome(struct hall *h, const struct listener *l)
{
	static const struct timespec after_you = { .tv_nsec = AFTER_YOU_NS };
	struct caller *c;
	int fd;

	if (another_has_less(h))
		(void)nanosleep(&after_you, NULL);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;		/* another one was quicker */
	if (h->count >= h->most) {
		/* A client that finds the connection closed tries later. */
		metrics_add(METRIC_CONNECTIONS_REFUSED, 1);
		(void)close(fd);
		return;
	}
	c = mem_zalloc(1, sizeof(*c));
	c->fd = fd;
	c->protocol = l->role->protocol;
	c->since_ms = clock_mono_ms();
	buf_init(&c->in, INPUT_MAX);
	buf_init(&c->out, MAP_OUT_MAX);
	c->next = h->first;
	if (h->first != NULL)
		h->first->prev = c;
	h->first = c;
	h->count++;
	atomic_fetch_add(&own_slot(h)->served, 1);
	metrics_add(METRIC_CONNECTIONS, 1);
	metrics_add(METRIC_CONNECTIONS_NOW, 1);
	counted(h);
	if (watch(h, EPOLL_CTL_ADD, c, EPOLLIN) < 0)
		hang_up(h, c);
}

/* --- questions and answers --------------------------------------------------------- */

/* Sends what was answered; what does not go now is kept, and nothing is read
 * until it has gone. false: the client is gone. */
static bool
say(struct hall *h, struct caller *c)
{
	ssize_t n = write(c->fd, h->out.p, h->out.n);
	bool ok = true;

	if (n < 0 && errno != EAGAIN)
		return false;
	if (n < 0)
		n = 0;
	if ((size_t)n < h->out.n) {
		ok = buf_add(&c->out, h->out.p + n, h->out.n - (size_t)n) == 0 &&
		    watch(h, EPOLL_CTL_MOD, c, EPOLLOUT) == 0;
		c->sent = 0;
	}
	buf_reset(&h->out);
	return ok;
}

/* Whatever is whole in *in is answered, as long as the client listens and it is
 * his turn. */
static bool
answer(struct hall *h, struct caller *c, struct str *in)
{
	int64_t until = clock_mono_ms() + TURN_MS;
	enum map_event event;
	size_t before = in->n;

	do {
		event = map_feed(c->protocol, h->a->agent, in, &h->arena,
		    &h->out, until);
		if (h->out.n > 0 && !say(h, c))
			return false;
	} while (event == MAP_ANSWERED && c->out.n == 0 &&
	    clock_mono_ms() < until);
	set_again(h, c, event == MAP_ANSWERED && c->out.n == 0);
	if (in->n < before)
		c->since_ms = clock_mono_ms();
	return event != MAP_CLOSE;
}

/* The rest waits in c->in. */
static bool
keep(struct caller *c, struct str rest)
{
	if (c->in.n > 0) {
		memmove(c->in.p, rest.p, rest.n);
		buf_cut(&c->in, rest.n);
		return true;
	}
	return rest.n == 0 || buf_adds(&c->in, rest) == 0;
}

static bool
hear(struct hall *h, struct caller *c)
{
	ssize_t got = read(c->fd, h->piece, sizeof(h->piece));
	struct str in;

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	if (c->in.n == 0) {
		c->since_ms = clock_mono_ms();
		in = str_mem(h->piece, (size_t)got);
	} else if (buf_add(&c->in, h->piece, (size_t)got) < 0) {
		return false;
	} else {
		in = buf_str(&c->in);
	}
	return answer(h, c, &in) && keep(c, in);
}

/* The client takes answers again. */
static bool
go_on(struct hall *h, struct caller *c)
{
	ssize_t n = write(c->fd, c->out.p + c->sent, c->out.n - c->sent);
	struct str in;

	if (n < 0)
		return errno == EAGAIN;
	c->sent += (size_t)n;
	if (c->sent < c->out.n)
		return true;
	buf_release(&c->out);
	buf_init(&c->out, MAP_OUT_MAX);
	c->since_ms = clock_mono_ms();
	if (watch(h, EPOLL_CTL_MOD, c, EPOLLIN) < 0)
		return false;
	in = buf_str(&c->in);
	return in.n == 0 || (answer(h, c, &in) && keep(c, in));
}

/* Another turn for those who have more questions. */
static void
take_turns(struct hall *h)
{
	struct caller *next;

	for (struct caller *c = h->first; c != NULL && h->again > 0; c = next) {
		struct str in = buf_str(&c->in);

		next = c->next;
		if (c->again && !(answer(h, c, &in) && keep(c, in)))
			hang_up(h, c);
	}
}

static void
attend(struct hall *h, struct caller *c, uint32_t events)
{
	bool more;

	if (c->again)
		return;		/* his turn comes */
	if (c->out.n > 0)
		more = (events & (EPOLLERR | EPOLLHUP)) == 0 && go_on(h, c);
	else
		more = hear(h, c);
	if (!more)
		hang_up(h, c);
}

/* --- time ---------------------------------------------------------------------------- */

/* A client may be quiet for long, but not in the middle. */
static bool
overdue(const struct hall *h, const struct caller *c, int64_t now)
{
	bool quiet = c->in.n == 0 && c->out.n == 0;
	int64_t for_ms = now - c->since_ms;

	if (for_ms > (int64_t)(quiet ? h->settings->idle_timeout :
	    h->settings->command_timeout))
		return true;
	if (h->retired_ms == 0)
		return false;
	return now - h->retired_ms > RETIRE_LAST_MS || (quiet &&
	    (for_ms > RETIRE_MS || now - h->retired_ms > RETIRE_MOST_MS));
}

static void
sweep(struct hall *h, int64_t now)
{
	sigset_t held;
	struct caller *next;

	for (struct caller *c = h->first; c != NULL; c = next) {
		next = c->next;
		if (overdue(h, c, now))
			hang_up(h, c);
	}
	/* epoll_pwait lets no signal in as long as there are events. */
	(void)sigprocmask(SIG_SETMASK, h->a->waiting, &held);
	(void)sigprocmask(SIG_SETMASK, &held, NULL);
}

/* --- all of it ------------------------------------------------------------------------- */

static int
doors(const struct hall *h, int op)
{
	const struct listeners *l = &h->a->service->listeners;

	for (size_t i = 0; i < l->n; i++) {
		struct epoll_event e = { .events = EPOLLIN |
		    (op == EPOLL_CTL_ADD ? EPOLLEXCLUSIVE : 0),
		    .data.u64 = DOOR | i };

		if (l->v[i].role->protocol != NULL &&
		    epoll_ctl(h->epoll, op, l->v[i].fd, &e) < 0)
			return -1;
	}
	return 0;
}

/* false: it is over. */
static bool
obey(struct hall *h, int64_t now)
{
	enum session_order order = h->a->order();

	if (order >= SESSION_STOP)
		return false;
	if (order == SESSION_RETIRE && h->retired_ms == 0) {
		h->retired_ms = now;
		(void)doors(h, EPOLL_CTL_DEL); /* they may be closed already */
	}
	return h->retired_ms == 0 || h->count > 0;
}

static void
live(struct hall *h)
{
	struct epoll_event events[EVENTS];
	int64_t now = clock_mono_ms(), next_sweep = now + SWEEP_MS;
	int n;

	while (obey(h, now)) {
		n = epoll_pwait(h->epoll, events, EVENTS, h->again > 0 ? 0 :
		    h->count > 0 ? SWEEP_MS : IDLE_MS, h->a->waiting);
		if (n < 0 && errno != EINTR)
			break;
		if (n == 0 && h->count == 0)
			worker_poke(h->a->service);
		for (int i = 0; i < n; i++) {
			uint64_t who = events[i].data.u64;

			if (who & DOOR)
				welcome(h, &h->a->service->listeners.
				    v[who & ~DOOR]);
			else
				attend(h, (struct caller *)(uintptr_t)who,
				    events[i].events);
		}
		take_turns(h);
		now = clock_mono_ms();
		if (now >= next_sweep) {
			sweep(h, now);
			next_sweep = now + SWEEP_MS;
		}
	}
}

/* As many as are configured and as may be open: without a descriptor to take
 * one more with, it would knock for ever, and the directory has to be asked,
 * too. */
static uint64_t
most_callers(const struct settings *s)
{
	uint64_t want = s->max_connections + FILES_OWN;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return s->max_connections;
	if (r.rlim_cur < want && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
		(void)setrlimit(RLIMIT_NOFILE, &r);
		(void)getrlimit(RLIMIT_NOFILE, &r); /* did not fail before */
	}
	if (r.rlim_cur >= want)
		return s->max_connections;
	return r.rlim_cur > 2 * FILES_OWN ? r.rlim_cur - FILES_OWN :
	    r.rlim_cur / 2;
}

int
answerer_run(const struct answerer *a)
{
	static struct hall h;
	int r = -1;

	h = (struct hall){ .a = a,
	    .settings = &a->service->config.global };
	h.most = most_callers(h.settings);
	arena_init(&h.arena, RESOLVE_ARENA);
	buf_init(&h.out, MAP_OUT_MAX);
	h.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h.epoll >= 0 && doors(&h, EPOLL_CTL_ADD) == 0) {
		counted(&h);
		live(&h);
		r = 0;
	}
	while (h.first != NULL)
		hang_up(&h, h.first);
	file_close(&h.epoll);
	buf_release(&h.out);
	arena_release(&h.arena);
	return r;
}
