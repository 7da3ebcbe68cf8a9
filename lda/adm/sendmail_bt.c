#include "lda/adm/sendmail_bt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lda/adm/ask.h"

#define SAID_MAX ((size_t)64 << 20)
#define INPUT_MAX ((size_t)4 << 20)
#define QUESTION_MAX 2048
/* A map that does not exist answers with its name: so we see where the
 * answers to a question end. */
#define MARK "vbox-mark-"
#define MARK_MAX 80
static const char ready[] = "ADDRESS TEST MODE";

void
bt_init(struct bt *b, const char *sendmail, const char *conf,
    struct arena *arena)
{
	*b = (struct bt){ .sendmail = sendmail, .conf = conf, .arena = arena };
	buf_init(&b->said, SAID_MAX);
}

void
bt_release(struct bt *b)
{
	buf_release(&b->said);
}

size_t
bt_ask(struct bt *b, const char *fmt, ...)
{
	char text[QUESTION_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (b->count == BT_QUESTIONS)
		b->count--;
	/* A question that was cut, or that is two, is not asked. */
	if (n < 0 || (size_t)n >= sizeof(text) || strchr(text, '\n') != NULL)
		text[0] = '\0';
	b->question[b->count] = arena_copy(b->arena, str_of(text));
	return b->count++;
}

static void
write_questions(const struct bt *b, struct buf *input)
{
	for (size_t i = b->done; i <= b->count; i++) {
		(void)buf_addf(input, "/map " MARK "%zu x\n", i);
		if (i < b->count) {
			(void)buf_adds(input, b->question[i]);
			(void)buf_addc(input, '\n');
		}
	}
}

/* Takes what stands before mark `i` off the front. */
static bool
until_mark(struct str *rest, size_t i, struct str *before_r)
{
	char mark[MARK_MAX];
	ptrdiff_t at;

	(void)snprintf(mark, sizeof(mark), "Map named \"" MARK "%zu\" not found",
	    i); /* fits */
	at = str_find(*rest, str_of(mark));
	if (at < 0)
		return false;
	*before_r = str_sub(*rest, 0, (size_t)at);
	*rest = str_sub(*rest, (size_t)at + strlen(mark), rest->n);
	return true;
}

/* Each line that was read is answered by a prompt, which stands before the
 * answer; sendmail's own marks are not like that. */
static struct str
without_prompts(struct bt *b, struct str text)
{
	struct str line, copy;
	struct buf out;

	buf_init(&out, SAID_MAX);
	while (text.n > 0 && str_split(&text, '\n', &line)) {
		while (str_starts(line, STR("> ")))
			line = str_sub(line, 2, line.n);
		if (str_trim(line).n == 0)
			continue;
		(void)buf_adds(&out, line);
		(void)buf_addc(&out, '\n');
	}
	copy = arena_copy(b->arena, buf_str(&out));
	buf_release(&out);
	return copy.p != NULL ? copy : STR("");
}

/* The last line that says something, for a program that is none of ours. */
static struct str
last_words(struct str said)
{
	said = str_trim(said);
	ptrdiff_t nl = str_rchr(said, '\n');

	return nl < 0 ? said : str_sub(said, (size_t)nl + 1, said.n);
}

int
bt_run(struct bt *b, struct verdict *v)
{
	const char *argv[] = { b->sendmail, "-d0.10", "-bt", NULL, NULL, NULL };
	struct str rest, before;
	struct buf input;
	int r, status = 0;

	if (b->conf != NULL) {
		argv[3] = "-C";
		argv[4] = b->conf;
	}
	buf_init(&input, INPUT_MAX);
	buf_reset(&b->said);
	write_questions(b, &input);
	r = ask_program(argv, buf_str(&input), BT_TIMEOUT_MS, &b->said,
	    &status, v);
	buf_release(&input);
	if (r < 0)
		return -1;
	rest = buf_str(&b->said);
	if (str_find(rest, str_of(ready)) < 0 ||
	    !until_mark(&rest, b->done, &before))
		return verdict_set(v, V_CONFIG, "%s has no test mode as "
		    "sendmail has it (-bt); it said: %.*s", b->sendmail,
		    STR_ARG(str_sub(last_words(rest), 0, 200)));
	b->preamble = without_prompts(b, before);
	while (b->done < b->count) {
		if (!until_mark(&rest, b->done + 1, &before))
			return verdict_set(v, V_TROUBLE, "%s ended over the "
			    "question: %.*s", b->sendmail,
			    STR_ARG(b->question[b->done]));
		b->answer[b->done++] = without_prompts(b, before);
	}
	return 0;
}

struct str
bt_question(const struct bt *b, size_t i)
{
	return b->question[i];
}

struct str
bt_answer(const struct bt *b, size_t i)
{
	return b->answer[i].p != NULL ? b->answer[i] : STR("");
}

/* --- reading answers ------------------------------------------------------------ */

struct str
bt_line(struct str text, const char *what)
{
	struct str line;

	while (text.n > 0 && str_split(&text, '\n', &line))
		if (str_find(line, str_of(what)) >= 0)
			return line;
	return STR("");
}

struct str
bt_returns(struct str answer, struct str ruleset)
{
	struct str line, last = STR("");

	while (answer.n > 0 && str_split(&answer, '\n', &line)) {
		ptrdiff_t at;

		if (!str_starts(line, ruleset) || line.n == ruleset.n ||
		    line.p[ruleset.n] != ' ')
			continue;
		line = str_trim(str_sub(line, ruleset.n, line.n));
		at = str_find(line, STR("returns:"));
		if (at == 0)
			last = str_trim(str_sub(line, strlen("returns:"),
			    line.n));
	}
	return last;
}

struct str
bt_mailer_of(struct str returned)
{
	struct str name;

	if (!str_starts(returned, STR("$# ")))
		return STR("");
	returned = str_sub(returned, 3, returned.n);
	return str_split(&returned, ' ', &name) ? name : STR("");
}

struct str
bt_code_of(struct str returned, struct arena *arena)
{
	static const char before[] = "$# error $@ ";
	struct str word;
	struct buf code;

	if (!str_starts(returned, str_of(before)))
		return STR("");
	returned = str_sub(returned, sizeof(before) - 1, returned.n);
	buf_init(&code, QUESTION_MAX);
	while (str_split(&returned, ' ', &word) && !str_eq(word, STR("$:")))
		(void)buf_adds(&code, word);
	word = arena_copy(arena, buf_str(&code));
	buf_release(&code);
	return word.p != NULL ? word : STR("");
}

/* "map_lookup: NAME (KEY) returns VALUE (0)"; what sendmail warns of may
 * stand in the middle, with a line end. */
struct str
bt_value(struct str answer)
{
	ptrdiff_t at = str_find(answer, STR("returns ")), end;

	if (str_find(answer, STR("map_lookup: ")) < 0 || at < 0)
		return (struct str){ NULL, 0 };
	answer = str_sub(answer, (size_t)at + strlen("returns "), answer.n);
	end = str_rchr(answer, '(');
	return str_trim(str_sub(answer, 0, end < 0 ? answer.n : (size_t)end));
}

bool
bt_lists(struct str answer, struct str word)
{
	struct str line;

	while (answer.n > 0 && str_split(&answer, '\n', &line))
		if (str_caseeq(str_trim(line), word))
			return true;
	return false;
}

/* The word behind " X=" in a mailer's line. */
static struct str
field(struct str line, struct str name)
{
	ptrdiff_t at = str_find(line, name), end;

	if (at < 0)
		return STR("");
	line = str_sub(line, (size_t)at + name.n, line.n);
	end = str_chr(line, ' ');
	return end < 0 ? line : str_sub(line, 0, (size_t)end);
}

bool
bt_next_mailer(struct str *rest, struct bt_mailer *m_r)
{
	struct str line;

	while (rest->n > 0 && str_split(rest, '\n', &line)) {
		ptrdiff_t open = str_chr(line, '('), close = str_chr(line, ')');
		ptrdiff_t args = str_find(line, STR(" A="));

		if (!str_starts(line, STR("mailer ")) || open < 0 ||
		    close < open)
			continue;
		*m_r = (struct bt_mailer){
			.name = str_sub(line, (size_t)open + 1,
			    (size_t)(close - open) - 1),
			.program = field(line, STR(" P=")),
			.flags = field(line, STR(" F=")),
			.user = field(line, STR(" U=")),
			.argv = args < 0 ? STR("") : str_trim(str_sub(line,
			    (size_t)args + strlen(" A="), line.n)),
		};
		return true;
	}
	return false;
}
