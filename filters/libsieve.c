/*
 * libsieve 2.2.6 behind engine.h. It decides which tests are true, which way a
 * script goes and whether vacation answers; what surrounds it is ours: reading
 * and checking the script (libsieve_script.c), the fields and addresses of the
 * message, flags, and carrying its actions into the plan, each by the code of
 * our own engine. So an implicit keep, limits and conflicts are as ever,
 * encoded words are decoded, and only simple addresses come near its parser.
 *
 * It is C of 2005 without a maintainer: a test can take it for ever, and what
 * we have not seen yet can crash it. Whoever calls run() does it in the filter
 * process, once for one process (ENGINE_DISTRUSTED).
 */
#include <stddef.h>	/* sieve2.h forgets it */

#include <dlfcn.h>
#include <limits.h>
#include <sieve2.h>
#include <stdint.h>
#include <string.h>

#include "filters/engine.h"
#include "filters/libsieve_script.h"
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/registry.h"
#include "filters/sieve/values.h"

#define LIBRARY "libsieve.so.1"
/* Names of allowed extensions. */
#define EXTENSIONS_MAX 1024
/* Its functions, by dlopen: who does not use it does not pay for it. */
static struct {
	bool tried;
	void *handle;
	int (*alloc)(sieve2_context_t **);
	int (*release)(sieve2_context_t **);
	int (*callbacks)(sieve2_context_t *, sieve2_callback_t *);
	int (*execute)(sieve2_context_t *, void *);
	char *(*string)(sieve2_context_t *, char *);
	int (*set_string)(sieve2_context_t *, char *, char *);
	int (*set_list)(sieve2_context_t *, char *, char **);
	int (*set_int)(sieve2_context_t *, char *, int);
	char *(*errstr)(int);
} lib;

static int
load(const char **why_r)
{
	static const char why[] = LIBRARY " cannot be loaded "
	    "(package libsieve2-1)";
	struct { const char *name; void *place; } const all[] = {
		{ "sieve2_alloc", &lib.alloc },
		{ "sieve2_free", &lib.release },
		{ "sieve2_callbacks", &lib.callbacks },
		{ "sieve2_execute", &lib.execute },
		{ "sieve2_getvalue_string", &lib.string },
		{ "sieve2_setvalue_string", &lib.set_string },
		{ "sieve2_setvalue_stringlist", &lib.set_list },
		{ "sieve2_setvalue_int", &lib.set_int },
		{ "sieve2_errstr", &lib.errstr },
	};
	bool whole = true;

	*why_r = why;
	if (lib.tried)
		return lib.handle ? 0 : -1;
	lib.tried = true;
	lib.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib.handle)
		return -1;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		void *f = dlsym(lib.handle, all[i].name);

		whole = whole && f;
		memcpy(all[i].place, &f, sizeof(f));
	}
	if (!whole) {
		(void)dlclose(lib.handle);
		lib.handle = NULL;
	}
	return whole ? 0 : -1;
}

/* --- checking ------------------------------------------------------------------------- */

/* The same settings without what libsieve does not know. */
static struct engine_settings
narrow(const struct engine_settings *settings, struct buf *names)
{
	struct engine_settings s = settings ? *settings :
	    (struct engine_settings){ 0 };

	libsieve_extensions(s.extensions, names);
	s.extensions = buf_str(names);
	return s;
}

static int
compile(const struct engine_settings *settings,
    const struct engine_script *script, struct buf *image_r,
    struct engine_errors *errors)
{
	struct engine_settings s;
	struct program p;
	struct buf names;
	size_t before = image_r->n;
	int r = -1;

	buf_init(&names, EXTENSIONS_MAX);
	s = narrow(settings, &names);
	if (libsieve_check_requires(settings ? settings->extensions :
	    (struct str){ NULL, 0 }, script, errors) == 0 &&
	    check_compile(&s, script, image_r, errors) == 0 &&
	    program_load(str_sub(buf_str(image_r), before, image_r->n),
	    script->text, check_fingerprint(&s), &p) == 0 &&
	    libsieve_check_program(&p, script->name, errors) == 0)
		r = 0;
	else
		buf_cut(image_r, before);
	buf_release(&names);
	return r;
}

