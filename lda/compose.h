/*
 * The messages that we write ourselves: vacation answers, refusals that the
 * sender must read as a message, notices. Each function adds one whole
 * message to `out` (LF line ends, lines of at most 998 bytes, header folded)
 * and returns 0, or -1 when it does not fit. What was given may hold
 * anything: line breaks and control characters never reach a header.
 *
 * Who calls decides whether an answer may be sent at all (never to the null
 * sender); vacation and reject go out with the null sender (RFC 3834
 * section 3.3, RFC 8098 section 2.1).
 */
#ifndef LDA_COMPOSE_H
#define LDA_COMPOSE_H

#include <stdbool.h>
#include <time.h>

#include "filters/engine.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* A ceiling for `out` that every message of ours keeps. */
#define COMPOSE_MAX (4 * 1024 * 1024)
/* Of the original's header in a refusal. */
#define COMPOSE_ORIGINAL_MAX 32768

/* What all of them need. */
struct compose {
	struct str hostname;	/* of the Message-ID */
	struct str postmaster;	/* whole address */
	struct str user;	/* whole address of the account: who answers,
				 * who is notified */
	time_t now;
};

/* RFC 5230 section 5: subject, reason, from, address, in_reply_to,
 * references and ENGINE_F_MIME of the action are used. */
int compose_vacation(const struct compose *c, const struct engine_action *a,
    struct buf *out);

/* RFC 5429 section 2.2.1, as a message disposition notification (RFC 8098). */
struct compose_refused {
	struct str to;		/* envelope sender of the message */
	struct str recipient;	/* who refuses */
	struct str original;	/* ORCPT, "rfc822;a@b" or an address; or empty */
	struct str reason;	/* UTF-8 */
	struct str header;	/* of the message, as it came */
	struct str message_id;	/* empty: not known */
	struct str subject;	/* decoded; may be empty */
};
int compose_reject(const struct compose *c, const struct compose_refused *r,
    struct buf *out);

/* RFC 5436 section 2.7: from, to, subject, reason, headers, importance. */
int compose_notify(const struct compose *c, const struct engine_action *a,
    struct buf *out);

/* A line to the user: the script is broken. `errors` is shown, whatever it
 * holds (V3). */
int compose_script_notice(const struct compose *c,
    const struct engine_errors *errors, struct buf *out);

/*
 * A quota warning. The template is header fields, an empty line, a body, all
 * UTF-8; %u account, %p percent, %s used, %l limit, %% a percent sign. From,
 * To, Date and the like are added when it has none. Empty: our own words.
 */
struct compose_quota {
	struct str template;
	unsigned percent;
	struct str used, limit;	/* as people read them: "910 MB" */
};
int compose_quota(const struct compose *c, const struct compose_quota *q,
    struct buf *out);

/* Has the header bytes that are not ASCII (addresses of RFC 6531), so that it
 * needs SMTPUTF8 on its way? */
bool compose_needs_utf8(struct str message);

#endif
