#include "lda/quota_account.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lda/place.h"
#include "lda/quota_rule.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/directory/name.h"
#include "store/folder.h"

#define PATH_ROOM 4096
/* Stands for a user's name in a template, to see where names go. */
#define PROBE "vbox.probe.of.quota"

uint64_t
quota_account_bytes(const struct settings *s, const struct target *t)
{
	return t->account.quota_bytes != DIRECTORY_UNSET ?
	    t->account.quota_bytes : s->quota_bytes;
}

uint64_t
quota_account_messages(const struct settings *s, const struct target *t)
{
	return t->account.quota_messages != DIRECTORY_UNSET ?
	    t->account.quota_messages : s->quota_messages;
}

uint64_t
quota_account_domain_bytes(const struct settings *s, const struct target *t)
{
	return t->domain.quota_bytes != DIRECTORY_UNSET ?
	    t->domain.quota_bytes : s->domain_quota_bytes;
}

bool
quota_account_limited(const struct settings *s, const struct target *t)
{
	return quota_account_bytes(s, t) || quota_account_messages(s, t) ||
	    quota_account_domain_bytes(s, t);
}

static struct maildirsize_limits
limits_of(const struct settings *s, const struct target *t)
{
	return (struct maildirsize_limits){ quota_account_bytes(s, t),
	    quota_account_messages(s, t) };
}

/* --- folders ---------------------------------------------------------------------- */

/* The name of a folder on disk is `name`? What cannot be one is none. */
static bool
is_folder(enum mailbox_format format, struct str folder, const char *name)
{
	struct verdict ignored = VERDICT_INIT;
	struct buf path;
	bool same;

	buf_init(&path, PATH_ROOM);
	same = folder_path(format, folder, &path, &ignored) == 0 &&
	    str_eq(buf_str(&path), str_of(name));
	buf_release(&path);
	return same;
}

static void
exempt(struct quota_place *p, struct str folder, const char **list,
    struct arena *arena)
{
	struct verdict ignored = VERDICT_INIT;
	struct buf name;
	struct str copy = { NULL, 0 };

	buf_init(&name, PATH_ROOM);
	if (folder_path(p->format, folder, &name, &ignored) == 0)
		copy = arena_copy(arena, buf_str(&name));
	if (copy.p)
		list[p->exempt_count++] = copy.p;
	buf_release(&name);
}

static int
fill_exempt(const struct settings *s, struct arena *arena,
    struct quota_place *p, struct verdict *v)
{
	size_t n = s->quota_exempt.n + s->quota_folders.n;
	const char **list;

	if (n == 0)
		return 0;
	list = arena_array(arena, n, sizeof(*list));
	if (!list)
		return verdict_set(v, V_NO_MEMORY, "quota_exempt");
	for (size_t i = 0; i < s->quota_exempt.n; i++)
		exempt(p, str_of(s->quota_exempt.v[i]), list, arena);
	for (size_t i = 0; i < s->quota_folders.n; i++) {
		struct quota_rule r;

		if (quota_rule_parse(str_of(s->quota_folders.v[i]), &r) == 0 &&
		    r.ignore)
			exempt(p, r.folder, list, arena);
	}
	p->exempt = list;
	return 0;
}

/* On disk; NULL: the copy goes into no folder. */
static const char *
folder_of(const struct quota_place *p, const struct mailbox_spec *spec)
{
	size_t n = p->folder_path ? strlen(p->folder_path) : 0;
	const char *name;

	if (p->format == MAILBOX_MAILDIR)
		return spec->folder && spec->folder[0] ? spec->folder : NULL;
	/* "DIR/Trash" in the root of folders. */
	if (!p->folder_root || strcmp(spec->root, p->folder_root) != 0 ||
	    strncmp(spec->path, p->folder_path, n) != 0)
		return NULL;
	name = spec->path + n;
	return name + (*name == '/');
}

bool
quota_account_exempt(const struct quota_account *a,
    const struct mailbox_spec *spec)
{
	const struct quota_place *p = &a->place;
	const char *name = folder_of(p, spec);

	for (size_t i = 0; name && i < p->exempt_count; i++)
		if (strcmp(p->exempt[i], name) == 0)
			return true;
	return false;
}

