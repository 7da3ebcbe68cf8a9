#include "lda/server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/num.h"

/* First descriptor that systemd passes (sd_listen_fds(3)). */
#define FIRST_INHERITED 3
#define BACKLOG 1024

static int
add(struct listeners *l, int fd, const struct role *role, const char *spec,
    struct listener **added_r, struct verdict *v)
{
	struct listener *new;

	if (l->n == LISTEN_MOST)
		return verdict_set(v, V_CONFIG, "more than %d sockets",
		    LISTEN_MOST);
	new = &l->v[l->n++];
	*new = (struct listener){ .fd = fd, .role = role };
	(void)snprintf(new->spec, sizeof(new->spec), "%s", spec); /* cut */
	*added_r = new;
	return 0;
}

static int
make_ready(int fd, struct verdict *v)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return verdict_errno(v, errno, "descriptor %d", fd);
	return 0;
}

static bool
is_tcp(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &n) == 0 &&
	    (a.ss_family == AF_INET || a.ss_family == AF_INET6);
}

static int
inherit_one(struct listeners *l, int fd, const char *name, struct verdict *v)
{
	const struct role *role = role_find(name);
	int listening = 0;
	socklen_t n = sizeof(listening);
	struct listener *new;
	char spec[LISTEN_SPEC];

	if (!role)
		return verdict_set(v, V_CONFIG,
		    "socket %d is called %s: lmtp, map, policy or metrics is "
		    "wanted", fd, name);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0 ||
	    !listening)
		return verdict_set(v, V_CONFIG,
		    "descriptor %d is not a listening socket", fd);
	(void)snprintf(spec, sizeof(spec), "fd:%d", fd); /* fits */
	if (make_ready(fd, v) < 0 || add(l, fd, role, spec, &new, v) < 0)
		return -1;
	new->inherited = true;
	new->tcp = is_tcp(fd);
	return 0;
}

int
listen_adopt(struct listeners *l, int fd, struct verdict *v)
{
	return inherit_one(l, fd, "lmtp", v);
}

int
listen_inherit(struct listeners *l, struct verdict *v)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"),
	    *names = getenv("LISTEN_FDNAMES");
	uint64_t p, count;
	struct str rest = str_of(names ? names : ""), part;
	char name[64];
	int r = 0;

	if (!pid || !fds || num_u64(str_of(pid), INT32_MAX, &p) < 0 ||
	    (pid_t)p != getpid() ||
	    num_u64(str_of(fds), LISTEN_MOST, &count) < 0)
		return 0;
	for (uint64_t i = 0; i < count && r == 0; i++) {
		if (!str_split(&rest, ':', &part))
			part = STR("");
		part = str_sub(part, 0, sizeof(name) - 1);
		memcpy(name, part.p, part.n);
		name[part.n] = '\0';
		r = inherit_one(l, FIRST_INHERITED + (int)i, name, v);
	}
	(void)unsetenv("LISTEN_PID");	/* names without '=': cannot fail */
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return r < 0 ? -1 : (int)count;
}

/* --- unix ------------------------------------------------------------------- */

/* Who owns a socket file; (uid_t)-1: as it is. */
static int
socket_owner(const struct settings *s, const struct identity *owner,
    uid_t *uid, gid_t *gid, struct verdict *v)
{
	const struct passwd *pw;
	const struct group *gr;
	uint64_t n;

	*uid = owner ? owner->uid : (uid_t)-1;
	*gid = owner ? owner->gid : (gid_t)-1;
	if (s->socket_user[0]) {
		if (num_u64(str_of(s->socket_user), (uid_t)-2, &n) == 0)
			*uid = (uid_t)n;
		else if ((pw = getpwnam(s->socket_user)))
			*uid = pw->pw_uid;
		else
			return verdict_set(v, V_CONFIG,
			    "socket_user %s does not exist", s->socket_user);
	}
	if (s->socket_group[0]) {
		if (num_u64(str_of(s->socket_group), (gid_t)-2, &n) == 0)
			*gid = (gid_t)n;
		else if ((gr = getgrnam(s->socket_group)))
			*gid = gr->gr_gid;
		else
			return verdict_set(v, V_CONFIG,
			    "socket_group %s does not exist", s->socket_group);
	}
	return 0;
}

/* Is somebody listening there already? Then two of us would run. */
static bool
alive(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes;

	if (fd < 0)
		return false;
	yes = connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 ||
	    errno == EAGAIN;
	(void)close(fd);
	return yes;
}

/*
 * Bound under another name, made ready, then renamed into place: nobody sees
 * it with a wrong owner or before it listens, and a restart leaves no moment
 * without a socket.
 */
