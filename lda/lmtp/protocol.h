/*
 * LMTP (RFC 2033) as a function from bytes to replies and events. It owns no
 * descriptor, reads no clock, and grows no further than limits.h says, so
 * sockets, stdio, tests and the fuzzer call the same thing.
 *
 *	lmtp_init(&p, &config);
 *	lmtp_greet(&p);
 *	for (;;) {
 *		switch (lmtp_feed(&p, &in)) {	moves `in` forward
 *		case LMTP_MORE:   send p.out, read more into `in`
 *		case LMTP_SEND:   send p.out, call again
 *		case LMTP_MAIL:   judge p.mail, lmtp_answer()
 *		case LMTP_RCPT:   judge p.rcpt, lmtp_answer()
 *		case LMTP_BEGIN:  make a spool, lmtp_answer()
 *		case LMTP_BYTES:  spool p.bytes
 *		case LMTP_CHUNK:  lmtp_answer(): are the bytes so far kept?
 *		case LMTP_DELIVER: lmtp_answer() once for each recipient that
 *		                  was accepted, in the order of their RCPT
 *		case LMTP_ABORT:  forget sender, recipients and spool
 *		case LMTP_PEER:   p.peer has changed (XCLIENT, XFORWARD)
 *		case LMTP_STARTTLS: send p.out, shake hands, lmtp_secured()
 *		case LMTP_CLOSE:  send p.out, close
 *		}
 *	}
 *	lmtp_release(&p);
 *
 * Replies are appended to p.out; whoever sends them empties it. They may be
 * sent after each lmtp_answer(), so that a recipient learns its fate as
 * soon as it is known. The end of a transaction is LMTP_DELIVER (after its
 * last answer) or LMTP_ABORT; whatever the caller keeps for it ends there.
 */
#ifndef LDA_LMTP_PROTOCOL_H
#define LDA_LMTP_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "lda/lmtp/body.h"
#include "lda/lmtp/limits.h"
#include "lda/lmtp/path.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

enum lmtp_option {
	LMTP_OPT_TLS = 1,	/* STARTTLS can be had */
	LMTP_OPT_TRUSTED = 2,	/* XCLIENT and XFORWARD are believed */
};

struct lmtp_config {
	const char *hostname;	/* ours, in greeting and LHLO reply */
	uint64_t size_max;	/* bytes of a message, 0: any */
	unsigned rcpt_max;	/* accepted recipients per message */
	unsigned error_max;	/* protocol errors, then 421 */
	unsigned mail_max;	/* messages per connection, 0: any */
	unsigned options;	/* enum lmtp_option */
};

enum lmtp_event {
	LMTP_MORE,
	LMTP_SEND,
	LMTP_MAIL,
	LMTP_RCPT,
	LMTP_BEGIN,
	LMTP_BYTES,
	LMTP_CHUNK,
	LMTP_DELIVER,
	LMTP_ABORT,
	LMTP_PEER,
	LMTP_STARTTLS,
	LMTP_CLOSE,
};

enum lmtp_ret { LMTP_RET_UNSET, LMTP_RET_FULL, LMTP_RET_HDRS };

enum lmtp_notify {
	LMTP_NOTIFY_UNSET = 0,
	LMTP_NOTIFY_NEVER = 1,
	LMTP_NOTIFY_SUCCESS = 2,
	LMTP_NOTIFY_FAILURE = 4,
	LMTP_NOTIFY_DELAY = 8,
};

/* Valid until the next feed. */
struct lmtp_mail {
	struct lmtp_path path;
	uint64_t size;		/* declared, 0: not */
	bool eightbit;		/* BODY=8BITMIME */
	bool smtputf8;
	enum lmtp_ret ret;
	struct str envid;	/* decoded; "": none */
};

struct lmtp_rcpt {
	struct lmtp_path path;
	unsigned notify;	/* enum lmtp_notify */
	struct str orcpt_type;	/* "rfc822", "utf-8"; "": no ORCPT */
	struct str orcpt;	/* decoded */
};

