#include "filters/sieve/eval.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/core.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/regex.h"
#include "store/base/mem.h"

/* --- errors, work, memory --- */

static struct str
script_name(const struct run *r)
{
	return r->frame ? r->frame->name : (struct str){ 0 };
}

int
run_error(struct run *r, const struct node *n, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);	/* cut is enough */
	va_end(ap);
	(void)engine_errors_add(&r->result->errors, script_name(r),
	    n ? n->line : 0, n ? n->column : 0, "%s", text);
	if (r->job->trace)
		run_trace(r, n, "error: %s", text);
	return -1;
}

int
run_warn(struct run *r, const struct node *n, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)engine_errors_warn(&r->result->errors, script_name(r),
	    n ? n->line : 0, n ? n->column : 0, "%s", text);
	if (r->job->trace)
		run_trace(r, n, "warning: %s", text);
	return -1;
}

int
run_work(struct run *r, const struct node *n, uint64_t units)
{
	if (units > LIMIT_WORK - r->work) {
		r->work = LIMIT_WORK;
		return run_error(r, n, "the script does too much work on "
		    "this message");
	}
	r->work += units;
	return 0;
}

int
run_no_memory(struct run *r, const struct node *n)
{
	return run_error(r, n, "the script uses too much memory on this "
	    "message");
}

void *
run_alloc(struct run *r, const struct node *n, size_t size)
{
	void *p = arena_alloc(&r->arena, size);

	if (!p)
		(void)run_no_memory(r, n);
	return p;
}

struct str
run_copy(struct run *r, struct str s)
{
	return arena_copy(&r->arena, s);
}

/* --- trace --- */

const char *
run_show(struct str s)
{
	static char texts[4][LIMIT_TRACE_VALUE + 8];
	static unsigned turn;
	char *t = texts[turn++ % 4];
	size_t n = 0;

	while (n < s.n && n < LIMIT_TRACE_VALUE) {
		t[n] = ascii_iscntrl(s.p[n]) ? '?' : s.p[n];
		n++;
	}
	if (n < s.n) {
		memcpy(t + n, "...", 3);
		n += 3;
	}
	t[n] = '\0';
	return t;
}

void
run_trace(struct run *r, const struct node *n, const char *fmt, ...)
{
	struct buf *t = &r->result->trace;
	char text[600];
	va_list ap;

	if (!r->job->trace)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)buf_addf(t, "%s:%u: %*s%s\n", run_show(script_name(r)),
	    n ? n->line : 0, (int)(2 * r->trace_depth), "", text);
}

/* --- arguments --- */

static int
string_at(struct run *r, const struct node *n, uint32_t index,
    struct str *s_r)
{
	struct frame *f = r->frame;

	*s_r = f->strings[index];
	if (!(f->program.strings[index].flags & STRING_VARIABLES))
		return 0;
	if (run_work(r, n, s_r->n))
		return -1;
	return vars_expand(r, n, *s_r, s_r);
}

int
run_string(struct run *r, const struct node *n, enum slot slot,
    struct str *s_r)
{
	const struct arg *a = program_arg(&r->frame->program, n, slot);

	if (!a || a->kind != VALUE_STRING)
		return run_error(r, n, "an argument is missing");
	return string_at(r, n, a->a, s_r);
}

int
run_string_opt(struct run *r, const struct node *n, enum slot slot,
    struct str *s_r)
{
	if (node_has(n, slot))
		return run_string(r, n, slot, s_r);
	*s_r = (struct str){ 0 };
	return 0;
}

struct str
run_source(const struct run *r, const struct node *n, enum slot slot)
{
	const struct arg *a = program_arg(&r->frame->program, n, slot);

	if (!a || a->kind != VALUE_STRING)
		return (struct str){ 0 };
	return r->frame->strings[a->a];
}

