#include "store/redo_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/frame.h"
#include "store/base/mem.h"

static const char magic[8] = "vboxredo";
#define VERSION 1u

/* --- copies ------------------------------------------------------------------ */

int
redo_describe(const struct redo_copy *c, struct buf *out)
{
	const struct mailbox_spec *s = &c->spec;

	frame_put_number(out, s->format);
	frame_put_number(out, s->variant);
	frame_put_number(out, s->dir_mode);
	frame_put_number(out, s->file_mode);
	frame_put_number(out, s->trust);
	frame_put_number(out, s->undo);
	frame_put_number(out, s->lock.method);
	for (size_t i = 0; i < MBOX_LOCK_KINDS; i++)
		frame_put_number(out, s->lock.order[i]);
	frame_put_str(out, str_of(s->root));
	frame_put_str(out, str_of(s->path));
	frame_put_str(out, str_of(s->folder));
	frame_put_str(out, c->sub);
	frame_put_str(out, c->name);
	frame_put_number(out, c->offset);
	frame_put_str(out, c->before);
	frame_put_str(out, c->mark);
	frame_put_number(out, c->bytes.n);
	return out->full ? -1 : 0;
}

static int
get_word(struct str *in, uint64_t most, unsigned *n_r)
{
	uint64_t n;

	if (frame_get_number(in, &n) < 0 || n > most)
		return -1;
	*n_r = (unsigned)n;
	return 0;
}

static int
get_name(struct str *in, char *out, size_t size)
{
	struct str s;

	if (frame_get_str(in, &s) < 0 || s.n >= size ||
	    str_chr(s, '\0') >= 0)
		return -1;
	if (s.n)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return 0;
}

int
redo_parse(struct str *in, struct redo_copy *c_r, struct redo_names *names)
{
	struct redo_copy c = { .dev = 0 };
	unsigned format, variant, dir_mode, file_mode, trust, undo, method;
	unsigned order[MBOX_LOCK_KINDS];

	if (get_word(in, MAILBOX_MAILDIR, &format) < 0 ||
	    get_word(in, CONTENT_MBOXCL2, &variant) < 0 ||
	    get_word(in, 07777, &dir_mode) < 0 ||
	    get_word(in, 07777, &file_mode) < 0 ||
	    get_word(in, MAILBOX_TRUST_GROUP, &trust) < 0 ||
	    get_word(in, UNDO_OFF, &undo) < 0 ||
	    get_word(in, DOTLOCK_LIBLOCKFILE, &method) < 0)
		return -1;
	for (size_t i = 0; i < MBOX_LOCK_KINDS; i++)
		if (get_word(in, MBOX_LOCK_FLOCK, &order[i]) < 0)
			return -1;
	if (get_name(in, names->root, sizeof(names->root)) < 0 ||
	    get_name(in, names->path, sizeof(names->path)) < 0 ||
	    get_name(in, names->folder, sizeof(names->folder)) < 0 ||
	    frame_get_str(in, &c.sub) < 0 || frame_get_str(in, &c.name) < 0 ||
	    frame_get_number(in, &c.offset) < 0 ||
	    frame_get_str(in, &c.before) < 0 ||
	    frame_get_str(in, &c.mark) < 0 || frame_get_str(in, &c.bytes) < 0)
		return -1;
	c.spec = (struct mailbox_spec){
		.format = (enum mailbox_format)format,
		.variant = (enum content_format)variant,
		.root = names->root, .path = names->path,
		.folder = names->folder[0] ? names->folder : NULL,
		.make = MAILBOX_MAY_MAKE,
		.dir_mode = dir_mode, .file_mode = file_mode,
		.sync = MAILBOX_SYNC,
		.trust = (enum mailbox_trust)trust,
		.undo = (enum undo_place)undo,
		.lock.method = (enum dotlock_method)method,
	};
	for (size_t i = 0; i < MBOX_LOCK_KINDS; i++)
		c.spec.lock.order[i] = (enum mbox_lock_kind)order[i];
	*c_r = c;
	return 0;
}

/* --- segments ---------------------------------------------------------------- */

uint64_t
redo_head_sum(const struct redo_head *h)
{
	return checksum_of(h, offsetof(struct redo_head, sum));
}

uint64_t
redo_record_sum(const struct redo_record *h)
{
	return checksum_of(h, offsetof(struct redo_record, sum));
}

void
redo_read_head(struct redo *r, unsigned which)
{
	struct redo_head *h = &r->head[which];
	ssize_t n = file_pread_full(r->segment[which], h, sizeof(*h), 0);

	if (n != (ssize_t)sizeof(*h) ||
	    memcmp(h->magic, magic, sizeof(magic)) != 0 ||
	    h->sum != redo_head_sum(h)) {
		*h = (struct redo_head){ .state = REDO_SEGMENT_CLEAN };
	} else if (h->version != VERSION && h->state != REDO_SEGMENT_CLEAN) {
		h->state = REDO_SEGMENT_FAILED;
		memcpy(h->boot, r->boot, sizeof(h->boot));
	}
}