static void
extensions(const struct engine_settings *settings, struct buf *out)
{
	libsieve_extensions(settings->extensions, out);
}

/* --- what libsieve asks ------------------------------------------------------------------ */

/* One script at work. */
struct talk {
	struct run *run;
	const struct program *program;
	char *script;
	bool failed;		/* a plan that is wrong: nothing more is done */
	bool ended;		/* it came to a way out */
};

/* Its functions take char * and do not write there. */
static char *
word(const char *s)
{
	return (char *)(uintptr_t)s;
}

static struct talk *
talk_of(void *arg)
{
	return arg;
}

/* What it takes ends in NUL: one inside becomes a space. */
static char *
zero_ended(struct talk *t, struct str s)
{
	char *z = run_alloc(t->run, NULL, s.n + 1);

	if (!z) {
		t->failed = true;
		return NULL;
	}
	for (size_t i = 0; i < s.n; i++)
		z[i] = s.p[i] ? s.p[i] : ' ';
	return z;
}

static int
get_script(sieve2_context_t *c, void *arg)
{
	(void)lib.set_string(c, word("script"), talk_of(arg)->script);
	return SIEVE2_OK;
}

static int
get_size(sieve2_context_t *c, void *arg)
{
	size_t n = talk_of(arg)->run->message.bytes.n;

	(void)lib.set_int(c, word("size"), n > INT_MAX ? INT_MAX : (int)n);
	return SIEVE2_OK;
}

/* Values for one question, in a list that ends in NULL. */
struct answers {
	struct talk *talk;
	const struct node *node;	/* NULL: vacation asks for itself */
	char **list;
	size_t n, room;
};

static void
add_answer(struct answers *a, struct str s)
{
	char *z = zero_ended(a->talk, s), **list;

	if (!z)
		return;
	if (a->n + 1 >= a->room) {
		a->room = a->room ? 2 * a->room : 8;
		list = run_alloc(a->talk->run, a->node, a->room *
		    sizeof(*list));
		if (!list) {
			a->talk->failed = true;
			return;
		}
		if (a->n)
			memcpy(list, a->list, a->n * sizeof(*list));
		a->list = list;
	}
	a->list[a->n++] = z;
	a->list[a->n] = NULL;
}

static void
add_address(struct answers *a, struct str spec)
{
	struct run *r = a->talk->run;

	if (libsieve_address_ok(spec)) {
		add_answer(a, spec);
	} else if (a->node && spec.n > LIBSIEVE_ADDRESS_MAX) {
		/* A part of 255 bytes and it writes a byte behind its memory. */
		if (!a->talk->failed)
			(void)run_error(r, a->node, "an address of %zu bytes "
			    "is more than libsieve can hold", spec.n);
		a->talk->failed = true;
	} else if (a->node) {
		run_trace(r, a->node, "libsieve cannot read the address %s",
		    run_show(spec));
	}
}

static int
add_field_addresses(void *ctx, struct header *h, struct field *f)
{
	struct answers *a = ctx;
	const struct address_list *list = values_addresses(a->talk->run, f);

	(void)h;
	for (size_t i = 0; i < list->n; i++)
		if (list->list[i].kind == ADDRESS_MAILBOX)
			add_address(a, list->list[i].spec);
		else if (list->list[i].kind == ADDRESS_INVALID &&
		    list->list[i].raw.n > LIBSIEVE_ADDRESS_MAX)
			add_address(a, list->list[i].raw);
	return 0;
}

static int
add_field_text(void *ctx, struct header *h, struct field *f)
{
	add_answer(ctx, field_text(h, f));
	return 0;
}

