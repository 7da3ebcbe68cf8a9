/* Which content policy holds for whom. */
#ifndef LDA_CONTENT_RULES_H
#define LDA_CONTENT_RULES_H

#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"
#include "store/directory/record.h"

/*
 * The rules for a mailbox, one a line: the account's own ("none": none; the
 * rule "default" stands for the configuration's), else the configuration's.
 * account NULL: there is only a domain. Rules of the directory that make no
 * sense are as good as none there, and why_r (in the arena) says what is
 * wrong; else it is empty. *rules_r empty: no policy. 0, or -1: V_NO_MEMORY.
 */
int content_rules(const struct settings *s, const struct account *account,
    struct arena *a, struct str *rules_r, struct str *why_r,
    struct verdict *v);

#endif
