/*
 * Borrowed bytes with a length. A struct str never owns and never ends in
 * NUL by promise: mail holds NUL, bare CR and 8-bit bytes. It is passed by
 * value; whoever made it keeps the bytes alive as long as it is used.
 *
 * What is a few instructions is inline: the floor is under every byte of mail.
 */
#ifndef STORE_BASE_STR_H
#define STORE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

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
static inline struct str
str_mem(const void *p, size_t n)
{
	return (struct str){ p, n };
}

/* s without its first `skip` bytes, at most `n` long; never past the end. */
static inline struct str
str_sub(struct str s, size_t skip, size_t n)
{
	if (skip > s.n)
		skip = s.n;
	if (n > s.n - skip)
		n = s.n - skip;
	return (struct str){ s.p ? s.p + skip : s.p, n };
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Order as memcmp, shorter first. */
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_casestarts(struct str s, struct str prefix);

/* Equal when ASCII letters are folded; other bytes compare as they are. */
static inline bool
str_caseeq(struct str a, struct str b)
{
	return a.n == b.n && str_casestarts(a, b);
}

bool str_ends(struct str s, struct str suffix);

/* Position of the first byte c, or -1. */
static inline ptrdiff_t
str_chr(struct str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? at - s.p : -1;
}

/* Of the last. */
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
static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

static inline bool
ascii_isalpha(char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

static inline bool
ascii_isdigit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_isalnum(char c)
{
	return ascii_isalpha(c) || ascii_isdigit(c);
}

/* What a hexadecimal digit stands for; -1: it is none. */
static inline int
ascii_hex(char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Space or tab. */
static inline bool
ascii_isblank(char c)
{
	return c == ' ' || c == '\t';
}

/* Control character: below space, or DEL. */
static inline bool
ascii_iscntrl(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

#endif
