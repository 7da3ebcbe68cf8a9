/*
 * What became of a message or a question: one of a fixed list of reasons, a
 * sentence for the sender and a detail for us.
 *
 *	struct verdict v = VERDICT_INIT;	"try again", 451 4.3.0
 *	...
 *	return verdict_set(&v, V_BOX_BUSY, "lock held by pid %d", pid);
 *	...
 *	verdict_ok(&v, "stored in %s", path);	only on the last line
 *
 * A verdict is born as "try again": success is earned. What a reason means
 * to an LMTP client, as an exit code and in the log stands in one table
 * (verdict.c); errno becomes a reason in one other.
 *
 * `text` is what a sender may read: it never holds a path, an errno or a
 * name that only we know. `detail` is for the log. Both are cut, never
 * overrun, and hold no control character; a text may have several lines.
 */
#ifndef STORE_BASE_VERDICT_H
#define STORE_BASE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/str.h"

enum verdict_why {
	V_TROUBLE,		/* 451 4.3.0 anything not certainly permanent */
	V_OK,			/* 250 2.0.0 */
	V_CONFIG,		/* 451 4.3.5 our configuration is wrong */
	V_USAGE,		/* 501 5.5.4 wrong arguments */
	V_UNKNOWN_USER,		/* 550 5.1.1 */
	V_UNKNOWN_DOMAIN,	/* 550 5.1.2 */
	V_BAD_ADDRESS,		/* 553 5.1.3 */
	V_DISABLED,		/* 550 5.2.1 */
	V_LOCKED,		/* 450 4.2.1 the account is locked */
	V_BOX_BUSY,		/* 451 4.2.1 the mailbox is locked by a program */
	V_BOX_UNSAFE,		/* 451 4.2.0 something else stands in its place */
	V_FULL,			/* 552 5.2.2 */
	V_FULL_FOR_NOW,		/* 452 4.2.2 */
	V_TOO_BIG,		/* 552 5.3.4 */
	V_DIRECTORY_DOWN,	/* 451 4.3.0 could not ask */
	V_TOO_MANY_RCPTS,	/* 452 4.5.3 */
	V_LOOP,			/* 554 5.4.6 */
	V_POLICY,		/* 550 5.7.1 refused by Sieve or policy */
	V_NO_SPACE,		/* 452 4.3.1 */
	V_NO_MEMORY,		/* 452 4.3.1 */
	V_SHUTDOWN,		/* 421 4.3.2 told to stop */
	V_SUBMIT,		/* 451 4.4.0 the MTA did not take a redirect */
	V_WHY_COUNT
};

enum verdict_kind {
	VERDICT_LATER,
	VERDICT_DONE,
	VERDICT_REFUSED,
};

#define VERDICT_TEXT 1024
#define VERDICT_DETAIL 480
/* Lines of a text, at most; what is behind is left out. */
#define VERDICT_LINES 40

struct verdict {
	enum verdict_why why;
	char text[VERDICT_TEXT];	/* empty: the table's sentence */
	/* where in the text a line behind the first begins; 0 ends it */
	uint16_t line[VERDICT_LINES];
	char detail[VERDICT_DETAIL];
};

#define VERDICT_INIT ((struct verdict){ .why = V_TROUBLE })

/* The same without zeros in all of its 1,600 bytes, for what each delivery
 * passes: a dozen of them. */
static inline void
verdict_init(struct verdict *v)
{
	v->why = V_TROUBLE;
	v->text[0] = v->detail[0] = '\0';
	v->line[0] = 0;
}

/* Exit code families: sysexits(3) serves sendmail and Postfix. */
enum exit_profile {
	EXITS_SYSEXITS,
	EXITS_EXIM,	/* 0, 75, or a permanent code Exim does not retry */
	EXITS_QMAIL,	/* 0, 100 permanent, 111 temporary */
};

/*
 * Sets reason and detail; the text becomes the table's sentence. Returns -1,
 * so that a failing function can end with it.
 */
int verdict_set(struct verdict *v, enum verdict_why why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
/* The same for a failed call: `error` (an errno) chooses the reason, and the
 * detail is "WHAT: strerror". */
int verdict_errno(struct verdict *v, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
/* Success with a detail. Returns 0. */
int verdict_ok(struct verdict *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A sentence for the sender instead of the table's. */
void verdict_say(struct verdict *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same: words of ours and then z, which is printable. For what each
 * delivery says, since printf(3) is much code that is in no cache. */
void verdict_say_of(struct verdict *v, const char *words, const char *z);
/* One more line for the sender. In verdict_text() it stands behind a blank. */
void verdict_say_line(struct verdict *v, struct str line);

enum verdict_kind verdict_kind(const struct verdict *v);
/* Three-digit reply, RFC 5321 section 4.2. */
int verdict_reply(const struct verdict *v);
/* Enhanced status code, RFC 3463, such as "5.1.1". */
const char *verdict_code(const struct verdict *v);
/* Sentence for the sender. */
const char *verdict_text(const struct verdict *v);
/* The same line by line: the n-th, from 0. False behind the last. */
bool verdict_line(const struct verdict *v, size_t n, struct str *line_r);
/* One word for the log and as metric label, such as "unknown_user". */
const char *verdict_word(const struct verdict *v);
/* Exit status for the MTA that called us; 75 for whatever may pass. */
int verdict_exit(const struct verdict *v, enum exit_profile profile);
/* The reason with this log word, or V_TROUBLE. */
enum verdict_why verdict_by_word(const char *word);

#endif
