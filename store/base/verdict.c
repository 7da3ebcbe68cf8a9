#include "store/base/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "store/base/buf.h"
#include "store/base/str.h"

struct meaning {
	short reply;		/* RFC 5321 */
	short exit;		/* sysexits.h; never 70, 73, 74 or 78, which
				 * one MTA or another takes for permanent */
	const char *code;	/* RFC 3463 */
	const char *word;
	const char *text;
};

static const struct meaning meanings[V_WHY_COUNT] = {
	[V_TROUBLE] = { 451, EX_TEMPFAIL, "4.3.0", "trouble",
	    "Temporary trouble on this system, please try again later" },
	[V_OK] = { 250, EX_OK, "2.0.0", "delivered", "OK, delivered" },
	[V_CONFIG] = { 451, EX_TEMPFAIL, "4.3.5", "config",
	    "System incorrectly configured, please try again later" },
	[V_USAGE] = { 501, EX_USAGE, "5.5.4", "usage", "Invalid arguments" },
	[V_UNKNOWN_USER] = { 550, EX_NOUSER, "5.1.1", "unknown_user",
	    "User unknown" },
	[V_UNKNOWN_DOMAIN] = { 550, EX_NOUSER, "5.1.2", "unknown_domain",
	    "No mail for this domain here" },
	[V_BAD_ADDRESS] = { 553, EX_DATAERR, "5.1.3", "bad_address",
	    "Address is not valid" },
	[V_DISABLED] = { 550, EX_UNAVAILABLE, "5.2.1", "disabled",
	    "Mailbox not available" },
	[V_LOCKED] = { 450, EX_TEMPFAIL, "4.2.1", "locked",
	    "Mailbox is locked, please try again later" },
	[V_BOX_BUSY] = { 451, EX_TEMPFAIL, "4.2.1", "box_busy",
	    "Mailbox is busy, please try again later" },
	[V_BOX_UNSAFE] = { 451, EX_TEMPFAIL, "4.2.0", "box_unsafe",
	    "Mailbox cannot be used, please try again later" },
	[V_FULL] = { 552, EX_UNAVAILABLE, "5.2.2", "full",
	    "Mailbox is full" },
	[V_FULL_FOR_NOW] = { 452, EX_TEMPFAIL, "4.2.2", "full_for_now",
	    "Mailbox is full, please try again later" },
	[V_TOO_BIG] = { 552, EX_UNAVAILABLE, "5.3.4", "too_big",
	    "Message is too big" },
	[V_DIRECTORY_DOWN] = { 451, EX_TEMPFAIL, "4.3.0", "directory_down",
	    "Recipient cannot be looked up now, please try again later" },
	[V_TOO_MANY_RCPTS] = { 452, EX_TEMPFAIL, "4.5.3", "too_many_rcpts",
	    "Too many recipients, please send the rest again" },
	[V_LOOP] = { 554, EX_UNAVAILABLE, "5.4.6", "loop",
	    "Mail is looping" },
	[V_POLICY] = { 550, EX_NOPERM, "5.7.1", "policy",
	    "Message refused" },
	[V_NO_SPACE] = { 452, EX_TEMPFAIL, "4.3.1", "no_space",
	    "Insufficient system storage, please try again later" },
	[V_NO_MEMORY] = { 452, EX_TEMPFAIL, "4.3.1", "no_memory",
	    "Insufficient system resources, please try again later" },
	[V_SHUTDOWN] = { 421, EX_TEMPFAIL, "4.3.2", "shutdown",
	    "Service is stopping, please try again later" },
	[V_SUBMIT] = { 451, EX_TEMPFAIL, "4.4.0", "submit",
	    "Message cannot be passed on now, please try again later" },
};

static enum verdict_why
why_of_errno(int error)
{
	switch (error) {
	case ENOSPC:
		return V_NO_SPACE;
	case EDQUOT:	/* the file system's quota, not ours: it may be raised */
	case EFBIG:
		return V_FULL_FOR_NOW;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return V_NO_MEMORY;
	case ELOOP:	/* a symbolic link where we follow none */
	case EXDEV:	/* openat2: the path would leave the root */
	case EISDIR:
	case ENOTDIR:
	case ENXIO:	/* a FIFO without reader, a socket */
		return V_BOX_UNSAFE;
	default:
		return V_TROUBLE;
	}
}

/* Cuts at `size` and leaves one printable line whatever came in: these
 * strings end in logs and protocol replies. */
