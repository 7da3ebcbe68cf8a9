/*
 * lmtpload [options] TARGET ADDRESS
 *
 * An LMTP client that loads a server: K connections, each with a thread that
 * sends one message after another. TARGET is unix:PATH, inet:HOST:PORT or
 * exec:PROGRAM (LMTP on stdin and stdout, one process for each connection; the
 * rest of the command line are its arguments), or postfix:SOCKET, one of
 * Postfix's delivery agents, to which we are the queue manager (qmgrload.c).
 * "%d" in ADDRESS becomes a number: connection * R + recipient, modulo -u.
 *
 *	-k K	connections (1)		-r R	recipients of a message (1)
 *	-s N	bytes of a message (10000)	-t S	seconds (2)
 *	-n N	messages in all, instead of seconds
 *	-u N	mailboxes, 0: one for each connection and recipient
 *	-b	by BDAT		-w S	seconds before, which do not count (0)
 *	-g DIR	the server's control group, for its CPU time; the processes of
 *		exec: are put there
 *	-p	print the message and do nothing else (no TARGET)
 *
 * The time counts when every connection has been greeted and -w is over: an
 * MTA keeps its connections. Prints: recipients delivered per second, those
 * delivered in all, messages, refused recipients, the CPU's milliseconds for a
 * delivery, and the 50th, 95th, 99th percentile and maximum of what one message
 * took from MAIL (for Postfix: from connecting) to its last reply, in
 * microseconds.
 */
#define _GNU_SOURCE
#include <err.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

#include "load.h"

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX (1 << 20)

extern char **environ;

struct load_set load_set = { .connections = 1, .recipients = 1, .size = 10000,
    .seconds = 2 };

enum phase { WARMING, COUNTING, OVER };

static atomic_int phase;
static atomic_long budget;
static pthread_barrier_t connected;

struct line_reader {
	int fd;
	char b[16384];
	size_t at, n;
};

double
load_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void
load_ready(void)
{
	pthread_barrier_wait(&connected);
}

bool
load_more(void)
{
	if (load_set.messages)
		return atomic_fetch_sub(&budget, 1) > 0;
	return atomic_load(&phase) != OVER;
}

void
load_done(struct load *l, double began, unsigned ok, unsigned refused)
{
	l->all += ok;
	l->refused += refused;
	if (atomic_load(&phase) != COUNTING)
		return;
	l->ok += ok;
	l->messages++;
	if (l->took_n < SAMPLES_MAX)
		l->took[l->took_n++] = (unsigned)((load_now() - began) * 1e6);
}

void
load_address(const struct load *l, unsigned nth, char *out, size_t size)
{
	unsigned who = l->number * load_set.recipients + nth;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(out, size, load_set.address,
	    load_set.users ? who % load_set.users : who);
#pragma GCC diagnostic pop
}

int
load_connect_unix(const char *path)
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
	int fd, yes = 1;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	if (getaddrinfo(host, colon + 1, &hints, &ai) != 0)
		errx(1, "%s", where);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		err(1, "%s", where);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	freeaddrinfo(ai);
	return fd;
}

static char *
group_file(const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", load_set.group, name);
	return out;
}

static void
join_group(pid_t pid)
{
	char path[512];
	FILE *f = fopen(group_file("cgroup.procs", path, sizeof(path)), "w");

	if (!f || fprintf(f, "%d", (int)pid) < 0 || fclose(f) != 0)
		err(1, "%s", path);
}

/* Seconds of the processor that the server has used, 0 if nobody asked. */
static double
cpu(void)
{
	char path[512];
	long long used;
	double unit = 1e9;
	FILE *f;
	int got;

	if (!load_set.group)
		return 0;
	f = fopen(group_file("cpuacct.usage", path, sizeof(path)), "r");
	if (f) {
		got = fscanf(f, "%lld", &used);
	} else {
		f = fopen(group_file("cpu.stat", path, sizeof(path)), "r");
		if (!f)
			err(1, "%s", path);
		got = fscanf(f, "usage_usec %lld", &used);
		unit = 1e6;
	}
	if (got != 1)
		errx(1, "%s: no number", path);
	fclose(f);
	return (double)used / unit;
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
	if (posix_spawn(&pid, program, &fa, NULL, load_set.argv, environ) != 0)
		errx(1, "%s", program);
	posix_spawn_file_actions_destroy(&fa);
	close(pair[1]);
	if (load_set.group)
		join_group(pid);
	return pair[0];
}

