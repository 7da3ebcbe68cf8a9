/* LMTP as a function: each dialogue is fed whole and in pieces of every
 * size, and must say and do the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lda/lmtp/param.h"
#include "lda/lmtp/protocol.h"

#define SIZE_MAX_HERE 1000

/*
 * What happened, in short: replies as "250 2.1.0;" (greeting and LHLO lines
 * without a code as "250;"), events in brackets, the message in braces.
 * Recipients whose local part begins with "no" are unknown, with "full" full
 * behind the message; a sender "later" is put off.
 */
struct run {
	struct lmtp p;
	struct buf log;
	struct buf body;
	char rcpt[2000][16];
	unsigned rcpts;
};

static void
log_replies(struct run *r)
{
	struct str rest = buf_str(&r->p.out), line;
	size_t n;

	while (str_split(&rest, '\n', &line) && line.n) {
		assert_true(str_ends(line, STR("\r")));
		assert_true(line.n > 4 && ascii_isdigit(line.p[0]));
		n = 3;
		if (line.n > 8 && line.p[5] == '.' && line.p[7] == '.') {
			assert_int_equal(line.p[4], line.p[0]);
			n = 9;
		}
		buf_adds(&r->log, str_sub(line, 0, n));
		buf_addc(&r->log, ';');
	}
	buf_reset(&r->p.out);
}

static void
answer(struct run *r, enum verdict_why why)
{
	struct verdict v = VERDICT_INIT;

	verdict_set(&v, why, "x");
	lmtp_answer(&r->p, &v);
	log_replies(r);
}

static void
rcpt_event(struct run *r)
{
	const struct lmtp_rcpt *rcpt = &r->p.rcpt;
	struct str local = str_mem(rcpt->path.local, rcpt->path.local_n);

	buf_addz(&r->log, "[to ");
	buf_adds(&r->log, rcpt->path.text);
	if (rcpt->orcpt_type.n) {
		buf_addc(&r->log, ' ');
		buf_adds(&r->log, rcpt->orcpt);
	}
	if (rcpt->notify)
		buf_addf(&r->log, " n%u", rcpt->notify);
	buf_addz(&r->log, "]");
	if (str_starts(local, STR("no"))) {
		answer(r, V_UNKNOWN_USER);
		return;
	}
	if (str_starts(local, STR("shut"))) {
		answer(r, V_SHUTDOWN);
		return;
	}
	assert_true(r->rcpts < 2000);
	local = str_sub(local, 0, 15);
	memcpy(r->rcpt[r->rcpts], local.p, local.n);
	r->rcpt[r->rcpts++][local.n] = '\0';
	answer(r, V_OK);
}

static void
deliver_event(struct run *r)
{
	buf_addz(&r->log, "{");
	buf_adds(&r->log, buf_str(&r->body));
	buf_addz(&r->log, "}");
	assert_int_equal(r->rcpts, r->p.accepted);
	for (unsigned i = 0; i < r->rcpts; i++)
		answer(r, strncmp(r->rcpt[i], "full", 4) == 0 ? V_FULL :
		    strncmp(r->rcpt[i], "stop", 4) == 0 ? V_SHUTDOWN : V_OK);
	r->rcpts = 0;
	buf_reset(&r->body);
}

static void
peer_event(struct run *r)
{
	for (int i = 0; i < LMTP_PEER_ITEMS; i++)
		buf_addf(&r->log, "%s%s", i ? "," : "[peer ", r->p.peer[i]);
	buf_addz(&r->log, "]");
}

