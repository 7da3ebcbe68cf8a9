/*
 * Signals of a one-shot delivery. Whatever can be caught ends in exit 75,
 * since Exim takes death by a signal for permanent, and never in the middle
 * of a write: from signals_hold() on they wait until the delivery is done.
 */
#ifndef LDA_SIGNALS_H
#define LDA_SIGNALS_H

#include <stdbool.h>

/* Unblocks, sets: exit 75 at once; SIGPIPE and SIGXFSZ become errors. */
void signals_init(void);
/* From here on nothing interrupts. */
void signals_hold(void);
/* Has one come that asks us to end? */
bool signals_pending(void);

#endif
