/*
 * JSON text (RFC 8259), written, never read: strings of strangers become
 * valid UTF-8 whatever they were.
 */
#ifndef LDA_JSON_H
#define LDA_JSON_H

#include "store/base/buf.h"
#include "store/base/str.h"

/* A quoted string; control characters and DEL as escapes, bytes that are no
 * UTF-8 as U+FFFD. */
void json_string(struct buf *out, struct str s);
/* "name":"value", with a comma in front unless `{` or `[` ends out. */
void json_member(struct buf *out, const char *name, struct str value);
/* "name": alone, for a value that the caller adds. */
void json_name(struct buf *out, const char *name);

#endif
