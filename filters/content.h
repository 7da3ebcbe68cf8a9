/*
 * The content policy: rules over what is attached to a message.
 *
 *	struct content_policy p;
 *	content_policy_parse(text, &arena, &p, &why)	one rule a line
 *	content_judge(&p, &attachments, &finding);
 *
 * A rule is an action and conditions, which must all hold of one attachment:
 *
 *	reject executable
 *	reject extension exe,scr,com not member
 *	quarantine encrypted type application/zip
 *	tag mismatch,bomb,broken
 *	accept name 'report *.exe'
 *
 * For each attachment the first rule that holds decides; of all attachments
 * the severest decision is that of the message. Pure logic: what an action
 * means is somebody else's.
 */
#ifndef FILTERS_CONTENT_H
#define FILTERS_CONTENT_H

#include <stdint.h>

#include "filters/attachment.h"
#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"

/* Rules of one policy, conditions of a rule, alternatives of a condition, and
 * bytes of the whole text: what a directory may hold for a user. */
#define CONTENT_RULES_MAX 200u
#define CONTENT_CONDITIONS_MAX 16u
#define CONTENT_PATTERNS_MAX 200u
#define CONTENT_TEXT_MAX 65536u

/* Rising severity. */
enum content_act {
	CONTENT_ACCEPT,
	CONTENT_TAG,
	CONTENT_QUARANTINE,
	CONTENT_REJECT,
	CONTENT_ACT_COUNT
};

struct content_rule;

struct content_policy {
	struct content_rule *rules;	/* borrow from the text */
	size_t n;
};

struct content_finding {
	enum content_act act;
	const struct attachment *what;	/* NULL: no rule held */
	struct str rule;		/* its text */
};

/*
 * Rules divided by line ends or semicolons; empty ones are passed over. The
 * policy borrows from text and arena. 0, or -1 when `why` says what is wrong
 * and what would be right.
 */
int content_policy_parse(struct str text, struct arena *a,
    struct content_policy *policy_r, struct buf *why);
/* One rule, as vbox.conf has it: 0, or -1 and `why`. */
int content_rule_check(const char *rule, struct buf *why);

/* What the policy says to one attachment. */
void content_judge_one(const struct content_policy *policy,
    const struct attachment *x, struct content_finding *finding_r);
/* And to all of them: the first of the severest. */
void content_judge(const struct content_policy *policy,
    const struct attachments *list, struct content_finding *finding_r);

/* What is told of a decision. */
struct content_facts {
	enum content_act act;
	struct str rule, name, type;
	unsigned flags;			/* content_flags() */
};
void content_facts(const struct content_finding *finding,
    struct content_facts *facts_r);

/* The field that marks a message, and that nobody outside can set: delivery
 * drops it from every message. */
#define CONTENT_FIELD "X-Vbox-Content"
/* "X-Vbox-Content: tag; type=...", folded, with its last line end; ASCII,
 * whatever the attachment is called. */
void content_field(const struct content_facts *facts, struct buf *out);
/* The flags in words, divided by blanks. */
void content_words(unsigned flags, struct buf *out);

/* "accept", "tag", "quarantine", "reject". */
const char *content_act_word(enum content_act act);
/* The flags of an attachment: those of enum attachment_flag and two more. */
enum content_flag {
	CONTENT_MEMBER = 1 << 14,	/* inside an archive */
	CONTENT_ATTACHED = 1 << 15,	/* has a name, or says "attachment" */
};
unsigned content_flags(const struct attachment *x);
/* The word of a single bit, or NULL. */
const char *content_flag_word(unsigned bit);

#endif
