/* Who takes mail, and how. */
#include "lda/adm/sendmail_check.h"

#include <string.h>
#include <sys/stat.h>

#include "lda/privileges.h"
#include "store/base/num.h"

const struct bt_mailer *
check_find_mailer(const struct check *c, struct str name)
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
bool
check_is_ours(const struct bt_mailer *m)
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
	path = check_zero(c, str_trim(str_sub(m->argv, strlen("FILE "), m->argv.n)));
	why = check_socket(c, path, "lmtp_listen", &s->lmtp_listen, &remedy);
	SAY(c, .grade = why != NULL ? GRADE_WRONG : GRADE_OK,
	    .about = TEXT(c, "mailer %.*s: LMTP on %s", STR_ARG(m->name),
	    path), .asked = STR("=M"),
	    .means = why == NULL ? NULL : TEXT(c, "%s; mail stays in "
	    "sendmail's queue", why), .remedy = remedy);
	if (why == NULL && !check_listed(&s->lmtp_listen, path))
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
		    .means = check_zero(c, str_of(v.detail)),
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
	const char *path = check_zero(c, m->program), *dir;
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
	dir = check_open_directory(c, path);
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
	    "what they put there would run as the mailer does", dir),
	    .remedy = dir == NULL ? NULL : TEXT(c, "chmod go-w %s", dir));
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

void
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
		if (!check_is_ours(m))
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
