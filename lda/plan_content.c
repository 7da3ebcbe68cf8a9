#include "lda/plan_content.h"

#include "lda/content_rules.h"
#include "lda/log.h"
#include "lda/metrics.h"

/* Of an attachment's name, in a reply. */
#define NAME_SHOWN 60

int
plan_content_rules(const struct agent *agent, const struct target *t,
    const struct settings *s, struct plan *plan, struct str *rules_r,
    struct verdict *v)
{
	struct str why;

	if (content_rules(s, t->account.local.n ? &t->account : NULL,
	    plan->arena, rules_r, &why, v) < 0)
		return -1;
	if (why.n && agent->mode == DELIVERY_REHEARSAL)
		(void)buf_addf(&plan->trace, "error: content policy of the "
		    "directory: %.*s\n", STR_ARG(why));
	else if (why.n)
		log_say(SET_LOG_ERROR, "content policy of <%.*s> in the "
		    "directory: %.*s", STR_ARG(t->address), STR_ARG(why));
	return 0;
}

void
plan_content_note(const struct agent *agent, const struct parcel *parcel,
    const struct filter_content *c, struct plan *plan)
{
	static const enum metric counters[CONTENT_ACT_COUNT] = {
		[CONTENT_ACCEPT] = METRIC_CONTENT_ACCEPTED,
		[CONTENT_TAG] = METRIC_CONTENT_TAGGED,
		[CONTENT_QUARANTINE] = METRIC_CONTENT_QUARANTINED,
		[CONTENT_REJECT] = METRIC_CONTENT_REJECTED,
	};
	struct plan_content *to = &plan->content;

	if (agent->mode == DELIVERY_REAL)
		metrics_add(c->judged ? counters[c->facts.act] :
		    METRIC_CONTENT_FAILED, 1);
	if (!c->judged) {
		if (agent->mode == DELIVERY_REAL)
			log_say(SET_LOG_WARNING, "content policy not asked for "
			    "%s (msgid %s): %.*s", parcel->id,
			    parcel->trace.msgid, STR_ARG(c->why));
		to->failed = true;
		to->why = c->why;
	}
	if (!to->asked || c->facts.act > to->act) {
		to->act = c->facts.act;
		to->facts = c->facts;
	}
	to->asked = true;
}

int
plan_content_refuse(const struct plan *plan, struct verdict *v)
{
	const struct content_facts *f = &plan->content.facts;
	static const struct {
		unsigned flag;
		const char *what;
	} words[] = {
		{ ATTACHMENT_BOMB, "an archive that unpacks to far too much" },
		{ ATTACHMENT_EXECUTABLE, "a program or script" },
		{ ATTACHMENT_ENCRYPTED, "encrypted" },
		{ ATTACHMENT_BROKEN, "damaged" },
		{ ATTACHMENT_MISMATCH, "not what its name says" },
	};
	const char *what = "of a kind that is not accepted here";
	struct buf name;

	for (size_t i = sizeof(words) / sizeof(words[0]); i-- > 0;)
		if (f->flags & words[i].flag)
			what = words[i].what;
	verdict_set(v, V_POLICY, "content policy: %.*s", STR_ARG(f->rule));
	buf_init(&name, VERDICT_TEXT);
	for (size_t i = 0; i < f->name.n && i < NAME_SHOWN; i++)
		(void)buf_addc(&name, f->name.p[i] < ' ' || f->name.p[i] > '~' ||
		    f->name.p[i] == '"' ? '?' : f->name.p[i]);
	if (name.n)
		verdict_say(v, "Attachment \"%s\" refused: %s", name.p, what);
	else
		verdict_say(v, "Attachment refused: %s", what);
	buf_release(&name);
	return -1;
}
