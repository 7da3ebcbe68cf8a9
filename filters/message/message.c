#include "filters/message/message.h"

void
message_init(struct message *m, struct arena *a, struct str bytes)
{
	*m = (struct message){ .arena = a, .bytes = bytes };
	m->body = header_init(&m->header, a, bytes);
}

const struct mime_tree *
message_mime(struct message *m)
{
	if (!m->tree.root)
		mime_parse(m->arena, m->bytes, &m->header, m->body, &m->tree);
	return &m->tree;
}

bool
message_full(const struct message *m)
{
	return m->header.full;
}
