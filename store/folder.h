/*
 * Folder names: from what a user calls a folder (UTF-8, '/' or '.' between
 * levels) to where it is kept, as Dovecot reads it.
 *
 * Maildir: Maildir++ directories ".Work.2026" in the Maildir, '.' divides.
 * mbox: files "Work/2026" below the folder directory, '/' divides.
 * Names outside of ASCII are kept in the modified UTF-7 of IMAP (RFC 3501
 * section 5.1.3), as Dovecot 2.3 does and 2.4 reads.
 */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include "store/base/buf.h"
#include "store/base/verdict.h"
#include "store/mailbox.h"

/* Bytes of a folder's name on disk, and levels. */
#define FOLDER_NAME_MAX 255
#define FOLDER_LEVELS_MAX 16

/* Is this the inbox? Its name knows no case (RFC 3501 section 5.1). */
bool folder_is_inbox(struct str name);
/*
 * The name on disk of a folder other than INBOX, below the folder directory
 * (mbox) or the Maildir; "INBOX/x" and "INBOX.x" are the same as "x" there.
 * 0, or -1 with V_BAD_ADDRESS for a name that could leave its place or hurt:
 * empty levels, "." and "..", control characters, not UTF-8, too long, names
 * that other programs use (*.lock, cur, new, tmp, dovecot*).
 */
int folder_path(enum mailbox_format format, struct str name, struct buf *out,
    struct verdict *v);

/*
 * The other way: from a file name below the folder directory, or that of a
 * Maildir folder with its first dot, to the name. 0, or -1 when folder_path
 * would not have made it.
 */
int folder_name(enum mailbox_format format, struct str path, struct buf *out);

#endif
