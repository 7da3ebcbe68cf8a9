/*
 * Bytes to tokens (RFC 5228 sections 2.1 to 2.4 and 8.1).
 *
 *	struct lexer x;
 *	lexer_init(&x, script, &arena, errors, name);
 *	do lexer_next(&x); while (x.token != T_END);
 *
 * The current token lies in x. A broken one is reported to `errors` and
 * comes as T_ERROR; lexing goes on behind it.
 */
#ifndef FILTERS_SIEVE_LEXER_H
#define FILTERS_SIEVE_LEXER_H

#include <stdint.h>

#include "filters/engine.h"
#include "store/base/arena.h"
#include "store/base/str.h"

enum token {
	T_END,
	T_ERROR,
	T_IDENTIFIER,	/* text */
	T_TAG,		/* text without the colon */
	T_NUMBER,	/* number */
	T_STRING,	/* text, escapes undone */
	T_SEMICOLON,
	T_COMMA,
	T_OPEN_PAREN,
	T_CLOSE_PAREN,
	T_OPEN_BRACKET,
	T_CLOSE_BRACKET,
	T_OPEN_BRACE,
	T_CLOSE_BRACE,
};

struct lexer {
	/* the current token */
	enum token token;
	struct str text;
	uint64_t number;
	unsigned line;		/* where it begins, from 1 */
	unsigned column;	/* in bytes, from 1 */
	/* private */
	const char *p;
	const char *end;
	const char *line_start;
	unsigned line_now;
	struct arena *arena;
	struct engine_errors *errors;
	struct str name;
};

void lexer_init(struct lexer *x, struct str script, struct arena *arena,
    struct engine_errors *errors, struct str name);
void lexer_next(struct lexer *x);
/* The current token in words, for "expected A, found B". */
const char *lexer_token_name(enum token t);

#endif
