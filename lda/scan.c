#include "lda/scan.h"

#include <string.h>

/* Scanners whose answers about one message are remembered: more than that
 * many different ones, for recipients of one message, are asked again. */
#define REMEMBERED 16

/* Of the message at hand. A process delivers one at a time. */
static struct {
	char id[sizeof(((struct parcel *)NULL)->id)];
	size_t n;
	struct {
		char scanner[512];
		bool large;	/* for a domain where it is too large */
		struct scan_result result;
	} list[REMEMBERED];
} known;

const char *
scan_word(enum scan_answer answer)
{
	static const char *const words[SCAN_ANSWER_COUNT] = {
		[SCAN_CLEAN] = "clean", [SCAN_FOUND] = "found",
		[SCAN_TOO_BIG] = "unasked", [SCAN_BROKEN] = "failed",
	};

	return words[answer];
}

void
scan_set(struct scan_result *r, enum scan_answer answer, struct str what)
{
	size_t n = 0;

	r->answer = answer;
	what = str_trim(what);
	for (; n < what.n && n < SCAN_WHAT; n++)
		r->what[n] = what.p[n] < ' ' || what.p[n] > '~' ? '?' :
		    what.p[n];
	r->what[n] = '\0';
}

static const struct scan_result *
remembered(const struct parcel *parcel, const char *scanner, bool large)
{
	if (strcmp(known.id, parcel->id) != 0) {
		memcpy(known.id, parcel->id, sizeof(known.id));
		known.n = 0;
	}
	for (size_t i = 0; i < known.n; i++)
		if (strcmp(known.list[i].scanner, scanner) == 0 &&
		    known.list[i].large == large)
			return &known.list[i].result;
	return NULL;
}

static void
remember(const char *scanner, bool large, const struct scan_result *r)
{
	size_t n = strlen(scanner);

	if (known.n == REMEMBERED || n >= sizeof(known.list[0].scanner))
		return;
	memcpy(known.list[known.n].scanner, scanner, n + 1);
	known.list[known.n].large = large;
	known.list[known.n++].result = *r;
}

static void
ask(const struct settings *s, const struct parcel *parcel, const char *scanner,
    bool (*stop)(void), struct scan_finding *f)
{
	bool large = s->scan_size_limit &&
	    parcel->spool->n > s->scan_size_limit;
	const struct scan_result *before = remembered(parcel, scanner, large);
	struct scan_job job = { .scanner = scanner,
	    .message = &parcel->spool->source, .timeout_ms = s->scan_timeout,
	    .stop = stop };

	f->scanner = scanner;
	if (before) {
		f->result = *before;
		return;
	}
	f->fresh = true;
	if (large)
		scan_set(&f->result, SCAN_TOO_BIG,
		    STR("larger than scan_size_limit"));
	else if (scan_is_command(scanner))
		scan_command(&job, &f->result);
	else
		scan_clamd(&job, &f->result);
	remember(scanner, large, &f->result);
}

/* What was found decides; then that somebody could not be asked. */
void
scan_message(const struct settings *s, const struct parcel *parcel,
    bool (*stop)(void), struct scan_finding *f)
{
	struct scan_finding one;

	*f = (struct scan_finding){ .asked = s->scanners.n > 0 };
	for (size_t i = 0; i < s->scanners.n; i++) {
		one = (struct scan_finding){ .asked = true };
		ask(s, parcel, s->scanners.v[i], stop, &one);
		one.fresh = one.fresh || f->fresh;
		f->fresh = one.fresh;
		if (i == 0 || one.result.answer == SCAN_FOUND ||
		    one.result.answer > f->result.answer)
			*f = one;
		if (one.result.answer == SCAN_FOUND || (stop && stop()))
			return;
	}
}
