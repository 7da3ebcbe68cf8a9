/*
 * vboxadm import: what another system's files say, taken over in one
 * transaction. What has no place here (programs, files, error: entries) is
 * told on stderr with its line, and left out. Importing the same file again
 * changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>

#include "lda/adm/entry.h"
#include "lda/adm/nouns.h"
#include "lda/adm/password.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/directory/name.h"

#define FILE_MAX ((size_t)1 << 30)
#define VIRTUSER STR(".virtuser")
#define FIELDS_MAX 16
/* Below it live the machine's own users. */
#define LEAST_UID 1000

struct import {
	struct adm *a;
	const char *file;
	size_t line;
	struct str domain;	/* --domain; empty: none */
	size_t users, aliases, domains, skipped;
	bool dry;
};

static void
skip(struct import *m, const char *why, struct str what)
{
	m->skipped++;
	adm_note(m->a, "%s:%zu: left out: %s: %.*s", m->file, m->line, why,
	    (int)(what.n < 120 ? what.n : 120), what.p);
}

/* --- putting in ------------------------------------------------------------------ */

static int
need_domain(struct import *m, struct str domain, struct verdict *v)
{
	struct entry_name n = { ENTRY_DOMAIN, STR(""), domain };
	struct directory_entry e;

	switch (directory_writer_get(m->a->writer, ENTRY_DOMAIN, STR(""),
	    domain, &m->a->arena, &e, v)) {
	case DIR_FOUND:
		return 0;
	case DIR_BROKEN:
		return -1;
	case DIR_ABSENT:
		break;
	}
	entry_init(&n, &e);
	m->domains++;
	return directory_writer_put(m->a->writer, &e, v);
}

/* The user as he is, or a new one. */
static int
find_user(struct import *m, struct str local, struct str domain,
    struct directory_entry *e, struct verdict *v)
{
	struct entry_name n = { ENTRY_USER, local, domain };
	bool existed;

	if (need_domain(m, domain, v) < 0)
		return -1;
	switch (directory_writer_get(m->a->writer, ENTRY_USER, local, domain,
	    &m->a->arena, e, v)) {
	case DIR_FOUND:
		return 0;
	case DIR_BROKEN:
		return -1;
	case DIR_ABSENT:
		break;
	}
	entry_init(&n, e);
	/* He may have come as an alias of himself before. */
	return directory_writer_remove(m->a->writer, ENTRY_ALIAS, local,
	    domain, &existed, v);
}

static int
put_user(struct import *m, const struct directory_entry *e, struct verdict *v)
{
	m->users++;
	adm_progress(m->a, "imported", m->users + m->aliases);
	return directory_writer_put(m->a->writer, e, v);
}

static int
put_alias(struct import *m, struct str local, struct str domain,
    const struct str *targets, size_t count, struct verdict *v)
{
	struct entry_name n = { ENTRY_ALIAS, local, domain };
	struct directory_entry e, user;

	if (need_domain(m, domain, v) < 0)
		return -1;
	switch (directory_writer_get(m->a->writer, ENTRY_USER, local, domain,
	    &m->a->arena, &user, v)) {
	case DIR_FOUND:
		/* A mailbox that exists forwards instead. */
		user.is.user.forwards = (struct directory_list){ targets,
		    count };
		user.is.user.keep = FORWARD_DROP;
		return put_user(m, &user, v);
	case DIR_BROKEN:
		return -1;
	case DIR_ABSENT:
		break;
	}
	entry_init(&n, &e);
	e.is.alias.targets = (struct directory_list){ targets, count };
	m->aliases++;
	adm_progress(m->a, "imported", m->users + m->aliases);
	return directory_writer_put(m->a->writer, &e, v);
}

/* --- virtusertable ----------------------------------------------------------------- */

static bool
take_suffix(struct str *s, struct str suffix)
{
	if (!str_ends(*s, suffix))
		return false;
	s->n -= suffix.n;
	return true;
}

/* "user@d.virtuser." of the 2007 paper is the mailbox user@d. */
static bool
without_virtuser(struct str *target)
{
	(void)take_suffix(target, STR("."));
	return take_suffix(target, VIRTUSER);
}

