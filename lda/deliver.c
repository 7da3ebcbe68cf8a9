#include "lda/deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/args.h"
#include "lda/config.h"
#include "lda/delivery.h"
#include "lda/input.h"
#include "lda/lmtp/stdio.h"
#include "lda/log.h"
#include "lda/privileges.h"
#include "lda/quota.h"
#include "lda/report.h"
#include "lda/resolve.h"
#include "lda/signals.h"
#include "lda/spool.h"
#include "lda/system_user.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/directory/directory.h"

/* One read from standard input. */
#define READ_PIECE 65536
/* Problems of a configuration that are shown. */
#define PROBLEMS_MAX 16384

/* Everything of one run, so that there is one way out. */
struct run {
	struct args args;
	struct config config;
	bool config_loaded;
	struct input input;
	char hostname[HOST_NAME_MAX + 1];
	struct directory *directory;
	struct resolver resolver;
	struct arena arena;
	struct system_user system_user;	/* --system-user */
	struct resolution resolution;
	struct spool spool;
	struct parcel parcel;
	struct delivery *delivery;
	int64_t began_ms;
	struct buf complaint;	/* for the administrator, on standard error */
};

/* --- standing on safe ground ------------------------------------------------- */

/* Descriptors 0 to 2 are always something, others are not ours. */
static bool
tidy_descriptors(void)
{
	bool stdin_open = fcntl(STDIN_FILENO, F_GETFD) >= 0;
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd >= 0 && fd <= STDERR_FILENO)
			(void)fcntl(fd, F_SETFD, 0);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	return stdin_open;
}

static int
set_hostname(struct run *run, struct verdict *v)
{
	const char *set = run->config.global.hostname;

	if (set[0]) {
		if (strlen(set) > HOST_NAME_MAX)
			return verdict_set(v, V_CONFIG, "hostname is too long");
		memcpy(run->hostname, set, strlen(set) + 1);
		return 0;
	}
	if (gethostname(run->hostname, sizeof(run->hostname)) < 0)
		return verdict_errno(v, errno, "gethostname");
	run->hostname[sizeof(run->hostname) - 1] = '\0';
	return 0;
}

/* Whom we become. */
static int
choose_identity(struct run *run, struct identity *id_r, struct verdict *v)
{
	const struct settings *s = &run->config.global;

	if (!run->args.system_user)
		return identity_find(s->user, s->group, (uid_t)s->min_uid, id_r,
		    v);
	if (system_user_find(s, run->args.local, &run->arena,
	    &run->system_user, v) < 0)
		return -1;
	if (run->args.detail.n > 0)
		run->system_user.detail = run->args.detail;
	*id_r = run->system_user.id;
	return 0;
}

/* A log file is the mail user's; others speak to syslog. */
static void
open_log(struct run *run)
{
	struct settings *s = &run->config.global;

	if (run->args.system_user && strncmp(s->log_target, "file:", 5) == 0)
		s->log_target = "syslog";
	log_open("vbox-deliver", s);
}

/* The configuration, then never root again. */
static int
settle(struct run *run, struct verdict *v)
{
	const struct settings *s = &run->config.global;
	struct identity id;

	if (config_load(run->args.conf, &run->config, &run->complaint, v) < 0)
		return -1;
	run->config_loaded = true;
	open_log(run);
	if (set_hostname(run, v) < 0)
		return -1;
	if (run->args.system_user)
		run->args.domain = str_of(run->hostname);
	if (choose_identity(run, &id, v) < 0 ||
	    privileges_drop(&id, privileges_bound_for(s->submit), v) < 0) {
		/* What an MTA reads may come to the sender; a person may know.
		 * A rehearsal tells it anyway. */
		if (!run->args.rehearsal && isatty(STDERR_FILENO) == 1)
			(void)dprintf(STDERR_FILENO, "vbox-deliver: %s\n",
			    v->detail);
		return -1;
	}
	privileges_harden();
	return run->args.system_user ? system_user_settle(&run->config,
	    &run->system_user, v) : 0;
}

/* --- who ---------------------------------------------------------------------- */

static int
resolve(struct run *run, struct verdict *v)
{
	const struct settings *s = &run->config.global;
	struct directory_settings set = {
		.module_dir = s->module_dir,
		.mbox_path = s->mbox_path,
		.maildir_path = s->maildir_path,
		.home = s->home,
		.format = s->format == SET_FORMAT_MAILDIR ? "maildir" : "mbox",
	};

	if (run->args.system_user)
		return system_user_resolve(&run->system_user, run->hostname,
		    &run->arena, &run->resolution, v);
	if (directory_open(s->directory.v, s->directory.n, &set,
	    &run->directory, v) < 0)
		return -1;
	run->resolver = (struct resolver){ .directory = run->directory,
	    .delimiters = config_domain(&run->config,
	    run->args.domain)->recipient_delimiter };
	if (resolve_recipient(&run->resolver, run->args.local, run->args.domain,
	    run->args.detail, &run->arena, &run->resolution) < 0) {
		*v = run->resolution.verdict;
		return -1;
	}
	return 0;
}

/* --- the message ----------------------------------------------------------------- */

/* An MTA that cannot get rid of the message takes that for a failure of its
 * own and may not look at our status. */
static void
drain_input(void)
{
	static char piece[READ_PIECE];
	ssize_t got;

	do {
		got = read(STDIN_FILENO, piece, sizeof(piece));
	} while (got > 0 || (got < 0 && errno == EINTR));
}

