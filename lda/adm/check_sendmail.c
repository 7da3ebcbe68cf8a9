/*
 * vboxadm check sendmail: the questions that an administrator would ask of a
 * sendmail in its test mode, and what the answers mean for virtual hosting.
 *
 * sendmail itself is asked, with its own .cf: what it says of a map, a class
 * or a rule set is what it will do. Nothing is changed, and no mail is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/adm/ask.h"
#include "lda/adm/collect.h"
#include "lda/adm/finding.h"
#include "lda/adm/nouns.h"
#include "lda/adm/sendmail_bt.h"
#include "lda/adm/sendmail_cf.h"
#include "lda/privileges.h"
#include "lda/resolve.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"

#define SENDMAIL_PATH "/usr/sbin/sendmail"
#define CF_MAX ((size_t)16 << 20)
/* Addresses that are tried when none is given, one of each kind; domains that
 * are searched for them. */
#define SAMPLES_MAX 12
#define SEARCHED_MAX 20
#define ADDRESSES_MAX 100
#define MAILERS_MAX 128
/* RFC 2606 and RFC 5737: nobody's domain, nobody's address. */
#define NOBODY "vbox-check-nobody"
#define ELSEWHERE "vbox-check.invalid"
/* Debian's access table refuses 192.0.2. */
#define STRANGER_ADDR "203.0.113.1"
#define STRANGER_NAME "stranger.invalid"

struct tried {
	struct str address, local, domain;
	size_t parse, check;		/* questions */
	struct verdict want;
};

struct check {
	struct adm *a;
	struct findings found;
	struct bt bt;
	struct buf cf_text;
	struct str cf, cf_path;
	struct collection domains;
	bool domains_known;
	struct resolver resolver;
	struct bt_mailer mailers[MAILERS_MAX];
	size_t mailer_count;
	bool map_way;			/* FEATURE(`vbox') with a socket map */
	bool class_way;			/* ... with a file of domains */
	bool table_way;			/* virtusertable and .virtuser */
	bool map_dead;			/* said already */
	struct tried tried[ADDRESSES_MAX];
	size_t tried_count;
};

#define SAY(c_, ...) \
	findings_say(&(c_)->found, &(struct finding){ __VA_ARGS__ })
#define TEXT(c_, ...) finding_text((c_)->a, __VA_ARGS__)

/* --- files and sockets ------------------------------------------------------------ */

static const char *
zero(struct check *c, struct str s)
{
	struct str copy = arena_copy(&c->a->arena, s);

	return copy.p != NULL ? copy.p : "";
}

/* The directory at or above `path` that others than root and its owner can
 * write to, which sendmail trusts nothing below; NULL when there is none. */
static const char *
open_directory(struct check *c, const char *path)
{
	struct str rest = str_of(path);
	ptrdiff_t slash;
	struct stat st;
	const char *dir;

	while ((slash = str_rchr(rest, '/')) >= 0) {
		rest = str_sub(rest, 0, (size_t)slash);
		dir = slash > 0 ? zero(c, rest) : "/";
		if (stat(dir, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)))
			return dir;
	}
	return NULL;
}

