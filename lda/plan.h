/*
 * What is to be done for one recipient: which copies go where, what is
 * handed on, what is answered. Made of the resolution and of the scripts of
 * each mailbox; delivery.c carries it out.
 */
#ifndef LDA_PLAN_H
#define LDA_PLAN_H

#include "filters/content.h"
#include "filters/engine.h"
#include "lda/delivery.h"
#include "lda/scan.h"
#include "lda/spool.h"
#include "store/base/arena.h"
#include "store/content.h"
#include "store/mailbox.h"

/* What the content policy has said, the severest of all targets. */
struct plan_content {
	enum content_act act;
	bool failed;		/* it could not be asked, for some target */
	bool asked;		/* a policy applied */
	struct str why;		/* failed: why */
	struct content_facts facts;	/* of `act` */
};

/* Copies and redirects of one recipient, its aliases' targets among them. */
#define PLAN_COPIES_MAX 2000

struct plan_copy {
	const struct target *target;
	const struct settings *settings;
	struct mailbox_spec spec;
	struct content content;
	bool apart;			/* the administrator's: not the user's mail */
	struct mailbox *box;		/* while it is carried out */
};

/* A redirect of a script, or a forward of the directory. */
struct plan_redirect {
	struct str to;
	struct str header;		/* p not NULL: edited */
	const struct source *message;	/* the body alone, when a script made
					 * another; or NULL */
	const struct target *target;	/* whose script; NULL: the directory's */
	const struct engine_action *action;	/* NULL likewise */
	const struct settings *settings;
	struct str mark;		/* fields of the policy, of a scanner */
};

/* What a script wants besides: vacation, notify, marks, a reject that can
 * only be told by mail. Best effort, when all else is done. */
struct plan_effect {
	const struct engine_action *action;
	const struct target *target;
	const struct settings *settings;
};

/* A script that did not do what its owner meant (MISSION V3). */
struct plan_problem {
	const struct target *target;
	const struct settings *settings;
	struct str text;		/* "SCRIPT:LINE:COLUMN: what" */
};

/* What the external content filter has said, the severest of all targets. */
struct plan_scan {
	const char *word;		/* NULL: nobody was asked */
	enum scan_answer answer;
	struct str what;
};

/* A body that a script has made (RFC 5703); a large one is in a file, since
 * all recipients of a message have theirs at the same time. */
struct plan_body {
	const struct engine_body *of;
	struct spool spool;
	struct plan_body *next;
};

struct plan {
	struct plan_copy *copies;
	size_t copy_count;
	struct plan_redirect *redirects;
	size_t redirect_count;
	struct plan_effect *effects;
	size_t effect_count;
	struct plan_problem *problems;
	size_t problem_count;
	bool refused;			/* by a script, for the only mailbox */
	struct plan_content content;
	struct plan_scan scan;
	struct buf boxes;		/* for the log: where it goes */
	struct buf trace;		/* for a rehearsal */
	/* one for each mailbox that has scripts; they hold what is borrowed */
	struct engine_result *results;
	struct plan_body *bodies;
	size_t result_count;
	struct arena *arena;
};

/*
 * 0, or -1: V_POLICY when a script refuses the message for the only mailbox
 * there is, or the content policy for all there are, V_LOOP, V_TOO_BIG, or what kept us from planning ("try again").
 * The plan is to be released in both cases.
 */
int plan_make(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *who, struct arena *arena, struct plan *plan_r,
    struct verdict *v);
void plan_release(struct plan *plan);

#endif
