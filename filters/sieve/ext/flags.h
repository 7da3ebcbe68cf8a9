/* IMAP flags (RFC 5232), for the actions that take :flags. */
#ifndef FILTERS_SIEVE_EXT_FLAGS_H
#define FILTERS_SIEVE_EXT_FLAGS_H

#include "filters/sieve/eval.h"

/* The flags of an action: those of the list in `slot`, or the internal
 * variable. Sets ENGINE_F_FLAGS in *bits when there are any or when a list
 * was given. */
int flags_of_action(struct run *r, const struct node *n, enum slot slot,
    unsigned *bits, struct str *flags_r);
/* The strings of a list as one line of flags, each once. */
int flags_of_list(struct run *r, const struct node *n, enum slot slot,
    struct str *flags_r);

#endif
