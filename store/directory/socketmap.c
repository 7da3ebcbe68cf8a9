/*
 * "socketmap:unix:PATH:MAP", "socketmap:inet:HOST:PORT:MAP": another server
 * knows the accounts. The protocol is that of sendmail's socket maps: a
 * netstring "MAP KEY" asks, a netstring "OK DATA", "NOTFOUND", "TEMP why",
 * "TIMEOUT why" or "PERM why" answers.
 *
 * Keys are user@domain and @domain. DATA is what the file has behind an
 * address (file_line.h): empty, or settings; addresses alone are an alias.
 * PERM is trouble with the question or the server, never a user who is not
 * there.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/directory/backend.h"
#include "store/directory/file_line.h"

/* Longest answer that is read: a line of the file. */
#define REPLY_MAX FILE_LINE_MAX
/* Digits of a netstring's length. */
#define LENGTH_DIGITS 6

struct socketmap {
	char *spec;		/* for messages */
	char *host;		/* inet; NULL: unix */
	char *port;
	char *path;
	char *map;
	unsigned timeout_ms;
	int64_t deadline;	/* of the question under way */
	int fd;			/* -1: not connected */
};

static int
failed(const struct socketmap *m, const char *what, struct verdict *v)
{
	return verdict_set(v, V_DIRECTORY_DOWN, "socketmap:%s: %s: %s", m->spec,
	    what, clock_mono_ms() >= m->deadline ? "no answer in time" :
	    strerror(errno));
}

/* --- connecting ---------------------------------------------------------------- */

static int
wait_for(const struct socketmap *m, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = m->deadline - clock_mono_ms();
		int r = left <= 0 ? 0 : poll(&p, 1, (int)left);

		if (r > 0)
			return 0;
		if (r == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (errno != EINTR)
			return -1;
	}
}

static int
connect_to(const struct socketmap *m, int family, const struct sockaddr *to,
    socklen_t n)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;
	socklen_t size = sizeof(error);

	if (fd < 0)
		return -1;
	if (connect(fd, to, n) == 0)
		return fd;
	if (errno == EINPROGRESS && wait_for(m, fd, POLLOUT) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0) {
		if (error == 0)
			return fd;
		errno = error;
	}
	file_close(&fd);
	return -1;
}

static int
connect_inet(const struct socketmap *m)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int fd = -1;

	if (getaddrinfo(m->host, m->port, &hints, &list) != 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	for (const struct addrinfo *a = list; a != NULL && fd < 0;
	    a = a->ai_next)
		fd = connect_to(m, a->ai_family, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(list);
	return fd;
}

static int
connect_map(struct socketmap *m, struct verdict *v)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (m->host != NULL) {
		m->fd = connect_inet(m);
	} else {
		memcpy(un.sun_path, m->path, strlen(m->path) + 1);
		m->fd = connect_to(m, AF_UNIX, (const struct sockaddr *)&un,
		    sizeof(un));
	}
	return m->fd < 0 ? failed(m, "connect", v) : 0;
}

/* --- one question ----------------------------------------------------------------- */

static int
send_all(struct socketmap *m, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(m->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n > 0)
			s = str_sub(s, (size_t)n, s.n);
		else if (errno != EINTR && (errno != EAGAIN ||
		    wait_for(m, m->fd, POLLOUT) < 0))
			return -1;
	}
	return 0;
}

/* n more bytes behind what is in `in`. */
static int
receive(struct socketmap *m, size_t n, struct buf *in)
{
	while (n > 0) {
		ssize_t got;

		if (buf_reserve(in, n) < 0) {
			errno = EMSGSIZE;
			return -1;
		}
		got = recv(m->fd, in->p + in->n, n, 0);
		if (got > 0) {
			in->n += (size_t)got;
			n -= (size_t)got;
		} else if (got == 0) {
			errno = ECONNRESET;
			return -1;
		} else if (errno != EINTR && (errno != EAGAIN ||
		    wait_for(m, m->fd, POLLIN) < 0)) {
			return -1;
		}
	}
	return 0;
}

