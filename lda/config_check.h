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

enum config_checked {
	CONFIG_SOUND,
	CONFIG_INCOMPLETE,	/* something that is named is not there */
	CONFIG_USELESS,		/* there is nobody to become: nothing starts,
				 * nothing is delivered, the rest was not
				 * looked at */
};

/* For each mistake a line is added to `problems`:
 * FILE:LINE: SETTING: what is wrong. */
enum config_checked config_check(const struct config *c, struct buf *problems);

#endif
