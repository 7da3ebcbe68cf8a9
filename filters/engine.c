#include "filters/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Errors are a list of at most ENGINE_ERRORS lines. */
#define ERROR_ARENA (64 * 1024)
#define ERROR_TEXT 400
/* What a plan may take: 32 actions with texts and a few edited headers. */
#define RESULT_ARENA (24u * 1024 * 1024)
#define TRACE_MAX (1024 * 1024)

void
engine_errors_init(struct engine_errors *e)
{
	memset(e, 0, sizeof(*e));
	arena_init(&e->arena, ERROR_ARENA);
}

void
engine_errors_release(struct engine_errors *e)
{
	arena_release(&e->arena);
	e->n = 0;
	e->count = 0;
}

static void __attribute__((format(printf, 6, 0)))
add(struct engine_errors *e, struct str script, unsigned line, unsigned column,
    bool warning, const char *fmt, va_list ap)
{
	char text[ERROR_TEXT];
	struct engine_error *x;
	int n;

	if (!warning)
		e->count++;
	if (e->n == ENGINE_ERRORS)
		return;
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = sizeof(text) - 1;
	for (int i = 0; i < n; i++)
		if (ascii_iscntrl(text[i]))
			text[i] = '?';
	x = &e->list[e->n++];
	x->script = arena_copy(&e->arena, str_sub(script, 0, ERROR_TEXT));
	x->text = arena_copy(&e->arena, str_mem(text, (size_t)n));
	x->line = line;
	x->column = column;
	x->warning = warning;
}

int
engine_errors_add(struct engine_errors *e, struct str script, unsigned line,
    unsigned column, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(e, script, line, column, false, fmt, ap);
	va_end(ap);
	return -1;
}

int
engine_errors_warn(struct engine_errors *e, struct str script, unsigned line,
    unsigned column, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(e, script, line, column, true, fmt, ap);
	va_end(ap);
	return -1;
}

void
engine_result_init(struct engine_result *r)
{
	memset(r, 0, sizeof(*r));
	arena_init(&r->arena, RESULT_ARENA);
	engine_errors_init(&r->errors);
	buf_init(&r->trace, TRACE_MAX);
}

void
engine_result_release(struct engine_result *r)
{
	buf_release(&r->trace);
	engine_errors_release(&r->errors);
	arena_release(&r->arena);
	r->actions = NULL;
	r->n_actions = 0;
	r->editions = NULL;
	r->bodies = NULL;
	r->n_editions = 0;
}
