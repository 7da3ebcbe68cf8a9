#include "lda/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filters/content.h"
#include "lda/plan_scan.h"
#include "store/base/clock.h"
#include "store/base/mem.h"

/* Bytes of the header looked at in one go. */
#define PIECE 16384
/* Of a field, this much is looked at: names and addresses are shorter. */
#define FIELD_LOOK 1200

const struct str trace_dropped[] = {
	{ "Return-Path", 11 },
	{ CONTENT_FIELD, sizeof(CONTENT_FIELD) - 1 },
	{ PLAN_SCAN_FIELD, sizeof(PLAN_SCAN_FIELD) - 1 },
};
const size_t trace_dropped_count = 3;

struct scan {
	struct trace *t;
	void (*delivered_to)(void *arg, struct str address);
	void *arg;
	bool have_msgid;
};

static void
field(struct scan *s, struct str text)
{
	ptrdiff_t colon = str_chr(text, ':');
	struct str name, value;

	if (colon < 0)
		return;
	name = str_trim(str_sub(text, 0, (size_t)colon));
	value = str_trim(str_sub(text, (size_t)colon + 1, text.n));
	if (str_caseeq(name, STR("Received"))) {
		s->t->received++;
	} else if (str_caseeq(name, STR(PLAN_SCAN_FIELD))) {
		s->t->marked = true;
	} else if (str_caseeq(name, STR("Delivered-To"))) {
		s->t->passed = true;
		if (s->delivered_to)
			s->delivered_to(s->arg, envelope_strip(value));
	} else if (str_caseeq(name, STR("Message-ID")) && !s->have_msgid) {
		size_t n = value.n < TRACE_MSGID ? value.n : TRACE_MSGID;

		for (size_t i = 0; i < n; i++)
			s->t->msgid[i] = ascii_iscntrl(value.p[i]) ? '?' :
			    value.p[i];
		s->t->msgid[n] = '\0';
		s->have_msgid = true;
	}
}

static int
scan(const struct spool *sp, struct scan s, char *scratch, struct verdict *v)
{
	char look[FIELD_LOOK];
	size_t n = 0;			/* of look */
	bool fresh = true;		/* at a line's start */
	struct str got;

	for (uint64_t at = 0; at < sp->body; at += got.n) {
		size_t want = sp->body - at < PIECE ? (size_t)(sp->body - at) :
		    PIECE;

		if (source_read(&sp->source, at, scratch, want, &got) < 0)
			return verdict_errno(v, errno, "read spool");
		if (got.n == 0)
			return verdict_set(v, V_TROUBLE, "spool is shorter than "
			    "what was written");
		for (size_t i = 0; i < got.n; ) {
			const char *nl = memchr(got.p + i, '\n', got.n - i);
			size_t end = nl ? (size_t)(nl - got.p) + 1 : got.n;
			size_t take = end - i;

			if (fresh && !ascii_isblank(got.p[i])) {
				field(&s, str_mem(look, n));
				n = 0;
			}
			if (take > sizeof(look) - n)
				take = sizeof(look) - n;
			memcpy(look + n, got.p + i, take);
			n += take;
			fresh = nl != NULL;
			i = end;
		}
	}
	field(&s, str_mem(look, n));
	return 0;
}

int
trace_scan(const struct spool *sp, struct trace *t,
    void (*delivered_to)(void *arg, struct str address), void *arg,
    struct verdict *v)
{
	struct scan s = { .t = t, .delivered_to = delivered_to, .arg = arg };
	/* What is in memory is read where it is. */
	char *scratch = sp->source.mem ? NULL : mem_alloc(PIECE);
	int r;

	*t = (struct trace){ 0 };
	r = scan(sp, s, scratch, v);
	free(scratch);
	return r;
}

void
trace_loop_look(void *arg, struct str address)
{
	struct trace_loop *loop = arg;

	if (str_caseeq(address, loop->address))
		loop->found = true;
}

/* Text from outside in a comment or an atom of ours: printable ASCII and
 * UTF-8 without the characters that end it. */
static void
add_word(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		buf_addc(out, ascii_iscntrl(c) || c == ' ' || c == '(' ||
		    c == ')' || c == '<' || c == '>' || c == ';' || c == '\\' ?
		    '?' : c);
	}
}

void
trace_add(const struct trace_fields *f, struct buf *out)
{
	const struct envelope *e = f->envelope;

	buf_addz(out, "Return-Path: <");
	buf_adds(out, e->sender);
	buf_addz(out, ">\n");
	if (f->original_to.n && !str_caseeq(f->original_to, f->delivered_to)) {
		buf_addz(out, "X-Original-To: ");
		buf_adds(out, f->original_to);
		buf_addc(out, '\n');
	}
	buf_addz(out, "Delivered-To: ");
	buf_adds(out, f->delivered_to);
	buf_addc(out, '\n');
	buf_adds(out, f->content);
	if (!e->protocol.n)
		return;
	buf_addz(out, "Received: from ");
	if (e->helo.n)
		add_word(out, e->helo);
	else
		buf_addz(out, "localhost");
	if (e->client.n) {
		buf_addz(out, " (");
		add_word(out, e->client);
		buf_addc(out, ')');
	}
	buf_addz(out, "\n\tby ");
	buf_addz(out, f->hostname);
	buf_addz(out, " with ");
	buf_adds(out, e->protocol);
	buf_addz(out, "\n\tid ");
	buf_addz(out, f->id);
	buf_addz(out, "\n\tfor <");
	buf_adds(out, f->delivered_to);
	buf_addz(out, ">; ");
	clock_rfc5322(f->when, out);
	buf_addc(out, '\n');
}
