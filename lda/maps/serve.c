#include "lda/maps/serve.h"

enum map_event
map_feed(const struct map_protocol *p, const struct agent *agent,
    struct str *in, struct arena *a, struct buf *out)
{
	enum map_event event = MAP_MORE;

	while (in->n > 0 && out->n < MAP_FLUSH) {
		event = p->feed(agent, in, a, out);
		arena_reset(a);
		if (event != MAP_ANSWERED)
			return event;
	}
	return in->n > 0 ? MAP_ANSWERED : MAP_MORE;
}
