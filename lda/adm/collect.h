/* Entries of the directory kept in memory, for work that changes it or asks
 * it again while going through them. */
#ifndef LDA_ADM_COLLECT_H
#define LDA_ADM_COLLECT_H

#include "lda/adm/adm.h"

struct collection {
	struct directory_entry *list;
	size_t count, cap;
	void **rooms;		/* one piece of memory per entry */
};

void collection_init(struct collection *c);
void collection_release(struct collection *c);
/* Adds those of a domain, or all when it is empty. */
int collect_entries(struct adm *a, enum directory_entry_kind kind,
    struct str domain, struct collection *c, struct verdict *v);

#endif
