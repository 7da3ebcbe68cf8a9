/* The filter process: what it answers, and that what goes wrong in it is a
 * keep that says why. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "filters/attachment.h"
#include "lda/filter.h"
#include "lda/filter_wire.h"
#include "store/base/clock.h"
#include "store/base/mem.h"
#include "store/base/num.h"

#if defined(__SANITIZE_ADDRESS__)
#define CONFINED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONFINED 0
#endif
#endif
#ifndef CONFINED
#define CONFINED 1
#endif

/* A kernel without CONFIG_ADVISE_SYSCALLS. */
static bool no_advice;

int
madvise(void *p, size_t n, int advice)
{
	if (no_advice) {
		errno = ENOSYS;
		return -1;
	}
	return (int)syscall(SYS_madvise, p, n, advice);
}

/* Ends the only child; false when there is none. It stays to be waited for. */
static bool
kill_child(void)
{
	char path[64];
	unsigned long pid = 0;
	siginfo_t info;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children",
	    (int)getpid());
	f = fopen(path, "r");
	if (!f || fscanf(f, "%lu", &pid) != 1 || fclose(f) != 0)
		return false;
	return kill((pid_t)pid, SIGKILL) == 0 && waitid(P_PID, (id_t)pid, &info,
	    WEXITED | WNOWAIT) == 0;
}

