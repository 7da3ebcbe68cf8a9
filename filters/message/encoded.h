/*
 * Text in header fields: RFC 2047 encoded words, both ways.
 */
#ifndef FILTERS_MESSAGE_ENCODED_H
#define FILTERS_MESSAGE_ENCODED_H

#include <stdbool.h>

#include "store/base/buf.h"
#include "store/base/str.h"

/* Could s hold an encoded word or bytes that are not ASCII? When not, it
 * is its own decoded form. */
bool encoded_needed(struct str s);

/*
 * Appends s (unfolded) decoded to UTF-8. White space between two encoded
 * words is dropped; words next to each other in the same charset and
 * encoding are joined before conversion, since senders split characters.
 * "=?utf-8*de?Q?..?=" (RFC 2231) is understood. What is no well-formed word
 * stays as it is. A word in an unknown charset is decoded, and its bytes, as
 * 8-bit bytes outside words, are made valid UTF-8. NUL, CR and LF that come out of a word become
 * a space each, so that a decoded value stays one line. 0, or -1 when the
 * buffer is full.
 */
int encoded_decode(struct str s, struct buf *out);

/*
 * Appends UTF-8 text as it may stand in an unstructured field: ASCII that
 * looks like no encoded word stays, the rest becomes encoded words of at
 * most 75 bytes that cut no character, folded at HEADER_FOLD with `eol`
 * and a space. `column` is where the text begins. Control characters become
 * spaces. 0, or -1 when the buffer is full.
 */
int encoded_encode(struct str s, size_t column, struct str eol,
    struct buf *out);
/* The same for a phrase (display name): quoted when ASCII needs it, encoded
 * words with the small set of RFC 2047 5(3) otherwise. Not folded. */
int encoded_phrase(struct str s, struct buf *out);

#endif
