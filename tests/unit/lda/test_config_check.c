/* A well-written configuration against the world that it speaks of. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/config_check.h"
#include "store/base/file.h"

#define PROBLEMS_MAX 8192
#define CONF_MAX 4096
#define NOBODY 65534

static char dir[] = "/tmp/vbox-check-XXXXXX";

static void
make_dir(const char *name, mode_t mode, uid_t owner)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
	assert_int_equal(chown(path, owner, owner), 0);
}

static void
make_file(const char *name, mode_t mode)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static int
setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		return -1;
	make_dir("spool", 0700, NOBODY);
	make_dir("state", 0700, NOBODY);
	make_file("program", 0755);
	make_file("secret", 0600);
	make_file("script", 0644);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "spool", "state",
	    "program", "secret", "script" };
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)remove(path);
	}
	return rmdir(dir);
}

/* What is told of `text`, in which @ is our directory: in a process of its
 * own, for it will not be root any more. */
static void
check(const char *text, struct buf *said)
{
	struct buf conf;
	int ends[2], status = -1;
	pid_t pid;

	buf_init(&conf, CONF_MAX);
	for (; *text; text++)
		if (*text == '@')
			(void)buf_addz(&conf, dir);
		else
			(void)buf_addc(&conf, *text);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct verdict v = VERDICT_INIT;
		struct config c;
		struct buf problems;
		int r;

		buf_init(&problems, PROBLEMS_MAX);
		if (config_load_text("t.conf", conf.p, &c, &problems, &v) < 0)
			r = 9;
		else
			r = config_check(&c, &problems) != CONFIG_SOUND;
		(void)file_write_all(ends[1], problems.p, problems.n);
		_exit(r);
	}
	assert_true(pid > 0);
	(void)close(ends[1]);
	buf_init(said, PROBLEMS_MAX);
	assert_int_equal(file_read_whole(ends[0], said), 0);
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != (said->n > 0))
		fail_msg("exit %d: %s", WEXITSTATUS(status), said->p);
	buf_release(&conf);
}

#define SOUND \
	"user = nobody directory = fs module_dir = \"@\" submit = \"@/program\"\n" \
	"mbox_path = \"@/spool/%d/%n\" home = \"@/spool/%d/%n\"\n" \
	"state_dir = \"@/state\" spool_dir = \"@/state\"\n"

static void
what_is_not_there_is_told(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ SOUND, NULL },
		{ SOUND "sieve_before = {\"@/script\", \"@/%d.sieve\"}", NULL },
		{ SOUND "srs_domain = a.example\nsrs_secret_file = \"@/secret\"",
		    "t.conf:5: srs_secret_file: @/secret: the configured user cannot read it\n" },
		{ SOUND "sieve_before = {\"@/script\", \"@/none\"}",
		    "t.conf:4: sieve_before: @/none: No such file" },
		{ SOUND "sieve_engine = none sieve_before = {\"@/none\"}", NULL },
		{ SOUND "sieve_global = \"@/script\"",
		    "t.conf:4: sieve_global: @/script: is not a directory\n" },
		{ SOUND "log_target = \"file:@/vbox.log\"",
		    "t.conf:4: log_target: @: the configured user cannot write there\n" },
		{ SOUND "metrics_textfile = \"@/none/vbox.prom\"",
		    "t.conf:4: metrics_textfile: @/none: No such file" },
		{ SOUND "lmtp_listen = \"unix:@/spool/lmtp.sock\"", NULL },
		{ SOUND "lmtp_listen = \"inet:127.0.0.1:24\"", NULL },
		{ SOUND "map_listen = \"unix:@/none/map.sock\"",
		    "t.conf:4: map_listen: @/none: No such file" },
		{ SOUND "tls_cert = \"@/secret\"", NULL },	/* still root */
		{ SOUND "domain a.example {\nmbox_path = \"@/none/%n\"\n}",
		    "t.conf:5: mbox_path: @/none: No such file" },
		{ SOUND "domain a.example {\nformat = maildir\n"
		    "maildir_path = \"@/program/%n\" }",
		    "t.conf:6: maildir_path: @/program: is not a directory\n" },
		{ SOUND "domain a.example {\nsubmit = \"@/script\" }",
		    "t.conf:5: submit: @/script: the configured user cannot execute it\n" },
		{ "user = nobody", "t.conf: state_dir: /var/lib/vbox" },
		{ "user = no-such-user", "t.conf:1: user: " },
		{ "user = root", "t.conf:1: user: " },
		{ "min_uid = 4000000000 user = nobody", "t.conf:1: user: " },
		{ "user = nobody directory = \"file:@/none\"",
		    "t.conf:1: directory: " },
	};

	(void)state;
	if (geteuid() != 0)
		skip();		/* nobody else may become nobody */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf said, want;

		check(cases[i].text, &said);
		buf_init(&want, CONF_MAX);
		for (const char *p = cases[i].want; p && *p; p++)
			if (*p == '@')
				(void)buf_addz(&want, dir);
			else
				(void)buf_addc(&want, *p);
		if (cases[i].want ? !strstr(said.p, want.p) : said.n > 0)
			fail_msg("%s\nsaid: %s\nwanted: %s", cases[i].text,
			    said.p, want.p);
		buf_release(&want);
		buf_release(&said);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