/* An engine of the test's own: the message says what it is to do. */
static int
probe(const struct engine_job *job, struct engine_result *r)
{
	struct engine_action *a = arena_alloc(&r->arena, 2 * sizeof(*a));
	struct str what = job->message;
	struct engine_script script;
	struct buf value;

	if (str_starts(what, STR("crash")))
		raise(SIGSEGV);
	if (str_starts(what, STR("loop")))
		for (volatile unsigned i = 0; ; )
			i++;
	if (str_starts(what, STR("open")) &&
	    open("/etc/passwd", O_RDONLY) >= 0)
		return 0;
	if (str_starts(what, STR("socket")) &&
	    socket(AF_INET, SOCK_STREAM, 0) >= 0)
		return 0;
	if (str_starts(what, STR("fork")) && fork() >= 0)
		return 0;
	if (str_starts(what, STR("exec")))
		execl("/bin/true", "true", (char *)NULL);
	if (str_starts(what, STR("kill")))
		kill(getppid(), 0);
	if (str_starts(what, STR("code")))
		(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (str_starts(what, STR("call "))) {
		uint64_t nr = 0;

		(void)num_u64(str_sub(what, 5, what.n), 10000, &nr);
		(void)syscall((long)nr, -1L, "/", 0L, 0L, 0L, 0L);
	}
	/* Nothing but the socket to the master is open. */
	if (str_starts(what, STR("descriptors"))) {
		for (int fd = 0; fd < 100; fd++)
			if (fd != 3 && (write(fd, "x", 1) >= 0 || errno != EBADF))
				return 0;
	}
	if (str_starts(what, STR("types"))) {
		const struct attachments *l = job->attachments->list(
		    job->attachments->ctx);

		if (!l || l->n != 1 || !str_eq(l->list[0]->type,
		    STR("text/plain")))
			return 0;
	}
	/* The master's copy in a warm process; our own in another. */
	if (str_starts(what, STR("scribble")))
		*(volatile char *)(uintptr_t)what.p = 'S';
	if (str_starts(what, STR("memory")))
		for (volatile char *p; (p = mem_alloc(1 << 20)); )
			*p = 1;
	a[0].kind = ENGINE_FILEINTO;
	a[0].mailbox = arena_copy(&r->arena, job->user);
	a[0].imap_flags = STR("\\Seen x");
	a[0].flags = ENGINE_F_FLAGS | ENGINE_F_COPY;
	a[1].kind = ENGINE_VACATION;
	a[1].seconds = 86400;
	a[1].key = arena_copy(&r->arena, job->scripts[0].text);
	r->actions = a;
	r->n_actions = 2;
	if (str_starts(what, STR("quiet")))
		return 0;
	if (str_starts(what, STR("long plan"))) {
		char *p = mem_alloc(1 << 20);

		memset(p, 'x', 1 << 20);
		a[1].reason = str_mem(p, 1 << 20);
		return 0;
	}
	buf_init(&value, 100);
	if (job->world->mailbox_exists(job->world->ctx, STR("there")) ==
	    ENGINE_YES && job->world->environment(job->world->ctx,
	    STR("item"), &value) == ENGINE_YES &&
	    job->world->include(job->world->ctx, ENGINE_GLOBAL, STR("inc"),
	    &script) == ENGINE_YES)
		engine_errors_warn(&r->errors, STR("s"), 3, 4, "%s %.*s", value.p,
		    STR_ARG(script.text));
	buf_release(&value);
	return 0;
}

static const struct engine engine = { .name = "probe", .run = probe };

static enum engine_answer
there(void *ctx, struct str mailbox)
{
	(void)ctx;
	return str_eq(mailbox, STR("there")) ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
item(void *ctx, struct str name, struct buf *value)
{
	(void)ctx;
	(void)name;
	buf_addz(value, "value\nof");
	return ENGINE_YES;
}

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	(void)ctx;
	*script_r = (struct engine_script){ .name = name,
	    .text = location == ENGINE_GLOBAL ? STR("keep;") : STR("") };
	return ENGINE_YES;
}

static const char *database;	/* NULL: libmagic's own */

/* What is not to be waited for ends long before. */
#define PATIENCE_MS 30000
/* To begin, to look at the content and to loop. */
#define LOOP_LATE_MS (CONFINED ? 1000 : 5000)
#define LOOP_SOON_MS 300

static uint64_t
timeout_of(struct str message)
{
	return str_starts(message, STR("loop: ")) ? LOOP_LATE_MS :
	    str_starts(message, STR("loop")) ? LOOP_SOON_MS : PATIENCE_MS;
}

static void
run_with(const char *message, enum filter_life life,
    struct filter_content *content, struct engine_result *r)
{
	static const struct engine_settings settings;
	static const struct engine_world world = { .mailbox_exists = there,
	    .environment = item, .include = include };
	static const struct engine_envelope envelope;
	static const struct str addresses[] = { { "a@b", 3 } };
	struct engine_script script = { .name = STR("main"),
	    .text = STR("script text") };
	struct engine_job job = { .settings = &settings, .world = &world,
	    .scripts = &script, .n_scripts = 1, .envelope = &envelope,
	    .addresses = addresses, .n_addresses = 1, .user = STR("fred@d"),
	    .host = STR("h"), .now = 1000, .zone = -120 };
	struct filter_how how = { .engine = &engine, .sandbox = true,
	    .timeout_ms = timeout_of(str_of(message)), .cpu_ms = 10000,
	    .memory = 64 << 20,
	    .life = life, .database = database };
	struct source src = { .mem = message, .fd = -1, .n = strlen(message) };
	struct verdict v = VERDICT_INIT;

	engine_result_init(r);
	assert_int_equal(filter_run(&how, &job, &src, content, r, &v), 0);
}

static void
run_as(const char *message, enum filter_life life, struct engine_result *r)
{
	run_with(message, life, NULL, r);
}

static void
assert_whole(const struct engine_result *r)
{
	assert_int_equal(r->n_actions, 2);
	assert_int_equal(r->actions[0].kind, ENGINE_FILEINTO);
	assert_true(str_eq(r->actions[0].mailbox, STR("fred@d")));
	assert_true(str_eq(r->actions[0].imap_flags, STR("\\Seen x")));
	assert_int_equal(r->actions[0].flags, ENGINE_F_FLAGS | ENGINE_F_COPY);
	assert_int_equal(r->actions[1].seconds, 86400);
	assert_true(str_eq(r->actions[1].key, STR("script text")));
	assert_int_equal(r->errors.n, 1);
	assert_int_equal(r->errors.count, 0);
	assert_int_equal(r->errors.list[0].line, 3);
	assert_true(str_find(r->errors.list[0].text, STR("keep;")) > 0);
}

static void
a_plan_comes_back_whole(void **state)
{
	struct engine_result r;

	(void)state;
	run_as("hello", FILTER_ONCE, &r);
	assert_whole(&r);
	engine_result_release(&r);
	for (int i = 0; i < 3; i++) {
		run_as("hello", FILTER_WARM, &r);
		assert_whole(&r);
		engine_result_release(&r);
	}
	filter_end();
}

/* What asks nothing comes through memory, what is too long for it through the
 * socket; each after each other. */
static void
every_way_there_and_back(void **state)
{
	static const char *const begins[] = { "quiet", "hello", "long plan" };
	static const size_t sizes[] = { 100, 200 * 1024, 300 * 1024,
	    FILTER_INLINE_MAX, FILTER_INLINE_MAX + 1 };
	char *message = mem_alloc(FILTER_INLINE_MAX + 2);
	struct engine_result r;

	(void)state;
	for (int i = 0; i < 60; i++) {
		const char *begin = begins[i % 3];
		size_t n = sizes[i * 7 / 3 % 5];

		memset(message, 'y', n);
		message[n] = '\0';
		memcpy(message, begin, strlen(begin));
		run_as(message, FILTER_WARM, &r);
		assert_int_equal(r.n_actions, 2);
		assert_true(str_eq(r.actions[0].mailbox, STR("fred@d")));
		assert_true(str_eq(r.actions[1].key, STR("script text")));
		assert_int_equal(r.actions[1].reason.n, i % 3 == 2 ? 1 << 20 : 0);
		assert_int_equal(r.errors.n, i % 3 == 1);
		engine_result_release(&r);
	}
	free(message);
	filter_end();
}

/* One that somebody kills between two messages is made anew. */
static void
nothing_is_lost_between_messages(void **state)
{
	struct engine_result r;
	unsigned before = filter_crashes();

	(void)state;
	for (int i = 0; i < 4; i++) {
		run_as(i % 2 ? "quiet" : "hello", FILTER_WARM, &r);
		assert_int_equal(r.n_actions, 2);
		engine_result_release(&r);
		assert_true(kill_child());
	}
	assert_int_equal(filter_crashes(), before);
	filter_end();
}

static void
a_kernel_that_takes_no_advice_has_filters(void **state)
{
	struct engine_result r;

	(void)state;
	filter_end();
	no_advice = true;
	for (int i = 0; i < 2; i++) {
		run_as("hello", FILTER_WARM, &r);
		assert_whole(&r);
		engine_result_release(&r);
	}
	no_advice = false;
	assert_false(kill_child());
}

static void
assert_keep(const struct engine_result *r, const char *why)
{
	assert_int_equal(r->n_actions, 1);
	assert_int_equal(r->actions[0].kind, ENGINE_KEEP);
	assert_true(r->actions[0].flags & ENGINE_F_AT_ERROR);
	assert_int_equal(r->errors.count, 1);
	if (str_find(r->errors.list[0].text, str_of(why)) < 0)
		fail_msg("%s: %.*s", why, STR_ARG(r->errors.list[0].text));
}

static void
a_crash_or_an_overrun_is_a_keep(void **state)
{
	struct engine_result r;
	unsigned before = filter_crashes(), slow = filter_overruns();

	(void)state;
	for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
		run_as("crash", (enum filter_life)life, &r);
		assert_keep(&r, "died");
		engine_result_release(&r);
		run_as("loop", (enum filter_life)life, &r);
		assert_keep(&r, "too long");
		engine_result_release(&r);
		/* And the next message is none the worse for it. */
		run_as("hello", (enum filter_life)life, &r);
		assert_whole(&r);
		engine_result_release(&r);
	}
	assert_int_equal(filter_crashes() - before, 2);
	assert_int_equal(filter_overruns() - slow, 2);
	filter_end();
}

