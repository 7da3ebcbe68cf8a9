#include "lda/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters/message/charset.h"
#include "lda/filter_wire.h"
#include "lda/metrics.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/self.h"

/* The program itself, its stack and what was mapped before: not counted
 * against filter_memory. */
#define OWN_MEMORY (64u * 1024 * 1024)
/* libmagic's database and what it makes of it, and the largest attachment with
 * what is unpacked of it (filters/attachment.h). */
#define TYPES_MEMORY (64u * 1024 * 1024)
/* A job: the message and 64 scripts of a megabyte. */
#define FILTER_JOB_MAX (FILTER_INLINE_MAX + 80u * 1024 * 1024)

/* What a new filter is for: one job, one script to compile, or (both NULL)
 * all that comes. */
struct purpose {
	struct engine_job *job;
	struct filter_content *content;	/* may be NULL */
	bool types;			/* will they be wanted? */
	const struct engine_settings *settings;
	const struct engine_script *script;
	struct filter_share *share;	/* for all that comes */
	pid_t parent;			/* make() fills it in */
};

/* What a warm filter keeps of a job's memory for the next one. */
#define KEPT_MAX (1024u * 1024)

/* --- the child -------------------------------------------------------------------- */

static void
crashed(int sig)
{
	(void)sig;
	_exit(1);
}

