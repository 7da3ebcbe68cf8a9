/*
 * A read-only view of one message: bytes borrowed, header indexed at once,
 * MIME tree when somebody asks for it.
 *
 *	struct message m;
 *	message_init(&m, &arena, bytes);	alive as long as both
 *	header_find(&m.header, ...), m.body, message_mime(&m)
 *
 * Nothing to release: all lives in the arena.
 */
#ifndef FILTERS_MESSAGE_MESSAGE_H
#define FILTERS_MESSAGE_MESSAGE_H

#include "filters/message/header.h"
#include "filters/message/mime.h"
#include "store/base/arena.h"
#include "store/base/str.h"

struct message {
	struct arena *arena;
	struct str bytes;
	struct header header;
	struct str body;	/* behind the empty line */
	struct mime_tree tree;	/* through message_mime() */
};

void message_init(struct message *m, struct arena *a, struct str bytes);
/* The tree, parsed at the first call; root NULL only when the arena is full. */
const struct mime_tree *message_mime(struct message *m);
/* Some ceiling of the arena was met: what was seen may be incomplete. */
bool message_full(const struct message *m);

#endif
