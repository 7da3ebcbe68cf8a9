/*
 * Quota of a delivery: all targets of one recipient.
 *
 *	quotas_check(agent, &resolution, size, &v)	at RCPT, before the
 *							message is read
 *	quotas_reserve(agent, began, &plan, &q, &v)	its boxes are open
 *	quotas_settle(q)			synced, still locked
 *	quotas_tell(&q)				locks given back: warnings
 *	quotas_release(&q)			or nothing was stored
 *
 * Of several targets those that are full are left out, as those that are
 * refused otherwise (resolve.h), as long as something remains to be done; with
 * quota_full = "defer" one that is full makes all wait. A recipient without
 * limits costs nothing: *q_r is NULL then.
 */
#ifndef LDA_QUOTA_H
#define LDA_QUOTA_H

#include "lda/delivery.h"
#include "lda/plan.h"

struct quotas;

/* 0, or -1 with V_FULL or V_FULL_FOR_NOW. size 0: not announced. */
int quotas_check(const struct agent *agent, const struct resolution *res,
    uint64_t size, struct verdict *v);
/* 0, or -1: full, V_BOX_BUSY (let go of all boxes and try again soon), or
 * trouble. Copies that are left out are taken out of the plan. */
int quotas_reserve(const struct agent *agent, int64_t began_us,
    struct plan *plan, struct quotas **q_r, struct verdict *v);
void quotas_settle(struct quotas *q, const struct plan *plan);
void quotas_tell(struct quotas **q);
void quotas_release(struct quotas **q);

#endif