/* Only the socket is left, at descriptor 3. */
static void
strip(int fd, pid_t parent)
{
	/* The parent's handlers would answer for the whole delivery. */
	(void)signal(SIGSEGV, crashed);
	(void)signal(SIGBUS, crashed);
	(void)signal(SIGABRT, crashed);
	(void)signal(SIGTERM, SIG_DFL);
	/* A warm one waits for a word in memory, not for the socket to end. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
	if (fd != 3 && dup2(fd, 3) < 0)
		_exit(1);
	(void)close_range(0, 2, 0);
	if (close_range(4, ~0u, 0) < 0)
		_exit(1);
}

/* libmagic's database, mapped by filter_preload for all filters to come. */
static struct {
	void *at;
	size_t n;
} database;

int
filter_preload(const char *path, struct verdict *v)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	void *p;

	if (fd < 0)
		return verdict_errno(v, errno, "%s", path);
	/* The library thinks that it may write there. */
	p = fstat(fd, &st) < 0 || st.st_size <= 0 ? MAP_FAILED : mmap(NULL,
	    (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		verdict_errno(v, errno, "map %s", path);
	file_close(&fd);
	if (p == MAP_FAILED || attachment_preload(v) < 0) {
		if (p != MAP_FAILED)
			(void)munmap(p, (size_t)st.st_size);
		return -1;
	}
	if (database.at)
		(void)munmap(database.at, database.n);
	database.at = p;
	database.n = (size_t)st.st_size;
	return 0;
}

/* What a filter needs to know types, while it may still open files. One that
 * cannot be had is said when it is asked for. */
static void
load_types(const struct filter_how *how, struct filter_types *types)
{
	static struct attachment_typer typer;
	static struct verdict v;

	v = VERDICT_INIT;
	*types = (struct filter_types){ .why = STR("") };
	if ((database.at ? attachment_typer_load(&typer, database.at,
	    database.n, &v) : attachment_typer_open(&typer, how->database,
	    &v)) == 0)
		types->typer = &typer;
	else
		types->why = str_of(v.detail);
}

static int
to_master(void *mouth, enum filter_frame type, struct str body)
{
	return filter_mouth_say(mouth, type, body);
}

/* One job; the plan goes back. 0, or -1 when nobody takes it. */
static int
work(const struct engine *engine, struct engine_job *job,
    struct filter_content *content, const struct filter_types *types,
    struct filter_share *share)
{
	struct filter_mouth mouth = { .fd = 3, .share = share };
	const struct filter_ear ear = { .hear = to_master, .arg = &mouth };
	struct engine_world world;
	struct arena arena;
	int said;

	arena_init(&arena, FILTER_ANSWER_MAX * 2);
	filter_world_remote(&mouth, &world, &arena);
	job->world = &world;
	said = filter_work(engine, job, content, types, &ear);
	arena_release(&arena);
	return said;
}

/* Memory for a message of n bytes: itself, and a copy of it where scripts see
 * another header. */
static uint64_t
memory_for(const struct filter_how *how, uint64_t n,
    const struct filter_types *types)
{
	return how->memory ? how->memory + 2 * n + OWN_MEMORY +
	    (types ? TYPES_MEMORY : 0) : 0;
}

/* While files may still be opened; run() says it when this failed. */
static void
load(const struct engine *engine)
{
	const char *why;

	if (engine->load)
		(void)engine->load(&why);
}

_Noreturn static void
child_once(int fd, const struct filter_how *how, const struct purpose *what)
{
	struct engine_job *job = what->job;
	struct filter_content none = { .rules = STR("") };
	struct filter_types loaded, *types = NULL;

	strip(fd, what->parent);
	load(how->engine);
	if (what->types) {
		types = &loaded;
		load_types(how, types);
	}
	(void)charset_preload_for(job->message);
	charset_seal();
	if (how->sandbox && filter_confine(memory_for(how, job->message.n,
	    types), how->cpu_ms + (types ? FILTER_CONTENT_CPU_MS : 0)) < 0)
		_exit(1);
	_exit(work(how->engine, job, what->content ? what->content : &none,
	    types, NULL) < 0);
}

_Noreturn static void
child_warm(int fd, const struct filter_how *how, const struct purpose *what)
{
	struct filter_types loaded, *types = NULL;
	struct filter_content content;
	struct filter_share *share = what->share;
	struct engine_job job;
	struct arena arena;
	struct str body;
	struct buf in;
	uint8_t type;

	strip(fd, what->parent);
	load(how->engine);
	if (what->types) {
		types = &loaded;
		load_types(how, types);
	}
	(void)charset_preload();
	charset_seal();
	/* CPU time is for all of its life: the master's clock watches each
	 * job, this one ends what runs wild when the master is gone. */
	if (filter_share_enter(share) < 0)
		_exit(1);
	if (how->sandbox && filter_confine(memory_for(how, FILTER_INLINE_MAX,
	    types), (how->cpu_ms + (types ? FILTER_CONTENT_CPU_MS : 0)) *
	    FILTER_JOBS) < 0)
		_exit(1);
	buf_init(&in, FILTER_JOB_MAX);
	arena_init(&arena, FILTER_JOB_MAX);
	for (;;) {
		body = filter_share_next(share);
		if (!body.p) {
			if (frame_read(3, &type, &in, 0) != 1 ||
			    type != FILTER_JOB)
				_exit(1);
			body = buf_str(&in);
		}
		if (filter_decode_job(body, &arena, &job, &content) < 0 ||
		    work(how->engine, &job, &content, types, share) < 0)
			_exit(1);
		arena_reset(&arena);
		if (in.n > KEPT_MAX)
			buf_release(&in);
	}
}

_Noreturn static void
child_compile(int fd, const struct filter_how *how, const struct purpose *what)
{
	const struct engine_script *script = what->script;
	struct engine_errors errors;
	struct buf image;

	strip(fd, what->parent);
	if (how->sandbox && filter_confine(how->memory ?
	    how->memory + script->text.n + OWN_MEMORY : 0, how->cpu_ms) < 0)
		_exit(1);
	engine_errors_init(&errors);
	buf_init(&image, FILTER_FRAME_MAX);
	if (how->engine->compile(what->settings, script, &image, &errors) < 0)
		buf_reset(&image);
	_exit(frame_write(3, FILTER_IMAGE, buf_str(&image)) < 0);
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

/* Told apart by where they lie. */
static const char too_long[] = "the filter took too long";
static const char too_large[] = "the job is too large";
static const char died[] = "the filter process died before its work";
static const char no_sense[] = "the filter's plan makes no sense";

/* One talk with a filter: what it may ask, where its answers go. */
struct talk {
	const struct engine_world *world;
	struct filter_content *content;		/* may be NULL */
	struct engine_result *r;
	bool types_wanted;	/* it ended for want of them */
};

/* Answers questions until the plan is there. NULL, or why there is none. */
static const char *
converse(int fd, struct talk *t, int64_t deadline)
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
			    errno == ETIMEDOUT ? too_long :
			    "the filter process died in the middle of its plan";
			break;
		}
		if (type == FILTER_RESULT) {
			if (filter_decode(buf_str(&in), t->r) < 0)
				why = no_sense;
			break;
		}
		if (type == FILTER_TYPES && !t->types_wanted) {
			t->types_wanted = true;
			why = "the filter knows no types";
			break;
		}
		if (type == FILTER_CONTENT && t->content &&
		    !t->content->judged) {
			if (filter_decode_content(buf_str(&in),
			    t->content) == 0)
				continue;
			why = "the filter's judgement makes no sense";
			break;
		}
		buf_reset(&out);
		if (type != FILTER_ASK ||
		    filter_world_answer(t->world, buf_str(&in), &out) < 0) {
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

/* The one warm process of this process. */
static struct {
	pid_t pid;		/* 0: none */
	int fd;
	struct filter_share *share;
	unsigned jobs;
	bool types;
	const struct engine *engine;
	pid_t owner;		/* who forked it: a child of ours has none */
} warm = { .fd = -1 };
static unsigned crashes, overruns;

unsigned
filter_crashes(void)
{
	return crashes;
}

unsigned
filter_overruns(void)
{
	return overruns;
}

static int
reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return status;
}

void
filter_end(void)
{
	file_close(&warm.fd);
	if (warm.owner != self_pid())
		filter_share_forget(&warm.share);
	if (warm.pid && warm.owner == self_pid()) {
		(void)kill(warm.pid, SIGKILL);
		(void)reap(warm.pid);
	}
	filter_share_close(&warm.share);
	warm.pid = 0;
}

/* Forks a filter; in the parent its socket comes back, in the child it does
 * not return. -1 with the verdict. */
static int
make(const struct filter_how *how, const struct purpose *what, pid_t *pid_r,
    struct verdict *v)
{
	/* One that does not read holds nobody up. */
	struct timeval patience = {
		.tv_sec = (time_t)(how->timeout_ms / 1000),
		.tv_usec = (suseconds_t)(how->timeout_ms % 1000 * 1000),
	};
	struct purpose mine = *what;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return verdict_errno(v, errno, "make the filter's socket");
	mine.parent = self_pid();
	pid = fork();
	if (pid == 0) {
		metrics_release();	/* the service's counters */
		if (what->job)
			child_once(pair[1], how, &mine);
		if (what->script)
			child_compile(pair[1], how, &mine);
		child_warm(pair[1], how, &mine);
	}
	file_close(&pair[1]);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience,
	    sizeof(patience));
	if (pid < 0) {
		verdict_errno(v, errno, "fork the filter process");
		file_close(&pair[0]);
		return -1;
	}
	*pid_r = pid;
	return pair[0];
}

/* A plan that could not be had is a keep that says why; what the policy said
 * before is not taken back. */
static void
fall_back(struct talk *t, const char *why, int status)
{
	char text[200];

	if (why == too_long)
		overruns++;
	else
		crashes++;
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		(void)snprintf(text, sizeof(text), "%s (signal %d)", why,
		    WTERMSIG(status));
	else
		(void)snprintf(text, sizeof(text), "%s", why);
	/* A half-read plan is no plan: begin anew. */
	engine_result_release(t->r);
	engine_result_init(t->r);
	filter_keep(t->r, text);
	if (t->content && !t->content->judged)
		t->content->why = arena_copy(t->content->arena, str_of(text));
}

static void
begin_anew(struct talk *t)
{
	engine_result_release(t->r);
	engine_result_init(t->r);
	if (t->content && !t->content->known)
		t->content->judged = false;
}

static int
run_once(const struct filter_how *how, struct engine_job *job,
    struct talk *t, bool types, struct verdict *v)
{
	struct purpose what = { .job = job, .content = t->content,
	    .types = types };
	const char *why;
	pid_t pid;
	int fd, status;

	t->types_wanted = types;
	fd = make(how, &what, &pid, v);
	if (fd < 0)
		return -1;
	why = converse(fd, t, clock_mono_ms() + (int64_t)how->timeout_ms);
	file_close(&fd);
	if (why)
		(void)kill(pid, SIGKILL);
	status = reap(pid);
	if (why && t->types_wanted && !types) {
		begin_anew(t);
		return run_once(how, job, t, true, v);
	}
	if (why)
		fall_back(t, why, status);
	return 0;
}

/* Ends a filter that gave no plan. False when somebody else had killed it
 * (kill -9, an administrator): its own crashes have other signals. */
static bool
died_by_itself(pid_t pid, int *status_r)
{
	siginfo_t info = { 0 };

	if (!pid)
		return true;
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    info.si_pid == pid && info.si_code == CLD_KILLED &&
	    info.si_status == SIGKILL) {
		*status_r = reap(pid);
		return false;
	}
	(void)kill(pid, SIGKILL);
	*status_r = reap(pid);
	return true;
}

