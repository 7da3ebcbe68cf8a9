/* The mailboxes of one user, INBOX and folders, from one format into the
 * other, by the identity that owns them. */
#ifndef LDA_ADM_CONVERT_BOX_H
#define LDA_ADM_CONVERT_BOX_H

#include "store/convert.h"
#include "store/mailbox.h"

/* What is made is called so until it is whole; what it came from, after. */
#define CONVERT_NEW ".converting"
#define CONVERT_OLD ".before-convert"

struct convert_job {
	struct mailbox_spec mbox;	/* INBOX, and its locks */
	struct mailbox_spec folders;	/* root and path of the folder
					 * directory; path "": none */
	struct mailbox_spec maildir;
	struct convert_how how;
};

/*
 * Builds the new mailbox beside its place, syncs it, puts it there, and moves
 * the old one aside. The INBOX of an mbox user stays locked meanwhile. On
 * failure what was there is as it was. 0 or -1.
 */
int convert_box_to_maildir(const struct convert_job *job,
    struct convert_count *count, struct verdict *v);
int convert_box_to_mbox(const struct convert_job *job,
    struct convert_count *count, struct verdict *v);

#endif