/* Feeds one piece; false when the connection is closed. */
static bool
feed(struct run *r, struct str in)
{
	enum lmtp_event event;

	for (;;) {
		event = lmtp_feed(&r->p, &in);
		log_replies(r);
		switch (event) {
		case LMTP_MORE:
			assert_int_equal(in.n, 0);
			return true;
		case LMTP_SEND:
			break;
		case LMTP_MAIL:
			buf_addz(&r->log, "[from ");
			buf_adds(&r->log, r->p.mail.path.text);
			if (r->p.mail.envid.n) {
				buf_addc(&r->log, ' ');
				buf_adds(&r->log, r->p.mail.envid);
			}
			buf_addz(&r->log, "]");
			answer(r, str_starts(r->p.mail.path.text, STR("later")) ?
			    V_NO_SPACE : V_OK);
			break;
		case LMTP_RCPT:
			rcpt_event(r);
			break;
		case LMTP_BEGIN:
			answer(r, str_starts(r->p.mail.path.text,
			    STR("nospool")) ? V_NO_SPACE : V_OK);
			break;
		case LMTP_BYTES:
			assert_true(r->p.bytes.n > 0);
			assert_int_equal(buf_adds(&r->body, r->p.bytes), 0);
			break;
		case LMTP_CHUNK:
			answer(r, str_starts(r->p.mail.path.text,
			    STR("nochunk")) ? V_NO_SPACE : V_OK);
			break;
		case LMTP_DELIVER:
			deliver_event(r);
			break;
		case LMTP_ABORT:
			buf_addz(&r->log, "[abort]");
			r->rcpts = 0;
			buf_reset(&r->body);
			break;
		case LMTP_PEER:
			peer_event(r);
			break;
		case LMTP_STARTTLS:
			buf_addz(&r->log, "[tls]");
			assert_int_equal(in.n, 0);
			lmtp_secured(&r->p);
			break;
		case LMTP_CLOSE:
			buf_addz(&r->log, "[close]");
			return false;
		}
	}
}

static void
run_init(struct run *r, unsigned options)
{
	const struct lmtp_config config = {
		.hostname = "mx.test", .size_max = SIZE_MAX_HERE,
		.rcpt_max = 1000, .error_max = 5, .mail_max = 3,
		.options = options,
	};

	memset(r, 0, sizeof(*r));
	lmtp_init(&r->p, &config);
	buf_init(&r->log, 1 << 20);
	buf_init(&r->body, 1 << 16);
}

static void
run_release(struct run *r)
{
	lmtp_release(&r->p);
	buf_release(&r->log);
	buf_release(&r->body);
}

/* Feeds `in` in pieces of `piece` bytes and compares. */
static void
expect(const char *name, struct str in, size_t piece, unsigned options,
    const char *want)
{
	struct run r;
	size_t n;

	run_init(&r, options);
	for (size_t at = 0; at < in.n; at += n) {
		n = in.n - at < piece ? in.n - at : piece;
		if (!feed(&r, str_sub(in, at, n)))
			break;
	}
	if (strcmp(r.log.p, want) != 0)
		fail_msg("%s, in pieces of %zu:\n got %s\nwant %s", name,
		    piece, r.log.p, want);
	run_release(&r);
}

/* The answers to LHLO: host, PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING,
 * DSN, ENHANCEDSTATUSCODES. */
#define HELLO "LHLO c\r\n"
#define HI "250;250;250;250;250;250;250;250;"
#define ONE HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define ONE_OK HI "[from a@b]250 2.1.0;[to c@d]250 2.1.5;"
#define GO ONE "DATA\r\n"
#define GO_OK ONE_OK "354;"
#define OK1 "250 2.0.0;"

struct dialogue {
	const char *name;
	struct str in;
	const char *want;
	unsigned options;
};

#define D(name, in, want) { name, STR(in), want, 0 }

