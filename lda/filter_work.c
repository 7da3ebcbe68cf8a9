/* One job, in a filter: the policy, then the scripts. */
#include <string.h>
#include <unistd.h>

#include "filters/message/message.h"
#include "lda/filter_wire.h"

/* Memory for the parts of a message and the list of what is attached. */
#define LOOK_ARENA (24u * 1024 * 1024)
/* A reason why the policy cannot be asked; a line of the trace. */
#define WHY_MAX 400
#define LINE_MAX_BYTES 600
/* The field of a decision. */
#define FIELD_MAX 2048

/* What is attached, looked at when somebody wants to know. */
struct look {
	const struct filter_types *types;
	const struct filter_ear *ear;
	struct str message;
	struct arena arena;
	struct message view;
	struct attachments list;
	bool looked;
};

static const struct attachments *
look(void *ctx)
{
	struct look *l = ctx;

	if (!l->types) {
		/* Nobody knew that types would be wanted. */
		(void)l->ear->hear(l->ear->arg, FILTER_TYPES, STR(""));
		_exit(0);
	}
	if (!l->types->typer)
		return NULL;
	if (!l->looked) {
		message_init(&l->view, &l->arena, l->message);
		attachment_scan(l->types->typer, &l->arena,
		    message_mime(&l->view), &l->list);
		if (message_full(&l->view))
			l->list.flags |= ATTACHMENT_CUT;
		l->looked = true;
	}
	return &l->list;
}

/* --- telling ----------------------------------------------------------------------- */

static void
add_shown(struct str s, struct buf *out)
{
	s = str_sub(s, 0, 120);
	for (size_t i = 0; i < s.n; i++)
		(void)buf_addc(out, ascii_iscntrl(s.p[i]) ? '?' : s.p[i]);
}

/* "attachment invoice.pdf application/pdf, declared ..., 1234 bytes, flags:
 * accept by RULE" */
static void
tell_one(const struct content_policy *policy, const struct attachment *x,
    struct buf *out)
{
	struct content_finding finding;

	(void)buf_addf(out, "%*s%s ", (int)x->depth * 2, "",
	    x->inside ? "member" : "attachment");
	add_shown(x->name.n ? x->name : STR("(no name)"), out);
	(void)buf_addz(out, ": ");
	add_shown(x->type.n ? x->type : STR("type unknown"), out);
	if (x->declared.n && !str_caseeq(x->declared, x->type)) {
		(void)buf_addz(out, ", declared ");
		add_shown(x->declared, out);
	}
	(void)buf_addf(out, ", %llu bytes", (unsigned long long)x->size);
	if (x->flags) {
		(void)buf_addz(out, ", ");
		content_words(x->flags, out);
	}
	content_judge_one(policy, x, &finding);
	if (finding.what) {
		(void)buf_addf(out, " -> %s by \"",
		    content_act_word(finding.act));
		add_shown(finding.rule, out);
		(void)buf_addc(out, '"');
	}
	(void)buf_addc(out, '\n');
}

static void
tell_all(const struct content_policy *policy, const struct attachments *list,
    const struct filter_content *content, struct buf *trace)
{
	struct buf line;

	buf_init(&line, LINE_MAX_BYTES);
	for (size_t i = 0; i < list->n; i++) {
		buf_reset(&line);
		tell_one(policy, list->list[i], &line);
		(void)buf_adds(trace, buf_str(&line));	/* cut is enough */
	}
	if (content->rules.n)
		(void)buf_addf(trace, "content policy: %s\n",
		    content_act_word(content->facts.act));
	buf_release(&line);
}

/* --- the policy --------------------------------------------------------------------- */

static void
judge(struct look *l, struct filter_content *content, struct buf *trace)
{
	struct content_policy policy = { .n = 0 };
	struct content_finding finding;
	const struct attachments *list;
	struct buf why;

	content->why = STR("");
	content->facts = (struct content_facts){ .rule = STR(""),
	    .name = STR(""), .type = STR("") };
	buf_init(&why, WHY_MAX);
	list = look(l);
	if (!list) {
		content->why = l->types->why;
	} else if (content_policy_parse(content->rules, &l->arena, &policy,
	    &why) < 0) {
		content->why = arena_copy(&l->arena, buf_str(&why));
		if (!content->why.p)
			content->why = STR("the policy makes no sense");
	} else {
		content_judge(&policy, list, &finding);
		content_facts(&finding, &content->facts);
		content->judged = true;
		content->count = list->n;
		if (content->list)
			tell_all(&policy, list, content, trace);
	}
	buf_release(&why);
}

