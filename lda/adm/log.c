/* vboxadm log: messages of the delivery log that replay could not put where
 * they belong (store/redo_aside.h). As the mail user. */
#include <stdlib.h>
#include <string.h>

#include "lda/adm/nouns.h"
#include "lda/json.h"
#include "lda/log_escape.h"
#include "store/base/clock.h"
#include "store/base/mem.h"
#include "store/redo_aside.h"

#define MAILBOX_LONGEST 16384
#define SUBJECT_MOST 200

static int
begin(struct adm *a, struct verdict *v)
{
	if (adm_config(a, v) < 0)
		return -1;
	if (!a->config.global.state_dir[0])
		return verdict_set(v, V_CONFIG, "state_dir is not set");
	return adm_become_vmail(a, v);
}

/* The whole path, with a Maildir's folder. */
static void
put_mailbox(const struct redo_copy *c, struct buf *out)
{
	(void)buf_addf(out, "%s", c->spec.root);
	if (c->spec.path[0])
		(void)buf_addf(out, "/%s", c->spec.path);
	if (c->spec.folder)
		(void)buf_addf(out, "/%s", c->spec.folder);
}

/* As it stands in the header, in one line; empty when there is none. */
static struct str
subject_of(struct str bytes)
{
	static const char field[] = "\nSubject:";
	ptrdiff_t end = str_find(bytes, STR("\n\n")), at;
	struct str header = end < 0 ? bytes :
	    str_sub(bytes, 0, (size_t)end + 1), line;

	/* A Maildir's first line may be it. */
	if (str_starts(header, str_of(field + 1)))
		at = -1;
	else if ((at = str_find(header, str_of(field))) < 0)
		return STR("");
	header = str_sub(header, (size_t)(at + 1) + strlen(field + 1),
	    header.n);
	if (!str_split(&header, '\n', &line))
		return STR("");
	return str_sub(str_trim(line), 0, SUBJECT_MOST);
}

/* --- list ------------------------------------------------------------------------ */

struct list {
	struct adm *a;
	size_t n;
};

static void
list_json(struct adm *a, const struct redo_kept *kept, struct str mailbox,
    struct str when, bool first)
{
	(void)buf_addz(&a->out, first ? "[{\"name\":" : ",\n{\"name\":");
	json_string(&a->out, str_of(kept->name));
	(void)buf_addf(&a->out, ",\"when\":\"%.*s\",\"bytes\":%llu",
	    STR_ARG(when), (unsigned long long)kept->bytes);
	if (kept->copy) {
		(void)buf_addz(&a->out, ",\"mailbox\":");
		json_string(&a->out, mailbox);
		(void)buf_addz(&a->out, ",\"subject\":");
		json_string(&a->out, subject_of(kept->copy->bytes));
	} else {
		(void)buf_addz(&a->out, ",\"error\":");
		json_string(&a->out, str_of(kept->why->detail));
	}
	(void)buf_addc(&a->out, '}');
}

static void
list_line(struct adm *a, const struct redo_kept *kept, struct str mailbox,
    struct str when)
{
	(void)buf_addf(&a->out, "%s %.*s %llu ", kept->name, STR_ARG(when),
	    (unsigned long long)kept->bytes);
	if (kept->copy) {
		log_escape(mailbox, &a->out);
		(void)buf_addc(&a->out, ' ');
		log_escape(subject_of(kept->copy->bytes), &a->out);
	} else {
		(void)buf_addc(&a->out, '(');
		log_escape(str_of(kept->why->detail), &a->out);
		(void)buf_addc(&a->out, ')');
	}
	(void)buf_addc(&a->out, '\n');
}

