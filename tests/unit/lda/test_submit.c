/* Handing over: to a program, and by SMTP to a server that answers as each
 * case says. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/server/submitter.h"
#include "lda/submit.h"
#include "store/base/clock.h"
#include "store/base/file.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define TIMEOUT_MS 30000

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/vbox-submit-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static char *
in_dir(const char *name)
{
	static char path[2][120];
	static unsigned which;

	which ^= 1;
	(void)snprintf(path[which], sizeof(path[which]), "%s/%s", dir, name);
	return path[which];
}

static int
teardown(void **state)
{
	static const char *const files[] = { "socket", "got", "program",
	    "exim4", "sendmail" };

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++)
		(void)unlink(in_dir(files[i]));
	return rmdir(dir);
}

/* --- a server ----------------------------------------------------------------- */

/* What it says to a command that begins so; the first that fits. The one
 * of "" is the greeting. NULL as reply: closes. "" : says nothing. */
struct line {
	const char *command;
	const char *reply;
};

#define GREETING { "", "220 mx.test ESMTP\r\n" }
#define ALL_WELL { "MAIL", "250 ok\r\n" }, { "RCPT", "250 ok\r\n" }, \
	{ "DATA", "354 go\r\n" }, { ".", "250 2.0.0 queued as 1\r\n" }, \
	{ "QUIT", "221 bye\r\n" }
#define EHLO_FULL { "EHLO", "250-mx.test\r\n250-PIPELINING\r\n" \
	"250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n" }
#define EHLO_BARE { "EHLO", "250 mx.test\r\n" }

static const char *
reply_to(const struct line *lines, size_t n, const char *command)
{
	for (size_t i = 0; i < n; i++)
		if (lines[i].command[0] ? strncasecmp(command, lines[i].command,
		    strlen(lines[i].command)) == 0 : command[0] == '\0')
			return lines[i].reply;
	return "500 what?\r\n";
}

/* A message that becomes shorter once DATA was said; -1: none. */
static int shrinking = -1;
#define SHRUNK 70000

/* Serves one connection; everything it reads goes into the file "got". */
static void
serve(int listener, const struct line *lines, size_t n)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	int got = open(in_dir("got"), O_WRONLY | O_CREAT | O_TRUNC, 0600), fd;
	bool in_data = false;
	const char *reply;
	char line[70000];
	FILE *f;

	if (poll(&p, 1, TIMEOUT_MS) <= 0)
		_exit(0);
	fd = accept(listener, NULL, NULL);
	f = fdopen(fd, "r");
	if (fd < 0 || !f)
		_exit(1);
	reply = reply_to(lines, n, "");
	for (;;) {
		ssize_t size;

		if (!reply)
			_exit(0);
		if (write(fd, reply, strlen(reply)) < 0 ||
		    !fgets(line, sizeof(line), f))
			_exit(0);
		size = (ssize_t)strlen(line);
		if (write(got, line, (size_t)size) != size)
			_exit(1);
		if (in_data && strcmp(line, ".\r\n") != 0) {
			reply = "";
			continue;
		}
		reply = reply_to(lines, n, line);
		in_data = reply && strncmp(line, "DATA", 4) == 0 &&
		    strncmp(reply, "354", 3) == 0;
		if (in_data && shrinking >= 0 && ftruncate(shrinking, SHRUNK) < 0)
			_exit(1);
	}
}

struct server {
	pid_t pid;
	char command[120];
};

enum where { ON_UNIX, ON_TCP };

static struct server
start(enum where where, const struct line *lines, size_t n)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(in);
	struct server s;
	int fd = socket(where == ON_UNIX ? AF_UNIX : AF_INET,
	    SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (where == ON_UNIX) {
		(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s",
		    in_dir("socket"));
		(void)unlink(un.sun_path);
		assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
		(void)snprintf(s.command, sizeof(s.command), "unix:%s",
		    un.sun_path);
	} else {
		assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
		(void)snprintf(s.command, sizeof(s.command), "smtp:127.0.0.1:%d",
		    ntohs(in.sin_port));
	}
	assert_int_equal(listen(fd, 1), 0);
	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0)
		serve(fd, lines, n);
	file_close(&fd);
	return s;
}

static void
stop(struct server *s)
{
	int status;

	(void)kill(s->pid, SIGTERM);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
}