/* The warm process, made where there is none. 0 or -1. */
static int
warm_up(const struct filter_how *how, bool types, struct verdict *v)
{
	if (warm.pid)
		return 0;
	if (filter_share_open(&warm.share) < 0)
		return verdict_errno(v, errno, "map memory for the filter");
	warm.fd = make(how, &(struct purpose){ .types = types,
	    .share = warm.share }, &warm.pid, v);
	warm.owner = self_pid();
	if (warm.fd < 0) {
		warm.pid = 0;
		filter_end();
		return -1;
	}
	if (filter_share_ours(warm.share) < 0) {
		verdict_errno(v, errno, "keep the filter's memory apart");
		filter_end();
		return -1;
	}
	warm.engine = how->engine;
	warm.types = types;
	warm.jobs = 0;
	return 0;
}

/* About what a job takes in its frame. */
static size_t
job_size(const struct engine_job *job)
{
	size_t n = 4096 + job->message.n;

	for (size_t i = 0; i < job->n_scripts; i++)
		n += job->scripts[i].text.n + job->scripts[i].image.n + 64;
	return n;
}

/* Hands a job to the warm process, as memory or through the socket. NULL, or
 * why it did not go. */
static const char *
post(const struct engine_job *job, const struct filter_content *content)
{
	const char *why = NULL;
	struct buf out;

	filter_share_job(warm.share, &out);
	if (job_size(job) < FILTER_SHARE_JOB) {
		filter_encode_job(job, content, &out);
		if (!out.full) {
			filter_share_post(warm.share, warm.pid, out.n);
			return NULL;
		}
	}
	buf_init(&out, FILTER_JOB_MAX);
	(void)buf_reserve(&out, job_size(job)); /* else it grows */
	filter_encode_job(job, content, &out);
	if (out.full) {
		why = too_large;
	} else {
		filter_share_post(warm.share, warm.pid, 0);
		if (frame_write(warm.fd, FILTER_JOB, buf_str(&out)) < 0)
			why = died;
	}
	buf_release(&out);
	return why;
}

