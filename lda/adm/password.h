/*
 * Passwords: hashed by crypt(3) and stored with the scheme in front as
 * Dovecot reads it, "{CRYPT}$y$...". They come from standard input, never
 * from an argument, which everybody on the machine could read.
 */
#ifndef LDA_ADM_PASSWORD_H
#define LDA_ADM_PASSWORD_H

#include "lda/adm/adm.h"

#define PASSWORD_OPTIONS "password-stdin password-hash= no-password"
#define PASSWORD_MAX 512

/* --password-stdin, --password-hash=HASH, --no-password; none of them leaves
 * *password_r alone. */
int password_options(struct adm *a, struct str *password_r,
    struct verdict *v);
/* The first line of standard input, or on a terminal asked for twice,
 * without echo. */
int password_read(struct adm *a, struct str *plain_r, struct verdict *v);
/* The next line of standard input, without echo behind a prompt on a
 * terminal. */
int password_line(struct adm *a, const char *prompt, struct str *line_r,
    struct verdict *v);
/* Is it this password? An account without one ("") takes as long to be
 * refused as one that has another. A scheme that crypt(3) does not know is
 * -1. */
int password_is(struct adm *a, struct str plain, struct str stored, bool *is_r,
    struct verdict *v);
/* The hash, in the arena. */
int password_hash(struct adm *a, struct str plain, struct str *hash_r,
    struct verdict *v);
/* Of another system's table: a hash gets its scheme, a plain text is hashed,
 * "", "*", "!..." and "x" become no password. */
int password_adopt(struct adm *a, struct str text, struct str *hash_r,
    struct verdict *v);

#endif
