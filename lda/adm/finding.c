#include "lda/adm/finding.h"

#include <stdarg.h>
#include <stdio.h>

#include "lda/json.h"

#define TEXT_MAX 4096
/* Of an answer this much is shown; classes may have thousands of lines. */
#define ANSWER_SHOWN 400
#define WIDTH 72

static const char *const words[GRADE_COUNT] = {
	[GRADE_OK] = "ok",
	[GRADE_NOTE] = "note",
	[GRADE_WARNING] = "warning",
	[GRADE_WRONG] = "WRONG",
};
static const char *const json_words[GRADE_COUNT] = {
	[GRADE_OK] = "ok",
	[GRADE_NOTE] = "note",
	[GRADE_WARNING] = "warning",
	[GRADE_WRONG] = "wrong",
};

void
findings_begin(struct findings *f, struct adm *a)
{
	*f = (struct findings){ .a = a };
	if (a->json)
		(void)buf_addc(&a->out, '[');
}

/* Another program's words on our terminal: no control characters. */
static void
add_clean(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		(void)buf_addc(out, ascii_iscntrl(text.p[i]) ? ' ' :
		    text.p[i]);
}

/* "        means   words, broken between words\n" */
static void
add_text(struct buf *out, const char *label, struct str text)
{
	size_t column = WIDTH + 1;
	struct str word;

	if (text.n == 0)
		return;
	(void)buf_addf(out, "        %-8s", label);
	for (bool first = true; str_split(&text, ' ', &word); first = false) {
		if (word.n == 0)
			continue;
		if (first)
			column = 0;
		else if (column + 1 + word.n > WIDTH - 16)
			column = 0, (void)buf_addf(out, "\n%16s", "");
		else
			column++, (void)buf_addc(out, ' ');
		add_clean(out, word);
		column += word.n;
	}
	(void)buf_addc(out, '\n');
}

static void
say_json(struct findings *f, const struct finding *one)
{
	struct buf *out = &f->a->out;

	(void)buf_addz(out, f->said > 0 ? ",\n{" : "{");
	json_member(out, "grade", str_of(json_words[one->grade]));
	json_member(out, "about", str_of(one->about));
	if (one->asked.n > 0)
		json_member(out, "asked", one->asked);
	if (one->answer.n > 0)
		json_member(out, "answer", str_trim(one->answer));
	if (one->means != NULL)
		json_member(out, "means", str_of(one->means));
	if (one->remedy != NULL)
		json_member(out, "do", str_of(one->remedy));
	(void)buf_addc(out, '}');
}

static void
say_text(struct findings *f, const struct finding *one)
{
	struct buf *out = &f->a->out;
	struct str answer = str_trim(one->answer);

	/* -q: what is right needs no words. */
	if (f->a->quiet && one->grade < GRADE_WARNING)
		return;
	(void)buf_addf(out, "%-7s ", words[one->grade]);
	add_clean(out, str_of(one->about));
	(void)buf_addc(out, '\n');
	if (one->asked.n > 0) {
		(void)buf_addf(out, "        %-8s", "asked");
		add_clean(out, one->asked);
		(void)buf_addc(out, '\n');
	}
	if (answer.n > 0) {
		(void)buf_addf(out, "        %-8s", "answer");
		add_clean(out, str_sub(answer, 0, ANSWER_SHOWN));
		(void)buf_addz(out, answer.n > ANSWER_SHOWN ? " ...\n" : "\n");
	}
	add_text(out, "means", str_of(one->means));
	add_text(out, "do", str_of(one->remedy));
}

void
findings_say(struct findings *f, const struct finding *one)
{
	if (f->a->json)
		say_json(f, one);
	else
		say_text(f, one);
	f->said++;
	f->counts[one->grade]++;
	if (f->a->out.n >= ADM_OUT_CHUNK)
		adm_flush(f->a);
}

void
findings_end(struct findings *f)
{
	size_t wrong = f->counts[GRADE_WRONG],
	    warned = f->counts[GRADE_WARNING];

	if (f->a->json)
		(void)buf_addz(&f->a->out, "]\n");
	adm_note(f->a, "%zu wrong, %zu warning%s, %zu right", wrong, warned,
	    warned == 1 ? "" : "s", f->counts[GRADE_OK]);
}

const char *
finding_text(struct adm *a, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;
	struct str copy;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* may be cut */
	va_end(ap);
	copy = arena_copy(&a->arena, str_of(text));
	return copy.p != NULL ? copy.p : "";
}