static int
dial(void)
{
	if (strncmp(load_set.target, "unix:", 5) == 0)
		return load_connect_unix(load_set.target + 5);
	if (strncmp(load_set.target, "inet:", 5) == 0)
		return connect_inet(load_set.target + 5);
	if (strncmp(load_set.target, "exec:", 5) == 0)
		return connect_exec(load_set.target + 5);
	errx(64, "%s: unix:, inet:, exec: or postfix:", load_set.target);
}

void
load_put(int fd, const char *p, size_t n)
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

	for (unsigned i = 0; i < load_set.recipients; i++) {
		char address[256];

		load_address(l, i, address, sizeof(address));
		n += (size_t)snprintf(out + n, size - n, "RCPT TO:<%s>\r\n",
		    address);
	}
	n += load_set.bdat ? (size_t)snprintf(out + n, size - n, "BDAT %zu LAST\r\n",
	    load_set.body_n - 3) : (size_t)snprintf(out + n, size - n, "DATA\r\n");
	return n;
}

static void
one(struct load *l, struct line_reader *r, const char *env, size_t env_n)
{
	unsigned accepted = 0, ok = 0, refused = 0;
	double began = load_now();

	load_put(r->fd, env, env_n);
	if (load_set.bdat)
		load_put(r->fd, load_set.body, load_set.body_n - 3);
	if (reply(r) != '2')
		errx(1, "MAIL refused");
	for (unsigned i = 0; i < load_set.recipients; i++) {
		if (reply(r) == '2')
			accepted++;
		else
			refused++;
	}
	if (!load_set.bdat) {
		char c = reply(r);

		if (c == '3')
			load_put(r->fd, load_set.body, load_set.body_n);
		else if (accepted)
			errx(1, "DATA refused");
	}
	for (unsigned i = 0; i < accepted; i++) {
		char c = reply(r);

		if (c == 0)
			errx(1, "closed within a message");
		if (c == '2')
			ok++;
		else
			refused++;
	}
	load_done(l, began, ok, refused);
}

static void *
run(void *arg)
{
	struct load *l = arg;
	struct line_reader r = { .fd = dial() };
	size_t size = 200 + (size_t)load_set.recipients * 300, n;
	char *env = malloc(size);

	if (!env || reply(&r) != '2')
		errx(1, "no greeting");
	load_put(r.fd, "LHLO client.test\r\n", 18);
	if (reply(&r) != '2')
		errx(1, "LHLO refused");
	n = envelope(l, env, size);
	load_ready();
	while (load_more())
		one(l, &r, env, n);
	load_put(r.fd, "QUIT\r\n", 6);
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
	char tail[64];
	size_t tail_n = (size_t)snprintf(tail, sizeof(tail),
	    "end of the %zu\r\n", load_set.size);
	size_t want = load_set.size > sizeof(head) + tail_n + 2 ?
	    load_set.size - tail_n : sizeof(head) + 2;
	char *p = malloc(want + 256);

	if (!p)
		err(1, "malloc");
	memcpy(p, head, sizeof(head) - 1);
	for (load_set.body_n = sizeof(head) - 1; load_set.body_n + 2 < want; ) {
		size_t n = want - 2 - load_set.body_n;

		if (n > 76)
			n = 76;
		memset(p + load_set.body_n, 'a' + (int)(load_set.body_n % 23), n);
		memcpy(p + load_set.body_n + n, "\r\n", 2);
		load_set.body_n += n + 2;
	}
	memcpy(p + load_set.body_n, tail, tail_n);
	memcpy(p + load_set.body_n + tail_n, ".\r\n", 3);
	load_set.body_n += tail_n + 3;
	load_set.body = p;
}

static int
compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static void
pause_for(double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds,
	    .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&ts, NULL);
}

