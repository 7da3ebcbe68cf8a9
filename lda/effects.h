/*
 * What a script wants besides storing: answers, notices, marks; and what the
 * user is told of a script that failed. All of it comes after the message is
 * safe, none of it can take that back: what fails is logged.
 */
#ifndef LDA_EFFECTS_H
#define LDA_EFFECTS_H

#include "lda/plan.h"
#include "store/state.h"

/* The account's state file, "STATE_DIR/DOMAIN/USER.db". Never NULL. */
struct state *effects_state(const struct settings *s, struct str local,
    struct str domain);

/*
 * Vacation, notify, rejects by mail, marks, in their order; then the problems
 * of scripts: a line in the user's log, one in ours, one notice a day. Of a
 * plan that is refused, notify and the problems only.
 */
void effects_run(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *who, const struct plan *plan);

/* The sender that a forwarded message leaves with: the SRS address where the
 * settings ask for it. The bytes are in `out`. 0 or -1. */
int effects_sender(const struct settings *s, const struct parcel *parcel,
    struct buf *out, struct verdict *v);

#endif