static int
virtuser_domain(struct import *m, struct str key, struct str target,
    struct verdict *v)
{
	struct entry_name n = { .kind = ENTRY_DOMAIN, .local = STR("") };
	struct directory_entry e;
	struct str *list = arena_alloc(&m->a->arena, sizeof(*list));

	if (name_domain(str_sub(key, 1, key.n), &m->a->arena, &n.domain,
	    v) < 0) {
		skip(m, v->detail, key);
		return 0;
	}
	if (list == NULL || need_domain(m, n.domain, v) < 0 ||
	    directory_writer_get(m->a->writer, ENTRY_DOMAIN, STR(""), n.domain,
	    &m->a->arena, &e, v) != DIR_FOUND)
		return -1;
	if (str_starts(target, STR("%1@"))) {
		struct str to;

		target = str_sub(target, 3, target.n);
		(void)without_virtuser(&target);
		if (name_domain(target, &m->a->arena, &to, v) < 0) {
			skip(m, v->detail, target);
			return 0;
		}
		if (str_eq(to, n.domain))
			return 0;
		if (need_domain(m, to, v) < 0)
			return -1;
		e.is.domain.alias_of = to;
	} else if (str_chr(target, '%') >= 0) {
		skip(m, "rewriting", target);
		return 0;
	} else {
		(void)without_virtuser(&target);
		*list = target;
		e.is.domain.catch_all = (struct directory_list){ list, 1 };
	}
	return directory_writer_put(m->a->writer, &e, v);
}

static int
import_virtuser(struct import *m, struct str line, struct verdict *v)
{
	struct str key, target, local, domain, *list;
	struct directory_entry e;
	size_t n = 0;
	bool ours;

	line = str_trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return 0;
	while (n < line.n && !ascii_isblank(line.p[n]))
		n++;
	key = str_sub(line, 0, n);
	target = str_trim(str_sub(line, n, line.n));
	if (target.n == 0) {
		skip(m, "no target", line);
		return 0;
	}
	if (str_casestarts(target, STR("error:"))) {
		skip(m, "an error, not an address", line);
		return 0;
	}
	if (key.n > 0 && key.p[0] == '@')
		return virtuser_domain(m, key, target, v);
	if (name_address(key, &m->a->arena, &local, &domain, v) < 0 ||
	    domain.n == 0 || str_chr(target, '%') >= 0) {
		skip(m, "no address, or rewriting", line);
		return 0;
	}
	ours = without_virtuser(&target);
	list = arena_alloc(&m->a->arena, sizeof(*list));
	if (list == NULL)
		return verdict_set(v, V_NO_MEMORY, "too many lines");
	if (ours && str_caseeq(target, adm_join(m->a, local, domain)))
		return find_user(m, local, domain, &e, v) < 0 ? -1 :
		    put_user(m, &e, v);
	*list = target;
	return put_alias(m, local, domain, list, 1, v);
}

/* --- aliases ------------------------------------------------------------------------ */

/* The next of "a, \"b c\", d": quotes keep a comma. */
static bool
next_target(struct str *rest, struct str *target_r)
{
	bool quoted = false;
	size_t n = 0;

	if (rest->n == 0)
		return false;
	while (n < rest->n && (quoted || rest->p[n] != ',')) {
		if (rest->p[n] == '"')
			quoted = !quoted;
		n++;
	}
	*target_r = str_trim(str_sub(*rest, 0, n));
	*rest = str_sub(*rest, n + 1, rest->n);
	return true;
}

/* Programs, files and lists in files are the MTA's. */
static bool
is_address(struct str t)
{
	if (t.n > 0 && t.p[0] == '"')
		t = str_sub(t, 1, t.n);
	return t.n > 0 && t.p[0] != '|' && t.p[0] != '/' && t.p[0] != ':' &&
	    t.p[0] != '\\';
}