void
quota_account_extra(const struct settings *s, const struct quota_account *a,
    const struct mailbox_spec *spec, struct maildirsize_limits *extra_r)
{
	const struct maildirsize_limits *l = &a->place.limits;
	const char *name = folder_of(&a->place, spec);

	*extra_r = (struct maildirsize_limits){ 0, 0 };
	for (size_t i = 0; name && i < s->quota_folders.n; i++) {
		struct quota_rule r;

		if (quota_rule_parse(str_of(s->quota_folders.v[i]), &r) < 0 ||
		    !is_folder(a->place.format, r.folder, name))
			continue;
		/* Limits are far from what this could make overflow. */
		extra_r->bytes = r.bytes + l->bytes / 100 * r.percent +
		    l->bytes % 100 * r.percent / 100;
		extra_r->messages = l->messages * r.percent / 100;
		return;
	}
}

/* --- the place ---------------------------------------------------------------------- */

static int
fill_place(const struct settings *s, const struct target *t,
    struct arena *arena, struct quota_place *p, struct verdict *v)
{
	struct mailbox_spec spec;
	struct buf path;
	struct str copy;

	if (place_mailbox(s, t, STR(""), "localhost", arena, &spec, v) < 0)
		return -1;
	*p = (struct quota_place){
		.format = spec.format,
		.root = spec.root,
		.path = spec.path,
		.limits = limits_of(s, t),
		.file_mode = spec.file_mode,
		.state_root = s->state_dir,
	};
	if (fill_exempt(s, arena, p, v) < 0)
		return -1;
	if (p->format == MAILBOX_MAILDIR)
		return 0;
	if (s->folder_path[0] && place_path("folder_path", s->folder_path, s,
	    &t->account, arena, &p->folder_root, &p->folder_path, v) < 0)
		return -1;
	buf_init(&path, PATH_ROOM);
	buf_adds(&path, t->account.domain);
	buf_addc(&path, '/');
	buf_adds(&path, t->account.local);
	buf_addz(&path, ".counts");
	copy = arena_copy(arena, buf_str(&path));
	buf_release(&path);
	p->counts_path = copy.p;
	return copy.p ? 0 : verdict_set(v, V_NO_MEMORY, "quota");
}

/* --- all accounts of a domain --------------------------------------------------------- */

struct seeking {
	const struct quota_account_walk *walk;
	quota_found_fn *found;
	void *arg;
	struct verdict *v;
};

static int
found_name(const struct seeking *k, struct str name)
{
	const struct quota_account_walk *w = k->walk;
	struct target t = { .kind = TARGET_MAILBOX };
	struct verdict ignored = VERDICT_INIT;
	struct quota_place place;
	struct arena arena;
	struct str local;
	int r = 0;

	arena_init(&arena, PLACE_ARENA);
	/* What is no name of a user is no user's. */
	if (name_local(name, &arena, &local, &ignored) < 0 ||
	    !str_eq(name, local))
		goto out;
	account_init(&t.account);
	switch (directory_user(w->directory, local, w->domain, &arena,
	    &t.account, k->v)) {
	case DIR_FOUND:
		break;
	case DIR_ABSENT:
		goto out;
	case DIR_BROKEN:
		r = -1;
		goto out;
	}
	if (t.account.format.n == 0)
		t.account.format = w->format;
	if (t.account.quota_bytes == DIRECTORY_UNSET)
		t.account.quota_bytes = w->bytes;
	if (t.account.quota_messages == DIRECTORY_UNSET)
		t.account.quota_messages = w->messages;
	domain_record_init(&t.domain);
	r = fill_place(w->settings, &t, &arena, &place, k->v);
	if (r == 0)
		r = k->found(k->arg, local, &place, k->v);
out:
	arena_release(&arena);
	return r;
}

/* Each name in a directory that could be a user's, with what stands around
 * the name in the template taken off. */
static int
seek_names(const struct seeking *k, int dir, struct str before,
    struct str after)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	int r = -1;

	if (!d) {
		verdict_errno(k->v, errno, "read directory of a domain");
		file_close(&dir);
		return -1;
	}
	for (;;) {
		struct str name;

		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		name = str_of(e->d_name);
		if (name.n <= before.n + after.n || !str_starts(name, before) ||
		    !str_ends(name, after))
			continue;
		if (found_name(k, str_sub(name, before.n, name.n - before.n -
		    after.n)) < 0)
			goto out;
	}
	if (errno != 0)
		verdict_errno(k->v, errno, "read directory of a domain");
	else
		r = 0;
out:
	(void)closedir(d);
	return r;
}