/* --- the message that scripts see ---------------------------------------------------- */

static bool
is_ours(struct str line)
{
	struct str name = STR(CONTENT_FIELD);

	if (!str_casestarts(line, name))
		return false;
	line = str_sub(line, name.n, line.n);
	while (line.n && ascii_isblank(line.p[0]))
		line = str_sub(line, 1, line.n);
	return line.n && line.p[0] == ':';
}

/* The next line of s from *at, with its end. */
static struct str
line_at(struct str s, size_t *at)
{
	const char *nl = memchr(s.p + *at, '\n', s.n - *at);
	size_t next = nl ? (size_t)(nl - s.p) + 1 : s.n;
	struct str line = str_sub(s, *at, next - *at);

	*at = next;
	return line;
}

/* The header's fields; is there one that only we may write? */
static struct str
fields_of(struct str m, bool *ours_r)
{
	size_t at = 0, next = 0;

	*ours_r = false;
	for (; at < m.n; at = next) {
		struct str line = line_at(m, &next);

		if (line.n <= 2 && (line.p[0] == '\n' ||
		    (line.p[0] == '\r' && line.n == 2)))
			break;
		*ours_r = *ours_r || is_ours(line);
	}
	return str_sub(m, 0, at);
}

/*
 * Scripts see what will be stored: the policy's mark, and not one that a
 * stranger made up. A copy is made only where that changes something.
 */
static void
dress(struct engine_job *job, const struct content_facts *facts,
    struct buf *copy)
{
	bool skip = false, ours;
	struct str header = fields_of(job->message, &ours);
	size_t at = 0;

	if (facts->act != CONTENT_TAG && !ours)
		return;
	if (facts->act == CONTENT_TAG)
		content_field(facts, copy);
	while (at < header.n) {
		struct str line = line_at(header, &at);

		if (!ascii_isblank(line.p[0]))
			skip = is_ours(line);
		if (!skip)
			(void)buf_adds(copy, line);
	}
	(void)buf_adds(copy, str_sub(job->message, header.n, job->message.n));
	job->message = buf_str(copy);
}

/* --- all of it ------------------------------------------------------------------------ */

static int
say_content(const struct filter_content *content, const struct filter_ear *ear)
{
	struct buf out;
	int r;

	buf_init(&out, FILTER_ASK_MAX);
	filter_encode_content(content, &out);
	r = ear->hear(ear->arg, FILTER_CONTENT, buf_str(&out));
	buf_release(&out);
	return r;
}

static int
say_result(const struct engine_result *r, const struct filter_ear *ear)
{
	struct engine_result instead;
	struct buf out;
	int said;

	buf_init(&out, FILTER_FRAME_MAX);
	filter_encode(r, &out);
	if (out.full) {
		engine_result_init(&instead);
		filter_keep(&instead, "the plan is too large");
		buf_reset(&out);
		filter_encode(&instead, &out);
		engine_result_release(&instead);
	}
	said = ear->hear(ear->arg, FILTER_RESULT, buf_str(&out));
	buf_release(&out);
	return said;
}

int
filter_work(const struct engine *engine, struct engine_job *job,
    struct filter_content *content, const struct filter_types *types,
    const struct filter_ear *ear)
{
	struct look l = { .types = types, .ear = ear,
	    .message = job->message };
	struct engine_attachments attachments = { .ctx = &l, .list = look };
	struct engine_result r;
	struct buf copy;
	int said = 0;

	arena_init(&l.arena, LOOK_ARENA);
	buf_init(&copy, job->message.n + FIELD_MAX);
	engine_result_init(&r);
	if (!content->known && (content->rules.n || content->list)) {
		judge(&l, content, &r.trace);
		said = say_content(content, ear);
	}
	if (said == 0 && content->facts.act < CONTENT_QUARANTINE) {
		dress(job, &content->facts, &copy);
		job->attachments = &attachments;
		/* Broken scripts and run-time errors are in the result. */
		(void)engine->run(job, &r);
	}
	if (said == 0)
		said = say_result(&r, ear);
	engine_result_release(&r);
	buf_release(&copy);
	arena_release(&l.arena);
	return said;
}
