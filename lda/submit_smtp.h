/*
 * Submission by SMTP (RFC 5321): the other half of submit.h. The relay must
 * take mail from this host by its address: there is no AUTH and no TLS here,
 * it is meant for an MTA on this host or in its network.
 *
 * Times out by one deadline. Only the look-up of a host name has the
 * resolver's own time-outs; an address or a socket has none.
 */
#ifndef LDA_SUBMIT_SMTP_H
#define LDA_SUBMIT_SMTP_H

#include <stdbool.h>

#include "lda/submit.h"

/* Is it one of ours: "smtp:HOST:PORT", "unix:/PATH"? */
bool submit_smtp_is(const char *command);
/* As submit_run. */
int submit_smtp_run(const struct submit_job *job, struct verdict *v);

#endif
