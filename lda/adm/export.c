/*
 * vboxadm export: the tables of a site that keeps files, as the 2007 paper
 * has them. With --output the file is replaced whole, and only when it would
 * differ, so that `make` and makemap run when there is a reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lda/adm/collect.h"
#include "lda/adm/nouns.h"
#include "lda/json.h"
#include "store/base/clock.h"
#include "store/base/file.h"

#define TABLE_MAX ((size_t)1 << 30)
#define TABLE_MODE 0644

struct export {
	struct collection domains, users, aliases;
	struct buf table;
	int64_t now;
};

static const struct domain_record *
domain_named(const struct export *x, struct str name)
{
	size_t low = 0, high = x->domains.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct domain_record *d =
		    &x->domains.list[middle].is.domain;
		int order = str_cmp(name, d->name);

		if (order == 0)
			return d;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* What a user is now, his domain's state included. */
static enum account_state
state_of(const struct export *x, const struct account *u)
{
	const struct domain_record *d = domain_named(x, u->domain);
	enum account_state s = directory_state_at(&u->state, x->now);
	enum account_state ds = d == NULL ? ACCOUNT_ACTIVE :
	    directory_state_at(&d->state, x->now);

	if (ds == ACCOUNT_DISABLED || ds == ACCOUNT_LOCKED)
		return ds;
	return s;
}

/* --- tables ---------------------------------------------------------------------------- */

static void
virtuser_line(struct export *x, struct str local, struct str key_domain,
    struct str domain, enum account_state state)
{
	(void)buf_addf(&x->table, "%.*s@%.*s\t", STR_ARG(local),
	    STR_ARG(key_domain));
	if (state == ACCOUNT_DISABLED)
		(void)buf_addz(&x->table,
		    "error:5.2.1:550 Mailbox not available\n");
	else
		(void)buf_addf(&x->table, "%.*s@%.*s.virtuser.\n",
		    STR_ARG(local), STR_ARG(domain));
}

/* Users and aliases of one domain under one name of it. The agent resolves
 * aliases, so they point at it like users do. */
static void
virtuser_names(struct export *x, struct str key_domain, struct str domain)
{
	for (size_t i = 0; i < x->users.count; i++) {
		const struct account *u = &x->users.list[i].is.user;

		if (str_eq(u->domain, domain))
			virtuser_line(x, u->local, key_domain, domain,
			    state_of(x, u));
	}
	for (size_t i = 0; i < x->aliases.count; i++) {
		const struct alias_record *r = &x->aliases.list[i].is.alias;

		if (str_eq(r->domain, domain))
			virtuser_line(x, r->local, key_domain, domain,
			    ACCOUNT_ACTIVE);
	}
}

/* Everybody else of a domain. Without this line sendmail would look for
 * another machine that takes mail of the domain, and find itself. */
static void
virtuser_rest(struct export *x, const struct domain_record *d)
{
	const struct domain_record *real = d->alias_of.n > 0 ?
	    domain_named(x, d->alias_of) : d;

	(void)buf_addf(&x->table, "@%.*s\t", STR_ARG(d->name));
	if (directory_state_at(&d->state, x->now) == ACCOUNT_DISABLED)
		(void)buf_addz(&x->table,
		    "error:5.2.1:550 Mailbox not available\n");
	else if (real != NULL && real->catch_all.count > 0)
		(void)buf_addf(&x->table, "%%1@%.*s.virtuser.\n",
		    STR_ARG(real->name));
	else
		(void)buf_addz(&x->table, "error:5.1.1:550 User unknown\n");
}

static void
table_virtuser(struct export *x)
{
	/* In the order of the directory: users, then aliases, then what
	 * stands for a whole domain. */
	for (size_t i = 0; i < x->users.count; i++) {
		const struct account *u = &x->users.list[i].is.user;

		virtuser_line(x, u->local, u->domain, u->domain,
		    state_of(x, u));
	}
	for (size_t i = 0; i < x->aliases.count; i++) {
		const struct alias_record *r = &x->aliases.list[i].is.alias;

		virtuser_line(x, r->local, r->domain, r->domain,
		    ACCOUNT_ACTIVE);
	}
	for (size_t i = 0; i < x->domains.count; i++) {
		const struct domain_record *d = &x->domains.list[i].is.domain;

		if (d->alias_of.n > 0)
			virtuser_names(x, d->name, d->alias_of);
		virtuser_rest(x, d);
	}
}

