/* A Maildir into an mbox. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"
#include "store/convert.h"
#include "store/keywords.h"
#include "store/mailbox.h"

#define PIECE ((size_t)256 * 1024)
#define HEAD_MAX 16384
#define KEYWORD_FILE_MAX 65536
#define UID_FILE_MAX ((size_t)256 << 20)

struct found {
	char *name;
	uint64_t uid;		/* of dovecot-uidlist; UINT64_MAX: none */
	uint64_t second, microsecond;	/* of the name; 0: it has none */
	time_t when;
	bool cur;
};

struct reading {
	const struct convert_how *how;
	int mbox;
	struct buf piece;
	struct found *list;
	size_t count, cap;
	struct buf keyword_file;
	struct str keywords[KEYWORDS_MAX];	/* by letter */
};

static int
sink(void *arg, const char *p, size_t n)
{
	struct reading *r = arg;

	if (r->piece.n + n > PIECE) {
		if (file_write_all(r->mbox, r->piece.p, r->piece.n) < 0)
			return -1;
		buf_reset(&r->piece);
	}
	return n > PIECE ? file_write_all(r->mbox, p, n) :
	    buf_add(&r->piece, p, n);
}

/* --- what is there ------------------------------------------------------------- */

/* The number that *rest begins with, taken off; 0: none. */
static uint64_t
take_number(struct str *rest)
{
	uint64_t value;
	size_t n = 0;

	while (n < rest->n && ascii_isdigit(rest->p[n]))
		n++;
	if (num_u64(str_sub(*rest, 0, n), UINT64_MAX, &value) < 0)
		value = 0;
	*rest = str_sub(*rest, n, rest->n);
	return value;
}

/* "1795.M12P3.host": what a reader orders a Maildir by. */
static void
read_name(struct found *f)
{
	struct str rest = str_mem(f->name, strlen(f->name));

	f->second = take_number(&rest);
	if (str_starts(rest, STR(".M"))) {
		rest = str_sub(rest, 2, rest.n);
		f->microsecond = take_number(&rest);
	}
}

static int
list_dir(struct reading *r, int maildir, const char *name, bool cur)
{
	int fd = file_open_dir(maildir, name, FILE_NO_MAKE, 0);
	struct dirent *e;
	struct stat st;
	DIR *dir;

	if (fd < 0)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		file_close(&fd);
		return -1;
	}
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || fstatat(fd, e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (r->count >= r->cap) {
			r->cap = r->cap > 0 ? r->cap * 2 : 256;
			r->list = mem_realloc(r->list,
			    r->cap * sizeof(*r->list));
		}
		r->list[r->count] = (struct found){
			.name = mem_dup(e->d_name), .uid = UINT64_MAX,
			.when = st.st_mtime, .cur = cur,
		};
		read_name(&r->list[r->count++]);
	}
	closedir(dir);
	return 0;
}

