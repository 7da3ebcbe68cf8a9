/*
 * Path templates: "/var/spool/vbox/%d/%n".
 *
 *	%d domain   %n user   %u user@domain   %h home   %% a percent sign
 *
 * The part in front of the first % is the administrator's and may hold links;
 * what comes after was made from names that others chose, so it is opened
 * below that directory only (store/base/file.h).
 */
#ifndef LDA_TEMPLATE_H
#define LDA_TEMPLATE_H

#include "store/base/buf.h"
#include "store/base/str.h"

struct template_names {
	struct str domain;
	struct str user;
	const char *home;	/* template of %h; NULL where %h makes no sense */
};

/* 0, or -1 with `why`: unknown %-letter, relative path, "..", or %h with
 * `home_allowed` false. */
enum template_home { TEMPLATE_NO_HOME, TEMPLATE_HOME };
int template_check(const char *text, enum template_home home, struct buf *why);
/*
 * Adds the path to `out`, and tells in *root_r how many bytes of it are the
 * administrator's directory (without the slash behind it; at least 1).
 * -1 when it does not fit, or when a name could leave its place: empty, "."
 * or "..", with a slash or a NUL.
 */
int template_expand(const char *text, const struct template_names *names,
    struct buf *out, size_t *root_r);

#endif
