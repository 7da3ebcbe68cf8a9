#include "store/directory/writer.h"

#include <stdlib.h>

#include "store/base/mem.h"
#include "store/directory/backend.h"

struct directory_writer {
	const struct directory_writer_backend *backend;
	void *self;
	bool begun;
};

static const struct directory_writer_backend *const backends[] = {
	&writer_file,
	&writer_sqlite,
	&writer_pgsql,
};

int
directory_writer_open(const char *spec, const struct directory_settings *set,
    struct directory_writer **w_r, struct verdict *v)
{
	struct str name = str_of(spec);
	ptrdiff_t colon = str_chr(name, ':');
	struct directory_writer *w;

	name = str_sub(name, 0, colon < 0 ? name.n : (size_t)colon);
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (!str_eq(name, str_of(backends[i]->name)))
			continue;
		w = mem_zalloc(1, sizeof(*w));
		w->backend = backends[i];
		if (w->backend->open(spec + name.n + (colon >= 0), set,
		    &w->self, v) < 0) {
			free(w);
			return -1;
		}
		*w_r = w;
		return 0;
	}
	return verdict_set(v, V_CONFIG,
	    "directory \"%s\": cannot be changed by vboxadm", spec);
}

void
directory_writer_close(struct directory_writer **w)
{
	if (*w == NULL)
		return;
	if ((*w)->begun)
		(*w)->backend->rollback((*w)->self);
	(*w)->backend->close((*w)->self);
	free(*w);
	*w = NULL;
}

int
directory_writer_begin(struct directory_writer *w, struct verdict *v)
{
	if (w->backend->begin(w->self, v) < 0)
		return -1;
	w->begun = true;
	return 0;
}

int
directory_writer_commit(struct directory_writer *w, struct verdict *v)
{
	if (w->backend->commit(w->self, v) < 0)
		return -1;
	w->begun = false;
	return 0;
}

int
directory_writer_put(struct directory_writer *w,
    const struct directory_entry *e, struct verdict *v)
{
	return w->backend->put(w->self, e, v);
}

int
directory_writer_remove(struct directory_writer *w,
    enum directory_entry_kind kind, struct str local, struct str domain,
    bool *existed_r, struct verdict *v)
{
	return w->backend->remove(w->self, kind, local, domain, existed_r, v);
}

int
directory_writer_list(struct directory_writer *w,
    enum directory_entry_kind kind, struct str local, struct str domain,
    directory_entry_fn *each, void *arg, struct verdict *v)
{
	return w->backend->list(w->self, kind, local, domain, each, arg, v);
}

int
directory_writer_rename_domain(struct directory_writer *w, struct str from,
    struct str to, struct verdict *v)
{
	return w->backend->rename_domain(w->self, from, to, v);
}

/* --- one entry ---------------------------------------------------------------- */

struct getting {
	struct arena *a;
	struct directory_entry *e;
	bool found;
};

static int
keep_entry(const struct directory_entry *e, void *arg, struct verdict *v)
{
	struct getting *g = arg;
	size_t n;
	void *room;

	switch (e->kind) {
	case ENTRY_DOMAIN:
		n = domain_record_pack(&e->is.domain, NULL, NULL);
		break;
	case ENTRY_USER:
		n = account_pack(&e->is.user, NULL, NULL);
		break;
	default:
		n = alias_record_pack(&e->is.alias, NULL, NULL);
		break;
	}
	room = arena_alloc(g->a, n);
	if (room == NULL)
		return verdict_set(v, V_NO_MEMORY, "directory: arena is full");
	g->e->kind = e->kind;
	switch (e->kind) {
	case ENTRY_DOMAIN:
		(void)domain_record_pack(&e->is.domain, room,
		    &g->e->is.domain);
		break;
	case ENTRY_USER:
		(void)account_pack(&e->is.user, room, &g->e->is.user);
		break;
	case ENTRY_ALIAS:
		(void)alias_record_pack(&e->is.alias, room, &g->e->is.alias);
		break;
	}
	g->found = true;
	return 0;
}

enum directory_answer
directory_writer_get(struct directory_writer *w,
    enum directory_entry_kind kind, struct str local, struct str domain,
    struct arena *a, struct directory_entry *e_r, struct verdict *v)
{
	struct getting g = { .a = a, .e = e_r };

	if (w->backend->list(w->self, kind, local, domain, keep_entry, &g,
	    v) < 0)
		return DIR_BROKEN;
	return g.found ? DIR_FOUND : DIR_ABSENT;
}