/* What the master wrote is not the filter's to change. */
static void
a_job_is_read_only(void **state)
{
	struct engine_result r;

	(void)state;
	run_as("scribble", FILTER_WARM, &r);
	assert_keep(&r, "died");
	engine_result_release(&r);
	filter_end();
}

/* Whatever stands in the memory: the master believes none of it. */
static void
a_liar_is_found_out(void **state)
{
	struct filter_share *s;
	struct buf out;

	(void)state;
	assert_int_equal(filter_share_open(&s), 0);
	buf_init(&out, FILTER_SHARE_PLAN);
	/* No job was posted. */
	assert_int_equal(filter_share_wait(s, getpid(), clock_mono_ms() + 5000),
	    FILTER_HEARD_NONSENSE);
	filter_share_post(s, getpid(), 1);
	assert_int_equal(filter_share_wait(s, 1, clock_mono_ms() + 5000),
	    FILTER_HEARD_NOTHING);
	assert_int_equal(filter_share_next(s).n, 1);
	assert_int_equal(filter_share_wait(s, 1, clock_mono_ms() + 5000),
	    FILTER_HEARD_DEATH);
	assert_int_equal(filter_share_wait(s, 1, clock_mono_ms()),
	    FILTER_HEARD_LATE);
	filter_share_talk(s);
	assert_int_equal(filter_share_wait(s, 1, clock_mono_ms() + 5000),
	    FILTER_HEARD_TALK);
	assert_int_equal(filter_share_say(s, str_mem("plan", 4)), 0);
	assert_int_equal(filter_share_wait(s, 1, clock_mono_ms() + 5000),
	    FILTER_HEARD_PLAN);
	assert_int_equal(filter_share_plan(s, &out), 0);
	assert_true(str_eq(buf_str(&out), STR("plan")));
	assert_int_equal(filter_share_say(s, str_mem("plan",
	    FILTER_SHARE_PLAN + 1)), -1);
	buf_release(&out);
	filter_share_close(&s);
	assert_null(s);
}

