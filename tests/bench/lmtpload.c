/*
 * lmtpload [options] TARGET ADDRESS
 *
 * An LMTP client that loads a server: K connections, each with a thread that
 * sends one message after another. TARGET is unix:PATH, inet:HOST:PORT or
 * exec:PROGRAM (LMTP on stdin and stdout, one process for each connection; the
 * rest of the command line are its arguments). "@" of ADDRESS's local part
 * "%d" becomes a number: connection * R + recipient, modulo -u.
 *
 *	-k K	connections (1)		-r R	recipients of a message (1)
 *	-s N	bytes of a message (10000)	-t S	seconds (2)
 *	-n N	messages in all, instead of seconds
 *	-u N	mailboxes, 0: one for each connection and recipient
 *	-b	by BDAT
 *
 * Prints: recipients delivered per second, messages, refused recipients, and
 * the 50th, 95th, 99th percentile and maximum of what one message took from
 * MAIL to its last reply, in microseconds.
 */
#define _GNU_SOURCE
#include <err.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX (1 << 20)

extern char **environ;

static struct {
	unsigned connections, recipients, users;
	size_t size;
	double seconds;
	long messages;
	bool bdat;
	const char *target, *address;
	char **argv;
	char *body;		/* with its final dot */
	size_t body_n;
} set = { .connections = 1, .recipients = 1, .size = 10000, .seconds = 2 };

static atomic_long budget;
static atomic_bool over;

struct line_reader {
	int fd;
	char b[16384];
	size_t at, n;
};

struct load {
	pthread_t thread;
	unsigned number;
	long ok, refused, messages;
	unsigned *took;
	size_t took_n;
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		err(1, "%s", path);
	return fd;
}

static int
connect_inet(const char *where)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	char host[256];
	const char *colon = strrchr(where, ':');
	int fd;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	if (getaddrinfo(host, colon + 1, &hints, &ai) != 0)
		errx(1, "%s", where);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		err(1, "%s", where);
	freeaddrinfo(ai);
	return fd;
}

static int
connect_exec(const char *program)
{
	posix_spawn_file_actions_t fa;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		err(1, "socketpair");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, pair[1], 0);
	posix_spawn_file_actions_adddup2(&fa, pair[1], 1);
	if (posix_spawn(&pid, program, &fa, NULL, set.argv, environ) != 0)
		errx(1, "%s", program);
	posix_spawn_file_actions_destroy(&fa);
	close(pair[1]);
	return pair[0];
}

static int
dial(void)
{
	if (strncmp(set.target, "unix:", 5) == 0)
		return connect_unix(set.target + 5);
	if (strncmp(set.target, "inet:", 5) == 0)
		return connect_inet(set.target + 5);
	if (strncmp(set.target, "exec:", 5) == 0)
		return connect_exec(set.target + 5);
	errx(64, "%s: unix:, inet: or exec:", set.target);
}

static void
put(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			err(1, "send");
		p += w;
		n -= (size_t)w;
	}
}

/* First digit of the next reply, its last line. */
static char
reply(struct line_reader *r)
{
	char digit = 0, fourth = 0;
	unsigned column = 0;

	for (;;) {
		if (r->at == r->n) {
			ssize_t got = recv(r->fd, r->b, sizeof(r->b), 0);

			if (got <= 0)
				return 0;
			r->n = (size_t)got;
			r->at = 0;
		}
		char c = r->b[r->at++];

		if (column == 0)
			digit = c;
		if (column == 3)
			fourth = c;
		column++;
		if (c == '\n') {
			if (fourth != '-')
				return digit;
			column = 0;
		}
	}
}

static size_t
envelope(const struct load *l, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "MAIL FROM:<sender@client.test>\r\n");

	for (unsigned i = 0; i < set.recipients; i++) {
		unsigned who = l->number * set.recipients + i;
		char address[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(address, sizeof(address), set.address,
		    set.users ? who % set.users : who);
#pragma GCC diagnostic pop
		n += (size_t)snprintf(out + n, size - n, "RCPT TO:<%s>\r\n",
		    address);
	}
	n += set.bdat ? (size_t)snprintf(out + n, size - n, "BDAT %zu LAST\r\n",
	    set.body_n - 3) : (size_t)snprintf(out + n, size - n, "DATA\r\n");
	return n;
}

static void
one(struct load *l, struct line_reader *r, const char *env, size_t env_n)
{
	unsigned accepted = 0;
	double began = now();

	put(r->fd, env, env_n);
	if (set.bdat)
		put(r->fd, set.body, set.body_n - 3);
	if (reply(r) != '2')
		errx(1, "MAIL refused");
	for (unsigned i = 0; i < set.recipients; i++) {
		if (reply(r) == '2')
			accepted++;
		else
			l->refused++;
	}
	if (!set.bdat) {
		char c = reply(r);

		if (c == '3')
			put(r->fd, set.body, set.body_n);
		else if (accepted)
			errx(1, "DATA refused");
	}
	for (unsigned i = 0; i < accepted; i++) {
		char c = reply(r);

		if (c == 0)
			errx(1, "closed within a message");
		if (c == '2')
			l->ok++;
		else
			l->refused++;
	}
	l->messages++;
	if (l->took_n < SAMPLES_MAX)
		l->took[l->took_n++] = (unsigned)((now() - began) * 1e6);
}

