/* One script: read and judged, for the commands of the noun sieve. */
#ifndef LDA_ADM_SIEVE_H
#define LDA_ADM_SIEVE_H

#include "lda/adm/adm.h"

/* A file, or standard input for "-". 0 or -1. */
int sieve_read(const char *path, struct buf *text, struct verdict *v);
/* Compiles it with the engine and extensions of these settings and says what is
 * wrong with it: on standard error, or as JSON in adm->out. */
enum sieve_judgement { SIEVE_WRONG, SIEVE_SOUND };
enum sieve_judgement sieve_judge(struct adm *a,
    const struct settings *s, const char *file, struct str text);

#endif
