/*
 * What the content policy said of the last message: its other recipients with
 * the same rules need not have it looked at again. Of this process, one entry.
 */
#ifndef LDA_CONTENT_MEMO_H
#define LDA_CONTENT_MEMO_H

#include <stdbool.h>

#include "filters/content.h"

/* `id` is the delivery's (struct parcel). The facts are copied to the arena: other
 * recipients' plans may be made, and the memo replaced, before they are used. */
bool content_memo_find(const char *id, struct str rules, struct arena *a,
    struct content_facts *facts_r);
void content_memo_keep(const char *id, struct str rules,
    const struct content_facts *facts);

#endif
