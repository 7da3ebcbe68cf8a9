/*
 * clamd(8), command INSTREAM: "zINSTREAM\0", pieces with their length in four
 * bytes before them, a length of 0; the answer ends in a NUL. It may come, and
 * the connection close, before all is sent (StreamMaxLength).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lda/scan.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"

#define PIECE 65536
/* clamd's longest answer: a name. What is longer is no answer of clamd's. */
#define ANSWER_MAX 2048
/* How often `stop` is asked. */
#define STOP_PAUSE_MS 250

struct talk {
	const struct scan_job *job;
	struct scan_result *r;
	int fd;
	int64_t deadline;
	char answer[ANSWER_MAX];
	size_t n;
	bool ended;		/* the answer is whole, or will never be */
};

static int
broken(struct talk *t, const char *why)
{
	scan_set(t->r, SCAN_BROKEN, str_of(why));
	return -1;
}

/* The events that happened; 0 when the time is up or we are to stop. */
static int
wait_for(struct talk *t, short events)
{
	struct pollfd p = { .fd = t->fd, .events = events };

	for (;;) {
		int64_t left = t->deadline - clock_mono_ms();
		int r;

		if (t->job->stop && t->job->stop())
			return broken(t, "told to stop"), 0;
		if (left <= 0)
			return broken(t, "no answer in time"), 0;
		r = poll(&p, 1, (int)(left < STOP_PAUSE_MS ? left :
		    STOP_PAUSE_MS));
		if (r > 0)
			return p.revents;
		if (r < 0 && errno != EINTR)
			return broken(t, strerror(errno)), 0;
	}
}

/* Fills the address of the scanner; its length, or 0. */
static socklen_t
address_of(const char *scanner, struct sockaddr_storage *to)
{
	struct sockaddr_un *un = (struct sockaddr_un *)to;
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	struct str s = str_of(scanner), host;
	char text[INET6_ADDRSTRLEN];
	ptrdiff_t colon = str_rchr(s, ':');
	uint64_t port;

	memset(to, 0, sizeof(*to));
	if (str_starts(s, STR("clamd:unix:"))) {
		s = str_sub(s, 11, s.n);
		if (s.n == 0 || s.n >= sizeof(un->sun_path))
			return 0;
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, s.p, s.n);
		return sizeof(*un);
	}
	if (!str_starts(s, STR("clamd:inet:")) || colon < 11 ||
	    num_u64(str_sub(s, (size_t)colon + 1, s.n), UINT16_MAX, &port))
		return 0;
	host = str_sub(s, 11, (size_t)colon - 11);
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_sub(host, 1, host.n - 2);
	if (host.n >= sizeof(text))
		return 0;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
		return 0;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	return sizeof(*in6);
}

static int
reach(struct talk *t)
{
	struct sockaddr_storage to;
	socklen_t n = address_of(t->job->scanner, &to), size = sizeof(int);
	int error = 0;

	if (n == 0)
		return broken(t, "no address of a clamd");
	t->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (t->fd < 0)
		return broken(t, strerror(errno));
	/* A full queue of a unix socket is EAGAIN: nobody accepts. */
	while (connect(t->fd, (struct sockaddr *)&to, n) < 0) {
		if (errno == EINPROGRESS) {
			if (!wait_for(t, POLLOUT))
				return -1;
			break;
		}
		if (errno != EAGAIN && errno != EINTR)
			return broken(t, strerror(errno));
		if (clock_mono_ms() >= t->deadline ||
		    (t->job->stop && t->job->stop()))
			return broken(t, "no answer in time");
		(void)poll(NULL, 0, STOP_PAUSE_MS / 10);
	}
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error)
		return broken(t, strerror(error ? error : errno));
	return 0;
}

/* Takes what is there of the answer. -1 with a result. */
static int
hear(struct talk *t)
{
	ssize_t got = recv(t->fd, t->answer + t->n, sizeof(t->answer) - t->n, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got < 0)
		return broken(t, strerror(errno));
	if (got == 0)
		return broken(t, "closed without a whole answer");
	t->n += (size_t)got;
	t->ended = memchr(t->answer, '\0', t->n) != NULL;
	if (!t->ended && t->n == sizeof(t->answer))
		return broken(t, "an answer that does not end");
	return 0;
}

static int
give(struct talk *t, const char *p, size_t n)
{
	while (n && !t->ended) {
		int events = wait_for(t, POLLIN | POLLOUT);
		ssize_t done;

		if (!events)
			return -1;
		if (events & (POLLIN | POLLHUP | POLLERR)) {
			if (hear(t) < 0)
				return -1;
			continue;
		}
		done = send(t->fd, p, n, MSG_NOSIGNAL);
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		} else if (done < 0 && errno != EAGAIN && errno != EINTR &&
		    errno != EPIPE && errno != ECONNRESET) {
			return broken(t, strerror(errno));
		} else if (done < 0 && (errno == EPIPE ||
		    errno == ECONNRESET) && hear(t) < 0) {
			return -1;
		}
	}
	return 0;
}

static int
give_piece(struct talk *t, struct str s)
{
	uint32_t n = htonl((uint32_t)s.n);
	int r = give(t, (const char *)&n, sizeof(n));

	return r < 0 ? r : give(t, s.p, s.n);
}

static int
give_message(struct talk *t)
{
	static const char command[] = "zINSTREAM";
	const struct source *m = t->job->message;
	char *scratch = mem_alloc(PIECE);
	struct str got;
	int r = give(t, command, sizeof(command));	/* with its NUL */

	for (uint64_t at = 0; r == 0 && !t->ended && at < m->n; at += got.n) {
		if (source_read(m, at, scratch, PIECE, &got) < 0 || got.n == 0)
			r = broken(t, "the spooled message cannot be read");
		else
			r = give_piece(t, got);
	}
	free(scratch);
	return r < 0 ? r : give_piece(t, STR(""));
}

/* "stream: OK", "stream: NAME FOUND", "... ERROR". */
static void
judge(struct talk *t)
{
	struct str s = str_of(t->answer), head = STR("stream: ");

	if (str_eq(s, STR("stream: OK")))
		scan_set(t->r, SCAN_CLEAN, STR(""));
	else if (str_starts(s, head) && str_ends(s, STR(" FOUND")) &&
	    s.n > head.n + 6)
		scan_set(t->r, SCAN_FOUND, str_sub(s, head.n,
		    s.n - head.n - 6));
	else if (str_starts(s, STR("INSTREAM size limit exceeded")))
		scan_set(t->r, SCAN_TOO_BIG, s);
	else
		scan_set(t->r, SCAN_BROKEN, s.n ? s : STR("an empty answer"));
}

void
scan_clamd(const struct scan_job *job, struct scan_result *r)
{
	struct talk t = { .job = job, .r = r, .fd = -1,
	    .deadline = clock_mono_ms() + (int64_t)job->timeout_ms };

	if (reach(&t) == 0 && give_message(&t) == 0) {
		while (!t.ended)
			if (!wait_for(&t, POLLIN) || hear(&t) < 0)
				break;
		if (t.ended)
			judge(&t);
	}
	file_close(&t.fd);
}