int
redo_write_head(struct redo *r, unsigned which, enum redo_segment_state state)
{
	struct redo_head *h = &r->head[which];

	memcpy(h->magic, magic, sizeof(magic));
	h->version = VERSION;
	h->state = state;
	h->size = r->size;
	memcpy(h->boot, r->boot, sizeof(h->boot));
	h->sum = redo_head_sum(h);
	/* Less than a sector: it is the old one or the new one. */
	return file_pwrite_all(r->segment[which], h, sizeof(*h), 0) < 0 ||
	    file_datasync(r->segment[which]) < 0 ? -1 : 0;
}

int
redo_sync_fd(int fd)
{
	struct statvfs fs;

	if (syncfs(fd) < 0 || fstatvfs(fd, &fs) < 0)
		return -1;
	/* After an error of its own ext4 takes nothing more, and syncfs of
	 * kernels before 6.18 may have nothing to complain of. */
	if (fs.f_flag & ST_RDONLY) {
		errno = EROFS;
		return -1;
	}
	return 0;
}

int
redo_sync_root(const char *root)
{
	int fd = file_open_root(root), result;

	if (fd < 0) {
		result = errno == ENOENT || errno == ENOTDIR ? 0 : -1;
		sync();
		return result;
	}
	result = redo_sync_fd(fd);
	file_close(&fd);
	return result;
}

void
redo_note_root(struct redo_disks *d, const char *root)
{
	size_t n = strlen(root) + 1;
	struct stat st;

	if (n > sizeof(d->last) || strcmp(d->last, root) == 0)
		return;
	memcpy(d->last, root, n);
	if (stat(root, &st) < 0) {
		/* What else may be wrong with it, its sync will say. */
		d->lost |= errno == ENOENT || errno == ENOTDIR;
		st.st_dev = 0;
	}
	for (unsigned i = 0; i < d->n; i++)
		if (d->disk[i].dev == st.st_dev)
			return;
	if (d->n == REDO_PLACES) {
		d->lost = true;
		return;
	}
	d->disk[d->n].dev = st.st_dev;
	memcpy(d->disk[d->n].root, root, n);
	d->n++;
}

int
redo_sync_noted(const struct redo_disks *d, const char **root_r)
{
	for (unsigned i = 0; i < d->n; i++)
		if (redo_sync_root(d->disk[i].root) < 0) {
			*root_r = d->disk[i].root;
			return -1;
		}
	if (d->lost)
		sync();
	return 0;
}

/* A record at this place, its body into `body`? 1, 0 or -1 with errno. */
static int
read_record(const struct redo *r, unsigned which, uint64_t at, uint64_t size,
    struct redo_record *h, char *body)
{
	const struct redo_head *head = &r->head[which];
	ssize_t n = file_pread_full(r->segment[which], h, sizeof(*h), (off_t)at);

	if (n < 0)
		return -1;
	if (n != (ssize_t)sizeof(*h) ||
	    memcmp(h->secret, head->secret, REDO_SECRET) != 0 ||
	    h->generation != head->generation || h->at != at ||
	    h->sum != redo_record_sum(h) || h->n > REDO_RECORD_MAX ||
	    h->n > size - at - sizeof(*h))
		return 0;
	n = file_pread_full(r->segment[which], body, (size_t)h->n,
	    (off_t)(at + sizeof(*h)));
	if (n < 0)
		return -1;
	return (uint64_t)n == h->n &&
	    checksum_of(body, (size_t)h->n) == h->body_sum;
}

int
redo_walk(const struct redo *r, unsigned which,
    int (*each)(void *arg, const struct redo_record *h, struct str body),
    void *arg)
{
	uint64_t size = r->head[which].size, at = REDO_PAGE;
	struct redo_record h;
	struct stat st;
	char *body;
	int result = 0, found;

	if (fstat(r->segment[which], &st) < 0)
		return -1;
	if ((uint64_t)st.st_size < size)
		size = (uint64_t)st.st_size;
	/* Not mapped: what a disk cannot read is an error, not a signal. */
	body = mem_alloc(REDO_RECORD_MAX);
	while (result == 0 && at + sizeof(h) <= size) {
		found = read_record(r, which, at, size, &h, body);
		if (found < 0) {
			result = -1;
		} else if (found == 0) {
			at += REDO_PAGE;	/* torn, or the end */
		} else {
			result = each(arg, &h, str_mem(body, (size_t)h.n));
			at += redo_room(sizeof(h) + h.n);
		}
	}
	free(body);
	return result;
}
