#include "store/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/self.h"
#include "store/mailbox_format.h"
#include "store/redo.h"

static const struct mailbox_ops *
ops_of(const struct mailbox_spec *spec)
{
	return spec->format == MAILBOX_MBOX ? &mbox_ops : &maildir_ops;
}

int
mailbox_open(const struct mailbox_spec *spec, const struct content *content,
    struct mailbox **mb_r, struct verdict *v)
{
	const struct mailbox_ops *ops = ops_of(spec);
	struct mailbox *mb = mem_zalloc(1, ops->size);

	mb->spec = spec;
	mb->content = content;
	mb->ops = ops;
	if (ops->open(mb, v) < 0) {
		mailbox_close(&mb);
		return -1;
	}
	*mb_r = mb;
	return 0;
}

int
mailbox_settle(struct mailbox *mb, struct verdict *v)
{
	return mb->ops->settle(mb, v);
}

int
mailbox_publish(struct mailbox *mb, struct verdict *v)
{
	if (mb->published)
		return 0;
	if (mb->ops->publish(mb, v) < 0)
		return -1;
	mb->published = true;
	return 0;
}

int
mailbox_sync(struct mailbox *mb, struct verdict *v)
{
	return mb->ops->sync(mb, v);
}

void
mailbox_retract(struct mailbox *mb)
{
	mb->ops->retract(mb);
}

void
mailbox_close(struct mailbox **mb)
{
	if (!*mb)
		return;
	(*mb)->ops->close(*mb);
	free(*mb);
	*mb = NULL;
}

uint64_t
mailbox_size(const struct mailbox *mb)
{
	return mb->size;
}

int
mailbox_descriptor(const struct mailbox *mb)
{
	return mb->ops->descriptor(mb);
}

uint64_t
mailbox_repaired(const struct mailbox *mb)
{
	return mb->repaired;
}

unsigned
mailbox_locks_broken(const struct mailbox *mb)
{
	return mb->locks_broken;
}

size_t
mailbox_keywords_lost(const struct mailbox *mb)
{
	return mb->keywords_lost;
}

bool
mailbox_redo_first(const struct mailbox *mb)
{
	return mb->ops->redo_first;
}

bool
mailbox_redo(const struct mailbox *mb, struct redo_copy *c_r)
{
	*c_r = (struct redo_copy){ .spec = *mb->spec };
	return mb->ops->redo(mb, c_r);
}

int
mailbox_deliver(const struct mailbox_spec *spec, const struct content *content,
    struct verdict *v)
{
	struct mailbox *mb = NULL;
	int r = -1;

	if (mailbox_open(spec, content, &mb, v) == 0 &&
	    mailbox_settle(mb, v) == 0 && mailbox_publish(mb, v) == 0)
		r = mailbox_sync(mb, v);
	mailbox_close(&mb);
	return r;
}

int
mailbox_exists(const struct mailbox_spec *spec, struct verdict *v)
{
	return ops_of(spec)->exists(spec, v);
}

bool
mailbox_obstructed(const struct mailbox_spec *spec)
{
	struct stat st;
	int root = file_open_root(spec->root), fd;
	bool yes = false;

	if (root < 0)
		return false;
	fd = file_open_beneath(root, spec->path, O_PATH | O_NOFOLLOW, 0);
	file_close(&root);
	if (fd < 0)
		return errno == ENOTDIR;
	if (fstat(fd, &st) == 0)
		yes = spec->format == MAILBOX_MBOX ? S_ISDIR(st.st_mode) :
		    S_ISREG(st.st_mode);
	file_close(&fd);
	return yes;
}

int
mailbox_judge_dir(const struct mailbox_spec *spec, const struct stat *st,
    struct verdict *v)
{
	mode_t others = spec->trust == MAILBOX_TRUST_GROUP ? S_IWOTH :
	    S_IWOTH | S_IWGRP;

	if (st->st_uid != self_euid() && st->st_uid != 0)
		return verdict_set(v, V_BOX_UNSAFE,
		    "directory of %s in %s belongs to uid %u", spec->path,
		    spec->root, (unsigned)st->st_uid);
	if (st->st_mode & others)
		return verdict_set(v, V_BOX_UNSAFE,
		    "directory of %s in %s is writable by others (mode %04o)",
		    spec->path, spec->root, (unsigned)(st->st_mode & 07777));
	return 0;
}

int
mailbox_open_dir(const struct mailbox_spec *spec, const char *path,
    bool *missing_r, struct verdict *v)
{
	struct kept *root = NULL;
	struct stat st;
	int fd;

	*missing_r = false;
	if (kept_open(spec->root, "", &root, &st) < 0)
		return verdict_errno(v, errno, "open %s", spec->root);
	fd = file_open_dir(kept_fd(root), path[0] ? path : ".",
	    spec->make == MAILBOX_MAY_MAKE ? FILE_MAKE : FILE_NO_MAKE,
	    spec->dir_mode);
	if (fd < 0) {
		*missing_r = errno == ENOENT;
		verdict_errno(v, errno, "open %s in %s", path, spec->root);
	} else if (fstat(fd, &st) < 0) {
		verdict_errno(v, errno, "fstat");
		file_close(&fd);
	} else if (mailbox_judge_dir(spec, &st, v) < 0) {
		file_close(&fd);
	}
	kept_close(&root);
	return fd;
}

int
mailbox_keep_dir(const struct mailbox_spec *spec, const char *path,
    struct kept **k_r, struct verdict *v)
{
	struct stat st;
	bool missing;

	*k_r = NULL;
	/* Whatever stands in the way is looked at, made or told there. */
	if (kept_open(spec->root, path, k_r, &st) < 0)
		return mailbox_open_dir(spec, path, &missing, v);
	if (mailbox_judge_dir(spec, &st, v) == 0)
		return kept_fd(*k_r);
	kept_close(k_r);
	return -1;
}
