#include "lda/server/submitter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lda/scan.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/mbox_lock.h"

/* Programs of the MTA that run at a time. */
#define AT_A_TIME 20
/* Words of one request: command, sender, head, recipients. */
#define REQUEST_MAX (4 * 1024 * 1024)
/* A name for EHLO, with its NUL. */
#define HOST_MAX 256
/* How often a worker that waits looks whether it is to stop. */
#define STOP_PAUSE_MS 250
/* Time for the answer beyond the program's own. */
#define GRACE_MS 10000

enum question { QUESTION_SUBMIT, QUESTION_SCAN };

/* In front of the words; each word has its length before it. */
struct request {
	uint32_t question;
	uint64_t timeout_ms;
	uint64_t start, size;	/* of the message */
	uint32_t to_count;
	uint32_t flags;
	uint32_t each;		/* an answer for each recipient is wanted */
};

/* With `each` the enum submit_answer of each recipient follow, a byte each. To
 * QUESTION_SCAN, `why` is the enum scan_answer. */
struct answer {
	uint32_t why;
	char detail[VERDICT_DETAIL];
};

enum { FD_WORDS, FD_MESSAGE, FD_ANSWER, FD_COUNT };

/* The byte that carries the descriptors: whose turn it is to wait for others. */
#define BYTE_SUBMIT 'S'
#define BYTE_SCAN 'C'

static int helper_socket = -1;

/* --- asking (in a worker) ---------------------------------------------------- */

static void
add_word(struct buf *b, struct str s)
{
	uint32_t n = (uint32_t)s.n;

	(void)buf_add(b, &n, sizeof(n)); /* b->full tells */
	(void)buf_adds(b, s);
}

static int
memory_file(struct str s)
{
	int fd = memfd_create("vbox-submit", MFD_CLOEXEC);

	if (fd >= 0 && file_write_all(fd, s.p, s.n) < 0)
		file_close(&fd);
	return fd;
}

static int
message_file(const struct source *message)
{
	if (!message->mem && message->fd >= 0)
		return fcntl(message->fd, F_DUPFD_CLOEXEC, 0);
	return memory_file(str_mem(message->mem, message->n));
}

static int
words_file(const struct submit_job *job)
{
	struct request r = { .timeout_ms = job->timeout_ms,
	    .start = job->start, .size = job->message->n,
	    .to_count = (uint32_t)job->to_count, .flags = job->flags,
	    .each = job->each != NULL };
	struct buf b;
	int fd = -1;

	buf_init(&b, REQUEST_MAX);
	(void)buf_add(&b, &r, sizeof(r));
	add_word(&b, str_of(job->command));
	add_word(&b, job->sender);
	add_word(&b, job->head);
	add_word(&b, str_of(job->hostname));
	add_word(&b, job->notify);
	add_word(&b, job->ret);
	add_word(&b, job->envid);
	for (size_t i = 0; i < job->to_count; i++)
		add_word(&b, job->to[i]);
	if (!b.full)
		fd = memory_file(buf_str(&b));
	else
		errno = E2BIG;
	buf_release(&b);
	return fd;
}

