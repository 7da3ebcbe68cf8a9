#include "lda/filter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters/message/charset.h"
#include "lda/filter_wire.h"
#include "store/base/clock.h"
#include "store/base/file.h"

/* The program itself, its stack and what was mapped before: not counted
 * against filter_memory. */
#define OWN_MEMORY (64u * 1024 * 1024)

/* --- the child -------------------------------------------------------------------- */

static void
crashed(int sig)
{
	(void)sig;
	_exit(1);
}

_Noreturn static void
child(int fd, const struct filter_how *how, struct engine_job *job)
{
	struct engine_world world;
	struct engine_result r;
	struct arena arena;
	struct buf out;

	/* The parent's handlers would answer for the whole delivery. */
	(void)signal(SIGSEGV, crashed);
	(void)signal(SIGBUS, crashed);
	(void)signal(SIGABRT, crashed);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (fd != 3 && dup2(fd, 3) < 0)
		_exit(1);
	if (close_range(4, ~0u, 0) < 0 || close(0) < 0 || close(1) < 0 ||
	    close(2) < 0)
		_exit(1);
	/* iconv(3) reads its tables from files: what the message names is opened
	 * while there are any, and nothing afterwards. */
	if (how->sandbox) {
		(void)charset_preload_for(job->message);
		charset_seal();
	}
	if (how->sandbox && filter_confine(how->memory ?
	    how->memory + job->message.n + OWN_MEMORY : 0, how->cpu_ms) < 0)
		_exit(1);
	arena_init(&arena, FILTER_ANSWER_MAX * 2);
	filter_world_remote(3, &world, &arena);
	job->world = &world;
	engine_result_init(&r);
	/* Broken scripts and run-time errors are in the result. */
	(void)how->engine->run(job, &r);
	buf_init(&out, FILTER_FRAME_MAX);
	filter_encode(&r, &out);
	if (out.full) {
		engine_result_release(&r);
		engine_result_init(&r);
		filter_keep(&r, "the plan is too large");
		buf_reset(&out);
		filter_encode(&r, &out);
	}
	_exit(frame_write(3, FILTER_RESULT, buf_str(&out)) < 0);
}

/* --- the master ------------------------------------------------------------------- */

/* The message as memory: it is, or the spool file is mapped. */
static int
map_message(const struct source *source, struct str *message_r,
    struct verdict *v)
{
	void *p;

	if (source->mem || source->n == 0) {
		*message_r = str_mem(source->mem ? source->mem : "",
		    (size_t)source->n);
		return 0;
	}
	p = mmap(NULL, (size_t)source->n, PROT_READ, MAP_PRIVATE, source->fd, 0);
	if (p == MAP_FAILED)
		return verdict_errno(v, errno, "map spool file");
	*message_r = str_mem(p, (size_t)source->n);
	return 0;
}

static void
unmap_message(const struct source *source, struct str message)
{
	if (!source->mem && message.n)
		(void)munmap((void *)(uintptr_t)message.p, message.n);
}

/* Answers questions until the plan is there. NULL, or why there is none. */
static const char *
converse(int fd, const struct engine_world *world, int64_t deadline,
    struct engine_result *r)
{
	struct buf in, out;
	const char *why = NULL;
	uint8_t type;

	buf_init(&in, FILTER_FRAME_MAX);
	buf_init(&out, FILTER_ANSWER_MAX);
	for (;;) {
		int got = frame_read(fd, &type, &in, deadline);

		if (got <= 0) {
			why = got == 0 ? "the filter process died" :
			    errno == ETIMEDOUT ? "the filter took too long" :
			    "the filter process died in the middle of its plan";
			break;
		}
		if (type == FILTER_RESULT) {
			if (filter_decode(buf_str(&in), r) < 0)
				why = "the filter's plan makes no sense";
			break;
		}
		buf_reset(&out);
		if (type != FILTER_ASK ||
		    filter_world_answer(world, buf_str(&in), &out) < 0) {
			why = "the filter's question makes no sense";
			break;
		}
		if (frame_write(fd, FILTER_ANSWER, buf_str(&out)) < 0) {
			why = "the filter process died at an answer";
			break;
		}
	}
	buf_release(&in);
	buf_release(&out);
	return why;
}

int
filter_run(const struct filter_how *how, struct engine_job *job,
    const struct source *source, struct engine_result *r, struct verdict *v)
{
	const struct engine_world *world = job->world;
	int pair[2], status;
	const char *why;
	char text[200];
	pid_t pid;

	if (map_message(source, &job->message, v) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		verdict_errno(v, errno, "make the filter's socket");
		goto fail;
	}
	pid = fork();
	if (pid < 0) {
		verdict_errno(v, errno, "fork the filter process");
		file_close(&pair[0]);
		file_close(&pair[1]);
		goto fail;
	}
	if (pid == 0)
		child(pair[1], how, job);
	file_close(&pair[1]);
	why = converse(pair[0], world, clock_mono_ms() +
	    (int64_t)how->timeout_ms, r);
	file_close(&pair[0]);
	if (why)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (why) {
		/* A half-read plan is no plan: begin anew. */
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			(void)snprintf(text, sizeof(text), "%s (signal %d)", why,
			    WTERMSIG(status));
		else
			(void)snprintf(text, sizeof(text), "%s", why);
		engine_result_release(r);
		engine_result_init(r);
		filter_keep(r, text);
	}
	unmap_message(source, job->message);
	return 0;
fail:
	unmap_message(source, job->message);
	return -1;
}
