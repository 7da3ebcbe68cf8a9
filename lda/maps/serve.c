#include "lda/maps/serve.h"

#include "store/base/clock.h"

enum map_event
map_feed(const struct map_protocol *p, const struct agent *agent,
    struct str *in, struct arena *a, struct buf *out, int64_t until_ms)
{
	enum map_event event = MAP_MORE;

	while (in->n > 0 && out->n < MAP_FLUSH) {
		event = p->feed(agent, in, a, out);
		arena_reset(a);
		if (event != MAP_ANSWERED)
			return event;
		if (until_ms && clock_mono_ms() >= until_ms)
			break;
	}
	return in->n > 0 ? MAP_ANSWERED : MAP_MORE;
}
