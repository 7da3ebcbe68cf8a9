#include "lda/submit_smtp.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/mbox_lock.h"

/* Bytes of the message in one go, and what is collected before a send. */
#define PIECE 65536
/* A reply line; RFC 5321 section 4.5.3.1.5 says 512. */
#define LINE_MAX_BYTES 2048
/* Lines of one reply. */
#define LINES_MAX 200
/* One command: a path and its parameters. */
#define COMMAND_MAX 4096
#define ENVID_MAX 100
/* How long the goodbye may take: everything is done by then. */
#define QUIT_MS 500

enum feature {
	HAS_8BITMIME = 1, HAS_SMTPUTF8 = 2, HAS_DSN = 4, HAS_SIZE = 8,
};

struct smtp {
	const struct submit_job *job;
	int fd;
	int64_t deadline;
	char in[LINE_MAX_BYTES];
	size_t in_from, in_to;		/* not yet used */
	char text[LINE_MAX_BYTES];	/* last line of the last reply */
	unsigned features;
	uint64_t size_limit;		/* 0: none told */
	/* of the message */
	uint64_t size;
	bool eight_bit, utf8_path;
};

/* What the connection says of itself when it fails. */
static int
broken(const struct smtp *s, const char *what, struct verdict *v)
{
	return verdict_set(v, V_SUBMIT, "%s: %s: %s", s->job->command, what,
	    strerror(errno));
}

static int
said(const struct smtp *s, const char *what, int code, struct verdict *v)
{
	return verdict_set(v, code >= 500 ? V_POLICY : V_SUBMIT, "%s: %s: %s",
	    s->job->command, what, s->text);
}

/* --- connection -------------------------------------------------------------- */

static int
wait_for(struct smtp *s, short events)
{
	struct pollfd p = { .fd = s->fd, .events = events };

	for (;;) {
		int64_t left = s->deadline - clock_mono_ms();
		int r;

		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		mbox_locks_refresh();
		r = poll(&p, 1, (int)(left > MBOX_LOCK_REFRESH_MS ?
		    MBOX_LOCK_REFRESH_MS : left));
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -1;
	}
}

static int
connect_to(struct smtp *s, const struct sockaddr *address, socklen_t n)
{
	int error = 0;
	socklen_t size = sizeof(error);

	s->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -1;
	if (connect(s->fd, address, n) == 0)
		return 0;
	if ((errno == EINPROGRESS || errno == EINTR) &&
	    wait_for(s, POLLOUT) == 0 &&
	    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0) {
		if (error == 0)
			return 0;
		errno = error;
	}
	file_close(&s->fd);
	return -1;
}

static int
connect_unix(struct smtp *s, struct str path, struct verdict *v)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (path.n == 0 || path.n >= sizeof(address.sun_path))
		return verdict_set(v, V_CONFIG, "submit: %s: no socket's path",
		    s->job->command);
	memcpy(address.sun_path, path.p, path.n);
	if (connect_to(s, (const struct sockaddr *)(const void *)&address,
	    sizeof(address)) < 0)
		return broken(s, "connect", v);
	return 0;
}

static int
connect_host(struct smtp *s, struct str place, struct verdict *v)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG }, *list = NULL;
	ptrdiff_t colon = str_rchr(place, ':');
	struct str host = str_sub(place, 0, colon < 0 ? 0 : (size_t)colon);
	char *name, *port;
	int r;

	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_sub(host, 1, host.n - 2);
	if (host.n == 0)
		return verdict_set(v, V_CONFIG, "submit: %s: HOST:PORT is "
		    "wanted", s->job->command);
	name = mem_dupn(host.p, host.n);
	port = mem_dup(place.p + colon + 1);
	hints.ai_flags |= AI_NUMERICHOST;
	hints.ai_flags &= ~AI_ADDRCONFIG;
	r = getaddrinfo(name, port, &hints, &list);
	if (r == EAI_NONAME) {
		hints.ai_flags &= ~AI_NUMERICHOST;
		hints.ai_flags |= AI_ADDRCONFIG;
		r = getaddrinfo(name, port, &hints, &list);
	}
	free(name);
	free(port);
	if (r != 0)
		return verdict_set(v, V_SUBMIT, "%s: %s", s->job->command,
		    gai_strerror(r));
	r = -1;
	for (struct addrinfo *a = list; a && r < 0; a = a->ai_next)
		r = connect_to(s, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(list);
	return r < 0 ? broken(s, "connect", v) : 0;
}

