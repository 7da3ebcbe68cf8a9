#include "lda/lmtp/wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "store/base/clock.h"

/* How long a signal waits for a client that we wait for, in microseconds. */
#define BRISK_US 50000
/* And for one that we never wait for: each so many reads signals are open. */
#define BRISK_READS 16

enum wait_signals { WAIT_SIGNALS_HELD, WAIT_SIGNALS_OPEN };

static enum wire_result
wait_for(struct wire *w, enum wire_want want, int64_t deadline,
    enum wait_signals signals)
{
	struct pollfd p = {
		.fd = want == WIRE_READ ? w->in : w->out,
		.events = want == WIRE_READ ? POLLIN : POLLOUT,
	};
	struct timespec ts;
	int64_t left;
	int n;

	for (;;) {
		left = deadline - clock_mono_ms();
		if (left < 0)
			left = 0;
		ts.tv_sec = left / 1000;
		ts.tv_nsec = left % 1000 * 1000000;
		n = ppoll(&p, 1, &ts,
		    signals == WAIT_SIGNALS_OPEN ? w->waiting : NULL);
		if (n > 0)
			return WIRE_OK;
		if (n == 0)
			return WIRE_TIMEOUT;
		if (errno != EINTR)
			return WIRE_END;
		if (signals == WAIT_SIGNALS_OPEN)
			return WIRE_SIGNAL;
	}
}

void
wire_brisk(struct wire *w)
{
	struct timeval moment = { .tv_usec = BRISK_US };

	w->brisk = setsockopt(w->in, SOL_SOCKET, SO_RCVTIMEO, &moment,
	    sizeof(moment)) == 0;
}

enum wire_result
wire_read(struct wire *w, void *p, size_t n, int64_t deadline, size_t *got_r)
{
	enum wire_want want = WIRE_READ;
	enum wire_result r;
	ssize_t got;

	/* Past the deadline only what is there already is taken. */
	if (w->brisk && !w->tls && ++w->reads % BRISK_READS &&
	    clock_mono_ms() < deadline) {
		got = recv(w->in, p, n, 0);
		if (got > 0) {
			*got_r = (size_t)got;
			return WIRE_OK;
		}
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			return WIRE_END;
	}
	for (;;) {
		/* A blocking descriptor is asked only when it has something;
		 * TLS may hold bytes of which poll knows nothing. */
		if (!w->tls) {
			r = wait_for(w, WIRE_READ, deadline, WAIT_SIGNALS_OPEN);
			if (r != WIRE_OK)
				return r;
			got = read(w->in, p, n);
		} else {
			got = w->ops->read(w->tls, p, n, &want);
		}
		if (got > 0) {
			*got_r = (size_t)got;
			return WIRE_OK;
		}
		if (got == 0)
			return WIRE_END;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return WIRE_END;
		r = wait_for(w, want, deadline, WAIT_SIGNALS_OPEN);
		if (r != WIRE_OK)
			return r;
	}
}

/* A peer that is gone is an error, not a signal. */
static ssize_t
put(int fd, struct str s)
{
	ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno == ENOTSOCK)
		n = write(fd, s.p, s.n); /* stdio: SIGPIPE is the program's */
	return n;
}

size_t
wire_try(struct wire *w, struct str s)
{
	ssize_t n = w->tls || s.n == 0 ? 0 : send(w->out, s.p, s.n,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	/* What is wrong shows in wire_write, too. */
	return n > 0 ? (size_t)n : 0;
}

enum wire_result
wire_write(struct wire *w, struct str s, int64_t deadline)
{
	enum wire_want want = WIRE_WRITE;
	enum wire_result r;
	ssize_t n;

	while (s.n) {
		if (w->tls) {
			n = w->ops->write(w->tls, s.p, s.n, &want);
		} else {
			n = put(w->out, s);
		}
		if (n > 0) {
			s = str_sub(s, (size_t)n, s.n);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return WIRE_END;
		r = wait_for(w, want, deadline, WAIT_SIGNALS_HELD);
		if (r != WIRE_OK)
			return r;
	}
	return WIRE_OK;
}
