#include "lda/lmtp/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "filters/message/utf8.h"
#include "lda/lmtp/protocol_i.h"

void
lmtp_init(struct lmtp *p, const struct lmtp_config *config)
{
	memset(p, 0, sizeof(*p));
	p->config = *config;
	buf_init(&p->out, LMTP_OUT_MAX);
	buf_init(&p->line, LMTP_LINE_MAX);
	buf_init(&p->sender, LMTP_LINE_MAX);
	buf_init(&p->recipient, LMTP_LINE_MAX);
	buf_init(&p->envid, LMTP_ENVID_MAX);
	buf_init(&p->orcpt, LMTP_ORCPT_MAX);
}

void
lmtp_release(struct lmtp *p)
{
	buf_release(&p->out);
	buf_release(&p->line);
	buf_release(&p->sender);
	buf_release(&p->recipient);
	buf_release(&p->envid);
	buf_release(&p->orcpt);
}

void
lmtp_reconfigure(struct lmtp *p, const struct lmtp_config *config)
{
	p->config = *config;
}

/* One line of a reply; `mark` is ' ' for the last one, else '-'. */
static void
reply_line(struct lmtp *p, int reply, char mark, const char *code,
    struct str text)
{
	const char digits[] = { (char)('0' + reply / 100 % 10),
	    (char)('0' + reply / 10 % 10), (char)('0' + reply % 10), mark };

	/* A full buffer shows in lmtp_feed. */
	(void)buf_add(&p->out, digits, sizeof(digits));
	(void)buf_addz(&p->out, code);
	if (*code)
		(void)buf_addc(&p->out, ' ');
	(void)buf_adds(&p->out, text);
	(void)buf_add(&p->out, "\r\n", 2);
}

void
lmtp_reply(struct lmtp *p, int reply, const char *code, const char *text)
{
	reply_line(p, reply, ' ', code, str_of(text));
}

void
lmtp_greet(struct lmtp *p)
{
	(void)buf_addf(&p->out, "220 %s LMTP ready\r\n", p->config.hostname);
}

void
lmtp_goodbye(struct lmtp *p, const char *code, const char *text)
{
	(void)buf_addf(&p->out, "421 4.%s %s %s\r\n", code, p->config.hostname,
	    text);
	p->state = LMTP_S_CLOSED;
	p->wait = LMTP_W_NOTHING;
	p->pending = LMTP_MORE;
}

void
lmtp_error(struct lmtp *p, int reply, const char *code, const char *text)
{
	p->faults++;
	if (++p->errors > p->config.error_max)
		lmtp_goodbye(p, "7.0", "Too many errors");
	else
		lmtp_reply(p, reply, code, text);
}

/* The end of a transaction, told or not. */
static void
forget(struct lmtp *p)
{
	p->in_mail = false;
	p->chunked = false;
	p->begun = false;
	p->refused = false;
	p->told = false;
	p->last = false;
	p->accepted = 0;
	p->answered = 0;
	p->size = 0;
}

void
lmtp_drop(struct lmtp *p)
{
	if (p->in_mail)
		p->pending = LMTP_ABORT;
	forget(p);
}

void
lmtp_secured(struct lmtp *p)
{
	forget(p);
	p->secure = true;
	p->helo[0] = '\0';
	memset(p->peer, 0, sizeof(p->peer));
	buf_reset(&p->line);
}

bool
lmtp_idle(const struct lmtp *p)
{
	return p->state == LMTP_S_COMMAND && !p->in_mail && p->line.n == 0 &&
	    p->wait == LMTP_W_NOTHING;
}

const char *
lmtp_with(const struct lmtp *p)
{
	if (p->mail.smtputf8)
		return p->secure ? "UTF8LMTPS" : "UTF8LMTP";
	return p->secure ? "LMTPS" : "LMTP";
}

/* --- lines ----------------------------------------------------------------- */