bool
submit_smtp_is(const char *command)
{
	struct str s = str_of(command);

	return str_starts(s, STR("smtp:")) || str_starts(s, STR("unix:/"));
}

static int
open_connection(struct smtp *s, struct verdict *v)
{
	struct str place = str_of(s->job->command);

	if (str_starts(place, STR("unix:")))
		return connect_unix(s, str_sub(place, 5, place.n), v);
	return connect_host(s, str_sub(place, 5, place.n), v);
}

static int
give(struct smtp *s, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n > 0) {
			bytes = str_sub(bytes, (size_t)n, bytes.n);
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (wait_for(s, POLLOUT) < 0)
			return -1;
	}
	return 0;
}

/* One line without its end, borrowed until the next. */
static int
get_line(struct smtp *s, struct str *line_r)
{
	for (;;) {
		char *from = s->in + s->in_from;
		char *end = memchr(from, '\n', s->in_to - s->in_from);
		ssize_t n;

		if (end) {
			s->in_from = (size_t)(end - s->in) + 1;
			if (end > from && end[-1] == '\r')
				end--;
			*line_r = str_mem(from, (size_t)(end - from));
			return 0;
		}
		if (s->in_from) {
			memmove(s->in, from, s->in_to - s->in_from);
			s->in_to -= s->in_from;
			s->in_from = 0;
		}
		if (s->in_to == sizeof(s->in)) {
			errno = EPROTO;
			return -1;
		}
		if (wait_for(s, POLLIN) < 0)
			return -1;
		n = recv(s->fd, s->in + s->in_to, sizeof(s->in) - s->in_to, 0);
		if (n == 0)
			errno = ECONNRESET;
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -1;
		s->in_to += n > 0 ? (size_t)n : 0;
	}
}

static void
take_feature(struct smtp *s, struct str line)
{
	static const struct {
		struct str name;
		unsigned feature;
	} known[] = {
		{ { "8BITMIME", 8 }, HAS_8BITMIME },
		{ { "SMTPUTF8", 8 }, HAS_SMTPUTF8 },
		{ { "DSN", 3 }, HAS_DSN },
		{ { "SIZE", 4 }, HAS_SIZE },
	};
	ptrdiff_t space = str_chr(line, ' ');
	struct str name = str_sub(line, 0, space < 0 ? line.n : (size_t)space);

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (str_caseeq(name, known[i].name))
			s->features |= known[i].feature;
	/* "SIZE" alone and "SIZE 0" tell no limit. */
	if (space > 0 && str_caseeq(name, STR("SIZE")))
		(void)num_u64(str_trim(str_sub(line, (size_t)space, line.n)),
		    UINT64_MAX, &s->size_limit);
}

/* The code of a whole reply, or -1 with errno. */
static int
get_reply(struct smtp *s, bool hello)
{
	for (int lines = 0; lines < LINES_MAX; lines++) {
		struct str line;
		uint64_t code;
		size_t n;

		if (get_line(s, &line) < 0)
			return -1;
		if (num_u64(str_sub(line, 0, 3), 599, &code) < 0 ||
		    code < 200 || (line.n > 3 && line.p[3] != ' ' &&
		    line.p[3] != '-'))
			break;
		n = line.n < sizeof(s->text) ? line.n : sizeof(s->text) - 1;
		memcpy(s->text, line.p, n);
		s->text[n] = '\0';
		if (hello && lines > 0)
			take_feature(s, str_sub(line, 4, line.n));
		if (line.n == 3 || line.p[3] == ' ')
			return (int)code;
	}
	errno = EPROTO;
	return -1;
}

