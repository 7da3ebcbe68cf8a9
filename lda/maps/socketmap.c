#include "lda/maps/socketmap.h"

#include "lda/maps/answer.h"
#include "lda/maps/netstring.h"
#include "lda/metrics.h"

/* Length, colon and comma. */
#define FRAME (NETSTRING_DIGITS + 2)

static struct str
word(enum answer_kind kind)
{
	switch (kind) {
	case ANSWER_OK:
		return STR("OK");
	case ANSWER_NOTFOUND:
		return STR("NOTFOUND");
	case ANSWER_PERM:
		return STR("PERM");
	case ANSWER_TEMP:
		break;
	}
	return STR("TEMP");
}

static void
count(enum answer_kind kind)
{
	static const enum metric metrics[] = {
		[ANSWER_TEMP] = METRIC_MAP_BROKEN, [ANSWER_OK] = METRIC_MAP_FOUND,
		[ANSWER_NOTFOUND] = METRIC_MAP_ABSENT,
		[ANSWER_PERM] = METRIC_MAP_BROKEN,
	};

	metrics_add(metrics[kind], 1);
}

static enum map_event
feed(const struct agent *agent, struct str *in, struct arena *a,
    struct buf *out)
{
	struct str query, map;
	struct answer answer;

	switch (netstring_take(in, SOCKETMAP_QUERY_MAX, &query)) {
	case NETSTRING_BAD:
		return MAP_CLOSE;
	case NETSTRING_MORE:
		return MAP_MORE;
	case NETSTRING_ONE:
		break;
	}
	if (!str_split(&query, ' ', &map) || query.p == NULL)
		return MAP_CLOSE;	/* a map and no key */
	answer = answer_map(agent, map, query, a);
	count(answer.kind);
	if (answer.text.n > SOCKETMAP_REPLY_MAX - sizeof("NOTFOUND"))
		answer = (struct answer){ ANSWER_TEMP,
		    STR("the value is too long") };
	return netstring_add(out, word(answer.kind), answer.text) < 0 ?
	    MAP_CLOSE : MAP_ANSWERED;
}

const struct map_protocol socketmap_protocol = {
	.name = "map",
	.request_max = SOCKETMAP_QUERY_MAX + FRAME,
	.feed = feed,
};
