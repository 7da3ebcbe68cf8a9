/*
 * Does the world agree with a configuration that is well written? For
 * `vbox-lmtpd -t' and `vboxadm check'.
 *
 * Started as root this becomes the configured user, for good, so that what is
 * readable and writable is judged as a delivery would find it: the caller
 * tells the result and ends.
 */
#ifndef LDA_CONFIG_CHECK_H
#define LDA_CONFIG_CHECK_H

#include "lda/config.h"
#include "store/base/buf.h"

/* 0, or -1 with a line for each mistake added to `problems`:
 * FILE:LINE: SETTING: what is wrong. */
int config_check(const struct config *c, struct buf *problems);

#endif
