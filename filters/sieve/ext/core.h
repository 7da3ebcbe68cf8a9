/*
 * What check and eval must know of the language itself (RFC 5228 sections 3
 * and 5): control structures by number.
 */
#ifndef FILTERS_SIEVE_EXT_CORE_H
#define FILTERS_SIEVE_EXT_CORE_H

#include <stdbool.h>

#include "filters/sieve/registry.h"

enum core_join {
	CORE_NONE,
	CORE_IF,
	CORE_ELSIF,
	CORE_ELSE,
	CORE_NOT,
	CORE_ALLOF,
	CORE_ANYOF,
};

enum core_join core_join_of(const struct sieve_spec *spec);
/* "if", "elsif", "else" by name; CORE_NONE for all else. */
enum core_join core_join_name(struct str name);
/* stop, return, error, break: nothing behind it in its block is run. */
bool core_ends_block(const struct sieve_spec *spec);
bool core_is_loop(const struct sieve_spec *spec);
bool core_is_ihave(const struct sieve_spec *spec);

/* Numbers of registry_op() for the control commands; fixed by core.c. */
enum core_op {
	OP_IF = 1,
	OP_ELSIF,
	OP_ELSE,
};

#endif