/* Where a template has the user's name for the first time, there is a
 * directory of users. */
static int
seek_template(const struct seeking *k, const char *name, const char *template)
{
	struct account probe;
	const char *root, *path;
	struct arena arena;
	struct str all, part, rest;
	ptrdiff_t at, slash;
	int r = 0, dir, sub;

	if (!template[0])
		return 0;
	arena_init(&arena, PLACE_ARENA);
	account_init(&probe);
	probe.local = STR(PROBE);
	probe.domain = k->walk->domain;
	r = place_path(name, template, k->walk->settings, &probe, &arena, &root,
	    &path, k->v);
	if (r < 0)
		goto out;
	all = str_of(path);
	at = str_find(all, STR(PROBE));
	if (at < 0)	/* the same for all: nothing to find there */
		goto out;
	part = str_sub(all, 0, (size_t)at);
	slash = str_rchr(part, '/');
	rest = str_sub(all, (size_t)at + strlen(PROBE), all.n);
	if (str_chr(rest, '/') >= 0)
		rest.n = (size_t)str_chr(rest, '/');
	all = arena_copy(&arena, str_sub(part, 0, slash < 0 ? 0 :
	    (size_t)slash));
	part = str_sub(part, slash < 0 ? 0 : (size_t)slash + 1, part.n);
	dir = file_open_root(root);
	if (dir < 0) {
		r = errno == ENOENT ? 0 : verdict_errno(k->v, errno, "open %s",
		    root);
		goto out;
	}
	sub = file_open_beneath(dir, all.n ? all.p : ".",
	    O_RDONLY | O_DIRECTORY, 0);
	file_close(&dir);
	if (sub < 0)
		r = errno == ENOENT ? 0 : verdict_errno(k->v, errno,
		    "open %s in %s", all.p, root);
	else
		r = seek_names(k, sub, part, rest);
out:
	arena_release(&arena);
	return r;
}

static int
walk_domain(void *arg, quota_found_fn *found, void *found_arg,
    struct verdict *v)
{
	const struct quota_account_walk *w = arg;
	const struct settings *s = w->settings;
	struct seeking k = { w, found, found_arg, v };

	/* One way would do for most sites; who was found by both counts
	 * once. */
	return seek_template(&k, "mbox_path", s->mbox_path) < 0 ||
	    seek_template(&k, "maildir_path", s->maildir_path) < 0 ? -1 : 0;
}

static int
ledger_path(struct str domain, struct arena *arena, const char **path_r,
    struct verdict *v)
{
	struct buf path;
	struct str copy;

	buf_init(&path, PATH_ROOM);
	buf_adds(&path, domain);
	buf_addz(&path, "/quota.ledger");
	copy = arena_copy(arena, buf_str(&path));
	buf_release(&path);
	*path_r = copy.p;
	return copy.p ? 0 : verdict_set(v, V_NO_MEMORY, "quota");
}

int
quota_account_brief(const struct settings *s, const struct target *t,
    struct arena *arena, struct quota_account *a_r, struct verdict *v)
{
	*a_r = (struct quota_account){
		.place = { .limits = limits_of(s, t) },
		.local = t->account.local,
		.domain = t->account.domain,
		.domain_bytes = quota_account_domain_bytes(s, t),
		.grace = s->quota_grace,
		.state_root = s->state_dir,
	};
	return ledger_path(t->account.domain, arena, &a_r->ledger_path, v);
}

int
quota_account_fill(const struct settings *s, const struct target *t,
    struct directory *directory, struct arena *arena,
    struct quota_account_walk *walk, struct quota_account *a_r,
    struct verdict *v)
{
	struct quota_account a;

	if (quota_account_brief(s, t, arena, &a, v) < 0)
		return -1;
	a.warnings = s->quota_warnings.v;
	a.warning_count = s->quota_warnings.n;
	/* %h is elsewhere, and the Maildir below it. */
	a.elsewhere = t->account.home.n > 0;
	a.walk = walk_domain;
	a.walk_arg = walk;
	*walk = (struct quota_account_walk){ .settings = s,
	    .directory = directory, .domain = t->account.domain,
	    .format = t->domain.format, .bytes = t->domain.user_quota_bytes,
	    .messages = t->domain.user_quota_messages };
	if (fill_place(s, t, arena, &a.place, v) < 0)
		return -1;
	*a_r = a;
	return 0;
}
