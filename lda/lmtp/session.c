#include "lda/lmtp/session.h"

#include <stdlib.h>
#include <string.h>

#include "lda/lmtp/protocol.h"
#include "lda/lmtp/transaction.h"
#include "lda/metrics.h"
#include "lda/report.h"
#include "store/base/clock.h"

/* One read from the client. */
#define READ_PIECE 65536
/* A client that sends a message slower than this, in bytes per second, is
 * cut off once data_timeout is over: a slow network makes ten times as much,
 * and slowloris counts on our patience. */
#define SLOWEST 1024
/* Protocol mistakes that one connection may make. */
#define ERRORS_MAX 20
/* A retiring process hangs up on a client that is quiet for so long. */
#define RETIRE_MS 5000

struct session {
	const struct session_site *site;
	const struct settings *settings;
	struct wire *wire;
	struct lmtp lmtp;
	struct transaction t;
	char input[READ_PIECE];
	bool gone;			/* the peer takes no replies any more */
	bool in_body;
	int64_t since_ms;		/* began to wait for this line or message */
	uint64_t body_bytes;
};

static void
send_out(struct session *s)
{
	struct str out = buf_str(&s->lmtp.out);

	if (!s->gone && out.n && wire_write(s->wire, out, clock_mono_ms() +
	    (int64_t)s->settings->command_timeout) != WIRE_OK)
		s->gone = true;
	buf_reset(&s->lmtp.out);
	if (s->lmtp.faults)
		metrics_add(METRIC_PROTOCOL_ERRORS, s->lmtp.faults);
	s->lmtp.faults = 0;
}

/* What goes without waiting. */
static void
send_some(struct session *s)
{
	struct buf *out = &s->lmtp.out;
	size_t n = s->gone ? 0 : wire_try(s->wire, buf_str(out));

	memmove(out->p, out->p + n, out->n - n);
	buf_cut(out, out->n - n);
}

/* Each recipient learns its fate as soon as it is known. A client that hung
 * up is no reason to stop: it will send the message again, but whoever got
 * it has it. */
static void
answer_one(void *arg, const struct verdict *v)
{
	struct session *s = arg;

	if (!v) {
		send_out(s);
		return;
	}
	lmtp_answer(&s->lmtp, v);
	send_some(s);
	/* A reply that has no room is lost: then a mailbox waits. */
	if (s->lmtp.out.n > LMTP_OUT_MAX / 2)
		send_out(s);
}

/* --- waiting for the client ------------------------------------------------- */

static int64_t
patience(const struct session *s)
{
	if (s->in_body)
		return (int64_t)s->settings->data_timeout +
		    (int64_t)(s->body_bytes / SLOWEST) * 1000;
	return lmtp_idle(&s->lmtp) ? (int64_t)s->settings->idle_timeout :
	    (int64_t)s->settings->command_timeout;
}

static enum session_order
order(const struct session *s)
{
	return s->site->order ? s->site->order() : SESSION_GO_ON;
}

/* Has it been decided that this connection ends here? */
static bool
dismissed(struct session *s, int64_t *deadline)
{
	bool idle = lmtp_idle(&s->lmtp);

	switch (order(s)) {
	case SESSION_GO_ON:
		return false;
	case SESSION_RETIRE:
		if (!idle)
			return false;
		if (*deadline > s->since_ms + RETIRE_MS)
			*deadline = s->since_ms + RETIRE_MS;
		return false;
	case SESSION_STOP:
		return idle;
	case SESSION_STOP_NOW:
		break;
	}
	return true;
}

/* Waits for bytes; false when the connection ends, with its last word in
 * the buffer. */
static bool
more(struct session *s, struct str *in)
{
	int64_t deadline;
	size_t got;

	for (;;) {
		deadline = s->since_ms + patience(s);
		if (dismissed(s, &deadline)) {
			lmtp_goodbye(&s->lmtp, "3.2", "Service is stopping");
			return false;
		}
		switch (wire_read(s->wire, s->input, sizeof(s->input),
		    deadline, &got)) {
		case WIRE_OK:
			*in = str_mem(s->input, got);
			if (s->in_body)
				s->body_bytes += got;
			return true;
		case WIRE_END:
			s->gone = true;
			return false;
		case WIRE_SIGNAL:
			break;
		case WIRE_TIMEOUT:
			if (order(s) == SESSION_RETIRE) {
				lmtp_goodbye(&s->lmtp, "3.2",
				    "Service is reloading");
			} else {
				metrics_add(METRIC_TIMEOUTS, 1);
				lmtp_goodbye(&s->lmtp, "4.2",
				    "Timeout, closing");
			}
			return false;
		}
	}
}