/* What the warm process makes of its job. NULL, or why there is no plan. */
static const char *
listen_to(struct talk *t, int64_t deadline)
{
	const char *why = NULL;
	struct buf plan;

	switch (filter_share_wait(warm.share, warm.pid, deadline)) {
	case FILTER_HEARD_PLAN:
		buf_init(&plan, FILTER_SHARE_PLAN);
		if (filter_share_plan(warm.share, &plan) < 0 ||
		    filter_decode(buf_str(&plan), t->r) < 0)
			why = no_sense;
		buf_release(&plan);
		return why;
	case FILTER_HEARD_TALK:
		return converse(warm.fd, t, deadline);
	case FILTER_HEARD_LATE:
		return too_long;
	case FILTER_HEARD_NOTHING:
		return died;
	case FILTER_HEARD_NONSENSE:
		return no_sense;
	case FILTER_HEARD_DEATH:
		break;
	}
	return "the filter process died";
}

static int
run_warm(const struct filter_how *how, struct engine_job *job,
    struct talk *t, bool types, struct verdict *v)
{
	const char *why = NULL;
	int status = 0;

	/* Forked since: the process belongs to our parent. One that knows
	 * types serves everybody. */
	if (warm.owner != self_pid() || warm.engine != how->engine ||
	    warm.jobs >= FILTER_JOBS || (types && !warm.types))
		filter_end();
	/* One that died between two messages (killed by somebody) is made
	 * anew, once; one that dies over this message is its fault. */
	for (int i = 0; i < 2; i++) {
		/* A kernel may refuse what only a warm one needs. */
		if (warm_up(how, types, v) < 0) {
			*v = VERDICT_INIT;
			return run_once(how, job, t, types, v);
		}
		why = post(job, t->content);
		if (why == too_large)
			return run_once(how, job, t, types, v);
		t->types_wanted = warm.types;
		warm.jobs++;
		if (!why)
			why = listen_to(t, clock_mono_ms() +
			    (int64_t)how->timeout_ms);
		if (why != died)
			break;
		filter_end();
	}
	if (why && warm.pid && t->types_wanted && !warm.types) {
		filter_end();
		begin_anew(t);
		return run_warm(how, job, t, true, v);
	}
	if (why && !died_by_itself(warm.pid, &status)) {
		/* Killed from outside: the message has done nothing. */
		warm.pid = 0;
		filter_end();
		begin_anew(t);
		return run_once(how, job, t, types, v);
	}
	if (why) {
		warm.pid = 0;
		filter_end();
		fall_back(t, why, status);
	}
	return 0;
}

