/* What a worker can no longer do, tried by a probe that is confined as it is;
 * and what it still must be able to do. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/server/sandbox.h"
#include "store/base/file.h"
#include "store/keywords.h"
#include "store/state.h"

static char top[] = "/tmp/vbox-sandbox-XXXXXX";
static char outside[] = "/tmp/vbox-outside-XXXXXX";

/* Each returns 0 when it was possible. */

static int
reads(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static int
read_shadow(void)
{
	return reads("/etc/shadow");
}

static int
read_passwd(void)
{
	return reads("/etc/passwd");
}

static int
write_outside(void)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/x", outside);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

static int
link_in(void)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/mail/passwd", top);
	return link("/etc/passwd", path);
}

static int
connect_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(25),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Refused by a port is "could have connected". */
	if (fd < 0)
		return -1;
	return connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 &&
	    errno != ECONNREFUSED ? -1 : 0;
}

static int
connect_clamd(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(3310),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	return connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 &&
	    errno != ECONNREFUSED && errno != EINPROGRESS ? -1 : 0;
}

static int
make_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0 ? -1 : 0;
}

static int
make_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) < 0 ? -1 : 0;
}

static int
execute(void)
{
	char *const argv[] = { (char *)"true", NULL };

	(void)execv("/bin/true", argv); /* does not return when it can */
	return -1;
}

static int
become_root(void)
{
	return setresuid(0, 0, 0);
}

static int
new_user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
trace_parent(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int
mount_something(void)
{
	return mount("none", top, "tmpfs", 0, NULL);
}

static int
make_device(void)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/mail/dev", top);
	return mknod(path, S_IFCHR | 0600, 0x103);
}

static int
make_fifo_or_link(void)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/mail/link", top);
	return symlink("/etc/passwd", path);
}

static int
use_io_uring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

/* Needed for work. */

static int
write_mail(void)
{
	char from[256], to[256];
	int fd;

	(void)snprintf(from, sizeof(from), "%s/mail/tmp/1", top);
	(void)snprintf(to, sizeof(to), "%s/mail/new/1", top);
	fd = open(from, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 ||
	    ftruncate(fd, 0) < 0 || close(fd) < 0)
		return -1;
	if (link(from, to) < 0 || unlink(from) < 0)
		return -1;
	return rename(to, from);
}

static int
make_mailbox(void)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/mail/another", top);
	return mkdir(path, 0700);
}

static int
spool_file(void)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/spool", top);
	fd = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

static int
look_at_processes(void)
{
	return reads("/proc/self/stat");
}

static int
make_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0 ? -1 : 0;
}

static int
remember(void)
{
	struct state_mark m = { STATE_REDIRECT, STR("key"), 60 };
	struct verdict v = VERDICT_INIT;
	char path[256];
	struct state *st;
	int r = -1;

	(void)snprintf(path, sizeof(path), "%s/state", top);
	st = state_open(path, "d.test/fred.db");
	if (state_mark(st, &m, 1, STATE_SYNC, &v) == 0 &&
	    state_seen(st, m.kind, m.key, &v) == STATE_YES)
		r = state_forget(st, &m, 1, &v);
	if (r < 0)
		print_message("%s\n", v.detail);
	state_close(&st);
	return r;
}

static int
give_keywords(void)
{
	static const struct str names[] = { { "work", 4 } };
	struct verdict v = VERDICT_INIT;
	struct buf letters;
	char path[256];
	size_t lost;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/mail", top);
	fd = file_open_root(path);
	buf_init(&letters, KEYWORDS_MAX);
	lost = keywords_letters(fd, names, 1, 0600, &letters, &v);
	buf_release(&letters);
	file_close(&fd);
	return lost ? -1 : 0;
}

struct probe {
	const char *name;
	int (*try)(void);
	int want;
};

static const struct probe probes[] = {
	{ "read /etc/shadow", read_shadow, -1 },
	{ "read /etc/passwd", read_passwd, -1 },
	{ "write outside", write_outside, -1 },
	{ "link a file from outside", link_in, -1 },
	{ "connect out", connect_tcp, -1 },
	{ "make a UDP socket", make_udp, -1 },
	{ "make a netlink socket", make_netlink, -1 },
	{ "execute", execute, -1 },
	{ "become root", become_root, -1 },
	{ "make a user namespace", new_user_namespace, -1 },
	{ "trace", trace_parent, -1 },
	{ "mount", mount_something, -1 },
	{ "make a device", make_device, -1 },
	{ "make a symbolic link", make_fifo_or_link, -1 },
	{ "use io_uring", use_io_uring, -1 },
	{ "write mail", write_mail, 0 },
	{ "make a mailbox", make_mailbox, 0 },
	{ "spool", spool_file, 0 },
	{ "look at processes", look_at_processes, 0 },
	{ "make a unix socket", make_unix_socket, 0 },
	{ "remember", remember, 0 },
	{ "give keywords", give_keywords, 0 },
};