static bool
in_list(const struct setting_list *list, const char *path)
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
static const char *
why_not(struct check *c, const char *path, const char *setting,
    const struct setting_list *list, const char **remedy_r)
{
	const char *dir = open_directory(c, path);
	struct stat st;
	int error;

	if (lstat(path, &st) < 0) {
		*remedy_r = in_list(list, path) ?
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

/* --- the program and its configuration -------------------------------------------- */

/* The first line of the text that has `what` in it; empty: none. */
static struct str
line_with(struct str text, const char *what)
{
	struct str line;

	while (text.n > 0 && str_split(&text, '\n', &line))
		if (str_find(line, str_of(what)) >= 0)
			return line;
	return STR("");
}

static void
check_program(struct check *c)
{
	struct str said = c->bt.preamble;
	struct str version = str_trim(line_with(said, "Version "));
	bool maps = str_find(said, STR("SOCKETMAP")) >= 0;

	SAY(c, .grade = maps ? GRADE_OK : GRADE_WARNING,
	    .about = TEXT(c, "%s: %.*s, %s socket maps", c->bt.sendmail,
	    STR_ARG(version), maps ? "with" : "without"),
	    .asked = STR("sendmail -d0.1 -bt"),
	    .means = maps ? NULL : "this sendmail was built without SOCKETMAP: "
	    "it cannot ask vbox-lmtpd at RCPT time",
	    .remedy = maps ? NULL : "build it with SOCKETMAP, or keep tables: "
	    "vboxadm export virtusertable, access, virtuserdomains");
}

/* What sendmail said while it read the .cf. */
static void
check_complaints(struct check *c)
{
	struct str rest = c->bt.preamble, line, shown = STR("");
	struct stat st;

	while (rest.n > 0 && str_split(&rest, '\n', &line)) {
		line = str_trim(line);
		if (str_starts(line, c->cf_path) &&
		    str_find(line, STR(": line ")) >= 0)
			SAY(c, .grade = GRADE_WRONG,
			    .about = "sendmail does not understand a line of "
			    "its configuration",
			    .answer = line,
			    .remedy = "correct the .mc, build the .cf anew");
		else if (str_find(line, STR("ritable directory")) >= 0 &&
		    !str_eq(line, shown)) {
			SAY(c, .grade = GRADE_WARNING,
			    .about = "a directory that others can write to",
			    .answer = line,
			    .means = "sendmail distrusts files below it, and "
			    "maps there fail when they are needed",
			    .remedy = "chmod go-w that directory");
			shown = line;
		}
	}
	line = cf_option(c->cf, STR("DontBlameSendmail"));
	if (line.n > 0 && !str_caseeq(line, STR("safe")))
		SAY(c, .grade = GRADE_NOTE,
		    .about = "DontBlameSendmail is set", .answer = line,
		    .means = "vbox-lda needs none of it: sockets and "
		    "directories as it makes them are what sendmail trusts");
	if (geteuid() != 0)
		SAY(c, .grade = GRADE_NOTE, .about = "not run as root",
		    .means = "sendmail may not read its maps then, and answers "
		    "differ from those of the daemon");
	if (stat(c->cf_path.p, &st) == 0 &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		SAY(c, .grade = GRADE_WRONG,
		    .about = TEXT(c, "%s can be written by others",
		    c->cf_path.p),
		    .remedy = TEXT(c, "chmod go-w %s", c->cf_path.p));
}

static int
read_cf(struct check *c, struct verdict *v)
{
	struct str line, path = STR("");
	struct str rest = c->bt.preamble;
	ptrdiff_t at;
	int fd, r = 0;

	/* "Conf file:	/etc/mail/sendmail.cf (selected)" */
	while (rest.n > 0 && str_split(&rest, '\n', &line)) {
		at = str_find(line, STR("Conf file:"));
		if (at < 0 || str_find(line, STR("(selected)")) < 0)
			continue;
		path = str_trim(str_sub(line, (size_t)at +
		    strlen("Conf file:"), line.n));
		at = str_rchr(path, '(');
		path = str_trim(str_sub(path, 0, (size_t)at));
	}
	if (path.n == 0)
		return verdict_set(v, V_CONFIG, "%s does not tell which .cf it "
		    "reads", c->bt.sendmail);
	c->cf_path = arena_copy(&c->a->arena, path);
	fd = open(c->cf_path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || file_read_whole(fd, &c->cf_text) < 0)
		r = verdict_errno(v, errno, "%s", c->cf_path.p);
	file_close(&fd);
	c->cf = buf_str(&c->cf_text);
	return r;
}

/* --- mailers ------------------------------------------------------------------------ */

static const struct bt_mailer *
find_mailer(const struct check *c, struct str name)
{
	for (size_t i = 0; i < c->mailer_count; i++)
		if (str_eq(c->mailers[i].name, name))
			return &c->mailers[i];
	return NULL;
}

/* By the program, or by the name of our MAILER() for a site that wraps it. */
static bool
by_command(const struct bt_mailer *m)
{
	return str_ends(m->program, STR("/vbox-deliver")) ||
	    (str_eq(m->name, STR("vboxcmd")) &&
	    str_starts(m->program, STR("/")));
}

static bool
by_lmtp(const struct bt_mailer *m)
{
	return str_eq(m->program, STR("[IPC]")) && str_chr(m->flags, 'z') >= 0;
}

static bool
system_users(const struct bt_mailer *m)
{
	return by_command(m) && str_find(m->argv, STR("--system-user")) >= 0;
}

/* Does mail that goes to this mailer come to us? */
static bool
is_ours(const struct bt_mailer *m)
{
	return m != NULL && !system_users(m) && (by_command(m) ||
	    (by_lmtp(m) && !str_eq(m->name, STR("local"))));
}

static void
check_lmtp_mailer(struct check *c, const struct bt_mailer *m)
{
	const struct settings *s = &c->a->config.global;
	const char *remedy = NULL, *why, *path;

	if (!str_starts(m->argv, STR("FILE "))) {
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "mailer %.*s: LMTP, "
		    "%.*s", STR_ARG(m->name), STR_ARG(m->argv)),
		    .asked = STR("=M"));
		return;
	}
	path = zero(c, str_trim(str_sub(m->argv, strlen("FILE "), m->argv.n)));
	why = why_not(c, path, "lmtp_listen", &s->lmtp_listen, &remedy);
	SAY(c, .grade = why != NULL ? GRADE_WRONG : GRADE_OK,
	    .about = TEXT(c, "mailer %.*s: LMTP on %s", STR_ARG(m->name),
	    path), .asked = STR("=M"),
	    .means = why == NULL ? NULL : TEXT(c, "%s; mail stays in "
	    "sendmail's queue", why), .remedy = remedy);
	if (why == NULL && !in_list(&s->lmtp_listen, path))
		SAY(c, .grade = GRADE_WARNING, .about = TEXT(c, "%s is not in "
		    "lmtp_listen", path), .means = "somebody listens there, "
		    "but this vbox.conf does not say so: another instance, or "
		    "a configuration that is not in force yet",
		    .remedy = "see vbox-lmtpd -t -v");
}

/* As whom sendmail runs the program, and as whom it would deliver. */
static void
check_identity(struct check *c, const struct bt_mailer *m)
{
	const struct settings *s = &c->a->config.global;
	struct verdict v = VERDICT_INIT;
	struct identity id;
	struct str uid, rest = m->user;
	uint64_t u;

	if (identity_find(s->user, s->group, (uid_t)s->min_uid, &id, &v) < 0) {
		SAY(c, .grade = GRADE_WRONG, .about = "the mail user",
		    .means = zero(c, str_of(v.detail)),
		    .remedy = "make the user, or name another one in vbox.conf");
		return;
	}
	(void)str_split(&rest, ':', &uid);
	if (num_u64(uid, UINT32_MAX, &u) < 0) {
		/* U= is not given: the default user, or with S still root. */
		if (str_chr(m->flags, 'S') >= 0)
			return;
		SAY(c, .grade = GRADE_WARNING, .about = TEXT(c, "mailer %.*s "
		    "has no U=", STR_ARG(m->name)), .asked = STR("=M"),
		    .means = "sendmail runs it as its default user, and "
		    "vbox-deliver puts all mail off when that is not the user "
		    "of vbox.conf",
		    .remedy = TEXT(c, "define(`VBOX_DELIVER_USER', `%s')",
		    s->user));
	} else if (u != 0 && u != id.uid) {
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "mailer %.*s "
		    "runs as uid %llu", STR_ARG(m->name),
		    (unsigned long long)u), .asked = STR("=M"),
		    .means = TEXT(c, "vbox.conf says %s, which is uid %u: all "
		    "mail is put off", s->user, (unsigned)id.uid),
		    .remedy = TEXT(c, "U=%s in the .mc, or user = in vbox.conf",
		    s->user));
	}
}