/* Sends a command line and returns the code of its reply, or -1. */
static int
command(struct smtp *s, struct buf *line, bool hello)
{
	buf_addz(line, "\r\n");
	if (line->full) {
		errno = E2BIG;
		return -1;
	}
	return give(s, buf_str(line)) < 0 ? -1 : get_reply(s, hello);
}

static int
simple(struct smtp *s, const char *word, const char *argument, bool hello)
{
	struct buf line;
	int code;

	buf_init(&line, COMMAND_MAX);
	buf_addz(&line, word);
	if (argument) {
		buf_addc(&line, ' ');
		buf_addz(&line, argument);
	}
	code = command(s, &line, hello);
	buf_release(&line);
	return code;
}

/* --- the message ---------------------------------------------------------------- */

/* The whole message in pieces: the head, then the source. */
struct pieces {
	const struct submit_job *job;
	uint64_t at;
	bool head_done;
	char scratch[PIECE];
};

/* n = 0 at the end. */
static int
next_piece(struct pieces *p, struct str *got_r)
{
	if (!p->head_done) {
		p->head_done = true;
		p->at = p->job->start;
		*got_r = p->job->head;
		if (got_r->n)
			return 0;
	}
	*got_r = STR("");
	if (p->at >= p->job->message->n)
		return 0;
	if (source_read(p->job->message, p->at, p->scratch, PIECE, got_r) < 0)
		return -1;
	if (got_r->n == 0) {
		errno = EIO;
		return -1;
	}
	p->at += got_r->n;
	return 0;
}

/* Lines as SMTP has them: every CR, LF or CRLF is a line end, so nothing in
 * it can be one to the server that was none to us (CVE-2023-51764). */
struct wire {
	struct smtp *s;		/* NULL: counts only */
	struct buf out;
	char last;		/* last byte taken */
	bool fresh;		/* at the beginning of a line */
};

static int
flush(struct wire *w)
{
	int r = w->s ? give(w->s, buf_str(&w->out)) : 0;

	buf_reset(&w->out);
	return r;
}

static void
end_line(struct wire *w)
{
	buf_add(&w->out, "\r\n", 2);
	w->fresh = true;
}

static int
write_lines(struct wire *w, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		char c = bytes.p[i];

		if (c == '\r' || (c == '\n' && w->last != '\r')) {
			end_line(w);
		} else if (c != '\n') {
			if (w->fresh && c == '.')
				buf_addc(&w->out, '.');
			buf_addc(&w->out, c);
			w->fresh = false;
		}
		w->last = c;
		if (w->out.n >= PIECE && flush(w) < 0)
			return -1;
	}
	return 0;
}

static int
write_message(struct smtp *s)
{
	struct pieces *p = mem_zalloc(1, sizeof(*p));
	struct wire w = { .s = s, .fresh = true };
	struct str got;
	int r;

	p->job = s->job;
	buf_init(&w.out, PIECE + 8);
	while ((r = next_piece(p, &got)) == 0 && got.n &&
	    (r = write_lines(&w, got)) == 0)
		;
	/* The end is said only when all of it is on its way. */
	if (r == 0) {
		if (!w.fresh)
			end_line(&w);
		buf_add(&w.out, ".\r\n", 3);
		r = flush(&w);
	}
	buf_release(&w.out);
	free(p);
	return r;
}

/* Size with CRLF (a bare CR counts as it is: SIZE is an estimate), and whether
 * there are 8-bit bytes. */
static int
measure(struct smtp *s)
{
	struct pieces *p = mem_zalloc(1, sizeof(*p));
	char last = '\n';
	struct str got;
	int r;

	p->job = s->job;
	while ((r = next_piece(p, &got)) == 0 && got.n)
		for (size_t i = 0; i < got.n; i++) {
			s->size += got.p[i] == '\n' && last != '\r' ? 2 : 1;
			s->eight_bit |= (unsigned char)got.p[i] >= 0x80;
			last = got.p[i];
		}
	free(p);
	return r;
}

/* --- the transaction ------------------------------------------------------------ */

