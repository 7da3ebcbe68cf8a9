#include "lda/submit.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lda/program.h"
#include "lda/submit_smtp.h"
#include "store/base/mem.h"

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

static int (*through)(const struct submit_job *job, struct verdict *v);

void
submit_through(int (*run)(const struct submit_job *job, struct verdict *v))
{
	through = run;
}

static int
run_program(const struct submit_job *job, struct verdict *v)
{
	char **argv = arguments(job);
	struct program p = { .argv = argv, .timeout_ms = job->timeout_ms,
	    .head = job->head, .message = job->message, .start = job->start };
	enum program_end end = program_run(&p);

	free_arguments(argv);
	if (end == PROGRAM_ENDED && p.given && WIFEXITED(p.status) &&
	    WEXITSTATUS(p.status) == 0)
		return verdict_ok(v, "%s", job->command);
	if (end == PROGRAM_ENDED)
		return verdict_set(v, V_SUBMIT, "%s: %s %d: %s", job->command,
		    WIFEXITED(p.status) ? "exit" : "signal",
		    WIFEXITED(p.status) ? WEXITSTATUS(p.status) :
		    WTERMSIG(p.status), p.said);
	if (end == PROGRAM_LATE)
		return verdict_set(v, V_SUBMIT, "%s did not end in time",
		    job->command);
	return verdict_set(v, V_SUBMIT, "%s could not be run or given the "
	    "message: %s", job->command, strerror(p.error));
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
