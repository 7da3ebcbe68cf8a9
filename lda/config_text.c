#include "lda/config_text.h"

#include <stdbool.h>
#include <string.h>

#include "lda/settings.h"

enum last {
	LAST_NOTHING,
	LAST_WORD,	/* bare or quoted */
	LAST_EQUAL,
	LAST_LIST,	/* the brace that opens a list */
	LAST_OTHER,
};

struct scan {
	struct str text;
	size_t at;
	size_t line;
	enum last last;
	bool in_list;
	bool in_section;
	size_t opened;		/* line of the list or section we are in */
	struct buf *out;
	struct buf *section_lines;
	unsigned char *met;
	struct str word;	/* the last one */
	struct buf *why;
};

/* A name of a setting and its `='. */
static void
meet(struct scan *s)
{
	for (size_t i = 0; i < settings_count; i++)
		/* The first letter spares most of the lengths. */
		if (s->word.n > 0 && s->word.p[0] == settings_table[i].name[0] &&
		    str_eq(s->word, str_of(settings_table[i].name))) {
			s->met[i] |= s->in_section ? CONFIG_TEXT_SECTION :
			    CONFIG_TEXT_OPEN;
			return;
		}
}

static int
wrong(struct scan *s, const char *what)
{
	(void)buf_addz(s->why, what);	/* a cut message is still a message */
	return -1;
}

static char
peek(const struct scan *s, size_t ahead)
{
	return s->at + ahead < s->text.n ? s->text.p[s->at + ahead] : '\0';
}

static void
copy(struct scan *s, size_t n)
{
	(void)buf_add(s->out, s->text.p + s->at, n);	/* out.full is read at the end */
	s->at += n;
}

/* Comments become nothing, but their line ends stay. */
static int
comment(struct scan *s)
{
	size_t begin = s->line;

	if (peek(s, 0) != '/' || peek(s, 1) != '*') {
		while (s->at < s->text.n && peek(s, 0) != '\n')
			s->at++;
		return 0;
	}
	(void)buf_addc(s->out, ' ');
	for (s->at += 2; s->at < s->text.n; s->at++) {
		if (peek(s, 0) == '*' && peek(s, 1) == '/') {
			s->at += 2;
			return 0;
		}
		if (peek(s, 0) == '\n') {
			(void)buf_addc(s->out, '\n');
			s->line++;
		}
	}
	s->line = begin;
	return wrong(s, "the comment that begins here is not closed by */");
}

static int
environment(struct scan *s)
{
	return wrong(s, "`${' stands here: the environment is not looked into; "
	    "a dollar sign is written \"\\$\"");
}

static int
control(struct scan *s)
{
	(void)buf_addf(s->why, "a control character (code %d) stands here",
	    (unsigned char)peek(s, 0));
	return -1;
}

static int
quoted(struct scan *s)
{
	char quote = peek(s, 0);
	size_t begin = s->at + 1;

	copy(s, 1);
	while (s->at < s->text.n && peek(s, 0) != '\n') {
		char c = peek(s, 0), next = peek(s, 1);

		if (c == quote) {
			s->word = str_mem(s->text.p + begin, s->at - begin);
			copy(s, 1);
			return 0;
		}
		if (ascii_iscntrl(c) && c != '\t')
			return control(s);
		if (c == '\\') {
			if (next != '\\' && next != quote &&
			    !(quote == '"' && next == '$'))
				return wrong(s, quote == '"' ?
				    "an unknown \\ stands in the string; there "
				    "are \\\\, \\\" and \\$" :
				    "an unknown \\ stands in the string; there "
				    "are \\\\ and \\'");
			copy(s, 2);
		} else if (c == '$' && next == '{' && quote == '"') {
			return environment(s);
		} else {
			copy(s, 1);
		}
	}
	return wrong(s, "the string that begins here is not closed on its line");
}

static bool
in_word(char c)
{
	return c != '\0' && !ascii_iscntrl(c) && !strchr(" #\"'={}(),+*;", c);
}

static int
word(struct scan *s)
{
	size_t begin = s->at;

	while (in_word(peek(s, 0))) {
		if (peek(s, 0) == '$' && peek(s, 1) == '{')
			return environment(s);
		s->at++;
	}
	s->word = str_mem(s->text.p + begin, s->at - begin);
	(void)buf_adds(s->out, s->word);
	return 0;
}

