/*
 * vboxadm user convert: mbox into Maildir or back. The account is locked in
 * the directory meanwhile (450 4.2.1), the work is done by a process of the
 * user who owns the mail, and the old mailbox stays beside the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lda/adm/convert_box.h"
#include "lda/adm/entry.h"
#include "lda/adm/nouns.h"
#include "lda/json.h"
#include "lda/place.h"
#include "lda/privileges.h"
#include "store/base/file.h"

/* What the child says at its end. */
struct report {
	int result;
	struct convert_count count;
	struct verdict verdict;
};

static int
fill_job(struct adm *a, const struct settings *s,
    const struct account *account, struct convert_job *job, struct verdict *v)
{
	static const enum content_format variants[] = {
		[SET_MBOX_MBOXRD] = CONTENT_MBOXRD,
		[SET_MBOX_MBOXO] = CONTENT_MBOXO,
		[SET_MBOX_MBOXCL2] = CONTENT_MBOXCL2,
	};
	struct target t = { .kind = TARGET_MAILBOX, .account = *account };
	const char *host = s->hostname[0] != '\0' ? s->hostname : "localhost";
	char *slash;

	t.account.format = STR("mbox");
	if (place_mailbox(s, &t, STR(""), host, &a->arena, &job->mbox, v) < 0 ||
	    place_mailbox(s, &t, STR("x"), host, &a->arena, &job->folders,
	    v) < 0)
		return -1;
	/* The directory of folder "x". */
	slash = strrchr(job->folders.path, '/');
	job->folders.path = slash == NULL ? "" : arena_copy(&a->arena,
	    str_mem(job->folders.path,
	    (size_t)(slash - job->folders.path))).p;
	t.account.format = STR("maildir");
	if (place_mailbox(s, &t, STR(""), host, &a->arena, &job->maildir,
	    v) < 0)
		return -1;
	job->how = (struct convert_how){ .variant = variants[s->mbox_variant],
	    .file_mode = s->file_mode, .hostname = host };
	return 0;
}

static void
child(const struct convert_job *job, const struct identity *id,
    bool to_maildir, int pipe_end)
{
	struct report rep = { .result = -1, .verdict = VERDICT_INIT };

	if (privileges_drop(id, PRIVILEGES_BOUND_NONE, &rep.verdict) == 0)
		rep.result = to_maildir ?
		    convert_box_to_maildir(job, &rep.count, &rep.verdict) :
		    convert_box_to_mbox(job, &rep.count, &rep.verdict);
	_exit(file_write_all(pipe_end, &rep, sizeof(rep)) < 0 ? 1 : 0);
}

/* Runs it as the mail user. A child that dies has not done it. */
static int
run_job(const struct convert_job *job, const struct identity *id,
    bool to_maildir, struct convert_count *count_r, struct verdict *v)
{
	struct report rep;
	int ends[2], status = 0;
	pid_t pid;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return verdict_errno(v, errno, "pipe");
	pid = fork();
	if (pid == 0)
		child(job, id, to_maildir, ends[1]);
	file_close(&ends[1]);
	if (pid < 0) {
		file_close(&ends[0]);
		return verdict_errno(v, errno, "fork");
	}
	n = file_read_full(ends[0], &rep, sizeof(rep));
	file_close(&ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(rep))
		return verdict_set(v, V_TROUBLE, "the conversion died");
	if (rep.result < 0) {
		*v = rep.verdict;
		return -1;
	}
	*count_r = rep.count;
	return 0;
}

static bool
has_format(const struct settings *s, const struct account *u,
    const struct domain_record *d, const char *want)
{
	struct str f = u->format.n > 0 ? u->format : d->format;

	if (f.n == 0)
		f = s->format == SET_FORMAT_MAILDIR ? STR("maildir") :
		    STR("mbox");
	return str_eq(f, str_of(want));
}

static void
report_done(struct adm *a, const struct directory_entry *e,
    const struct convert_count *count)
{
	if (!a->json) {
		entry_report(a, "converted", e);
		adm_note(a, "%llu messages, %llu bytes; the old mailbox is "
		    "called *" CONVERT_OLD,
		    (unsigned long long)count->messages,
		    (unsigned long long)count->bytes);
		return;
	}
	(void)buf_addf(&a->out, "{\"did\":\"converted\",\"messages\":%llu,"
	    "\"bytes\":%llu}\n", (unsigned long long)count->messages,
	    (unsigned long long)count->bytes);
}

int
adm_user_convert(struct adm *a, struct verdict *v)
{
	bool to_maildir = strcmp(a->args[1], "maildir") == 0;
	struct convert_job job = { .how = { .file_mode = 0 } };
	struct convert_count count = { 0, 0 };
	struct directory_entry e, domain, locked;
	struct directory_state was;
	struct entry_name n, d;
	const struct settings *s;
	struct identity id;
	struct verdict ignored = VERDICT_INIT;

	if (!to_maildir && strcmp(a->args[1], "mbox") != 0)
		return verdict_set(v, V_USAGE, "convert: to mbox or maildir");
	if (entry_name_of(a, ENTRY_USER, a->args[0], &n, v) < 0 ||
	    entry_get(a, &n, &e, v) < 0)
		return -1;
	d = (struct entry_name){ ENTRY_DOMAIN, STR(""), n.domain };
	if (entry_get(a, &d, &domain, v) < 0) {
		if (v->why != V_UNKNOWN_DOMAIN)
			return -1;
		entry_init(&d, &domain); /* a file need not name it */
	}
	s = config_domain(&a->config, n.domain);
	if (has_format(s, &e.is.user, &domain.is.domain, a->args[1])) {
		entry_report(a, "unchanged", &e);
		return 0;
	}
	if (fill_job(a, s, &e.is.user, &job, v) < 0 ||
	    identity_find(s->user, s->group, (uid_t)s->min_uid, &id, v) < 0)
		return -1;
	was = e.is.user.state;
	locked = e;
	locked.is.user.state = (struct directory_state){
		.state = ACCOUNT_LOCKED };
	if (directory_writer_put(a->writer, &locked, v) < 0)
		return -1;
	if (run_job(&job, &id, to_maildir, &count, v) < 0) {
		/* What went wrong first is what matters. */
		(void)directory_writer_put(a->writer, &e, &ignored);
		return -1;
	}
	e.is.user.format = str_of(a->args[1]);
	e.is.user.state = was;
	if (directory_writer_put(a->writer, &e, v) < 0)
		return -1;
	report_done(a, &e, &count);
	return 0;
}
