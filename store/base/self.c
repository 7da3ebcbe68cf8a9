#include "store/base/self.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

static pid_t pid;		/* 0: not asked yet */
static uid_t euid;
static bool euid_known;

static void
forget_pid(void)
{
	pid = 0;
}

pid_t
self_pid(void)
{
	static bool watching;

	if (pid != 0)
		return pid;
	/* Without being told of forks we ask each time. */
	if (!watching)
		watching = pthread_atfork(NULL, NULL, forget_pid) == 0;
	if (!watching)
		return getpid();
	return pid = getpid();
}

uid_t
self_euid(void)
{
	if (!euid_known)
		euid = geteuid();
	euid_known = true;
	return euid;
}

void
self_changed(void)
{
	euid_known = false;
}
