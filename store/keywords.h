/*
 * Flags and keywords as Dovecot, mutt and others find them.
 *
 * Maildir: letters a to z behind ":2," of the file name; the file
 * dovecot-keywords of the folder says which keyword each stands for ("0
 * $Label1\n", 0 is a). mbox: the lines Status, X-Status and X-Keywords.
 */
#ifndef STORE_KEYWORDS_H
#define STORE_KEYWORDS_H

#include <stdbool.h>
#include <sys/types.h>

#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* Letters there are. Keywords beyond them are left out: mail is not lost for
 * a label. */
#define KEYWORDS_MAX 26
#define KEYWORD_BYTES 255

/* May this be an IMAP keyword (an atom, RFC 3501 section 9, that is no system
 * flag)? Others are left out. */
bool keywords_valid(struct str name);

/*
 * Adds the letters of `names` to `out`, in ASCII order, each once. Names that
 * dovecot-keywords in the folder `dirfd` has not yet are added to it (under
 * dovecot-keywords.lock, replaced by rename). A file that cannot be
 * understood, a lock that stays held: the names that have no letter yet are
 * left out, and `v` says so. Returns how many were left out.
 */
size_t keywords_letters(int dirfd, const struct str *names, size_t n,
    mode_t file_mode, struct buf *out, struct verdict *v);

/*
 * The header lines of an mbox message with these flags (enum mailbox_flag)
 * and keywords; nothing when there are none.
 */
void keywords_mbox_head(unsigned flags, const struct str *names, size_t n,
    struct buf *out);

/* The enum mailbox_flag of an IMAP system flag such as "\Seen", whatever its
 * case; 0 when it is none. */
unsigned keywords_system_flag(struct str name);

#endif
