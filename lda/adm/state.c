#include "lda/adm/state.h"

#include <string.h>

#include "lda/adm/collect.h"
#include "lda/adm/entry.h"
#include "lda/adm/notice.h"
#include "store/base/clock.h"

static const struct {
	const char *verb;
	enum account_state state;
	enum account_state undoes;	/* what it takes back; ACTIVE: none */
} verbs[] = {
	{ "suspend", ACCOUNT_SUSPENDED, ACCOUNT_ACTIVE },
	{ "disable", ACCOUNT_DISABLED, ACCOUNT_ACTIVE },
	{ "lock", ACCOUNT_LOCKED, ACCOUNT_ACTIVE },
	{ "resume", ACCOUNT_ACTIVE, ACCOUNT_SUSPENDED },
	{ "enable", ACCOUNT_ACTIVE, ACCOUNT_DISABLED },
	{ "unlock", ACCOUNT_ACTIVE, ACCOUNT_LOCKED },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* Notices of a suspended domain: one for each of its users who is not
 * suspended himself. */
static int
domain_notices(struct adm *a, const struct domain_record *d,
    struct verdict *v)
{
	struct collection all;
	bool suspended = d->state.state == ACCOUNT_SUSPENDED;
	int r;

	collection_init(&all);
	r = collect_entries(a, ENTRY_USER, d->name, &all, v);
	for (size_t i = 0; i < all.count && r == 0; i++) {
		struct account user = all.list[i].is.user;

		if (user.state.state == ACCOUNT_SUSPENDED)
			continue;
		user.state = d->state;
		r = suspended ? notice_build(a, &user, v) :
		    notice_remove(a, &user, v);
		adm_progress(a, "notices", i + 1);
	}
	collection_release(&all);
	return r;
}

/* The box has to be there before Dovecot is sent to it, and stays until it
 * is sent elsewhere. */
static int
notices(struct adm *a, const struct directory_entry *e, struct verdict *v)
{
	if (e->kind == ENTRY_DOMAIN)
		return domain_notices(a, &e->is.domain, v);
	return e->is.user.state.state == ACCOUNT_SUSPENDED ?
	    notice_build(a, &e->is.user, v) : notice_remove(a, &e->is.user, v);
}

int
state_change(struct adm *a, enum directory_entry_kind kind, struct verdict *v)
{
	struct entry_name n;
	struct directory_entry e;
	struct directory_state *s, was;
	size_t verb = 0;

	while (verb < VERBS && strcmp(verbs[verb].verb, a->command->verb) != 0)
		verb++;
	if (verb == VERBS || entry_name_of(a, kind, a->args[0], &n, v) < 0 ||
	    entry_get(a, &n, &e, v) < 0)
		return -1;
	s = kind == ENTRY_DOMAIN ? &e.is.domain.state : &e.is.user.state;
	was = *s;
	/* `resume` is no way to unlock what is locked. */
	if (verbs[verb].state == ACCOUNT_ACTIVE &&
	    s->state != verbs[verb].undoes) {
		if (s->state == ACCOUNT_ACTIVE) {
			entry_report(a, "unchanged", &e);
			return 0;
		}
		return verdict_set(v, V_USAGE, "%s is %s; that is not undone "
		    "by %s", a->args[0], account_state_word(s->state),
		    verbs[verb].verb);
	}
	*s = (struct directory_state){ .state = verbs[verb].state };
	if (verbs[verb].state != ACCOUNT_ACTIVE &&
	    entry_apply_options(a, &e, v) < 0)
		return -1;
	if (s->until != 0 && s->until <= clock_now())
		return verdict_set(v, V_USAGE, "--until is in the past");
	if (s->state == ACCOUNT_SUSPENDED && notices(a, &e, v) < 0)
		return -1;
	if (directory_writer_put(a->writer, &e, v) < 0)
		return -1;
	if (was.state == ACCOUNT_SUSPENDED && s->state != ACCOUNT_SUSPENDED &&
	    notices(a, &e, v) < 0)
		return -1;
	entry_report(a, account_state_word(s->state), &e);
	return 0;
}