static void
it_can_touch_nothing(void **state)
{
	static const char *const tries[] = { "open", "socket", "fork", "exec",
	    "kill", "code", "memory" };
	static const int calls[] = {
		/* to see, open or change a file */
		SYS_openat, SYS_openat2, SYS_newfstatat, SYS_statx, SYS_faccessat,
		SYS_faccessat2, SYS_getdents64, SYS_readlinkat, SYS_getcwd,
		SYS_chdir, SYS_linkat, SYS_unlinkat, SYS_renameat2, SYS_mkdirat,
		SYS_mknodat, SYS_fchmodat, SYS_truncate, SYS_name_to_handle_at,
		SYS_open_by_handle_at, SYS_mount, SYS_open_tree, SYS_fsopen,
		SYS_inotify_init1, SYS_fanotify_init, SYS_memfd_create,
		SYS_getxattr, SYS_statfs,
		/* what is open */
		SYS_dup, SYS_fcntl, SYS_ioctl, SYS_lseek, SYS_pread64,
		SYS_sendfile, SYS_splice, SYS_close,
		/* another process */
		SYS_clone, SYS_clone3, SYS_execve, SYS_execveat, SYS_kill,
		SYS_tkill, SYS_tgkill, SYS_pidfd_open, SYS_pidfd_send_signal,
		SYS_pidfd_getfd, SYS_ptrace, SYS_process_vm_readv, SYS_kcmp,
		SYS_rt_sigqueueinfo, SYS_getppid, SYS_wait4,
		/* the network */
		SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_accept4,
		SYS_sendto, SYS_sendmsg, SYS_recvmsg,
		/* the kernel, and the cage */
		SYS_prctl, SYS_seccomp, SYS_prlimit64, SYS_unshare, SYS_setns,
		SYS_bpf, SYS_io_uring_setup, SYS_userfaultfd,
		SYS_perf_event_open, SYS_keyctl, SYS_mprotect, SYS_uname,
		SYS_setresuid, SYS_rt_sigaction,
	};
	struct engine_result r;
	struct arena arena;
	char call[32];

	(void)state;
	if (!CONFINED)
		skip();
	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
			run_as(tries[i], (enum filter_life)life, &r);
			if (strcmp(tries[i], "memory") == 0)
				assert_keep(&r, "");
			else
				assert_keep(&r, "died (signal 31)");
			engine_result_release(&r);
		}
	/* One that has libmagic loaded can do no more. */
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct filter_content content = { .rules = STR("tag bomb"),
		    .arena = &arena };

		(void)snprintf(call, sizeof(call), "call %d", calls[i]);
		run_with(call, FILTER_ONCE, &content, &r);
		assert_true(content.judged);
		if (str_find(r.errors.list[0].text, STR("(signal 31)")) < 0)
			fail_msg("%s: %.*s", call,
			    STR_ARG(r.errors.list[0].text));
		assert_keep(&r, "died (signal 31)");
		engine_result_release(&r);
	}
	for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
		run_as("descriptors", (enum filter_life)life, &r);
		assert_whole(&r);
		engine_result_release(&r);
	}
	arena_release(&arena);
	filter_end();
}