static const struct dialogue dialogues[] = {
	D("plain", GO "hi\r\n.\r\nQUIT\r\n",
	    GO_OK "{hi\r\n}" OK1 "221 2.0.0;[close]"),
	D("empty message", GO ".\r\n", GO_OK "{}" OK1),
	D("two recipients, one twice, one full", HELLO "MAIL FROM:<>\r\n"
	    "RCPT TO:<x@d>\r\nRCPT TO:<full@d>\r\nRCPT TO:<x@d>\r\n"
	    "DATA\r\n.\r\n",
	    HI "[from ]250 2.1.0;[to x@d]250 2.1.5;[to full@d]250 2.1.5;"
	    "[to x@d]250 2.1.5;354;{}250 2.0.0;552 5.2.2;250 2.0.0;"),
	D("no recipient", HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nDATA\r\n",
	    HI "[from a@b]250 2.1.0;[to no@d]550 5.1.1;503 5.5.1;"),
	D("shutdown at RCPT closes", HELLO "MAIL FROM:<a@b>\r\n"
	    "RCPT TO:<shut@d>\r\nDATA\r\n",
	    HI "[from a@b]250 2.1.0;[to shut@d]421 4.3.2;[close]"),
	D("shutdown behind the message does not", HELLO "MAIL FROM:<a@b>\r\n"
	    "RCPT TO:<stop@d>\r\nRCPT TO:<x@d>\r\nDATA\r\n.\r\nNOOP\r\n",
	    HI "[from a@b]250 2.1.0;[to stop@d]250 2.1.5;[to x@d]250 2.1.5;"
	    "354;{}451 4.3.2;250 2.0.0;250 2.0.0;"),
	D("sender put off", HELLO "MAIL FROM:<later@b>\r\nRCPT TO:<c@d>\r\n",
	    HI "[from later@b]452 4.3.1;503 5.5.1;"),
	D("HELO and EHLO", "HELO c\r\nEHLO c\r\nMAIL FROM:<a@b>\r\n",
	    "500 5.5.1;500 5.5.1;503 5.5.1;"),
	D("LHLO without name", "LHLO\r\nLHLO \r\n", "501 5.5.4;501 5.5.4;"),
	D("MAIL twice", HELLO "MAIL FROM:<a@b>\r\nMAIL FROM:<c@d>\r\n",
	    HI "[from a@b]250 2.1.0;503 5.5.1;"),
	D("LHLO drops", HELLO "MAIL FROM:<a@b>\r\n" HELLO "RCPT TO:<c@d>\r\n",
	    HI "[from a@b]250 2.1.0;" HI "[abort]503 5.5.1;"),
	D("RSET drops", ONE "RSET\r\nDATA\r\n",
	    ONE_OK "250 2.0.0;[abort]503 5.5.1;"),
	D("RSET with words", HELLO "RSET now\r\n", HI "501 5.5.4;"),
	D("small talk", "NOOP x\r\nnoop\r\nHELP\r\nVRFY fred\r\nVRFY\r\n"
	    "EXPN x\r\nFOO\r\n",
	    "250 2.0.0;250 2.0.0;214 2.0.0;252 2.5.2;501 5.5.4;502 5.5.1;"
	    "500 5.5.1;"),
	D("empty line", "\r\n", "500 5.5.1;"),
	D("errors end it", "A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\n",
	    "500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;500 5.5.1;421 4.7.0;"
	    "[close]"),
	D("messages end it", GO ".\r\nMAIL FROM:<e@f>\r\nRSET\r\n"
	    "MAIL FROM:<g@h>\r\nRSET\r\nMAIL FROM:<i@j>\r\n",
	    GO_OK "{}" OK1 "[from e@f]250 2.1.0;250 2.0.0;[abort]"
	    "[from g@h]250 2.1.0;250 2.0.0;[abort]421 4.7.0;[close]"),
	D("refused recipients are no errors", HELLO "MAIL FROM:<a@b>\r\n"
	    "RCPT TO:<no@d>\r\nRCPT TO:<no@d>\r\nRCPT TO:<no@d>\r\n"
	    "RCPT TO:<no@d>\r\nRCPT TO:<no@d>\r\nRCPT TO:<no@d>\r\n"
	    "RCPT TO:<no@d>\r\nNOOP\r\n",
	    HI "[from a@b]250 2.1.0;[to no@d]550 5.1.1;[to no@d]550 5.1.1;"
	    "[to no@d]550 5.1.1;[to no@d]550 5.1.1;[to no@d]550 5.1.1;"
	    "[to no@d]550 5.1.1;[to no@d]550 5.1.1;250 2.0.0;"),
	/* Lines. */
	D("bare LF", "NOOP\nNOOP\r\n", "500 5.5.2;"),
	D("bare CR", "NOOP\rNOOP\r\n", "500 5.5.2;"),
	D("CR CR LF", "NOOP\r\r\n", "500 5.5.2;"),
	D("LF CR LF", "NOOP\n\r\nNOOP\r\n", "500 5.5.2;250 2.0.0;"),
	D("NUL", "NO\0OP\r\n", "500 5.5.2;"),
	D("line break in sender", HELLO "MAIL FROM:<a\nRSET\n@b>\r\n",
	    HI "500 5.5.2;"),
	/* The end of the message and what is not. */
	D("LF.LF", GO "a\n.\nb\r\n.\r\n", GO_OK "{a\n.\nb\r\n}" OK1),
	D("LF.CRLF", GO "a\n.\r\nb\r\n.\r\n", GO_OK "{a\n.\r\nb\r\n}" OK1),
	D("CRLF.LF", GO "a\r\n.\nb\r\n.\r\n", GO_OK "{a\r\n\nb\r\n}" OK1),
	D("CR.CR", GO "a\r.\rb\r\n.\r\n", GO_OK "{a\r.\rb\r\n}" OK1),
	D("CR.CRLF", GO "a\r.\r\nb\r\n.\r\n", GO_OK "{a\r.\r\nb\r\n}" OK1),
	D("CRLF.CR", GO "a\r\n.\rb\r\n.\r\n", GO_OK "{a\r\n\rb\r\n}" OK1),
	D("CRLF.CRCRLF", GO "a\r\n.\r\r\nb\r\n.\r\n",
	    GO_OK "{a\r\n\r\r\nb\r\n}" OK1),
	D("CRCRLF.CRLF", GO "a\r\r\n.\r\n", GO_OK "{a\r\r\n}" OK1),
	D("LFLF.CRLF", GO "a\n\n.\r\nb\r\n.\r\n", GO_OK "{a\n\n.\r\nb\r\n}" OK1),
	D("CRLF. CRLF", GO "a\r\n. \r\nb\r\n.\r\n",
	    GO_OK "{a\r\n \r\nb\r\n}" OK1),
	D("CRLF.NULCRLF", GO "a\r\n.\0\r\n.\r\n", GO_OK "{a\r\n"),
	D("CRLF..CRLF", GO "a\r\n..\r\nb\r\n.\r\n",
	    GO_OK "{a\r\n.\r\nb\r\n}" OK1),
	D("dots at the start", GO "..a\r\n...\r\n.\r\n",
	    GO_OK "{.a\r\n..\r\n}" OK1),
	D("start is LF.CRLF", GO "\n.\r\nb\r\n.\r\n", GO_OK "{\n.\r\nb\r\n}" OK1),
	D("start is .LF", GO ".\nb\r\n.\r\n", GO_OK "{\nb\r\n}" OK1),
	D("start is .CR", GO ".\r.\r\nb\r\n.\r\n",
	    GO_OK "{\r.\r\nb\r\n}" OK1),
	D("CRLF.CR CRLF.CRLF", GO "\r\n.\r\r\n.\r\n",
	    GO_OK "{\r\n\r\r\n}" OK1),
	D("no end", GO "a\r\n.\r", GO_OK),
	D("a command behind the end", GO "a\r\n.\r\nNOOP\r\n",
	    GO_OK "{a\r\n}" OK1 "250 2.0.0;"),
	/* Parameters. */
	D("DSN", HELLO "MAIL FROM:<a@b> RET=HDRS ENVID=q+2B1\r\n"
	    "RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+40y\r\n",
	    HI "[from a@b q+1]250 2.1.0;[to c@d x@y n10]250 2.1.5;"),
	D("wrong DSN", HELLO "MAIL FROM:<a@b> RET=ALL\r\n"
	    "MAIL FROM:<a@b> ENVID=+2\r\nMAIL FROM:<a@b> RET=FULL RET=FULL\r\n"
	    "MAIL FROM:<a@b> ENVID=x+0Ay\r\n",
	    HI "501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;"),
	D("wrong NOTIFY and ORCPT", HELLO "MAIL FROM:<a@b>\r\n"
	    "RCPT TO:<c@d> NOTIFY=NEVER,DELAY\r\nRCPT TO:<c@d> NOTIFY=\r\n"
	    "RCPT TO:<c@d> ORCPT=rfc822\r\nRCPT TO:<c@d> FOO=1\r\n",
	    HI "[from a@b]250 2.1.0;501 5.5.4;501 5.5.4;501 5.5.4;555 5.5.4;"),
	D("SIZE", HELLO "MAIL FROM:<a@b> SIZE=1001\r\n"
	    "MAIL FROM:<a@b> SIZE=99999999999999999999\r\n"
	    "MAIL FROM:<a@b> SIZE=x\r\nMAIL FROM:<a@b> SIZE\r\n"
	    "MAIL FROM:<a@b> SIZE=1000\r\n",
	    HI "552 5.3.4;552 5.3.4;501 5.5.4;501 5.5.4;[from a@b]250 2.1.0;"),
	D("BODY", HELLO "MAIL FROM:<a@b> BODY=BINARYMIME\r\n"
	    "MAIL FROM:<a@b> BODY=8bitmime\r\n",
	    HI "501 5.5.4;[from a@b]250 2.1.0;"),
	D("unknown parameter", HELLO "MAIL FROM:<a@b> AUTH=<>\r\n"
	    "MAIL FROM:<a@b>SIZE=1\r\nMAIL FROM:<a@b> =\r\n",
	    HI "555 5.5.4;501 5.5.4;501 5.5.4;"),
	D("UTF-8 without SMTPUTF8", HELLO "MAIL FROM:<\303\274@b>\r\n"
	    "MAIL FROM:<a@b>\r\nRCPT TO:<\303\274@b>\r\n",
	    HI "553 5.6.7;[from a@b]250 2.1.0;553 5.6.7;"),
	D("UTF-8", HELLO "MAIL FROM:<\303\274@b> SMTPUTF8\r\n"
	    "RCPT TO:<c@\303\274> ORCPT=utf-8;\\x{FC}@b\r\n"
	    "RCPT TO:<\374@b>\r\n",
	    HI "[from \303\274@b]250 2.1.0;"
	    "[to c@\303\274 \303\274@b]250 2.1.5;553 5.1.3;"),
	/* Too big. */
	D("BDAT", ONE "BDAT 3\r\na\r\nBDAT 2 LAST\r\nb\n",
	    ONE_OK "250 2.0.0;{a\r\nb\n}" OK1),
	D("BDAT pipelined", ONE "BDAT 0\r\nBDAT 5 LAST\r\n.\r\n\r\nNOOP\r\n",
	    ONE_OK "250 2.0.0;{.\r\n\r\n}" OK1 "250 2.0.0;"),
	D("BDAT LAST per recipient", HELLO "MAIL FROM:<a@b>\r\n"
	    "RCPT TO:<c@d>\r\nRCPT TO:<full@d>\r\nBDAT 1 LAST\r\nx",
	    HI "[from a@b]250 2.1.0;[to c@d]250 2.1.5;[to full@d]250 2.1.5;"
	    "{x}250 2.0.0;552 5.2.2;"),
	D("BDAT then DATA", ONE "BDAT 1\r\nxDATA\r\nRCPT TO:<e@f>\r\n"
	    "BDAT 0 LAST\r\n",
	    ONE_OK "250 2.0.0;503 5.5.1;503 5.5.1;{x}" OK1),
	D("BDAT without recipient", HELLO "MAIL FROM:<a@b>\r\n"
	    "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
	    HI "[from a@b]250 2.1.0;503 5.5.1;250 2.0.0;"),
	D("BDAT without MAIL", "BDAT 6\r\nQUIT\r\n", "503 5.5.1;"),
	D("BDAT without size", ONE "BDAT\r\nQUIT\r\n", ONE_OK "421 4.5.4;[close]"),
	D("BDAT with a wrong size", ONE "BDAT -1\r\nQUIT\r\n",
	    ONE_OK "421 4.5.4;[close]"),
	D("BDAT with a huge size", ONE "BDAT 99999999999999999999\r\n",
	    ONE_OK "421 4.5.4;[close]"),
	D("BDAT with words", ONE "BDAT 1 FIRST\r\n", ONE_OK "421 4.5.4;[close]"),
	D("BDAT that is not kept", HELLO "MAIL FROM:<nochunk@b>\r\n"
	    "RCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nBDAT 1\r\nxBDAT 1\r\ny"
	    "BDAT 1 LAST\r\nzNOOP\r\n",
	    HI "[from nochunk@b]250 2.1.0;[to c@d]250 2.1.5;[to e@f]250 2.1.5;"
	    "452 4.3.1;503 5.5.1;452 4.3.1;452 4.3.1;[abort]250 2.0.0;"),
	D("BDAT without spool", HELLO "MAIL FROM:<nospool@b>\r\n"
	    "RCPT TO:<c@d>\r\nBDAT 1\r\nxRSET\r\nNOOP\r\n",
	    HI "[from nospool@b]250 2.1.0;[to c@d]250 2.1.5;452 4.3.1;"
	    "250 2.0.0;[abort]250 2.0.0;"),
	D("DATA without spool", HELLO "MAIL FROM:<nospool@b>\r\n"
	    "RCPT TO:<c@d>\r\nDATA\r\nNOOP\r\n",
	    HI "[from nospool@b]250 2.1.0;[to c@d]250 2.1.5;452 4.3.1;[abort]"
	    "250 2.0.0;"),
	D("RSET between chunks", ONE "BDAT 1\r\nxRSET\r\nBDAT 1 LAST\r\ny",
	    ONE_OK "250 2.0.0;250 2.0.0;[abort]503 5.5.1;"),
	/* Peers. */
	D("XCLIENT from anybody", HELLO "XCLIENT NAME=x\r\n", HI "550 5.7.1;"),
	D("STARTTLS without TLS", HELLO "STARTTLS\r\n", HI "502 5.5.1;"),
	{ "XCLIENT", STR(HELLO "XCLIENT NAME=spike.test ADDR=1.2.3.4 "
	    "LOGIN=[UNAVAILABLE]\r\nMAIL FROM:<a@b>\r\n"),
	    HI "250;250;220;[peer spike.test,1.2.3.4,,,,,,]503 5.5.1;",
	    LMTP_OPT_TRUSTED },
	{ "XFORWARD", STR(HELLO "XFORWARD ADDR=IPV6:::1 HELO=x+2By\r\n"
	    "XFORWARD SOURCE=LOCAL IDENT=4711\r\nMAIL FROM:<a@b>\r\n"
	    "XFORWARD NAME=y\r\n"),
	    HI "250;250;250 2.0.0;[peer ,IPV6:::1,,,x+y,,,]250 2.0.0;"
	    "[peer ,IPV6:::1,,,x+y,4711,LOCAL,][from a@b]250 2.1.0;"
	    "503 5.5.1;", LMTP_OPT_TRUSTED },
	{ "wrong XFORWARD", STR(HELLO "XFORWARD ADDR=nonsense\r\n"
	    "XFORWARD NAME=a+0D+0Ab\r\nXFORWARD FOO=1\r\nXFORWARD\r\n"
	    "XFORWARD PORT=65536\r\n"),
	    HI "250;250;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;501 5.5.4;",
	    LMTP_OPT_TRUSTED },
};

