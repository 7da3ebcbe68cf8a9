/*
 * LMTP from bytes: no crash, no reply without a code, no memory past the
 * ceilings, and the same answers however the bytes are cut into pieces.
 * The first byte chooses the options and the size of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lda/lmtp/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct lmtp p;
	struct buf log;
	uint32_t body;		/* a sum over the bytes of the message */
	unsigned accepted;
};

static void
check(bool good)
{
	if (!good)
		abort();
}

static void
take_replies(struct run *r)
{
	struct str rest = buf_str(&r->p.out), line;

	while (str_split(&rest, '\n', &line) && line.n) {
		check(str_ends(line, STR("\r")) && line.n > 4);
		check(line.p[0] >= '2' && line.p[0] <= '5');
		for (size_t i = 0; i + 1 < line.n; i++)
			check(!ascii_iscntrl(line.p[i]));
		(void)buf_adds(&r->log, str_sub(line, 0, 9));
	}
	buf_reset(&r->p.out);
}

static void
answer(struct run *r, bool yes)
{
	struct verdict v = VERDICT_INIT;

	if (yes)
		verdict_ok(&v, "fine");
	lmtp_answer(&r->p, &v);
	take_replies(r);
}

static bool
feed(struct run *r, struct str in)
{
	for (;;) {
		enum lmtp_event event = lmtp_feed(&r->p, &in);

		take_replies(r);
		switch (event) {
		case LMTP_MORE:
			check(in.n == 0);
			return true;
		case LMTP_SEND:
		case LMTP_PEER:
			break;
		case LMTP_MAIL:
			answer(r, r->p.mail.path.text.n % 5 != 1);
			break;
		case LMTP_RCPT:
			check(r->p.rcpt.path.local_n > 0);
			answer(r, r->p.rcpt.path.local_n % 3 != 2);
			break;
		case LMTP_BEGIN:
			r->body = 0;
			check(r->p.accepted > 0);
			answer(r, r->p.mail.path.text.n % 7 != 2);
			break;
		case LMTP_BYTES:
			check(r->p.bytes.n > 0);
			for (size_t i = 0; i < r->p.bytes.n; i++)
				r->body = r->body * 31 +
				    (unsigned char)r->p.bytes.p[i];
			break;
		case LMTP_CHUNK:
			answer(r, r->body % 5 != 3);
			break;
		case LMTP_DELIVER:
			r->accepted = r->p.accepted;
			check(r->accepted > 0);
			(void)buf_addf(&r->log, "{%u}", r->body);
			for (unsigned i = 0; i < r->accepted; i++)
				answer(r, i % 2 == 0);
			break;
		case LMTP_ABORT:
			(void)buf_addz(&r->log, "!");
			break;
		case LMTP_STARTTLS:
			check(in.n == 0);
			lmtp_secured(&r->p);
			break;
		case LMTP_CLOSE:
			return false;
		}
		check(r->p.line.cap <= LMTP_LINE_MAX + 1);
	}
}

static void
go(struct run *r, struct str in, unsigned options, size_t piece)
{
	const struct lmtp_config config = {
		.hostname = "fuzz", .size_max = 300, .rcpt_max = 4,
		.error_max = 8, .mail_max = 6, .options = options,
	};
	size_t n;

	*r = (struct run){ .accepted = 0 };
	lmtp_init(&r->p, &config);
	buf_init(&r->log, 1 << 20);
	for (; in.n; in = str_sub(in, n, in.n)) {
		n = in.n < piece ? in.n : piece;
		if (!feed(r, str_sub(in, 0, n)))
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, pieces;
	struct str in;
	unsigned options;

	if (size < 2)
		return 0;
	/* With TLS the bytes behind STARTTLS are dropped as far as they were
	 * read, so the pieces matter and are not compared. */
	options = data[0] & 3;
	in = str_mem(data + 1, size - 1);
	go(&whole, in, options, in.n);
	go(&pieces, in, options, 1 + (data[0] >> 2));
	check(options & LMTP_OPT_TLS ||
	    str_eq(buf_str(&whole.log), buf_str(&pieces.log)));
	lmtp_release(&whole.p);
	lmtp_release(&pieces.p);
	buf_release(&whole.log);
	buf_release(&pieces.log);
	return 0;
}