static void
check_command_mailer(struct check *c, const struct bt_mailer *m)
{
	const char *path = zero(c, m->program), *dir;
	enum grade grade = GRADE_OK;
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !(st.st_mode & S_IXUSR)) {
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "mailer %.*s: "
		    "%s cannot be run", STR_ARG(m->name), path),
		    .asked = STR("=M"), .means = "it is not there, or no "
		    "program; mail stays in the queue or bounces",
		    .remedy = "make install, or correct VBOX_DELIVER_PATH");
		return;
	}
	dir = open_directory(c, path);
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		dir = path;
		grade = GRADE_WRONG;
	} else if (dir != NULL) {
		grade = GRADE_WARNING;
	}
	SAY(c, .grade = grade,
	    .about = TEXT(c, "mailer %.*s: %.*s", STR_ARG(m->name),
	    STR_ARG(m->argv)), .asked = STR("=M"),
	    .means = dir == NULL ? NULL : TEXT(c, "others can write to %s: "
	    "what they put there would run as the mailer does", dir), .remedy = dir == NULL ? NULL : TEXT(c, "chmod go-w %s", dir));
	if (system_users(m))
		return;
	check_identity(c, m);
	if (str_chr(m->flags, 'm') >= 0)
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "mailer %.*s has "
		    "the flag m", STR_ARG(m->name)), .asked = STR("=M"),
		    .means = "sendmail would give several recipients to one "
		    "vbox-deliver, which takes one and refuses the rest",
		    .remedy = "take m out of the mailer's flags");
}

static void
check_flags(struct check *c, const struct bt_mailer *m)
{
	if (str_chr(m->flags, 'w') >= 0)
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "mailer %.*s has "
		    "the flag w", STR_ARG(m->name)), .asked = STR("=M"),
		    .means = "sendmail wants an account in the passwd file for "
		    "each recipient, and hosted users have none",
		    .remedy = "take w out of the mailer's flags");
	if (str_chr(m->flags, 'A') >= 0)
		SAY(c, .grade = GRADE_WARNING, .about = TEXT(c, "mailer %.*s "
		    "has the flag A", STR_ARG(m->name)), .asked = STR("=M"),
		    .means = "hosted users go through /etc/mail/aliases, too: "
		    "an alias `fred' there would take the mail of every fred",
		    .remedy = "take A out of the mailer's flags");
}

static void
check_mailers(struct check *c, struct str answer)
{
	size_t ours = 0;

	while (c->mailer_count < MAILERS_MAX && bt_next_mailer(&answer,
	    &c->mailers[c->mailer_count]))
		c->mailer_count++;
	for (size_t i = 0; i < c->mailer_count; i++) {
		const struct bt_mailer *m = &c->mailers[i];

		if (system_users(m))
			check_command_mailer(c, m);
		if (!is_ours(m))
			continue;
		ours++;
		if (by_command(m))
			check_command_mailer(c, m);
		else
			check_lmtp_mailer(c, m);
		check_flags(c, m);
	}
	if (ours == 0)
		SAY(c, .grade = GRADE_WRONG, .about = "no mailer of vbox-lda",
		    .asked = STR("=M"), .means = "sendmail knows no way to hand "
		    "mail over: the .mc has no MAILER(`vbox') or "
		    "MAILER(`vboxcmd'), or another .cf is in use",
		    .remedy = "add the MAILER line (contrib/sendmail/README.md), "
		    "build the .cf anew and restart sendmail");
}

/* --- maps ----------------------------------------------------------------------------- */

static struct str
first_domain(const struct check *c)
{
	if (c->tried_count > 0)
		return c->tried[0].domain;
	return c->domains.count > 0 ? c->domains.list[0].is.domain.name :
	    STR(ELSEWHERE);
}

/* sendmail's own reason for not using a socket, in plain words. */
static void
explain_map(struct check *c, const struct cf_map *m, size_t question)
{
	const struct settings *s = &c->a->config.global;
	ptrdiff_t at = str_find(m->args, STR("unix:"));
	const char *path = "", *why = NULL, *remedy = NULL;

	if (at >= 0) {
		path = zero(c, str_trim(str_sub(m->args, (size_t)at + 5,
		    m->args.n)));
		why = why_not(c, path, "map_listen", &s->map_listen, &remedy);
	}
	SAY(c, .grade = GRADE_WRONG,
	    .about = TEXT(c, "map %.*s does not answer", STR_ARG(m->name)),
	    .asked = bt_question(&c->bt, question),
	    .answer = bt_answer(&c->bt, question),
	    .means = TEXT(c, "%s; every recipient is put off (451) until it "
	    "does", why != NULL ? why : "vbox-lmtpd cannot ask its directory, "
	    "or the socket is another program's"),
	    .remedy = remedy != NULL ? remedy : "see the log of vbox-lmtpd; "
	    "vboxadm check");
	c->map_dead = true;
}