static void
read_got(struct buf *got)
{
	int fd = open(in_dir("got"), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(file_read_whole(fd, got), 0);
	file_close(&fd);
}

static const char text[] = "From x\nSubject: a\n\nbody\n";
static struct source memory = { .mem = text, .fd = -1, .n = sizeof(text) - 1 };

static struct submit_job
job_of(const char *command)
{
	static const struct str to[] = { { "c@d.test", 8 }, { "e@f.test", 8 } };

	return (struct submit_job){ .command = command,
	    .timeout_ms = TIMEOUT_MS, .sender = STR("a@b.test"), .to = to,
	    .to_count = 1, .message = &memory, .start = 7,
	    .head = STR("Delivered-To: x@y\n"), .hostname = "mx.test" };
}

/* Runs the job against the lines; what the server got is compared. */
static enum verdict_why
dialogue(const struct line *lines, size_t n, struct submit_job *job,
    const char *want)
{
	struct server s = start(ON_UNIX, lines, n);
	struct verdict v = VERDICT_INIT;
	struct buf got;
	int r;

	job->command = s.command;
	r = submit_run(job, &v);
	assert_int_equal(r, v.why == V_OK ? 0 : -1);
	stop(&s);
	if (want) {
		buf_init(&got, 1000000);
		read_got(&got);
		assert_string_equal(got.p, want);
		buf_release(&got);
	}
	return v.why;
}

static void
full_dialogue(void **state)
{
	static const struct line lines[] = { GREETING, EHLO_FULL, ALL_WELL };
	struct submit_job job = job_of(NULL);

	(void)state;
	job.to_count = 2;
	assert_int_equal(dialogue(lines, COUNT(lines), &job,
	    "EHLO mx.test\r\n"
	    "MAIL FROM:<a@b.test> SIZE=39\r\n"
	    "RCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\nDATA\r\n"
	    "Delivered-To: x@y\r\nSubject: a\r\n\r\nbody\r\n.\r\nQUIT\r\n"), V_OK);
	/* The null sender, and what DSN can carry. */
	job.to_count = 1;
	job.sender = STR("");
	job.notify = STR("NEVER");
	job.ret = STR("HDRS");
	job.envid = STR("a+b c");
	job.head = STR("X: \xc3\xbc\n");
	assert_int_equal(dialogue(lines, COUNT(lines), &job,
	    "EHLO mx.test\r\n"
	    "MAIL FROM:<> SIZE=27 BODY=8BITMIME RET=HDRS ENVID=a+2Bb+20c\r\n"
	    "RCPT TO:<c@d.test> NOTIFY=NEVER\r\nDATA\r\n"
	    "X: \xc3\xbc\r\nSubject: a\r\n\r\nbody\r\n.\r\nQUIT\r\n"), V_OK);
	job.notify = STR("NEVER\r\nDATA");
	job.ret = job.envid = STR("");
	job.flags = SUBMIT_SMTPUTF8;
	assert_int_equal(dialogue(lines, COUNT(lines), &job,
	    "EHLO mx.test\r\n"
	    "MAIL FROM:<> SIZE=27 BODY=8BITMIME SMTPUTF8\r\n"
	    "RCPT TO:<c@d.test>\r\nDATA\r\n"
	    "X: \xc3\xbc\r\nSubject: a\r\n\r\nbody\r\n.\r\nQUIT\r\n"), V_OK);
}

static void
old_servers(void **state)
{
	static const struct line bare[] = { GREETING, EHLO_BARE, ALL_WELL };
	static const struct line old[] = { GREETING,
	    { "HELO", "250 mx.test\r\n" }, ALL_WELL };
	static const char *const want[] = { "EHLO mx.test\r\n",
	    "EHLO mx.test\r\nHELO mx.test\r\n" };
	struct submit_job job = job_of(NULL);
	char all[400];

	(void)state;
	job.notify = STR("NEVER");
	job.ret = STR("FULL");
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(all, sizeof(all), "%sMAIL FROM:<a@b.test>\r\n"
		    "RCPT TO:<c@d.test>\r\nDATA\r\nDelivered-To: x@y\r\n"
		    "Subject: a\r\n\r\nbody\r\n.\r\nQUIT\r\n", want[i]);
		assert_int_equal(i ? dialogue(old, COUNT(old), &job, all) :
		    dialogue(bare, COUNT(bare), &job, all), V_OK);
	}
}

