/*
 * Asks a socket map: mapload SOCKET MAP CONNECTIONS WINDOW SECONDS < keys
 *
 * Every connection keeps WINDOW questions on their way; 1 is what an MTA does.
 * Prints the number of answers per second, and how many were no "OK".
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lda/maps/netstring.h"
#include "store/base/clock.h"
#include "store/base/num.h"

#define CONNECTIONS_MAX 256
#define KEYS_MAX 200000
#define BUF_MAX (1 << 20)

struct client {
	struct buf in, out;
	size_t next;		/* key */
	unsigned flying;
};

static struct str keys[KEYS_MAX];	/* whole netstrings */
static size_t key_count;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
read_keys(const char *map)
{
	static char line[1024];
	struct buf b;

	while (key_count < KEYS_MAX && fgets(line, sizeof(line), stdin)) {
		struct str key = str_trim(str_of(line));

		buf_init(&b, 4096);
		if (netstring_add(&b, str_of(map), key) < 0)
			die("key");
		keys[key_count++] = buf_str(&b);	/* kept to the end */
	}
	if (key_count == 0)
		die("no keys");
}

static int
connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		die("path");
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(path);
	return fd;
}

static void
ask(struct client *c, int fd, unsigned window)
{
	buf_reset(&c->out);
	while (c->flying < window) {
		(void)buf_adds(&c->out, keys[c->next]);
		c->next = (c->next + 1) % key_count;
		c->flying++;
	}
	if (c->out.n && write(fd, c->out.p, c->out.n) != (ssize_t)c->out.n)
		die("write");
}

/* How many answers came. */
static unsigned
take(struct client *c, int fd, unsigned long *bad)
{
	struct str in, text;
	unsigned n = 0;
	ssize_t got;

	if (buf_reserve(&c->in, 65536) < 0)
		die("input");
	got = read(fd, c->in.p + c->in.n, 65536);
	if (got <= 0)
		die("read");
	c->in.n += (size_t)got;
	in = buf_str(&c->in);
	while (netstring_take(&in, 100000, &text) == NETSTRING_ONE) {
		*bad += !str_starts(text, STR("OK "));
		n++;
	}
	memmove(c->in.p, in.p, in.n);
	buf_cut(&c->in, in.n);
	c->flying -= n;
	return n;
}

int
main(int argc, char **argv)
{
	static struct client clients[CONNECTIONS_MAX];
	static struct pollfd p[CONNECTIONS_MAX];
	unsigned long answers = 0, bad = 0;
	uint64_t n, window, seconds;
	int64_t began, now;

	if (argc != 6 || num_u64(str_of(argv[3]), CONNECTIONS_MAX, &n) < 0 ||
	    num_u64(str_of(argv[4]), 1000, &window) < 0 ||
	    num_u64(str_of(argv[5]), 3600, &seconds) < 0) {
		fputs("usage: mapload SOCKET MAP CONNECTIONS WINDOW SECONDS\n",
		    stderr);
		return 64;
	}
	read_keys(argv[2]);
	for (size_t i = 0; i < n; i++) {
		buf_init(&clients[i].in, BUF_MAX);
		buf_init(&clients[i].out, BUF_MAX);
		clients[i].next = i * 7919 % key_count;
		p[i] = (struct pollfd){ connect_to(argv[1]), POLLIN, 0 };
		ask(&clients[i], p[i].fd, (unsigned)window);
	}
	began = now = clock_mono_ms();
	while (now < began + (int64_t)seconds * 1000) {
		if (poll(p, n, 1000) < 0 && errno != EINTR)
			die("poll");
		for (size_t i = 0; i < n; i++)
			if (p[i].revents) {
				answers += take(&clients[i], p[i].fd, &bad);
				ask(&clients[i], p[i].fd, (unsigned)window);
			}
		now = clock_mono_ms();
	}
	printf("%.0f %lu\n", (double)answers * 1000 / (double)(now - began),
	    bad);
	return 0;
}
