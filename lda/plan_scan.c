#include "lda/plan_scan.h"

#include <errno.h>
#include <string.h>

#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/scan.h"
#include "store/content.h"

static const struct str marks[] = {
	{ PLAN_SCAN_FIELD, sizeof(PLAN_SCAN_FIELD) - 1 },
};

static void
count(enum scan_answer answer)
{
	static const enum metric counters[SCAN_ANSWER_COUNT] = {
		[SCAN_CLEAN] = METRIC_SCAN_CLEAN,
		[SCAN_FOUND] = METRIC_SCAN_FOUND,
		[SCAN_TOO_BIG] = METRIC_SCAN_UNASKED,
		[SCAN_BROKEN] = METRIC_SCAN_FAILED,
	};

	metrics_add(counters[answer], 1);
}

/* For the log and the rehearsal; what was found outlives the next message. */
static int
note(const struct agent *agent, const struct parcel *parcel,
    const struct scan_finding *f, struct plan *plan, struct verdict *v)
{
	struct str what = arena_copy(plan->arena, str_of(f->result.what));

	if (!what.p)
		return verdict_set(v, V_NO_MEMORY, "the plan is too large");
	/* The severest of all targets. */
	if (!plan->scan.word || f->result.answer == SCAN_FOUND ||
	    (plan->scan.answer != SCAN_FOUND &&
	    f->result.answer > plan->scan.answer)) {
		plan->scan.answer = f->result.answer;
		plan->scan.word = scan_word(f->result.answer);
		plan->scan.what = what;
	}
	if (agent->mode == DELIVERY_REHEARSAL) {
		(void)buf_addf(&plan->trace, "scanner %s: %s%s%s\n", f->scanner,
		    scan_word(f->result.answer), what.n ? ", " : "",
		    f->result.what);	/* cut is enough */
		return 0;
	}
	if (!f->fresh)
		return 0;
	count(f->result.answer);
	if (f->result.answer == SCAN_BROKEN)
		log_say(SET_LOG_WARNING, "%s: scanner %s: %s", parcel->id,
		    f->scanner, f->result.what);
	return 0;
}

static int
make_mark(const struct scan_finding *f, struct arena *arena,
    struct str *mark_r, struct verdict *v)
{
	struct buf b;

	buf_init(&b, SCAN_WHAT * 2);
	(void)buf_addz(&b, PLAN_SCAN_FIELD ": found; what=\"");
	for (const char *c = f->result.what; *c; c++)
		(void)buf_addc(&b, *c == '"' || *c == '\\' ? '?' : *c);
	(void)buf_addz(&b, "\"\n");
	*mark_r = arena_copy(arena, buf_str(&b));
	buf_release(&b);
	return mark_r->p ? 0 : verdict_set(v, V_NO_MEMORY,
	    "the plan is too large");
}

enum plan_scan_way
plan_scan(const struct agent *agent, const struct parcel *parcel,
    const struct settings *s, struct plan *plan, struct str *mark_r,
    struct verdict *v)
{
	struct scan_finding f;

	*mark_r = STR("");
	scan_message(s, parcel, agent->stop, &f);
	if (!f.asked)
		return PLAN_SCAN_ON;
	if (note(agent, parcel, &f, plan, v) < 0)
		return PLAN_SCAN_DEFER;
	switch (f.result.answer) {
	case SCAN_FOUND:
		break;
	case SCAN_BROKEN:
		if (s->scan_failure == SET_SCAN_FAILURE_ACCEPT &&
		    !(agent->stop && agent->stop()))
			return PLAN_SCAN_ON;
		verdict_set(v, V_TROUBLE, "scanner %s: %s", f.scanner,
		    f.result.what);
		return PLAN_SCAN_DEFER;
	case SCAN_CLEAN:
	case SCAN_TOO_BIG:
	case SCAN_ANSWER_COUNT:
		return PLAN_SCAN_ON;
	}
	if (make_mark(&f, plan->arena, mark_r, v) < 0)
		return PLAN_SCAN_DEFER;
	return s->scan_found == SET_SCAN_FOUND_TAG ? PLAN_SCAN_TAG :
	    s->scan_found == SET_SCAN_FOUND_QUARANTINE ? PLAN_SCAN_QUARANTINE :
	    PLAN_SCAN_REJECT;
}

int
plan_scan_refuse(const struct plan *plan, struct verdict *v)
{
	const struct str what = plan->scan.what;

	verdict_set(v, V_POLICY, "scanner: %.*s", STR_ARG(what));
	/* Some name the file that they looked at: the log has it. */
	if (str_chr(what, '/') >= 0)
		verdict_say(v, "Message refused by the content filter");
	else
		verdict_say(v, "Message refused: the content filter found %.*s",
		    STR_ARG(what));
	return -1;
}

static int
add_to_buf(void *arg, const char *p, size_t n)
{
	return buf_add(arg, p, n);
}

int
plan_scan_view(const struct parcel *parcel, struct str mark,
    struct buf *bytes, struct source *source_r, struct verdict *v)
{
	const struct spool *spool = parcel->spool;
	struct content c = { .message = &spool->source, .body = spool->body,
	    .head = mark, .drop = marks, .drops = 1 };

	*source_r = spool->source;
	if (!mark.n && !parcel->trace.marked)
		return 0;
	if (content_write(&c, CONTENT_PLAIN, add_to_buf, bytes) < 0)
		return bytes->full ? verdict_set(v, V_TOO_BIG,
		    "message to filter") :
		    verdict_errno(v, errno, "read spooled message");
	*source_r = (struct source){ .mem = bytes->p, .fd = -1,
	    .n = bytes->n };
	return 0;
}
