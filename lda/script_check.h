/*
 * Are the administrator's scripts sound for the engine that will run them?
 * For `-t`: what a script cannot do is said before mail comes.
 */
#ifndef LDA_SCRIPT_CHECK_H
#define LDA_SCRIPT_CHECK_H

#include "lda/settings.h"

/*
 * A script, or a directory of which every *.sieve is one. Each error goes to
 * `say` as "FILE:LINE:COLUMN: text". What cannot be read is left alone.
 */
void script_check(const struct settings *s, const char *path,
    void (*say)(void *arg, const char *text), void *arg);

#endif