static void
dialogues_in_every_piece(void **state)
{
	const struct dialogue *d;

	(void)state;
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(*dialogues); i++) {
		d = &dialogues[i];
		for (size_t piece = 1; piece <= d->in.n; piece++)
			expect(d->name, d->in, piece, d->options, d->want);
	}
}

static void
nothing_from_before_tls_is_heard(void **state)
{
	struct run r;

	(void)state;
	run_init(&r, LMTP_OPT_TLS);
	assert_true(feed(&r, STR(HELLO "STARTTLS\r\nRSET\r\nMAIL FROM:<a@b>\r\n")));
	assert_string_equal(r.log.p, HI "250;220 2.0.0;[tls]");
	buf_reset(&r.log);
	assert_true(feed(&r, STR("MAIL FROM:<a@b>\r\nLHLO c\r\nSTARTTLS\r\n"
	    "MAIL FROM:<a@b>\r\n")));
	assert_string_equal(r.log.p, "503 5.5.1;" HI
	    "503 5.5.1;[from a@b]250 2.1.0;");
	assert_string_equal(lmtp_with(&r.p), "LMTPS");
	run_release(&r);
}

static void
paths(void **state)
{
	static const struct {
		struct str path;
		enum lmtp_path_error want;
		const char *local;
		const char *domain;
	} cases[] = {
		{ STR("<a@b>"), LMTP_PATH_OK, "a", "b" },
		{ STR("<a.b+c@d.example>"), LMTP_PATH_OK, "a.b+c", "d.example" },
		{ STR("<\"a b\"@c>"), LMTP_PATH_OK, "a b", "c" },
		{ STR("<\"a\\\"b\"@c>"), LMTP_PATH_OK, "a\"b", "c" },
		{ STR("<\"a@b\"@c>"), LMTP_PATH_OK, "a@b", "c" },
		{ STR("<\"..\"@c>"), LMTP_PATH_OK, "..", "c" },
		{ STR("<\">\"@c>"), LMTP_PATH_OK, ">", "c" },
		{ STR("<@r,@s.t:a@b>"), LMTP_PATH_OK, "a", "b" },
		{ STR("<a@[127.0.0.1]>"), LMTP_PATH_OK, "a", "[127.0.0.1]" },
		{ STR("<a@[IPv6:::1]>"), LMTP_PATH_OK, "a", "[IPv6:::1]" },
		{ STR("<postmaster>"), LMTP_PATH_OK, "postmaster", "" },
		{ STR("<PostMaster>"), LMTP_PATH_OK, "PostMaster", "" },
		{ STR("<a..b@c>"), LMTP_PATH_OK, "a..b", "c" },
		{ STR("<.a@c>"), LMTP_PATH_OK, ".a", "c" },
		{ STR("<a/../b@c>"), LMTP_PATH_OK, "a/../b", "c" },
		{ STR("<\"a\\b\"@c>"), LMTP_PATH_OK, "ab", "c" },
		{ STR("<a@b_c>"), LMTP_PATH_OK, "a", "b_c" },
		{ STR("<>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<fred>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\"\"@d>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<@d>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@b"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@b.>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@.b>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@b..c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@b/c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@b@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a b@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("< a@b>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@b >"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<<a@b>>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a,b@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a:b@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a(x)@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a\001@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a\0@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\"a\tb\"@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\"a\\\177b\"@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\"a@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\"a\\\">"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\"a\"b@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<@r:>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<@r,a@b>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@[1.2.3.4>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<a@[]>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\300\200@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\355\240\200@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\364\220\200\200@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\303@c>"), LMTP_PATH_BAD, NULL, NULL },
		{ STR("<\303\274@c>"), LMTP_PATH_UTF8, NULL, NULL },
		{ STR("<a@\303\274>"), LMTP_PATH_UTF8, NULL, NULL },
		{ STR("a@b"), LMTP_PATH_SYNTAX, NULL, NULL },
		{ STR(""), LMTP_PATH_SYNTAX, NULL, NULL },
	};
	struct lmtp_path path;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct str in = cases[i].path;
		enum lmtp_path_error got = lmtp_path_parse(&in,
		    LMTP_PATH_RECIPIENT, LMTP_ASCII, &path);

		if (got != cases[i].want)
			fail_msg("%.*s: %d", STR_ARG(cases[i].path), (int)got);
		if (got != LMTP_PATH_OK)
			continue;
		assert_int_equal(in.n, 0);
		assert_string_equal(path.local, cases[i].local);
		assert_true(str_eq(path.domain, str_of(cases[i].domain)));
	}
}

