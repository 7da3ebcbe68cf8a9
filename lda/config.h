/*
 * The configuration: /etc/vbox/vbox.conf, read once through libconfuse.
 *
 *	struct config c;
 *	if (config_load(path, &c, &problems, &v) < 0)
 *		... v says why (V_CONFIG), problems has a line for each
 *		    mistake: FILE:LINE: what is wrong, what would be right
 *	s = config_domain(&c, domain);
 *	config_release(&c);
 *
 * Nothing is printed and nothing is logged here. A domain's settings are the
 * global ones overlaid by its section, wherever in the file that stands.
 */
#ifndef LDA_CONFIG_H
#define LDA_CONFIG_H

#include <stddef.h>

#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

#define CONFIG_PATH VBOX_SYSCONFDIR "/vbox/vbox.conf"

struct config_section {
	struct str domain;	/* lower case */
	struct settings settings;
	size_t line;		/* of the file, where it begins */
	const size_t *lines;	/* as in struct config */
};

struct config {
	const char *path;	/* the file that was read; NULL: none, defaults */
	struct settings global;
	/* Where each row of settings_table was set, 0: nowhere; NULL without a
	 * file. */
	const size_t *lines;
	struct config_section *sections;	/* sorted by domain */
	size_t section_count;
	struct arena arena;
};

/*
 * Reads `path`, which must exist. NULL: CONFIG_PATH, and when nothing is
 * there the built-in defaults. A file that others can write, or that belongs
 * neither to root nor to the caller, is refused: it decides whom we become.
 * On failure -1, and *c needs no release. `problems` may be NULL.
 */
int config_load(const char *path, struct config *c, struct buf *problems,
    struct verdict *v);
/* The same from memory; `name` stands for the file in messages. For tests. */
int config_load_text(const char *name, const char *text, struct config *c,
    struct buf *problems, struct verdict *v);
/* The defaults alone. */
void config_init(struct config *c);
void config_release(struct config *c);

/* What holds in this domain; any case. Never NULL. */
const struct settings *config_domain(const struct config *c, struct str domain);
/* The effective settings, as a file that could be read again; defaults are
 * marked by a comment behind them. */
void config_dump(const struct config *c, struct buf *out);

#endif
