#include "lda/plan_world.h"

#include "lda/effects.h"
#include "lda/place.h"
#include "lda/scripts.h"
#include "store/mailbox.h"

#define ADDRESS_MAX 2000

static enum engine_answer
mailbox_there(void *ctx, struct str mailbox)
{
	const struct plan_world *w = ctx;
	struct mailbox_spec spec;
	struct verdict v = VERDICT_INIT;

	if (place_mailbox(w->settings, w->target, mailbox, w->agent->hostname,
	    w->arena, &spec, &v) < 0)
		return v.why == V_BAD_ADDRESS ? ENGINE_NO : ENGINE_BROKEN;
	/* The inbox is there as soon as mail comes. */
	if (mailbox.n == 5 && str_caseeq(mailbox, STR("INBOX")))
		return ENGINE_YES;
	switch (mailbox_exists(&spec, &v)) {
	case 1:
		return ENGINE_YES;
	case 0:
		return ENGINE_NO;
	default:
		return ENGINE_BROKEN;
	}
}

static enum engine_answer
duplicate_seen(void *ctx, struct str key)
{
	const struct plan_world *w = ctx;
	struct state *state = effects_state(w->settings,
	    w->target->account.local, w->target->account.domain);
	struct verdict v = VERDICT_INIT;
	enum state_answer answer = state_seen(state, STATE_DUPLICATE, key, &v);

	state_close(&state);
	/* RFC 7352 section 3: what cannot be asked was not seen; the mail is
	 * worth more than a copy too many. */
	return answer == STATE_YES ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	const struct plan_world *w = ctx;

	return scripts_include(w->settings, &w->target->account, location, name,
	    w->arena, script_r);
}

void
plan_world_init(struct engine_world *world, struct plan_world *context)
{
	*world = (struct engine_world){
		.ctx = context,
		.mailbox_exists = mailbox_there,
		.duplicate_seen = duplicate_seen,
		.include = include,
	};
}

int
plan_zone(time_t t)
{
	struct tm tm;

	return localtime_r(&t, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

int
plan_envelope_to(const struct target *t, const struct settings *s,
    struct arena *a, struct str *to_r, struct verdict *v)
{
	struct buf b;

	buf_init(&b, ADDRESS_MAX);
	buf_adds(&b, t->account.local);
	if (t->detail.n) {
		buf_addc(&b, s->recipient_delimiter[0] ?
		    s->recipient_delimiter[0] : '+');
		buf_adds(&b, t->detail);
	}
	buf_addc(&b, '@');
	buf_adds(&b, t->account.domain);
	*to_r = b.full ? (struct str){ NULL, 0 } : arena_copy(a, buf_str(&b));
	buf_release(&b);
	return to_r->p ? 0 : verdict_set(v, V_NO_MEMORY, "arena is full");
}
