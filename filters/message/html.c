#include "filters/message/html.h"

#include <stdint.h>
#include <string.h>

#include "filters/message/limits.h"
#include "filters/message/utf8.h"

/* Entities that mail has: those of HTML 4 that are not letters of a
 * language one cannot type, and all of Latin-1. Names are case-sensitive. */
static const struct {
	char name[8];	/* compared as one number */
	uint16_t c;
} entities[] = {
	{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' },
	{ "apos", '\'' }, { "nbsp", 0xa0 }, { "iexcl", 0xa1 },
	{ "cent", 0xa2 }, { "pound", 0xa3 }, { "curren", 0xa4 },
	{ "yen", 0xa5 }, { "brvbar", 0xa6 }, { "sect", 0xa7 },
	{ "uml", 0xa8 }, { "copy", 0xa9 }, { "ordf", 0xaa },
	{ "laquo", 0xab }, { "not", 0xac }, { "shy", 0xad },
	{ "reg", 0xae }, { "macr", 0xaf }, { "deg", 0xb0 },
	{ "plusmn", 0xb1 }, { "sup2", 0xb2 }, { "sup3", 0xb3 },
	{ "acute", 0xb4 }, { "micro", 0xb5 }, { "para", 0xb6 },
	{ "middot", 0xb7 }, { "cedil", 0xb8 }, { "sup1", 0xb9 },
	{ "ordm", 0xba }, { "raquo", 0xbb }, { "frac14", 0xbc },
	{ "frac12", 0xbd }, { "frac34", 0xbe }, { "iquest", 0xbf },
	{ "Agrave", 0xc0 }, { "Aacute", 0xc1 }, { "Acirc", 0xc2 },
	{ "Atilde", 0xc3 }, { "Auml", 0xc4 }, { "Aring", 0xc5 },
	{ "AElig", 0xc6 }, { "Ccedil", 0xc7 }, { "Egrave", 0xc8 },
	{ "Eacute", 0xc9 }, { "Ecirc", 0xca }, { "Euml", 0xcb },
	{ "Igrave", 0xcc }, { "Iacute", 0xcd }, { "Icirc", 0xce },
	{ "Iuml", 0xcf }, { "ETH", 0xd0 }, { "Ntilde", 0xd1 },
	{ "Ograve", 0xd2 }, { "Oacute", 0xd3 }, { "Ocirc", 0xd4 },
	{ "Otilde", 0xd5 }, { "Ouml", 0xd6 }, { "times", 0xd7 },
	{ "Oslash", 0xd8 }, { "Ugrave", 0xd9 }, { "Uacute", 0xda },
	{ "Ucirc", 0xdb }, { "Uuml", 0xdc }, { "Yacute", 0xdd },
	{ "THORN", 0xde }, { "szlig", 0xdf }, { "agrave", 0xe0 },
	{ "aacute", 0xe1 }, { "acirc", 0xe2 }, { "atilde", 0xe3 },
	{ "auml", 0xe4 }, { "aring", 0xe5 }, { "aelig", 0xe6 },
	{ "ccedil", 0xe7 }, { "egrave", 0xe8 }, { "eacute", 0xe9 },
	{ "ecirc", 0xea }, { "euml", 0xeb }, { "igrave", 0xec },
	{ "iacute", 0xed }, { "icirc", 0xee }, { "iuml", 0xef },
	{ "eth", 0xf0 }, { "ntilde", 0xf1 }, { "ograve", 0xf2 },
	{ "oacute", 0xf3 }, { "ocirc", 0xf4 }, { "otilde", 0xf5 },
	{ "ouml", 0xf6 }, { "divide", 0xf7 }, { "oslash", 0xf8 },
	{ "ugrave", 0xf9 }, { "uacute", 0xfa }, { "ucirc", 0xfb },
	{ "uuml", 0xfc }, { "yacute", 0xfd }, { "thorn", 0xfe },
	{ "yuml", 0xff }, { "OElig", 0x152 }, { "oelig", 0x153 },
	{ "Scaron", 0x160 }, { "scaron", 0x161 }, { "Yuml", 0x178 },
	{ "fnof", 0x192 }, { "circ", 0x2c6 }, { "tilde", 0x2dc },
	{ "ensp", 0x2002 }, { "emsp", 0x2003 }, { "thinsp", 0x2009 },
	{ "zwnj", 0x200c }, { "zwj", 0x200d }, { "lrm", 0x200e },
	{ "rlm", 0x200f }, { "ndash", 0x2013 }, { "mdash", 0x2014 },
	{ "lsquo", 0x2018 }, { "rsquo", 0x2019 }, { "sbquo", 0x201a },
	{ "ldquo", 0x201c }, { "rdquo", 0x201d }, { "bdquo", 0x201e },
	{ "dagger", 0x2020 }, { "Dagger", 0x2021 }, { "bull", 0x2022 },
	{ "hellip", 0x2026 }, { "permil", 0x2030 }, { "prime", 0x2032 },
	{ "Prime", 0x2033 }, { "lsaquo", 0x2039 }, { "rsaquo", 0x203a },
	{ "euro", 0x20ac }, { "trade", 0x2122 }, { "larr", 0x2190 },
	{ "uarr", 0x2191 }, { "rarr", 0x2192 }, { "darr", 0x2193 },
	{ "harr", 0x2194 }, { "minus", 0x2212 }, { "infin", 0x221e },
	{ "asymp", 0x2248 }, { "ne", 0x2260 }, { "le", 0x2264 },
	{ "ge", 0x2265 }, { "hearts", 0x2665 },
};

/* What 128 to 159 mean in &#NNN;, as browsers read them (windows-1252). */
static const uint16_t c1[32] = {
	0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
	0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
};

/* Elements that stand on lines of their own. */
static const char *const blocks[] = {
	"address", "article", "aside", "blockquote", "body", "br", "center",
	"dd", "div", "dl", "dt", "fieldset", "figure", "footer", "form",
	"h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html",
	"li", "main", "nav", "ol", "option", "p", "pre", "section", "table",
	"tbody", "tfoot", "thead", "title", "tr", "ul",
};

/* Elements whose text is not read. */
static const char *const silent[] = {
	"script", "style", "title", "template", "noembed",
};

struct writer {
	struct buf *out;
	bool space, line;	/* owed before the next character */
	bool any;
	bool quotes_broken;
};

static void
owed(struct writer *w)
{
	if (w->any && (w->line || w->space))
		(void)buf_addc(w->out, w->line ? '\n' : ' ');
	w->line = w->space = false;
	w->any = true;
}

static bool
is_space(char c)
{
	return ascii_isblank(c) || c == '\r' || c == '\n' || c == '\f';
}

static void
add_char(struct writer *w, uint32_t c)
{
	if (c == 0xad || c == 0x200b)	/* hides words from filters */
		return;
	if (c == 0xa0 || (c < 0x80 && is_space((char)c))) {
		w->space = true;
		return;
	}
	owed(w);
	(void)utf8_add(w->out, c ? c : UTF8_REPLACEMENT);
}

static bool
in_list(struct str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_caseeq(name, str_of(list[i])))
			return true;
	return false;
}