/* Every line end is one, every leading dot is doubled, the last line ends. */
static void
bytes_on_the_wire(void **state)
{
	static const struct {
		const char *message;
		const char *wire;
	} cases[] = {
		{ "a\n.\nb\n", "a\r\n..\r\nb\r\n" },
		{ ".\n", "..\r\n" },
		{ "a\r\n.\r\nb", "a\r\n..\r\nb\r\n" },
		{ "a\n.\r\nQUIT\r\n", "a\r\n..\r\nQUIT\r\n" },
		{ "a\r.\rb", "a\r\n..\r\nb\r\n" },
		{ "a\r\r\n.b\n\n", "a\r\n\r\n..b\r\n\r\n" },
		{ "..\n.x", "...\r\n..x\r\n" },
		{ "", "" },
	};
	static const struct line lines[] = { GREETING, EHLO_BARE, ALL_WELL };
	struct submit_job job = job_of(NULL);

	(void)state;
	job.head = STR("");
	job.start = 0;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source src = { .mem = cases[i].message, .fd = -1,
		    .n = strlen(cases[i].message) };
		char want[300];

		(void)snprintf(want, sizeof(want), "EHLO mx.test\r\n"
		    "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
		    "%s.\r\nQUIT\r\n", cases[i].wire);
		job.message = &src;
		assert_int_equal(dialogue(lines, COUNT(lines), &job, want), V_OK);
	}
}

/* Larger than any buffer, from a file, with a dot at every line. */
static void
a_large_message(void **state)
{
	static const struct line lines[] = { GREETING, EHLO_BARE, ALL_WELL };
	struct submit_job job = job_of(NULL);
	struct source src = { .fd = open(in_dir("program"),
	    O_RDWR | O_CREAT, 0600) };
	struct buf message, want;

	(void)state;
	buf_init(&message, 1000000);
	buf_init(&want, 1000000);
	buf_addz(&want, "EHLO mx.test\r\nMAIL FROM:<a@b.test>\r\n"
	    "RCPT TO:<c@d.test>\r\nDATA\r\n");
	for (int i = 0; i < 20000; i++) {
		buf_addf(&message, ".%d\n", i);
		buf_addf(&want, "..%d\r\n", i);
	}
	buf_addz(&want, ".\r\nQUIT\r\n");
	assert_int_equal(file_write_all(src.fd, message.p, message.n), 0);
	src.n = message.n;
	job.message = &src;
	job.head = STR("");
	job.start = 0;
	assert_int_equal(dialogue(lines, COUNT(lines), &job, want.p), V_OK);
	/* The file becomes shorter: the end of data is never said. */
	shrinking = src.fd;
	assert_int_equal(dialogue(lines, COUNT(lines), &job, NULL), V_SUBMIT);
	shrinking = -1;
	buf_reset(&want);
	read_got(&want);
	assert_true(str_find(buf_str(&want), STR("DATA\r\n")) > 0);
	assert_int_equal(str_find(buf_str(&want), STR("\r\n.\r\n")), -1);
	file_close(&src.fd);
	buf_release(&message);
	buf_release(&want);
}

