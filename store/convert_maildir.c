/* An mbox into a Maildir. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/convert.h"
#include "store/keywords.h"
#include "store/mailbox.h"
#include "store/mbox_lock.h"
#include "store/mbox_read.h"

/* Written at once. */
#define PIECE ((size_t)256 * 1024)

struct writing {
	const struct convert_how *how;
	int maildir, tmp, cur, new;
	struct buf piece;
	int fd;			/* the message */
	uint64_t size;
	int64_t second;		/* of the name of the last message */
	unsigned nth;		/* in that second */
	struct convert_count *count;
};

static int
flush(struct writing *w)
{
	int r = file_write_all(w->fd, w->piece.p, w->piece.n);

	buf_reset(&w->piece);
	return r;
}

static int
put(struct writing *w, struct str s)
{
	w->size += s.n;
	if (w->piece.n + s.n > PIECE && flush(w) < 0)
		return -1;
	if (s.n > PIECE)
		return file_write_all(w->fd, s.p, s.n);
	return buf_adds(&w->piece, s);
}

/* A line as the sender wrote it: mboxrd took the place of nothing, it put
 * one '>' in front of every From_ line, quoted or not. */
static struct str
unquoted(const struct writing *w, struct str line)
{
	size_t n = 0;

	if (w->how->variant != CONTENT_MBOXRD)
		return line;
	while (n < line.n && line.p[n] == '>')
		n++;
	return n > 0 && str_starts(str_sub(line, n, line.n), STR("From ")) ?
	    str_sub(line, 1, line.n) : line;
}

/* The lines of a part; fields that an mbox program keeps are left out. */
static int
put_lines(struct writing *w, struct str part, bool header)
{
	bool dropping = false;

	while (part.n > 0) {
		const char *end = memchr(part.p, '\n', part.n);
		size_t n = end != NULL ? (size_t)(end - part.p) + 1 : part.n;
		struct str line = str_sub(part, 0, n);

		part = str_sub(part, n, part.n);
		if (header) {
			/* A folded line goes where its field goes. */
			if (!ascii_isblank(line.p[0]))
				dropping = mbox_read_own_field(line);
			if (dropping)
				continue;
		}
		if (put(w, unquoted(w, line)) < 0)
			return -1;
	}
	return 0;
}

static int
put_message(struct writing *w, const struct mbox_message *m)
{
	if (put_lines(w, m->header, true) < 0 ||
	    (m->blank && put(w, STR("\n")) < 0) ||
	    put_lines(w, m->body, false) < 0)
		return -1;
	return flush(w);
}

/* ":2," and its letters, for a message that some program has seen. */
static void
add_info(const struct writing *w, const struct mbox_message *m,
    struct buf *name)
{
	static const struct {
		unsigned flag;
		char letter;
	} letters[] = {
		{ MAILBOX_DRAFT, 'D' }, { MAILBOX_FLAGGED, 'F' },
		{ MAILBOX_ANSWERED, 'R' }, { MAILBOX_SEEN, 'S' },
		{ MAILBOX_DELETED, 'T' },
	};
	struct str words[MAILBOX_KEYWORDS], rest = m->keywords, word;
	struct verdict v = VERDICT_INIT;
	size_t n = 0;

	(void)buf_addz(name, ":2,");
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (m->flags & letters[i].flag)
			(void)buf_addc(name, letters[i].letter);
	while (n < MAILBOX_KEYWORDS && rest.n > 0 &&
	    str_split(&rest, ' ', &word))
		if (word.n > 0)
			words[n++] = word;
	/* Keywords that find no letter are left out. */
	if (n > 0)
		(void)keywords_letters(w->maildir, words, n,
		    w->how->file_mode, name, &v);
}

