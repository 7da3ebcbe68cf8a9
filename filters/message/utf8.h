/*
 * UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above
 * U+10FFFF.
 */
#ifndef FILTERS_MESSAGE_UTF8_H
#define FILTERS_MESSAGE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/str.h"

#define UTF8_BAD UINT32_MAX
#define UTF8_REPLACEMENT 0xfffdu

/*
 * Takes one code point from the front of *s. A byte that begins no valid
 * sequence is taken alone and gives UTF8_BAD. s->n must not be 0.
 */
uint32_t utf8_next(struct str *s);
bool utf8_valid(struct str s);
/* Number of code points; an invalid byte counts as one. */
size_t utf8_length(struct str s);
/* True when every byte is below 0x80. */
bool utf8_is_ascii(struct str s);
/* The longest front of s with at most n bytes that does not cut a code
 * point. */
struct str utf8_cut(struct str s, size_t n);
/* Appends the code point (U+FFFD for what is none). 0, or -1 (buf full). */
int utf8_add(struct buf *out, uint32_t c);
/* Appends s with U+FFFD in the place of each invalid byte. 0, or -1 when the
 * buffer is full; what fitted stays. */
int utf8_add_fixed(struct buf *out, struct str s);

#endif
