/*
 * The world as a script may ask about it: mailboxes, marks, included scripts.
 * Answers the filter process; private to plan.c.
 */
#ifndef LDA_PLAN_WORLD_H
#define LDA_PLAN_WORLD_H

#include <time.h>

#include "filters/engine.h"
#include "lda/delivery.h"

struct plan_world {
	const struct agent *agent;
	const struct target *target;
	const struct settings *settings;
	struct arena *arena;
};

/* The world borrows `context`. */
void plan_world_init(struct engine_world *world, struct plan_world *context);
/* Minutes that local time is ahead of UTC. */
int plan_zone(time_t t);
/* The recipient as `envelope "to"` sees it: the mailbox's address with its
 * detail back in place (RFC 5233). */
int plan_envelope_to(const struct target *t, const struct settings *s,
    struct arena *a, struct str *to_r, struct verdict *v);

#endif
