/*
 * The mail that tells a user that the mailbox is nearly full, or that mail was
 * refused. Best effort: what fails is logged, and a notice that would not fit
 * is not stored.
 */
#ifndef LDA_QUOTA_NOTICE_H
#define LDA_QUOTA_NOTICE_H

#include "lda/delivery.h"
#include "store/quota.h"

void quota_notice(const struct agent *agent, const struct target *t,
    const struct settings *s, const struct quota_news *news);
/* "910 MB" */
void quota_people_size(uint64_t bytes, struct buf *out);

#endif
