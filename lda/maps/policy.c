#include "lda/maps/policy.h"

#include "lda/envelope.h"
#include "lda/gate.h"
#include "lda/maps/answer.h"
#include "lda/metrics.h"
#include "store/base/num.h"

struct request {
	struct str recipient;
	uint64_t size;
};

/* Reads lines up to the empty one. MAP_ANSWERED: the request is whole. */
static enum map_event
take(struct str *in, struct request *r)
{
	struct str rest = *in, line;
	ptrdiff_t equals, newline;

	*r = (struct request){ .recipient = STR("") };
	for (;;) {
		newline = str_chr(rest, '\n');
		if (newline < 0)
			return in->n >= POLICY_REQUEST_MAX ? MAP_CLOSE :
			    MAP_MORE;
		line = str_sub(rest, 0, (size_t)newline);
		rest = str_sub(rest, (size_t)newline + 1, rest.n);
		if (line.n == 0)
			break;
		equals = str_chr(line, '=');
		if (equals <= 0)
			return MAP_CLOSE;
		if (str_starts(line, STR("recipient=")))
			r->recipient = str_sub(line, (size_t)equals + 1, line.n);
		else if (str_starts(line, STR("size=")) &&
		    num_u64(str_sub(line, (size_t)equals + 1, line.n),
		    UINT64_MAX, &r->size) < 0)
			r->size = GATE_SIZE_UNKNOWN; /* Exim says -1 */
	}
	*in = rest;
	return MAP_ANSWERED;
}

static struct str
judge(const struct agent *agent, const struct request *r, struct arena *a)
{
	struct verdict v = VERDICT_INIT;
	struct resolution res;
	struct str local, domain;

	envelope_split(r->recipient, &local, &domain);
	if (domain.n == 0)
		return STR("DUNNO"); /* several recipients, or none */
	switch (gate_recipient(agent, local, domain, r->size, a, &res, &v)) {
	case GATE_YES:
	case GATE_STRANGER:
		return STR("DUNNO");
	case GATE_NO:
	case GATE_BROKEN:
		break;
	}
	return answer_reply(&v, a);
}

static enum map_event
feed(const struct agent *agent, struct str *in, struct arena *a,
    struct buf *out)
{
	struct request r;
	enum map_event event = take(in, &r);

	if (event != MAP_ANSWERED)
		return event;
	metrics_add(METRIC_POLICY_ANSWERS, 1);
	(void)buf_addz(out, "action=");
	(void)buf_adds(out, judge(agent, &r, a));
	(void)buf_addz(out, "\n\n");
	return out->full ? MAP_CLOSE : MAP_ANSWERED;
}

const struct map_protocol policy_protocol = {
	.name = "policy",
	.request_max = POLICY_REQUEST_MAX,
	.feed = feed,
};
