#include "filters/sieve/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "filters/sieve/limits.h"
#include "store/base/mem.h"

struct regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

/*
 * The draft means POSIX extended expressions, matched against the whole
 * string: a dot stands for a line break, too, and $ for the very end only.
 * Verbs such as (*UTF) at the front could lift nothing (limits only go down),
 * \C is refused since it would cut characters.
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
	int error = 0;

	if (pattern.n > LIMIT_REGEX_PATTERN) {
		(void)snprintf(why, n, "longer than %d bytes",
		    LIMIT_REGEX_PATTERN);
		goto bad;
	}
	cc = pcre2_compile_context_create(NULL);
	if (!cc)
		exit(MEM_EXIT);
	pcre2_set_parens_nest_limit(cc, 64);
	re->code = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""),
	    pattern.n, options, &error, &at, cc);
	if (!re->code) {
		PCRE2_UCHAR text[120];

		(void)pcre2_get_error_message(error, text, sizeof(text));
		(void)snprintf(why, n, "%s at offset %zu", (char *)text,
		    (size_t)at);
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
	free(*re);
	*re = NULL;
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