static void
start(struct load *load)
{
	void *(*client)(void *) =
	    strncmp(load_set.target, "postfix:", 8) == 0 ? qmgr_run : run;

	pthread_barrier_init(&connected, NULL, load_set.connections + 1);
	for (unsigned i = 0; i < load_set.connections; i++) {
		load[i].number = i;
		load[i].took = malloc(SAMPLES_MAX * sizeof(unsigned));
		if (!load[i].took || pthread_create(&load[i].thread, NULL,
		    client, &load[i]) != 0)
			errx(1, "thread");
	}
}

static void
join(struct load *load)
{
	for (unsigned i = 0; i < load_set.connections; i++)
		pthread_join(load[i].thread, NULL);
}

static void
print(const struct load *load, double seconds, double cpu_seconds)
{
	struct load sum = { 0 };
	unsigned *took;
	size_t n = 0;

	for (unsigned i = 0; i < load_set.connections; i++) {
		sum.all += load[i].all;
		sum.ok += load[i].ok;
		sum.refused += load[i].refused;
		sum.messages += load[i].messages;
		sum.took_n += load[i].took_n;
	}
	took = malloc((sum.took_n + 1) * sizeof(unsigned));
	if (!took)
		err(1, "malloc");
	for (unsigned i = 0; i < load_set.connections; i++) {
		memcpy(took + n, load[i].took, load[i].took_n * sizeof(unsigned));
		n += load[i].took_n;
	}
	took[n] = 0;
	qsort(took, n, sizeof(unsigned), compare);
	printf("rate=%.1f all=%ld messages=%ld refused=%ld seconds=%.3f "
	    "cpu=%.4f p50=%u p95=%u p99=%u max=%u\n", (double)sum.ok / seconds,
	    sum.all, sum.messages, sum.refused, seconds,
	    sum.ok ? 1000 * cpu_seconds / (double)sum.ok : 0, took[n / 2],
	    took[n * 95 / 100], took[n * 99 / 100], took[n ? n - 1 : 0]);
	free(took);
}

static void
usage(void)
{
	errx(64, "lmtpload [-k K] [-r R] [-s N] [-t S | -n N] [-w S] [-u N] [-b] "
	    "[-g DIR] TARGET ADDRESS [ARG...]\n"
	    "       lmtpload -p [-s N]");
}

int
main(int argc, char **argv)
{
	static struct load load[CONNECTIONS_MAX];
	bool show = false;
	double began, took, used;
	int c;

	while ((c = getopt(argc, argv, "+k:r:s:t:n:w:u:bg:p")) != -1) {
		switch (c) {
		case 'k': load_set.connections = (unsigned)atoi(optarg); break;
		case 'r': load_set.recipients = (unsigned)atoi(optarg); break;
		case 's': load_set.size = (size_t)atol(optarg); break;
		case 't': load_set.seconds = atof(optarg); break;
		case 'n': load_set.messages = atol(optarg); break;
		case 'w': load_set.warm = atof(optarg); break;
		case 'u': load_set.users = (unsigned)atoi(optarg); break;
		case 'b': load_set.bdat = true; break;
		case 'g': load_set.group = optarg; break;
		case 'p': show = true; break;
		default: usage();
		}
	}
	make_body();
	if (show)
		return fwrite(load_set.body, load_set.body_n - 3, 1, stdout) != 1;
	if (argc - optind < 2 || load_set.connections < 1 ||
	    load_set.connections > CONNECTIONS_MAX)
		usage();
	signal(SIGCHLD, SIG_IGN);
	load_set.target = argv[optind];
	load_set.address = argv[optind + 1];
	load_set.argv = argv + optind + 2;
	atomic_store(&budget, load_set.messages);
	atomic_store(&phase, load_set.messages ? COUNTING : WARMING);
	start(load);
	load_ready();
	if (!load_set.messages)
		pause_for(load_set.warm);
	used = cpu();
	began = load_now();
	atomic_store(&phase, COUNTING);
	if (load_set.messages)
		join(load);
	else
		pause_for(load_set.seconds);
	used = cpu() - used;
	took = load_now() - began;
	atomic_store(&phase, OVER);
	if (!load_set.messages)
		join(load);
	print(load, took, used);
	return 0;
}
