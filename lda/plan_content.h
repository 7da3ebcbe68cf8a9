/*
 * Whose content policy holds for a target, and what its answer is told: to the
 * sender, in the log, the metrics, a rehearsal.
 */
#ifndef LDA_PLAN_CONTENT_H
#define LDA_PLAN_CONTENT_H

#include "lda/filter.h"
#include "lda/plan.h"

/* The rules for a target, in the plan's arena; empty: none. What is wrong with
 * those of the directory is said. 0 or -1. */
int plan_content_rules(const struct agent *agent, const struct target *t,
    const struct settings *s, struct plan *plan, struct str *rules_r,
    struct verdict *v);
/* Counts an answer, and keeps the severest in plan->content, for the log. */
void plan_content_note(const struct agent *agent, const struct parcel *parcel,
    const struct filter_content *c, struct plan *plan);
/* V_POLICY, with a sentence that says what was found and nothing of ours.
 * Returns -1. */
int plan_content_refuse(const struct plan *plan, struct verdict *v);

#endif
