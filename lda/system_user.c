#include "lda/system_user.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/place.h"
#include "store/base/file.h"

/* useradd(8) makes none longer than 32, LDAP some. */
#define ACCOUNT_NAME_MAX 128
/* An entry of passwd(5), whatever NSS takes it from. */
#define ENTRY_FIRST 4096
#define ENTRY_MOST ((size_t)1 << 20)
#define DOTLOCK ".lock"
#define NO_HOME "/nonexistent"

enum found { FOUND_BROKEN = 0, FOUND_ACCOUNT, FOUND_NONE };

/* Becomes a file name. */
static bool
is_name(struct str s)
{
	if (s.n == 0 || s.n > ACCOUNT_NAME_MAX || s.p[0] == '.' ||
	    s.p[0] == '+' || s.p[0] == '-' || str_ends(s, STR(DOTLOCK)))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '/' || s.p[i] == ':' || ascii_iscntrl(s.p[i]) ||
		    ascii_isblank(s.p[i]))
			return false;
	return true;
}

/* getpwnam(3): whatever is not certainly "there is none" is trouble. */
static enum found
ask(struct str name, struct arena *a, struct passwd *pw_r, struct verdict *v)
{
	struct str z = arena_copy(a, name);
	struct passwd *found = NULL;
	size_t room = ENTRY_FIRST;
	char *text;
	int error;

	do {
		text = arena_alloc(a, room);
		if (z.p == NULL || text == NULL) {
			verdict_set(v, V_NO_MEMORY, "account");
			return FOUND_BROKEN;
		}
		error = getpwnam_r(z.p, pw_r, text, room, &found);
		room *= 2;
	} while (error == EINTR || (error == ERANGE && room <= ENTRY_MOST));
	if (found != NULL)
		return FOUND_ACCOUNT;
	if (error == 0 || error == ENOENT || error == ESRCH)
		return FOUND_NONE;
	verdict_errno(v, error, "look up the account %s", z.p);
	return FOUND_BROKEN;
}

static struct str
lower(struct str s, struct arena *a)
{
	char *p = arena_alloc(a, s.n + 1);

	if (p == NULL)
		return s;
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	return str_mem(p, s.n);
}

/* The name as it is written, else in small letters. */
static enum found
ask_both(struct str name, struct arena *a, struct passwd *pw_r,
    struct verdict *v)
{
	struct str small = lower(name, a);
	enum found f;

	if (!is_name(name))
		return FOUND_NONE;
	f = ask(name, a, pw_r, v);
	if (f == FOUND_NONE && !str_eq(small, name))
		f = ask(small, a, pw_r, v);
	return f;
}

/* The whole local part, else what stands before a delimiter. */
static enum found
look_up(const struct settings *s, struct str asked, struct arena *a,
    struct passwd *pw_r, struct str *detail_r, struct verdict *v)
{
	enum found f = ask_both(asked, a, pw_r, v);

	*detail_r = (struct str){ NULL, 0 };
	for (size_t i = 1; f == FOUND_NONE && i < asked.n; i++) {
		if (strchr(s->recipient_delimiter, asked.p[i]) == NULL)
			continue;
		*detail_r = str_sub(asked, i + 1, asked.n);
		return ask_both(str_sub(asked, 0, i), a, pw_r, v);
	}
	return f;
}

static bool
is_privileged(const struct settings *s, const struct passwd *pw)
{
	return pw->pw_uid == 0 || pw->pw_uid < s->system_min_uid;
}

/* Nobody reads mail as root, and no delivery runs as root. */
static int
instead_of_root(const struct settings *s, struct arena *a, struct passwd *pw,
    struct verdict *v)
{
	const char *name = pw->pw_name;
	struct str detail;

	if (s->system_root[0] == '\0') {
		verdict_set(v, V_CONFIG, "nothing is delivered to %s (uid %u): "
		    "give it an alias in the MTA, or set system_root", name,
		    (unsigned)pw->pw_uid);
		/* What mailq shows; a name that the sender has used. */
		verdict_say(v, "%s has no mailbox: it needs an alias, or "
		    "system_root", name);
		return -1;
	}
	switch (look_up(s, str_of(s->system_root), a, pw, &detail, v)) {
	case FOUND_ACCOUNT:
		break;
	case FOUND_NONE:
		return verdict_set(v, V_CONFIG, "system_root: there is no "
		    "account %s", s->system_root);
	case FOUND_BROKEN:
		return -1;
	}
	if (is_privileged(s, pw))
		return verdict_set(v, V_CONFIG, "system_root: %s has uid %u; "
		    "mail is never delivered as root, nor below system_min_uid",
		    s->system_root, (unsigned)pw->pw_uid);
	return 0;
}

/*
 * Who makes a dotlock in /var/mail has to be in its group. As Postfix's
 * local(8) has it: where the administrator's directory belongs to a group,
 * the user's uid and that gid, else the user's own.
 */
static int
choose_group(const struct settings *s, struct system_user *u, gid_t own,
    struct arena *a, struct verdict *v)
{
	struct account account = { .local = u->name, .domain = STR("localhost"),
	    .home = u->home };
	const char *root, *path;
	struct stat st;