/* The clock of slowloris runs from the first byte that we wait for, not from
 * the last that came. */
static void
restart_clock(struct session *s, bool in_body)
{
	s->since_ms = clock_mono_ms();
	s->in_body = in_body;
	s->body_bytes = 0;
}

/* --- events ------------------------------------------------------------------ */

static void
on_mail(struct session *s)
{
	struct verdict v;

	verdict_init(&v);
	(void)transaction_mail(&s->t, &s->lmtp, &v); /* v says it */
	lmtp_answer(&s->lmtp, &v);
}

static void
on_rcpt(struct session *s)
{
	struct verdict v;

	verdict_init(&v);
	(void)transaction_rcpt(&s->t, &s->lmtp, &v);
	metrics_add(v.why == V_OK ? METRIC_RECIPIENTS_OK :
	    verdict_kind(&v) == VERDICT_REFUSED ? METRIC_RECIPIENTS_REFUSED :
	    METRIC_RECIPIENTS_LATER, 1);
	lmtp_answer(&s->lmtp, &v);
}

static void
on_begin(struct session *s)
{
	struct verdict v;

	verdict_ok(&v, "go on");
	lmtp_answer(&s->lmtp, &v);
	restart_clock(s, true);
}

static void
on_chunk(struct session *s)
{
	struct verdict v = VERDICT_INIT;

	(void)transaction_kept(&s->t, &v);
	lmtp_answer(&s->lmtp, &v);
}

static void
on_deliver(struct session *s)
{
	/* What was said before must not wait for a mailbox. */
	send_out(s);
	transaction_deliver(&s->t, answer_one, s);
	transaction_reset(&s->t);
	restart_clock(s, false);
}

static bool
on_starttls(struct session *s)
{
	send_out(s);
	if (s->gone || s->site->secure(s->wire, clock_mono_ms() +
	    (int64_t)s->settings->command_timeout) < 0) {
		s->gone = true;
		return false;
	}
	lmtp_secured(&s->lmtp);
	restart_clock(s, false);
	return true;
}

static void
talk(struct session *s)
{
	struct str in = STR("");

	for (;;) {
		switch (lmtp_feed(&s->lmtp, &in)) {
		case LMTP_MORE:
			send_out(s);
			if (s->gone)
				return;
			if (!s->in_body && s->lmtp.line.n == 0)
				restart_clock(s, false);
			if (!more(s, &in))
				return;
			break;
		case LMTP_SEND:
			send_out(s);
			if (s->gone)
				return;
			break;
		case LMTP_MAIL:
			on_mail(s);
			break;
		case LMTP_RCPT:
			on_rcpt(s);
			break;
		case LMTP_BEGIN:
			on_begin(s);
			break;
		case LMTP_BYTES:
			transaction_bytes(&s->t, s->lmtp.bytes);
			break;
		case LMTP_CHUNK:
			on_chunk(s);
			break;
		case LMTP_DELIVER:
			on_deliver(s);
			break;
		case LMTP_ABORT:
			transaction_reset(&s->t);
			restart_clock(s, false);
			break;
		case LMTP_PEER:
			break;
		case LMTP_STARTTLS:
			if (!on_starttls(s))
				return;
			break;
		case LMTP_CLOSE:
			return;
		}
	}
}

void
session_serve(const struct session_site *site, struct wire *w,
    const char *client, enum session_trust trust)
{
	const struct settings *set = &site->agent->config->global;
	const struct lmtp_config config = {
		.hostname = site->agent->hostname,
		.size_max = set->message_size_limit,
		.rcpt_max = (unsigned)set->max_recipients,
		.error_max = ERRORS_MAX,
		.options = (site->secure ? LMTP_OPT_TLS : 0u) |
		    (trust == SESSION_TRUSTED ? LMTP_OPT_TRUSTED : 0u),
	};
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return;		/* the peer sees the connection close */
	s->site = site;
	s->settings = set;
	s->wire = w;
	lmtp_init(&s->lmtp, &config);
	transaction_init(&s->t, site);
	s->t.client = str_of(client);
	lmtp_greet(&s->lmtp);
	restart_clock(s, false);
	talk(s);
	send_out(s);
	transaction_release(&s->t);
	lmtp_release(&s->lmtp);
	free(s);
}
