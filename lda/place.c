#include "lda/place.h"

#include <sys/stat.h>

#include "lda/template.h"
#include "store/folder.h"

/* Longest path of a mailbox. */
#define PLACE_MAX 4096
#define SHARED_SPOOL_MODE 0660

/* The home that the directory gave is the administrator's word and no
 * template: its percent signs are doubled to pass through. */
static int
home_template(const struct settings *s, const struct account *account,
    struct arena *a, const char **template_r, struct verdict *v)
{
	struct buf out;
	struct str copy;

	if (!account->home.n) {
		*template_r = s->home;
		return 0;
	}
	buf_init(&out, PLACE_MAX);
	for (size_t i = 0; i < account->home.n; i++) {
		if (account->home.p[i] == '%')
			buf_addc(&out, '%');
		buf_addc(&out, account->home.p[i]);
	}
	copy = out.full ? (struct str){ NULL, 0 } : arena_copy(a, buf_str(&out));
	buf_release(&out);
	if (!copy.p)
		return verdict_set(v, V_CONFIG, "home is too long");
	*template_r = copy.p;
	return 0;
}

int
place_path(const char *name, const char *template, const struct settings *s,
    const struct account *account, struct arena *a, const char **root_r,
    const char **path_r, struct verdict *v)
{
	struct template_names names = { .domain = account->domain,
	    .user = account->local };
	struct buf out;
	struct str root, path;
	size_t n;
	int r = -1;

	buf_init(&out, PLACE_MAX);
	if (home_template(s, account, a, &names.home, v) < 0)
		goto out;
	if (template_expand(template, &names, &out, &n) < 0) {
		verdict_set(v, V_CONFIG, "%s does not make a path of this name",
		    name);
		goto out;
	}
	root = arena_copy(a, str_sub(buf_str(&out), 0, n));
	path = str_sub(buf_str(&out), n, out.n);
	while (path.n && path.p[0] == '/')
		path = str_sub(path, 1, path.n);
	path = arena_copy(a, path);
	if (!root.p || !path.p) {
		verdict_set(v, V_NO_MEMORY, "arena is full");
		goto out;
	}
	*root_r = root.p;
	*path_r = path.p;
	r = 0;
out:
	buf_release(&out);
	return r;
}

static void
fill_locks(const struct settings *s, struct mbox_lock_how *how)
{
	static const enum mbox_lock_kind kinds[] = {
		[SET_LOCK_FCNTL] = MBOX_LOCK_FCNTL,
		[SET_LOCK_DOTLOCK] = MBOX_LOCK_DOTLOCK,
		[SET_LOCK_FLOCK] = MBOX_LOCK_FLOCK,
	};
	unsigned n = 0;

	for (unsigned i = 0; i < s->locks.n && n < MBOX_LOCK_KINDS; i++)
		how->order[n++] = kinds[s->locks.v[i]];
	how->order[n] = MBOX_LOCK_NONE;
	how->timeout_ms = (int64_t)s->lock_timeout;
	how->stale_ms = (int64_t)s->dotlock_stale;
	how->slot_dir = s->state_dir;
	how->method = s->dotlock_method == SET_DOTLOCK_LIBLOCKFILE ?
	    DOTLOCK_LIBLOCKFILE : DOTLOCK_AUTO;
}

static enum mailbox_format
format_of(const struct settings *s, const struct account *account)
{
	if (str_caseeq(account->format, STR("maildir")))
		return MAILBOX_MAILDIR;
	if (str_caseeq(account->format, STR("mbox")))
		return MAILBOX_MBOX;
	return s->format == SET_FORMAT_MAILDIR ? MAILBOX_MAILDIR : MAILBOX_MBOX;
}

int
place_mailbox(const struct settings *s, const struct target *t,
    struct str folder, const char *hostname, struct arena *a,
    struct mailbox_spec *spec_r, struct verdict *v)
{
	static const enum content_format variants[] = {
		[SET_MBOX_MBOXRD] = CONTENT_MBOXRD,
		[SET_MBOX_MBOXO] = CONTENT_MBOXO,
		[SET_MBOX_MBOXCL2] = CONTENT_MBOXCL2,
	};
	static const enum undo_place undos[] = {
		[SET_UNDO_AUTO] = UNDO_AUTO, [SET_UNDO_XATTR] = UNDO_XATTR,
		[SET_UNDO_FILE] = UNDO_FILE, [SET_UNDO_OFF] = UNDO_OFF,
	};
	struct mailbox_spec spec = {
		.format = format_of(s, &t->account),
		.variant = variants[s->mbox_variant],
		.make = s->autocreate ? MAILBOX_MAY_MAKE : MAILBOX_MUST_EXIST,
		.dir_mode = s->dir_mode,
		.file_mode = s->file_mode,
		.sync = s->fsync ? MAILBOX_SYNC : MAILBOX_NO_SYNC,
		/* Who lets us make directories for a group trusts it. */
		.trust = s->dir_mode & S_IWGRP ? MAILBOX_TRUST_GROUP :
		    MAILBOX_TRUST_OWNER,
		.undo = undos[s->mbox_undo],
		.hostname = hostname,
	};
	bool inbox = folder.n == 0 || folder_is_inbox(folder);
	struct buf name;
	struct str copy;
	int r = -1;

