/*
 * A look at the text of vbox.conf before libconfuse reads it.
 *
 * libconfuse 3.3 counts the line of every comment twice, takes a comment
 * within a list for a value, replaces ${NAME} by the environment, lets a
 * string run over lines and to the end of the file, accepts a section that
 * is never closed, drops signs that it does not know, and takes the next
 * line for a value that is missing. Here all of that is settled, so that
 * what it gets to see is plain and its line numbers are true.
 */
#ifndef LDA_CONFIG_TEXT_H
#define LDA_CONFIG_TEXT_H

#include <stddef.h>

#include "store/base/buf.h"
#include "store/base/str.h"

/* Stands for the only item of `{}`, of which libconfuse would say nothing. */
#define CONFIG_TEXT_EMPTY "\001"

/*
 * Fills `out` with the text as libconfuse is to see it, line for line, and
 * `section_lines` with a size_t for each section, the line where it begins.
 * On failure -1, *line_r is where, and `why` what is wrong and what would be
 * right.
 */
int config_text_clean(struct str text, struct buf *out,
    struct buf *section_lines, size_t *line_r, struct buf *why);

#endif
