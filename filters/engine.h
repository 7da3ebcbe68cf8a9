/*
 * What a filter engine offers: scripts and a message in, a bounded list of
 * actions out. It opens nothing, asks no clock and writes no log; what it
 * wants to know of the world it asks through struct engine_world, and what
 * is to happen stands in struct engine_result for others to carry out.
 *
 *	struct buf image;				once per script
 *	engine_native.compile(&settings, &script, &image, &errors);
 *
 *	struct engine_result r;				once per message
 *	engine_result_init(&r);
 *	engine_native.run(&job, &r);
 *	... r.actions[0 .. r.n_actions - 1] in order ...
 *	engine_result_release(&r);
 *
 * A result always has a plan: when a script is broken or fails at run time
 * the plan is a keep (RFC 5228 section 2.10.6) and r.errors says why.
 */
#ifndef FILTERS_ENGINE_H
#define FILTERS_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"

/* "Could not ask" is never "no": it ends the run with an error and a keep. */
enum engine_answer {
	ENGINE_NO,
	ENGINE_YES,
	ENGINE_BROKEN,
};

enum engine_location {
	ENGINE_PERSONAL,	/* the user's own scripts (RFC 6609) */
	ENGINE_GLOBAL,		/* the administrator's */
};

/* One script. The bytes belong to the caller and outlive the run. */
struct engine_script {
	struct str name;	/* for messages and for include */
	struct str text;
	struct str image;	/* from compile(), aligned to 8; n = 0: none.
				 * A foreign or old one is found out and the
				 * text is compiled instead */
	enum engine_location location;
};

/*
 * Questions to the world. Any of them may be NULL: the answer is then NO.
 * Answers go into `value`, which has a ceiling.
 */
struct engine_world {
	void *ctx;
	/* May mail be stored in this mailbox now? */
	enum engine_answer (*mailbox_exists)(void *ctx, struct str mailbox);
	/* RFC 9042; with YES the mailbox's name goes into value. */
	enum engine_answer (*mailbox_by_id)(void *ctx, struct str id,
	    struct buf *value);
	/* Has the mailbox (p NULL: any mailbox) this use, such as "\Junk"?
	 * With YES its name goes into value. */
	enum engine_answer (*special_use)(void *ctx, struct str mailbox,
	    struct str use, struct buf *value);
	/* RFC 5490; mailbox.p NULL: a server annotation. */
	enum engine_answer (*metadata)(void *ctx, struct str mailbox,
	    struct str annotation, struct buf *value);
	/* Was this key marked and has its period not run out? (RFC 7352) */
	enum engine_answer (*duplicate_seen)(void *ctx, struct str key);
	/* RFC 6134; is `value` in the list? Is there such a list? */
	enum engine_answer (*list_has)(void *ctx, struct str list,
	    struct str value);
	enum engine_answer (*list_known)(void *ctx, struct str list);
	/* RFC 5183; items the engine does not know itself. */
	enum engine_answer (*environment)(void *ctx, struct str item,
	    struct buf *value);
	/* RFC 6609; YES fills script_r (alive until the run ends). */
	enum engine_answer (*include)(void *ctx, enum engine_location location,
	    struct str name, struct engine_script *script_r);
};

/* What is attached, for a script that asks; looked at when it is asked first.
 * NULL from it: nobody can say. */
struct attachments;
struct engine_attachments {
	void *ctx;
	const struct attachments *(*list)(void *ctx);
};

enum engine_spam_type {
	ENGINE_SPAM_OFF,	/* not configured: "not tested" */
	ENGINE_SPAM_SCORE,	/* a number, maximum gives 10 */
	ENGINE_SPAM_STRLEN,	/* the length counts, as X-Spam-Level: ***** */
	ENGINE_SPAM_TEXT,	/* one of texts[0 .. 10] */
};

/* Where spamtest and virustest find what the scanner said. */
struct engine_spam {
	enum engine_spam_type type;
	struct str header;	/* name; may have ":REGEX" behind it, whose
				 * first group is the value */
	struct str max_header;	/* the same, for the maximum */
	double max;
	struct str texts[11];
};

