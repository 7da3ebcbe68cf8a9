/*
 * minserver SOCKET DIRECTORY mbox|maildir [slot|file|none [LOG]]
 *
 * SOCKET is a path, or inet:PORT on the loopback address.
 *
 * The least that an LMTP server can do on this disk, to compare with: it
 * receives, locks, appends or links, and syncs as vbox-lmtpd does (mbox: fcntl
 * and dotlock, fdatasync; Maildir: fsync of the file, link, fsync of the
 * directory), and says 250. No look-up, no checks, no header, no undo, no log,
 * no privileges; a thread for each connection.
 *
 * With LOG, a file of its own, it does as vbox-lmtpd with a delivery log: the
 * message goes there as well, one fdatasync of it serves all who wait, and the
 * mailboxes are synced by syncfs every five seconds.
 *
 * A dotlock is a second name of a file that the connection keeps (slot, as
 * vbox-lmtpd does it), a new file each time, as is usual (file), or none.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RCPT_MAX 1000
#define LINE_MAX_ 1024
#define SLOTS 1024	/* more than connections at a time */
#define LOG_BYTES (64L << 20)
#define LOG_PAGE 4096L
#define BEHIND_SECONDS 5

static int top;
static bool maildir;
static enum { SLOT, FILE_EACH, NONE } dotlock;

static struct {
	int fd;			/* -1: none */
	_Atomic long at;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned long written, synced;
	bool syncing;
} journal = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER,
	.ended = PTHREAD_COND_INITIALIZER };

struct conn {
	int fd;
	char in[65536];
	size_t at, n;
	char rcpt[RCPT_MAX][128];
	unsigned rcpts;
	char slot[32];
	char *body;
	size_t body_n, body_max;
	char out[65536];
	size_t out_n;
};

static void
flush(struct conn *c)
{
	if (c->out_n && send(c->fd, c->out, c->out_n, MSG_NOSIGNAL) !=
	    (ssize_t)c->out_n)
		pthread_exit(NULL);
	c->out_n = 0;
}

static void
say(struct conn *c, const char *text)
{
	size_t n = strlen(text);

	if (c->out_n + n > sizeof(c->out))
		flush(c);
	memcpy(c->out + c->out_n, text, n);
	c->out_n += n;
}

static bool
fill(struct conn *c)
{
	ssize_t got;

	flush(c);
	got = recv(c->fd, c->in, sizeof(c->in), 0);
	if (got <= 0)
		return false;
	c->at = 0;
	c->n = (size_t)got;
	return true;
}

static bool
line(struct conn *c, char *out)
{
	size_t n = 0;

	for (;;) {
		if (c->at == c->n && !fill(c))
			return false;
		char ch = c->in[c->at++];

		if (ch == '\n') {
			out[n && out[n - 1] == '\r' ? n - 1 : n] = '\0';
			return true;
		}
		if (n < LINE_MAX_ - 1)
			out[n++] = ch;
	}
}

/* Takes the message; CRLF becomes LF and dots are taken away in place. */
static bool
receive(struct conn *c)
{
	c->body_n = 0;
	for (;;) {
		char *end;

		if (c->body_n + sizeof(c->in) > c->body_max) {
			c->body_max = (c->body_max + sizeof(c->in)) * 2;
			c->body = realloc(c->body, c->body_max);
		}
		if (c->at == c->n && !fill(c))
			return false;
		memcpy(c->body + c->body_n, c->in + c->at, c->n - c->at);
		c->body_n += c->n - c->at;
		c->at = c->n;
		if (c->body_n >= 5 &&
		    memcmp(c->body + c->body_n - 5, "\r\n.\r\n", 5) == 0) {
			size_t to = 0;

			c->body_n -= 3;
			end = c->body + c->body_n;
			for (char *p = c->body; p < end; ) {
				char *nl = memchr(p, '\n', (size_t)(end - p));
				size_t n = (size_t)(nl - p);

				if (*p == '.') {
					p++;
					n--;
				}
				memmove(c->body + to, p, n - 1);
				to += n - 1;
				c->body[to++] = '\n';
				p = nl + 1;
			}
			c->body_n = to;
			return true;
		}
	}
}