static void
answers(void **state)
{
	static const struct {
		struct line change;
		enum verdict_why want;
	} cases[] = {
		{ { "", "421 busy\r\n" }, V_SUBMIT },
		{ { "", "554 go away\r\n" }, V_SUBMIT },
		{ { "", NULL }, V_SUBMIT },
		{ { "", "hello\r\n" }, V_SUBMIT },
		{ { "", "220-one\r\n220 two\r\n" }, V_OK },
		{ { "EHLO", "421 busy\r\n" }, V_SUBMIT },
		{ { "EHLO", NULL }, V_SUBMIT },
		{ { "EHLO", "250-mx\r\n250 SIZE 10\r\n" }, V_POLICY },
		{ { "EHLO", "250-mx\r\n250 SIZE 0\r\n" }, V_OK },
		{ { "EHLO", "250-mx\r\n250 SIZE x\r\n" }, V_OK },
		{ { "MAIL", "450 later\r\n" }, V_SUBMIT },
		{ { "MAIL", "550 never\r\n" }, V_POLICY },
		{ { "MAIL", NULL }, V_SUBMIT },
		{ { "RCPT", "251 will forward\r\n" }, V_OK },
		{ { "RCPT", "450 later\r\n" }, V_SUBMIT },
		{ { "RCPT", "550 unknown\r\n" }, V_POLICY },
		{ { "RCPT", NULL }, V_SUBMIT },
		{ { "DATA", "451 later\r\n" }, V_SUBMIT },
		{ { "DATA", "554 no\r\n" }, V_POLICY },
		{ { "DATA", "250 what?\r\n" }, V_SUBMIT },
		{ { ".", "451 later\r\n" }, V_SUBMIT },
		{ { ".", "552 too big\r\n" }, V_POLICY },
		{ { ".", "354 what?\r\n" }, V_SUBMIT },
		{ { ".", "25\r\n" }, V_SUBMIT },
		{ { ".", NULL }, V_SUBMIT },
		{ { "QUIT", NULL }, V_OK },
		{ { "QUIT", "500 stay\r\n" }, V_OK },
	};
	struct submit_job job = job_of(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct line lines[] = { cases[i].change, GREETING, EHLO_BARE,
		    ALL_WELL };
		enum verdict_why why = dialogue(lines, COUNT(lines), &job, NULL);

		if (why != cases[i].want)
			fail_msg("case %zu: %d", i, (int)why);
	}
}

static void
one_of_several_refused(void **state)
{
	static const struct {
		const char *first, *second, *end;
		enum verdict_why all, each;	/* without and with each */
		enum submit_answer one, two;
	} cases[] = {
		{ "250 ok\r\n", "550 no\r\n", "250 ok\r\n", V_POLICY, V_POLICY,
		    SUBMIT_TAKEN, SUBMIT_REFUSED },
		{ "450 no\r\n", "250 ok\r\n", "250 ok\r\n", V_SUBMIT, V_SUBMIT,
		    SUBMIT_LATER, SUBMIT_TAKEN },
		{ "550 no\r\n", "450 no\r\n", "250 ok\r\n", V_POLICY, V_SUBMIT,
		    SUBMIT_REFUSED, SUBMIT_LATER },
		{ "250 ok\r\n", "250 ok\r\n", "250 ok\r\n", V_OK, V_OK,
		    SUBMIT_TAKEN, SUBMIT_TAKEN },
		{ "250 ok\r\n", "550 no\r\n", "451 no\r\n", V_POLICY, V_SUBMIT,
		    SUBMIT_LATER, SUBMIT_REFUSED },
		{ "250 ok\r\n", "250 ok\r\n", "554 no\r\n", V_POLICY, V_POLICY,
		    SUBMIT_REFUSED, SUBMIT_REFUSED },
		{ "250 ok\r\n", NULL, "250 ok\r\n", V_SUBMIT, V_SUBMIT,
		    SUBMIT_LATER, SUBMIT_LATER },
	};
	struct submit_job job = job_of(NULL);
	enum submit_answer each[2];
	struct buf got;

	(void)state;
	job.to_count = 2;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct line lines[] = { { "RCPT TO:<c", cases[i].first },
		    { "RCPT TO:<e", cases[i].second }, { ".", cases[i].end },
		    GREETING, EHLO_BARE, ALL_WELL };

		job.each = NULL;
		assert_int_equal(dialogue(lines, COUNT(lines), &job, NULL),
		    cases[i].all);
		/* All or none: nothing was sent. */
		buf_init(&got, 10000);
		read_got(&got);
		assert_int_equal(str_find(buf_str(&got), STR("DATA")) >= 0,
		    cases[i].first[0] == '2' && cases[i].second &&
		    cases[i].second[0] == '2');
		buf_release(&got);
		job.each = each;
		assert_int_equal(dialogue(lines, COUNT(lines), &job, NULL),
		    cases[i].each);
		assert_int_equal(each[0], cases[i].one);
		assert_int_equal(each[1], cases[i].two);
	}
}

