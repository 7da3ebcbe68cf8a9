/*
 * The plan: actions as the script asks for them, with the rules of what
 * goes with what, one copy per mailbox and the ceilings.
 */
#ifndef FILTERS_SIEVE_ACTIONS_H
#define FILTERS_SIEVE_ACTIONS_H

#include "filters/engine.h"
#include "filters/sieve/eval.h"

/* Adds an action; its strings are copied. Cancels the implicit keep as the
 * kind and flags say. 0, or -1 when it conflicts or is one too many. */
int plan_add(struct run *r, const struct node *n, struct engine_action *a);
/* Fills imap_flags: from :flags, or the internal variable when imap4flags
 * is required. */
int plan_flags(struct run *r, const struct node *n, struct engine_action *a);
/* The message as it is now: an index into the plan's editions. */
int plan_edition(struct run *r, const struct node *n, unsigned *edition_r);
/* Called before the message itself becomes another: the first one is
 * noted. */
int plan_begin_editions(struct run *r, const struct node *n);

/* Before each script of the row. imap4flags' variable goes on from one to the
 * next, as Pigeonhole has it: flags that the site gives are flags that the
 * user's fileinto stores. */
void plan_script_begin(struct run *r);

/* At the end of each script. */
enum plan_end {
	PLAN_LAST,	/* no script follows: what is kept becomes an action */
	PLAN_MORE,	/* one follows */
};
/* 1: the next script is to run; 0: done; -1: no memory. */
int plan_script_end(struct run *r, enum plan_end end);
/* The script failed: its actions go, a keep comes. */
int plan_failed(struct run *r);
/* A valid name for a mailbox? */
bool plan_mailbox_ok(struct str name, const char **why_r);

#endif