static void
must(int r, const char *what)
{
	if (r < 0)
		err(1, "%s", what);
}

static void
take_slot(struct conn *c)
{
	static atomic_uint count;
	int fd;

	snprintf(c->slot, sizeof(c->slot), ".slot%u",
	    atomic_fetch_add(&count, 1) % SLOTS);
	fd = openat(top, c->slot, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd, "slot");
	must((int)write(fd, "1\n", 2), "slot");
	close(fd);
}

static int
link_new_file(const char *lock)
{
	char self[64];
	int fd, r;

	fd = openat(top, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
	must(fd, "dotlock");
	must((int)write(fd, "1\n", 2), "dotlock");
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	do {
		r = linkat(AT_FDCWD, self, top, lock, AT_SYMLINK_FOLLOW);
	} while (r < 0 && errno == EEXIST && usleep(500) == 0);
	close(fd);
	return r;
}

static int
link_slot(const char *slot, const char *lock)
{
	int r;

	do {
		r = linkat(top, slot, top, lock, 0);
	} while (r < 0 && errno == EEXIST && usleep(500) == 0);
	return r;
}

/* Who finds nobody syncing syncs for all who have written. */
static void
to_journal(const struct conn *c)
{
	long n = ((long)c->body_n + LOG_PAGE - 1) / LOG_PAGE * LOG_PAGE;
	long at = atomic_fetch_add(&journal.at, n) % (LOG_BYTES - n);
	unsigned long mine, upto;

	must((int)pwrite(journal.fd, c->body, c->body_n,
	    at / LOG_PAGE * LOG_PAGE), "log");
	pthread_mutex_lock(&journal.lock);
	mine = ++journal.written;
	while (journal.synced < mine) {
		if (journal.syncing) {
			pthread_cond_wait(&journal.ended, &journal.lock);
			continue;
		}
		journal.syncing = true;
		upto = journal.written;
		pthread_mutex_unlock(&journal.lock);
		must(fdatasync(journal.fd), "sync");
		pthread_mutex_lock(&journal.lock);
		journal.syncing = false;
		journal.synced = upto;
		pthread_cond_broadcast(&journal.ended);
	}
	pthread_mutex_unlock(&journal.lock);
}

static void *
sync_behind(void *unused)
{
	(void)unused;
	for (;;) {
		sleep(BEHIND_SECONDS);
		must(syncfs(top), "syncfs");
	}
	return NULL;
}

static void
open_journal(const char *path)
{
	static char zeros[1 << 20];
	pthread_t t;

	journal.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(journal.fd, path);
	for (long at = 0; at < LOG_BYTES; at += (long)sizeof(zeros))
		must((int)pwrite(journal.fd, zeros, sizeof(zeros), at), path);
	must(fsync(journal.fd), path);
	if (pthread_create(&t, NULL, sync_behind, NULL) != 0)
		errx(1, "thread");
}

static void
to_mbox(struct conn *c, const char *user)
{
	struct flock fl = { .l_type = F_WRLCK };
	char lock[160];
	int fd;

	fd = openat(top, user, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	must(fd, user);
	must(fcntl(fd, F_OFD_SETLKW, &fl), "lock");
	snprintf(lock, sizeof(lock), "%s.lock", user);
	if (dotlock != NONE)
		must(dotlock == SLOT ? link_slot(c->slot, lock) :
		    link_new_file(lock), "dotlock");
	must((int)write(fd, c->body, c->body_n), "write");
	if (journal.fd < 0)
		must(fdatasync(fd), "sync");
	else
		to_journal(c);
	if (dotlock != NONE)
		must(unlinkat(top, lock, 0), "unlock");
	close(fd);
}

static void
to_maildir(struct conn *c, const char *user)
{
	static atomic_ulong count;
	struct timespec ts;
	char path[200], self[64], name[128];
	int tmp, new, fd;

	snprintf(path, sizeof(path), "%s/tmp", user);
	tmp = openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/new", user);
	new = openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tmp < 0 || new < 0)
		err(1, "%s", user);
	fd = openat(tmp, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	must(fd, "tmp");
	must((int)write(fd, c->body, c->body_n), "write");
	if (journal.fd < 0)
		must(fsync(fd), "sync");
	clock_gettime(CLOCK_REALTIME, &ts);
	snprintf(name, sizeof(name), "%ld.M%ldP%dQ%lu.host,S=%zu", (long)ts.tv_sec,
	    ts.tv_nsec / 1000, (int)getpid(), atomic_fetch_add(&count, 1),
	    c->body_n);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	must(linkat(AT_FDCWD, self, new, name, AT_SYMLINK_FOLLOW), "link");
	if (journal.fd < 0)
		must(fsync(new), "sync");
	else
		to_journal(c);
	close(fd);
	close(tmp);
	close(new);
}

static void *
serve(void *arg)
{
	struct conn *c = calloc(1, sizeof(*c));
	char l[LINE_MAX_];

	if (!c)
		err(1, "memory");
	c->fd = (int)(intptr_t)arg;
	if (!maildir && dotlock == SLOT)
		take_slot(c);
	say(c, "220 min\r\n");
	while (line(c, l)) {
		if (strncmp(l, "RCPT TO:<", 9) == 0 && c->rcpts < RCPT_MAX) {
			char *at = strchr(l, '@');

			if (at)
				*at = '\0';
			snprintf(c->rcpt[c->rcpts++], sizeof(c->rcpt[0]), "%.127s",
			    l + 9);
			say(c, "250 2.1.5 OK\r\n");
		} else if (strcmp(l, "DATA") == 0) {
			say(c, "354 go\r\n");
			if (!receive(c))
				break;
			for (unsigned i = 0; i < c->rcpts; i++) {
				if (maildir)
					to_maildir(c, c->rcpt[i]);
				else
					to_mbox(c, c->rcpt[i]);
				say(c, "250 2.0.0 OK\r\n");
				flush(c);
			}
			c->rcpts = 0;
		} else if (strcmp(l, "QUIT") == 0) {
			say(c, "221 2.0.0 bye\r\n");
			flush(c);
			break;
		} else {
			say(c, "250 2.0.0 OK\r\n");
		}
	}
	close(c->fd);
	free(c->body);
	free(c);
	return NULL;
}

static int
bind_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 ? -1 : s;
}

/* Connections inherit that nothing is held back. */
static int
bind_inet(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)atoi(port)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	if (s < 0 || setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes,
	    sizeof(yes)) < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	return s;
}

int
main(int argc, char **argv)
{
	int s;

	if (argc < 4)
		errx(64, "minserver SOCKET DIRECTORY mbox|maildir "
		    "[slot|file|none [LOG]]");
	maildir = strcmp(argv[3], "maildir") == 0;
	if (argc > 4)
		dotlock = strcmp(argv[4], "file") == 0 ? FILE_EACH :
		    strcmp(argv[4], "none") == 0 ? NONE : SLOT;
	top = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(top, argv[2]);
	if (argc > 5)
		open_journal(argv[5]);
	s = strncmp(argv[1], "inet:", 5) == 0 ? bind_inet(argv[1] + 5) :
	    bind_unix(argv[1]);
	if (s < 0 || listen(s, 1024) < 0)
		err(1, "%s", argv[1]);
	for (;;) {
		int fd = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		pthread_t t;

		if (fd < 0)
			continue;
		if (pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) != 0)
			errx(1, "thread");
		pthread_detach(t);
	}
}