	fill_locks(s, &spec.lock);
	buf_init(&name, PLACE_MAX);
	if (!inbox && folder_path(spec.format, folder, &name, v) < 0)
		goto out;
	if (spec.format == MAILBOX_MAILDIR) {
		if (place_path("maildir_path", s->maildir_path, s, &t->account, a,
		    &spec.root, &spec.path, v) < 0)
			goto out;
		copy = arena_copy(a, buf_str(&name));
		spec.folder = copy.p;
	} else if (inbox) {
		/* Debian policy 11.6: USER:mail 0660 in root:mail 2775. */
		if (s->shared_spool) {
			spec.trust = MAILBOX_TRUST_GROUP;
			spec.file_mode = SHARED_SPOOL_MODE;
		}
		if (place_path("mbox_path", s->mbox_path, s, &t->account, a,
		    &spec.root, &spec.path, v) < 0)
			goto out;
	} else {
		struct buf path;

		if (place_path("folder_path", s->folder_path, s, &t->account, a,
		    &spec.root, &spec.path, v) < 0)
			goto out;
		buf_init(&path, PLACE_MAX);
		buf_addz(&path, spec.path);
		if (path.n)
			buf_addc(&path, '/');
		buf_adds(&path, buf_str(&name));
		copy = arena_copy(a, buf_str(&path));
		spec.path = copy.p;
		buf_release(&path);
		if (!copy.p) {
			verdict_set(v, V_NO_MEMORY, "arena is full");
			goto out;
		}
	}
	*spec_r = spec;
	r = 0;
out:
	buf_release(&name);
	return r;
}

int
place_flags(struct str flags, struct arena *a, struct mailbox_spec *spec)
{
	static const struct {
		struct str name;
		enum mailbox_flag flag;
	} system[] = {
		{ { "\\Seen", 5 }, MAILBOX_SEEN },
		{ { "\\Answered", 9 }, MAILBOX_ANSWERED },
		{ { "\\Flagged", 8 }, MAILBOX_FLAGGED },
		{ { "\\Deleted", 8 }, MAILBOX_DELETED },
		{ { "\\Draft", 6 }, MAILBOX_DRAFT },
	};
	struct str *keywords, word;

	if (flags.n == 0)
		return 0;
	keywords = arena_array(a, MAILBOX_KEYWORDS, sizeof(*keywords));
	if (!keywords)
		return -1;
	spec->keywords = keywords;
	while (flags.n && str_split(&flags, ' ', &word)) {
		bool known = false;

		for (size_t i = 0; i < sizeof(system) / sizeof(*system); i++)
			if (str_caseeq(word, system[i].name)) {
				spec->flags |= system[i].flag;
				known = true;
			}
		if (known || word.n == 0 || word.p[0] == '\\' ||
		    spec->keyword_count == MAILBOX_KEYWORDS)
			continue;
		keywords[spec->keyword_count++] = word;
	}
	return 0;
}

int
place_home(const struct settings *s, const struct account *account,
    struct arena *a, struct str *home_r, struct verdict *v)
{
	const char *root, *path;
	struct buf out;
	int r = -1;

	if (!account->home.n && !s->home[0]) {
		*home_r = STR("");
		return 0;
	}
	if (place_path("home", "%h", s, account, a, &root, &path, v) < 0)
		return -1;
	buf_init(&out, PLACE_MAX);
	buf_addz(&out, root);
	if (path[0]) {
		buf_addc(&out, '/');
		buf_addz(&out, path);
	}
	*home_r = arena_copy(a, buf_str(&out));
	if (home_r->p)
		r = 0;
	else
		verdict_set(v, V_NO_MEMORY, "arena is full");
	buf_release(&out);
	return r;
}