#define LETTER "Content-Disposition: attachment; filename=a.png\n\nsome text\n"

/* What the policy said stands, whatever a script does afterwards. */
static void
the_policy_is_asked_first(void **state)
{
	static const struct {
		const char *message, *rules;
		enum content_act want;
		const char *error;	/* of the engine, which is run then */
	} cases[] = {
		{ "X: y\n" LETTER, "tag mismatch", CONTENT_TAG, "" },
		{ "X: y\n" LETTER, "reject name *.png", CONTENT_REJECT, NULL },
		{ "X: y\n" LETTER, "quarantine attached", CONTENT_QUARANTINE,
		    NULL },
		{ "X: y\n" LETTER, "reject bomb", CONTENT_ACCEPT, "" },
		{ "crash: x\n" LETTER, "accept mismatch", CONTENT_ACCEPT,
		    "died" },
		{ "crash: x\n" LETTER, "reject mismatch", CONTENT_REJECT, NULL },
		{ "loop: x\n" LETTER, "accept mismatch", CONTENT_ACCEPT,
		    "too long" },
	};
	struct engine_result r;
	struct arena arena;

	(void)state;
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
			struct filter_content c = { .arena = &arena,
			    .rules = str_of(cases[i].rules) };

			run_with(cases[i].message, (enum filter_life)life, &c, &r);
			assert_true(c.judged);
			assert_int_equal(c.count, 1);
			assert_int_equal(c.facts.act, cases[i].want);
			if (cases[i].want != CONTENT_ACCEPT) {
				assert_true(str_eq(c.facts.name, STR("a.png")));
				assert_true(str_eq(c.facts.type,
				    STR("text/plain")));
			}
			if (!cases[i].error)
				assert_int_equal(r.n_actions, 0);
			else if (cases[i].error[0])
				assert_keep(&r, cases[i].error);
			else
				assert_whole(&r);
			engine_result_release(&r);
		}
	arena_release(&arena);
	filter_end();
}

/* A filter that was made without types is replaced when they are wanted; one
 * without a database says so. */
static void
types_are_loaded_when_they_are_wanted(void **state)
{
	struct engine_result r;
	struct arena arena;

	(void)state;
	for (int i = 0; i < 3; i++)
		for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
			run_as("types: x\n\ntext\n", (enum filter_life)life, &r);
			assert_whole(&r);
			engine_result_release(&r);
		}
	filter_end();
	arena_init(&arena, 1 << 20);
	database = "/nonexistent";
	for (int life = FILTER_ONCE; life <= FILTER_WARM; life++) {
		struct filter_content c = { .arena = &arena,
		    .rules = STR("reject attached") };

		run_with("X: y\n" LETTER, (enum filter_life)life, &c, &r);
		assert_false(c.judged);
		assert_true(c.why.n > 0);
		assert_int_equal(c.facts.act, CONTENT_ACCEPT);
		assert_whole(&r);
		engine_result_release(&r);
	}
	database = NULL;
	arena_release(&arena);
	filter_end();
}

/* A body that a script has made, behind a header that it has edited. */
static void
give_body(struct engine_result *r)
{
	r->editions = arena_array(&r->arena, 2, sizeof(*r->editions));
	r->bodies = arena_array(&r->arena, 2, sizeof(*r->bodies));
	r->editions[1] = STR("X: y\n\n");
	r->bodies[1].pieces = arena_array(&r->arena, 2,
	    sizeof(*r->bodies[1].pieces));
	r->bodies[1].pieces[0] = (struct engine_piece){ .text = STR("front"),
	    .n = 5 };
	r->bodies[1].pieces[1] = (struct engine_piece){ .back = 7, .n = 3 };
	r->bodies[1].n_pieces = 2;
	r->n_editions = 2;
	r->edited = true;
	r->actions[0].edition = 1;
}