static void
check_map(struct check *c, const struct cf_map *m, size_t question)
{
	struct str answer = bt_answer(&c->bt, question);

	/* 69 is EX_UNAVAILABLE: asked, and not there. 75 could not be asked. */
	if (str_find(answer, STR("no match (75)")) >= 0 ||
	    str_find(answer, STR(" unsafe: ")) >= 0) {
		if (!c->map_dead)
			explain_map(c, m, question);
		return;
	}
	SAY(c, .grade = GRADE_OK, .about = TEXT(c, "map %.*s answers",
	    STR_ARG(m->name)), .asked = bt_question(&c->bt, question),
	    .answer = answer);
}

/* Without the mark "could not ask" is taken for "not there". */
static void
check_marks(struct check *c)
{
	struct str rest = c->cf, line;

	while (cf_next(&rest, 'K', &line)) {
		struct cf_map m = cf_map_of(line);

		if (!str_eq(m.kind, STR("socket")) ||
		    str_find(m.args, STR("-T<TMPF>")) >= 0)
			continue;
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "map %.*s has no "
		    "-T<TMPF>", STR_ARG(m.name)), .asked = line,
		    .means = "when it cannot be asked, sendmail takes that for "
		    "\"not there\" and refuses users who exist",
		    .remedy = TEXT(c, "socket -T<TMPF> %.*s in the .mc",
		    STR_ARG(m.args)));
	}
}

/* --- classes --------------------------------------------------------------------------- */

struct classes {
	size_t w, r, virthost, whole, j;
};

static const char *
remedy_of_class(struct check *c, const char *class, const char *what)
{
	struct str file = cf_class_file(c->cf, str_of(class));

	return file.n > 0 ? TEXT(c, "%s %.*s, then restart sendmail", what,
	    STR_ARG(file)) : TEXT(c, "%s class %s in the .mc, then restart "
	    "sendmail", what, class);
}

static void
check_class(struct check *c, const struct classes *q, struct str domain)
{
	struct str name = str_trim(bt_answer(&c->bt, q->j));

	if (str_caseeq(name, domain)) {
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s is this "
		    "machine's own name", STR_ARG(domain)), .asked = STR("$j"),
		    .answer = name, .means = "sendmail delivers mail for its "
		    "own name to accounts of this machine, never to hosted "
		    "users", .remedy = "give the machine another name, such as "
		    "mx.that-domain, or define(`confDOMAIN_NAME')");
	} else if (bt_lists(bt_answer(&c->bt, q->w), domain)) {
		SAY(c, .grade = GRADE_WARNING, .about = TEXT(c, "%.*s is in "
		    "class w", STR_ARG(domain)), .asked = STR("$=w"),
		    .answer = domain, .means = c->map_way || c->class_way ?
		    "FEATURE(`vbox') comes first, so its mail still goes "
		    "there; for all other rules the domain is this machine, "
		    "and fred there is the account fred here" :
		    "an address that is not in the virtusertable goes to the "
		    "account of that name on this machine: sam there reaches "
		    "the account sam here", .remedy = remedy_of_class(c, "w",
		    "take it out of"));
	}
	if (bt_lists(bt_answer(&c->bt, q->r), domain))
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s is in class "
		    "R", STR_ARG(domain)), .asked = STR("$=R"),
		    .answer = domain, .means = "hosts whose names are in it or "
		    "below it may relay to anywhere, and whoever has the "
		    "domain gives such names; sendmail 8.13 and 8.14 were seen "
		    "to pass over DNS lists for it, too", .remedy = remedy_of_class(c, "R",
		    "FEATURE(`vbox') needs no class R: do not use "
		    "VIRTUSER_DOMAIN_FILE (contrib/sendmail/vbox-single.mc "
		    "shows how), and take it out of"));
	if (c->map_way)
		return;
	if (c->class_way && bt_lists(bt_answer(&c->bt, q->whole), domain))
		return;
	if (c->table_way && bt_lists(bt_answer(&c->bt, q->virthost), domain))
		return;
	SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s is not known to "
	    "sendmail", STR_ARG(domain)), .asked = c->class_way ?
	    STR("$={VboxDomain}") : STR("$={VirtHost}"),
	    .means = "it is in none of the classes of hosted domains, so mail "
	    "for it is refused as relaying, or sent on to its MX",
	    .remedy = c->class_way && c->table_way ? TEXT(c, "%s; or, user by "
	    "user, %s", remedy_of_class(c, "{VboxDomain}", "write it into"),
	    remedy_of_class(c, "{VirtHost}", "into")) : c->class_way ?
	    remedy_of_class(c, "{VboxDomain}", "write it into") :
	    remedy_of_class(c, "{VirtHost}", "write it into"));
}

static bool
already(const struct check *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(c->tried[i].domain, c->tried[n].domain))
			return true;
	return false;
}

/* The domains of the addresses that were given, or all. */
static void
check_classes(struct check *c, const struct classes *q)
{
	size_t wrong = c->found.counts[GRADE_WRONG], n = 0;

	for (size_t i = 0; c->a->arg_count > 0 && i < c->tried_count; i++)
		if (!already(c, i)) {
			check_class(c, q, c->tried[i].domain);
			n++;
		}
	for (size_t i = 0; c->a->arg_count == 0 && i < c->domains.count;
	    i++, n++)
		check_class(c, q, c->domains.list[i].is.domain.name);
	if (wrong == c->found.counts[GRADE_WRONG] && n > 0)
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%zu hosted "
		    "domain%s: in no class that would change where %s mail "
		    "goes", n, n == 1 ? "" : "s", n == 1 ? "its" : "their"),
		    .asked = STR("$=w, $=R"));
	if (!c->domains_known && c->a->arg_count == 0)
		SAY(c, .grade = GRADE_NOTE, .about = "the domains cannot be "
		    "listed", .means = "the configured directory can be asked "
		    "but not listed; give addresses, and their domains are "
		    "looked at", .remedy = "vboxadm check sendmail "
		    "USER@DOMAIN ...");
}

