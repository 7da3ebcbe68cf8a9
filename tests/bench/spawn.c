/*
 * spawn N PARALLEL UID MESSAGE PROGRAM ARG...
 *
 * Runs PROGRAM N times, PARALLEL at a time, MESSAGE on stdin, as UID. Every
 * "@SLOT@" in an argument becomes the number of the slot, 0 to PARALLEL - 1, so
 * that each slot can have a mailbox of its own. Prints: seconds, CPU seconds
 * of the children in user mode and in the kernel, and how many did not exit 0.
 *
 * A small parent that uses posix_spawn(3), so that what is measured is the
 * agent and not the one who starts it.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOTS_MAX 64
#define ARGS_MAX 64
#define MARK "@SLOT@"

extern char **environ;

static char *argv_of[SLOTS_MAX][ARGS_MAX + 1];
static pid_t running[SLOTS_MAX];

static char *
with_slot(const char *arg, int slot)
{
	char *out = strdup(arg), *at, *more;

	while (out && (at = strstr(out, MARK)) != NULL) {
		if (asprintf(&more, "%.*s%d%s", (int)(at - out), out, slot,
		    at + strlen(MARK)) < 0)
			err(71, "asprintf");
		free(out);
		out = more;
	}
	if (!out)
		err(71, "strdup");
	return out;
}

static void
start(int slot, const char *message)
{
	posix_spawn_file_actions_t actions;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, message, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&running[slot], argv_of[slot][0], &actions, NULL,
	    argv_of[slot], environ) != 0)
		errx(71, "cannot start %s", argv_of[slot][0]);
	posix_spawn_file_actions_destroy(&actions);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int
main(int argc, char **argv)
{
	int n, parallel, started = 0, failed = 0;
	struct rusage used;
	uid_t uid;
	double began;

	if (argc < 6 || argc - 5 > ARGS_MAX)
		errx(64, "usage: spawn N PARALLEL UID MESSAGE PROGRAM ARG...");
	n = atoi(argv[1]);
	parallel = atoi(argv[2]);
	uid = (uid_t)atoi(argv[3]);
	if (n < 1 || parallel < 1 || parallel > SLOTS_MAX)
		errx(64, "1 to %d at a time", SLOTS_MAX);
	if (uid && (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0))
		err(71, "uid %u", uid);
	for (int s = 0; s < parallel; s++)
		for (int i = 5; i < argc; i++)
			argv_of[s][i - 5] = with_slot(argv[i], s);
	began = now();
	for (; started < n && started < parallel; started++)
		start(started, argv[4]);
	for (int ended = 0; ended < n; ended++) {
		int status, slot;
		pid_t pid = wait(&status);

		if (pid < 0)
			err(71, "wait");
		failed += status != 0;
		for (slot = 0; running[slot] != pid; slot++)
			;
		if (started < n) {
			start(slot, argv[4]);
			started++;
		}
	}
	began = now() - began;
	if (getrusage(RUSAGE_CHILDREN, &used) < 0)
		err(71, "getrusage");
	printf("%.6f %.6f %.6f %d\n", began, seconds(used.ru_utime),
	    seconds(used.ru_stime), failed);
	return 0;
}