static void
table_virtuserdomains(struct export *x)
{
	for (size_t i = 0; i < x->domains.count; i++) {
		struct str name = x->domains.list[i].is.domain.name;

		(void)buf_addf(&x->table,
		    "%.*s\n%.*s.virtuser\n%.*s.virtuser.\n", STR_ARG(name),
		    STR_ARG(name), STR_ARG(name));
	}
}

/* "To:", since an entry without it would let anybody relay who has a host in
 * the domain. */
static void
table_access(struct export *x)
{
	for (size_t i = 0; i < x->domains.count; i++) {
		const struct domain_record *d = &x->domains.list[i].is.domain;
		enum account_state s = directory_state_at(&d->state, x->now);

		(void)buf_addf(&x->table, "To:%.*s\t%s\n", STR_ARG(d->name),
		    s == ACCOUNT_DISABLED ?
		    "ERROR:5.2.1:550 Mailbox not available" :
		    s == ACCOUNT_LOCKED ? "ERROR:4.2.1:450 Mailbox is locked" :
		    "RELAY");
	}
	for (size_t i = 0; i < x->users.count; i++) {
		const struct account *u = &x->users.list[i].is.user;
		enum account_state s = state_of(x, u);

		if (s != ACCOUNT_DISABLED && s != ACCOUNT_LOCKED)
			continue;
		(void)buf_addf(&x->table, "To:%.*s@%.*s\t%s\n",
		    STR_ARG(u->local), STR_ARG(u->domain),
		    s == ACCOUNT_DISABLED ?
		    "ERROR:5.2.1:550 Mailbox not available" :
		    "ERROR:4.2.1:450 Mailbox is locked");
	}
}

static void
table_local_host_names(struct export *x)
{
	for (size_t i = 0; i < x->domains.count; i++)
		(void)buf_addf(&x->table, "%.*s\n",
		    STR_ARG(x->domains.list[i].is.domain.name));
}

/* The pseudo-domain never leaves the house. */
static void
table_generics(struct export *x)
{
	for (size_t i = 0; i < x->users.count; i++) {
		const struct account *u = &x->users.list[i].is.user;

		(void)buf_addf(&x->table, "%.*s@%.*s.virtuser\t%.*s@%.*s\n",
		    STR_ARG(u->local), STR_ARG(u->domain), STR_ARG(u->local),
		    STR_ARG(u->domain));
	}
}

static const struct {
	const char *name;
	void (*table)(struct export *);
} tables[] = {
	{ "virtusertable", table_virtuser },
	{ "virtuserdomains", table_virtuserdomains },
	{ "access", table_access },
	{ "local-host-names", table_local_host_names },
	{ "genericstable", table_generics },
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

/* --- files -------------------------------------------------------------------------------- */

/* 1: the file holds this already, 0: not, or there is none; -1 errno. */
static int
same_content(const char *path, struct str want)
{
	struct buf is;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	buf_init(&is, TABLE_MAX);
	r = file_read_whole(fd, &is);
	if (r == 0)
		r = str_eq(buf_str(&is), want);
	file_close(&fd);
	buf_release(&is);
	return r;
}

/* A terminal, a FIFO, /dev/null: written to, never replaced. */
static int
write_through(const char *path, struct str content)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY), r = -1;

	if (fd >= 0)
		r = file_write_all(fd, content.p, content.n);
	return file_close_checked(&fd) < 0 ? -1 : r;
}

