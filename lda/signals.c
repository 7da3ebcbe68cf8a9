#include "lda/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sysexits.h>
#include <unistd.h>

static void
leave(int sig)
{
	(void)sig;
	_exit(EX_TEMPFAIL);
}

void
signals_init(void)
{
	/* Faults of ours among them: a crash is "try again", too. */
	static const int ends[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGVTALRM, SIGPROF,
		SIGUSR1, SIGUSR2, SIGXCPU, SIGIO, SIGPWR, SIGSTKFLT, SIGTRAP,
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS,
	};
	struct sigaction end = { .sa_handler = leave };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction preset = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		(void)sigaction(ends[i], &end, NULL);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		(void)sigaction(i, &end, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGXFSZ, &ignore, NULL);
	/* An inherited "ignore" would make waitpid fail. */
	(void)sigaction(SIGCHLD, &preset, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void
signals_hold(void)
{
	sigset_t all;

	sigfillset(&all);
	/* Faults are not held: blocked, they would kill by signal. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGSYS);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
}

bool
signals_pending(void)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM,
	    SIGXCPU };
	sigset_t set;

	if (sigpending(&set) < 0)
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (sigismember(&set, ends[i]) == 1)
			return true;
	return false;
}