struct engine_settings {
	/* "default", "all", or names with + and - relative to the default,
	 * divided by blanks or commas; a bare list is exactly that list. */
	struct str extensions;
	unsigned max_actions;		/* 0: limits.h */
	unsigned max_redirects;		/* likewise; UINT_MAX forbids redirect */
	struct str delimiter;		/* of user and detail, "+" when empty */
	int64_t vacation_min;		/* seconds; 0: one day */
	int64_t vacation_max;		/* 0: none but limits.h */
	int64_t vacation_default;	/* 0: seven days */
	int64_t duplicate_default;	/* 0: twelve hours */
	int64_t duplicate_max;		/* 0: two days */
	struct str protected_headers;	/* editheader: names, divided by
					 * blanks, besides those of limits.h */
	struct engine_spam spam;
	struct engine_spam virus;	/* 1 to 5 */
};

/* RFC 5321 addresses without < and >; the null sender is empty. */
struct engine_envelope {
	struct str from;
	struct str to;			/* final recipient, RCPT TO */
	struct str orig_to;		/* before aliases; may be empty */
	struct str auth;		/* MAIL AUTH=; p NULL: not given */
	struct str dsn_notify;		/* RCPT NOTIFY=; p NULL likewise */
	struct str dsn_orcpt;
	struct str dsn_ret;
	struct str dsn_envid;
	struct str by_mode;		/* RFC 2852: "N" or "R", perhaps with
					 * a "T" behind it */
	struct str by_time;		/* as given, decimal seconds */
};

struct engine_job {
	const struct engine_settings *settings;
	const struct engine_world *world;
	const struct engine_attachments *attachments;	/* may be NULL */
	const struct engine_script *scripts;	/* in order of execution:
						 * before, domain, user, after */
	size_t n_scripts;
	const struct engine_envelope *envelope;
	const struct str *addresses;	/* every address of the user's; the
					 * first is the one to answer as */
	size_t n_addresses;
	struct str message;		/* header, empty line, body; LF or CRLF */
	struct str user;		/* login name, for ${env.vnd...} */
	struct str host;		/* our name, for environment "host" */
	time_t now;
	int zone;			/* local time is UTC + this many minutes */
	bool trace;			/* fill result.trace */
};

enum engine_act {
	ENGINE_KEEP,		/* into INBOX */
	ENGINE_FILEINTO,
	ENGINE_REDIRECT,
	ENGINE_REJECT,		/* by SMTP reply, or by MDN where that cannot be */
	ENGINE_EREJECT,		/* by SMTP reply */
	ENGINE_DISCARD,		/* nothing to do; said for the log */
	ENGINE_VACATION,
	ENGINE_NOTIFY,
	ENGINE_MARK,		/* duplicate: remember `key` once all is done */
	ENGINE_ACT_COUNT
};

enum engine_action_flag {
	ENGINE_F_IMPLICIT = 1 << 0,	/* keep: nobody asked for it */
	ENGINE_F_FLAGS = 1 << 1,	/* flags are given, perhaps none */
	ENGINE_F_CREATE = 1 << 2,	/* make a missing mailbox */
	ENGINE_F_COPY = 1 << 3,		/* told with :copy */
	ENGINE_F_MIME = 1 << 4,		/* vacation: reason is a MIME entity */
	ENGINE_F_LIST = 1 << 5,		/* redirect: address names a list */
	ENGINE_F_FCC = 1 << 6,		/* fcc_* hold where to file the copy */
	ENGINE_F_FCC_CREATE = 1 << 7,
	ENGINE_F_BYTRACE = 1 << 8,	/* redirect :bytrace */
	ENGINE_F_BYMODE_RETURN = 1 << 9,
	ENGINE_F_BYTIME = 1 << 10,	/* by_seconds is given */
	ENGINE_F_LAST = 1 << 11,	/* mark: counts from the last sighting */
	ENGINE_F_AT_ERROR = 1 << 12,	/* keep: because of an error */
};

