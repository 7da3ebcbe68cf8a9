/* Where a copy of an answer goes (RFC 8580), for vacation and notify. */
#ifndef FILTERS_SIEVE_EXT_FCC_H
#define FILTERS_SIEVE_EXT_FCC_H

#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"

int fcc_check(struct check *c, struct check_node *n);
int fcc_run(struct run *r, const struct node *n, struct engine_action *a);

#endif