/* The part that the test wants; of the null sender each is empty. */
static void
add_envelope(struct answers *a)
{
	struct run *r = a->talk->run;
	const struct engine_envelope *e = r->job->envelope;
	enum address_part part = (enum address_part)run_code(r, a->node,
	    SLOT_ADDRESS_PART, ADDRESS_PART_ALL);
	const struct str *names;
	struct address address;
	const char *why;
	uint32_t n;

	if (!e || run_list(r, a->node, SLOT_HEADERS, &names, &n))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct str path = str_caseeq(names[i], STR("from")) ? e->from :
		    str_caseeq(names[i], STR("to")) ? e->to : e->orig_to;

		if (path.n == 0 && str_caseeq(names[i], STR("from")) &&
		    run_code(r, a->node, SLOT_MATCH, MATCH_IS) != MATCH_COUNT)
			path = STR("<>");	/* which is not counted */
		if (path.n == 0 || address_parse_path(&r->arena, path, &address,
		    &why))
			continue;
		if (address.kind != ADDRESS_NULL ? values_address_part(r,
		    &address, part, &path) : part != ADDRESS_PART_DETAIL)
			add_answer(a, address.kind == ADDRESS_NULL ? STR("") :
			    path);
	}
}

/* exists of several fields is asked as one, hasflag is ours. */
static void
add_existence(struct answers *a)
{
	int x = run_test(a->talk->run, (uint32_t)(a->node -
	    a->talk->program->nodes));

	if (x < 0)
		a->talk->failed = true;
	if (x > 0)
		add_answer(a, STR("yes"));
}

/* What vacation looks at: for "to", addresses of To and of Resent-To. */
static void
add_for_vacation(struct answers *a, const char *name)
{
	static const char *const people[][2] = { { "to", "resent-to" },
	    { "cc", "resent-cc" }, { "bcc", "resent-bcc" } };
	struct header *h = &a->talk->run->message.header;
	struct field *f;

	for (size_t i = 0; i < COUNT_OF(people); i++) {
		if (strcmp(name, people[i][0]) != 0)
			continue;
		for (size_t k = 0; k < 2; k++)
			for (f = header_find(h, str_of(people[i][k])); f;
			    f = field_next(f))
				(void)add_field_addresses(a, h, f); /* gives 0 */
		return;
	}
	for (f = header_find(h, str_of(name)); f; f = field_next(f))
		(void)add_field_text(a, h, f);		/* likewise */
}

/* For a test of ours ("N12"), or for what vacation looks at. */
static void
find_answers(struct answers *a, const char *name)
{
	struct run *r = a->talk->run;
	const struct sieve_spec *spec;

	if (!a->node) {
		add_for_vacation(a, name);
		return;
	}
	spec = registry_spec(a->node->op);
	if (str_eq(str_of(spec->name), STR("envelope")))
		add_envelope(a);
	else if (str_eq(str_of(spec->name), STR("exists")) ||
	    str_eq(str_of(spec->name), STR("hasflag")))
		add_existence(a);
	else
		(void)values_each(r, a->node, str_eq(str_of(spec->name),
		    STR("address")) ? add_field_addresses : add_field_text, a);
}

static int
get_header(sieve2_context_t *c, void *arg)
{
	struct answers a = { .talk = arg };
	const char *name = lib.string(c, word("header"));

	if (!name)
		return SIEVE2_OK;
	a.node = libsieve_node(a.talk->program, name);
	find_answers(&a, name);
	if (a.n)
		(void)lib.set_list(c, word("body"), a.list);
	return SIEVE2_OK;
}

/* Only vacation asks; an address that it cannot read makes it crash. */
static int
get_envelope(sieve2_context_t *c, void *arg)
{
	struct talk *t = arg;
	const struct engine_envelope *e = t->run->job->envelope;
	struct str to = e && libsieve_address_ok(e->to) ? e->to :
	    STR("unreadable@invalid");

	(void)lib.set_string(c, word("to"), zero_ended(t, to));
	if (e && libsieve_address_ok(e->from))
		(void)lib.set_string(c, word("from"), zero_ended(t, e->from));
	return SIEVE2_OK;
}