/* Will types be wanted? A script that asks for them has to name the capability;
 * who hides it from this look costs one more process, no more. */
static bool
wants_types(const struct engine_job *job, const struct filter_content *content)
{
	if (content && !content->known && (content->rules.n || content->list))
		return true;
	for (size_t i = 0; i < job->n_scripts; i++)
		if (str_find(job->scripts[i].text,
		    STR("vnd.vbox.attachment")) >= 0)
			return true;
	return false;
}

int
filter_run(const struct filter_how *how, struct engine_job *job,
    const struct source *source, struct filter_content *content,
    struct engine_result *r, struct verdict *v)
{
	struct talk t = { .world = job->world, .content = content, .r = r };
	bool types = wants_types(job, content);
	int done;

	if (content && !content->known) {
		content->judged = false;
		content->why = STR("");
		content->facts = (struct content_facts){ .rule = STR(""),
		    .name = STR(""), .type = STR("") };
	}
	/* Said when the configuration is read; here in case it was not. */
	if (how->engine->trust == ENGINE_DISTRUSTED && !how->sandbox) {
		filter_keep(r, "the engine runs only with sandbox = true");
		if (content && !content->known)
			content->why = STR("sandbox is off");
		return 0;
	}
	if (map_message(source, &job->message, v) < 0)
		return -1;
	done = how->life == FILTER_WARM && source->mem &&
	    how->engine->trust == ENGINE_TRUSTED &&
	    source->n <= FILTER_INLINE_MAX ?
	    run_warm(how, job, &t, types, v) :
	    run_once(how, job, &t, types, v);
	unmap_message(source, job->message);
	return done;
}

int
filter_compile(const struct filter_how *how,
    const struct engine_settings *settings, const struct engine_script *script,
    struct buf *image_r, struct verdict *v)
{
	struct purpose what = { .settings = settings, .script = script };
	struct buf in;
	uint8_t type;
	pid_t pid;
	int fd = make(how, &what, &pid, v);

	if (fd < 0)
		return -1;
	buf_init(&in, FILTER_FRAME_MAX);
	if (frame_read(fd, &type, &in, clock_mono_ms() +
	    (int64_t)how->timeout_ms) == 1 && type == FILTER_IMAGE)
		(void)buf_adds(image_r, buf_str(&in)); /* none is good, too */
	file_close(&fd);
	(void)kill(pid, SIGKILL);
	(void)reap(pid);
	buf_release(&in);
	return 0;
}