/* One step of the plan. Strings not in use are empty. */
struct engine_action {
	enum engine_act kind;
	unsigned flags;
	struct str script;		/* who asked, for log and explain */
	unsigned line;
	unsigned edition;		/* index into result.editions: the
					 * header as it was at that moment */
	struct str mailbox;		/* fileinto: UTF-8; "INBOX" is a keep */
	struct str special_use;		/* go where this use is, else mailbox */
	struct str mailbox_id;		/* go where this id is, else mailbox */
	struct str imap_flags;		/* divided by blanks, none twice */
	struct str address;		/* redirect, vacation: to whom */
	struct str notify;		/* redirect: DSN NOTIFY=, RET= */
	struct str ret;
	int64_t by_seconds;
	struct str reason;		/* reject, vacation, notify: the text */
	struct str subject;		/* vacation, notify: UTF-8, complete */
	struct str from;		/* vacation, notify: empty: the user */
	struct str key;			/* vacation: what is answered once per
					 * period; mark: what to remember */
	int64_t seconds;		/* vacation, mark: the period; 0 is
					 * "every time" */
	struct str in_reply_to;		/* vacation: ids for the header */
	struct str references;
	struct str method;		/* notify: the URI as given */
	struct str headers;		/* notify: fields from a mailto URI,
					 * "Name: value\n" each, UTF-8 */
	const struct str *to;		/* notify: addresses to send to */
	size_t n_to;
	size_t n_cc;			/* the last of them are copied only */
	int importance;			/* notify: 1, 2 or 3 */
	struct str fcc;			/* where the answer is filed */
	struct str fcc_flags;
	struct str fcc_special_use;
	struct str fcc_mailbox_id;
};

struct engine_error {
	struct str script;
	unsigned line;		/* from 1; 0: not known */
	unsigned column;
	struct str text;	/* one line, no control characters */
	bool warning;
};

/* A stretch of a body that a script has made (RFC 5703 replace, enclose). */
struct engine_piece {
	struct str text;	/* p NULL: bytes of the message as it came, */
	uint64_t back;		/* from so far before its end */
	uint64_t n;
};

struct engine_body {
	struct engine_piece *pieces;
	size_t n_pieces;	/* 0: the message's own body */
};

/* Bytes of all pieces of one body, and their number. */
#define ENGINE_BODY_MAX (16u * 1024 * 1024)
#define ENGINE_PIECES_MAX 200

#define ENGINE_ERRORS 16	/* the rest is counted only */

struct engine_errors {
	struct arena arena;
	struct engine_error list[ENGINE_ERRORS];
	size_t n;		/* entries of list, warnings too */
	size_t count;		/* errors, warnings not counted */
};

struct engine_result {
	struct arena arena;	/* everything below lives here */
	struct engine_action *actions;
	size_t n_actions;
	struct str *editions;	/* header block with its empty line; [0] is
				 * the message's own */
	struct engine_body *bodies;	/* what stands behind each of them; NULL:
				 * the message's own body */
	size_t n_editions;
	bool edited;		/* some action uses an edition above 0 */
	struct engine_errors errors;	/* run time and compiling */
	struct buf trace;	/* lines for `explain` */
	uint64_t work;		/* units of limits.h that were used */
};

enum engine_trust {
	ENGINE_TRUSTED,		/* ours: one process for many messages */
	ENGINE_DISTRUSTED,	/* a message may spoil it for the next, or worse:
				 * in a cage, and for one message, only */
};

struct engine {
	const char *name;
	enum engine_trust trust;
	/* Loads what it needs, while files may still be opened; again does no
	 * harm. 0, or -1 with why; then run() says so and keeps. May be NULL. */
	int (*load)(const char **why_r);
	/*
	 * Compiles and checks one script. 0 and the image (for a cache; only
	 * ever read back by the same version) or -1 and errors.
	 */
	int (*compile)(const struct engine_settings *settings,
	    const struct engine_script *script, struct buf *image_r,
	    struct engine_errors *errors);
	/* 0, or -1 when an error made the plan a keep. The plan is there in
	 * both cases. */
	int (*run)(const struct engine_job *job, struct engine_result *r);
	/* Names of the extensions that the settings allow, divided by blanks:
	 * for ManageSieve and `vboxadm sieve extensions`. */
	void (*extensions)(const struct engine_settings *settings,
	    struct buf *out);
};

extern const struct engine engine_native;
/* The library libsieve (libsieve.c): a subset, and not to be trusted. */
extern const struct engine engine_libsieve;

void engine_errors_init(struct engine_errors *e);
void engine_errors_release(struct engine_errors *e);
/* Adds one; `text` is cut and cleaned of control characters. Returns -1. */
int engine_errors_add(struct engine_errors *e, struct str script,
    unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
int engine_errors_warn(struct engine_errors *e, struct str script,
    unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

void engine_result_init(struct engine_result *r);
void engine_result_release(struct engine_result *r);

#endif
