/* vboxadm domain. */
#include <string.h>

#include "lda/adm/collect.h"
#include "lda/adm/entry.h"
#include "lda/adm/files.h"
#include "lda/adm/nouns.h"
#include "lda/adm/state.h"

int
adm_domain_add(struct adm *a, struct verdict *v)
{
	return entry_add(a, ENTRY_DOMAIN, v);
}

int
adm_domain_set(struct adm *a, struct verdict *v)
{
	return entry_set(a, ENTRY_DOMAIN, v);
}

int
adm_domain_show(struct adm *a, struct verdict *v)
{
	return entry_show(a, ENTRY_DOMAIN, v);
}

int
adm_domain_list(struct adm *a, struct verdict *v)
{
	return entry_list(a, ENTRY_DOMAIN, v);
}

int
adm_domain_state(struct adm *a, struct verdict *v)
{
	return state_change(a, ENTRY_DOMAIN, v);
}

/* Takes the users and aliases of a domain away, and mail when told to. */
static int
empty_domain(struct adm *a, struct str domain, struct verdict *v)
{
	struct collection all;
	bool existed;
	int r = 0;

	collection_init(&all);
	r = collect_entries(a, ENTRY_USER, domain, &all, v);
	if (r == 0)
		r = collect_entries(a, ENTRY_ALIAS, domain, &all, v);
	if (r == 0 && all.count > 0 && adm_option(a, "all") == NULL)
		r = verdict_set(v, V_USAGE, "%.*s has %zu users and aliases; "
		    "--all deletes them too", STR_ARG(domain), all.count);
	for (size_t i = 0; i < all.count && r == 0; i++) {
		const struct directory_entry *e = &all.list[i];
		struct account_file files[ACCOUNT_FILES_MAX];
		int n = 0;

		r = directory_writer_remove(a->writer, e->kind,
		    e->kind == ENTRY_USER ? e->is.user.local :
		    e->is.alias.local, domain, &existed, v);
		if (r == 0 && e->kind == ENTRY_USER &&
		    adm_option(a, "purge") != NULL)
			n = account_files(a, &e->is.user, files, v);
		if (n < 0)
			r = -1;
		for (int f = 0; f < n && r == 0; f++)
			r = account_file_remove(&files[f], v) < 0 ? -1 : 0;
		adm_progress(a, "deleted", i + 1);
	}
	collection_release(&all);
	return r;
}

int
adm_domain_delete(struct adm *a, struct verdict *v)
{
	struct entry_name n;
	struct directory_entry e;
	bool existed = false;

	if (entry_name_of(a, ENTRY_DOMAIN, a->args[0], &n, v) < 0 ||
	    adm_writer(a, v) < 0 || directory_writer_begin(a->writer, v) < 0 ||
	    empty_domain(a, n.domain, v) < 0 ||
	    directory_writer_remove(a->writer, ENTRY_DOMAIN, STR(""), n.domain,
	    &existed, v) < 0 || directory_writer_commit(a->writer, v) < 0)
		return -1;
	entry_init(&n, &e);
	entry_report(a, existed ? "deleted" : "was not there:", &e);
	return 0;
}

/* The mail of each user moves along. They have the new name by now. */
static int
move_users(struct adm *a, struct str from, struct str to, struct verdict *v)
{
	struct collection all;
	int r;

	collection_init(&all);
	r = collect_entries(a, ENTRY_USER, to, &all, v);
	for (size_t i = 0; i < all.count && r == 0; i++) {
		struct account new = all.list[i].is.user, old = new;

		old.domain = from;
		r = account_files_move(a, &old, &new, v);
		adm_progress(a, "moved", i + 1);
	}
	collection_release(&all);
	return r;
}

int
adm_domain_rename(struct adm *a, struct verdict *v)
{
	struct str from, to;

	if (adm_domain(a, a->args[0], &from, v) < 0 ||
	    adm_domain(a, a->args[1], &to, v) < 0 ||
	    entry_rename(a, ENTRY_DOMAIN, v) < 0)
		return -1;
	return adm_option(a, "no-files") != NULL ? 0 :
	    move_users(a, from, to, v);
}
