/*
 * Changing the directory, for vboxadm. Deliveries never write it.
 *
 *	directory_writer_open(spec, &settings, &w, &v)
 *	directory_writer_begin(w, &v)
 *	directory_writer_put(w, &entry, &v) ...
 *	directory_writer_commit(w, &v)		all of it is on disk, or none
 *	directory_writer_close(&w)		undoes what was not committed
 *
 * Opening a database makes its tables when there are none. Entries hold
 * canonical names. put replaces the whole entry.
 */
#ifndef STORE_DIRECTORY_WRITER_H
#define STORE_DIRECTORY_WRITER_H

#include <stdbool.h>

#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"
#include "store/directory/directory.h"
#include "store/directory/record.h"

/* Called for each entry, which is borrowed; -1 stops. */
typedef int directory_entry_fn(const struct directory_entry *e, void *arg,
    struct verdict *v);

struct directory_writer_backend {
	const char *name;
	int (*open)(const char *spec, const struct directory_settings *set,
	    void **self_r, struct verdict *v);
	int (*begin)(void *self, struct verdict *v);
	int (*commit)(void *self, struct verdict *v);
	void (*rollback)(void *self);
	int (*put)(void *self, const struct directory_entry *e,
	    struct verdict *v);
	/* existed_r: whether there was one. */
	int (*remove)(void *self, enum directory_entry_kind kind,
	    struct str local, struct str domain, bool *existed_r,
	    struct verdict *v);
	/* domain empty: all; local not empty: this one. In order of domain
	 * and local part. */
	int (*list)(void *self, enum directory_entry_kind kind,
	    struct str local, struct str domain, directory_entry_fn *each,
	    void *arg, struct verdict *v);
	/* Users and aliases move along. */
	int (*rename_domain)(void *self, struct str from, struct str to,
	    struct verdict *v);
	void (*close)(void *self);
};

struct directory_writer;

int directory_writer_open(const char *spec,
    const struct directory_settings *set, struct directory_writer **w_r,
    struct verdict *v);
void directory_writer_close(struct directory_writer **w);
int directory_writer_begin(struct directory_writer *w, struct verdict *v);
int directory_writer_commit(struct directory_writer *w, struct verdict *v);
int directory_writer_put(struct directory_writer *w,
    const struct directory_entry *e, struct verdict *v);
int directory_writer_remove(struct directory_writer *w,
    enum directory_entry_kind kind, struct str local, struct str domain,
    bool *existed_r, struct verdict *v);
int directory_writer_list(struct directory_writer *w,
    enum directory_entry_kind kind, struct str local, struct str domain,
    directory_entry_fn *each, void *arg, struct verdict *v);
int directory_writer_rename_domain(struct directory_writer *w,
    struct str from, struct str to, struct verdict *v);
/* One entry, copied into the arena; local is empty for a domain. */
enum directory_answer directory_writer_get(struct directory_writer *w,
    enum directory_entry_kind kind, struct str local, struct str domain,
    struct arena *a, struct directory_entry *e_r, struct verdict *v);

#endif
