/* What the nouns domain, user and alias share: options into entries, entries
 * into text and JSON, add, set, show, list, delete, rename. */
#ifndef LDA_ADM_ENTRY_H
#define LDA_ADM_ENTRY_H

#include "lda/adm/adm.h"

/* The name of an entry as a command's argument: local empty for a domain. */
struct entry_name {
	enum directory_entry_kind kind;
	struct str local, domain;
};

/* Judges an argument. */
int entry_name_of(struct adm *a, enum directory_entry_kind kind,
    const char *text, struct entry_name *name_r, struct verdict *v);
/* "fred@example.com" or "example.com". */
struct str entry_title(struct adm *a, const struct entry_name *n);
/* The entry; -1 with V_UNKNOWN_USER or V_UNKNOWN_DOMAIN when it is not
 * there. */
int entry_get(struct adm *a, const struct entry_name *n,
    struct directory_entry *e_r, struct verdict *v);
/* An entry of that name with nothing set. */
void entry_init(const struct entry_name *n, struct directory_entry *e);
/* The command's options put into the entry. */
int entry_apply_options(struct adm *a, struct directory_entry *e,
    struct verdict *v);
/* Adds it to the output in the chosen form; passwords never. */
void entry_print(struct adm *a, const struct directory_entry *e);
/* "added fred@example.com", or as JSON with the entry. */
void entry_report(struct adm *a, const char *what,
    const struct directory_entry *e);

/* The verbs, for any kind. */
int entry_add(struct adm *a, enum directory_entry_kind kind,
    struct verdict *v);
int entry_set(struct adm *a, enum directory_entry_kind kind,
    struct verdict *v);
int entry_show(struct adm *a, enum directory_entry_kind kind,
    struct verdict *v);
int entry_list(struct adm *a, enum directory_entry_kind kind,
    struct verdict *v);
int entry_rename(struct adm *a, enum directory_entry_kind kind,
    struct verdict *v);

#endif
