/* Match types that are extensions: relational (RFC 5231) and regex (draft);
 * what they do is in match.c. :list is in extlists.c. */
#include "filters/sieve/ext/list.h"
#include "filters/sieve/match.h"
#include "filters/sieve/ext/variables.h"

static const struct sieve_tag relational_tags[] = {
	{ .name = "count", .on = ON_MATCH, .slot = SLOT_MATCH,
	    .code = MATCH_COUNT, .value = VALUE_STRING,
	    .value_slot = SLOT_RELATION, .literal = true },
	{ .name = "value", .on = ON_MATCH, .slot = SLOT_MATCH,
	    .code = MATCH_VALUE, .value = VALUE_STRING,
	    .value_slot = SLOT_RELATION, .literal = true },
};

const struct sieve_ext ext_relational = {
	.name = "relational",
	.tags = relational_tags,
	.n_tags = COUNT_OF(relational_tags),
};

static const struct sieve_tag regex_tags[] = {
	{ .name = "regex", .on = ON_MATCH, .slot = SLOT_MATCH,
	    .code = MATCH_REGEX },
	{ .name = "quoteregex", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_QUOTEREGEX },
};

const struct sieve_ext ext_regex = {
	.name = "regex",
	.tags = regex_tags,
	.n_tags = COUNT_OF(regex_tags),
};
