/*
 * Who this process is. The kernel knows it, too, but a call costs a
 * microsecond under a seccomp filter, and each delivery asks a dozen times.
 */
#ifndef STORE_BASE_SELF_H
#define STORE_BASE_SELF_H

#include <sys/types.h>

/* getpid(2), right in a child as well. */
pid_t self_pid(void);
/* geteuid(2) as it was when first asked, or since self_changed(). */
uid_t self_euid(void);
/* For whoever changes the identity of the process, after that. */
void self_changed(void);

#endif