/* True when a whole line is in p->line, its CRLF taken away. A bare CR or
 * LF stays in it and makes it invalid: to take it for an end would let a
 * line break in an address become a command. */
static bool
read_line(struct lmtp *p, struct str *in)
{
	ptrdiff_t at;
	size_t n;

	while (in->n) {
		at = str_chr(*in, '\n');
		n = at < 0 ? in->n : (size_t)at + 1;
		if (p->state == LMTP_S_COMMAND &&
		    buf_add(&p->line, in->p, n) < 0)
			p->state = LMTP_S_LONG;
		if (p->state == LMTP_S_LONG) {
			/* The last two bytes are enough to find the end. */
			char before = n >= 2 ? in->p[n - 2] :
			    p->line.n ? p->line.p[p->line.n - 1] : '\0';
			char last = in->p[n - 1];

			buf_reset(&p->line);
			(void)buf_addc(&p->line, last); /* empty: it fits */
			*in = str_sub(*in, n, in->n);
			if (before == '\r' && last == '\n')
				return true;
			continue;
		}
		*in = str_sub(*in, n, in->n);
		if (p->line.n >= 2 && p->line.p[p->line.n - 1] == '\n' &&
		    p->line.p[p->line.n - 2] == '\r')
			return true;
	}
	return false;
}

static void
line_done(struct lmtp *p)
{
	struct str line = str_sub(buf_str(&p->line), 0, p->line.n - 2);

	if (p->state == LMTP_S_LONG) {
		p->state = LMTP_S_COMMAND;
		lmtp_error(p, 500, "5.5.2", "Line too long");
	} else if (str_chr(line, '\r') >= 0 || str_chr(line, '\n') >= 0) {
		lmtp_error(p, 500, "5.5.2", "Bare CR or LF in a command");
	} else if (str_chr(line, '\0') >= 0) {
		lmtp_error(p, 500, "5.5.2", "NUL in a command");
	} else {
		lmtp_command(p, line);
	}
	buf_reset(&p->line);
}

/* --- messages -------------------------------------------------------------- */

/* ASCII of a line: a '?' for each other character. The number of those. */
static size_t
to_ascii(struct str line, struct buf *out)
{
	size_t lost = 0;

	while (line.n) {
		uint32_t c = utf8_next(&line);

		lost += c >= 0x80;
		(void)buf_addc(out, c < 0x80 ? (char)c : '?');
	}
	return lost;
}

/*
 * A reply is ASCII unless the client said SMTPUTF8 (RFC 6531 section 3.7.4.2,
 * RFC 5429 section 2.1.1): each other character of a script's reason becomes a
 * '?', and when that is most of it, it would tell nothing. The lines of a
 * reason are lines of the reply (section 2.5).
 */
static void
reply_as(struct lmtp *p, int reply, const struct verdict *v)
{
	struct str text = str_of(verdict_text(v)), line;
	bool ascii = !p->mail.smtputf8 && !utf8_is_ascii(text), more;
	char room[VERDICT_TEXT];
	struct buf b;
	size_t lost;

	buf_init_in(&b, room, sizeof(room));
	lost = ascii ? to_ascii(text, &b) : 0;
	if (ascii && 2 * lost >= b.n) {
		lmtp_reply(p, reply, verdict_code(v),
		    "Refused by the recipient");
		return;
	}
	more = verdict_line(v, 0, &line);
	for (size_t i = 1; more; i++) {
		buf_reset(&b);
		if (ascii)
			(void)to_ascii(line, &b);
		else
			(void)buf_adds(&b, line);
		more = verdict_line(v, i, &line);
		reply_line(p, reply, more ? '-' : ' ', verdict_code(v),
		    buf_str(&b));
	}
}

static void
reply_verdict(struct lmtp *p, const struct verdict *v)
{
	reply_as(p, verdict_reply(v), v);
}

/* The same behind a message, where a 421 would close and so take the other
 * recipients with it. */