static void
assert_bodies(const struct engine_result *r)
{
	for (size_t i = 1; i < r->n_editions; i++) {
		const struct engine_body *b = &r->bodies[i];
		uint64_t total = 0;

		assert_true(b->n_pieces <= ENGINE_PIECES_MAX);
		for (size_t k = 0; k < b->n_pieces; k++) {
			assert_true(b->pieces[k].text.p ||
			    b->pieces[k].n <= b->pieces[k].back);
			total += b->pieces[k].n;
		}
		assert_true(total <= ENGINE_BODY_MAX);
	}
}

static void
a_made_body_comes_back_whole(void **state)
{
	struct engine_result r, back;
	struct buf frame;

	(void)state;
	run_as("hello", FILTER_ONCE, &r);
	give_body(&r);
	buf_init(&frame, 1 << 20);
	filter_encode(&r, &frame);
	engine_result_init(&back);
	assert_int_equal(filter_decode(buf_str(&frame), &back), 0);
	assert_int_equal(back.n_editions, 2);
	assert_int_equal(back.bodies[1].n_pieces, 2);
	assert_true(str_eq(back.bodies[1].pieces[0].text, STR("front")));
	assert_null(back.bodies[1].pieces[1].text.p);
	assert_int_equal(back.bodies[1].pieces[1].back, 7);
	assert_int_equal(back.bodies[1].pieces[1].n, 3);
	engine_result_release(&back);
	/* more than there can be behind the place where it begins */
	r.bodies[1].pieces[1].n = 8;
	buf_reset(&frame);
	filter_encode(&r, &frame);
	engine_result_init(&back);
	assert_int_equal(filter_decode(buf_str(&frame), &back), -1);
	engine_result_release(&back);
	/* more than a body may be */
	r.bodies[1].pieces[1].n = r.bodies[1].pieces[1].back = ENGINE_BODY_MAX;
	buf_reset(&frame);
	filter_encode(&r, &frame);
	engine_result_init(&back);
	assert_int_equal(filter_decode(buf_str(&frame), &back), -1);
	engine_result_release(&back);
	engine_result_release(&r);
	buf_release(&frame);
}

/* The master's side of the frames, against a filter that lies. */
static void
nonsense_is_no_plan(void **state)
{
	struct engine_result r;
	struct buf good, bad;
	uint32_t seed = 7;

	(void)state;
	run_as("hello", FILTER_ONCE, &r);
	give_body(&r);
	buf_init(&good, 1 << 20);
	buf_init(&bad, 1 << 20);
	filter_encode(&r, &good);
	engine_result_release(&r);
	for (size_t n = 0; n < good.n; n++) {
		engine_result_init(&r);
		assert_int_equal(filter_decode(str_sub(buf_str(&good), 0, n), &r),
		    -1);
		engine_result_release(&r);
	}
	for (int i = 0; i < 5000; i++) {
		buf_reset(&bad);
		buf_adds(&bad, buf_str(&good));
		for (int k = 0; k < 4; k++) {
			seed = seed * 1664525u + 1013904223u;
			bad.p[(seed >> 8) % bad.n] = (char)(seed >> 24);
		}
		engine_result_init(&r);
		if (filter_decode(buf_str(&bad), &r) == 0) {
			for (size_t a = 0; a < r.n_actions; a++)
				assert_true(r.actions[a].kind < ENGINE_ACT_COUNT);
			assert_bodies(&r);
		}
		engine_result_release(&r);
	}
	buf_release(&good);
	buf_release(&bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_comes_back_whole),
		cmocka_unit_test(a_made_body_comes_back_whole),
		cmocka_unit_test(a_crash_or_an_overrun_is_a_keep),
		cmocka_unit_test(every_way_there_and_back),
		cmocka_unit_test(nothing_is_lost_between_messages),
		cmocka_unit_test(a_kernel_that_takes_no_advice_has_filters),
		cmocka_unit_test(a_job_is_read_only),
		cmocka_unit_test(a_liar_is_found_out),
		cmocka_unit_test(it_can_touch_nothing),
		cmocka_unit_test(the_policy_is_asked_first),
		cmocka_unit_test(types_are_loaded_when_they_are_wanted),
		cmocka_unit_test(nonsense_is_no_plan),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