static int
publish(struct writing *w, const struct mbox_message *m, const char *tmp)
{
	bool known = m->old || m->flags != 0 || m->keywords.n > 0;
	struct timespec times[2] = { { .tv_sec = m->when },
	    { .tv_sec = m->when } };
	struct buf name;
	int r;

	/* The date of arrival is the file's. */
	if (futimens(w->fd, times) < 0)
		return -1;
	buf_init(&name, NAME_MAX);
	(void)buf_addf(&name, "%s,S=%llu", tmp, (unsigned long long)w->size);
	if (known)
		add_info(w, m, &name);
	errno = ENAMETOOLONG;
	r = name.full ? -1 : renameat2(w->tmp, tmp, known ? w->cur : w->new,
	    name.p, RENAME_NOREPLACE);
	buf_release(&name);
	return r;
}

/*
 * Readers order a Maildir by the times in its names, and an mbox has an order of
 * its own: a message from before the last one's time takes that second. Where
 * the microseconds stand they are counted.
 */
static void
take_time(struct writing *w, const struct mbox_message *m)
{
	if (m->when > w->second) {
		w->second = m->when;
		w->nth = 0;
	} else if (++w->nth == 1000000) {
		w->second++;
		w->nth = 0;
	}
}

static int
store(struct writing *w, const struct mbox_message *m)
{
	char tmp[NAME_MAX + 1];
	int r;

	mbox_locks_refresh();	/* a large mbox takes minutes */
	take_time(w, m);
	(void)snprintf(tmp, sizeof(tmp), "%lld.M%06uP%dQ%llu.%.100s",
	    (long long)w->second, w->nth, (int)getpid(), (unsigned long long)w->count->messages,
	    w->how->hostname);
	w->size = 0;
	w->fd = file_open_beneath(w->tmp, tmp, O_WRONLY | O_CREAT | O_EXCL,
	    w->how->file_mode);
	if (w->fd < 0)
		return -1;
	r = put_message(w, m);
	if (r == 0)
		r = publish(w, m, tmp);
	if (file_close_checked(&w->fd) < 0)
		r = -1;
	w->count->messages++;
	w->count->bytes += w->size;
	return r;
}

static int
all_messages(struct writing *w, struct str file, struct verdict *v)
{
	struct mbox_message m;
	size_t at = 0;
	int r;

	/* Some programs begin with blank lines. */
	while (at < file.n && file.p[at] == '\n')
		at++;
	while ((r = mbox_read(file, &at, w->how->variant, &m)) > 0)
		if (!m.internal && store(w, &m) < 0)
			return verdict_errno(v, errno, "write message");
	if (r < 0)
		return verdict_set(v, V_BOX_UNSAFE,
		    "not an mbox at byte %zu", at);
	return 0;
}

int
convert_to_maildir(int mbox, int maildir, const struct convert_how *how,
    struct convert_count *count, struct verdict *v)
{
	struct writing w = { .how = how, .maildir = maildir, .fd = -1,
	    .count = count };
	struct stat st;
	void *map = NULL;
	int r = -1;

	buf_init(&w.piece, PIECE);
	w.tmp = file_open_dir(maildir, "tmp", FILE_NO_MAKE, 0);
	w.cur = file_open_dir(maildir, "cur", FILE_NO_MAKE, 0);
	w.new = file_open_dir(maildir, "new", FILE_NO_MAKE, 0);
	if (w.tmp < 0 || w.cur < 0 || w.new < 0 || fstat(mbox, &st) < 0) {
		verdict_errno(v, errno, "Maildir");
		goto out;
	}
	if (st.st_size == 0) {
		r = 0;
		goto out;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, mbox, 0);
	if (map == MAP_FAILED) {
		map = NULL;
		verdict_errno(v, errno, "mmap");
		goto out;
	}
	r = all_messages(&w, str_mem(map, (size_t)st.st_size), v);
out:
	if (map != NULL)
		(void)munmap(map, (size_t)st.st_size); /* it was mapped */
	buf_release(&w.piece);
	file_close(&w.tmp);
	file_close(&w.cur);
	file_close(&w.new);
	return r;
}
