/*
 * The directory as the configuration wants it, for every door alike.
 */
#ifndef LDA_LOOKUP_H
#define LDA_LOOKUP_H

#include "lda/config.h"
#include "store/directory/directory.h"

enum lookup_life {
	LOOKUP_ONCE,		/* one message: no cache */
	LOOKUP_LONG,		/* a process that lives */
};

int lookup_open(const struct config *c, enum lookup_life life,
    struct directory **d_r, struct verdict *v);

#endif
