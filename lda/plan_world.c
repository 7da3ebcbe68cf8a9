#include "lda/plan_world.h"

#include "lda/effects.h"
#include "lda/place.h"
#include "lda/scripts.h"
#include "store/folder.h"
#include "store/guid.h"
#include "store/mailbox.h"

#define ADDRESS_MAX 2000
#define MAILBOX_NAME_MAX 4096

static enum engine_answer
mailbox_there(void *ctx, struct str mailbox)
{
	const struct plan_world *w = ctx;
	struct mailbox_spec spec;
	struct verdict v = VERDICT_INIT;

	if (place_mailbox(w->settings, w->target, mailbox, w->agent->hostname,
	    w->arena, &spec, &v) < 0)
		return v.why == V_BAD_ADDRESS ? ENGINE_NO : ENGINE_BROKEN;
	/* The inbox is there as soon as mail comes. */
	if (mailbox.n == 5 && str_caseeq(mailbox, STR("INBOX")))
		return ENGINE_YES;
	switch (mailbox_exists(&spec, &v)) {
	case 1:
		return ENGINE_YES;
	case 0:
		return ENGINE_NO;
	default:
		return ENGINE_BROKEN;
	}
}

/* Does an item of special_use, "MAILBOX=\\Use \\Use", name this use? */
static bool
has_use(struct str item, struct str use, struct str *mailbox_r)
{
	size_t sign = (size_t)str_rchr(item, '=');
	struct str uses = str_sub(item, sign + 1, item.n), one;

	*mailbox_r = str_trim(str_sub(item, 0, sign));
	while (uses.n && str_split(&uses, ' ', &one))
		if (str_caseeq(one, use))
			return true;
	return false;
}

static bool
same_mailbox(struct str a, struct str b)
{
	return str_eq(a, b) || (str_caseeq(a, STR("INBOX")) &&
	    str_caseeq(b, STR("INBOX")));
}

static enum engine_answer
special_use(void *ctx, struct str mailbox, struct str use, struct buf *value)
{
	const struct plan_world *w = ctx;
	const struct setting_list *list = &w->settings->special_use;
	struct str name;

	for (size_t i = 0; i < list->n; i++) {
		enum engine_answer there;

		if (!has_use(str_of(list->v[i]), use, &name) ||
		    (mailbox.p && !same_mailbox(mailbox, name)))
			continue;
		there = mailbox_there(ctx, name);
		if (there == ENGINE_YES && buf_adds(value, name) < 0)
			return ENGINE_BROKEN;
		if (there != ENGINE_NO)
			return there;
	}
	return ENGINE_NO;
}

/* Where Dovecot has the index of an mbox: "Work/2026" in Work/.imap/2026. */
static int
index_of(const struct plan_world *w, struct str mailbox, const char **root_r,
    const char **path_r, struct verdict *v)
{
	const struct settings *s = w->settings;
	ptrdiff_t slash;
	struct buf name, path;
	struct str copy;
	int r = -1;

	buf_init(&name, MAILBOX_NAME_MAX);
	buf_init(&path, MAILBOX_NAME_MAX);
	if (mailbox.n == 5 && str_caseeq(mailbox, STR("INBOX")))
		buf_addz(&name, "INBOX");
	else if (folder_path(MAILBOX_MBOX, mailbox, &name, v) < 0)
		goto out;
	if (place_path("mbox_index", s->mbox_index, s, &w->target->account,
	    w->arena, root_r, path_r, v) < 0)
		goto out;
	slash = str_rchr(buf_str(&name), '/');
	buf_addz(&path, *path_r);
	if (path.n)
		buf_addc(&path, '/');
	buf_adds(&path, str_sub(buf_str(&name), 0, (size_t)(slash + 1)));
	buf_addz(&path, ".imap/");
	buf_adds(&path, str_sub(buf_str(&name), (size_t)(slash + 1), name.n));
	copy = path.full ? (struct str){ NULL, 0 } :
	    arena_copy(w->arena, buf_str(&path));
	if (copy.p) {
		*path_r = copy.p;
		r = 0;
	}
out:
	buf_release(&name);
	buf_release(&path);
	return r;
}

static enum engine_answer
guid_of_mailbox(const struct plan_world *w, struct str mailbox,
    char guid[GUID_HEX + 1])
{
	const char *root = "/", *path = "";
	struct mailbox_spec spec;
	struct verdict v = VERDICT_INIT;

	if (place_mailbox(w->settings, w->target, mailbox, w->agent->hostname,
	    w->arena, &spec, &v) < 0 || (spec.format == MAILBOX_MBOX &&
	    index_of(w, mailbox, &root, &path, &v) < 0))
		return v.why == V_BAD_ADDRESS ? ENGINE_NO : ENGINE_BROKEN;
	switch (guid_of(&spec, root, path, guid)) {
	case 1:
		return ENGINE_YES;
	case 0:
		return ENGINE_NO;
	default:
		return ENGINE_BROKEN;
	}
}