/* May it stand between < and >? */
static bool
path_safe(struct str path)
{
	bool quoted = false;

	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];

		if (ascii_iscntrl(c))
			return false;
		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted && ++i == path.n)
			return false;
		else if (!quoted && (c == ' ' || c == '<' || c == '>'))
			return false;
	}
	return !quoted;
}

static bool
is_ascii(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] >= 0x80)
			return false;
	return true;
}

static int
check_paths(struct smtp *s, struct verdict *v)
{
	const struct submit_job *job = s->job;
	bool safe = path_safe(job->sender);

	s->utf8_path = !is_ascii(job->sender);
	for (size_t i = 0; i < job->to_count; i++) {
		safe = safe && job->to[i].n && path_safe(job->to[i]);
		s->utf8_path |= !is_ascii(job->to[i]);
	}
	return safe ? 0 : verdict_set(v, V_POLICY, "%s: an address that cannot "
	    "stand in an SMTP command", job->command);
}

static int
hello(struct smtp *s, struct verdict *v)
{
	const char *name = s->job->hostname && s->job->hostname[0] ?
	    s->job->hostname : "localhost";
	int code = get_reply(s, false);

	if (code < 0)
		return broken(s, "greeting", v);
	/* "Not now" or "never here": of the host, not of the message. */
	if (code / 100 != 2)
		return said(s, "greeting", 421, v);
	code = simple(s, "EHLO", name, true);
	if (code >= 500) {
		s->features = 0;
		code = simple(s, "HELO", name, false);
	}
	if (code < 0)
		return broken(s, "EHLO", v);
	return code / 100 == 2 ? 0 : said(s, "EHLO", 421, v);
}

/* RFC 3461 section 4 */
static void
add_xtext(struct buf *line, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c > ' ' && c < 0x7f && c != '+' && c != '=')
			buf_addc(line, (char)c);
		else
			buf_addf(line, "+%02X", c);
	}
}

static bool
is_words(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!ascii_isalpha(text.p[i]) && text.p[i] != ',')
			return false;
	return text.n > 0;
}

static int
mail(struct smtp *s, struct verdict *v)
{
	const struct submit_job *job = s->job;
	struct buf line;
	int code;

	if (s->utf8_path && !(s->features & HAS_SMTPUTF8))
		return verdict_set(v, V_POLICY, "%s does not speak SMTPUTF8, "
		    "which an address needs", job->command);
	if (s->size_limit && s->size > s->size_limit)
		return verdict_set(v, V_POLICY, "%s takes %llu bytes, the "
		    "message has %llu", job->command,
		    (unsigned long long)s->size_limit,
		    (unsigned long long)s->size);
	buf_init(&line, COMMAND_MAX);
	buf_addz(&line, "MAIL FROM:<");
	buf_adds(&line, job->sender);
	buf_addc(&line, '>');
	if (s->features & HAS_SIZE)
		buf_addf(&line, " SIZE=%llu", (unsigned long long)s->size);
	if (s->eight_bit && (s->features & HAS_8BITMIME))
		buf_addz(&line, " BODY=8BITMIME");
	if ((s->utf8_path || (job->flags & SUBMIT_SMTPUTF8)) &&
	    (s->features & HAS_SMTPUTF8))
		buf_addz(&line, " SMTPUTF8");
	if ((s->features & HAS_DSN) && is_words(job->ret)) {
		buf_addz(&line, " RET=");
		buf_adds(&line, job->ret);
	}
	if ((s->features & HAS_DSN) && job->envid.n &&
	    job->envid.n <= ENVID_MAX) {
		buf_addz(&line, " ENVID=");
		add_xtext(&line, job->envid);
	}
	code = command(s, &line, false);
	buf_release(&line);
	if (code < 0)
		return broken(s, "MAIL", v);
	return code / 100 == 2 ? 0 : said(s, "MAIL", code, v);
}

static int
rcpt(struct smtp *s, struct str to)
{
	struct buf line;
	int code;

	buf_init(&line, COMMAND_MAX);
	buf_addz(&line, "RCPT TO:<");
	buf_adds(&line, to);
	buf_addc(&line, '>');
	if ((s->features & HAS_DSN) && is_words(s->job->notify)) {
		buf_addz(&line, " NOTIFY=");
		buf_adds(&line, s->job->notify);
	}
	code = command(s, &line, false);
	buf_release(&line);
	return code;
}