/* Are there DNS lists, and does an entry of the access table excuse hosts of
 * a hosted domain from them? */
static void
check_dns_lists(struct check *c)
{
	struct str rest = c->cf, line;
	size_t lists = 0;

	while (cf_next(&rest, 'R', &line))
		if (str_find(line, STR("$(dnsbl ")) >= 0 ||
		    str_find(line, STR("$(ednsbl ")) >= 0)
			lists++;
	SAY(c, .grade = lists > 0 ? GRADE_OK : GRADE_NOTE,
	    .about = lists > 0 ? TEXT(c, "%zu DNS list%s asked about who sends",
	    lists, lists == 1 ? " is" : "s are") : "no DNS list is configured",
	    .asked = STR("FEATURE(`dnsbl'), FEATURE(`enhdnsbl')"));
}

static void
check_access(struct check *c, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++) {
		struct str value = bt_value(bt_answer(&c->bt, i));

		if (!str_eq(value, STR("RELAY")) && !str_eq(value, STR("OK")))
			continue;
		SAY(c, .grade = GRADE_WARNING, .about = "the access table "
		    "excuses hosts of a hosted domain",
		    .asked = bt_question(&c->bt, i), .answer = value,
		    .means = "an entry without To: is about who sends: hosts "
		    "with names in the domain pass the DNS lists, and with "
		    "RELAY they may relay", .remedy = "write To:DOMAIN RELAY, "
		    "or nothing: FEATURE(`vbox') needs no entry");
	}
}

/* --- addresses --------------------------------------------------------------------------- */

static void
wrong_mailer(struct check *c, const struct tried *t, struct str returned)
{
	struct str mailer = bt_mailer_of(returned);
	struct str code = bt_code_of(returned, &c->a->arena);
	const char *means, *remedy = "see what is wrong with its domain above";

	if (str_starts(code, STR("4."))) {
		if (c->map_dead)
			return;		/* said with its reason */
		means = "it cannot be looked up";
		remedy = "see the maps above, and the log of vbox-lmtpd";
	} else if (code.n > 0) {
		means = "sendmail refuses it";
		remedy = c->table_way ? "vboxadm export virtusertable "
		    "--output=FILE --makemap=hash" : remedy;
	} else if (str_eq(mailer, STR("local"))) {
		means = "it goes to an account of this machine, not to vbox-lda: "
		    "the domain counts as this machine";
	} else if (mailer.n == 0) {
		means = "rule set 0 did not choose a mailer";
	} else {
		means = TEXT(c, "mailer %.*s would send it on to another "
		    "machine: sendmail does not know that the domain is hosted "
		    "here", STR_ARG(mailer));
		remedy = "FEATURE(`vbox') in the .mc, and the .cf built anew";
	}
	SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s does not go to "
	    "vbox-lda", STR_ARG(t->address)),
	    .asked = bt_question(&c->bt, t->parse), .answer = returned,
	    .means = means, .remedy = remedy);
}

/* Which mailer? Only for who may have mail: of others nothing is wanted. */
static void
judge_route(struct check *c, const struct tried *t)
{
	struct str returned = bt_returns(bt_answer(&c->bt, t->parse),
	    STR("parse"));
	const struct bt_mailer *m = find_mailer(c, bt_mailer_of(returned));

	if (!is_ours(m))
		wrong_mailer(c, t, returned);
	else
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%.*s goes to mailer "
		    "%.*s", STR_ARG(t->address), STR_ARG(m->name)),
		    .asked = bt_question(&c->bt, t->parse),
		    .answer = returned);
}

/* Somebody who may have mail: does a stranger's get through to him? */
static void
judge_welcome(struct check *c, const struct tried *t, struct str returned,
    struct str code)
{
	bool full = str_eq(code, STR("5.2.2")) || str_eq(code, STR("4.2.2"));

	if (code.n == 0 && bt_mailer_of(returned).n == 0) {
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%.*s may have mail "
		    "from strangers", STR_ARG(t->address)),
		    .asked = bt_question(&c->bt, t->check),
		    .answer = returned);
		return;
	}
	if (str_starts(code, STR("4.3.")) && c->map_dead)
		return;
	SAY(c, .grade = full ? GRADE_NOTE : GRADE_WRONG,
	    .about = TEXT(c, full ? "%.*s: the mailbox is full" :
	    "%.*s is refused, and should not be", STR_ARG(t->address)),
	    .asked = bt_question(&c->bt, t->check), .answer = returned,
	    .means = full ? NULL : str_find(returned, STR("Relaying")) >= 0 ?
	    "for sendmail the domain is not hosted here, so a stranger's mail "
	    "for it is relaying" : "a check of sendmail refuses it: an entry "
	    "of the access table, a DNS list, a rule of the site",
	    .remedy = full ? NULL : "follow the rule set in test mode: "
	    "echo 'check_rcpt <ADDRESS>' | sendmail -bt");
}

/* Somebody who may not: is that said at RCPT, with the same code? Both the
 * look-up of the mailer and check_rcpt may say it. */
static void
judge_refusal(struct check *c, const struct tried *t, struct str returned,
    struct str code)
{
	const char *want = verdict_code(&t->want);
	size_t question = t->check;

