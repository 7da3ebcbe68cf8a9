/* redirect (RFC 5228 section 4.2) with what RFC 3894, 6009, 6134 add. */
#ifndef FILTERS_SIEVE_EXT_REDIRECT_H
#define FILTERS_SIEVE_EXT_REDIRECT_H

#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"

int redirect_check(struct check *c, struct check_node *n);
int redirect_command(struct run *r, const struct node *n);

#endif
