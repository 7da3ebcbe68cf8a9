/*
 * May this recipient have mail from outside? What a door asks at RCPT time,
 * whichever door it is: is the domain ours, does the resolver find somebody,
 * is there room for what was announced.
 *
 *	switch (gate_recipient(agent, local, domain, size, &arena, &res, &v)) {
 *	case GATE_YES:		v is V_OK, res has the targets
 *	case GATE_NO:		ours, and v says why not, for good or for now
 *	case GATE_STRANGER:	not ours; v is V_UNKNOWN_DOMAIN
 *	case GATE_BROKEN:	could not ask, v says why; never "not there"
 *	}
 */
#ifndef LDA_GATE_H
#define LDA_GATE_H

#include <stdint.h>

#include "lda/delivery.h"
#include "lda/resolve.h"

/* BROKEN is 0: an answer that nobody filled in is not "not there". */
enum gate_answer { GATE_BROKEN = 0, GATE_YES, GATE_NO, GATE_STRANGER };

/* The size that a client announced when it announced none. */
#define GATE_SIZE_UNKNOWN 0

enum gate_answer gate_recipient(const struct agent *agent, struct str local,
    struct str domain, uint64_t size, struct arena *a,
    struct resolution *res_r, struct verdict *v);
/* Is the domain ours? GATE_YES, with its real name in *name_r; GATE_NO when its
 * state refuses mail (name_r is empty then). */
enum gate_answer gate_domain(const struct agent *agent, struct str domain,
    struct arena *a, struct domain_record *record_r, struct verdict *v);
/* Is there room for a message of this size? The resolution has its targets.
 * 0, or -1 with the verdict. */
int gate_room(const struct agent *agent, const struct resolution *res,
    uint64_t size, struct verdict *v);

#endif