static int
get_subaddress(sieve2_context_t *c, void *arg)
{
	static const struct { const char *name; enum address_part part; }
	    parts[] = {
		{ "localpart", ADDRESS_PART_LOCALPART },
		{ "domain", ADDRESS_PART_DOMAIN },
		{ "user", ADDRESS_PART_USER },
		{ "detail", ADDRESS_PART_DETAIL },
	};
	struct talk *t = arg;
	const char *given = lib.string(c, word("address")), *why;
	struct address address;
	struct str s;

	if (!given || address_parse_path(&t->run->arena, str_of(given),
	    &address, &why))
		return SIEVE2_OK;
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		if (values_address_part(t->run, &address, parts[i].part, &s))
			(void)lib.set_string(c, word(parts[i].name),
			    zero_ended(t, s));
	return SIEVE2_OK;
}

/* --- what libsieve wants done ---------------------------------------------------------------- */

/* The command of our engine whose node this argument names. */
static int
act(sieve2_context_t *c, struct talk *t, const char *argument)
{
	const char *token = lib.string(c, word(argument));
	const struct node *n = token ? libsieve_node(t->program, token) : NULL;
	const struct sieve_spec *spec = n ? registry_spec(n->op) : NULL;

	if (n == t->program->nodes)
		t->ended = true;
	if (t->failed || n == t->program->nodes)
		return SIEVE2_OK;
	if (!spec || !spec->command) {
		(void)run_error(t->run, NULL, "libsieve gave a wrong %s",
		    argument);
		t->failed = true;
	} else if (run_work(t->run, n, WORK_NODE) ||
	    spec->command(t->run, n) < 0) {
		t->failed = true;
	}
	return SIEVE2_OK;
}

static bool
is_rejected(const struct run *r)
{
	for (size_t i = 0; i < r->result->n_actions; i++)
		if (r->result->actions[i].kind == ENGINE_REJECT)
			return true;
	return false;
}

/* A vacation is announced before libsieve decides whether it answers; beside a
 * reject it is an error in either case. */
static int
on_action(sieve2_context_t *c, void *arg)
{
	struct talk *t = arg;
	const char *token = lib.string(c, word("mailbox"));
	const struct node *n = token ? libsieve_node(t->program, token) : NULL;
	const struct sieve_spec *spec = n ? registry_spec(n->op) : NULL;

	if (spec && str_eq(str_of(spec->name), STR("vacation")) &&
	    !is_rejected(t->run))
		return SIEVE2_OK;
	return act(c, t, "mailbox");
}

/* libsieve found nothing against an answer; our own rules follow, which know
 * more (RFC 3834). */
static int
on_vacation(sieve2_context_t *c, void *arg)
{
	return act(c, arg, "message");
}

/* It wants to be able to call these, and our script never says them. */
static int
on_nothing(sieve2_context_t *c, void *arg)
{
	(void)c;
	(void)arg;
	return SIEVE2_OK;
}

static int
on_error(sieve2_context_t *c, void *arg)
{
	struct talk *t = arg;
	const char *text = lib.string(c, word("message"));

	if (!t->failed)
		(void)run_error(t->run, NULL, "libsieve: %s",
		    run_show(str_of(text ? text : "an error")));
	t->failed = true;
	return SIEVE2_OK;
}

/* --- running -------------------------------------------------------------------------------- */

/* :addresses of our own, so that alias mail is answered. */
static size_t
own_addresses(const struct run *r, struct str *list, size_t room)
{
	size_t n = 0;

	if (r->job->envelope && r->job->envelope->orig_to.n && n < room)
		list[n++] = r->job->envelope->orig_to;
	for (size_t i = 0; i < r->job->n_addresses && n < room; i++)
		list[n++] = r->job->addresses[i];
	return n;
}

