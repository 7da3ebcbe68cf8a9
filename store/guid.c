#include "store/guid.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/folder.h"

/*
 * Of Dovecot's index the headers are read, of its log what is likely to hold
 * the first transaction: the GUID is given when the index is made. Numbers
 * are little-endian, as on every machine that we run on.
 */
#define INDEX_READ 65536
#define LOG_READ ((size_t)1 << 20)
#define LINE_READ 512

#define INDEX_MAJOR 7
#define LOG_MAJOR 1

/* The extension "mbox": its header ends with the GUID. */
static const char mbox_name[] = "mbox";
#define MBOX_HEADER 32
#define MBOX_GUID 16
#define GUID_BYTES 16

/* Records of the log. */
#define LOG_EXT_INTRO 0x40u
#define LOG_EXT_HEADER 0x100u
#define LOG_TYPE 0x0fffffffu

static uint16_t
get16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t
get32(const unsigned char *p)
{
	return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static size_t
round8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* 1, or 0 when it is all zero: none was given yet. */
static int
spell(const unsigned char guid[GUID_BYTES], char guid_r[GUID_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char any = 0;

	for (size_t i = 0; i < GUID_BYTES; i++)
		any |= guid[i];
	if (!any)
		return 0;
	for (size_t i = 0; i < GUID_BYTES; i++) {
		guid_r[2 * i] = digits[guid[i] >> 4];
		guid_r[2 * i + 1] = digits[guid[i] & 15];
	}
	guid_r[GUID_HEX] = '\0';
	return 1;
}

int
guid_in_index(const void *bytes, size_t n, char guid_r[GUID_HEX + 1])
{
	const unsigned char *p = bytes;
	size_t at, end;

	if (n < 16 || p[0] != INDEX_MAJOR)
		return 0;
	at = round8(get16(p + 2));
	end = get32(p + 4) < n ? get32(p + 4) : n;
	/* Extensions: sizes, name, header, each beginning at a multiple of 8. */
	while (at < end && end - at >= 16) {
		size_t size = get32(p + at), name_n = get16(p + at + 14);
		size_t name = at + 16, data = round8(name + name_n);

		if (data > end || size > end - data)
			return 0;
		if (name_n == strlen(mbox_name) && size >= MBOX_HEADER &&
		    memcmp(p + name, mbox_name, name_n) == 0)
			return spell(p + data + MBOX_GUID, guid_r);
		at = round8(data + size);
	}
	return 0;
}

/* Sizes in the log have seven bits in each byte, the first one the highest;
 * the top bit says that the record is whole. Counted in words. */
static size_t
log_size(const unsigned char *p)
{
	if (!(p[0] & p[1] & p[2] & p[3] & 0x80))
		return 0;
	return ((size_t)(p[0] & 0x7f) << 21 | (size_t)(p[1] & 0x7f) << 14 |
	    (size_t)(p[2] & 0x7f) << 7 | (p[3] & 0x7f)) << 2;
}

/* Changes of an extension's header: offset, size, bytes; padded to words. */
static void
apply(const unsigned char *p, size_t n, unsigned char header[MBOX_HEADER])
{
	while (n >= 4) {
		size_t at = get16(p), size = get16(p + 2);
		size_t all = (4 + size + 3) & ~(size_t)3;

		if (size > n - 4)
			return;
		if (at <= MBOX_HEADER && size <= MBOX_HEADER - at)
			memcpy(header + at, p + 4, size);
		if (all > n)
			return;
		p += all;
		n -= all;
	}
}

int
guid_in_log(const void *bytes, size_t n, char guid_r[GUID_HEX + 1])
{
	const unsigned char *p = bytes;
	unsigned char header[MBOX_HEADER] = { 0 };
	bool ours = false;
	size_t at;

	if (n < 16 || p[0] != LOG_MAJOR)
		return 0;
	at = get16(p + 2);
	while (at < n && n - at >= 8) {
		size_t size = log_size(p + at);
		uint32_t type = get32(p + at + 4) & LOG_TYPE;
		const unsigned char *body = p + at + 8;

		if (size < 8 || size > n - at)
			break;
		if (type == LOG_EXT_INTRO) {
			/* One that is known already is named by a number. */
			ours = size >= 8 + 20 + 4 &&
			    get16(body + 18) == strlen(mbox_name) &&
			    memcmp(body + 20, mbox_name, 4) == 0;
		} else if (type == LOG_EXT_HEADER && ours) {
			apply(body, size - 8, header);
		}
		at += size;
	}
	return spell(header + MBOX_GUID, guid_r);
}

/* Of a file below a directory, up to `max` bytes. The bytes are freed by the
 * caller; NULL with *n_r 0 when it is not there. -1 when it cannot be read. */
static int
slurp(int dir, const char *name, size_t max, char **p_r, size_t *n_r)
{
	int fd = file_open_beneath(dir, name, O_RDONLY, 0);
	ssize_t n;

	*p_r = NULL;
	*n_r = 0;
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	*p_r = mem_alloc(max);
	n = file_pread_full(fd, *p_r, max, 0);
	file_close(&fd);
	if (n < 0)
		return -1;
	*n_r = (size_t)n;
	return 0;
}

/* "3 V1795990884 N1 Gd5e3400663a50c6bb263000083ecc375" */
static int
in_uidlist(const char *p, size_t n, char guid_r[GUID_HEX + 1])
{
	struct str rest = str_mem(p, n), line, word;

	if (!rest.n || !str_split(&rest, '\n', &line))
		return 0;
	while (line.n && str_split(&line, ' ', &word)) {
		bool hex = word.n == GUID_HEX + 1 && word.p[0] == 'G';

		for (size_t i = 1; hex && i < word.n; i++)
			hex = ascii_isdigit(word.p[i]) ||
			    (word.p[i] >= 'a' && word.p[i] <= 'f');
		if (hex) {
			memcpy(guid_r, word.p + 1, GUID_HEX);
			guid_r[GUID_HEX] = '\0';
			return 1;
		}
	}
	return 0;
}

static int
look(enum mailbox_format format, int dir, char guid_r[GUID_HEX + 1])
{
	char *p = NULL;
	size_t n;
	int r = -1;

	if (format == MAILBOX_MAILDIR) {
		if (slurp(dir, "dovecot-uidlist", LINE_READ, &p, &n) == 0)
			r = in_uidlist(p, n, guid_r);
	} else if (slurp(dir, "dovecot.index", INDEX_READ, &p, &n) == 0) {
		r = guid_in_index(p, n, guid_r);
		if (r == 0) {
			free(p);
			if (slurp(dir, "dovecot.index.log", LOG_READ, &p,
			    &n) == 0)
				r = guid_in_log(p, n, guid_r);
			else
				r = -1;
		}
	}
	free(p);
	return r;
}

int
guid_of(const struct mailbox_spec *spec, const char *index_root,
    const char *index_path, char guid_r[GUID_HEX + 1])
{
	bool maildir = spec->format == MAILBOX_MAILDIR;
	int root = file_open_root(maildir ? spec->root : index_root), dir, folder;
	int r = -1;

	if (root < 0)
		return errno == ENOENT ? 0 : -1;
	dir = file_open_dir(root, maildir ? spec->path : index_path,
	    FILE_NO_MAKE, 0);
	if (dir >= 0 && maildir && spec->folder && spec->folder[0]) {
		folder = file_open_dir(dir, spec->folder, FILE_NO_MAKE, 0);
		file_close(&dir);
		dir = folder;
	}
	if (dir >= 0)
		r = look(spec->format, dir, guid_r);
	else if (errno == ENOENT || errno == ENOTDIR)
		r = 0;
	file_close(&dir);
	file_close(&root);
	return r;
}

/* --- looking for one ------------------------------------------------------------ */

struct search {
	enum mailbox_format format;
	struct str guid;
	struct buf path;	/* of the mailbox being looked at */
	struct buf *name;
	unsigned looked;
};

static bool
is_it(struct search *s, int dir)
{
	char guid[GUID_HEX + 1];

	s->looked++;
	/* One that cannot be read is another one, or is not to be had. */
	return look(s->format, dir, guid) == 1 && str_eq(str_of(guid), s->guid);
}

/* Is the directory `entry` below dir the one? Its path is in s->path. */
static int
try_entry(struct search *s, int dir, const char *entry)
{
	int fd, r = 0;

	if (s->looked >= GUID_MAILBOXES)
		return 0;
	fd = file_open_dir(dir, entry, FILE_NO_MAKE, 0);
	if (fd >= 0 && is_it(s, fd)) {
		if (s->format == MAILBOX_MBOX &&
		    str_eq(buf_str(&s->path), STR("INBOX")))
			r = buf_addz(s->name, "INBOX") < 0 ? -1 : 1;
		else
			r = folder_name(s->format, buf_str(&s->path),
			    s->name) < 0 ? 0 : 1;
	}
	file_close(&fd);
	return r;
}

/* A copy, since closedir(3) closes what it was given. */
static DIR *
open_list(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		file_close(&fd);
	return d;
}

static int
find_maildir(struct search *s, int dir)
{
	DIR *list;
	struct dirent *e;
	int r = 0;

	if (is_it(s, dir))
		return buf_addz(s->name, "INBOX") < 0 ? -1 : 1;
	list = open_list(dir);
	if (!list)
		return -1;
	while (r == 0 && (e = readdir(list))) {
		if (e->d_name[0] != '.' || !e->d_name[1] || e->d_name[1] == '.')
			continue;
		buf_reset(&s->path);
		if (buf_addz(&s->path, e->d_name) == 0)
			r = try_entry(s, dir, e->d_name);
	}
	closedir(list);
	return r;
}

static int find_index(struct search *s, int dir, unsigned level);

/* One name of a directory of indexes: .imap has those of mailboxes here, any
 * other directory mailboxes below. */
static int
find_entry(struct search *s, int dir, const char *entry, unsigned level)
{
	bool here = strcmp(entry, ".imap") == 0;
	size_t was = s->path.n;
	struct dirent *e;
	DIR *list;
	int fd, r = 0;

	fd = file_open_dir(dir, entry, FILE_NO_MAKE, 0);
	if (fd < 0)
		return 0;	/* no directory */
	if (!here) {
		if (buf_addz(&s->path, entry) == 0 &&
		    buf_addc(&s->path, '/') == 0)
			r = find_index(s, fd, level + 1);
		buf_cut(&s->path, was);
	} else if ((list = open_list(fd))) {
		while (r == 0 && (e = readdir(list))) {
			if (e->d_name[0] == '.')
				continue;
			if (buf_addz(&s->path, e->d_name) == 0)
				r = try_entry(s, fd, e->d_name);
			buf_cut(&s->path, was);
		}
		closedir(list);
	}
	file_close(&fd);
	return r;
}

static int
find_index(struct search *s, int dir, unsigned level)
{
	struct dirent *e;
	DIR *list;
	int r = 0;

	if (level > FOLDER_LEVELS_MAX || !(list = open_list(dir)))
		return 0;
	while (r == 0 && s->looked < GUID_MAILBOXES && (e = readdir(list)))
		if (e->d_type != DT_REG && (e->d_name[0] != '.' ||
		    strcmp(e->d_name, ".imap") == 0))
			r = find_entry(s, dir, e->d_name, level);
	closedir(list);
	return r;
}

int
guid_find(const struct mailbox_spec *inbox, const char *index_root,
    const char *index_path, struct str guid, struct buf *name_r)
{
	bool maildir = inbox->format == MAILBOX_MAILDIR;
	struct search s = { .format = inbox->format, .guid = guid,
	    .name = name_r };
	int root, dir, r;

	if (guid.n != GUID_HEX)
		return 0;
	root = file_open_root(maildir ? inbox->root : index_root);
	if (root < 0)
		return errno == ENOENT ? 0 : -1;
	dir = file_open_dir(root, maildir ? inbox->path : index_path,
	    FILE_NO_MAKE, 0);
	file_close(&root);
	if (dir < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	buf_init(&s.path, FOLDER_NAME_MAX);
	r = maildir ? find_maildir(&s, dir) : find_index(&s, dir, 0);
	buf_release(&s.path);
	file_close(&dir);
	return r;
}