static int
by_arrival(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	if (x->second != y->second)
		return x->second < y->second ? -1 : 1;
	if (x->microsecond != y->microsecond)
		return x->microsecond < y->microsecond ? -1 : 1;
	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The name without what may change: ":2," and its letters. */
static struct str
base_of(const char *name)
{
	const char *info = strchr(name, ':');

	return str_mem(name, info != NULL ? (size_t)(info - name) :
	    strlen(name));
}

static int
by_base(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return str_cmp(base_of(x->name), base_of(y->name));
}

/* One line of dovecot-uidlist: "12 W345 S320 :1795.M1P2.host,S=320". */
static void
note_uid(struct reading *r, struct str line)
{
	ptrdiff_t colon = str_chr(line, ':');
	struct str number;
	struct found key, *f;
	uint64_t uid;

	if (colon < 0 || !str_split(&line, ' ', &number) ||
	    num_u64(number, UINT32_MAX, &uid) < 0)
		return;
	colon = str_chr(line, ':');
	key.name = mem_dupn(line.p + colon + 1, line.n - (size_t)colon - 1);
	f = bsearch(&key, r->list, r->count, sizeof(*r->list), by_base);
	if (f != NULL)
		f->uid = uid;
	free(key.name);
}

/* The order that Dovecot's clients know, where it has been; messages that it
 * has not seen come behind, by arrival. */
static void
read_uids(struct reading *r, int maildir)
{
	int fd = file_open_beneath(maildir, "dovecot-uidlist", O_RDONLY, 0);
	struct str rest, line;
	struct buf text;

	if (fd < 0)
		return;
	buf_init(&text, UID_FILE_MAX);
	qsort(r->list, r->count, sizeof(*r->list), by_base);
	if (file_read_whole(fd, &text) == 0) {
		rest = buf_str(&text);
		while (rest.n > 0 && str_split(&rest, '\n', &line))
			note_uid(r, line);
	}
	buf_release(&text);
	file_close(&fd);
}

/* dovecot-keywords: "0 $Label1". None is no error. */
static void
read_keywords(struct reading *r, int maildir)
{
	int fd = file_open_beneath(maildir, "dovecot-keywords", O_RDONLY, 0);
	struct str rest, line, number;
	uint64_t letter;

	if (fd < 0)
		return;
	if (file_read_whole(fd, &r->keyword_file) == 0) {
		rest = buf_str(&r->keyword_file);
		while (rest.n > 0 && str_split(&rest, '\n', &line))
			if (str_split(&line, ' ', &number) && line.p != NULL &&
			    num_u64(number, KEYWORDS_MAX - 1, &letter) == 0)
				r->keywords[letter] = line;
	}
	file_close(&fd);
}

/* --- one message ---------------------------------------------------------------- */

/* What the letters behind ":2," say, as mbox header lines. */
static void
flag_lines(const struct reading *r, const struct found *f, struct buf *out)
{
	const char *info = strstr(f->name, ":2,");
	struct str words[KEYWORDS_MAX];
	unsigned flags = 0;
	size_t n = 0;

	for (const char *p = info != NULL ? info + 3 : ""; *p != '\0'; p++) {
		flags |= *p == 'S' ? MAILBOX_SEEN : *p == 'R' ?
		    MAILBOX_ANSWERED : *p == 'F' ? MAILBOX_FLAGGED : *p == 'D' ?
		    MAILBOX_DRAFT : *p == 'T' ? MAILBOX_DELETED : 0;
		if (*p >= 'a' && *p <= 'z' && r->keywords[*p - 'a'].n > 0 &&
		    n < KEYWORDS_MAX)
			words[n++] = r->keywords[*p - 'a'];
	}
	if (f->cur && !(flags & MAILBOX_SEEN))
		(void)buf_addz(out, "Status: O\n");
	keywords_mbox_head(flags, words, n, out);
}

/* The envelope sender that delivery wrote down, and where the body begins. */
static struct str
look_at(struct str file, uint64_t *body_r)
{
	struct str sender = STR("");
	size_t at = 0;

	while (at < file.n) {
		const char *end = memchr(file.p + at, '\n', file.n - at);
		size_t n = end != NULL ? (size_t)(end - file.p) - at :
		    file.n - at;
		struct str line = str_trim(str_sub(file, at, n));

		at += n + (end != NULL);
		if (line.n == 0) {
			*body_r = at;
			return sender;
		}
		if (str_casestarts(line, STR("Return-Path:")) &&
		    sender.n == 0) {
			sender = str_trim(str_sub(line, 12, line.n));
			if (sender.n >= 2 && sender.p[0] == '<')
				sender = str_sub(sender, 1, sender.n - 2);
		}
	}
	*body_r = file.n;
	return sender;
}

/* A blank or worse would break the From_ line in two. */
static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]) || s.p[i] == ' ')
			return false;
	return true;
}

