/*
 * Running programs: the state of one run and what extensions use of it.
 */
#ifndef FILTERS_SIEVE_EVAL_H
#define FILTERS_SIEVE_EVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/engine.h"
#include "filters/message/address.h"
#include "filters/message/message.h"
#include "filters/sieve/match.h"
#include "filters/sieve/program.h"
#include "filters/sieve/vars.h"

/* What a command answers. */
enum run_answer {
	RUN_ERROR = -1,
	RUN_NEXT = 0,
	RUN_STOP,
	RUN_RETURN,	/* out of this script */
	RUN_BREAK,	/* out of r->break_loop */
};

/* A script being run; included ones lie on top. */
struct frame {
	struct frame *below;
	struct str name;
	enum engine_location location;
	struct program program;
	const struct str *strings;	/* of the program, in its order */
	struct regex **regexes;		/* compiled at first use, likewise */
	struct vars vars;
	struct match_captures captures;
	unsigned depth;
};

struct loop {
	struct loop *outer;
	struct str name;
	struct mime_part *top, *part;
	bool over;		/* part was replaced: what is below it now is
				 * not of this loop */
};

struct cached_text {
	struct mime_part *part;
	int how;			/* enum body_text */
	struct str text;
	struct cached_text *next;
};

struct included {
	enum engine_location location;
	struct str name;
	struct included *next;
};

struct run {
	const struct engine_job *job;
	const struct engine_settings *settings;
	const struct engine_world *world;
	struct engine_result *result;
	struct arena arena;
	struct message message;
	struct frame *frame;
	struct vars globals;
	struct loop *loops;
	struct loop *break_loop;
	struct included *included;
	unsigned n_included;
	unsigned n_regexes;
	uint64_t work;
	/* the plan */
	unsigned cap_actions;
	unsigned n_redirects;
	size_t script_actions;		/* actions before this script */
	unsigned edition;		/* current, index into editions */
	unsigned cap_editions;
	bool header_changed;		/* since that edition */
	/* replace and enclose, rewrite.h */
	struct engine_body body;	/* what the current body is made of */
	unsigned n_rewrites;
	size_t n_rewritten;		/* bytes of the messages made */
	struct header *first_header;	/* as it was before an enclose; or NULL */
	unsigned first_edition;		/* likewise, for redirect */
	bool original_subject, original_from;	/* were added, and stay */
	unsigned n_added;
	size_t n_added_bytes;
	bool implicit_keep;
	size_t n_flags, n_row_flags;	/* of the two below */
	/* caches */
	struct cached_text *texts;
	size_t texts_size;
	struct str raw_body;			/* with LF; p NULL: not yet asked for */
	struct buf scratch;
	struct buf scratch2;
	unsigned trace_depth;
	/* NULL, or who walks the frame's program in the interpreter's place */
	enum run_answer (*walk)(struct run *r);
	/* Not cleared with the rest. imap4flags' own variable, and what it was
	 * when the script of the row began. */
	char flags[LIMIT_FLAGS_SIZE];
	char row_flags[LIMIT_FLAGS_SIZE];
};

/* engine.run of the native engine. */
int eval_run(const struct engine_job *job, struct engine_result *r);
/* The same with another's walk: it decides which commands are run, everything
 * around them (loading, the plan, its ends) stays. */
int eval_run_with(const struct engine_job *job, struct engine_result *r,
    enum run_answer (*walk)(struct run *r));

/* --- for extensions --- */

/* An error at a node of the current script. -1. */
int run_error(struct run *r, const struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int run_warn(struct run *r, const struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Counts work; -1 with an error when the budget is used up. */
int run_work(struct run *r, const struct node *n, uint64_t units);
/* n zeroed bytes of the run's memory; NULL with an error. */
void *run_alloc(struct run *r, const struct node *n, size_t size);
int run_no_memory(struct run *r, const struct node *n);
struct str run_copy(struct run *r, struct str s);

/* The string in a slot, variables in place. 0 or -1. */
int run_string(struct run *r, const struct node *n, enum slot slot,
    struct str *s_r);
/* The same, or empty with p NULL when the slot is empty. */
int run_string_opt(struct run *r, const struct node *n, enum slot slot,
    struct str *s_r);
/* The string as the script has it, no variables put in; p NULL: not given. */
struct str run_source(const struct run *r, const struct node *n,
    enum slot slot);
int run_list(struct run *r, const struct node *n, enum slot slot,
    const struct str **list_r, uint32_t *n_r);
uint64_t run_number(struct run *r, const struct node *n, enum slot slot);
uint32_t run_code(struct run *r, const struct node *n, enum slot slot,
    uint32_t otherwise);
static inline bool
run_extension(const struct run *r, unsigned ext)
{
	return r->frame->program.h->extensions >> ext & 1;
}
/* By name; slow. */
bool run_required(const struct run *r, const char *name);

/* Runs the commands of a block. */
enum run_answer run_block(struct run *r, uint32_t first);
/* Runs a script on top (include). */
enum run_answer run_script(struct run *r, const struct node *n,
    const struct engine_script *script);
/* One test. */
int run_test(struct run *r, uint32_t index);

/* The part that :mime means here, or the root. NULL with an error. */
struct mime_part *run_part(struct run *r, const struct node *n);

/* A line for `explain`; values are cut. */
void run_trace(struct run *r, const struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* s, cut and cleaned, for the %s of run_trace() and errors: valid until the
 * fourth next call. */
const char *run_show(struct str s);

#endif
