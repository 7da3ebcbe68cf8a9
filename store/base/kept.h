/*
 * Directories that a process comes back to with every delivery: the root of
 * the mailboxes, and in it the directory of a domain. They stay open, and one
 * look at the path each time tells whether it is still the same directory
 * (one call in place of five, and Landlock is not asked).
 *
 *	struct kept *k = NULL;
 *	if (kept_open("/var/spool/vbox", "example.com", &k, &st) == 0) {
 *		... openat(kept_fd(k), ...) ...
 *		kept_close(&k);
 *	}
 */
#ifndef STORE_BASE_KEPT_H
#define STORE_BASE_KEPT_H

#include <sys/stat.h>

struct kept;

/*
 * The directory `name` in `root`; name "" is root itself. `root` is the
 * administrator's and may lead through links; `name` is one component and
 * never a link. st_r is what was found there just now. 0, or -1 with errno:
 * of open(2), of openat2(2), EINVAL when name has a slash.
 */
int kept_open(const char *root, const char *name, struct kept **k_r,
    struct stat *st_r);
/* Borrowed: not closed by the caller, valid until kept_close. */
int kept_fd(const struct kept *k);
/* Copes with NULL and leaves it; errno is kept. */
void kept_close(struct kept **k);

#endif