int
run_list(struct run *r, const struct node *n, enum slot slot,
    const struct str **list_r, uint32_t *n_r)
{
	const struct frame *f = r->frame;
	const struct arg *a = program_arg(&f->program, n, slot);
	struct str *list;
	uint32_t i;

	*list_r = NULL;
	*n_r = 0;
	if (!a || a->kind != VALUE_LIST)
		return 0;
	*n_r = a->b;
	for (i = 0; i < a->b; i++)
		if (f->program.strings[a->a + i].flags & STRING_VARIABLES)
			break;
	if (i == a->b) {
		*list_r = f->strings + a->a;
		return 0;
	}
	list = run_alloc(r, n, a->b * sizeof(*list));
	if (!list)
		return -1;
	for (i = 0; i < a->b; i++)
		if (string_at(r, n, a->a + i, &list[i]))
			return -1;
	*list_r = list;
	return 0;
}

uint64_t
run_number(struct run *r, const struct node *n, enum slot slot)
{
	const struct arg *a = program_arg(&r->frame->program, n, slot);

	return a ? program_number(a) : 0;
}

uint32_t
run_code(struct run *r, const struct node *n, enum slot slot,
    uint32_t otherwise)
{
	const struct arg *a = program_arg(&r->frame->program, n, slot);

	return a ? a->a : otherwise;
}

bool
run_required(const struct run *r, const char *name)
{
	int i = registry_find(str_of(name));

	return i >= 0 && run_extension(r, (unsigned)i);
}

struct mime_part *
run_part(struct run *r, const struct node *n)
{
	const struct mime_tree *tree;

	if (r->loops)
		return r->loops->part;
	tree = message_mime(&r->message);
	if (!tree->root)
		(void)run_no_memory(r, n);
	return tree->root;
}

/* --- nodes --- */

int
run_test(struct run *r, uint32_t index)
{
	const struct node *n = &r->frame->program.nodes[index];
	const struct sieve_spec *spec = registry_spec(n->op);
	int x;

	if (run_work(r, n, WORK_NODE))
		return -1;
	if (!spec || !spec->test)
		return run_error(r, n, "the script is damaged");
	r->trace_depth++;
	x = spec->test(r, n);
	r->trace_depth--;
	if (r->job->trace && x >= 0)
		run_trace(r, n, "%s: %s", spec->name, x ? "true" : "false");
	return x;
}

enum run_answer
run_block(struct run *r, uint32_t first)
{
	bool taken = false;

	for (uint32_t i = first; i; i = r->frame->program.nodes[i].next) {
		const struct node *n = &r->frame->program.nodes[i];
		const struct sieve_spec *spec = registry_spec(n->op);
		int x;

		if (run_work(r, n, WORK_NODE))
			return RUN_ERROR;
		if (!spec)
			return run_error(r, n, "the script is damaged");
		if (n->op == OP_IF || n->op == OP_ELSIF || n->op == OP_ELSE) {
			if (n->op != OP_IF && taken)
				continue;
			x = n->op == OP_ELSE ? 1 : run_test(r, n->tests);
			if (x < 0)
				return RUN_ERROR;
			taken = x;
			if (!taken || !n->block)
				continue;
			r->trace_depth++;
			x = run_block(r, n->block);
			r->trace_depth--;
		} else {
			x = spec->command ? spec->command(r, n) : 0;
		}
		if (x != RUN_NEXT)
			return x;
	}
	return RUN_NEXT;
}

/* --- scripts --- */

static int
load(struct run *r, const struct node *n, const struct engine_script *script,
    struct frame *f)
{
	uint64_t fingerprint = check_fingerprint(r->settings);
	struct engine_errors *errors = &r->result->errors;
	struct program *p = &f->program;
	struct buf image;
	struct str copy, *strings;
	int x;

	if (!script->image.n ||
	    program_load(script->image, script->text, fingerprint, p)) {
		buf_init(&image, LIMIT_IMAGE);
		x = check_compile(r->settings, script, &image, errors);
		copy = x ? (struct str){ 0 } : run_copy(r, buf_str(&image));
		buf_release(&image);
		if (x)
			return -1;
		if (!copy.p)
			return run_no_memory(r, n);
		if (program_load(copy, script->text, fingerprint, p))
			return run_error(r, n, "the script is damaged");
	}
	strings = run_alloc(r, n, p->h->n_strings * sizeof(*strings) + 1);
	if (!strings)
		return -1;
	for (uint32_t i = 0; i < p->h->n_strings; i++)
		strings[i] = str_mem(p->bytes + p->strings[i].off,
		    p->strings[i].n);
	f->strings = strings;
	f->regexes = run_alloc(r, n, p->h->n_strings * sizeof(*f->regexes) + 1);
	return f->regexes ? 0 : -1;
}

