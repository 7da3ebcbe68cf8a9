/* vboxadm alias: addresses that stand for others. */
#include "lda/adm/entry.h"
#include "lda/adm/nouns.h"

int
adm_alias_add(struct adm *a, struct verdict *v)
{
	return entry_add(a, ENTRY_ALIAS, v);
}

int
adm_alias_set(struct adm *a, struct verdict *v)
{
	return entry_set(a, ENTRY_ALIAS, v);
}

int
adm_alias_show(struct adm *a, struct verdict *v)
{
	return entry_show(a, ENTRY_ALIAS, v);
}

int
adm_alias_list(struct adm *a, struct verdict *v)
{
	return entry_list(a, ENTRY_ALIAS, v);
}

int
adm_alias_rename(struct adm *a, struct verdict *v)
{
	return entry_rename(a, ENTRY_ALIAS, v);
}

int
adm_alias_delete(struct adm *a, struct verdict *v)
{
	struct entry_name n;
	struct directory_entry e;
	bool existed = false;

	if (entry_name_of(a, ENTRY_ALIAS, a->args[0], &n, v) < 0 ||
	    adm_writer(a, v) < 0 ||
	    directory_writer_remove(a->writer, ENTRY_ALIAS, n.local, n.domain,
	    &existed, v) < 0)
		return -1;
	entry_init(&n, &e);
	entry_report(a, existed ? "deleted" : "was not there:", &e);
	return 0;
}
