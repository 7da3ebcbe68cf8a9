/* vboxadm stats: the counters of a running vbox-lmtpd, from metrics_listen, or
 * as they were last written to metrics_textfile. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lda/adm/nouns.h"
#include "lda/json.h"
#include "store/base/file.h"

/* All of it; ours is some 10 KB. */
#define METRICS_MOST (1024 * 1024)
#define HOST_MOST 256
#define PATIENCE_S 10
#define PIECE 16384

static const char question[] = "GET /metrics HTTP/1.0\r\n\r\n";

/* --- where they are ---------------------------------------------------------------- */

static int
connect_one(int family, const struct sockaddr *to, socklen_t n)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO,
	    &patience, sizeof(patience)) < 0 || connect(fd, to, n) < 0))
		file_close(&fd);
	return fd;
}

static int
connect_inet(struct str place)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	ptrdiff_t colon = str_rchr(place, ':');
	struct str host = str_sub(place, 0, colon < 0 ? 0 : (size_t)colon);
	char name[HOST_MOST];
	int fd = -1;

	if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_sub(host, 1, host.n - 2);
	errno = EHOSTUNREACH;
	if (colon < 0 || host.n >= sizeof(name))
		return -1;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	if (getaddrinfo(name, place.p + colon + 1, &hints, &list) != 0)
		return -1;
	for (const struct addrinfo *i = list; i != NULL && fd < 0;
	    i = i->ai_next)
		fd = connect_one(i->ai_family, i->ai_addr, i->ai_addrlen);
	freeaddrinfo(list);
	return fd;
}

/* "unix:/PATH" or "inet:HOST:PORT", as settings_check has seen. */
static int
connect_to(const char *spec)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(spec);

	if (strncmp(spec, "inet:", 5) == 0)
		return connect_inet(str_of(spec + 5));
	if (n < 5 || n - 5 >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(un.sun_path, spec + 5, n - 5);
	return connect_one(AF_UNIX, (const struct sockaddr *)(const void *)&un,
	    sizeof(un));
}

static int
ask(const char *spec, struct buf *text, struct verdict *v)
{
	int fd = connect_to(spec);
	ssize_t got = -1;

	if (fd < 0 || file_write_all(fd, question, sizeof(question) - 1) < 0)
		goto out;
	do {
		if (buf_reserve(text, PIECE) < 0) {
			errno = EFBIG;
			got = -1;
			break;
		}
		got = read(fd, text->p + text->n, PIECE);
		if (got > 0) {
			text->n += (size_t)got;
			text->p[text->n] = '\0';
		}
	} while (got > 0 || (got < 0 && errno == EINTR));
out:
	if (got < 0)
		verdict_errno(v, errno, "%s", spec);
	file_close(&fd);
	return got < 0 ? -1 : 0;
}

static int
read_file(const char *path, struct buf *text, struct verdict *v)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r = 0;

	if (fd < 0 || file_read_whole(fd, text) < 0)
		r = verdict_errno(v, errno, "%s", path);
	file_close(&fd);
	return r;
}

/* --- saying them ------------------------------------------------------------------- */

/* "name{labels} value"; everything else is a comment or HTTP's. */
static void
print(struct adm *a, struct str text, size_t *shown_r)
{
	struct str line;

	*shown_r = 0;
	while (text.n && str_split(&text, '\n', &line)) {
		ptrdiff_t blank = str_rchr(line, ' ');

		if (!str_starts(line, STR("vbox_")) || blank < 0)
			continue;
		if (a->json) {
			(void)buf_addc(&a->out, *shown_r ? ',' : '{');
			json_string(&a->out, str_sub(line, 0, (size_t)blank));
			(void)buf_addf(&a->out, ":%.*s",
			    (int)(line.n - (size_t)blank - 1),
			    line.p + blank + 1);
		} else {
			(void)buf_adds(&a->out, line);
			(void)buf_addc(&a->out, '\n');
		}
		++*shown_r;
	}
	if (a->json && *shown_r)
		(void)buf_addz(&a->out, "}\n");
}

int
adm_stats(struct adm *a, struct verdict *v)
{
	const struct settings *s;
	struct buf text;
	size_t shown;
	int r;

	if (adm_config(a, v) < 0)
		return -1;
	s = &a->config.global;
	buf_init(&text, METRICS_MOST);
	if (s->metrics_listen.n > 0)
		r = ask(s->metrics_listen.v[0], &text, v);
	else if (s->metrics_textfile[0])
		r = read_file(s->metrics_textfile, &text, v);
	else
		r = verdict_set(v, V_CONFIG, "neither metrics_listen nor "
		    "metrics_textfile is set");
	if (r == 0) {
		print(a, buf_str(&text), &shown);
		if (shown == 0)
			r = verdict_set(v, V_TROUBLE, "no metrics were given");
	}
	buf_release(&text);
	return r;
}
