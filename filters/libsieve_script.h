/*
 * A checked program in the words of libsieve, and what these cannot say.
 *
 * libsieve's own parser calls a broken script a success and keeps the
 * backslash of every escape. So it never sees what a user wrote: our parser
 * and checks read that, and libsieve gets a script made of plain tokens. Names
 * of fields and arguments of actions are numbers of nodes ("N12"), which come
 * back in its callbacks.
 *
 * Every action but vacation is a fileinto to libsieve, whose mailbox is the
 * number of what is meant: of a message that is rejected and kept it does the
 * first thing and says nothing. And every flag is ours: its setflag never ends
 * when flags are set, its removeflag takes too many, its hasflag crashes.
 * Each way out of the script ends in a fileinto "N0", so that a script which
 * libsieve gave up half-way, and called a success, is seen.
 */
#ifndef FILTERS_LIBSIEVE_SCRIPT_H
#define FILTERS_LIBSIEVE_SCRIPT_H

#include "filters/engine.h"
#include "filters/sieve/program.h"

/* What it knows of our extensions, divided by blanks. */
#define LIBSIEVE_EXTENSIONS "fileinto reject envelope subaddress relational " \
	"regex imap4flags vacation comparator-i;octet " \
	"comparator-i;ascii-casemap comparator-i;ascii-numeric"

/* The longest address that goes into libsieve: RFC 5321 section 4.5.3.1.3 less
 * the brackets. A part of 255 bytes makes it write behind its memory. */
#define LIBSIEVE_ADDRESS_MAX 254

/* Extensions that `setting` allows and libsieve knows, as a setting. */
void libsieve_extensions(struct str setting, struct buf *out);

/* Reports what the script requires that libsieve does not know: before our
 * check, which could only call it "not allowed". The count. */
size_t libsieve_check_requires(struct str setting,
    const struct engine_script *script, struct engine_errors *errors);
/* Reports what libsieve would do wrong. The count. */
size_t libsieve_check_program(const struct program *p, struct str name,
    struct engine_errors *errors);

/*
 * Writes the script. `own` are addresses of the user for `vacation`, each of
 * which libsieve can read (libsieve_address_ok). 0, or -1 when it is full.
 */
int libsieve_script(const struct program *p, const struct str *own,
    size_t n_own, struct buf *out);
/* The node that "N12" means; NULL: none. */
const struct node *libsieve_node(const struct program *p, const char *token);

/* Can its parser of addresses read this without an error or a crash? */
bool libsieve_address_ok(struct str address);

#endif