static void
silence_ends_at_the_deadline(void **state)
{
	static const char *const mute[] = { "", "EHLO", "MAIL", "RCPT", "DATA",
	    "." };
	struct submit_job job = job_of(NULL);

	(void)state;
	job.timeout_ms = 60;
	for (size_t i = 0; i < COUNT(mute); i++) {
		struct line lines[] = { { mute[i], "" }, GREETING, EHLO_BARE,
		    ALL_WELL };
		int64_t before = clock_mono_ms();

		assert_int_equal(dialogue(lines, COUNT(lines), &job, NULL),
		    V_SUBMIT);
		assert_true(clock_mono_ms() - before >= 59);
		assert_true(clock_mono_ms() - before < TIMEOUT_MS);
	}
}

static void
addresses(void **state)
{
	static const struct {
		const char *to;
		enum verdict_why full, bare;
	} cases[] = {
		{ "a@b\r\nDATA", V_POLICY, V_POLICY },
		{ "a@b> <c@d", V_POLICY, V_POLICY },
		{ "", V_POLICY, V_POLICY },
		{ "\"a b\"@d.test", V_OK, V_OK },
		{ "\"a b@d.test", V_POLICY, V_POLICY },
		{ "m\xc3\xbcller@d.test", V_OK, V_POLICY },
	};
	static const struct line full[] = { GREETING, EHLO_FULL, ALL_WELL };
	static const struct line bare[] = { GREETING, EHLO_BARE, ALL_WELL };
	struct submit_job job = job_of(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str to = str_of(cases[i].to);

		job.to = &to;
		assert_int_equal(dialogue(full, COUNT(full), &job, NULL),
		    cases[i].full);
		assert_int_equal(dialogue(bare, COUNT(bare), &job, NULL),
		    cases[i].bare);
	}
}

static void
a_reply_without_end(void **state)
{
	static char endless[5000];
	struct line lines[] = { { "EHLO", endless }, GREETING, ALL_WELL };
	struct submit_job job = job_of(NULL);

	(void)state;
	memset(endless, '2', sizeof(endless) - 1);
	assert_int_equal(dialogue(lines, COUNT(lines), &job, NULL), V_SUBMIT);
}

static void
over_tcp(void **state)
{
	static const struct line lines[] = { GREETING, EHLO_FULL, ALL_WELL };
	struct server s = start(ON_TCP, lines, COUNT(lines));
	struct submit_job job = job_of(s.command);
	struct verdict v = VERDICT_INIT;

	(void)state;
	assert_int_equal(submit_run(&job, &v), 0);
	stop(&s);
	v = VERDICT_INIT;	/* nobody listens any more */
	assert_int_equal(submit_run(&job, &v), -1);
	assert_int_equal(v.why, V_SUBMIT);
}

static void
wrong_places(void **state)
{
	static const struct {
		const char *command;
		enum verdict_why want;
	} cases[] = {
		{ "smtp:25", V_CONFIG }, { "smtp::25", V_CONFIG },
		{ "sendmail", V_CONFIG }, { "", V_CONFIG },
		{ "unix:/nonexistent/socket", V_SUBMIT },
		{ "smtp:[::1", V_SUBMIT },
		{ "/nonexistent/sendmail", V_SUBMIT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct submit_job job = job_of(cases[i].command);
		struct verdict v = VERDICT_INIT;

		assert_int_equal(submit_run(&job, &v), -1);
		assert_int_equal(v.why, cases[i].want);
	}
}

/* --- a program ------------------------------------------------------------------ */

static void
write_program(const char *name, int status)
{
	struct buf script;
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0700);

	assert_true(fd >= 0);
	buf_init(&script, 1000);
	buf_addf(&script, "#!/bin/sh\nexec >%s\necho \"$@\"\ncat\nexit %d\n",
	    in_dir("got"), status);
	assert_int_equal(file_write_all(fd, script.p, script.n), 0);
	buf_release(&script);
	file_close(&fd);
}

static enum verdict_why
run_program(const char *name, struct submit_job *job, const char *want)
{
	struct verdict v = VERDICT_INIT;
	char path[120];
	struct buf got;
	int r;

	(void)snprintf(path, sizeof(path), "%s", in_dir(name));
	job->command = path;
	r = submit_run(job, &v);
	assert_int_equal(r, v.why == V_OK ? 0 : -1);
	buf_init(&got, 1000);
	read_got(&got);
	assert_string_equal(got.p, want);
	buf_release(&got);
	return v.why;
}

