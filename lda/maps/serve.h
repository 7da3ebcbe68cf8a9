/*
 * Questions, one after another or many at once, and their answers. The
 * protocols are tables of functions without descriptors; lda/server/answerer
 * has the connections.
 */
#ifndef LDA_MAPS_SERVE_H
#define LDA_MAPS_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "lda/delivery.h"
#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"

/* Answers are sent at the latest when there are so many bytes of them. */
#define MAP_FLUSH 65536
/* One answer. */
#define MAP_REPLY_MAX 110000
#define MAP_OUT_MAX (MAP_FLUSH + MAP_REPLY_MAX)

enum map_event {
	MAP_CLOSE = 0,		/* nonsense came: hang up */
	MAP_MORE,		/* nothing whole is left in *in */
	MAP_ANSWERED,		/* one answer was added to `out` */
};

struct map_protocol {
	const char *name;
	size_t request_max;	/* bytes of one request with its frame */
	/* Takes one request off the front of *in and adds its answer. */
	enum map_event (*feed)(const struct agent *agent, struct str *in,
	    struct arena *a, struct buf *out);
};

/*
 * Answers what is whole in *in, as far as MAP_FLUSH allows, and until the
 * clock (clock_mono_ms) has until_ms, though at least one question; 0: as long
 * as it takes. MAP_ANSWERED says that there may be more. `out` has MAP_OUT_MAX
 * and is empty.
 */
enum map_event map_feed(const struct map_protocol *p,
    const struct agent *agent, struct str *in, struct arena *a,
    struct buf *out, int64_t until_ms);

#endif