/* The entity at the front of s (an "&"): its length, 0 when there is none. */
static size_t
entity(struct str s, uint32_t *c_r)
{
	char name[8] = { 0 };
	size_t i = 1;
	uint32_t c = 0;

	if (s.n > 2 && s.p[1] == '#') {
		bool hex = s.p[2] == 'x' || s.p[2] == 'X';
		size_t from = i = hex ? 3 : 2;

		for (; i < s.n && i - from < HTML_ENTITY_MAX; i++) {
			char d = ascii_lower(s.p[i]);
			uint32_t v;

			if (ascii_isdigit(d))
				v = (uint32_t)(d - '0');
			else if (hex && d >= 'a' && d <= 'f')
				v = (uint32_t)(d - 'a' + 10);
			else
				break;
			if (c <= 0x10ffff)
				c = c * (hex ? 16 : 10) + v;
		}
		if (i == from)
			return 0;
		*c_r = c >= 0x80 && c < 0xa0 ? c1[c - 0x80] : c;
		return i + (i < s.n && s.p[i] == ';');
	}
	for (; i < s.n && i <= sizeof(name) && ascii_isalnum(s.p[i]); i++)
		if (i < sizeof(name))
			name[i - 1] = s.p[i];
	if (i < 3 || i > sizeof(name))
		return 0;
	for (size_t k = 0; k < sizeof(entities) / sizeof(entities[0]); k++)
		if (memcmp(name, entities[k].name, sizeof(name)) == 0) {
			*c_r = entities[k].c;
			return i + (i < s.n && s.p[i] == ';');
		}
	return 0;
}

