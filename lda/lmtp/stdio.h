/*
 * LMTP on standard input and output: vbox-deliver -l.
 */
#ifndef LDA_LMTP_STDIO_H
#define LDA_LMTP_STDIO_H

#include "lda/config.h"

/* One connection. Root is gone, signals are initialised. 0, or -1 when
 * nothing could be served. */
int stdio_serve(const struct config *c, const char *hostname,
    struct verdict *v);

#endif
