/*
 * Annotations of mailboxes and of the server (RFC 5464), as Dovecot keeps them
 * with mail_attribute_dict = file:%h/dovecot-attributes: keys are the GUID of
 * the mailbox and the name of the annotation; those of the server belong to
 * the INBOX. Read, never written.
 */
#ifndef LDA_METADATA_H
#define LDA_METADATA_H

#include "filters/engine.h"
#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/directory/directory.h"

/* A longer file is not read. */
#define METADATA_FILE_MAX ((size_t)4 * 1024 * 1024)

/* The file, read once for one delivery. Zero it. */
struct metadata {
	enum { METADATA_UNREAD, METADATA_READ, METADATA_BROKEN } state;
	struct str text;
};

/* For which mailbox an annotation is asked. */
enum metadata_of { METADATA_MAILBOX, METADATA_SERVER };

/* `annotation` as "/private/comment" or "/shared/vendor/x/y", in any case. */
enum engine_answer metadata_get(struct metadata *m, const struct settings *s,
    const struct account *account, struct str guid, enum metadata_of what,
    struct str annotation, struct arena *a, struct buf *value);

#endif
