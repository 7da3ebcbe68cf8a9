#include "lda/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/submit_smtp.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"

/* Letters up to here are handed over as a file in memory. */
#define LETTER_MAX (64u * 1024 * 1024)
/* Bytes written to the program in one go. */
#define PIECE 65536
/* What the program says is kept up to here, for the log. */
#define SAID_MAX 300
/* How often a program that closed its output is asked whether it ended. */
#define REAP_PAUSE_MS 10

/* The program, its input and what it says. */
struct child {
	pid_t pid;
	int in, out;
	char said[SAID_MAX + 1];
	size_t said_n;
	int64_t deadline;
};

/*
 * sendmail's and Postfix's -N, -R and -V ask for delivery status notifications.
 * To Exim -N means "deliver nothing": it is never said to a program that is
 * Exim behind whatever name.
 */
static bool
knows_dsn(const char *program)
{
	char path[PATH_MAX];
	const char *name;

	if (!realpath(program, path))
		return false;
	name = strrchr(path, '/');
	return name && !str_starts(str_of(name), STR("/exim"));
}

static size_t
add_option(char **argv, size_t n, const char *option, struct str value)
{
	if (value.n == 0)
		return n;
	argv[n++] = mem_dup(option);
	argv[n++] = mem_dupn(value.p, value.n);
	return n;
}

static char **
arguments(const struct submit_job *job)
{
	char **argv = mem_zalloc(job->to_count + 13, sizeof(*argv));
	size_t n = 0;

	argv[n++] = mem_dup(job->command);
	argv[n++] = mem_dup("-oi");
	argv[n++] = mem_dup("-f");
	argv[n++] = job->sender.n ? mem_dupn(job->sender.p, job->sender.n) :
	    mem_dup("<>");
	if ((job->notify.n || job->ret.n || job->envid.n) &&
	    knows_dsn(job->command)) {
		n = add_option(argv, n, "-N", job->notify);
		n = add_option(argv, n, "-R", job->ret);
		n = add_option(argv, n, "-V", job->envid);
	}
	argv[n++] = mem_dup("--");
	for (size_t i = 0; i < job->to_count; i++)
		argv[n++] = mem_dupn(job->to[i].p, job->to[i].n);
	return argv;
}

static void
free_arguments(char **argv)
{
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/*
 * The whole letter in a file without a name, as standard input: a program that
 * reads a pipe takes our death for the end of the letter and sends half of
 * it. -1 when the letter is too long for memory, or there is none; then it
 * goes through a pipe.
 */
static int
letter(const struct submit_job *job)
{
	uint64_t at = job->start;
	struct str got;
	char *scratch;
	int fd, r;

	if (job->message->n > LETTER_MAX)
		return -1;
	fd = memfd_create("letter", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	scratch = mem_alloc(PIECE);
	r = file_write_plain(fd, job->head.p, job->head.n);
	for (; r == 0 && at < job->message->n; at += got.n) {
		r = source_read(job->message, at, scratch, PIECE, &got);
		if (r == 0)
			r = got.n ? file_write_plain(fd, got.p, got.n) : -1;
	}
	free(scratch);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		file_close(&fd);
	return fd;
}

static int
start(const struct submit_job *job, struct child *c, struct verdict *v)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C";
	static char *const environment[] = { path, locale, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, preset;
	char **argv = arguments(job);
	int in[2] = { letter(job), -1 }, out[2] = { -1, -1 }, error;

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
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF |
	    POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &preset);
	posix_spawnattr_setsigmask(&attr, &none);
	error = posix_spawn(&c->pid, job->command, &actions, &attr, argv,
	    environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
out:
	free_arguments(argv);
	file_close(&in[0]);
	file_close(&out[1]);
	if (error) {
		file_close(&in[1]);
		file_close(&out[0]);
		verdict_errno(v, error, "run %s", job->command);
		v->why = V_SUBMIT;
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
	n = (size_t)got < SAID_MAX - c->said_n ? (size_t)got :
	    SAID_MAX - c->said_n;
	memcpy(c->said + c->said_n, piece, n);
	c->said_n += n;
	c->said[c->said_n] = '\0';
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
	int64_t left = c->deadline - clock_mono_ms();
	int r;

	if (left <= 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	r = poll(p, 2, (int)(left > 60000 ? 60000 : left));
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
give_message(struct child *c, const struct submit_job *job)
{
	char *scratch = mem_alloc(PIECE);
	struct str got;
	int r = give(c, job->head);

	for (uint64_t at = job->start; r == 0 && at < job->message->n;
	    at += got.n) {
		r = source_read(job->message, at, scratch, PIECE, &got);
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
			(void)kill(c->pid, SIGKILL);
		got = waitpid(c->pid, status_r, late ? 0 : WNOHANG);
		if (got == c->pid)
			return late ? -1 : 0;
		if (got < 0 && errno != EINTR)
			return -1;
		late = late || clock_mono_ms() >= c->deadline;
		if (!late)
			(void)poll(NULL, 0, REAP_PAUSE_MS);
	}
}

static int (*through)(const struct submit_job *job, struct verdict *v);

void
submit_through(int (*run)(const struct submit_job *job, struct verdict *v))
{
	through = run;
}

static int
run_program(const struct submit_job *job, struct verdict *v)
{
	struct child c = { .pid = -1, .in = -1, .out = -1,
	    .deadline = clock_mono_ms() + (int64_t)job->timeout_ms };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, pipe_old;
	struct sigaction child = { .sa_handler = SIG_DFL }, child_old;
	int status = 0, error = 0;
	bool given;

	/* An inherited SIG_IGN would make waitpid lose the status. */
	(void)sigaction(SIGPIPE, &ignore, &pipe_old);
	(void)sigaction(SIGCHLD, &child, &child_old);
	if (start(job, &c, v) < 0)
		goto out;
	given = c.in < 0 || give_message(&c, job) == 0;
	error = given ? 0 : errno;
	/* A program that sees the end of its input sends what it has: it must
	 * die before it sees half a message. It may also have refused early
	 * and closed its end: then its status says why. */
	if (given || error == EPIPE)
		file_close(&c.in);
	if (reap(&c, !given && error != EPIPE, &status) < 0)
		verdict_set(v, V_SUBMIT, "%s did not end in time or could not "
		    "be given the message: %s", job->command, strerror(error));
	else if (given && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		verdict_ok(v, "%s", job->command);
	else
		verdict_set(v, V_SUBMIT, "%s: %s %d: %s", job->command,
		    WIFEXITED(status) ? "exit" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
		    c.said);
out:
	file_close(&c.in);
	file_close(&c.out);
	(void)sigaction(SIGPIPE, &pipe_old, NULL);
	(void)sigaction(SIGCHLD, &child_old, NULL);
	return v->why == V_OK ? 0 : -1;
}

int
submit_run(const struct submit_job *job, struct verdict *v)
{
	int r;

	if (job->to_count == 0 || job->to_count > SUBMIT_RECIPIENTS)
		return verdict_set(v, V_SUBMIT, "%zu recipients", job->to_count);
	/* A confined process may not connect either. */
	if (through)
		return through(job, v);
	if (submit_smtp_is(job->command))
		return submit_smtp_run(job, v);
	if (job->command[0] != '/')
		return verdict_set(v, V_CONFIG, "submit: %s is no absolute path",
		    job->command);
	r = run_program(job, v);
	for (size_t i = 0; job->each && i < job->to_count; i++)
		job->each[i] = r == 0 ? SUBMIT_TAKEN : SUBMIT_LATER;
	return r;
}