/* What a trusted peer told of the client; "" where nothing. */
enum lmtp_peer_item {
	LMTP_PEER_NAME,
	LMTP_PEER_ADDR,
	LMTP_PEER_PORT,
	LMTP_PEER_PROTO,
	LMTP_PEER_HELO,
	LMTP_PEER_IDENT,
	LMTP_PEER_SOURCE,
	LMTP_PEER_LOGIN,
	LMTP_PEER_ITEMS
};

enum lmtp_state {
	LMTP_S_COMMAND,		/* reading a line */
	LMTP_S_LONG,		/* swallowing the rest of an over-long line */
	LMTP_S_DATA,		/* reading the message behind DATA */
	LMTP_S_BDAT,		/* reading a chunk */
	LMTP_S_SWALLOW,		/* reading a chunk that nobody wants */
	LMTP_S_REFUSE,		/* telling each recipient `refusal` */
	LMTP_S_CLOSED,
};

enum lmtp_wait {
	LMTP_W_NOTHING,
	LMTP_W_MAIL,
	LMTP_W_RCPT,
	LMTP_W_DATA,		/* LMTP_BEGIN for DATA */
	LMTP_W_BDAT,		/* LMTP_BEGIN for the first BDAT */
	LMTP_W_CHUNK,
	LMTP_W_DELIVER,
};

/* Read by callers: out, mail, rcpt, bytes, peer, helo, secure, accepted. */
struct lmtp {
	struct lmtp_config config;
	struct buf out;
	struct str bytes;
	struct lmtp_mail mail;
	struct lmtp_rcpt rcpt;
	char helo[LMTP_NAME_MAX + 1];
	char peer[LMTP_PEER_ITEMS][LMTP_NAME_MAX + 1];
	bool secure;		/* behind STARTTLS */
	unsigned accepted;	/* recipients of this transaction */

	enum lmtp_state state;
	enum lmtp_wait wait;
	enum lmtp_event pending; /* to be told next; LMTP_MORE: none */
	struct buf line;
	struct buf sender;	/* what the paths borrow from */
	struct buf recipient;
	struct buf envid;
	struct buf orcpt;
	struct lmtp_body body;
	bool in_mail;		/* MAIL was accepted */
	bool chunked;		/* BDAT was seen in this transaction */
	bool begun;		/* LMTP_BEGIN was told */
	bool refused;		/* the message is not kept, `refusal` says why */
	bool told;		/* a chunk was already answered with it */
	bool last;		/* the chunk being read ends the message */
	struct verdict refusal;
	uint64_t chunk_left;
	uint64_t chunk_size;
	uint64_t size;		/* bytes of the message so far */
	unsigned answered;	/* recipients answered behind the message */
	unsigned errors;
	unsigned mails;
	unsigned faults;	/* errors in all; the reader takes them away */
};

void lmtp_init(struct lmtp *p, const struct lmtp_config *config);
void lmtp_release(struct lmtp *p);
/* New limits for the messages to come (the configuration was read anew). */
void lmtp_reconfigure(struct lmtp *p, const struct lmtp_config *config);
/* "220 host LMTP ready" */
void lmtp_greet(struct lmtp *p);
/* The next event; not to be called while an answer is due. */
enum lmtp_event lmtp_feed(struct lmtp *p, struct str *in);
/* Answers the event told last. A reason of V_SHUTDOWN or one that closes
 * (421) ends the connection. */
void lmtp_answer(struct lmtp *p, const struct verdict *v);
/* The handshake is done: all is forgotten, LHLO must come again. */
void lmtp_secured(struct lmtp *p);
/* A last word before LMTP_CLOSE: "421 4.CODE host TEXT". */
void lmtp_goodbye(struct lmtp *p, const char *code, const char *text);
/* Between two transactions and lines: nobody is hurt by a goodbye. */
bool lmtp_idle(const struct lmtp *p);
/* "LMTP", "LMTPS", "UTF8LMTP" or "UTF8LMTPS" (RFC 3848, RFC 6531). */
const char *lmtp_with(const struct lmtp *p);

#endif
