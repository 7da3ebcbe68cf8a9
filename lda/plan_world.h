/*
 * The world as a script may ask about it: mailboxes, marks, included scripts.
 * Answers the filter process; private to plan.c.
 */
#ifndef LDA_PLAN_WORLD_H
#define LDA_PLAN_WORLD_H

#include <time.h>

#include "filters/engine.h"
#include "lda/delivery.h"
#include "lda/lists.h"
#include "lda/metadata.h"

struct plan_world {
	const struct agent *agent;
	const struct target *target;
	const struct settings *settings;
	struct arena *arena;
	struct lists *lists;		/* zeroed */
	struct metadata *metadata;	/* zeroed */
	const struct envelope *envelope;
};

/* The world borrows `context`. */
void plan_world_init(struct engine_world *world, struct plan_world *context);
/*
 * Where an action goes: into the mailbox with this use or this id, if one is
 * there (RFC 8579 section 4, RFC 9042 section 3), into `mailbox` otherwise.
 * 0, or -1 when it could not be asked for. The name lives in the arena.
 */
int plan_world_mailbox(struct plan_world *w, struct str mailbox,
    struct str use, struct str id, struct str *mailbox_r);
/* Minutes that local time is ahead of UTC. */
int plan_zone(time_t t);
/* The recipient as `envelope "to"` sees it: the mailbox's address with its
 * detail back in place (RFC 5233). */
int plan_envelope_to(const struct target *t, const struct settings *s,
    struct arena *a, struct str *to_r, struct verdict *v);

#endif
