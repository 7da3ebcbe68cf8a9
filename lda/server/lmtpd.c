#include "lda/server/lmtpd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/config_check.h"
#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/privileges.h"
#include "lda/server/master.h"
#include "lda/server/notify.h"
#include "lda/server/service.h"
#include "lda/server/worker.h"
#include "store/base/file.h"

#define PROBLEMS_MAX 65536
#define DUMP_MAX (1 << 20)
/* Room on the board for a larger max_connections after a reload; pages that
 * are not used cost nothing. */
#define SLOTS_LEAST 4096

static const char usage[] =
	"usage: vbox-lmtpd [-c CONF] [-F] [-t [-v]]\n"
	"  -c CONF  the configuration, " CONFIG_PATH "\n"
	"  -F       stay in the foreground, log to standard error as well\n"
	"  -t       check the configuration and end: 0, or 78 with what is wrong\n"
	"  -v       with -t: print what is in force\n"
	"SIGHUP reads the configuration anew, SIGTERM drains and ends.\n";

struct options {
	const char *conf;
	bool foreground, test, verbose, version;
};

/* What the parent of a daemon waits for: a byte says that it is up. */
static int ready_pipe = -1;

static int
parse(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt(argc, argv, "c:FtvVh")) != -1) {
		switch (c) {
		case 'c':
			o->conf = optarg;
			break;
		case 'F':
			o->foreground = true;
			break;
		case 't':
			o->test = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'V':
			o->version = true;
			break;
		default:
			return -1;
		}
	}
	return optind == argc ? 0 : -1;
}

static void
tidy_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

static int
load(struct service *s, struct verdict *v)
{
	struct buf problems;
	int r;

	buf_init(&problems, PROBLEMS_MAX);
	r = config_load(s->conf, &s->config, &problems, v);
	(void)file_write_all(STDERR_FILENO, problems.p, problems.n);
	buf_release(&problems);
	return r;
}

static int
set_hostname(struct service *s, struct verdict *v)
{
	const char *set = s->config.global.hostname;

	if (set[0] && strlen(set) < sizeof(s->hostname)) {
		memcpy(s->hostname, set, strlen(set) + 1);
		return 0;
	}
	if (gethostname(s->hostname, sizeof(s->hostname)) < 0)
		return verdict_errno(v, errno, "gethostname");
	s->hostname[sizeof(s->hostname) - 1] = '\0';
	return 0;
}

static int
open_tls(struct service *s, struct verdict *v)
{
	const struct settings *set = &s->config.global;

	if (!set->tls_cert[0])
		return 0;
	s->tls = tls_site_open(set->tls_cert, set->tls_key[0] ? set->tls_key :
	    set->tls_cert, v);
	return s->tls ? 0 : -1;
}

/* Is standard input a connection (inetd) or a listening socket (its "wait"
 * services)? */
enum given { GIVEN_NOTHING, GIVEN_CONNECTION, GIVEN_LISTENER };

static enum given
given(void)
{
	struct stat st;
	int listening = 0;
	socklen_t n = sizeof(listening);

	if (fstat(STDIN_FILENO, &st) < 0 || !S_ISSOCK(st.st_mode) ||
	    getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listening,
	    &n) < 0)
		return GIVEN_NOTHING;
	return listening ? GIVEN_LISTENER : GIVEN_CONNECTION;
}

/* Bind, then never root again. */
static int
settle(struct service *s, enum given input, struct verdict *v)
{
	const struct settings *set = &s->config.global;
	struct identity id;
	int inherited;

	if (identity_find(set->user, set->group, (uid_t)set->min_uid, &id,
	    v) < 0 || set_hostname(s, v) < 0 || open_tls(s, v) < 0)
		return -1;
	inherited = listen_inherit(&s->listeners, v);
	if (inherited < 0)
		return -1;
	if (input != GIVEN_CONNECTION) {
		if (input == GIVEN_LISTENER && inherited == 0 &&
		    listen_adopt(&s->listeners, STDIN_FILENO, v) < 0)
			return -1;
		if (listen_open(&s->listeners, set, &id, NULL, v) < 0)
			return -1;
		if (s->listeners.n == 0)
			return verdict_set(v, V_CONFIG, "nothing to listen on");
	}
	if (privileges_drop(&id, privileges_bound_for(set->submit), v) < 0)
		return -1;
	privileges_harden();
	return 0;
}