static void __attribute__((format(printf, 3, 0)))
print(char *out, size_t size, const char *fmt, va_list ap)
{
	size_t n = strlen(fmt);

	/* "stored", "sender": most say just a word. */
	if (n < size && !memchr(fmt, '%', n))
		memcpy(out, fmt, n + 1);
	else if (vsnprintf(out, size, fmt, ap) < 0)
		out[0] = '\0';
	for (char *p = out; *p; p++)
		if (ascii_iscntrl(*p))
			*p = '?';
}

static void
begin(struct verdict *v, enum verdict_why why)
{
	v->why = why;
	v->text[0] = '\0';
	v->line[0] = 0;
	v->detail[0] = '\0';
}

int
verdict_set(struct verdict *v, enum verdict_why why, const char *fmt, ...)
{
	va_list ap;

	begin(v, why);
	va_start(ap, fmt);
	print(v->detail, sizeof(v->detail), fmt, ap);
	va_end(ap);
	return -1;
}

int
verdict_errno(struct verdict *v, int error, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	begin(v, why_of_errno(error));
	va_start(ap, fmt);
	print(v->detail, sizeof(v->detail), fmt, ap);
	va_end(ap);
	n = strlen(v->detail);
	(void)snprintf(v->detail + n, sizeof(v->detail) - n, ": %s",
	    strerror(error)); /* may be cut, that is meant */
	return -1;
}

int
verdict_ok(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	begin(v, V_OK);
	va_start(ap, fmt);
	print(v->detail, sizeof(v->detail), fmt, ap);
	va_end(ap);
	return 0;
}

void
verdict_say(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	v->line[0] = 0;
}

void
verdict_say_of(struct verdict *v, const char *words, const char *z)
{
	struct buf text;

	/* Cut is good enough. */
	buf_init_in(&text, v->text, sizeof(v->text));
	buf_reset(&text);
	(void)buf_addz(&text, words);
	(void)buf_addz(&text, z);
	v->line[0] = 0;
}

/* Offsets fit. */
_Static_assert(VERDICT_TEXT <= UINT16_MAX, "VERDICT_TEXT");

void
verdict_say_line(struct verdict *v, struct str line)
{
	size_t at = strlen(v->text), room = sizeof(v->text) - 1 - at, i = 0;

	if (at > 0) {
		while (v->line[i])
			i++;
		if (i == VERDICT_LINES - 1 || room < 2)
			return;
		v->text[at++] = ' ';
		room--;
		v->line[i] = (uint16_t)at;
		v->line[i + 1] = 0;
	}
	line = str_sub(line, 0, room);
	for (i = 0; i < line.n; i++)
		v->text[at++] = ascii_iscntrl(line.p[i]) ? '?' : line.p[i];
	v->text[at] = '\0';
}

bool
verdict_line(const struct verdict *v, size_t n, struct str *line_r)
{
	struct str text = str_of(verdict_text(v));
	size_t begin = 0;

	for (size_t i = 0; i < n; i++, begin = v->line[i - 1])
		if (!v->line[i])
			return false;
	*line_r = str_sub(text, begin, v->line[n] ?
	    v->line[n] - 1 - begin : text.n);
	return true;
}

enum verdict_kind
verdict_kind(const struct verdict *v)
{
	switch (verdict_reply(v) / 100) {
	case 2:
		return VERDICT_DONE;
	case 5:
		return VERDICT_REFUSED;
	default:
		return VERDICT_LATER;
	}
}

int
verdict_reply(const struct verdict *v)
{
	return meanings[v->why].reply;
}

const char *
verdict_code(const struct verdict *v)
{
	return meanings[v->why].code;
}

const char *
verdict_text(const struct verdict *v)
{
	return v->text[0] ? v->text : meanings[v->why].text;
}

const char *
verdict_word(const struct verdict *v)
{
	return meanings[v->why].word;
}

int
verdict_exit(const struct verdict *v, enum exit_profile profile)
{
	if (profile == EXITS_QMAIL)
		switch (verdict_kind(v)) {
		case VERDICT_DONE:
			return 0;
		case VERDICT_REFUSED:
			return 100;
		default:
			return 111;
		}
	/* Exim's default temp_errors are 75 and 73, and we never say 73: so
	 * sysexits serve Exim as they are. */
	return meanings[v->why].exit;
}

enum verdict_why
verdict_by_word(const char *word)
{
	for (int i = 0; i < V_WHY_COUNT; i++)
		if (strcmp(meanings[i].word, word) == 0)
			return (enum verdict_why)i;
	return V_TROUBLE;
}
