/* Sockets and who may put one there; queues; what has changed since sendmail
 * was started. */
#include "lda/adm/sendmail_check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "store/base/file.h"

const char *
check_zero(struct check *c, struct str s)
{
	struct str copy = arena_copy(&c->a->arena, s);

	return copy.p != NULL ? copy.p : "";
}

/* The directory at or above `path` that others than root and its owner can
 * write to, which sendmail trusts nothing below; NULL when there is none. */
const char *
check_open_directory(struct check *c, const char *path)
{
	struct str rest = str_of(path);
	ptrdiff_t slash;
	struct stat st;
	const char *dir;

	while ((slash = str_rchr(rest, '/')) >= 0) {
		rest = str_sub(rest, 0, (size_t)slash);
		dir = slash > 0 ? check_zero(c, rest) : "/";
		if (stat(dir, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)))
			return dir;
	}
	return NULL;
}

bool
check_listed(const struct setting_list *list, const char *path)
{
	for (size_t i = 0; i < list->n; i++)
		if (strncmp(list->v[i], "unix:", 5) == 0 &&
		    strcmp(list->v[i] + 5, path) == 0)
			return true;
	return false;
}

/* 0, or the errno of connect(2). */
static int
try_connect(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, error = 0;

	if (strlen(path) >= sizeof(un.sun_path))
		return ENAMETOOLONG;
	memcpy(un.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&un,
	    sizeof(un)) < 0)
		error = errno == EAGAIN ? 0 : errno;
	file_close(&fd);
	return error;
}

/* Why nobody can talk to a socket of ours, and what to do; *remedy_r is left
 * alone when it is all right. */
const char *
check_socket(struct check *c, const char *path, const char *setting,
    const struct setting_list *list, const char **remedy_r)
{
	const char *dir = check_open_directory(c, path);
	struct stat st;
	int error;

	if (lstat(path, &st) < 0) {
		*remedy_r = check_listed(list, path) ?
		    "start vbox-lmtpd, or see its log for why it ended" :
		    TEXT(c, "name it in vbox.conf, %s = {\"unix:%s\"}, or give "
		    "sendmail the one that is there", setting, path);
		return TEXT(c, "there is no %s", path);
	}
	if (S_ISLNK(st.st_mode)) {
		*remedy_r = "name the socket itself";
		return TEXT(c, "%s is a symbolic link, and sendmail follows "
		    "none to a socket", path);
	}
	if (!S_ISSOCK(st.st_mode)) {
		*remedy_r = "remove it and restart vbox-lmtpd";
		return TEXT(c, "%s is no socket", path);
	}
	if (dir != NULL) {
		*remedy_r = TEXT(c, "chmod go-w %s; DontBlameSendmail is not "
		    "needed for this, and would open more than this", dir);
		return TEXT(c, "others can write to the directory %s, so "
		    "anybody could put a socket of his own there, and "
		    "sendmail does not trust it", dir);
	}
	error = try_connect(path);
	if (error == ECONNREFUSED) {
		*remedy_r = "start vbox-lmtpd";
		return TEXT(c, "nobody listens on %s: vbox-lmtpd does not run",
		    path);
	}
	if (error != 0) {
		*remedy_r = TEXT(c, "see socket_mode, socket_user and "
		    "socket_group in vbox.conf");
		return TEXT(c, "%s: %s", path, strerror(error));
	}
	return NULL;
}

static void
check_queue(struct check *c, struct str dir, const char *how)
{
	const char *path = check_zero(c, dir);
	struct stat st;

	/* "/var/spool/mqueue/q*": several below it. */
	if (dir.n == 0 || strchr(path, '*') != NULL)
		return;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "queue %s is "
		    "not there", path), .asked = str_of(how),
		    .means = "sendmail refuses to start, or all mail",
		    .remedy = TEXT(c, "install -d -m 700 %s", path));
	else if (st.st_mode & (S_IRWXO | S_IWGRP))
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "queue %s is "
		    "open to others", path), .asked = str_of(how),
		    .answer = str_of(TEXT(c, "mode %04o",
		    (unsigned)st.st_mode & 07777)),
		    .means = "mail that waits can be read or changed there",
		    .remedy = TEXT(c, "chmod 700 %s", path));
	else
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "queue %s", path),
		    .asked = str_of(how));
}

void
check_queues(struct check *c)
{
	struct str rest = c->cf, line, part;

	check_queue(c, cf_option(c->cf, STR("QueueDirectory")),
	    "O QueueDirectory");
	while (cf_next(&rest, 'Q', &line)) {
		const char *how = TEXT(c, "Q%.*s", STR_ARG(line));

		while (str_split(&line, ',', &part))
			if (str_starts(str_trim(part), STR("P=")))
				check_queue(c, str_sub(str_trim(part), 2,
				    part.n), how);
	}
}

/* The .cf and the files of classes are read when sendmail starts. */
void
check_age(struct check *c)
{
	const char *pid = check_zero(c, cf_option(c->cf, STR("PidFile")));
	struct str rest = c->cf, line;
	struct stat started, st;

	if (pid[0] != '/' || stat(pid, &started) < 0)
		return;
	if (stat(c->cf_path.p, &st) == 0 &&
	    st.st_mtime > started.st_mtime)
		SAY(c, .grade = GRADE_WARNING, .about = "sendmail runs with an "
		    "older configuration", .asked = str_of(pid),
		    .means = TEXT(c, "%s was changed after it was started",
		    c->cf_path.p), .remedy = "restart sendmail");
	while (cf_next(&rest, 'F', &line)) {
		ptrdiff_t slash = str_chr(line, '/');
		const char *file = slash < 0 ? "" : check_zero(c, str_trim(
		    str_sub(line, (size_t)slash, line.n)));

		if (file[0] == '/' && stat(file, &st) == 0 &&
		    st.st_mtime > started.st_mtime)
			SAY(c, .grade = GRADE_WARNING, .about = TEXT(c, "%s was "
			    "changed after sendmail was started", file),
			    .asked = str_of(pid), .means = "files of classes "
			    "are read at the start only",
			    .remedy = "restart sendmail");
	}
}
