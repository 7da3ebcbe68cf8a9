#include "store/mbox_read.h"

#include <string.h>

#include "store/base/num.h"
#include "store/mailbox.h"

/* "Sat Nov 21 03:14:36 2026" */
#define DATE_BYTES 24
#define FROM STR("From ")

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

/* Index of a three-letter name in a row of them, or -1. */
static int
index_of(struct str name, const char *row)
{
	for (int i = 0; row[i * 3] != '\0'; i++)
		if (str_eq(name, str_mem(row + i * 3, 3)))
			return i;
	return -1;
}

static int
number(struct str s, uint64_t max, int *value_r)
{
	uint64_t value;

	if (num_u64(str_trim(s), max, &value) < 0)
		return -1;
	*value_r = (int)value;
	return 0;
}

/* The asctime form at the end of a From_ line. */
static int
parse_date(struct str d, time_t *when_r)
{
	struct tm tm = { 0 };

	if (d.n != DATE_BYTES || index_of(str_sub(d, 0, 3), days) < 0 ||
	    d.p[3] != ' ' || d.p[7] != ' ' || d.p[10] != ' ' ||
	    d.p[13] != ':' || d.p[16] != ':' || d.p[19] != ' ')
		return -1;
	tm.tm_mon = index_of(str_sub(d, 4, 3), months);
	if (tm.tm_mon < 0 || number(str_sub(d, 8, 2), 31, &tm.tm_mday) < 0 ||
	    number(str_sub(d, 11, 2), 23, &tm.tm_hour) < 0 ||
	    number(str_sub(d, 14, 2), 59, &tm.tm_min) < 0 ||
	    number(str_sub(d, 17, 2), 60, &tm.tm_sec) < 0 ||
	    number(str_sub(d, 20, 4), 9999, &tm.tm_year) < 0)
		return -1;
	tm.tm_year -= 1900;
	*when_r = timegm(&tm);
	return 0;
}

static struct str
line_at(struct str file, size_t at)
{
	const char *end = memchr(file.p + at, '\n', file.n - at);

	return str_mem(file.p + at, end != NULL ? (size_t)(end - file.p) - at :
	    file.n - at);
}

/* "From SENDER DATE", perhaps with a zone or a remark behind the date. */
static int
parse_from(struct str line, struct str *sender_r, time_t *when_r)
{
	ptrdiff_t blank;

	if (!str_starts(line, FROM))
		return -1;
	line = str_sub(line, FROM.n, line.n);
	blank = str_chr(line, ' ');
	if (blank < 0)
		return -1;
	*sender_r = str_sub(line, 0, (size_t)blank);
	line = str_trim(str_sub(line, (size_t)blank, line.n));
	return parse_date(str_sub(line, 0, DATE_BYTES), when_r);
}

static bool
is_from(struct str file, size_t at)
{
	struct str sender;
	time_t when;

	return at < file.n &&
	    parse_from(line_at(file, at), &sender, &when) == 0;
}

/* Where the next message begins, or the end: a From_ line behind a blank
 * line. */
static size_t
next_from(struct str file, size_t at)
{
	while (at < file.n) {
		struct str rest = str_sub(file, at, file.n);
		ptrdiff_t found = str_find(rest, STR("\n\nFrom "));

		if (found < 0)
			return file.n;
		at += (size_t)found + 2;
		if (is_from(file, at))
			return at;
	}
	return file.n;
}

/* --- fields --------------------------------------------------------------------- */

static struct str
value_of(struct str line)
{
	ptrdiff_t colon = str_chr(line, ':');

	return str_trim(str_sub(line, (size_t)colon + 1, line.n));
}

bool
mbox_read_own_field(struct str line)
{
	static const struct str names[] = {
		{ "Status:", 7 }, { "X-Status:", 9 }, { "X-UID:", 6 },
		{ "X-Keywords:", 11 }, { "X-IMAP:", 7 },
		{ "X-IMAPbase:", 11 }, { "Content-Length:", 15 },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_casestarts(line, names[i]))
			return true;
	return false;
}

static void
take_field(struct str line, struct mbox_message *m, uint64_t *length)
{
	if (str_casestarts(line, STR("Status:"))) {
		struct str s = value_of(line);

		if (str_chr(s, 'R') >= 0)
			m->flags |= MAILBOX_SEEN;
		m->old = m->old || str_chr(s, 'O') >= 0;
	} else if (str_casestarts(line, STR("X-Status:"))) {
		struct str s = value_of(line);

		m->flags |= (str_chr(s, 'A') >= 0 ? MAILBOX_ANSWERED : 0) |
		    (str_chr(s, 'F') >= 0 ? MAILBOX_FLAGGED : 0) |
		    (str_chr(s, 'D') >= 0 ? MAILBOX_DELETED : 0) |
		    (str_chr(s, 'T') >= 0 ? MAILBOX_DRAFT : 0);
	} else if (str_casestarts(line, STR("X-Keywords:"))) {
		m->keywords = value_of(line);
	} else if (str_casestarts(line, STR("X-IMAP:"))) {
		m->internal = true;
	} else if (str_casestarts(line, STR("Content-Length:"))) {
		if (num_u64(value_of(line), SIZE_MAX / 2, length) < 0)
			*length = UINT64_MAX;
	}
}

/* Reads the fields from `at` on; where the body begins. */
static size_t
read_header(struct str file, size_t at, size_t end, struct mbox_message *m,
    uint64_t *length)
{
	size_t start = at;

	while (at < end) {
		struct str line = line_at(file, at);
		size_t next = at + line.n + 1;

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0) {
			m->header = str_sub(file, start, at - start);
			m->blank = true;
			return next < end ? next : end;
		}
		take_field(line, m, length);
		at = next;
	}
	m->header = str_sub(file, start, end - start);
	return end;
}

int
mbox_read(struct str file, size_t *at, enum content_format variant,
    struct mbox_message *m_r)
{
	struct mbox_message m = { .flags = 0 };
	uint64_t length = UINT64_MAX;
	size_t header, body, end, stop;

	if (*at >= file.n)
		return 0;
	if (parse_from(line_at(file, *at), &m.sender, &m.when) < 0)
		return -1;
	header = *at + line_at(file, *at).n + 1;
	header = header < file.n ? header : file.n;
	/* One newline back: the message may have no header at all, and then
	 * the blank line in front of the next From_ is its own. */
	end = next_from(file, header > 0 ? header - 1 : 0);
	body = read_header(file, header, end, &m, &length);
	if (variant == CONTENT_MBOXCL2 && length != UINT64_MAX &&
	    length <= file.n - body) {
		size_t by_length = body + (size_t)length;

		/* A blank line, then the next message or the end. */
		if (by_length + 1 >= file.n || (file.p[by_length] == '\n' &&
		    is_from(file, by_length + 1)))
			end = by_length + 1 >= file.n ? file.n : by_length + 1;
	}
	/* The blank line in front of the next From_ is the mbox's. */
	stop = end;
	if (stop > body && file.p[stop - 1] == '\n' &&
	    (stop < 2 || stop - 1 == body || file.p[stop - 2] == '\n'))
		stop--;
	m.body = str_sub(file, body, stop - body);
	*m_r = m;
	*at = end;
	return 1;
}
