#include "filters/content.h"

#include <string.h>

#include "store/base/num.h"

/* A wrong word as it is repeated. */
#define SHOWN_MAX 40
/* Memory of one rule that is only checked. */
#define CHECK_ARENA 65536u

enum condition_kind {
	CONDITION_FLAGS,
	CONDITION_TYPE,
	CONDITION_DECLARED,
	CONDITION_NAME,
	CONDITION_EXTENSION,
	CONDITION_OVER,
	CONDITION_UNDER,
};

struct condition {
	enum condition_kind kind;
	bool negated;
	unsigned flags;
	uint64_t size;
	struct str *patterns;
	size_t n;
};

struct content_rule {
	enum content_act act;
	struct str text;
	struct condition *conditions;
	size_t n;
};

static const char *const act_words[CONTENT_ACT_COUNT] = {
	[CONTENT_ACCEPT] = "accept",
	[CONTENT_TAG] = "tag",
	[CONTENT_QUARANTINE] = "quarantine",
	[CONTENT_REJECT] = "reject",
};

static const struct {
	const char *word;
	unsigned flag;
} flag_words[] = {
	{ "executable", ATTACHMENT_EXECUTABLE },
	{ "mismatch", ATTACHMENT_MISMATCH },
	{ "encrypted", ATTACHMENT_ENCRYPTED },
	{ "bomb", ATTACHMENT_BOMB },
	{ "broken", ATTACHMENT_BROKEN },
	{ "cut", ATTACHMENT_CUT },
	{ "archive", ATTACHMENT_ARCHIVE },
	{ "member", CONTENT_MEMBER },
	{ "attached", CONTENT_ATTACHED },
};
#define FLAG_WORDS (sizeof(flag_words) / sizeof(flag_words[0]))

static const struct {
	const char *word;
	enum condition_kind kind;
} kind_words[] = {
	{ "type", CONDITION_TYPE },
	{ "declared", CONDITION_DECLARED },
	{ "name", CONDITION_NAME },
	{ "extension", CONDITION_EXTENSION },
	{ "over", CONDITION_OVER },
	{ "under", CONDITION_UNDER },
};

const char *
content_act_word(enum content_act act)
{
	return act_words[act];
}

const char *
content_flag_word(unsigned bit)
{
	for (size_t i = 0; i < FLAG_WORDS; i++)
		if (flag_words[i].flag == bit)
			return flag_words[i].word;
	return NULL;
}

unsigned
content_flags(const struct attachment *x)
{
	unsigned flags = x->flags;

	if (x->inside)
		flags |= CONTENT_MEMBER;
	else if (x->part && (x->name.n || str_caseeq(x->part->disposition.value,
	    STR("attachment"))))
		flags |= CONTENT_ATTACHED;
	return flags;
}

/* --- reading rules ------------------------------------------------------------- */

static int
wrong(struct buf *why, struct str word, const char *what)
{
	(void)buf_addc(why, '`');
	for (size_t i = 0; i < word.n && i < SHOWN_MAX; i++)
		(void)buf_addc(why, ascii_iscntrl(word.p[i]) ? '?' : word.p[i]);
	(void)buf_addf(why, "%s' %s", word.n > SHOWN_MAX ? "..." : "", what);
	return -1;
}

static int
too_much(struct buf *why)
{
	(void)buf_addz(why, "the content policy is too large");
	return -1;
}

/* The next word; one in single quotes may hold blanks and commas, and stays
 * quoted. False at the end. */
static bool
next_word(struct str *rest, struct str *word_r)
{
	bool quoted = false;
	size_t n = 0;

	*rest = str_trim(*rest);
	for (; n < rest->n; n++) {
		if (rest->p[n] == '\'')
			quoted = !quoted;
		else if (!quoted && ascii_isblank(rest->p[n]))
			break;
	}
	*word_r = str_sub(*rest, 0, n);
	*rest = str_sub(*rest, n, rest->n);
	return n > 0;
}