static int
complain(const struct verdict *v)
{
	(void)dprintf(STDERR_FILENO, "vbox-lmtpd: %s\n", v->detail);
	log_say(SET_LOG_ERROR, "%s", v->detail);
	return v->why == V_CONFIG ? EX_CONFIG : EX_TEMPFAIL;
}

static void
ready(void)
{
	notify_say("READY=1\nSTATUS=serving");
	if (ready_pipe >= 0) {
		(void)!write(ready_pipe, "1", 1); /* the parent may be gone */
		file_close(&ready_pipe);
	}
}

/* The parent stays until the child serves, so that whoever started it may
 * connect at once. */
static int
go_behind(void)
{
	int pair[2], null;
	char byte;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid > 0) {
		(void)close(pair[1]);
		_exit(read(pair[0], &byte, 1) == 1 ? 0 : EX_TEMPFAIL);
	}
	(void)close(pair[0]);
	ready_pipe = pair[1];
	if (setsid() < 0 || chdir("/") < 0)
		return -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	return 0;
}

static int
serve(struct service *s, enum given input, const struct options *o,
    struct verdict *v)
{
	uint64_t slots = s->config.global.max_connections;

	if (slots < SLOTS_LEAST)
		slots = SLOTS_LEAST;
	s->board = board_open((unsigned)slots + BOARD_ANSWERERS, v);
	if (!s->board || metrics_init(v) < 0)
		return complain(v);
	s->submitter = -1;
	if (input == GIVEN_CONNECTION)
		return worker_inetd(s);
	if (!o->foreground && go_behind() < 0) {
		verdict_errno(v, errno, "go into the background");
		return complain(v);
	}
	return master_run(s, ready);
}

/* A well-written configuration: what is in force on standard output, what
 * it names and is not there on standard error. That alone is no failure: the
 * file may be checked before, or elsewhere than, the site is set up. Without
 * its user nothing of it can be used. */
static int
tell_test(const struct config *c, bool verbose)
{
	struct buf text;
	struct str rest, line;
	const char *grade = "warning";
	int r = EX_OK;

	buf_init(&text, DUMP_MAX);
	if (verbose) {
		config_dump(c, &text);
		if (file_write_all(STDOUT_FILENO, text.p, text.n) < 0)
			r = EX_TEMPFAIL;
	}
	buf_reset(&text);
	if (config_check(c, &text) == CONFIG_USELESS) {
		grade = "error";
		r = EX_CONFIG;
	}
	rest = buf_str(&text);
	while (str_split(&rest, '\n', &line) && line.n > 0)
		(void)dprintf(STDERR_FILENO, "%s: %.*s\n", grade,
		    STR_ARG(line));
	buf_release(&text);
	return r;
}

int
lmtpd_program(int argc, char **argv)
{
	static struct service s;
	struct verdict v = VERDICT_INIT;
	struct options o = { .conf = NULL };
	enum given input;

	tidy_descriptors();
	if (parse(argc, argv, &o) < 0) {
		(void)file_write_all(STDERR_FILENO, usage, sizeof(usage) - 1);
		return EX_USAGE;
	}
	if (o.version)
		return puts("vbox-lmtpd " VBOX_VERSION) < 0 ||
		    fflush(stdout) != 0 ? EX_TEMPFAIL : EX_OK;
	(void)umask(077);
	notify_init();
	s.conf = o.conf;
	if (load(&s, &v) < 0)
		return complain(&v);
	if (o.test)
		return tell_test(&s.config, o.verbose);
	input = given();
	log_open("vbox-lmtpd", &s.config.global);
	if (settle(&s, input, &v) < 0)
		return complain(&v);
	return serve(&s, input, &o, &v);
}
