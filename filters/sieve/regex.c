#include "filters/sieve/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "filters/sieve/ere.h"
#include "filters/sieve/limits.h"
#include "store/base/mem.h"

/* A translated pattern may grow: "\<" becomes twelve bytes. */
#define TRANSLATED_MAX ((size_t)LIMIT_REGEX_PATTERN * 8)
/* For the longest of several alternatives, so much of a subject is looked at
 * a second time, with so much room to do it in. */
#define LONGEST_SUBJECT 65536
#define LONGEST_ROOM 1000

struct regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
	uint32_t options;
	/* With alternatives, for longest(): */
	bool choice;
	struct buf ere;		/* what was compiled */
	pcre2_code *strict;	/* the same, which wants true UTF-8; NULL: not
				 * yet made */
};

/*
 * The draft means POSIX extended expressions, matched against the whole
 * string: a dot stands for a line break, too, and $ for the very end only.
 * \C, which would cut characters, cannot come through ere.c.
 */
#define OPTIONS (PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOTALL | \
	PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP)

struct regex *
regex_open(struct str pattern, enum regex_case how, char *why, size_t n)
{
	struct regex *re = mem_zalloc(1, sizeof(*re));
	uint32_t options = OPTIONS | (how == REGEX_NOCASE ? PCRE2_CASELESS : 0);
	pcre2_compile_context *cc = NULL;
	PCRE2_SIZE at, size = 0;
	const char *refused;
	int error = 0;

	re->options = options;
	buf_init(&re->ere, TRANSLATED_MAX);
	if (pattern.n > LIMIT_REGEX_PATTERN) {
		(void)snprintf(why, n, "longer than %d bytes",
		    LIMIT_REGEX_PATTERN);
		goto bad;
	}
	if (ere_translate(pattern, &re->ere, &re->choice, &refused)) {
		(void)snprintf(why, n, "%s", refused);
		goto bad;
	}
	cc = pcre2_compile_context_create(NULL);
	if (!cc)
		exit(MEM_EXIT);
	pcre2_set_parens_nest_limit(cc, ERE_NESTING + 16);
	re->code = pcre2_compile((PCRE2_SPTR)(re->ere.n ? re->ere.p : ""),
	    re->ere.n, options, &error, &at, cc);
	if (!re->code) {
		PCRE2_UCHAR text[120];

		/* an offset into what was translated would say nothing */
		(void)pcre2_get_error_message(error, text, sizeof(text));
		(void)snprintf(why, n, "%s", (char *)text);
		goto bad;
	}
	(void)pcre2_pattern_info(re->code, PCRE2_INFO_SIZE, &size);
	if (size > LIMIT_REGEX_COMPILED) {
		(void)snprintf(why, n, "too large: repetitions multiply");
		goto bad;
	}
	re->data = pcre2_match_data_create_from_pattern(re->code, NULL);
	re->limits = pcre2_match_context_create(NULL);
	if (!re->data || !re->limits)
		exit(MEM_EXIT);
	pcre2_set_match_limit(re->limits, LIMIT_REGEX_MATCH);
	pcre2_set_depth_limit(re->limits, LIMIT_REGEX_DEPTH);
	pcre2_set_heap_limit(re->limits, LIMIT_REGEX_HEAP);
	pcre2_compile_context_free(cc);
	if (!re->choice)
		buf_release(&re->ere);
	return re;
bad:
	pcre2_compile_context_free(cc);
	regex_close(&re);
	return NULL;
}

void
regex_close(struct regex **re)
{
	if (!*re)
		return;
	pcre2_match_context_free((*re)->limits);
	pcre2_match_data_free((*re)->data);
	pcre2_code_free((*re)->code);
	pcre2_code_free((*re)->strict);
	buf_release(&(*re)->ere);
	free(*re);
	*re = NULL;
}

/*
 * PCRE2 takes the first alternative that fits, POSIX the longest match. How
 * long that is, the other matcher of PCRE2 knows; then the first one is asked
 * for the match of that length. Returns what pcre2_match() did when that
 * cannot be had (back references).
 */
static int
longest(struct regex *re, PCRE2_SPTR subject, size_t n, int r)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(re->data);
	PCRE2_SIZE start = v[0], end = v[1];
	pcre2_match_data *data;
	int room[LONGEST_ROOM];
	int x;

	if (n > LONGEST_SUBJECT || end == n || start > end)
		return r;
	/* that matcher knows no way around bytes that are no UTF-8 */
	if (!re->strict) {
		PCRE2_SIZE at;

		re->strict = pcre2_compile((PCRE2_SPTR)re->ere.p, re->ere.n,
		    re->options & ~PCRE2_MATCH_INVALID_UTF, &x, &at, NULL);
	}
	if (!re->strict)
		return r;
	data = pcre2_match_data_create(1, NULL);
	if (!data)
		exit(MEM_EXIT);
	x = pcre2_dfa_match(re->strict, subject, n, start, PCRE2_ANCHORED, data,
	    re->limits, room, LONGEST_ROOM);
	if (x >= 0 && pcre2_get_ovector_pointer(data)[1] > end) {
		end = pcre2_get_ovector_pointer(data)[1];
		x = pcre2_match(re->code, subject, end, start,
		    PCRE2_ANCHORED | PCRE2_ENDANCHORED, re->data, re->limits);
		/* a failure has overwritten the first one's places */
		r = x > 0 ? x : pcre2_match(re->code, subject, n, 0, 0,
		    re->data, re->limits);
	}
	pcre2_match_data_free(data);
	return r;
}

int
regex_match(struct regex *re, struct str subject, struct str *captures,
    unsigned max, unsigned *n_r)
{
	const PCRE2_SIZE *v;
	unsigned pairs;
	int r;

	r = pcre2_match(re->code, (PCRE2_SPTR)(subject.p ? subject.p : ""),
	    subject.n, 0, 0, re->data, re->limits);
	if (r == PCRE2_ERROR_NOMATCH)
		return 0;
	if (r > 0 && re->choice)
		r = longest(re, (PCRE2_SPTR)(subject.p ? subject.p : ""),
		    subject.n, r);
	if (r < 0)
		return -1;
	v = pcre2_get_ovector_pointer(re->data);
	pairs = pcre2_get_ovector_count(re->data);
	if (pairs > max)
		pairs = max;
	for (unsigned i = 0; i < pairs; i++) {
		captures[i] = (struct str){ 0 };
		if (i < (unsigned)r && v[2 * i] != PCRE2_UNSET &&
		    v[2 * i] <= v[2 * i + 1])
			captures[i] = str_mem(subject.p + v[2 * i],
			    v[2 * i + 1] - v[2 * i]);
	}
	*n_r = pairs;
	return 1;
}