	if (code.n == 0) {
		struct str parsed = bt_returns(bt_answer(&c->bt, t->parse),
		    STR("parse"));

		code = bt_code_of(parsed, &c->a->arena);
		if (code.n > 0) {
			question = t->parse;
			returned = parsed;
		}
		/* sendmail's word for it (virtusertable, error:nouser). */
		if (str_eq(code, STR("nouser")))
			code = STR("5.1.1");
	}
	if (str_starts(code, STR("4.3.")) && c->map_dead)
		return;
	if (str_eq(code, str_of(want))) {
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%.*s is refused at "
		    "RCPT, %s", STR_ARG(t->address), want),
		    .asked = bt_question(&c->bt, question),
		    .answer = returned);
		return;
	}
	SAY(c, .grade = c->map_way ? GRADE_WRONG : GRADE_WARNING,
	    .about = TEXT(c, "%.*s: the agent says %s, sendmail at RCPT %s",
	    STR_ARG(t->address), want, code.n > 0 ? zero(c, code) : "takes it"),
	    .asked = bt_question(&c->bt, question), .answer = returned,
	    .means = code.n > 0 ? "a table or a map is older than the "
	    "directory" : "sendmail accepts the message, and then has to send "
	    "a bounce, often to a forged address",
	    .remedy = c->map_way ? "wait for cache_ttl and ask again; if it "
	    "stays, vbox-lmtpd runs with another configuration" :
	    "let sendmail ask vbox-lmtpd at RCPT: FEATURE(`vbox') with a map "
	    "(contrib/sendmail/vbox-maps.mc); or write the tables: vboxadm "
	    "export virtusertable --output=FILE --makemap=hash");
}

static void
judge(struct check *c, const struct tried *t)
{
	struct str returned = bt_returns(bt_answer(&c->bt, t->check),
	    STR("check_rcpt"));
	struct str code = bt_code_of(returned, &c->a->arena);

	if (t->want.why == V_DIRECTORY_DOWN || t->want.why == V_TROUBLE ||
	    t->want.why == V_CONFIG) {
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s cannot be "
		    "looked up", STR_ARG(t->address)),
		    .means = zero(c, str_of(t->want.detail)),
		    .remedy = "vboxadm check; vbox-lmtpd -t");
		return;
	}
	if (t->want.why == V_OK) {
		judge_route(c, t);
		judge_welcome(c, t, returned, code);
	} else {
		judge_refusal(c, t, returned, code);
	}
}

static void
try_address(struct check *c, struct str local, struct str domain)
{
	struct tried *t = &c->tried[c->tried_count];
	struct resolution res;
	struct arena arena;

	if (c->tried_count == ADDRESSES_MAX)
		return;
	c->tried_count++;
	arena_init(&arena, RESOLVE_ARENA);
	/* What it says stands in res. */
	(void)resolve_recipient(&c->resolver, local, domain, STR(""), &arena,
	    &res);
	*t = (struct tried){ .want = res.verdict,
	    .local = arena_copy(&c->a->arena, local),
	    .domain = arena_copy(&c->a->arena, domain),
	    .address = adm_join(c->a, local, domain) };
	arena_release(&arena);
}

/* One of each kind of the directory's entries, and nobody. */
static void
choose_samples(struct check *c)
{
	bool had[V_WHY_COUNT] = { false };
	size_t n = c->domains.count < SEARCHED_MAX ? c->domains.count :
	    SEARCHED_MAX;

	for (size_t i = 0; i < n && c->tried_count < SAMPLES_MAX; i++) {
		struct str name = c->domains.list[i].is.domain.name;
		struct verdict v = VERDICT_INIT;
		struct collection users;

		collection_init(&users);
		if (collect_entries(c->a, ENTRY_USER, name, &users, &v) == 0)
			for (size_t k = 0; k < users.count; k++) {
				const struct account *u = &users.list[k].is.user;
				size_t at = c->tried_count;

				if (at >= SAMPLES_MAX)
					break;
				try_address(c, u->local, u->domain);
				/* Of each domain one who may have mail, of
				 * each reason one who may not. */
				if (c->tried[at].want.why == V_OK ?
				    at > 0 && c->tried[at - 1].want.why == V_OK &&
				    str_eq(c->tried[at - 1].domain, name) :
				    had[c->tried[at].want.why])
					c->tried_count--;
				else
					had[c->tried[at].want.why] = true;
			}
		collection_release(&users);
	}
	if (n > 0)
		try_address(c, STR(NOBODY), c->domains.list[0].is.domain.name);
}

static int
choose_addresses(struct check *c, struct verdict *v)
{
	struct str local, domain;

	for (size_t i = 0; i < c->a->arg_count; i++) {
		if (adm_address(c->a, c->a->args[i], &local, &domain, v) < 0)
			return -1;
		try_address(c, local, domain);
	}
	if (c->a->arg_count == 0)
		choose_samples(c);
	return 0;
}

/* --- what else there is ------------------------------------------------------------------ */