static void *
run(void *arg)
{
	struct load *l = arg;
	struct line_reader r = { .fd = dial() };
	size_t size = 200 + (size_t)set.recipients * 300, n;
	char *env = malloc(size);

	if (!env || reply(&r) != '2')
		errx(1, "no greeting");
	put(r.fd, "LHLO client.test\r\n", 18);
	if (reply(&r) != '2')
		errx(1, "LHLO refused");
	n = envelope(l, env, size);
	while (!atomic_load(&over)) {
		if (set.messages && atomic_fetch_sub(&budget, 1) <= 0)
			break;
		one(l, &r, env, n);
	}
	put(r.fd, "QUIT\r\n", 6);
	(void)reply(&r);
	close(r.fd);
	free(env);
	return NULL;
}

static void
make_body(void)
{
	static const char head[] = "From: Sender <sender@client.test>\r\n"
	    "To: list:;\r\nSubject: load\r\nDate: Mon, 2 Apr 2007 10:00:00 +0000\r\n"
	    "Message-ID: <load@client.test>\r\n\r\n";
	size_t want = set.size > sizeof(head) ? set.size : sizeof(head);
	char *p = malloc(want + 128);

	if (!p)
		err(1, "malloc");
	memcpy(p, head, sizeof(head) - 1);
	for (set.body_n = sizeof(head) - 1; set.body_n + 2 < want; ) {
		size_t n = want - 2 - set.body_n;

		if (n > 76)
			n = 76;
		memset(p + set.body_n, 'a' + (int)(set.body_n % 23), n);
		memcpy(p + set.body_n + n, "\r\n", 2);
		set.body_n += n + 2;
	}
	memcpy(p + set.body_n, ".\r\n", 3);
	set.body_n += 3;
	set.body = p;
}

static int
compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	static struct load load[CONNECTIONS_MAX];
	long ok = 0, refused = 0, messages = 0;
	unsigned *all;
	size_t n = 0;
	double began, took;
	int c;

	while ((c = getopt(argc, argv, "+k:r:s:t:n:u:b")) != -1) {
		switch (c) {
		case 'k': set.connections = (unsigned)atoi(optarg); break;
		case 'r': set.recipients = (unsigned)atoi(optarg); break;
		case 's': set.size = (size_t)atol(optarg); break;
		case 't': set.seconds = atof(optarg); break;
		case 'n': set.messages = atol(optarg); break;
		case 'u': set.users = (unsigned)atoi(optarg); break;
		case 'b': set.bdat = true; break;
		default: return 64;
		}
	}
	if (argc - optind < 2 || set.connections < 1 ||
	    set.connections > CONNECTIONS_MAX)
		errx(64, "lmtpload [-k K] [-r R] [-s N] [-t S | -n N] [-u N] [-b] "
		    "TARGET ADDRESS [ARGV0 ARG...]");
	signal(SIGCHLD, SIG_IGN);
	set.target = argv[optind];
	set.address = argv[optind + 1];
	set.argv = argv + optind + 2;
	atomic_store(&budget, set.messages);
	make_body();
	began = now();
	for (unsigned i = 0; i < set.connections; i++) {
		load[i].number = i;
		load[i].took = malloc(SAMPLES_MAX * sizeof(unsigned));
		if (!load[i].took || pthread_create(&load[i].thread, NULL, run,
		    &load[i]) != 0)
			errx(1, "thread");
	}
	if (!set.messages) {
		struct timespec ts = { .tv_sec = (time_t)set.seconds,
		    .tv_nsec = (long)((set.seconds -
		    (double)(time_t)set.seconds) * 1e9) };

		nanosleep(&ts, NULL);
		atomic_store(&over, true);
	}
	for (unsigned i = 0; i < set.connections; i++) {
		pthread_join(load[i].thread, NULL);
		ok += load[i].ok;
		refused += load[i].refused;
		messages += load[i].messages;
		n += load[i].took_n;
	}
	took = now() - began;
	all = malloc((n + 1) * sizeof(unsigned));
	if (!all)
		err(1, "malloc");
	n = 0;
	for (unsigned i = 0; i < set.connections; i++) {
		memcpy(all + n, load[i].took, load[i].took_n * sizeof(unsigned));
		n += load[i].took_n;
	}
	qsort(all, n, sizeof(unsigned), compare);
	printf("rate=%.1f ok=%ld messages=%ld refused=%ld seconds=%.3f p50=%u "
	    "p95=%u p99=%u max=%u\n", (double)ok / took, ok, messages, refused,
	    took, n ? all[n / 2] : 0, n ? all[n * 95 / 100] : 0,
	    n ? all[n * 99 / 100] : 0, n ? all[n - 1] : 0);
	return 0;
}