/* LOCAL bytes before the @, labels of 63 bytes and one of `tail` behind. */
static enum lmtp_path_error
long_path(size_t local, size_t labels, size_t tail)
{
	struct lmtp_path path;
	enum lmtp_path_error r;
	struct str in;
	struct buf b;

	buf_init(&b, 2000);
	buf_addc(&b, '<');
	for (size_t i = 0; i < local; i++)
		buf_addc(&b, 'a');
	buf_addc(&b, '@');
	for (size_t i = 0; i < labels * 64; i++)
		buf_addc(&b, i % 64 == 63 ? '.' : 'b');
	for (size_t i = 0; i < tail; i++)
		buf_addc(&b, 'c');
	buf_addc(&b, '>');
	in = buf_str(&b);
	r = lmtp_path_parse(&in, LMTP_PATH_SENDER, LMTP_ASCII, &path);
	buf_release(&b);
	return r;
}

static void
paths_have_limits(void **state)
{
	(void)state;
	assert_int_equal(long_path(255, 0, 1), LMTP_PATH_OK);
	assert_int_equal(long_path(256, 0, 1), LMTP_PATH_BAD);
	assert_int_equal(long_path(1, 0, 63), LMTP_PATH_OK);
	assert_int_equal(long_path(1, 0, 64), LMTP_PATH_BAD);
	assert_int_equal(long_path(1, 3, 63), LMTP_PATH_OK);
	assert_int_equal(long_path(1, 4, 1), LMTP_PATH_BAD);
}