static void
check_queue(struct check *c, struct str dir, const char *how)
{
	const char *path = zero(c, dir);
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

static void
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
static void
check_age(struct check *c)
{
	const char *pid = zero(c, cf_option(c->cf, STR("PidFile")));
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
		const char *file = slash < 0 ? "" : zero(c, str_trim(
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

/* The line of `sendmail -bv ADDRESS' that names the mailer: after aliases. */
static struct str
verify(struct check *c, const char *address)
{
	const char *argv[] = { c->bt.sendmail, "-C", c->bt.conf, "-bv", "--",
	    address, NULL };
	const char *without[] = { c->bt.sendmail, "-bv", "--", address, NULL };
	struct verdict ignored = VERDICT_INIT;
	struct str line = STR("");
	struct buf said;
	int status;

	buf_init(&said, CF_MAX);
	if (ask_program(c->bt.conf != NULL ? argv : without, STR(""),
	    BT_TIMEOUT_MS, &said, &status, &ignored) == 0)
		line = arena_copy(&c->a->arena, str_trim(line_with(
		    buf_str(&said), "mailer ")));
	buf_release(&said);
	return line;
}

/* Nobody wants to read mail as root, and this machine writes to root. */
static void
check_root(struct check *c)
{
	static const char asked[] = "sendmail -bv root";
	struct str line = verify(c, "root");

	if (str_find(line, STR("mailer local")) >= 0 &&
	    str_find(line, STR("user root")) >= 0)
		SAY(c, .grade = GRADE_WARNING, .about = "root has no alias",
		    .asked = str_of(asked), .answer = line,
		    .means = "mail for root is delivered to root's own "
		    "mailbox, or waits where the agent does not deliver as "
		    "root", .remedy = "root: USER@DOMAIN in "
		    "/etc/mail/aliases, newaliases");
	else if (str_find(line, STR("mailer *error*")) < 0 && line.n > 0)
		SAY(c, .grade = GRADE_OK, .about = "mail for root has "
		    "somewhere to go", .asked = str_of(asked), .answer = line);
	else if (!c->map_dead)
		SAY(c, .grade = GRADE_WARNING, .about = "mail for root is "
		    "refused", .asked = str_of(asked), .answer = line,
		    .remedy = "correct the alias of root in "
		    "/etc/mail/aliases, newaliases");
}

/* The whole way of one address, aliases included. */
static void
check_whole_way(struct check *c)
{
	const struct tried *t = NULL;
	struct str line, rest, name = STR("");
	ptrdiff_t at;

	for (size_t i = 0; i < c->tried_count && t == NULL; i++)
		if (c->tried[i].want.why == V_OK)
			t = &c->tried[i];
	if (t == NULL || c->map_dead)
		return;
	line = verify(c, zero(c, t->address));
	at = str_find(line, STR("mailer "));
	rest = str_sub(line, at < 0 ? line.n : (size_t)at + strlen("mailer "),
	    line.n);
	(void)str_split(&rest, ',', &name); /* none: no mailer */
	SAY(c, .grade = is_ours(find_mailer(c, name)) ? GRADE_OK :
	    GRADE_WRONG, .about = TEXT(c, "the whole way of %.*s",
	    STR_ARG(t->address)), .asked = str_of(TEXT(c, "sendmail -bv %.*s",
	    STR_ARG(t->address))), .answer = line,
	    .means = is_ours(find_mailer(c, name)) ? NULL :
	    "it does not end with vbox-lda");
}

/* --- all of it ------------------------------------------------------------------------------ */

/* A domain that is nobody's must not be taken for strangers. */
static void
check_open_relay(struct check *c, size_t question)
{
	struct str returned = bt_returns(bt_answer(&c->bt, question),
	    STR("check_rcpt"));
	struct str code = bt_code_of(returned, &c->a->arena);

	if (code.n > 0 && (!str_starts(code, STR("4.3.")) || !c->map_dead))
		SAY(c, .grade = GRADE_OK, .about = "strangers may not relay",
		    .asked = bt_question(&c->bt, question),
		    .answer = returned);
	else if (code.n == 0)
		SAY(c, .grade = GRADE_WRONG, .about = "strangers may relay",
		    .asked = bt_question(&c->bt, question), .answer = returned,
		    .means = "mail from anywhere to anywhere is taken: spammers "
		    "find that within hours", .remedy = "look for "
		    "FEATURE(`promiscuous_relay') and entries of the access "
		    "table with RELAY");
}

/* Names below a hosted domain are given by whoever has it. */
static void
check_relay_within(struct check *c, size_t question)
{
	struct str returned = bt_returns(bt_answer(&c->bt, question),
	    STR("check_rcpt"));

	if (!str_eq(returned, STR("RELAY")) ||
	    bt_code_of(returned, &c->a->arena).n > 0)
		return;
	SAY(c, .grade = GRADE_WRONG, .about = "hosts with names in a hosted "
	    "domain may relay", .asked = str_of(TEXT(c, "%.*s, then %.*s",
	    STR_ARG(bt_question(&c->bt, question - 1)),
	    STR_ARG(bt_question(&c->bt, question)))), .answer = returned,
	    .means = "whoever has the domain gives such names, to any machine",
	    .remedy = "take the domain out of class R and of entries of the "
	    "access table without To:");
}

static int
ask_first(struct check *c, struct classes *q, size_t *mailers_r,
    struct verdict *v)
{
	*mailers_r = bt_ask(&c->bt, "=M");
	q->w = bt_ask(&c->bt, "$=w");
	q->r = bt_ask(&c->bt, "$=R");
	q->virthost = bt_ask(&c->bt, "$={VirtHost}");
	q->whole = bt_ask(&c->bt, "$={VboxDomain}");
	q->j = bt_ask(&c->bt, "$j");
	return bt_run(&c->bt, v);
}

static void
find_way(struct check *c)
{
	struct cf_map m;

	c->map_way = cf_map(c->cf, STR("vbox_recipient"), &m);
	c->class_way = cf_class_file(c->cf, STR("{VboxDomain}")).n > 0;
	c->table_way = cf_map(c->cf, STR("virtuser"), &m);
	SAY(c, .grade = c->map_way || c->class_way || c->table_way ?
	    GRADE_OK : GRADE_WRONG,
	    .about = TEXT(c, "%s: %s", c->cf_path.p, c->map_way ?
	    "asks vbox-lmtpd at RCPT time" : c->class_way ?
	    "whole domains, without asking at RCPT time" : c->table_way ?
	    "hosts by virtusertable" : "hosts nothing"),
	    .means = c->map_way || c->class_way || c->table_way ? NULL :
	    "there is neither FEATURE(`vbox') nor FEATURE(`virtusertable') in "
	    "it", .remedy = c->map_way || c->class_way || c->table_way ? NULL :
	    "FEATURE(`vbox', `vbox', `', `socket -T<TMPF> "
	    "unix:/run/vbox/map.sock') in the .mc; or name the right .cf with "
	    "--config");
}

static const char *const our_maps[] = { "vbox_domain", "vbox_recipient",
	"virtuser" };
#define OUR_MAPS (sizeof(our_maps) / sizeof(our_maps[0]))

/* The questions that depend on what the first ones said. */
static int
ask_second(struct check *c, struct verdict *v)
{
	struct str domain = first_domain(c);
	size_t map[OUR_MAPS], access_first, access_n = 0, relay,
	    within;
	struct cf_map m;

	for (size_t i = 0; i < OUR_MAPS; i++)
		map[i] = cf_map(c->cf, str_of(our_maps[i]), &m) ?
		    bt_ask(&c->bt, "/map %s %s%.*s", our_maps[i], i == 0 ? "" :
		    NOBODY "@", STR_ARG(domain)) : BT_QUESTIONS;
	access_first = c->bt.count;
	if (cf_map(c->cf, STR("access"), &m)) {
		(void)bt_ask(&c->bt, "/map access %.*s", STR_ARG(domain));
		(void)bt_ask(&c->bt, "/map access Connect:%.*s",
		    STR_ARG(domain));
		access_n = 2;
	}
	for (size_t i = 0; i < c->tried_count; i++)
		c->tried[i].parse = bt_ask(&c->bt, "3,0 %.*s",
		    STR_ARG(c->tried[i].address));
	/* As a stranger would be asked about. */
	(void)bt_ask(&c->bt, ".D{client_addr}" STRANGER_ADDR);
	(void)bt_ask(&c->bt, ".D{client_name}" STRANGER_NAME);
	(void)bt_ask(&c->bt, ".D{client_resolve}OK");
	/* With delay_checks check_rcpt judges the sender, too, and finds none
	 * in test mode. Nobody may doubt the null sender. */
	(void)bt_ask(&c->bt, ".D{mail_from}<>");
	for (size_t i = 0; i < c->tried_count; i++)
		c->tried[i].check = bt_ask(&c->bt, "check_rcpt <%.*s>",
		    STR_ARG(c->tried[i].address));
	relay = bt_ask(&c->bt, "check_rcpt <x@" ELSEWHERE ">");
	(void)bt_ask(&c->bt, ".D{client_name}www.%.*s", STR_ARG(domain));
	within = bt_ask(&c->bt, "check_rcpt <x@" ELSEWHERE ">");
	if (bt_run(&c->bt, v) < 0)
		return -1;
	for (size_t i = 0; i < OUR_MAPS; i++)
		if (map[i] != BT_QUESTIONS && cf_map(c->cf,
		    str_of(our_maps[i]), &m))
			check_map(c, &m, map[i]);
	check_marks(c);
	check_access(c, access_first, access_n);
	for (size_t i = 0; i < c->tried_count; i++)
		judge(c, &c->tried[i]);
	check_open_relay(c, relay);
	check_relay_within(c, within);
	return 0;
}

static int
check_all(struct check *c, struct verdict *v)
{
	struct classes q;
	size_t mailers;

	if (choose_addresses(c, v) < 0 || ask_first(c, &q, &mailers, v) < 0 ||
	    read_cf(c, v) < 0)
		return -1;
	findings_begin(&c->found, c->a);
	check_program(c);
	find_way(c);
	check_complaints(c);
	check_mailers(c, bt_answer(&c->bt, mailers));
	check_classes(c, &q);
	if (ask_second(c, v) < 0) {
		/* What was found is worth reading, and JSON has an end. */
		findings_end(&c->found);
		return -1;
	}
	check_dns_lists(c);
	check_queues(c);
	check_age(c);
	check_whole_way(c);
	check_root(c);
	findings_end(&c->found);
	return 0;
}

int
adm_check_sendmail(struct adm *a, struct verdict *v)
{
	struct check *c = mem_zalloc(1, sizeof(*c));
	const char *sendmail = adm_option(a, "sendmail");
	const char *conf = adm_option(a, "config");
	struct verdict unlisted = VERDICT_INIT;
	struct directory *d = NULL;
	int r = -1;

	c->a = a;
	buf_init(&c->cf_text, CF_MAX);
	collection_init(&c->domains);
	bt_init(&c->bt, sendmail != NULL ? sendmail : SENDMAIL_PATH,
	    conf != NULL ? conf : adm_option(a, "C"), &a->arena);
	if (adm_directory(a, DIRECTORY_WANT_DELIVERY, &d, v) < 0)
		goto out;
	c->resolver = (struct resolver){ .directory = d,
	    .delimiters = a->config.global.recipient_delimiter };
	c->domains_known = collect_entries(a, ENTRY_DOMAIN, STR(""),
	    &c->domains, &unlisted) == 0;
	/* A directory that is down is no reason to ask nothing else. */
	r = check_all(c, v);
	if (r == 0)
		a->exit = c->found.counts[GRADE_WRONG] > 0 ? EX_DATAERR : EX_OK;
out:
	directory_close(&d);
	collection_release(&c->domains);
	bt_release(&c->bt);
	buf_release(&c->cf_text);
	free(c);
	return r;
}