static int
list_one(void *arg, const struct redo_kept *kept)
{
	struct list *l = arg;
	struct buf mailbox, when;

	buf_init(&mailbox, MAILBOX_LONGEST);
	buf_init(&when, 64);
	if (kept->copy)
		put_mailbox(kept->copy, &mailbox);
	clock_iso((time_t)kept->when, &when);
	if (l->a->json)
		list_json(l->a, kept, buf_str(&mailbox), buf_str(&when),
		    l->n == 0);
	else
		list_line(l->a, kept, buf_str(&mailbox), buf_str(&when));
	l->n++;
	buf_release(&when);
	buf_release(&mailbox);
	if (l->a->out.n > ADM_OUT_CHUNK)
		adm_flush(l->a);
	return 0;
}

int
adm_log_list(struct adm *a, struct verdict *v)
{
	struct list l = { .a = a };

	if (begin(a, v) < 0 || redo_aside_walk(a->config.global.state_dir,
	    list_one, &l, v) < 0)
		return -1;
	if (a->json)
		(void)buf_addz(&a->out, l.n ? "]\n" : "[]\n");
	return 0;
}

/* --- restore --------------------------------------------------------------------- */

struct restoring {
	struct adm *a;
	char (*names)[REDO_ASIDE_NAME];
	size_t n, room;
	size_t done, there;
};

static int
take_name(void *arg, const struct redo_kept *kept)
{
	struct restoring *r = arg;

	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 16;
		r->names = mem_realloc(r->names, r->room * sizeof(*r->names));
	}
	memcpy(r->names[r->n++], kept->name, strlen(kept->name) + 1);
	return 0;
}

static void
told(void *arg, const struct redo_copy *c, enum redo_outcome outcome,
    const char *name, const struct verdict *why)
{
	static const char *const words[] = { [REDO_THERE] = "was there",
	    [REDO_MENDED] = "restored", [REDO_ADDED] = "restored" };
	struct restoring *r = arg;
	struct buf mailbox;

	(void)why;
	buf_init(&mailbox, MAILBOX_LONGEST);
	put_mailbox(c, &mailbox);
	if (outcome == REDO_THERE)
		r->there++;
	if (r->a->json) {
		(void)buf_addz(&r->a->out, "{\"name\":");
		json_string(&r->a->out, str_of(name));
		(void)buf_addf(&r->a->out, ",\"did\":\"%s\",\"mailbox\":",
		    words[outcome]);
		json_string(&r->a->out, buf_str(&mailbox));
		(void)buf_addz(&r->a->out, "}\n");
	} else {
		(void)buf_addf(&r->a->out, "%s %s ", name, words[outcome]);
		log_escape(buf_str(&mailbox), &r->a->out);
		(void)buf_addc(&r->a->out, '\n');
	}
	r->done++;
	buf_release(&mailbox);
}

/* All that can be; the first trouble is the command's. */
static int
restore_all(struct restoring *r, struct verdict *v)
{
	const struct settings *s = &r->a->config.global;
	struct redo_how how = { .lock_timeout_ms = (int64_t)s->lock_timeout,
	    .stale_ms = (int64_t)s->dotlock_stale, .slot_dir = s->state_dir,
	    .hostname = s->hostname[0] ? s->hostname : "localhost",
	    .told = told, .arg = r };
	size_t count = r->a->arg_count ? r->a->arg_count : r->n;
	int result = 0;

	for (size_t i = 0; i < count; i++) {
		const char *name = r->a->arg_count ? r->a->args[i] :
		    r->names[i];
		struct verdict one = VERDICT_INIT;

		if (redo_aside_restore(s->state_dir, name, &how, &one) == 0)
			continue;
		adm_note(r->a, "%s: %s", name, one.detail);
		if (result == 0)
			*v = one;
		result = -1;
	}
	adm_note(r->a, "%zu restored, %zu already there, %zu still set aside",
	    r->done - r->there, r->there, count - r->done);
	return result;
}

int
adm_log_restore(struct adm *a, struct verdict *v)
{
	struct restoring r = { .a = a };
	int result = begin(a, v);

	if (result == 0 && a->arg_count == 0)
		result = redo_aside_walk(a->config.global.state_dir, take_name,
		    &r, v);
	if (result == 0)
		result = restore_all(&r, v);
	free(r.names);
	return result;
}