/* The content of one netstring. */
static int
receive_netstring(struct socketmap *m, struct buf *in)
{
	uint64_t length;

	do {
		if (receive(m, 1, in) < 0)
			return -1;
	} while (ascii_isdigit(in->p[in->n - 1]) && in->n <= LENGTH_DIGITS);
	if (in->p[in->n - 1] != ':' ||
	    num_u64(str_mem(in->p, in->n - 1), REPLY_MAX, &length) < 0) {
		errno = EPROTO;
		return -1;
	}
	buf_reset(in);
	if (receive(m, (size_t)length + 1, in) < 0)
		return -1;
	if (in->p[in->n - 1] != ',') {
		errno = EPROTO;
		return -1;
	}
	buf_cut(in, in->n - 1);
	return 0;
}

static int
talk(struct socketmap *m, struct str request, struct buf *reply,
    struct verdict *v)
{
	buf_reset(reply);
	if (m->fd < 0 && connect_map(m, v) < 0)
		return -1;
	if (send_all(m, request) == 0 && receive_netstring(m, reply) == 0)
		return 0;
	failed(m, "talk", v);
	file_close(&m->fd);
	return -1;
}

/* Asks; when a connection that lay idle is gone, once more. */
static int
ask(struct socketmap *m, struct str local, struct str domain,
    struct buf *reply, struct verdict *v)
{
	struct buf request;
	bool was_idle = m->fd >= 0;
	size_t length = strlen(m->map) + 1 + local.n + 1 + domain.n;
	int r;

	m->deadline = clock_mono_ms() + m->timeout_ms;
	buf_init(&request, REPLY_MAX);
	(void)buf_addf(&request, "%zu:%s ", length, m->map);
	(void)buf_adds(&request, local);
	(void)buf_addc(&request, '@');
	(void)buf_adds(&request, domain);
	(void)buf_addc(&request, ',');
	r = talk(m, buf_str(&request), reply, v);
	if (r < 0 && was_idle && clock_mono_ms() < m->deadline)
		r = talk(m, buf_str(&request), reply, v);
	buf_release(&request);
	return r;
}

/* --- answers --------------------------------------------------------------------- */

/* "fred@d, jane@d": no settings, so targets. */
static bool
is_target_list(struct str data)
{
	return data.n > 0 && str_chr(data, '=') < 0;
}

/* The answer as a line of the file, which file_line.c understands. */
static int
parse_data(struct str local, struct str domain, struct str data,
    struct arena *a, struct directory_entry *e, struct buf *why)
{
	struct buf line;
	struct str copy;
	int r = -1;

	data = str_trim(data);
	buf_init(&line, FILE_LINE_MAX);
	(void)buf_adds(&line, local);
	(void)buf_addc(&line, '@');
	(void)buf_adds(&line, domain);
	(void)buf_addc(&line, ' ');
	if (is_target_list(data) && local.n > 0) {
		(void)buf_addz(&line, "alias=");
		for (size_t i = 0; i < data.n; i++)
			if (!ascii_isblank(data.p[i]))
				(void)buf_addc(&line, data.p[i]);
			else if (i > 0 && data.p[i - 1] != ',')
				(void)buf_addc(&line, ',');
	} else if (!is_target_list(data)) {
		/* A domain's value in a plain map ("OK", "RELAY") says no
		 * more than that it is there. */
		(void)buf_adds(&line, data);
	}
	copy = arena_copy(a, buf_str(&line));
	if (line.full || copy.p == NULL)
		(void)buf_addz(why, "answer is too long");
	else
		r = file_line_parse(copy, a, e, why);
	buf_release(&line);
	return r;
}

static enum directory_answer
look_up(struct socketmap *m, struct str local, struct str domain,
    struct arena *a, struct directory_entry *e, struct verdict *v)
{
	enum directory_answer answer = DIR_BROKEN;
	struct buf reply, why;
	struct str status, rest;