static enum engine_answer
mailbox_by_id(void *ctx, struct str id, struct buf *value)
{
	const struct plan_world *w = ctx;
	const char *root = "/", *path = "";
	struct mailbox_spec inbox;
	struct verdict v = VERDICT_INIT;

	if (place_mailbox(w->settings, w->target, STR(""), w->agent->hostname,
	    w->arena, &inbox, &v) < 0 || (inbox.format == MAILBOX_MBOX &&
	    place_path("mbox_index", w->settings->mbox_index, w->settings,
	    &w->target->account, w->arena, &root, &path, &v) < 0))
		return ENGINE_BROKEN;
	switch (guid_find(&inbox, root, path, id, value)) {
	case 1:
		/* What is left of the index of a mailbox that is gone. */
		return mailbox_there(ctx, buf_str(value));
	case 0:
		return ENGINE_NO;
	default:
		return ENGINE_BROKEN;
	}
}

int
plan_world_mailbox(struct plan_world *w, struct str mailbox, struct str use,
    struct str id, struct str *mailbox_r)
{
	enum engine_answer there = ENGINE_NO;
	struct buf name;

	buf_init(&name, MAILBOX_NAME_MAX);
	/* RFC 8579 section 4: of several with this use the one that the
	 * script names, else the first. */
	if (use.n)
		there = special_use(w, mailbox, use, &name);
	if (use.n && there == ENGINE_NO)
		there = special_use(w, (struct str){ NULL, 0 }, use, &name);
	if (id.n && !use.n)
		there = mailbox_by_id(w, id, &name);
	*mailbox_r = there == ENGINE_YES ?
	    arena_copy(w->arena, buf_str(&name)) : mailbox;
	buf_release(&name);
	return there == ENGINE_BROKEN || !mailbox_r->p ? -1 : 0;
}

/* The server's annotations are kept with those of the INBOX. */
static enum engine_answer
metadata(void *ctx, struct str mailbox, struct str annotation,
    struct buf *value)
{
	const struct plan_world *w = ctx;
	char guid[GUID_HEX + 1];
	enum engine_answer known = guid_of_mailbox(w, mailbox.p ? mailbox :
	    STR("INBOX"), guid);

	return known != ENGINE_YES ? known : metadata_get(w->metadata,
	    w->settings, &w->target->account, str_of(guid), mailbox.p ?
	    METADATA_MAILBOX : METADATA_SERVER, annotation, w->arena, value);
}

static const struct list *
find_list(const struct plan_world *w, struct str name)
{
	return lists_find(w->lists, w->settings, &w->target->account, name,
	    w->arena);
}

static enum engine_answer
member(void *ctx, struct str name, struct str value)
{
	const struct plan_world *w = ctx;
	const struct list *list = find_list(w, name);

	if (!list)
		return ENGINE_BROKEN;
	return list_has(list, value) ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
list_known(void *ctx, struct str name)
{
	const struct list *list = find_list(ctx, name);

	return !list ? ENGINE_BROKEN : list->known ? ENGINE_YES : ENGINE_NO;
}

/* RFC 5183 section 4.1: who brought the message to the MTA, where it says so. */
static enum engine_answer
environment(void *ctx, struct str item, struct buf *value)
{
	const struct plan_world *w = ctx;
	struct str s = str_caseeq(item, STR("remote-host")) ?
	    w->envelope->remote_host : str_caseeq(item, STR("remote-ip")) ?
	    w->envelope->remote_ip : STR("");

	if (!s.n)
		return ENGINE_NO;
	return buf_adds(value, s) < 0 ? ENGINE_BROKEN : ENGINE_YES;
}

static enum engine_answer
duplicate_seen(void *ctx, struct str key)
{
	const struct plan_world *w = ctx;
	struct state *state = effects_state(w->settings,
	    w->target->account.local, w->target->account.domain);
	struct verdict v = VERDICT_INIT;
	enum state_answer answer = state_seen(state, STATE_DUPLICATE, key, &v);

	state_close(&state);
	/* RFC 7352 section 3: what cannot be asked was not seen; the mail is
	 * worth more than a copy too many. */
	return answer == STATE_YES ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	const struct plan_world *w = ctx;

	return scripts_include(w->settings, &w->target->account, location, name,
	    w->arena, script_r);
}

void
plan_world_init(struct engine_world *world, struct plan_world *context)
{
	*world = (struct engine_world){
		.ctx = context,
		.mailbox_exists = mailbox_there,
		.mailbox_by_id = mailbox_by_id,
		.special_use = special_use,
		.metadata = metadata,
		.duplicate_seen = duplicate_seen,
		.environment = environment,
		.list_has = member,
		.list_known = list_known,
		.include = include,
	};
}

int
plan_zone(time_t t)
{
	struct tm tm;

	return localtime_r(&t, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

int
plan_envelope_to(const struct target *t, const struct settings *s,
    struct arena *a, struct str *to_r, struct verdict *v)
{
	struct buf b;

	buf_init(&b, ADDRESS_MAX);
	buf_adds(&b, t->account.local);
	if (t->detail.p != NULL) {
		buf_addc(&b, s->recipient_delimiter[0] ?
		    s->recipient_delimiter[0] : '+');
		buf_adds(&b, t->detail);
	}
	buf_addc(&b, '@');
	buf_adds(&b, t->account.domain);
	*to_r = b.full ? (struct str){ NULL, 0 } : arena_copy(a, buf_str(&b));
	buf_release(&b);
	return to_r->p ? 0 : verdict_set(v, V_NO_MEMORY, "arena is full");
}
