#include "lda/adm/notice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/adm/files.h"
#include "store/base/clock.h"
#include "store/base/file.h"

#define NOTICE_MAX 65536
#define NOTICE_DIR_MODE 0755
#define NOTICE_FILE_MODE 0644

/* The message, with LF. Reason and until stand behind a word, so that no line
 * begins with what an administrator wrote ("From "). */
static void
compose(const struct settings *s, const struct account *account,
    struct buf *out)
{
	struct buf when;
	time_t now = clock_now();

	buf_init(&when, 128);
	clock_rfc5322(now, &when);
	(void)buf_addf(out, "From: %s%s%.*s\n", s->postmaster[0] != '\0' ?
	    s->postmaster : "postmaster", strchr(s->postmaster, '@') != NULL ?
	    "" : "@", strchr(s->postmaster, '@') != NULL ? 0 :
	    (int)account->domain.n, account->domain.p);
	(void)buf_addf(out, "To: %.*s@%.*s\n", STR_ARG(account->local),
	    STR_ARG(account->domain));
	(void)buf_addf(out, "Date: %s\n", when.p);
	(void)buf_addz(out, "Subject: This mailbox is suspended\n");
	(void)buf_addf(out, "Message-ID: <suspended.%lld.%.*s@%.*s>\n",
	    (long long)now, STR_ARG(account->local), STR_ARG(account->domain));
	(void)buf_addz(out, "Auto-Submitted: auto-generated\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: 8bit\n"
	    "\n"
	    "This mailbox is suspended. Mail to it is still received and "
	    "kept;\n"
	    "you will find all of it when the suspension ends.\n");
	if (account->state.reason.n > 0) {
		(void)buf_addz(out, "\nReason: ");
		for (size_t i = 0; i < account->state.reason.n; i++)
			(void)buf_addc(out, ascii_iscntrl(
			    account->state.reason.p[i]) ? ' ' :
			    account->state.reason.p[i]);
		(void)buf_addc(out, '\n');
	}
	if (account->state.until != 0) {
		buf_reset(&when);
		clock_iso((time_t)account->state.until, &when);
		(void)buf_addf(out, "\nUntil: %s\n", when.p);
	}
	buf_release(&when);
}

/* A whole file or none, root's and for reading. */
static int
put_file(int dir, const char *name, struct str content)
{
	int fd, r;

	(void)unlinkat(dir, ".new", 0); /* of one that was killed */
	fd = file_open_beneath(dir, ".new", O_WRONLY | O_CREAT | O_EXCL,
	    NOTICE_FILE_MODE);
	if (fd < 0)
		return -1;
	r = file_write_all(fd, content.p, content.n);
	if (r == 0)
		r = fchmod(fd, NOTICE_FILE_MODE);
	if (r == 0)
		r = file_sync(fd);
	file_close(&fd);
	if (r < 0 || renameat(dir, ".new", dir, name) < 0)
		return -1;
	return file_sync(dir);
}

/* Ours, or somebody prepared it for us. */
static int
judge_dir(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static int
open_own_dir(int root, const char *path)
{
	int fd = file_open_dir(root, path, FILE_MAKE, NOTICE_DIR_MODE);

	if (fd >= 0 && judge_dir(fd) < 0)
		file_close(&fd);
	return fd;
}

static int
build_maildir(int user, struct str message)
{
	static const char *const parts[] = { "Maildir/tmp", "Maildir/new",
	    "Maildir/cur" };
	char name[64];
	int fd = -1;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		file_close(&fd);
		fd = open_own_dir(user, parts[i]);
		if (fd < 0)
			return -1;
	}
	/* One name for good: suspending again replaces the notice. */
	(void)snprintf(name, sizeof(name), "1.notice.vbox:2,");
	if (put_file(fd, name, message) < 0) {
		file_close(&fd);
		return -1;
	}
	file_close(&fd);
	return 0;
}

static int
build_mbox(int user, struct str message)
{
	struct buf box;
	int r;

	buf_init(&box, NOTICE_MAX + 256);
	(void)buf_addz(&box, "From MAILER-DAEMON ");
	clock_asctime(clock_now(), &box);
	(void)buf_addc(&box, '\n');
	(void)buf_adds(&box, message);
	(void)buf_addc(&box, '\n');
	r = put_file(user, "mbox", buf_str(&box));
	buf_release(&box);
	return r;
}

static void
path_of(const struct account *account, struct buf *out)
{
	(void)buf_addf(out, NOTICE_DIR "/%.*s/%.*s", STR_ARG(account->domain),
	    STR_ARG(account->local));
}

int
notice_build(struct adm *a, const struct account *account, struct verdict *v)
{
	const struct settings *s;
	struct buf path, message;
	int root = -1, user = -1, folders = -1, r = -1;

	if (adm_config(a, v) < 0)
		return -1;
	s = config_domain(&a->config, account->domain);
	buf_init(&path, 1024);
	buf_init(&message, NOTICE_MAX);
	path_of(account, &path);
	compose(s, account, &message);
	root = file_open_root(a->config.global.state_dir);
	if (root >= 0)
		user = open_own_dir(root, path.p);
	/* Other folders: none, and none can be made. */
	if (user >= 0)
		folders = open_own_dir(user, "mail");
	if (folders < 0 || build_mbox(user, buf_str(&message)) < 0 ||
	    build_maildir(user, buf_str(&message)) < 0)
		verdict_errno(v, errno, "%s/%s", a->config.global.state_dir,
		    path.p);
	else
		r = 0;
	file_close(&folders);
	file_close(&user);
	file_close(&root);
	buf_release(&path);
	buf_release(&message);
	return r;
}

int
notice_remove(struct adm *a, const struct account *account, struct verdict *v)
{
	struct account_file f;
	struct buf path;
	int r;

	if (adm_config(a, v) < 0)
		return -1;
	buf_init(&path, 1024);
	path_of(account, &path);
	f = (struct account_file){ a->config.global.state_dir, path.p };
	r = account_file_remove(&f, v);
	buf_release(&path);
	return r < 0 ? -1 : 0;
}