	u->id.gid = geteuid() == 0 ? own : getgid();
	if (place_path("system_mailbox", s->system_mailbox, s, &account, a,
	    &root, &path, v) < 0)
		return -1;
	/* In a home a link would choose the group, and where it holds. */
	if (s->system_format == SET_FORMAT_MBOX &&
	    s->system_mailbox[0] == '/' && stat(root, &st) == 0 &&
	    S_ISDIR(st.st_mode) && st.st_uid == 0 && st.st_gid != 0 &&
	    (st.st_mode & S_IWGRP)) {
		u->shared = true;
		if (geteuid() == 0)
			u->id.gid = st.st_gid;
	}
	if (u->id.gid == 0)
		return verdict_set(v, V_CONFIG, "%.*s has the group root: mail "
		    "is never delivered as that", STR_ARG(u->name));
	return 0;
}

int
system_user_find(const struct settings *s, struct str asked,
    struct arena *a, struct system_user *u_r, struct verdict *v)
{
	struct system_user u = { .shared = false };
	struct passwd pw;

	if (!is_name(asked))
		return verdict_set(v, V_BAD_ADDRESS, "no name of an account");
	switch (look_up(s, asked, a, &pw, &u.detail, v)) {
	case FOUND_ACCOUNT:
		break;
	case FOUND_NONE:
		return verdict_set(v, V_UNKNOWN_USER, "there is no such "
		    "account on this machine");
	case FOUND_BROKEN:
		return -1;
	}
	if (is_privileged(s, &pw) && instead_of_root(s, a, &pw, v) < 0)
		return -1;
	/* LDAP may know it by another name; that becomes a file name. */
	u.name = str_of(pw.pw_name);
	if (!is_name(u.name))
		return verdict_set(v, V_CONFIG, "the account's own name cannot "
		    "be the name of a mailbox");
	u.home = pw.pw_dir != NULL && pw.pw_dir[0] == '/' ?
	    str_of(pw.pw_dir) : STR(NO_HOME);
	u.id.uid = pw.pw_uid;
	if (choose_group(s, &u, pw.pw_gid, a, v) < 0)
		return -1;
	*u_r = u;
	return 0;
}

/* Marks of scripts need a place; one that has no script needs none. */
static void
make_state(const struct settings *s, const struct system_user *u)
{
	struct account account = { .local = u->name, .domain = STR("localhost"),
	    .home = u->home };
	struct verdict ignored = VERDICT_INIT;
	const char *root, *path;
	struct arena arena;
	struct stat st;
	int dir;

	arena_init(&arena, PLACE_ARENA);
	if (place_path("sieve_script", s->sieve_script, s, &account, &arena,
	    &root, &path, &ignored) == 0 && (dir = file_open_root(root)) >= 0) {
		if (fstat(dir, &st) == 0 && st.st_uid == u->id.uid &&
		    fstatat(dir, path, &st, 0) == 0)
			(void)mkdir(s->state_dir, 0700); /* then no state */
		file_close(&dir);
	}
	arena_release(&arena);
}

int
system_user_settle(struct config *c, const struct system_user *u,
    struct verdict *v)
{
	struct settings *s = &c->global;
	struct buf state;
	struct str path;

	buf_init(&state, ENTRY_MOST);
	(void)buf_adds(&state, u->home);
	(void)buf_addz(&state, "/" SYSTEM_USER_STATE);
	path = state.full ? STR("") : arena_copy(&c->arena, buf_str(&state));
	buf_release(&state);
	if (path.n == 0)
		return verdict_set(v, V_NO_MEMORY, "path of the state");
	c->sections = NULL;
	c->section_count = 0;
	s->mbox_path = s->maildir_path = s->system_mailbox;
	s->format = s->system_format;
	s->shared_spool = u->shared;
	s->state_dir = path.p;
	s->quota_bytes = s->quota_messages = s->domain_quota_bytes = 0;
	s->content_rules.n = s->scanners.n = 0;
	s->srs_domain = "";
	if (s->sieve_engine != SET_ENGINE_NONE)
		make_state(s, u);
	return 0;
}

int
system_user_resolve(const struct system_user *u, const char *hostname,
    struct arena *a, struct resolution *res_r, struct verdict *v)
{
	struct target *t = arena_array(a, 1, sizeof(*t));
	struct resolve_step *step = arena_array(a, 1, sizeof(*step));
	struct str domain = lower(str_of(hostname), a);
	struct buf address;
	struct str copy;

	buf_init(&address, ENTRY_FIRST);
	(void)buf_adds(&address, u->name);
	(void)buf_addc(&address, '@');
	(void)buf_adds(&address, domain);
	copy = arena_copy(a, buf_str(&address));
	buf_release(&address);
	if (t == NULL || step == NULL || copy.p == NULL)
		return verdict_set(v, V_NO_MEMORY, "recipient");
	*t = (struct target){
		.kind = TARGET_MAILBOX,
		.address = copy,
		.account = { .local = u->name, .domain = domain,
		    .home = u->home, .quota_bytes = DIRECTORY_UNSET,
		    .quota_messages = DIRECTORY_UNSET },
		.domain = { .name = domain, .quota_bytes = DIRECTORY_UNSET },
		.detail = u->detail,
	};
	*step = (struct resolve_step){ .what = "system_user", .subject = copy };
	*res_r = (struct resolution){ .local = u->name, .domain = domain,
	    .targets = t, .target_count = 1, .steps = step, .step_count = 1 };
	(void)verdict_ok(&res_r->verdict, "an account of this machine");
	return 0;
}
