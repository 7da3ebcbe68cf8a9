/* What a sendmail.cf says, as far as test mode does not tell it: maps, files
 * of classes, options, queue groups. */
#ifndef LDA_ADM_SENDMAIL_CF_H
#define LDA_ADM_SENDMAIL_CF_H

#include <stdbool.h>
#include <stddef.h>

#include "store/base/str.h"

struct cf_map {
	struct str name, kind, args;
};

/* The value of `O Name=value`; empty when it is not set. Of several the
 * last. */
struct str cf_option(struct str cf, struct str name);
/* The map `name`; false when there is none. */
bool cf_map(struct str cf, struct str name, struct cf_map *m_r);
/* Takes the next line that begins with `kind` ('K', 'F', 'Q', 'R') off the
 * front of *rest; the letter is left out. Continued lines are one line more
 * that begins with a blank, and are not seen. */
bool cf_next(struct str *rest, char kind, struct str *line_r);
struct cf_map cf_map_of(struct str line);
/* The file that fills a class, "w" or "{VboxDomain}"; of several the last, of
 * none "". */
struct str cf_class_file(struct str cf, struct str class);

#endif
