/* Another program asked: what it says to what it is given. */
#ifndef LDA_ADM_ASK_H
#define LDA_ADM_ASK_H

#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/*
 * Runs argv[0] with `input` as standard input; both of its outputs are added
 * to `out`, up to its limit. No shell. *status_r is as of waitpid(2). 0, or
 * -1: it cannot be run, or it was killed for not being through after
 * timeout_ms; what it had said by then is in `out`.
 */
int ask_program(const char *const argv[], struct str input,
    int64_t timeout_ms, struct buf *out, int *status_r, struct verdict *v);

#endif