/* The next alternative of a word, without its quotes. */
static bool
next_alternative(struct str *rest, struct str *one_r)
{
	bool quoted = false;
	size_t n = 0;

	if (!rest->p)
		return false;
	for (; n < rest->n; n++) {
		if (rest->p[n] == '\'')
			quoted = !quoted;
		else if (!quoted && rest->p[n] == ',')
			break;
	}
	*one_r = str_sub(*rest, 0, n);
	if (n < rest->n)
		*rest = str_sub(*rest, n + 1, rest->n);
	else
		rest->p = NULL;
	if (one_r->n >= 2 && one_r->p[0] == '\'' &&
	    one_r->p[one_r->n - 1] == '\'')
		*one_r = str_sub(*one_r, 1, one_r->n - 2);
	return true;
}

static int
read_patterns(struct str words, struct arena *a, struct condition *c,
    struct buf *why)
{
	struct str rest = words, one;
	size_t n = 0;

	while (next_alternative(&rest, &one)) {
		if (one.n == 0 || str_chr(one, '\'') >= 0)
			return wrong(why, words, "has an empty part, or a quote "
			    "that does not end; single quotes stand around a "
			    "whole pattern");
		n++;
	}
	if (n > CONTENT_PATTERNS_MAX)
		return too_much(why);
	c->patterns = arena_array(a, n, sizeof(*c->patterns));
	if (!c->patterns)
		return too_much(why);
	rest = words;
	while (next_alternative(&rest, &one)) {
		/* ".exe" is meant as "exe". */
		if (c->kind == CONDITION_EXTENSION && one.n > 1 &&
		    one.p[0] == '.')
			one = str_sub(one, 1, one.n);
		c->patterns[c->n++] = one;
	}
	return 0;
}

static int
read_flags(struct str words, struct condition *c, struct buf *why)
{
	struct str rest = words, one;

	c->kind = CONDITION_FLAGS;
	while (next_alternative(&rest, &one)) {
		size_t i = 0;

		while (i < FLAG_WORDS && !str_eq(one,
		    str_of(flag_words[i].word)))
			i++;
		if (i == FLAG_WORDS)
			return wrong(why, one, "is no condition; there are "
			    "executable, mismatch, encrypted, bomb, broken, cut, "
			    "archive, member, attached, and with a value type, "
			    "declared, name, extension, over, under");
		c->flags |= flag_words[i].flag;
	}
	return 0;
}

static int
read_condition(struct str word, struct str *rest, struct arena *a,
    struct condition *c, struct buf *why)
{
	struct str value;

	*c = (struct condition){ .kind = CONDITION_FLAGS };
	if (str_eq(word, STR("not"))) {
		c->negated = true;
		if (!next_word(rest, &word))
			return wrong(why, word, "stands behind `not', where a "
			    "condition is wanted");
	}
	for (size_t i = 0; i < sizeof(kind_words) / sizeof(kind_words[0]); i++) {
		if (!str_eq(word, str_of(kind_words[i].word)))
			continue;
		c->kind = kind_words[i].kind;
		if (!next_word(rest, &value))
			return wrong(why, word, "wants a value behind it");
		if (c->kind != CONDITION_OVER && c->kind != CONDITION_UNDER)
			return read_patterns(value, a, c, why);
		if (num_size(value, &c->size) < 0)
			return wrong(why, value, "is no size; write it as 512K, "
			    "10M or 1G");
		return 0;
	}
	return read_flags(word, c, why);
}

static int
read_rule(struct str text, struct arena *a, struct content_rule *rule,
    struct buf *why)
{
	struct condition list[CONTENT_CONDITIONS_MAX];
	struct str rest = text, word;
	size_t n = 0;
	int act = 0;