static void
programs(void **state)
{
	struct submit_job job = job_of(NULL);
	enum submit_answer each[2] = { SUBMIT_REFUSED, SUBMIT_REFUSED };

	(void)state;
	write_program("program", 0);
	job.to_count = 2;
	job.each = each;
	assert_int_equal(run_program("program", &job, "-oi -f a@b.test -- "
	    "c@d.test e@f.test\nDelivered-To: x@y\nSubject: a\n\nbody\n"), V_OK);
	assert_int_equal(each[1], SUBMIT_TAKEN);
	job.to_count = 1;
	job.sender = STR("");
	job.notify = STR("NEVER");
	job.ret = STR("HDRS");
	assert_int_equal(run_program("program", &job, "-oi -f <> -N NEVER "
	    "-R HDRS -- c@d.test\nDelivered-To: x@y\nSubject: a\n\nbody\n"), V_OK);
	/* Exim's -N would deliver nothing, under whatever name. */
	write_program("exim4", 75);
	assert_int_equal(symlink("exim4", in_dir("sendmail")), 0);
	assert_int_equal(run_program("sendmail", &job, "-oi -f <> -- c@d.test\n"
	    "Delivered-To: x@y\nSubject: a\n\nbody\n"), V_SUBMIT);
	assert_int_equal(each[0], SUBMIT_LATER);
}

/* Confined workers ask a helper: it passes all of it on, and all answers. */
static void
through_the_helper(void **state)
{
	static const struct line lines[] = { GREETING, EHLO_FULL,
	    { "RCPT TO:<e", "550 no\r\n" }, ALL_WELL };
	struct server s = start(ON_UNIX, lines, COUNT(lines));
	struct submit_job job = job_of(s.command);
	enum submit_answer each[2] = { SUBMIT_LATER, SUBMIT_LATER };
	struct config config = { .global.submit = s.command };
	struct verdict v = VERDICT_INIT;
	int socket = -1, status;
	struct buf got;
	pid_t helper;

	(void)state;
	helper = submitter_start(&config, &socket, &v);
	assert_true(helper > 0);
	submitter_use(socket);
	job.to_count = 2;
	job.each = each;
	job.notify = STR("NEVER");
	job.ret = STR("HDRS");
	job.envid = STR("1");
	job.flags = SUBMIT_SMTPUTF8;
	assert_int_equal(submit_run(&job, &v), -1);
	assert_int_equal(v.why, V_POLICY);
	assert_int_equal(each[0], SUBMIT_TAKEN);
	assert_int_equal(each[1], SUBMIT_REFUSED);
	stop(&s);
	buf_init(&got, 10000);
	read_got(&got);
	assert_string_equal(got.p, "EHLO mx.test\r\n"
	    "MAIL FROM:<a@b.test> SIZE=39 SMTPUTF8 RET=HDRS ENVID=1\r\n"
	    "RCPT TO:<c@d.test> NOTIFY=NEVER\r\n"
	    "RCPT TO:<e@f.test> NOTIFY=NEVER\r\nDATA\r\n"
	    "Delivered-To: x@y\r\nSubject: a\r\n\r\nbody\r\n.\r\nQUIT\r\n");
	buf_release(&got);
	/* What the configuration does not know is not run; a host's name
	 * cannot become a command. */
	v = VERDICT_INIT;
	job.command = "/bin/true";
	assert_int_equal(submit_run(&job, &v), -1);
	assert_int_equal(v.why, V_CONFIG);
	assert_int_equal(each[0], SUBMIT_LATER);
	v = VERDICT_INIT;
	job.command = s.command;
	job.hostname = "x\r\nQUIT";
	assert_int_equal(submit_run(&job, &v), -1);
	assert_int_equal(v.why, V_SUBMIT);
	submit_through(NULL);
	file_close(&socket);
	assert_int_equal(waitpid(helper, &status, 0), helper);
	assert_int_equal(status, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(full_dialogue),
		CASE(old_servers),
		CASE(bytes_on_the_wire),
		CASE(a_large_message),
		CASE(answers),
		CASE(one_of_several_refused),
		CASE(silence_ends_at_the_deadline),
		CASE(addresses),
		CASE(a_reply_without_end),
		CASE(over_tcp),
		CASE(wrong_places),
		CASE(programs),
		CASE(through_the_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
