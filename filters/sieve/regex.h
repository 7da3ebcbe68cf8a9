/*
 * Regular expressions (draft-ietf-sieve-regex) by PCRE2, every match with
 * limits on steps, depth and memory. The only file that knows PCRE2.
 */
#ifndef FILTERS_SIEVE_REGEX_H
#define FILTERS_SIEVE_REGEX_H

#include <stdbool.h>

#include "store/base/str.h"

struct regex;

enum regex_case {
	REGEX_CASE,
	REGEX_NOCASE,
};

/* NULL with a sentence in why (of size n). */
struct regex *regex_open(struct str pattern, enum regex_case how, char *why,
    size_t n);
void regex_close(struct regex **re);
/* 1 and captures (unset ones empty), 0, or -1: a limit was exceeded. */
int regex_match(struct regex *re, struct str subject, struct str *captures,
    unsigned max, unsigned *n_r);

#endif
