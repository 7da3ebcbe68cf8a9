/*
 * What a check has found, said as it is found: how bad it is, what was asked
 * and answered, what it means and what to do about it.
 */
#ifndef LDA_ADM_FINDING_H
#define LDA_ADM_FINDING_H

#include "lda/adm/adm.h"

enum grade {
	GRADE_OK,
	GRADE_NOTE,		/* worth knowing */
	GRADE_WARNING,		/* works, and will hurt some day */
	GRADE_WRONG,
	GRADE_COUNT
};

struct findings {
	struct adm *a;
	size_t counts[GRADE_COUNT];
	size_t said;
};

/* Empty strs are left out. */
struct finding {
	enum grade grade;
	const char *about;
	struct str asked, answer;
	const char *means;
	const char *remedy;
};

void findings_begin(struct findings *f, struct adm *a);
void findings_say(struct findings *f, const struct finding *one);
void findings_end(struct findings *f);
/* Text of a finding, in the arena. */
const char *finding_text(struct adm *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