static int
import_alias(struct import *m, struct str line, struct verdict *v)
{
	struct str name, rest, target, local, domain, *list;
	size_t count = 0, most = 1;
	ptrdiff_t colon;

	line = str_trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return 0;
	colon = str_chr(line, ':');
	if (colon <= 0) {
		skip(m, "no colon", line);
		return 0;
	}
	name = str_trim(str_sub(line, 0, (size_t)colon));
	rest = str_trim(str_sub(line, (size_t)colon + 1, line.n));
	if (name_address(name, &m->a->arena, &local, &domain, v) < 0) {
		skip(m, v->detail, name);
		return 0;
	}
	if (domain.n == 0)
		domain = m->domain;
	if (domain.n == 0)
		return verdict_set(v, V_USAGE, "these names have no domain: "
		    "--domain says which");
	for (size_t i = 0; i < rest.n; i++)
		most += rest.p[i] == ',';
	list = arena_array(&m->a->arena, most, sizeof(*list));
	if (list == NULL)
		return verdict_set(v, V_NO_MEMORY, "too many targets");
	while (next_target(&rest, &target)) {
		/* \fred: fred himself, no further alias. */
		if (target.n > 1 && target.p[0] == '\\')
			target = str_sub(target, 1, target.n);
		if (is_address(target))
			list[count++] = target;
		else
			skip(m, "not an address", target);
	}
	return count == 0 ? 0 : put_alias(m, local, domain, list, count, v);
}

/* --- passwd --------------------------------------------------------------------------- */

static size_t
split_fields(struct str line, char sep, struct str fields[FIELDS_MAX])
{
	size_t n = 0;

	while (n < FIELDS_MAX && str_split(&line, sep, &fields[n]))
		n++;
	for (size_t i = n; i < FIELDS_MAX; i++)
		fields[i] = STR("");
	return n;
}

/* passwd(5), or Dovecot's passwd-file with whole addresses. */
static int
import_passwd(struct import *m, struct str line, struct verdict *v)
{
	struct str f[FIELDS_MAX], local, domain;
	struct directory_entry e;
	const char *min = adm_option(m->a, "min-uid");
	uint64_t uid = 0, least = LEAST_UID;

	line = str_trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return 0;
	(void)split_fields(line, ':', f);
	if (min != NULL && num_u64(str_of(min), UINT32_MAX, &least) < 0)
		return verdict_set(v, V_USAGE, "--min-uid: wants a number");
	if (name_address(f[0], &m->a->arena, &local, &domain, v) < 0) {
		skip(m, v->detail, f[0]);
		return 0;
	}
	/* A Unix account: the machine's own have no mailbox here. */
	if (domain.n == 0 && (num_u64(f[2], UINT32_MAX, &uid) < 0 ||
	    uid < least || uid == 65534)) {
		skip(m, "a system user", f[0]);
		return 0;
	}
	if (domain.n == 0)
		domain = m->domain;
	if (domain.n == 0)
		return verdict_set(v, V_USAGE, "these names have no domain: "
		    "--domain says which");
	if (find_user(m, local, domain, &e, v) < 0 || password_adopt(m->a,
	    f[1], &e.is.user.password, v) < 0)
		return -1;
	if (adm_option(m->a, "keep-home") != NULL)
		e.is.user.home = f[5];
	return put_user(m, &e, v);
}

/* --- the paper's users table ------------------------------------------------------------- */

/* username, password, userpart, domain, forward, alias_for; as psql -A or
 * sqlite3 print them, or with tabs or commas. */
static char
separator_of(struct str line)
{
	return str_chr(line, '|') >= 0 ? '|' : str_chr(line, '\t') >= 0 ?
	    '\t' : ',';
}

static int
table_forward(struct import *m, struct directory_entry *e, struct str text,
    struct verdict *v)
{
	text = str_trim(text);
	if (text.n == 0)
		return 0;
	e->is.user.keep = FORWARD_DROP;
	if (directory_list_parse(text, &m->a->arena, &e->is.user.forwards) < 0)
		return verdict_set(v, V_NO_MEMORY, "too many forwards");
	return 0;
}