static void
reply_delivered(struct lmtp *p, const struct verdict *v)
{
	reply_as(p, verdict_reply(v) == 421 ? 451 : verdict_reply(v), v);
}

static void
refuse(struct lmtp *p, const struct verdict *v)
{
	p->refused = true;
	p->refusal = *v;
}

/* Counts; false when the bytes are not kept. */
static bool
counted(struct lmtp *p, size_t n)
{
	struct verdict v;

	if (p->refused)
		return false;
	if (p->config.size_max && (n > p->config.size_max ||
	    p->size > p->config.size_max - n)) {
		verdict_set(&v, V_TOO_BIG, "more than %llu bytes",
		    (unsigned long long)p->config.size_max);
		refuse(p, &v);
		return false;
	}
	p->size += n;
	return true;
}

/* The whole message was read: somebody delivers it, or nobody. */
static enum lmtp_event
message_done(struct lmtp *p)
{
	if (p->refused) {
		p->state = LMTP_S_REFUSE;
		return LMTP_SEND;
	}
	p->state = LMTP_S_COMMAND;
	p->wait = LMTP_W_DELIVER;
	return LMTP_DELIVER;
}

/* One reply for each recipient: the client waits for as many. */
static enum lmtp_event
next_refusal(struct lmtp *p)
{
	if (p->answered < p->accepted) {
		reply_delivered(p, &p->refusal);
		p->answered++;
		return LMTP_SEND;
	}
	p->state = LMTP_S_COMMAND;
	lmtp_drop(p);
	return LMTP_SEND;
}

static enum lmtp_event
feed_data(struct lmtp *p, struct str *in)
{
	while (in->n) {
		if (lmtp_body_feed(&p->body, in, &p->bytes))
			return message_done(p);
		if (p->bytes.n && counted(p, p->bytes.n))
			return LMTP_BYTES;
	}
	return LMTP_MORE;
}

static enum lmtp_event
chunk_done(struct lmtp *p)
{
	if (p->last)
		return message_done(p);
	p->state = LMTP_S_COMMAND;
	if (p->refused) {
		/* Behind a refused chunk only RSET makes sense, but a client
		 * that pipelines has sent more already. */
		if (p->told)
			lmtp_reply(p, 503, "5.5.1", "RSET first");
		else
			reply_verdict(p, &p->refusal);
		p->told = true;
		return LMTP_SEND;
	}
	p->wait = LMTP_W_CHUNK;
	return LMTP_CHUNK;
}

static struct str
take_chunk(struct lmtp *p, struct str *in)
{
	struct str piece = *in;

	if (piece.n > p->chunk_left)
		piece.n = (size_t)p->chunk_left;
	p->chunk_left -= piece.n;
	*in = str_sub(*in, piece.n, in->n);
	return piece;
}

static enum lmtp_event
feed_chunk(struct lmtp *p, struct str *in)
{
	if (p->chunk_left == 0)
		return chunk_done(p);
	if (in->n == 0)
		return LMTP_MORE;
	p->bytes = take_chunk(p, in);
	return counted(p, p->bytes.n) ? LMTP_BYTES : LMTP_SEND;
}

static enum lmtp_event
feed_swallow(struct lmtp *p, struct str *in)
{
	(void)take_chunk(p, in); /* nobody wants it */
	if (p->chunk_left)
		return LMTP_MORE;
	p->state = LMTP_S_COMMAND;
	lmtp_reply(p, 503, "5.5.1", p->in_mail ?
	    "No valid recipient" : "MAIL first");
	return LMTP_SEND;
}

/* --- in and out ------------------------------------------------------------ */

static enum lmtp_event
next(struct lmtp *p, struct str *in)
{
	switch (p->state) {
	case LMTP_S_DATA:
		return feed_data(p, in);
	case LMTP_S_BDAT:
		return feed_chunk(p, in);
	case LMTP_S_SWALLOW:
		return feed_swallow(p, in);
	case LMTP_S_REFUSE:
		return next_refusal(p);
	case LMTP_S_CLOSED:
		return LMTP_CLOSE;
	case LMTP_S_COMMAND:
	case LMTP_S_LONG:
		if (!read_line(p, in))
			return LMTP_MORE;
		line_done(p);
		return LMTP_SEND;
	}
	abort();
}