/* A line of `n` bytes with its CRLF, a valid NOOP behind it. */
static void
line_of(size_t n, size_t piece, const char *want)
{
	struct buf b;

	buf_init(&b, n + 100);
	buf_addz(&b, "NOOP ");
	while (b.n < n - 2)
		buf_addc(&b, 'x');
	buf_addz(&b, "\r\nVRFY x\r\n");
	expect("long line", buf_str(&b), piece, 0, want);
	buf_release(&b);
}

static void
lines_have_a_limit(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 1000, 2047, 2048, 2049,
	    1 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		line_of(LMTP_LINE_MAX, pieces[i], "250 2.0.0;252 2.5.2;");
		line_of(LMTP_LINE_MAX + 1, pieces[i], "500 5.5.2;252 2.5.2;");
		line_of(100000, pieces[i], "500 5.5.2;252 2.5.2;");
	}
}

static void
long_lines_take_no_memory(void **state)
{
	static char x[65536];
	struct run r;

	(void)state;
	run_init(&r, 0);
	memset(x, 'x', sizeof(x));
	for (int i = 0; i < 512; i++)	/* 32 MB */
		assert_true(feed(&r, str_mem(x, sizeof(x))));
	assert_true(r.p.line.cap <= LMTP_LINE_MAX + 1);
	assert_true(feed(&r, STR("\n\r\nNOOP\r\n")));
	assert_string_equal(r.log.p, "500 5.5.2;250 2.0.0;");
	run_release(&r);
}

