/*
 * What replace and enclose (RFC 5703 sections 5 and 6) share: the message
 * becomes another one, for the tests that follow and for the actions. Its
 * bytes are made anew in the run's memory; the plan holds of them what was not
 * in the message before (engine.h, engine_piece).
 *
 *	struct engine_body b;
 *	rewrite_begin(r, n, &b) || rewrite_add_text(...) ||
 *	rewrite_add_old(...) || rewrite_commit(r, n, header, &b, 0)
 *
 * All answer 0, or -1 with an error of the run.
 */
#ifndef FILTERS_SIEVE_REWRITE_H
#define FILTERS_SIEVE_REWRITE_H

#include "filters/sieve/eval.h"

int rewrite_begin(struct run *r, const struct node *n, struct engine_body *b_r);
/* Borrowed, and has to live as long as the run. */
int rewrite_add_text(struct run *r, const struct node *n,
    struct engine_body *b, struct str text);
/* A stretch of the current body. */
int rewrite_add_old(struct run *r, const struct node *n,
    struct engine_body *b, size_t from, size_t size);
/*
 * The message is now `header` (with its empty line) and the body. A part that
 * had the number i has i + shift now: loops go on with it.
 */
int rewrite_commit(struct run *r, const struct node *n, struct str header,
    const struct engine_body *b, unsigned shift);

/* The header of before any enclose: who answers, notifies and remembers looks
 * at the message that came. */
struct header *rewrite_first_header(struct run *r);
/* Is this a field that says how a body is built? */
bool rewrite_structural(struct str name);
/* The fields in front of a text of ours, with the empty line. */
int rewrite_text_fields(struct run *r, const struct node *n, struct str text,
    struct buf *out);

#endif