/*
 * Length of the tag at the front of s, quoted attributes respected; 0 when it
 * does not end. A page in which a tag does not end for its quotes has its
 * quotes ignored from there on: else each such tag would walk to the end.
 */
static size_t
tag_length(struct writer *w, struct str s)
{
	size_t first = 0;
	char quote = 0;

	for (size_t i = 1; i < s.n; i++) {
		char c = s.p[i];

		if (c == '>') {
			if (!quote || w->quotes_broken)
				return i + 1;
			if (!first)
				first = i + 1;
		}
		if (quote)
			quote = c == quote ? 0 : quote;
		else if ((c == '"' || c == '\'') && s.p[i - 1] == '=')
			quote = c;
	}
	w->quotes_broken = true;
	return first;
}

/* Behind the end tag of `name`, or the end of the page. */
static size_t
skip_element(struct str s, struct str name)
{
	struct str rest = s;
	ptrdiff_t at;

	while ((at = str_find(rest, STR("</"))) >= 0) {
		rest = str_sub(rest, (size_t)at + 2, rest.n);
		if (str_casestarts(rest, name) && (rest.n == name.n ||
		    !ascii_isalnum(rest.p[name.n]))) {
			at = str_chr(rest, '>');
			return s.n - rest.n +
			    (at < 0 ? rest.n : (size_t)at + 1);
		}
	}
	return s.n;
}

/* What "<" begins; its length. 0: it is only a character. */
static size_t
markup(struct writer *w, struct str s)
{
	struct str name;
	size_t n;
	bool end = s.n > 1 && s.p[1] == '/';

	if (str_starts(s, STR("<!--"))) {
		ptrdiff_t at = str_find(str_sub(s, 4, s.n), STR("-->"));

		/* "<!-->" and "<!--->" are whole, too. */
		if (str_starts(s, STR("<!-->")) || str_starts(s, STR("<!--->")))
			return (size_t)str_chr(s, '>') + 1;
		return at < 0 ? s.n : (size_t)at + 7;
	}
	if (s.n > 1 && (s.p[1] == '!' || s.p[1] == '?')) {
		ptrdiff_t at = str_chr(s, '>');

		return at < 0 ? s.n : (size_t)at + 1;
	}
	name = str_sub(s, end ? 2 : 1, s.n);
	if (name.n == 0 || !ascii_isalpha(name.p[0]))
		return end && name.n ? tag_length(w, s) : 0;
	for (n = 0; n < name.n && ascii_isalnum(name.p[n]);)
		n++;
	name.n = n;
	n = tag_length(w, s);
	if (n == 0)
		return s.n;	/* a cut tag */
	if (in_list(name, blocks, sizeof(blocks) / sizeof(blocks[0])))
		w->line = true;
	else if (str_caseeq(name, STR("td")) || str_caseeq(name, STR("th")))
		w->space = true;
	if (!end && in_list(name, silent, sizeof(silent) / sizeof(silent[0])) &&
	    s.p[n - 2] != '/')
		n += skip_element(str_sub(s, n, s.n), name);
	return n;
}

int
html_text(struct str html, struct buf *out)
{
	struct writer w = { .out = out };
	struct str s = html;

	while (s.n && !out->full) {
		size_t n = 0;
		uint32_t c;

		if (s.p[0] == '<') {
			n = markup(&w, s);
			if (n) {
				s = str_sub(s, n, s.n);
				continue;
			}
		} else if (s.p[0] == '&') {
			n = entity(s, &c);
			if (n) {
				add_char(&w, c);
				s = str_sub(s, n, s.n);
				continue;
			}
		}
		/* A run of plain bytes at once. */
		while (n < s.n && (n == 0 || (s.p[n] != '<' &&
		    s.p[n] != '&')) && !is_space(s.p[n]) && s.p[n] &&
		    (unsigned char)s.p[n] < 0x80)
			n++;
		if (n) {
			owed(&w);
			(void)buf_add(out, s.p, n);
			s = str_sub(s, n, s.n);
		} else {
			c = utf8_next(&s);
			add_char(&w, c == UTF8_BAD ? UTF8_REPLACEMENT : c);
		}
	}
	return out->full ? -1 : 0;
}
