/*
 * The GUID of a mailbox, which Dovecot gives it: the MAILBOXID of RFC 8474 and
 * the key of its annotations. A Maildir has it in the first line of
 * dovecot-uidlist, an mbox in the index that Dovecot keeps of it. A mailbox
 * that Dovecot has not opened yet has none.
 */
#ifndef STORE_GUID_H
#define STORE_GUID_H

#include "store/mailbox.h"

#define GUID_HEX 32

/*
 * 1 and 32 hexadecimal digits with a NUL behind them, 0 when there is none,
 * -1 when it could not be looked for. For an mbox `index_root`/`index_path`
 * is the directory of its index; for a Maildir they are not looked at.
 */
int guid_of(const struct mailbox_spec *spec, const char *index_root,
    const char *index_path, char guid_r[GUID_HEX + 1]);

/*
 * The name (UTF-8) of the mailbox that has this GUID, among the INBOX, whose
 * spec this is, and its folders: 1, 0, or -1 as above. Each of them is looked
 * at, up to GUID_MAILBOXES.
 */
#define GUID_MAILBOXES 2000
int guid_find(const struct mailbox_spec *inbox, const char *index_root,
    const char *index_path, struct str guid, struct buf *name_r);

/* What is read of an index and of its log; for guid_of and the tests: 1 when
 * the GUID stands in it. */
int guid_in_index(const void *p, size_t n, char guid_r[GUID_HEX + 1]);
int guid_in_log(const void *p, size_t n, char guid_r[GUID_HEX + 1]);

#endif
