#include "lda/adm/collect.h"

#include <stdlib.h>

#include "store/base/mem.h"

void
collection_init(struct collection *c)
{
	*c = (struct collection){ .list = NULL };
}

void
collection_release(struct collection *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->rooms[i]);
	free(c->rooms);
	free(c->list);
	collection_init(c);
}

static int
collect_one(const struct directory_entry *e, void *arg, struct verdict *v)
{
	struct collection *c = arg;
	struct directory_entry *to;
	void *room;

	(void)v;
	if (c->count >= c->cap) {
		c->cap = c->cap > 0 ? c->cap * 2 : 64;
		c->list = mem_realloc(c->list, c->cap * sizeof(*c->list));
		c->rooms = mem_realloc(c->rooms, c->cap * sizeof(*c->rooms));
	}
	to = &c->list[c->count];
	to->kind = e->kind;
	switch (e->kind) {
	case ENTRY_DOMAIN:
		room = mem_alloc(domain_record_pack(&e->is.domain, NULL, NULL));
		(void)domain_record_pack(&e->is.domain, room, &to->is.domain);
		break;
	case ENTRY_USER:
		room = mem_alloc(account_pack(&e->is.user, NULL, NULL));
		(void)account_pack(&e->is.user, room, &to->is.user);
		break;
	default:
		room = mem_alloc(alias_record_pack(&e->is.alias, NULL, NULL));
		(void)alias_record_pack(&e->is.alias, room, &to->is.alias);
		break;
	}
	c->rooms[c->count++] = room;
	return 0;
}

int
collect_entries(struct adm *a, enum directory_entry_kind kind,
    struct str domain, struct collection *c, struct verdict *v)
{
	if (adm_writer(a, v) < 0)
		return -1;
	return directory_writer_list(a->writer, kind, STR(""), domain,
	    collect_one, c, v);
}