	*rule = (struct content_rule){ .text = text };
	if (!next_word(&rest, &word))
		return wrong(why, text, "is no rule");
	while (act < CONTENT_ACT_COUNT &&
	    !str_eq(word, str_of(act_words[act])))
		act++;
	if (act == CONTENT_ACT_COUNT)
		return wrong(why, word, "is no action; reject, quarantine, tag "
		    "or accept is wanted, then conditions");
	rule->act = (enum content_act)act;
	while (next_word(&rest, &word)) {
		if (n == CONTENT_CONDITIONS_MAX)
			return too_much(why);
		if (read_condition(word, &rest, a, &list[n], why) < 0)
			return -1;
		n++;
	}
	/* Everything there is, body texts too: never what was meant. */
	if (n == 0)
		return wrong(why, text, "has no condition; `attached' is what "
		    "holds of every attachment");
	rule->conditions = arena_array(a, n, sizeof(*rule->conditions));
	if (!rule->conditions)
		return too_much(why);
	memcpy(rule->conditions, list, n * sizeof(*list));
	rule->n = n;
	return 0;
}

/* Rules end at a line's end or a semicolon outside of quotes. */
static bool
next_rule(struct str *rest, struct str *rule_r)
{
	bool quoted = false;
	size_t n = 0;

	if (rest->n == 0)
		return false;
	for (; n < rest->n && rest->p[n] != '\n'; n++) {
		if (rest->p[n] == '\'')
			quoted = !quoted;
		else if (!quoted && rest->p[n] == ';')
			break;
	}
	*rule_r = str_trim(str_sub(*rest, 0, n));
	*rest = str_sub(*rest, n + 1, rest->n);
	return true;
}

int
content_policy_parse(struct str text, struct arena *a,
    struct content_policy *policy_r, struct buf *why)
{
	struct content_policy p = { .n = 0 };
	struct str rest = text, one;
	size_t n = 0;

	if (text.n > CONTENT_TEXT_MAX)
		return too_much(why);
	while (next_rule(&rest, &one))
		n += one.n > 0;
	if (n > CONTENT_RULES_MAX)
		return too_much(why);
	p.rules = arena_array(a, n ? n : 1, sizeof(*p.rules));
	if (!p.rules)
		return too_much(why);
	rest = text;
	while (next_rule(&rest, &one)) {
		if (one.n == 0)
			continue;
		if (read_rule(one, a, &p.rules[p.n], why) < 0)
			return -1;
		p.n++;
	}
	*policy_r = p;
	return 0;
}

int
content_rule_check(const char *rule, struct buf *why)
{
	struct content_policy p;
	struct arena a;
	int r;

	arena_init(&a, CHECK_ARENA);
	r = content_policy_parse(str_of(rule), &a, &p, why);
	if (r == 0 && p.n != 1)
		r = wrong(why, str_of(rule), "is not one rule");
	arena_release(&a);
	return r;
}

/* --- judging --------------------------------------------------------------------- */