static int
replace(const char *path, struct str content)
{
	char tmp[PATH_MAX], dir[PATH_MAX], *slash;
	struct stat st;
	int fd, d, r;

	if (snprintf(tmp, sizeof(tmp), "%s.vboxadm-new", path) >=
	    (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	(void)unlink(tmp); /* of one that was killed */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    TABLE_MODE);
	if (fd < 0)
		return -1;
	r = stat(path, &st) < 0 ? 0 : fchmod(fd, st.st_mode & 0777) < 0 ||
	    fchown(fd, st.st_uid, st.st_gid) < 0 ? -1 : 0;
	if (r == 0)
		r = file_write_all(fd, content.p, content.n);
	if (r == 0)
		r = file_sync(fd);
	if (file_close_checked(&fd) < 0 || r < 0 ||
	    file_rename_over(AT_FDCWD, tmp, AT_FDCWD, path) < 0) {
		int error = errno;

		(void)unlink(tmp); /* it is no use */
		errno = error;
		return -1;
	}
	(void)snprintf(dir, sizeof(dir), "%s", path); /* shorter than tmp */
	slash = strrchr(dir, '/');
	if (slash != NULL)
		slash[slash == dir] = '\0';
	d = file_open_root(slash != NULL ? dir : ".");
	r = d < 0 ? -1 : file_sync(d);
	file_close(&d);
	return r;
}

/* 1: nothing had to be written, 0: written, -1 errno. */
static int
put(const char *path, struct str content)
{
	char real[PATH_MAX];
	struct stat st;
	int same;

	if (stat(path, &st) == 0) {
		if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
			return write_through(path, content);
		/* Where a link leads, so that the link stays. */
		if (realpath(path, real) == NULL)
			return -1;
		path = real;
	} else if (errno != ENOENT) {
		return -1;
	}
	same = same_content(path, content);
	return same != 0 ? same : replace(path, content);
}

/* Is there a map, made from this file as it is? An earlier makemap may have
 * failed. */
static bool
map_is_new(const char *path)
{
	static const char *const suffixes[] = { ".db", ".pag", ".cdb" };
	char map[PATH_MAX];
	struct stat text, st;

	if (stat(path, &text) < 0)
		return false;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (snprintf(map, sizeof(map), "%s%s", path, suffixes[i]) <
		    (int)sizeof(map) && stat(map, &st) == 0)
			return st.st_mtim.tv_sec > text.st_mtim.tv_sec ||
			    (st.st_mtim.tv_sec == text.st_mtim.tv_sec &&
			    st.st_mtim.tv_nsec >= text.st_mtim.tv_nsec);
	return false;
}

/* makemap TYPE PATH < PATH, by argument vector. */
static int
make_map(const char *type, const char *path, struct verdict *v)
{
	extern char **environ;
	char *argv[] = { (char *)(uintptr_t)"makemap", (char *)(uintptr_t)type,
	    (char *)(uintptr_t)path, NULL };
	posix_spawn_file_actions_t actions;
	int error, status = 0;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return verdict_errno(v, ENOMEM, "makemap");
	error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, path,
	    O_RDONLY, 0);
	if (error == 0)
		error = posix_spawnp(&pid, "makemap", &actions, NULL, argv,
		    environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		return verdict_errno(v, error, "makemap");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return verdict_errno(v, errno, "makemap");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return verdict_set(v, V_TROUBLE, "makemap %s %s failed", type,
		    path);
	return 0;
}

static int
write_out(struct adm *a, struct export *x, struct verdict *v)
{
	const char *path = adm_option(a, "output");
	const char *map = adm_option(a, "makemap");
	int same;

	if (path == NULL) {
		if (map != NULL)
			return verdict_set(v, V_USAGE,
			    "--makemap goes with --output");
		(void)buf_adds(&a->out, buf_str(&x->table));
		return 0;
	}
	same = put(path, buf_str(&x->table));
	if (same < 0)
		return verdict_errno(v, errno, "%s", path);
	if (map != NULL && (same == 0 || !map_is_new(path)) &&
	    make_map(map, path, v) < 0)
		return -1;
	if (a->json) {
		(void)buf_addc(&a->out, '{');
		json_member(&a->out, "file", str_of(path));
		json_name(&a->out, "changed");
		(void)buf_addz(&a->out, same ? "false}\n" : "true}\n");
	} else if (!a->quiet) {
		(void)buf_addf(&a->out, "%s %s\n", path,
		    same ? "unchanged" : "changed");
	}
	return 0;
}

int
adm_export(struct adm *a, struct verdict *v)
{
	struct export x = { .now = clock_now() };
	size_t t = 0;
	int r = -1;

	while (t < TABLES && strcmp(tables[t].name, a->args[0]) != 0)
		t++;
	if (t == TABLES)
		return verdict_set(v, V_USAGE, "export: no such table: %s",
		    a->args[0]);
	collection_init(&x.domains);
	collection_init(&x.users);
	collection_init(&x.aliases);
	buf_init(&x.table, TABLE_MAX);
	if (collect_entries(a, ENTRY_DOMAIN, STR(""), &x.domains, v) == 0 &&
	    collect_entries(a, ENTRY_USER, STR(""), &x.users, v) == 0 &&
	    collect_entries(a, ENTRY_ALIAS, STR(""), &x.aliases, v) == 0) {
		tables[t].table(&x);
		r = write_out(a, &x, v);
	}
	collection_release(&x.domains);
	collection_release(&x.users);
	collection_release(&x.aliases);
	buf_release(&x.table);
	return r;
}