static int
open_unix(const char *path, const struct settings *s,
    const struct identity *owner, struct verdict *v)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX }, final = a;
	struct stat st;
	uid_t uid;
	gid_t gid;
	int fd, n;

	n = snprintf(a.sun_path, sizeof(a.sun_path), "%s.new", path);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return verdict_set(v, V_CONFIG, "%s is too long for a socket",
		    path);
	memcpy(final.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return verdict_set(v, V_CONFIG,
			    "%s is there and no socket", path);
		if (alive(&final))
			return verdict_set(v, V_CONFIG,
			    "somebody listens on %s already", path);
	}
	if (socket_owner(s, owner, &uid, &gid, v) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return verdict_errno(v, errno, "socket");
	(void)unlink(a.sun_path);	/* left by a start that failed */
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		verdict_errno(v, errno, "bind %s", path);
		goto fail;
	}
	if (chmod(a.sun_path, s->socket_mode) < 0 ||
	    ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
	    lchown(a.sun_path, uid, gid) < 0) ||
	    listen(fd, BACKLOG) < 0 || rename(a.sun_path, path) < 0) {
		verdict_errno(v, errno, "prepare %s", path);
		(void)unlink(a.sun_path);
		goto fail;
	}
	return fd;
fail:
	file_close(&fd);
	return -1;
}

/* --- TCP -------------------------------------------------------------------- */

static int
open_address(const struct addrinfo *ai, const char *spec, struct verdict *v)
{
	int on = 1, fd;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0)
		return verdict_errno(v, errno, "socket for %s", spec);
	/* Neither can fail on a TCP socket. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		verdict_errno(v, errno, "listen on %s", spec);
		file_close(&fd);
		return -1;
	}
	return fd;
}

/* "HOST:PORT"; HOST may be "*" or in brackets. */
static int
open_tcp(const char *where, const char *spec, struct verdict *v)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *ai;
	char host[LISTEN_SPEC];
	const char *colon = strrchr(where, ':');
	struct str name;
	int e, fd;

	if (!colon)
		return verdict_set(v, V_CONFIG, "%s has no port", spec);
	name = str_mem(where, (size_t)(colon - where));
	if (str_starts(name, STR("[")) && str_ends(name, STR("]")))
		name = str_sub(name, 1, name.n - 2);
	if (name.n >= sizeof(host))
		return verdict_set(v, V_CONFIG, "%s is too long", spec);
	memcpy(host, name.p, name.n);
	host[name.n] = '\0';
	e = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, colon + 1, &hints,
	    &ai);
	if (e != 0)
		return verdict_set(v, V_CONFIG, "%s: %s", spec, gai_strerror(e));
	fd = open_address(ai, spec, v);
	freeaddrinfo(ai);
	return fd;
}

/* --- all --------------------------------------------------------------------- */

static const struct listener *
find(const struct listeners *l, const struct role *role, const char *spec)
{
	for (size_t i = 0; l && i < l->n; i++)
		if (l->v[i].role == role && strcmp(l->v[i].spec, spec) == 0)
			return &l->v[i];
	return NULL;
}

static bool
has_inherited(const struct listeners *l, const struct role *role)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].inherited && l->v[i].role == role)
			return true;
	return false;
}

static int
open_one(struct listeners *l, const struct role *role, const char *spec,
    const struct settings *s, const struct identity *owner,
    const struct listeners *old, struct verdict *v)
{
	const struct listener *known = find(old, role, spec);
	bool tcp = strncmp(spec, "inet:", 5) == 0;
	struct listener *new;
	int fd;

	if (strlen(spec) >= LISTEN_SPEC)
		return verdict_set(v, V_CONFIG, "%s is too long", spec);
	if (known)
		fd = known->fd;
	else if (tcp)
		fd = open_tcp(spec + 5, spec, v);
	else
		fd = open_unix(spec + 5, s, owner, v);	/* "unix:" */
	if (fd < 0)
		return -1;
	if (add(l, fd, role, spec, &new, v) < 0) {
		if (!known)
			file_close(&fd);
		return -1;
	}
	new->tcp = tcp;
	return 0;
}

int
listen_open(struct listeners *l, const struct settings *s,
    const struct identity *owner, const struct listeners *old,
    struct verdict *v)
{
	size_t before = l->n;

	for (size_t i = 0; i < roles_count; i++) {
		const struct setting_list *list = roles[i].listen(s);

		if (has_inherited(l, &roles[i]))
			continue;
		for (size_t k = 0; k < list->n; k++) {
			if (open_one(l, &roles[i], list->v[k], s, owner,
			    old, v) == 0)
				continue;
			while (l->n > before) {
				struct listener *last = &l->v[--l->n];

				if (!find(old, last->role, last->spec))
					file_close(&last->fd);
			}
			return -1;
		}
	}
	return 0;
}

void
listen_close(struct listeners *l, const struct listeners *keep)
{
	for (size_t i = 0; i < l->n; i++) {
		struct listener *x = &l->v[i];

		if (x->fd < 0 || find(keep, x->role, x->spec))
			continue;
		if (!x->inherited && !x->tcp)
			(void)unlink(x->spec + 5); /* the next start copes */
		file_close(&x->fd);
	}
	l->n = 0;
}