/* * and ?, letters of any case; in time of pattern times text. */
static bool
glob(struct str pattern, struct str text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, back = 0;

	while (t < text.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			back = t;
		} else if (p < pattern.n && (pattern.p[p] == '?' ||
		    ascii_lower(pattern.p[p]) == ascii_lower(text.p[t]))) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++back;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

/* A member's name without the folders that the archive puts it in. */
static struct str
base_name(struct str name)
{
	ptrdiff_t slash = str_rchr(name, '/');

	return slash < 0 ? name : str_sub(name, (size_t)slash + 1, name.n);
}

static bool
any_pattern(const struct condition *c, struct str text)
{
	for (size_t i = 0; i < c->n; i++)
		if (glob(c->patterns[i], text))
			return true;
	return false;
}

static bool
holds(const struct condition *c, const struct attachment *x)
{
	switch (c->kind) {
	case CONDITION_FLAGS:
		return content_flags(x) & c->flags;
	case CONDITION_TYPE:
		return any_pattern(c, x->type);
	case CONDITION_DECLARED:
		return any_pattern(c, x->declared);
	case CONDITION_NAME:
		return any_pattern(c, x->name) ||
		    any_pattern(c, base_name(x->name)) ||
		    (x->other_name.n && any_pattern(c, x->other_name));
	case CONDITION_EXTENSION:
		return (x->extension.n && any_pattern(c, x->extension)) ||
		    (x->other_extension.n &&
		    any_pattern(c, x->other_extension));
	case CONDITION_OVER:
		return x->size > c->size;
	case CONDITION_UNDER:
		return x->size < c->size;
	}
	return false;
}

void
content_judge_one(const struct content_policy *policy,
    const struct attachment *x, struct content_finding *finding_r)
{
	*finding_r = (struct content_finding){ .act = CONTENT_ACCEPT };
	for (size_t i = 0; i < policy->n; i++) {
		const struct content_rule *rule = &policy->rules[i];
		size_t k = 0;

		while (k < rule->n && holds(&rule->conditions[k], x) !=
		    rule->conditions[k].negated)
			k++;
		if (k < rule->n)
			continue;
		*finding_r = (struct content_finding){ .act = rule->act,
		    .what = x, .rule = rule->text };
		return;
	}
}

void
content_judge(const struct content_policy *policy,
    const struct attachments *list, struct content_finding *finding_r)
{
	/* More than can be listed: what was left out could be anything. */
	static const struct attachment rest = { .flags = ATTACHMENT_CUT,
	    .name = { "", 0 }, .extension = { "", 0 }, .declared = { "", 0 },
	    .type = { "", 0 } };
	struct content_finding one;

	*finding_r = (struct content_finding){ .act = CONTENT_ACCEPT };
	for (size_t i = 0; i <= list->n; i++) {
		if (i == list->n && !(list->flags & ATTACHMENT_CUT))
			break;
		content_judge_one(policy, i < list->n ? list->list[i] : &rest,
		    &one);
		if (one.act > finding_r->act ||
		    (one.what && !finding_r->what))
			*finding_r = one;
	}
}

/* --- telling ---------------------------------------------------------------------- */

void
content_facts(const struct content_finding *finding,
    struct content_facts *facts_r)
{
	const struct attachment *x = finding->what;

	*facts_r = (struct content_facts){ .act = finding->act,
	    .rule = finding->rule, .name = STR(""), .type = STR("") };
	if (!x)
		return;
	facts_r->name = base_name(x->name);
	facts_r->type = x->type;
	facts_r->flags = content_flags(x);
}

void
content_words(unsigned flags, struct buf *out)
{
	size_t before = out->n;

	for (size_t i = 0; i < FLAG_WORDS; i++)
		if (flags & flag_words[i].flag)
			(void)buf_addf(out, "%s%s", out->n > before ? " " : "",
			    flag_words[i].word);
}

/* Of a text in the field, this much is shown. */
#define FIELD_TEXT_MAX 120

static void
add_quoted(struct buf *out, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	(void)buf_addf(out, ";\n\t%s=\"", name);
	for (size_t i = 0; i < value.n && i < FIELD_TEXT_MAX; i++) {
		char c = value.p[i];

		(void)buf_addc(out, c < ' ' || c > '~' || c == '"' ||
		    c == '\\' ? '?' : c);
	}
	(void)buf_addc(out, '"');
}

void
content_field(const struct content_facts *facts, struct buf *out)
{
	struct buf words;

	buf_init(&words, FIELD_TEXT_MAX);
	content_words(facts->flags, &words);
	(void)buf_addf(out, CONTENT_FIELD ": %s",
	    content_act_word(facts->act));
	add_quoted(out, "flags", buf_str(&words));
	add_quoted(out, "type", facts->type);
	add_quoted(out, "name", facts->name);
	add_quoted(out, "rule", facts->rule);
	(void)buf_addc(out, '\n');
	buf_release(&words);
}
