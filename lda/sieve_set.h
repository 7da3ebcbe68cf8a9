/*
 * From the settings of a domain to those of the Sieve engine: for a delivery,
 * for `vboxadm sieve` and for what is cached.
 */
#ifndef LDA_SIEVE_SET_H
#define LDA_SIEVE_SET_H

#include "filters/engine.h"
#include "lda/settings.h"
#include "store/base/arena.h"

/* Strings borrow from the settings or live in the arena. 0, or -1 when it is
 * full. */
int sieve_set(const struct settings *s, struct arena *a,
    struct engine_settings *set_r);

#endif
