/*
 * Borrowed bytes with a length. A struct str never owns and never ends in
 * NUL by promise: mail holds NUL, bare CR and 8-bit bytes. It is passed by
 * value; whoever made it keeps the bytes alive as long as it is used.
 */
#ifndef STORE_BASE_STR_H
#define STORE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

struct str {
	const char *p;
	size_t n;
};

/* A str of a string literal. */
#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
/* For printf's "%.*s": only for bytes already known to be printable. */
#define STR_ARG(s) ((int)(s).n), ((s).p ? (s).p : "")

/* The bytes of a NUL-terminated string, without the NUL; NULL gives none. */
struct str str_of(const char *z);
/* n bytes at p. */
struct str str_mem(const void *p, size_t n);
/* s without its first `skip` bytes, at most `n` long; never past the end. */
struct str str_sub(struct str s, size_t skip, size_t n);

bool str_eq(struct str a, struct str b);
/* Equal when ASCII letters are folded; other bytes compare as they are. */
bool str_caseeq(struct str a, struct str b);
/* Order as memcmp, shorter first. */
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_casestarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Position of the first / last byte c, or -1. */
ptrdiff_t str_chr(struct str s, char c);
ptrdiff_t str_rchr(struct str s, char c);
/* Position of the first `needle`, or -1; an empty needle is at 0. */
ptrdiff_t str_find(struct str s, struct str needle);

/* s without space, tab, CR and LF at both ends. */
struct str str_trim(struct str s);
/*
 * Takes the part of *rest before the first `sep` into *part_r and moves
 * *rest behind it. False when *rest was used up before the call (its p is
 * NULL then); an empty string gives one empty part.
 */
bool str_split(struct str *rest, char sep, struct str *part_r);

/* ASCII only, whatever the locale says. */
char ascii_lower(char c);
char ascii_upper(char c);
bool ascii_isalpha(char c);
bool ascii_isdigit(char c);
bool ascii_isalnum(char c);
/* Space or tab. */
bool ascii_isblank(char c);
/* Control character: below space, or DEL. */
bool ascii_iscntrl(char c);

#endif