/* Answers all that were accepted so far. */
static void
answer(const struct smtp *s, enum submit_answer from, enum submit_answer to)
{
	for (size_t i = 0; s->job->each && i < s->job->to_count; i++)
		if (s->job->each[i] == from)
			s->job->each[i] = to;
}

/*
 * How many were accepted, or -1. With `each`, the verdict tells of one that
 * was not: rather one that may be tried again.
 */
static int
recipients(struct smtp *s, struct verdict *v)
{
	const struct submit_job *job = s->job;
	bool later = false;
	int accepted = 0;

	for (size_t i = 0; i < job->to_count; i++) {
		int code = rcpt(s, job->to[i]);

		if (code < 0)
			return broken(s, "RCPT", v);
		if (code / 100 == 2) {
			accepted++;
			if (job->each)
				job->each[i] = SUBMIT_TAKEN;
			continue;
		}
		if (!later)
			said(s, "RCPT", code, v);
		later = later || code < 500;
		if (!job->each)
			return -1;
		job->each[i] = code < 500 ? SUBMIT_LATER : SUBMIT_REFUSED;
	}
	return accepted;
}

static int
data(struct smtp *s, struct verdict *v)
{
	int code = simple(s, "DATA", NULL, false);

	if (code < 0)
		return broken(s, "DATA", v);
	if (code / 100 != 3)
		/* 2xx would be no answer to DATA. */
		return said(s, "DATA", code >= 400 ? code : 451, v);
	if (write_message(s) < 0)
		return broken(s, "sending the message", v);
	code = get_reply(s, false);
	if (code < 0)
		return broken(s, "end of data", v);
	return code / 100 == 2 ? 0 : said(s, "end of data",
	    code >= 400 ? code : 451, v);
}

static void
quit(struct smtp *s)
{
	int64_t soon = clock_mono_ms() + QUIT_MS;

	if (soon < s->deadline)
		s->deadline = soon;
	(void)simple(s, "QUIT", NULL, false);	/* politeness */
}

static int
transaction(struct smtp *s, struct verdict *v)
{
	struct verdict other = VERDICT_INIT;
	int accepted;

	if (mail(s, v) < 0) {
		if (v->why == V_POLICY)
			answer(s, SUBMIT_LATER, SUBMIT_REFUSED);
		return -1;
	}
	accepted = recipients(s, v);
	if (accepted <= 0) {
		if (v->why != V_POLICY)
			answer(s, SUBMIT_TAKEN, SUBMIT_LATER);
		return -1;
	}
	if (data(s, &other) < 0) {
		answer(s, SUBMIT_TAKEN, other.why == V_POLICY ?
		    SUBMIT_REFUSED : SUBMIT_LATER);
		if (v->why != V_SUBMIT)
			*v = other;
		return -1;
	}
	if ((size_t)accepted < s->job->to_count)
		return -1;
	return verdict_ok(v, "%s: %s", s->job->command, s->text);
}

int
submit_smtp_run(const struct submit_job *job, struct verdict *v)
{
	struct smtp *s = mem_zalloc(1, sizeof(*s));
	int r = -1;

	s->job = job;
	s->fd = -1;
	s->deadline = clock_mono_ms() + (int64_t)job->timeout_ms;
	answer(s, SUBMIT_TAKEN, SUBMIT_LATER);
	answer(s, SUBMIT_REFUSED, SUBMIT_LATER);
	if (check_paths(s, v) < 0) {
		answer(s, SUBMIT_LATER, SUBMIT_REFUSED);
		goto out;
	}
	if (measure(s) < 0) {
		broken(s, "reading the message", v);
		goto out;
	}
	if (open_connection(s, v) < 0 || hello(s, v) < 0)
		goto out;
	r = transaction(s, v);
	quit(s);
out:
	file_close(&s->fd);
	free(s);
	return r;
}
