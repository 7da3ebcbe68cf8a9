#include "lda/content_memo.h"

#include <stdio.h>
#include <string.h>

/* Ids are shorter; names, types and rules have their own ceilings. */
#define ID_MAX 32
#define FACTS_MAX (CONTENT_TEXT_MAX + 2 * ATTACHMENT_NAME_MAX + 1024u)

static struct {
	char id[ID_MAX];
	struct str rules;
	struct content_facts facts;
	struct arena arena;
} memo;

static bool
copy(const struct content_facts *from, struct arena *a,
    struct content_facts *to_r)
{
	struct content_facts to = *from;

	to.rule = arena_copy(a, from->rule);
	to.name = arena_copy(a, from->name);
	to.type = arena_copy(a, from->type);
	if (!to.rule.p || !to.name.p || !to.type.p)
		return false;
	*to_r = to;
	return true;
}

bool
content_memo_find(const char *id, struct str rules, struct arena *a,
    struct content_facts *facts_r)
{
	return memo.id[0] && strcmp(memo.id, id) == 0 &&
	    str_eq(memo.rules, rules) && copy(&memo.facts, a, facts_r);
}

void
content_memo_keep(const char *id, struct str rules,
    const struct content_facts *facts)
{
	arena_release(&memo.arena);
	arena_init(&memo.arena, (size_t)2 * FACTS_MAX);
	memo.id[0] = '\0';
	memo.rules = arena_copy(&memo.arena, rules);
	/* What does not fit is asked again. */
	if (memo.rules.p && copy(facts, &memo.arena, &memo.facts) &&
	    strlen(id) < sizeof(memo.id))
		(void)snprintf(memo.id, sizeof(memo.id), "%s", id);
}