/* A local mailer is given this as the null sender, with our name behind it when
 * the MTA adds that to all names. Nobody else is called so. */
static bool
is_daemon(const struct run *run)
{
	struct str local, domain;

	if (!run->args.system_user || run->args.sender == NULL)
		return false;
	envelope_split(envelope_strip(str_of(run->args.sender)), &local,
	    &domain);
	return str_caseeq(local, STR("MAILER-DAEMON")) &&
	    str_caseeq(domain, str_of(run->hostname));
}

/* --- all of it ---------------------------------------------------------------------- */

static struct agent
agent_of(const struct run *run)
{
	return (struct agent){
		.config = &run->config,
		.resolver = &run->resolver,
		.hostname = run->hostname,
		.mode = run->args.rehearsal ? DELIVERY_REHEARSAL : DELIVERY_REAL,
		.stop = signals_pending,
	};
}

static int
deliver(struct run *run, struct verdict *v)
{
	struct agent agent = agent_of(run);
	struct addressee who = {
		.resolution = &run->resolution,
		.original = run->args.original,
		.folder = run->args.folder ? str_of(run->args.folder) : STR(""),
	};

	if (parcel_init(&run->parcel, &run->spool, &run->input.envelope, v) < 0)
		return -1;
	return delivery_run(&agent, &run->parcel, &who, &run->delivery, v);
}

static int
one_message(struct run *run, struct verdict *v)
{
	const struct settings *s = &run->config.global;
	struct spool_how how = { .dir = s->spool_dir, .memory = s->spool_memory,
	    .limit = s->message_size_limit };
	struct agent agent = agent_of(run);

	if (is_daemon(run))
		run->input.given_sender = "";
	/* A refusal before the message is read should name the sender. */
	if (input_sender(&run->input, v) < 0)
		return -1;
	if (envelope_check(run->args.original, v) < 0 || resolve(run, v) < 0)
		return -1;
	/* A folder that is named may have its own rule of quota. */
	if ((!run->args.folder || !run->args.folder[0]) &&
	    quotas_check(&agent, &run->resolution, 0, v) < 0)
		return -1;
	spool_init(&run->spool, &how);
	if (input_read(&run->input, &run->spool, v) < 0)
		return -1;
	signals_hold();
	return deliver(run, v);
}

static int
finish(struct run *run, struct verdict *v)
{
	struct report report = {
		.verdict = v,
		.local = run->args.local,
		.domain = run->args.domain,
		.envelope = &run->input.envelope,
		.parcel = &run->parcel,
		.resolution = &run->resolution,
		.delivery = run->delivery,
		.elapsed_ms = clock_mono_ms() - run->began_ms,
		.rehearsal = run->args.rehearsal,
		.json = run->args.json,
	};
	enum exit_profile profile = run->config_loaded ?
	    run->config.global.exit_profile : EXITS_SYSEXITS;

	report_say(&report);
	/* Behind the first line: an MTA may read both outputs as one, and
	 * takes the code from there. */
	(void)file_write_all(STDERR_FILENO, run->complaint.p, run->complaint.n);
	report_log(&report);
	delivery_close(&run->delivery);
	if (!run->input.used)
		drain_input();
	return verdict_exit(v, profile);
}

/* -l: many messages; the replies say how it went, the status only whether
 * there was anybody to speak to. */
static int
lmtp(struct run *run, struct verdict *v)
{
	int settled = settle(run, v);

	(void)file_write_all(STDERR_FILENO, run->complaint.p, run->complaint.n);
	if (settled < 0 ||
	    stdio_serve(&run->config, run->hostname, v) < 0) {
		(void)dprintf(STDERR_FILENO, "vbox-deliver: %s\n", v->detail);
		return EX_TEMPFAIL;
	}
	return EX_OK;
}

int
deliver_program(int argc, char **argv)
{
	/* In static memory: the spool and the report outlive no process. */
	static struct run run;
	struct verdict v = VERDICT_INIT;
	bool stdin_open = tidy_descriptors();

	signals_init();
	run.began_ms = clock_mono_ms();
	run.input.env_sender = getenv("SENDER");
	arena_init(&run.arena, RESOLVE_ARENA);
	buf_init(&run.complaint, PROBLEMS_MAX);
	run.spool.fd = -1;
	(void)umask(077);
	/* Nothing of the caller's environment has a say: not TZ, not LC_*,
	 * not MAGIC. The strings themselves stay where they are. */
	(void)clearenv();

	if (args_parse(argc, argv, &run.args, &v) < 0) {
		(void)buf_addf(&run.complaint, "vbox-deliver: %s\n%s", v.detail,
		    args_usage);
		return finish(&run, &v);
	}
	switch (run.args.what) {
	case ARGS_HELP:
		return file_write_all(STDOUT_FILENO, args_usage,
		    strlen(args_usage)) < 0 ? EX_TEMPFAIL : EX_OK;
	case ARGS_VERSION:
		return puts("vbox-deliver " VBOX_VERSION) < 0 ||
		    fflush(stdout) != 0 ? EX_TEMPFAIL : EX_OK;
	case ARGS_LMTP:
		return lmtp(&run, &v);
	case ARGS_DELIVER:
		run.input.given_sender = run.args.sender;
		break;
	}
	if (!stdin_open)
		verdict_set(&v, V_TROUBLE, "standard input is closed");
	else if (settle(&run, &v) == 0)
		(void)one_message(&run, &v); /* v says how it went */
	return finish(&run, &v);
}
