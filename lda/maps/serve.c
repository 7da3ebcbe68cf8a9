#include "lda/maps/serve.h"

#include <stdlib.h>
#include <string.h>

#include "lda/resolve.h"
#include "store/base/clock.h"

/* More than any request. */
#define INPUT_MAX 65536
/* A retiring process hangs up on a client that is quiet for so long. */
#define RETIRE_MS 5000

struct serving {
	const struct map_protocol *protocol;
	const struct visit *visit;
	const struct settings *settings;
	struct arena arena;
	struct buf out;
	size_t n;			/* bytes of `input` in use */
	int64_t since_ms;		/* began to wait for this request */
	char input[INPUT_MAX];
};

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

/* Whatever is whole is answered in one piece. false: no more of this. */
static bool
answer(struct serving *s)
{
	struct str in = str_mem(s->input, s->n);
	enum map_event event;

	do {
		event = map_feed(s->protocol, s->visit->site->agent, &in,
		    &s->arena, &s->out);
		if (s->out.n > 0 && wire_write(s->visit->wire,
		    buf_str(&s->out), clock_mono_ms() +
		    (int64_t)s->settings->command_timeout) != WIRE_OK)
			return false;
		buf_reset(&s->out);
	} while (event == MAP_ANSWERED);
	if (in.n < s->n) {
		s->since_ms = clock_mono_ms();
		memmove(s->input, in.p, in.n);
		s->n = in.n;
	}
	return event != MAP_CLOSE;
}

/* Has it been decided that this connection ends here? Half a question does
 * not hold us: the client asks again elsewhere. */
static bool
dismissed(const struct serving *s, int64_t *deadline)
{
	const struct session_site *site = s->visit->site;

	switch (site->order ? site->order() : SESSION_GO_ON) {
	case SESSION_GO_ON:
		return false;
	case SESSION_RETIRE:
		if (*deadline > s->since_ms + RETIRE_MS)
			*deadline = s->since_ms + RETIRE_MS;
		return false;
	case SESSION_STOP:
	case SESSION_STOP_NOW:
		break;
	}
	return true;
}

static bool
more(struct serving *s)
{
	int64_t deadline;
	size_t got;

	for (;;) {
		/* A client may be quiet for long, but not in the middle. */
		deadline = s->since_ms + (int64_t)(s->n == 0 ?
		    s->settings->idle_timeout : s->settings->command_timeout);
		if (dismissed(s, &deadline))
			return false;
		switch (wire_read(s->visit->wire, s->input + s->n,
		    sizeof(s->input) - s->n, deadline, &got)) {
		case WIRE_OK:
			if (s->n == 0)
				s->since_ms = clock_mono_ms();
			s->n += got;
			return true;
		case WIRE_SIGNAL:
			break;
		case WIRE_END:
		case WIRE_TIMEOUT:
			return false;
		}
	}
}

void
map_serve(const struct map_protocol *p, const struct visit *v)
{
	struct serving *s = calloc(1, sizeof(*s));

	if (!s)
		return;		/* the peer sees the connection close */
	s->protocol = p;
	s->visit = v;
	s->settings = &v->site->agent->config->global;
	arena_init(&s->arena, RESOLVE_ARENA);
	buf_init(&s->out, MAP_OUT_MAX);
	s->since_ms = clock_mono_ms();
	while (more(s) && answer(s))
		;
	buf_release(&s->out);
	arena_release(&s->arena);
	free(s);
}
