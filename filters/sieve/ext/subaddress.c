/* subaddress (RFC 5233): :user and :detail; the split is in values.c. */
#include "filters/sieve/ext/list.h"
#include "filters/sieve/values.h"

static const struct sieve_tag tags[] = {
	{ .name = "user", .on = ON_ADDRESS_PART, .slot = SLOT_ADDRESS_PART,
	    .code = ADDRESS_PART_USER },
	{ .name = "detail", .on = ON_ADDRESS_PART, .slot = SLOT_ADDRESS_PART,
	    .code = ADDRESS_PART_DETAIL },
};

const struct sieve_ext ext_subaddress = {
	.name = "subaddress",
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