static void
recipients_have_a_limit(void **state)
{
	unsigned yes = 0, later = 0, told = 0;
	struct str rest, part;
	struct run r;
	struct buf b;

	(void)state;
	run_init(&r, 0);
	buf_init(&b, 1 << 20);
	buf_addz(&b, HELLO "MAIL FROM:<a@b>\r\n");
	for (int i = 0; i < 20000; i++)
		buf_addf(&b, "RCPT TO:<u%d@d>\r\n", i);
	assert_true(feed(&r, buf_str(&b)));
	rest = buf_str(&r.log);
	while (str_split(&rest, ';', &part)) {
		yes += str_ends(part, STR("250 2.1.5"));
		later += str_ends(part, STR("452 4.5.3"));
	}
	assert_int_equal(yes, 1000);
	assert_int_equal(later, 19000);
	buf_reset(&r.log);
	assert_true(feed(&r, STR("DATA\r\n.\r\n")));
	rest = buf_str(&r.log);
	while (str_split(&rest, ';', &part))
		told += str_ends(part, STR("250 2.0.0"));
	assert_int_equal(told, 1000);
	buf_release(&b);
	run_release(&r);
}

static void
messages_have_a_limit(void **state)
{
	struct run r;
	char x[400];

	(void)state;
	memset(x, 'x', sizeof(x));
	run_init(&r, 0);
	assert_true(feed(&r, STR(HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
	    "RCPT TO:<e@f>\r\nDATA\r\n")));
	buf_reset(&r.log);
	for (int i = 0; i < 10; i++)
		assert_true(feed(&r, str_mem(x, sizeof(x))));
	assert_true(r.body.n <= SIZE_MAX_HERE);
	assert_true(feed(&r, STR("\r\n.\r\nNOOP\r\n")));
	assert_string_equal(r.log.p, "552 5.3.4;552 5.3.4;[abort]250 2.0.0;");
	/* One byte over, by chunks: the second is refused, LAST for each. */
	buf_reset(&r.log);
	assert_true(feed(&r, STR("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
	    "BDAT 400\r\n")));
	assert_true(feed(&r, str_mem(x, 400)));
	assert_true(feed(&r, STR("BDAT 601\r\n")));
	assert_true(feed(&r, str_mem(x, 400)));
	assert_true(feed(&r, str_mem(x, 201)));
	assert_true(feed(&r, STR("BDAT 0 LAST\r\nNOOP\r\n")));
	assert_string_equal(r.log.p, "[from a@b]250 2.1.0;[to c@d]250 2.1.5;"
	    "250 2.0.0;552 5.3.4;552 5.3.4;[abort]250 2.0.0;");
	run_release(&r);
}

static void
xtext(void **state)
{
	static const struct {
		const char *in;
		const char *want;	/* NULL: refused */
	} cases[] = {
		{ "a+2Bb", "a+b" }, { "a+2b", "a+" }, { "", "" },
		{ "a+", NULL }, { "a+2", NULL }, { "a+2G", NULL },
		{ "a+0A", NULL }, { "a+7F", NULL }, { "+C3+BC", "\303\274" },
	};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		buf_reset(&b);
		assert_int_equal(lmtp_xtext_decode(str_of(cases[i].in), &b),
		    cases[i].want ? 0 : -1);
		if (cases[i].want)
			assert_string_equal(b.p, cases[i].want);
	}
	buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogues_in_every_piece),
		cmocka_unit_test(nothing_from_before_tls_is_heard),
		cmocka_unit_test(paths),
		cmocka_unit_test(paths_have_limits),
		cmocka_unit_test(lines_have_a_limit),
		cmocka_unit_test(long_lines_take_no_memory),
		cmocka_unit_test(recipients_have_a_limit),
		cmocka_unit_test(messages_have_a_limit),
		cmocka_unit_test(xtext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