static int
talk(struct talk *t)
{
	sieve2_callback_t callbacks[] = {
		{ SIEVE2_ACTION_KEEP, on_nothing },
		{ SIEVE2_ACTION_REDIRECT, on_nothing },
		{ SIEVE2_ACTION_FILEINTO, on_action },
		{ SIEVE2_ACTION_VACATION, on_vacation },
		{ SIEVE2_ERRCALL_RUNTIME, on_error },
		{ SIEVE2_ERRCALL_PARSE, on_error },
		{ SIEVE2_SCRIPT_GETSCRIPT, get_script },
		{ SIEVE2_MESSAGE_GETHEADER, get_header },
		{ SIEVE2_MESSAGE_GETENVELOPE, get_envelope },
		{ SIEVE2_MESSAGE_GETSIZE, get_size },
		{ SIEVE2_MESSAGE_GETSUBADDRESS, get_subaddress },
		{ SIEVE2_VALUE_FIRST, NULL },
	};
	sieve2_context_t *c = NULL;
	int x = lib.alloc(&c);

	if (x == SIEVE2_OK)
		x = lib.callbacks(c, callbacks);
	if (x == SIEVE2_OK)
		x = lib.execute(c, t);
	if ((x != SIEVE2_OK || !t->ended) && !t->failed) {
		(void)run_error(t->run, NULL, "libsieve: %s", x != SIEVE2_OK ?
		    lib.errstr(x) : "it gave up half-way");
		t->failed = true;
	}
	/* Its memory goes with the process: after what a message may have done
	 * to it, giving it back is the likeliest place to crash. */
	return t->failed ? -1 : 0;
}

/* In the place of our interpreter. */
static enum run_answer
walk(struct run *r)
{
	struct talk t = { .run = r, .program = &r->frame->program };
	struct str own[16];
	struct buf text;
	int x;

	if (t.program->nodes[0].block == 0)
		return RUN_NEXT;	/* it calls an empty script an error */
	/* An image that was made for it was checked; a second time costs less
	 * than to believe a cache. */
	if (libsieve_check_program(t.program, r->frame->name,
	    &r->result->errors))
		return RUN_ERROR;
	buf_init(&text, 2 * LIMIT_SCRIPT_SIZE + LIMIT_IMAGE);
	x = libsieve_script(t.program, own, own_addresses(r, own,
	    COUNT_OF(own)), &text);
	t.script = text.p;
	if (x < 0)
		x = run_error(r, NULL, "the script is too large for libsieve");
	else
		x = talk(&t);
	buf_release(&text);
	return x < 0 ? RUN_ERROR : RUN_NEXT;
}

/* A plan that keeps, and why. */
static int
keep_because(const struct engine_job *job, struct engine_result *r,
    const char *why)
{
	struct engine_job none = *job;

	none.n_scripts = 0;
	(void)eval_run(&none, r);	/* no script: a keep */
	if (r->n_actions)
		r->actions[0].flags |= ENGINE_F_AT_ERROR;
	return engine_errors_add(&r->errors, STR("libsieve"), 0, 0, "%s", why);
}

static int
run(const struct engine_job *job, struct engine_result *r)
{
	struct engine_settings s;
	struct engine_job narrowed = *job;
	struct buf names;
	const char *why;
	int x;

	if (load(&why) < 0)
		return keep_because(job, r, why);
	buf_init(&names, EXTENSIONS_MAX);
	s = narrow(job->settings, &names);
	narrowed.settings = &s;
	x = eval_run_with(&narrowed, r, walk);
	/* "Not allowed here" is explained. */
	for (size_t i = 0; i < job->n_scripts && x < 0; i++)
		(void)libsieve_check_requires(job->settings ?
		    job->settings->extensions : (struct str){ NULL, 0 },
		    &job->scripts[i], &r->errors);
	buf_release(&names);
	return x;
}

const struct engine engine_libsieve = {
	.name = "libsieve",
	.trust = ENGINE_DISTRUSTED,
	.load = load,
	.compile = compile,
	.run = run,
	.extensions = extensions,
};
