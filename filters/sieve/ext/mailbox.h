/* What fileinto and :fcc say of the mailbox besides its name: special uses
 * (RFC 8579) and ids (RFC 9042). */
#ifndef FILTERS_SIEVE_EXT_MAILBOX_H
#define FILTERS_SIEVE_EXT_MAILBOX_H

#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"

/* :specialuse and :mailboxid of a node. 0, or -1 with an error reported. */
int mailbox_check_place(struct check *c, const struct check_node *n);
/* Their values, variables in place; empty when not given. 0 or -1. */
int mailbox_place(struct run *r, const struct node *n, struct str *use_r,
    struct str *id_r);

#endif