static int
send_request(const int fds[FD_COUNT], char byte)
{
	char control[CMSG_SPACE(FD_COUNT * sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(FD_COUNT * sizeof(int));
	memcpy(CMSG_DATA(c), fds, FD_COUNT * sizeof(int));
	return sendmsg(helper_socket, &m, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* n bytes of the answer; -1 with the verdict set. */
static int
read_bytes(int fd, void *bytes, size_t n, int64_t deadline, struct verdict *v)
{
	size_t have = 0;

	while (have < n) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_mono_ms();
		ssize_t got;

		if (left <= 0)
			return verdict_set(v, V_SUBMIT,
			    "the submit helper does not answer");
		mbox_locks_refresh();
		if (poll(&p, 1, left > MBOX_LOCK_REFRESH_MS ?
		    MBOX_LOCK_REFRESH_MS : (int)left) <= 0)
			continue;
		got = read(fd, (char *)bytes + have, n - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return verdict_set(v, V_SUBMIT,
			    "the submit helper died");
		have += (size_t)got;
	}
	return 0;
}

static int
read_answer(int fd, const struct submit_job *job, int64_t deadline,
    struct verdict *v)
{
	unsigned char each[SUBMIT_RECIPIENTS];
	struct answer a;

	if (read_bytes(fd, &a, sizeof(a), deadline, v) < 0 || (job->each &&
	    read_bytes(fd, each, job->to_count, deadline, v) < 0))
		return -1;
	for (size_t i = 0; job->each && i < job->to_count; i++)
		job->each[i] = each[i] == SUBMIT_TAKEN ? SUBMIT_TAKEN :
		    each[i] == SUBMIT_REFUSED ? SUBMIT_REFUSED : SUBMIT_LATER;
	a.detail[sizeof(a.detail) - 1] = '\0';
	if (a.why >= V_WHY_COUNT)
		return verdict_set(v, V_SUBMIT, "a wrong answer");
	if (a.why == V_OK)
		return verdict_ok(v, "%s", a.detail);
	return verdict_set(v, (enum verdict_why)a.why, "%s", a.detail);
}

/* Sends words and message; gives the descriptor that the answer comes from, or
 * -1. Takes `words`. */
static int
put(int words, const struct source *message, char byte, struct verdict *v)
{
	int fds[FD_COUNT] = { words, -1, -1 }, back[2] = { -1, -1 };

	if (words >= 0)
		fds[FD_MESSAGE] = message_file(message);
	if (fds[FD_MESSAGE] < 0 || pipe2(back, O_CLOEXEC) < 0) {
		verdict_errno(v, errno, "ask the submit helper");
	} else {
		fds[FD_ANSWER] = back[1];
		if (send_request(fds, byte) < 0) {
			verdict_errno(v, errno, "ask the submit helper");
			file_close(&back[0]);
		}
	}
	file_close(&fds[FD_WORDS]);
	file_close(&fds[FD_MESSAGE]);
	file_close(&back[1]);
	return back[0];
}

static int
ask(const struct submit_job *job, struct verdict *v)
{
	int back, r;

	/* Whatever fails on the way may be tried again. */
	for (size_t i = 0; job->each && i < job->to_count; i++)
		job->each[i] = SUBMIT_LATER;
	back = put(words_file(job), job->message, BYTE_SUBMIT, v);
	if (back < 0)
		return -1;
	r = read_answer(back, job, clock_mono_ms() + (int64_t)job->timeout_ms +
	    GRACE_MS, v);
	file_close(&back);
	return r;
}

/* The helper's clock ends the command; ours, when we are told to stop. */
static void
ask_scan(const struct scan_job *job, struct scan_result *r)
{
	struct request q = { .question = QUESTION_SCAN,
	    .timeout_ms = job->timeout_ms, .size = job->message->n };
	int64_t deadline = clock_mono_ms() + (int64_t)job->timeout_ms + GRACE_MS;
	struct verdict v = VERDICT_INIT;
	struct answer a;
	struct buf b;
	int back, words;

	buf_init(&b, REQUEST_MAX);
	(void)buf_add(&b, &q, sizeof(q));
	add_word(&b, str_of(job->scanner));	/* fits: it is a setting */
	words = memory_file(buf_str(&b));
	buf_release(&b);
	back = put(words, job->message, BYTE_SCAN, &v);
	while (back >= 0 && !(job->stop && job->stop()) &&
	    clock_mono_ms() < deadline) {
		struct pollfd p = { .fd = back, .events = POLLIN };

		if (poll(&p, 1, STOP_PAUSE_MS) > 0)
			break;
	}
	if (back < 0 || (job->stop && job->stop()) ||
	    read_bytes(back, &a, sizeof(a), deadline, &v) < 0) {
		scan_set(r, SCAN_BROKEN, back < 0 || v.why == V_SUBMIT ?
		    str_of(v.detail) : STR("told to stop"));
	} else if (a.why >= SCAN_ANSWER_COUNT) {
		scan_set(r, SCAN_BROKEN, STR("a wrong answer"));
	} else {
		a.detail[sizeof(a.detail) - 1] = '\0';
		scan_set(r, (enum scan_answer)a.why, str_of(a.detail));
	}
	file_close(&back);
}

void
submitter_use(int socket)
{
	helper_socket = socket;
	submit_through(ask);
	scan_command_through(ask_scan);
}

/* --- answering (in the helper) -------------------------------------------------- */

static int
take_word(struct str *in, struct str *word_r)
{
	uint32_t n;

	if (in->n < sizeof(n))
		return -1;
	memcpy(&n, in->p, sizeof(n));
	*in = str_sub(*in, sizeof(n), in->n);
	if (n > in->n)
		return -1;
	*word_r = str_sub(*in, 0, n);
	*in = str_sub(*in, n, in->n);
	return 0;
}

/* A worker is not believed: the program must be one of the configuration. */
static const char *
known_command(const struct config *c, struct str word)
{
	if (str_eq(word, str_of(c->global.submit)))
		return c->global.submit;
	for (size_t i = 0; i < c->section_count; i++)
		if (str_eq(word, str_of(c->sections[i].settings.submit)))
			return c->sections[i].settings.submit;
	return NULL;
}

static const char *
scanner_in(const struct setting_list *list, struct str word)
{
	for (size_t i = 0; i < list->n; i++)
		if (str_eq(word, str_of(list->v[i])))
			return list->v[i];
	return NULL;
}

static const char *
known_scanner(const struct config *c, struct str word)
{
	const char *found = scanner_in(&c->global.scanners, word);

	for (size_t i = 0; i < c->section_count && !found; i++)
		found = scanner_in(&c->sections[i].settings.scanners, word);
	return found && scan_is_command(found) ? found : NULL;
}

/* Where the answer to a scan goes; nobody waits for it when it has no reader. */
static int scan_answer_fd;

static bool
nobody_waits(void)
{
	struct pollfd p = { .fd = scan_answer_fd };

	return poll(&p, 1, 0) == 1 && p.revents & POLLERR;
}

static void
look(const struct config *c, struct str in, const int fds[FD_COUNT],
    struct answer *a)
{
	struct source source = { .fd = fds[FD_MESSAGE] };
	struct scan_job job = { .message = &source, .stop = nobody_waits };
	struct scan_result result;
	struct request q;
	struct str word;

	memcpy(&q, in.p, sizeof(q));
	in = str_sub(in, sizeof(q), in.n);
	if (take_word(&in, &word) < 0 ||
	    !(job.scanner = known_scanner(c, word))) {
		scan_set(&result, SCAN_BROKEN,
		    STR("not a scanner of the configuration"));
	} else {
		scan_answer_fd = fds[FD_ANSWER];
		job.timeout_ms = q.timeout_ms;
		source.n = q.size;
		scan_command(&job, &result);
	}
	a->why = result.answer;
	memcpy(a->detail, result.what, sizeof(result.what));
}

/* A host's name, or none: it becomes part of a command. */
static bool
is_hostname(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isalnum(s.p[i]) && s.p[i] != '.' && s.p[i] != '-')
			return false;
	return s.n < HOST_MAX;
}

/* Fills each_r and *n_r when that is asked for. */
static int
run(const struct config *c, struct str in, int message,
    enum submit_answer *each_r, size_t *n_r, struct verdict *v)
{
	static struct str to[SUBMIT_RECIPIENTS];
	static char name[HOST_MAX];
	struct source source = { .fd = message };
	struct submit_job job = { .message = &source, .to = to };
	struct request r;
	struct str command, host;

	if (in.n < sizeof(r))
		return verdict_set(v, V_SUBMIT, "a wrong request");
	memcpy(&r, in.p, sizeof(r));
	in = str_sub(in, sizeof(r), in.n);
	if (r.to_count > SUBMIT_RECIPIENTS)
		return verdict_set(v, V_SUBMIT, "a wrong request");
	/* Answers are there whatever fails: SUBMIT_LATER is 0. */
	if (r.each) {
		job.each = each_r;
		*n_r = r.to_count;
	}
	if (take_word(&in, &command) < 0 ||
	    take_word(&in, &job.sender) < 0 ||
	    take_word(&in, &job.head) < 0 || take_word(&in, &host) < 0 ||
	    take_word(&in, &job.notify) < 0 || take_word(&in, &job.ret) < 0 ||
	    take_word(&in, &job.envid) < 0 || !is_hostname(host))
		return verdict_set(v, V_SUBMIT, "a wrong request");
	for (uint32_t i = 0; i < r.to_count; i++)
		if (take_word(&in, &to[i]) < 0)
			return verdict_set(v, V_SUBMIT, "a wrong request");
	job.command = known_command(c, command);
	if (!job.command)
		return verdict_set(v, V_CONFIG,
		    "not a submit program of the configuration");
	job.timeout_ms = r.timeout_ms;
	job.start = r.start;
	job.to_count = r.to_count;
	job.flags = r.flags;
	if (host.n)
		memcpy(name, host.p, host.n);	/* ends in NUL */
	job.hostname = name;
	source.n = r.size;
	return submit_run(&job, v);
}

static void
one(const struct config *c, const int fds[FD_COUNT])
{
	static enum submit_answer each[SUBMIT_RECIPIENTS];
	struct verdict v = VERDICT_INIT;
	struct answer a = { .why = V_SUBMIT };
	struct buf words, bytes;
	size_t n = 0;

	buf_init(&words, REQUEST_MAX);
	if (lseek(fds[FD_WORDS], 0, SEEK_SET) == 0 &&
	    file_read_whole(fds[FD_WORDS], &words) == 0) {
		uint32_t question = QUESTION_SUBMIT;

		if (words.n >= sizeof(struct request))
			memcpy(&question, words.p, sizeof(question));
		if (question == QUESTION_SCAN) {
			look(c, buf_str(&words), fds, &a);
			(void)file_write_all(fds[FD_ANSWER], &a, sizeof(a));
			return;
		}
		(void)run(c, buf_str(&words), fds[FD_MESSAGE], each, &n, &v);
	}
	a.why = v.why;
	memcpy(a.detail, v.detail, sizeof(a.detail));
	buf_init(&bytes, sizeof(a) + SUBMIT_RECIPIENTS);
	(void)buf_add(&bytes, &a, sizeof(a));		/* fits */
	for (size_t i = 0; i < n; i++)
		(void)buf_addc(&bytes, (char)each[i]);	/* fits */
	/* A worker that is gone needs no answer. */
	(void)file_write_all(fds[FD_ANSWER], bytes.p, bytes.n);
}

static int
receive(int socket, int fds[FD_COUNT], char *byte_r)
{
	char byte, control[CMSG_SPACE(FD_COUNT * sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(FD_COUNT * sizeof(int)))
		return 0;	/* not a request of ours */
	memcpy(fds, CMSG_DATA(c), FD_COUNT * sizeof(int));
	*byte_r = byte;
	return 1;
}

static void
reap(unsigned *running)
{
	while (waitpid(-1, NULL, *running >= AT_A_TIME ? 0 : WNOHANG) > 0)
		(*running)--;
}

static _Noreturn void
help(const struct config *c, int socket)
{
	int fds[FD_COUNT], got;
	unsigned running = 0;
	pid_t pid;
	char byte;

	while ((got = receive(socket, fds, &byte)) >= 0) {
		if (got == 0)
			continue;
		reap(&running);
		pid = fork();
		if (pid == 0) {
			/* A scanner counts for nobody: each worker waits for
			 * its own, and one that hangs keeps no letter. */
			if (byte == BYTE_SCAN && fork() > 0)
				_exit(0);
			one(c, fds);
			_exit(0);
		}
		if (pid > 0)
			running++;
		for (int i = 0; i < FD_COUNT; i++)
			file_close(&fds[i]);
	}
	_exit(0);	/* no worker and no master has the other end */
}

pid_t
submitter_start(const struct config *c, int *socket_r, struct verdict *v)
{
	struct sigaction preset = { .sa_handler = SIG_DFL };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return verdict_errno(v, errno, "submit helper");
	pid = fork();
	if (pid == 0) {
		/* It ends when the last worker's end of the socket closes. */
		(void)close(pair[1]);
		(void)sigaction(SIGCHLD, &preset, NULL);
		(void)sigaction(SIGTERM, &ignore, NULL);
		(void)sigaction(SIGINT, &ignore, NULL);
		(void)sigaction(SIGHUP, &ignore, NULL);
		(void)sigaction(SIGUSR1, &ignore, NULL);
		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		help(c, pair[0]);
	}
	(void)close(pair[0]);
	if (pid < 0) {
		(void)close(pair[1]);
		return verdict_errno(v, errno, "fork submit helper");
	}
	*socket_r = pair[1];
	return pid;
}