static void
frame_release(struct frame *f)
{
	if (f->regexes)
		for (uint32_t i = 0; i < f->program.h->n_strings; i++)
			regex_close(&f->regexes[i]);
}

enum run_answer
run_script(struct run *r, const struct node *n,
    const struct engine_script *script)
{
	struct frame *f = run_alloc(r, n, sizeof(*f));
	enum run_answer x = RUN_ERROR;

	if (!f)
		return RUN_ERROR;
	f->below = r->frame;
	f->name = script->name;
	f->location = script->location;
	f->depth = r->frame ? r->frame->depth + 1 : 0;
	if (load(r, n, script, f) == 0) {
		/* what is included in a foreverypart is about its part */
		r->frame = f;
		x = r->walk ? r->walk(r) :
		    run_block(r, f->program.nodes[0].block);
		r->frame = f->below;
	}
	frame_release(f);
	return x;
}

static int
run_sequence(struct run *r)
{
	const struct engine_job *job = r->job;

	for (size_t i = 0; i < job->n_scripts; i++) {
		enum run_answer x;
		int more;

		plan_script_begin(r);
		r->globals = (struct vars){ 0 };
		r->included = NULL;
		if (job->trace)
			(void)buf_addf(&r->result->trace, "script %s\n",
			    run_show(job->scripts[i].name));
		x = run_script(r, NULL, &job->scripts[i]);
		if (x != RUN_ERROR && message_full(&r->message))
			x = run_no_memory(r, NULL);
		if (x == RUN_ERROR)
			return plan_failed(r);
		more = plan_script_end(r, i + 1 < job->n_scripts ? PLAN_MORE :
		    PLAN_LAST);
		if (more <= 0)
			return more;
	}
	/* no script at all */
	r->implicit_keep = true;
	return plan_script_end(r, PLAN_LAST);
}

/* What the plan is, for explain. */
static void
trace_plan(struct engine_result *result)
{
	static const char *const names[ENGINE_ACT_COUNT] = { "keep",
	    "fileinto", "redirect", "reject", "ereject", "discard", "vacation",
	    "notify", "mark" };

	for (size_t i = 0; i < result->n_actions; i++) {
		const struct engine_action *a = &result->actions[i];
		const char *what = a->mailbox.n ? run_show(a->mailbox) :
		    a->address.n ? run_show(a->address) :
		    a->kind == ENGINE_MARK ? run_show(a->key) :
		    run_show(a->reason);

		(void)buf_addf(&result->trace, "plan: %s%s%s%s%s%s\n",
		    a->flags & ENGINE_F_IMPLICIT ? "implicit " : "",
		    names[a->kind], *what ? " " : "", what,
		    a->imap_flags.n ? " flags " : "",
		    run_show(a->imap_flags));
	}
}

int
eval_run(const struct engine_job *job, struct engine_result *result)
{
	return eval_run_with(job, result, NULL);
}

int
eval_run_with(const struct engine_job *job, struct engine_result *result,
    enum run_answer (*walk)(struct run *r))
{
	static const struct engine_world no_world;
	static const struct engine_settings no_settings;
	struct run *r = mem_alloc(sizeof(*r));
	int x;

	memset(r, 0, offsetof(struct run, flags));
	r->job = job;
	r->walk = walk;
	r->settings = job->settings ? job->settings : &no_settings;
	r->world = job->world ? job->world : &no_world;
	r->result = result;
	arena_init(&r->arena, LIMIT_RUN_ARENA);
	buf_init(&r->scratch, LIMIT_BODY_TEXT * 4);
	buf_init(&r->scratch2, LIMIT_BODY_TEXT * 4);
	message_init(&r->message, &r->arena, job->message);
	x = run_sequence(r);
	result->work = r->work;
	if (job->trace)
		trace_plan(result);
	buf_release(&r->scratch);
	buf_release(&r->scratch2);
	arena_release(&r->arena);
	free(r);
	return x;
}