enum lmtp_event
lmtp_feed(struct lmtp *p, struct str *in)
{
	enum lmtp_event event;

	if (p->wait != LMTP_W_NOTHING)
		abort();	/* the caller owes an answer */
	if (p->out.full)
		return LMTP_CLOSE; /* a reply is missing: say nothing more */
	for (;;) {
		if (p->pending != LMTP_MORE) {
			event = p->pending;
			p->pending = LMTP_MORE;
			if (event == LMTP_STARTTLS)
				/* CVE-2021-33515: nothing that came in clear
				 * is heard behind the handshake. */
				*in = str_sub(*in, in->n, 0);
			return event;
		}
		if (p->state != LMTP_S_CLOSED && p->out.n >= LMTP_OUT_SEND)
			return LMTP_SEND;
		event = next(p, in);
		if (event != LMTP_SEND)
			return event;
	}
}

/* --- answers --------------------------------------------------------------- */

static void
answer_mail(struct lmtp *p, const struct verdict *v)
{
	if (verdict_kind(v) == VERDICT_DONE) {
		p->in_mail = true;
		p->mails++;
		lmtp_reply(p, 250, "2.1.0", "Sender OK");
	} else {
		reply_verdict(p, v);
	}
}

static void
answer_rcpt(struct lmtp *p, const struct verdict *v)
{
	if (verdict_kind(v) == VERDICT_DONE) {
		p->accepted++;
		lmtp_reply(p, 250, "2.1.5", "Recipient OK");
	} else {
		reply_verdict(p, v);
	}
}

static void
answer_begin(struct lmtp *p, enum lmtp_wait what, const struct verdict *v)
{
	if (verdict_kind(v) == VERDICT_DONE) {
		p->begun = true;
		if (what == LMTP_W_BDAT) {
			p->state = LMTP_S_BDAT;
			return;
		}
		lmtp_body_init(&p->body);
		p->state = LMTP_S_DATA;
		lmtp_reply(p, 354, "", "Send the message, end with CRLF.CRLF");
		return;
	}
	if (what == LMTP_W_DATA) {
		reply_verdict(p, v);
		lmtp_drop(p);
		return;
	}
	/* The octets of the chunk come whatever we say. */
	p->state = LMTP_S_BDAT;
	refuse(p, v);
}

static void
answer_deliver(struct lmtp *p, const struct verdict *v)
{
	reply_delivered(p, v);
	if (++p->answered < p->accepted)
		p->wait = LMTP_W_DELIVER;
	else {
		p->errors = 0;
		forget(p);
	}
}

void
lmtp_answer(struct lmtp *p, const struct verdict *v)
{
	enum lmtp_wait what = p->wait;

	p->wait = LMTP_W_NOTHING;
	switch (what) {
	case LMTP_W_MAIL:
		answer_mail(p, v);
		break;
	case LMTP_W_RCPT:
		answer_rcpt(p, v);
		break;
	case LMTP_W_DATA:
	case LMTP_W_BDAT:
		answer_begin(p, what, v);
		break;
	case LMTP_W_CHUNK:
		if (verdict_kind(v) == VERDICT_DONE) {
			lmtp_reply(p, 250, "2.0.0", "Chunk taken");
		} else {
			refuse(p, v);
			p->told = true;
			reply_verdict(p, v);
		}
		break;
	case LMTP_W_DELIVER:
		answer_deliver(p, v);
		return;
	case LMTP_W_NOTHING:
		abort();	/* nothing was asked */
	}
	if (verdict_reply(v) == 421 && what != LMTP_W_BDAT)
		p->state = LMTP_S_CLOSED;
}
