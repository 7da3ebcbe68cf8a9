/*
 * Strangers' text, made harmless for a line of a log or a terminal.
 */
#ifndef LDA_LOG_ESCAPE_H
#define LDA_LOG_ESCAPE_H

#include "store/base/buf.h"
#include "store/base/str.h"

/* Adds s with \" \\ \n \r \t and \xHH; UTF-8 stays as it is where it is
 * valid and neither a control character nor a mark that turns, hides or
 * ends text. */
void log_escape(struct str s, struct buf *out);
/* The same by the rules of RFC 8259; a byte that is no UTF-8 becomes
 * U+FFFD. */
void log_escape_json(struct str s, struct buf *out);

#endif
