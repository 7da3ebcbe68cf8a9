/* Capability names of comparators (RFC 4790, 5051; RFC 5228 section 2.7.3:
 * the first two are always there and may be required all the same). */
#include "filters/sieve/ext/list.h"

const struct sieve_ext ext_cmp_octet = {
	.name = "comparator-i;octet",
	.flags = EXT_CORE,
};

const struct sieve_ext ext_cmp_casemap = {
	.name = "comparator-i;ascii-casemap",
	.flags = EXT_CORE,
};

const struct sieve_ext ext_cmp_numeric = {
	.name = "comparator-i;ascii-numeric",
};

const struct sieve_ext ext_cmp_unicode = {
	.name = "comparator-i;unicode-casemap",
};
