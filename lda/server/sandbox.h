/*
 * Confinement of whoever reads strangers' bytes and writes mailboxes:
 * Landlock down to the mail, state and spool directories, seccomp against
 * everything that delivery never needs: execve, ptrace, mounts, modules,
 * namespaces, other identities, sockets but local ones.
 */
#ifndef LDA_SERVER_SANDBOX_H
#define LDA_SERVER_SANDBOX_H

#include "lda/config.h"
#include "store/base/verdict.h"

/*
 * For good. Nothing happens with `sandbox = false`. A kernel without Landlock
 * is served by seccomp alone. 0, or -1 with V_CONFIG.
 */
int sandbox_enter(const struct config *c, struct verdict *v);

#endif
