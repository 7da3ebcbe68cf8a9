/*
 * Did a delivery that was interrupted put its copy into the mailbox? Asked by
 * the retry journal alone, for a process that died between storing a message
 * and saying so.
 */
#ifndef STORE_MAILBOX_FIND_H
#define STORE_MAILBOX_FIND_H

#include <sys/types.h>
#include <time.h>

#include "store/mailbox.h"

/* How much of the end of an mbox, and of the start of a Maildir's file, is
 * searched: a copy begins with the fields that hold the mark. */
#define MAILBOX_FIND_TAIL (4 * 1024 * 1024)
#define MAILBOX_FIND_HEAD (16 * 1024)

/*
 * Is there a message with `mark` among its bytes, delivered by process `pid`
 * at `since` or later? 1 yes, 0 no, -1 could not look (verdict set). In an
 * mbox nobody's lock is asked for: bytes that were appended and then cut off
 * are not found by who looks after the next delivery.
 */
int mailbox_find(const struct mailbox_spec *spec, pid_t pid, time_t since,
    struct str mark, struct verdict *v);

#endif
