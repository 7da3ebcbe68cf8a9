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

/* Where a setting was met, a bit each: libconfuse copies every option that it
 * is offered, so it is offered those of the file only. */
enum config_text_met { CONFIG_TEXT_OPEN = 1, CONFIG_TEXT_SECTION = 2 };

/*
 * Fills `out` with the text as libconfuse is to see it, line for line;
 * `section_lines` with a size_t for each section, the line where it begins;
 * and `met`, settings_count bytes long, with enum config_text_met.
 * On failure -1, *line_r is where, and `why` what is wrong and what would be
 * right.
 */
int config_text_clean(struct str text, struct buf *out,
    struct buf *section_lines, unsigned char *met, size_t *line_r,
    struct buf *why);

#endif
