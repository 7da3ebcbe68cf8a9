#include "lda/adm/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"

#define PIECE 16384

/* What it reads is a file in memory: it may end without having read all, and
 * a pipe would then end us. -1 with errno. */
static int
given(struct str input)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd >= 0 && (file_write_all(fd, input.p, input.n) < 0 ||
	    lseek(fd, 0, SEEK_SET) != 0))
		file_close(&fd);
	return fd;
}

static int
start(const char *const argv[], int in, int out, pid_t *pid_r)
{
	extern char **environ;
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error != 0)
		return error;
	error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, out,
		    STDOUT_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, out,
		    STDERR_FILENO);
	if (error == 0)
		error = posix_spawn(pid_r, argv[0], &actions, NULL,
		    (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions); /* cannot fail */
	return error;
}

/* Reads until the end of file; what is beyond the limit is read and dropped,
 * so that the program can end. 0, or -1 when the time is over. */
static int
listen_to(int fd, int64_t end_ms, struct buf *out)
{
	static char piece[PIECE];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;

	for (;;) {
		int64_t left = end_ms - clock_mono_ms();

		if (left <= 0)
			return -1;
		if (poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left) <= 0)
			continue;
		got = read(fd, piece, sizeof(piece));
		if (got == 0)
			return 0;
		if (got > 0)
			(void)buf_add(out, piece, (size_t)got);
		else if (errno != EINTR && errno != EAGAIN)
			return 0;
	}
}

int
ask_program(const char *const argv[], struct str input, int64_t timeout_ms,
    struct buf *out, int *status_r, struct verdict *v)
{
	int64_t end = clock_mono_ms() + timeout_ms;
	int in = given(input), ends[2] = { -1, -1 };
	int error, r = 0;
	pid_t pid;

	if (in < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		r = verdict_errno(v, errno, "ask %s", argv[0]);
		goto out;
	}
	error = start(argv, in, ends[1], &pid);
	file_close(&ends[1]);
	if (error != 0) {
		r = verdict_errno(v, error, "%s", argv[0]);
		goto out;
	}
	if (listen_to(ends[0], end, out) < 0) {
		(void)kill(pid, SIGKILL);	/* it may have ended by itself */
		r = verdict_set(v, V_TROUBLE, "%s did not end within %lld s",
		    argv[0], (long long)(timeout_ms / 1000));
	}
	while (waitpid(pid, status_r, 0) < 0 && errno == EINTR)
		continue;
out:
	file_close(&in);
	file_close(&ends[0]);
	file_close(&ends[1]);
	return r;
}