static struct config config;

static void
load(const char *sandbox, const char *more)
{
	char text[2048];
	struct verdict v = VERDICT_INIT;
	struct buf problems;

	if (state_preload(&v) < 0)	/* as a worker does */
		fail_msg("%s", v.detail);
	(void)snprintf(text, sizeof(text), "directory = {\"fs\"}\n"
	    "mbox_path = \"%s/mail/%%d/%%n\"\nhome = \"%s/mail/%%d/%%n\"\n"
	    "spool_dir = \"%s/spool\"\nstate_dir = \"%s/state\"\n"
	    "sandbox = %s\n%s", top, top, top, top, sandbox, more);
	buf_init(&problems, 10000);
	if (config_load_text("test", text, &config, &problems, &v) < 0)
		fail_msg("%s %s", v.detail, problems.p);
	buf_release(&problems);
}

/* As a worker begins: root is gone, then the sandbox. */
static int
run(const struct probe *p)
{
	struct verdict v = VERDICT_INIT;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgroups(0, NULL) < 0 ||
		    setresgid(65534, 65534, 65534) < 0 ||
		    setresuid(65534, 65534, 65534) < 0))
			_exit(3);
		if (sandbox_enter(&config, &v) < 0)
			_exit(4);
		_exit(p->try() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
the_cage_holds(void **state)
{
	(void)state;
	load("true", "");
	for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
		int got = run(&probes[i]), want = probes[i].want == 0 ? 0 : 1;

		if (got != want)
			fail_msg("%s: %d, wanted %d", probes[i].name, got, want);
	}
	config_release(&config);
}

/* Without it the same probe gets out, so it is the cage that holds. */
static void
without_it_the_probe_gets_out(void **state)
{
	static const struct probe out[] = {
		{ "read /etc/passwd", read_passwd, 0 },
		{ "write outside", write_outside, 0 },
		{ "make a UDP socket", make_udp, 0 },
		{ "execute", execute, 0 },
	};

	(void)state;
	load("false", "");
	for (size_t i = 0; i < sizeof(out) / sizeof(*out); i++)
		if (run(&out[i]) != 0)
			fail_msg("%s", out[i].name);
	config_release(&config);
}

/* A clamd by TCP opens its port, and nothing else. */
static void
a_scanner_opens_its_port(void **state)
{
	static const struct probe some[] = {
		{ "connect to the clamd", connect_clamd, 0 },
		{ "connect elsewhere", connect_tcp, -1 },
		{ "make a UDP socket", make_udp, -1 },
		{ "make a netlink socket", make_netlink, -1 },
		{ "make a unix socket", make_unix_socket, 0 },
		{ "read /etc/passwd", read_passwd, -1 },
	};

	(void)state;
	load("true", "domain \"a.test\" {\n"
	    "scanners = {\"clamd:inet:127.0.0.1:3310\"}\n}\n");
	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
		int got = run(&some[i]), want = some[i].want == 0 ? 0 : 1;

		/* Ports are Landlock's to know since its version 4. */
		if (some[i].try == connect_tcp && syscall(
		    SYS_landlock_create_ruleset, NULL, 0,
		    LANDLOCK_CREATE_RULESET_VERSION) < 4)
			continue;
		if (got != want)
			fail_msg("%s: %d, wanted %d", some[i].name, got, want);
	}
	config_release(&config);
}

static void
make(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s%s", top, name);
	if (*name)
		assert_int_equal(mkdir(path, 0700), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(path, 65534, 65534), 0);
}

static int
setup(void **state)
{
	(void)state;
	if (!mkdtemp(top) || !mkdtemp(outside))
		return -1;
	make("");
	make("/mail");
	make("/mail/tmp");
	make("/mail/new");
	make("/spool");
	make("/state");
	return geteuid() == 0 ? chown(outside, 65534, 65534) : 0;
}

static int
teardown(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		(void)execl("/bin/rm", "rm", "-rf", top, outside, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cage_holds),
		cmocka_unit_test(a_scanner_opens_its_port),
		cmocka_unit_test(without_it_the_probe_gets_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