static int
open_brace(struct scan *s)
{
	if (s->in_list)
		return wrong(s, "a `{' stands in a list; the `}' of the list is "
		    "missing");
	if (s->last == LAST_EQUAL) {
		s->in_list = true;
		s->last = LAST_LIST;
	} else {
		if (s->in_section)
			return wrong(s, "a section cannot stand within a "
			    "section; the `}' of the first is missing, or a `=' "
			    "in front of a list");
		s->in_section = true;
		(void)buf_add(s->section_lines, &s->line, sizeof(s->line));
		s->last = LAST_OTHER;
	}
	s->opened = s->line;
	copy(s, 1);
	return 0;
}

static int
close_brace(struct scan *s)
{
	if (s->in_list) {
		if (s->last == LAST_LIST)
			(void)buf_addz(s->out, "'" CONFIG_TEXT_EMPTY "'");
		s->in_list = false;
	} else if (s->in_section) {
		s->in_section = false;
	} else {
		return wrong(s, "a `}' stands here, but nothing is open");
	}
	s->last = LAST_OTHER;
	copy(s, 1);
	return 0;
}

/* What stands between strings, words and comments. */
static int
sign(struct scan *s)
{
	char c = peek(s, 0);

	switch (c) {
	case '{':
		return open_brace(s);
	case '}':
		return close_brace(s);
	case '=':
		if (s->in_list) {
			(void)buf_addf(s->why, "a `=' stands in the list that "
			    "begins in line %zu; its `}' is missing", s->opened);
			return -1;
		}
		if (s->last == LAST_WORD)
			meet(s);
		s->last = LAST_EQUAL;
		copy(s, 1);
		return 0;
	case ',':
		if (!s->in_list)
			return wrong(s, "a `,' stands outside of a list; a list "
			    "has braces: {\"a\", \"b\"}");
		s->last = LAST_OTHER;
		copy(s, 1);
		return 0;
	case '+':
		return wrong(s, peek(s, 1) == '=' ?
		    "`+=' is not known; write the whole list with `='" :
		    "a `+' can only stand in quotes");
	case ';':
		return wrong(s, "a `;' stands here; settings end without a sign");
	case '(':
	case ')':
		return wrong(s, "there are no functions, and no include(); a "
		    "parenthesis can only stand in quotes");
	case '*':
		return wrong(s, "a `*' can only stand in quotes");
	default:
		return control(s);
	}
}

static int
scan(struct scan *s)
{
	while (s->at < s->text.n) {
		char c = peek(s, 0);

		if (c == '\n') {
			if (s->last == LAST_EQUAL)
				return wrong(s, "nothing stands behind the `='; "
				    "a value begins on the same line");
			copy(s, 1);
			s->line++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			copy(s, 1);
		} else if (c == '#' || (c == '/' &&
		    (peek(s, 1) == '/' || peek(s, 1) == '*'))) {
			if (comment(s) < 0)
				return -1;
		} else if (c == '"' || c == '\'') {
			if (quoted(s) < 0)
				return -1;
			s->last = LAST_WORD;
		} else if (in_word(c)) {
			if (word(s) < 0)
				return -1;
			s->last = LAST_WORD;
		} else if (sign(s) < 0) {
			return -1;
		}
	}
	if (s->last == LAST_EQUAL)
		return wrong(s, "nothing stands behind the `='; a value begins "
		    "on the same line");
	if (s->in_list || s->in_section) {
		s->line = s->opened;
		return wrong(s, s->in_list ?
		    "the list that begins here is not closed by `}'" :
		    "the section that begins here is not closed by `}'");
	}
	if (s->out->full || s->section_lines->full)
		return wrong(s, "the file is too long");
	return 0;
}

int
config_text_clean(struct str text, struct buf *out, struct buf *section_lines,
    unsigned char *met, size_t *line_r, struct buf *why)
{
	struct scan s = {
		.text = text,
		.line = 1,
		.out = out,
		.section_lines = section_lines,
		.met = met,
		.why = why,
	};

	if (scan(&s) < 0) {
		*line_r = s.line;
		return -1;
	}
	return 0;
}
