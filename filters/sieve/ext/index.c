/* index (RFC 5260 section 6): :index and :last for header, address, date. */
#include "filters/sieve/ext/list.h"

static const struct sieve_tag tags[] = {
	{ .name = "index", .on = ON_INDEX, .slot = SLOT_INDEX,
	    .value = VALUE_NUMBER },
	{ .name = "last", .on = ON_INDEX, .slot = SLOT_LAST },
};

const struct sieve_ext ext_index = {
	.name = "index",
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