	buf_init(&reply, REPLY_MAX + 1);
	buf_init(&why, VERDICT_DETAIL);
	if (ask(m, local, domain, &reply, v) < 0)
		goto out;
	rest = buf_str(&reply);
	if (!str_split(&rest, ' ', &status))
		status = STR("");
	if (rest.p == NULL)
		rest = STR("");
	if (str_eq(status, STR("NOTFOUND")))
		answer = DIR_ABSENT;
	else if (!str_eq(status, STR("OK")))
		verdict_set(v, V_DIRECTORY_DOWN, "socketmap:%s: %.*s %.*s",
		    m->spec, STR_ARG(status), STR_ARG(rest));
	else if (parse_data(local, domain, rest, a, e, &why) < 0)
		verdict_set(v, V_DIRECTORY_DOWN, "socketmap:%s: %s", m->spec,
		    why.p);
	else
		answer = DIR_FOUND;
out:
	buf_release(&reply);
	buf_release(&why);
	return answer;
}

static enum directory_answer
map_domain(void *self, struct str domain, struct arena *a,
    struct domain_record *r, struct verdict *v)
{
	struct directory_entry e;
	enum directory_answer answer = look_up(self, STR(""), domain, a, &e, v);

	if (answer == DIR_FOUND)
		*r = e.is.domain;
	return answer;
}

static enum directory_answer
map_user(void *self, struct str local, struct str domain, struct arena *a,
    struct account *r, struct verdict *v)
{
	struct directory_entry e;
	enum directory_answer answer = look_up(self, local, domain, a, &e, v);

	if (answer != DIR_FOUND)
		return answer;
	if (e.kind != ENTRY_USER)
		return DIR_ABSENT;
	*r = e.is.user;
	return DIR_FOUND;
}

static enum directory_answer
map_alias(void *self, struct str local, struct str domain, struct arena *a,
    struct alias_record *r, struct verdict *v)
{
	struct directory_entry e;
	enum directory_answer answer = look_up(self, local, domain, a, &e, v);

	if (answer != DIR_FOUND)
		return answer;
	if (e.kind != ENTRY_ALIAS)
		return DIR_ABSENT;
	*r = e.is.alias;
	return DIR_FOUND;
}

static void
map_close(void *self)
{
	struct socketmap *m = self;

	file_close(&m->fd);
	free(m->spec);
	free(m->host);
	free(m->port);
	free(m->path);
	free(m->map);
	free(m);
}

/* unix:PATH:MAP or inet:HOST:PORT:MAP; the host may hold colons. */
static int
parse_spec(struct socketmap *m)
{
	struct str s = str_of(m->spec), rest;
	ptrdiff_t colon = str_rchr(s, ':');
	uint64_t port;

	if (colon < 0 || (size_t)colon + 1 >= s.n)
		return -1;
	m->map = mem_dup(s.p + colon + 1);
	rest = str_sub(s, 0, (size_t)colon);
	if (str_starts(rest, STR("unix:/"))) {
		rest = str_sub(rest, 5, rest.n);
		m->path = mem_dupn(rest.p, rest.n);
		return rest.n < sizeof(((struct sockaddr_un *)0)->sun_path) ?
		    0 : -1;
	}
	if (!str_starts(rest, STR("inet:")))
		return -1;
	rest = str_sub(rest, 5, rest.n);
	colon = str_rchr(rest, ':');
	if (colon <= 0 || num_u64(str_sub(rest, (size_t)colon + 1, rest.n),
	    65535, &port) < 0)
		return -1;
	m->host = mem_dupn(rest.p, (size_t)colon);
	m->port = mem_dupn(rest.p + colon + 1, rest.n - (size_t)colon - 1);
	return 0;
}

static int
map_open(const char *spec, const struct directory_settings *set,
    void **self_r, struct verdict *v)
{
	struct socketmap *m = mem_zalloc(1, sizeof(*m));

	m->fd = -1;
	m->spec = mem_dup(spec);
	m->timeout_ms = set->timeout_ms > 0 ? set->timeout_ms :
	    BACKEND_TIMEOUT_MS;
	if (parse_spec(m) < 0) {
		map_close(m);
		return verdict_set(v, V_CONFIG, "directory \"socketmap:%s\": "
		    "wants unix:PATH:MAP or inet:HOST:PORT:MAP", spec);
	}
	*self_r = m;
	return 0;
}

const struct directory_backend backend_socketmap = {
	.name = "socketmap",
	.open = map_open,
	.domain = map_domain,
	.user = map_user,
	.alias = map_alias,
	.close = map_close,
};