/* Readers know the keywords that the first message names (X-IMAPbase:
 * UIDVALIDITY, last UID, keywords), and no others. */
static void
base_line(const struct reading *r, struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < KEYWORDS_MAX; i++)
		any = any || r->keywords[i].n > 0;
	if (!any)
		return;
	(void)buf_addf(out, "X-IMAPbase: %lld 0000000000",
	    (long long)clock_now());
	for (size_t i = 0; i < KEYWORDS_MAX; i++) {
		if (r->keywords[i].n == 0 || !keywords_valid(r->keywords[i]))
			continue;
		(void)buf_addc(out, ' ');
		(void)buf_adds(out, r->keywords[i]);
	}
	(void)buf_addc(out, '\n');
}

static int
write_one(struct reading *r, const struct found *f, struct str file)
{
	struct source source = { .mem = file.p, .fd = -1, .n = file.n };
	struct content c = { .when = f->when, .message = &source };
	struct buf head;
	int result;

	buf_init(&head, HEAD_MAX);
	c.sender = look_at(file, &c.body);
	if (!is_plain(c.sender))
		c.sender = STR("");
	if (f == &r->list[0])
		base_line(r, &head);
	flag_lines(r, f, &head);
	c.mbox_head = buf_str(&head);
	result = content_write(&c, r->how->variant, sink, r);
	buf_release(&head);
	return result;
}

static int
copy_one(struct reading *r, int dir, const struct found *f, uint64_t *bytes)
{
	int fd = file_open_beneath(dir, f->name, O_RDONLY, 0), result = -1;
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0) {
		file_close(&fd);
		return -1;
	}
	if (st.st_size == 0) {
		result = write_one(r, f, STR(""));
	} else {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
		    fd, 0);
		if (map != MAP_FAILED) {
			result = write_one(r, f,
			    str_mem(map, (size_t)st.st_size));
			(void)munmap(map, (size_t)st.st_size); /* mapped */
		}
	}
	*bytes = (uint64_t)st.st_size;
	file_close(&fd);
	return result;
}

static int
copy_all(struct reading *r, int maildir, struct convert_count *count)
{
	int new = file_open_dir(maildir, "new", FILE_NO_MAKE, 0);
	int cur = file_open_dir(maildir, "cur", FILE_NO_MAKE, 0);
	int result = new < 0 || cur < 0 ? -1 : 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i < r->count && result == 0; i++) {
		result = copy_one(r, r->list[i].cur ? cur : new, &r->list[i],
		    &bytes);
		count->messages++;
		count->bytes += bytes;
	}
	if (result == 0)
		result = file_write_all(r->mbox, r->piece.p, r->piece.n);
	file_close(&new);
	file_close(&cur);
	return result;
}

int
convert_to_mbox(int maildir, int mbox, const struct convert_how *how,
    struct convert_count *count, struct verdict *v)
{
	struct reading r = { .how = how, .mbox = mbox };
	int result = -1;

	buf_init(&r.piece, PIECE);
	buf_init(&r.keyword_file, KEYWORD_FILE_MAX);
	for (size_t i = 0; i < KEYWORDS_MAX; i++)
		r.keywords[i] = STR("");
	read_keywords(&r, maildir);
	if (list_dir(&r, maildir, "new", false) < 0 ||
	    list_dir(&r, maildir, "cur", true) < 0) {
		verdict_errno(v, errno, "read Maildir");
		goto out;
	}
	if (r.count > 1) {
		read_uids(&r, maildir);
		qsort(r.list, r.count, sizeof(*r.list), by_arrival);
	}
	if (copy_all(&r, maildir, count) < 0)
		verdict_errno(v, errno, "copy message");
	else
		result = 0;
out:
	for (size_t i = 0; i < r.count; i++)
		free(r.list[i].name);
	free(r.list);
	buf_release(&r.piece);
	buf_release(&r.keyword_file);
	return result;
}
