/*
 * What the external content filter says to the message of one target, and what
 * that means: asked before anything is filtered, told in the log, the metrics
 * and a rehearsal.
 */
#ifndef LDA_PLAN_SCAN_H
#define LDA_PLAN_SCAN_H

#include "lda/plan.h"
#include "lda/settings.h"

/* The field that marks a message. No message keeps one that came from outside:
 * neither a mailbox nor a script sees it. */
#define PLAN_SCAN_FIELD "X-Vbox-Scan"

enum plan_scan_way {
	PLAN_SCAN_ON,		/* clean, or nobody is asked: go on */
	PLAN_SCAN_TAG,		/* go on with a mark */
	PLAN_SCAN_QUARANTINE,
	PLAN_SCAN_REJECT,
	PLAN_SCAN_DEFER,	/* the verdict is set */
};

/* The mark ("X-Vbox-Scan: ...\n") lives in the plan's arena; empty without. */
enum plan_scan_way plan_scan(const struct agent *agent,
    const struct parcel *parcel, const struct settings *s, struct plan *plan,
    struct str *mark_r, struct verdict *v);
/* V_POLICY: what the sender is told. Returns -1. */
int plan_scan_refuse(const struct plan *plan, struct verdict *v);

/*
 * The message as scripts see it: with the mark in front and without a forged
 * one, in `bytes` when it is not the message as it came. 0 or -1.
 */
int plan_scan_view(const struct parcel *parcel, struct str mark,
    struct buf *bytes, struct source *source_r, struct verdict *v);

#endif
