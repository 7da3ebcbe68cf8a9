/*
 * What a mailbox format is to mailbox.c: a table of the steps. Private to
 * store/.
 */
#ifndef STORE_MAILBOX_FORMAT_H
#define STORE_MAILBOX_FORMAT_H

#include <sys/stat.h>

#include "store/base/kept.h"
#include "store/mailbox.h"

struct mailbox {
	const struct mailbox_spec *spec;
	const struct content *content;
	const struct mailbox_ops *ops;
	uint64_t size;		/* of the copy */
	uint64_t repaired;
	unsigned locks_broken;
	size_t keywords_lost;
	bool published;
};

struct mailbox_ops {
	int (*open)(struct mailbox *mb, struct verdict *v);
	int (*settle)(struct mailbox *mb, struct verdict *v);
	int (*publish)(struct mailbox *mb, struct verdict *v);
	int (*sync)(struct mailbox *mb, struct verdict *v);
	/* Forgets that it was synced. */
	void (*retract)(struct mailbox *mb);
	/* Undoes what was not synced, gives everything back. */
	void (*close)(struct mailbox *mb);
	int (*exists)(const struct mailbox_spec *spec, struct verdict *v);
	int (*descriptor)(const struct mailbox *mb);
	/* Fills what is the format's in a redo_copy. */
	bool (*redo)(const struct mailbox *mb, struct redo_copy *c);
	bool redo_first;	/* it has all of that before publish */
	size_t size;		/* of the struct that begins with a mailbox */
};

extern const struct mailbox_ops mbox_ops;
extern const struct mailbox_ops maildir_ops;

/*
 * Opens the directory `path` below the spec's root (making it when the spec
 * allows), and refuses one that others could change under our hands: owner
 * must be us or root, writable by nobody else. Returns a descriptor, or -1
 * with the verdict set; *missing_r tells that it is simply not there.
 */
int mailbox_open_dir(const struct mailbox_spec *spec, const char *path,
    bool *missing_r, struct verdict *v);
/*
 * The same from the directories that this process keeps (store/base/kept.h):
 * borrowed, and given back by kept_close(k_r), which is NULL where the
 * descriptor is the caller's own.
 */
int mailbox_keep_dir(const struct mailbox_spec *spec, const char *path,
    struct kept **k_r, struct verdict *v);
/* Judges an open file or directory; -1 with V_BOX_UNSAFE. */
int mailbox_judge_dir(const struct mailbox_spec *spec, const struct stat *st,
    struct verdict *v);

#endif
