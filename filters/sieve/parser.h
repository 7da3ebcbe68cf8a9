/*
 * Tokens to a tree of commands, tests and arguments (RFC 5228 section 8.2).
 * Knows the grammar and no names: what "if" is, the check says.
 */
#ifndef FILTERS_SIEVE_PARSER_H
#define FILTERS_SIEVE_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/engine.h"
#include "store/base/arena.h"
#include "store/base/str.h"

enum syntax_kind {
	SYNTAX_STRING,
	SYNTAX_LIST,	/* items are strings */
	SYNTAX_NUMBER,
	SYNTAX_TAG,
};

struct syntax_arg {
	enum syntax_kind kind;
	unsigned line;
	unsigned column;
	struct str text;		/* string; name of a tag */
	uint64_t number;
	struct syntax_arg *items;	/* of a list */
	uint32_t n_items;
	struct syntax_arg *next;
};

/* A command or a test. */
struct syntax {
	struct str name;
	unsigned line;
	unsigned column;
	struct syntax_arg *args;
	struct syntax *tests;
	bool test_list;			/* tests stood in parentheses */
	struct syntax *block;
	bool has_block;
	struct syntax *next;
};

/*
 * The commands of a script, NULL for an empty one. Errors go to `errors`;
 * the tree of a script with errors holds what could be read. The tree lies
 * in the arena and borrows from the script.
 */
struct syntax *parser_parse(struct str script, struct str name,
    struct arena *arena, struct engine_errors *errors);

#endif
