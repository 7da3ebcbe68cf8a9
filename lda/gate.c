#include "lda/gate.h"

#include "lda/quota.h"

/* Something that the directory says, or that it could not be asked? */
static enum gate_answer
judge(const struct verdict *v)
{
	if (v->why == V_OK)
		return GATE_YES;
	if (v->why == V_LOCKED || v->why == V_FULL_FOR_NOW ||
	    verdict_kind(v) == VERDICT_REFUSED)
		return GATE_NO;
	return GATE_BROKEN;
}

enum gate_answer
gate_domain(const struct agent *agent, struct str domain, struct arena *a,
    struct domain_record *record_r, struct verdict *v)
{
	if (resolve_domain(agent->resolver, domain, a, record_r, v) == 0)
		return GATE_YES;
	/* What is no name of a domain is no domain of ours. */
	if (v->why == V_UNKNOWN_DOMAIN || v->why == V_BAD_ADDRESS)
		return GATE_STRANGER;
	return judge(v);
}

int
gate_room(const struct agent *agent, const struct resolution *res,
    uint64_t size, struct verdict *v)
{
	const struct settings *s = config_domain(agent->config, res->domain);

	if (s->message_size_limit && size > s->message_size_limit)
		return verdict_set(v, V_TOO_BIG, "declared %llu bytes",
		    (unsigned long long)size);
	return quotas_check(agent, res, size, v);
}

enum gate_answer
gate_recipient(const struct agent *agent, struct str local, struct str domain,
    uint64_t size, struct arena *a, struct resolution *res_r,
    struct verdict *v)
{
	struct resolver resolver;
	struct domain_record record;
	enum gate_answer answer;

	*res_r = (struct resolution){ .verdict = VERDICT_INIT };
	/* A domain that refuses mail is ours; the resolver says it in its
	 * order, where a bad name comes first. */
	answer = gate_domain(agent, domain, a, &record, v);
	if (answer == GATE_STRANGER || answer == GATE_BROKEN)
		return answer;
	resolver = agent_resolver(agent, domain);
	if (resolve_recipient(&resolver, local, domain, STR(""), a, res_r) < 0) {
		*v = res_r->verdict;
		return judge(v);
	}
	if (gate_room(agent, res_r, size, v) < 0)
		return judge(v);
	*v = res_r->verdict;
	return GATE_YES;
}
