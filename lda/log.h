/*
 * The log: one line for one event, `key=value` or JSON, to syslog, the
 * journal, stderr or a file.
 *
 *	log_open("vbox-deliver", settings);	cheap: nothing is connected yet
 *	log_connect();				before confinement, if confined
 *	log_say(SET_LOG_ERROR, "cannot listen on %s", path);
 *
 *	struct log_line l;
 *	log_line_init(&l);
 *	log_kv(&l, "msgid", msgid);	strangers' text: quoted, escaped, cut
 *	log_number(&l, "size", n);
 *	log_emit(SET_LOG_INFO, &l);
 *	log_line_release(&l);
 *
 * Nothing that a stranger sends can end a line, begin a field or move a
 * terminal's cursor: control characters, quotes, invalid UTF-8 and the marks
 * that turn the direction of text are escaped. Logging never fails; a target
 * that is gone is replaced by syslog.
 */
#ifndef LDA_LOG_H
#define LDA_LOG_H

#include <stdint.h>

#include "lda/settings.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

#define LOG_FIELDS_MAX 24
/* Bytes of one value, before escaping. */
#define LOG_VALUE_MAX 255
#define LOG_LINE_MAX 8192

enum log_kind { LOG_TEXT, LOG_WORD, LOG_NUMBER };

struct log_field {
	const char *key;
	enum log_kind kind;
	size_t at, n;		/* of the value in `values` */
};

struct log_line {
	struct log_field fields[LOG_FIELDS_MAX];
	size_t count;
	struct buf values;
};

/*
 * `program` and the settings' log_target stay borrowed. Until it is called,
 * lines go to syslog, facility mail.
 */
void log_open(const char *program, const struct settings *s);
/* Connects or opens the target now, for a process that will not be able to. */
void log_connect(void);
/* The same for a process that got an open target from its parent: those who write
 * to one open file wait for each other, asleep. What cannot be opened any more
 * stays shared. */
void log_own(void);
/* Opens a file anew, after its rotation; connects to the others again. */
void log_reopen(void);
void log_close(void);

void log_line_init(struct log_line *l);
void log_line_release(struct log_line *l);
/* Text from anywhere. Keys are ours: lower case, digits and `_', static. */
void log_kv(struct log_line *l, const char *key, struct str value);
/* A word of ours, not quoted: verdict=ok. */
void log_word(struct log_line *l, const char *key, const char *word);
void log_number(struct log_line *l, const char *key, uint64_t value);
void log_emit(enum setting_log_level level, const struct log_line *l);

/* A sentence of ours; what stands in for %s may be anybody's. */
void log_say(enum setting_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* What every door says of one recipient. Empty parts are left out. */
struct log_delivery {
	struct str msgid;
	struct str from;	/* envelope sender; empty is said as <> */
	struct str to;
	struct str orig_to;
	uint64_t size;
	const struct verdict *verdict;
	uint64_t delay_ms;
	struct str box;
	struct str actions;
	struct str content;	/* "reject", ... or "failed"; empty: no policy */
	struct str rule;	/* of the policy, and what it found: */
	struct str attachment;
	struct str type;
	struct str scan;	/* "clean", ...; empty: no scanner is asked */
	struct str found;
	const char *door;	/* "argv", "lmtp", ... */
	uint64_t session;	/* of the LMTP connection, 0: none */
};
void log_delivery(const struct log_delivery *d);

/* The line as it would be written; for tests and for -v. */
void log_render(enum setting_log_format format, enum setting_log_level level,
    const struct log_line *l, struct buf *out);
/* The datagram for the journal. */
void log_render_journal(enum setting_log_level level, const struct log_line *l,
    struct buf *out);

#endif