static int
import_users(struct import *m, struct str line, struct verdict *v)
{
	struct str f[FIELDS_MAX], local, domain;
	struct directory_list targets;
	struct directory_entry e;

	line = str_trim(line);
	if (line.n == 0 || str_starts(line, STR("username")) ||
	    str_starts(line, STR("-")) || str_starts(line, STR("(")))
		return 0;
	(void)split_fields(line, separator_of(line), f);
	if (name_address(str_trim(f[0]), &m->a->arena, &local, &domain,
	    v) < 0 || domain.n == 0) {
		skip(m, "no address", f[0]);
		return 0;
	}
	if (str_trim(f[5]).n > 0) {
		if (directory_list_parse(str_trim(f[5]), &m->a->arena,
		    &targets) < 0)
			return verdict_set(v, V_NO_MEMORY, "too many targets");
		return put_alias(m, local, domain, targets.list, targets.count,
		    v);
	}
	if (find_user(m, local, domain, &e, v) < 0 || password_adopt(m->a,
	    str_trim(f[1]), &e.is.user.password, v) < 0 ||
	    table_forward(m, &e, f[4], v) < 0)
		return -1;
	return put_user(m, &e, v);
}

/* --- the command -------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int (*line)(struct import *, struct str, struct verdict *);
	bool continues;		/* a line that begins with a blank */
} kinds[] = {
	{ "virtusertable", import_virtuser, false },
	{ "aliases", import_alias, true },
	{ "passwd", import_passwd, false },
	{ "users-table", import_users, false },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Joins what continues, in place: the newline becomes a blank. */
static void
join_lines(struct buf *text)
{
	for (size_t i = 0; i + 1 < text->n; i++)
		if (text->p[i] == '\n' && ascii_isblank(text->p[i + 1]))
			text->p[i] = ' ';
}

static int
read_input(const char *file, struct buf *out, struct verdict *v)
{
	int fd = strcmp(file, "-") == 0 ? 0 :
	    open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0) {
		verdict_errno(v, errno, "%s", file);
		v->why = V_USAGE;
		return -1;
	}
	r = file_read_whole(fd, out);
	if (r < 0)
		verdict_errno(v, errno, "%s", file);
	if (fd != 0)
		file_close(&fd);
	return r;
}

static int
import_lines(struct import *m, size_t kind, struct str rest,
    struct verdict *v)
{
	struct str line;

	while (rest.n > 0 && str_split(&rest, '\n', &line)) {
		m->line++;
		if (kinds[kind].line(m, line, v) < 0)
			return -1;
	}
	if (m->dry)
		return 0;
	return directory_writer_commit(m->a->writer, v);
}

int
adm_import(struct adm *a, struct verdict *v)
{
	struct import m = { .a = a, .file = a->args[1], .domain = STR("") };
	const char *domain = adm_option(a, "domain");
	struct buf text;
	size_t kind = 0;
	int r;

	m.dry = adm_option(a, "dry-run") != NULL;
	while (kind < KINDS && strcmp(kinds[kind].name, a->args[0]) != 0)
		kind++;
	if (kind == KINDS)
		return verdict_set(v, V_USAGE, "import: no such table: %s",
		    a->args[0]);
	if (domain != NULL && adm_domain(a, domain, &m.domain, v) < 0)
		return -1;
	buf_init(&text, FILE_MAX);
	r = read_input(m.file, &text, v);
	if (r == 0 && kinds[kind].continues)
		join_lines(&text);
	if (r == 0 && adm_writer(a, v) == 0 &&
	    directory_writer_begin(a->writer, v) == 0)
		r = import_lines(&m, kind, buf_str(&text), v);
	else
		r = -1;
	buf_release(&text);
	if (r < 0)
		return -1;
	if (a->json)
		(void)buf_addf(&a->out, "{\"users\":%zu,\"aliases\":%zu,"
		    "\"domains\":%zu,\"skipped\":%zu}\n", m.users, m.aliases,
		    m.domains, m.skipped);
	else
		(void)buf_addf(&a->out, "%s%zu users, %zu aliases, %zu new "
		    "domains, %zu lines left out\n", m.dry ? "would be: " : "",
		    m.users, m.aliases, m.domains, m.skipped);
	return 0;
}
