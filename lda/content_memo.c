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

bool
content_memo_find(const char *id, struct str rules,
    struct content_facts *facts_r)
{
	if (!memo.id[0] || strcmp(memo.id, id) != 0 ||
	    !str_eq(memo.rules, rules))
		return false;
	*facts_r = memo.facts;
	return true;
}

void
content_memo_keep(const char *id, struct str rules,
    const struct content_facts *facts)
{
	arena_release(&memo.arena);
	arena_init(&memo.arena, (size_t)2 * FACTS_MAX);
	memo.id[0] = '\0';
	memo.facts = *facts;
	memo.rules = arena_copy(&memo.arena, rules);
	memo.facts.rule = arena_copy(&memo.arena, facts->rule);
	memo.facts.name = arena_copy(&memo.arena, facts->name);
	memo.facts.type = arena_copy(&memo.arena, facts->type);
	/* What does not fit is asked again. */
	if (memo.rules.p && memo.facts.rule.p && memo.facts.name.p &&
	    memo.facts.type.p && strlen(id) < sizeof(memo.id))
		(void)snprintf(memo.id, sizeof(memo.id), "%s", id);
}
