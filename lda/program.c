#include "lda/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/mbox_lock.h"

/* Messages up to here are handed over as a file in memory. */
#define LETTER_MAX (64u * 1024 * 1024)
/* Bytes written to the program in one go. */
#define PIECE 65536
/* How often a program that closed its output is asked whether it ended. */
#define REAP_PAUSE_MS 10
/* How often `stop` is asked. */
#define STOP_PAUSE_MS 250

/* The program, its input and what it says. */
struct child {
	struct program *p;
	pid_t pid;
	int in, out;
	size_t said_n;
	int64_t deadline;
};

/*
 * The whole letter in a file without a name, as standard input: a program that
 * reads a pipe takes our death for the end of the letter and sends half of
 * it. -1 when the letter is too long for memory, or there is none; then it
 * goes through a pipe.
 */
static int
letter(const struct program *p)
{
	uint64_t at = p->start;
	struct str got;
	char *scratch;
	int fd, r;

	if (p->message->n > LETTER_MAX)
		return -1;
	fd = memfd_create("letter", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	scratch = mem_alloc(PIECE);
	r = file_write_all(fd, p->head.p, p->head.n);
	for (; r == 0 && at < p->message->n; at += got.n) {
		r = source_read(p->message, at, scratch, PIECE, &got);
		if (r == 0)
			r = got.n ? file_write_all(fd, got.p, got.n) : -1;
	}
	free(scratch);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		file_close(&fd);
	return fd;
}

static int
start(const struct program *p, struct child *c)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C";
	static char *const environment[] = { path, locale, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, preset;
	int in[2] = { letter(p), -1 }, out[2] = { -1, -1 }, error;

	if ((in[0] < 0 && pipe2(in, O_CLOEXEC) < 0) ||
	    pipe2(out, O_CLOEXEC) < 0) {
		error = errno;
		goto out;
	}
	/* Ours may be ignored or blocked; a program starts as if by a shell. */
	sigemptyset(&none);
	sigemptyset(&preset);
	sigaddset(&preset, SIGPIPE);
	sigaddset(&preset, SIGCHLD);
	sigaddset(&preset, SIGHUP);
	sigaddset(&preset, SIGTERM);
	sigaddset(&preset, SIGINT);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_adddup2(&actions, out[1], 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	posix_spawnattr_init(&attr);
	/* A group of its own (its number is that of the process). */
	posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGDEF |
	    POSIX_SPAWN_SETSIGMASK |
	    (p->with_children ? POSIX_SPAWN_SETPGROUP : 0)));
	posix_spawnattr_setsigdefault(&attr, &preset);
	posix_spawnattr_setsigmask(&attr, &none);
	error = posix_spawn(&c->pid, p->argv[0], &actions, &attr, p->argv,
	    environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
out:
	file_close(&in[0]);
	file_close(&out[1]);
	if (error) {
		file_close(&in[1]);
		file_close(&out[0]);
		errno = error;
		return -1;
	}
	c->in = in[1];
	c->out = out[0];
	/* Neither end may hold us longer than the deadline. */
	if (c->in >= 0)
		(void)fcntl(c->in, F_SETFL, O_NONBLOCK);
	(void)fcntl(c->out, F_SETFL, O_NONBLOCK);
	return 0;
}

/* Takes what it says; false at its end. */
static bool
listen_to(struct child *c)
{
	char piece[512];
	ssize_t got = read(c->out, piece, sizeof(piece));
	size_t n;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (got <= 0) {
		file_close(&c->out);
		return false;
	}
	n = (size_t)got < PROGRAM_SAID - c->said_n ? (size_t)got :
	    PROGRAM_SAID - c->said_n;
	memcpy(c->p->said + c->said_n, piece, n);
	c->said_n += n;
	c->p->said[c->said_n] = '\0';
	return true;
}

/* Waits until it takes bytes (or only speaks); -1 at the deadline. */
static int
wait_for(struct child *c, bool to_write)
{
	struct pollfd p[2] = {
		{ .fd = c->out, .events = POLLIN },
		{ .fd = to_write ? c->in : -1, .events = POLLOUT },
	};
	int64_t left = c->deadline - clock_mono_ms(), most = c->p->stop ?
	    STOP_PAUSE_MS : MBOX_LOCK_REFRESH_MS;
	int r;

	if (left <= 0 || (c->p->stop && c->p->stop())) {
		errno = ETIMEDOUT;
		return -1;
	}
	mbox_locks_refresh();
	r = poll(p, 2, (int)(left > most ? most : left));
	if (r < 0 && errno != EINTR)
		return -1;
	if (r > 0 && p[0].revents)
		(void)listen_to(c);
	return 0;
}

static int
give(struct child *c, struct str s)
{
	while (s.n) {
		ssize_t done = write(c->in, s.p, s.n);

		if (done > 0) {
			s = str_sub(s, (size_t)done, s.n);
			continue;
		}
		if (done < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (wait_for(c, true) < 0)
			return -1;
	}
	return 0;
}

static int
give_message(struct child *c, const struct program *p)
{
	char *scratch = mem_alloc(PIECE);
	struct str got;
	int r = give(c, p->head);

	for (uint64_t at = p->start; r == 0 && at < p->message->n;
	    at += got.n) {
		r = source_read(p->message, at, scratch, PIECE, &got);
		if (r == 0 && got.n == 0) {
			errno = EIO;
			r = -1;
		}
		if (r == 0)
			r = give(c, got);
	}
	free(scratch);
	return r;
}

/* Waits for its end; kills it at the deadline or when it must not go on. */
static int
reap(struct child *c, bool kill_it, int *status_r)
{
	bool late = kill_it;

	while (!late && c->out >= 0)
		late = wait_for(c, false) < 0;
	for (;;) {
		pid_t got;

		if (late)
			(void)kill(c->p->with_children ? -c->pid : c->pid,
			    SIGKILL);
		got = waitpid(c->pid, status_r, late ? 0 : WNOHANG);
		if (got == c->pid)
			return late ? -1 : 0;
		if (got < 0 && errno != EINTR)
			return -1;
		late = late || clock_mono_ms() >= c->deadline ||
		    (c->p->stop && c->p->stop());
		mbox_locks_refresh();
		if (!late)
			(void)poll(NULL, 0, REAP_PAUSE_MS);
	}
}

enum program_end
program_run(struct program *p)
{
	struct child c = { .p = p, .pid = -1, .in = -1, .out = -1,
	    .deadline = clock_mono_ms() + (int64_t)p->timeout_ms };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, pipe_old;
	struct sigaction child = { .sa_handler = SIG_DFL }, child_old;
	enum program_end end = PROGRAM_ENDED;

	p->said[0] = '\0';
	p->given = false;
	p->error = 0;
	/* An inherited SIG_IGN would make waitpid lose the status. */
	(void)sigaction(SIGPIPE, &ignore, &pipe_old);
	(void)sigaction(SIGCHLD, &child, &child_old);
	if (start(p, &c) < 0) {
		p->error = errno;
		end = PROGRAM_FAILED;
		goto out;
	}
	p->given = c.in < 0 || give_message(&c, p) == 0;
	p->error = p->given ? 0 : errno;
	/* A program that sees the end of its input sends what it has: it must
	 * die before it sees half a message. It may also have refused early
	 * and closed its end: then its status says why. */
	if (p->given || p->error == EPIPE)
		file_close(&c.in);
	if (reap(&c, !p->given && p->error != EPIPE, &p->status) < 0)
		end = p->given || p->error == EPIPE || p->error == ETIMEDOUT ?
		    PROGRAM_LATE : PROGRAM_FAILED;
out:
	file_close(&c.in);
	file_close(&c.out);
	(void)sigaction(SIGPIPE, &pipe_old, NULL);
	(void)sigaction(SIGCHLD, &child_old, NULL);
	return end;
}
