#include "lda/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/num.h"
#include "store/base/self.h"

/* A local file larger than this is a directory export; NSS reads it better. */
#define LOCAL_FILE_MAX 65536

/* Open files that a delivery to the longest alias needs. */
#define FILES_MOST 8192

/*
 * Field `want` (from 0) of the line of a passwd-like file whose first field
 * is `name`; false when there is none.
 */
static bool
local_field(const char *path, struct str name, int want, char *text,
    struct str *field_r, struct str *next_r)
{
	struct str all, line, field = { NULL, 0 };
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n = file_read_full(fd, text, LOCAL_FILE_MAX);
	file_close(&fd);
	if (n <= 0 || n == LOCAL_FILE_MAX)
		return false;
	all = str_mem(text, (size_t)n);
	while (str_split(&all, '\n', &line)) {
		if (line.n <= name.n || line.p[name.n] != ':' ||
		    !str_starts(line, name))
			continue;
		for (int i = 0; i <= want; i++)
			if (!str_split(&line, ':', &field))
				return false;
		*field_r = field;
		*next_r = STR("");
		(void)str_split(&line, ':', next_r); /* may be the last */
		return true;
	}
	return false;
}

static int
find_user(const char *user, struct identity *id, struct verdict *v)
{
	static char text[LOCAL_FILE_MAX];
	struct str uid, gid;
	uint64_t u, g;
	struct passwd *pw;

	if (num_u64(str_of(user), (uid_t)-2, &u) == 0) {
		id->uid = (uid_t)u;
		id->gid = (gid_t)u;
		return 0;
	}
	if (local_field("/etc/passwd", str_of(user), 2, text, &uid, &gid) &&
	    num_u64(uid, (uid_t)-2, &u) == 0 && num_u64(gid, (gid_t)-2, &g) == 0) {
		id->uid = (uid_t)u;
		id->gid = (gid_t)g;
		return 0;
	}
	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return errno ? verdict_errno(v, errno, "look up user %s", user) :
		    verdict_set(v, V_CONFIG, "user %s does not exist", user);
	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	return 0;
}

static int
find_group(const char *group, struct identity *id, struct verdict *v)
{
	static char text[LOCAL_FILE_MAX];
	struct str gid, rest;
	uint64_t g;
	struct group *gr;

	if (num_u64(str_of(group), (gid_t)-2, &g) == 0 ||
	    (local_field("/etc/group", str_of(group), 2, text, &gid, &rest) &&
	    num_u64(gid, (gid_t)-2, &g) == 0)) {
		id->gid = (gid_t)g;
		return 0;
	}
	errno = 0;
	gr = getgrnam(group);
	if (!gr)
		return errno ? verdict_errno(v, errno, "look up group %s", group) :
		    verdict_set(v, V_CONFIG, "group %s does not exist", group);
	id->gid = gr->gr_gid;
	return 0;
}

int
identity_find(const char *user, const char *group, uid_t min_uid,
    struct identity *id_r, struct verdict *v)
{
	struct identity id;

	if (find_user(user, &id, v) < 0)
		return -1;
	if (group[0] && find_group(group, &id, v) < 0)
		return -1;
	if (id.uid == 0 || id.gid == 0)
		return verdict_set(v, V_CONFIG,
		    "user %s is root: mail is never delivered as root", user);
	if (id.uid < min_uid)
		return verdict_set(v, V_CONFIG,
		    "user %s has uid %u, below min_uid %u", user,
		    (unsigned)id.uid, (unsigned)min_uid);
	*id_r = id;
	return 0;
}

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 &&
	    errno != EINVAL)
		return -1;
	return (int)syscall(SYS_capset, &head, none);
}

/* The bounding set bounds what an executed file may give; only root can
 * empty it, so it goes first. */
static int
empty_bounding_set(void)
{
	int cap = 0;

	while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
		cap++;
	/* The kernel knows no capability of this number: that was the last. */
	return errno == EINVAL && cap > 0 ? 0 : -1;
}

static int
prove(const struct identity *id, struct verdict *v)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (getresuid(&ru, &eu, &su) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return verdict_errno(v, errno, "getresuid");
	if (ru != id->uid || eu != id->uid || su != id->uid ||
	    rg != id->gid || eg != id->gid || sg != id->gid)
		return verdict_set(v, V_CONFIG,
		    "identity did not change: uids %u %u %u, gids %u %u %u",
		    (unsigned)ru, (unsigned)eu, (unsigned)su, (unsigned)rg,
		    (unsigned)eg, (unsigned)sg);
	if (setresuid(0, 0, 0) == 0 || setuid(0) == 0 || setresgid(0, 0, 0) == 0 ||
	    setgid(0) == 0)
		return verdict_set(v, V_CONFIG, "root could be regained");
	return 0;
}

enum privileges_bound
privileges_bound_for(const char *submit)
{
	struct stat st;

	/* "smtp:..." is no file; then nothing is executed. */
	if (submit[0] == '/' && stat(submit, &st) == 0 && st.st_uid == 0 &&
	    (st.st_mode & S_ISUID))
		return PRIVILEGES_BOUND_KEEP;
	return PRIVILEGES_BOUND_NONE;
}

int
privileges_drop(const struct identity *id, enum privileges_bound bound,
    struct verdict *v)
{
	uid_t ru, eu, su;

	if (getresuid(&ru, &eu, &su) < 0)
		return verdict_errno(v, errno, "getresuid");
	/* A setuid copy of us, whoever made it, serves nobody. */
	if (ru != eu || eu != su || getgid() != getegid())
		return verdict_set(v, V_CONFIG,
		    "started with a set-user-ID or set-group-ID bit, uids %u %u",
		    (unsigned)ru, (unsigned)eu);
	if (eu == 0) {
		if (setgroups(1, &id->gid) < 0)
			return verdict_errno(v, errno, "setgroups");
		if (setresgid(id->gid, id->gid, id->gid) < 0)
			return verdict_errno(v, errno, "setresgid");
		if (bound == PRIVILEGES_BOUND_NONE && empty_bounding_set() < 0)
			return verdict_errno(v, errno, "empty bounding set");
		if (setresuid(id->uid, id->uid, id->uid) < 0)
			return verdict_errno(v, errno, "setresuid");
		self_changed();
	} else if (eu != id->uid) {
		return verdict_set(v, V_CONFIG,
		    "started by uid %u, which is neither root nor uid %u of the "
		    "configuration", (unsigned)eu, (unsigned)id->uid);
	}
	if (drop_capabilities() < 0)
		return verdict_errno(v, errno, "drop capabilities");
	return prove(id, v);
}

void
privileges_harden(void)
{
	static const struct rlimit no_core = { 0, 0 };
	struct rlimit r;

	/* Each of these only makes a bad day better. */
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (getrlimit(RLIMIT_FSIZE, &r) == 0 && r.rlim_cur != r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_FSIZE, &r);
	}
	/* All copies of a message are open at the same time; 1024 files would
	 * put off mail for a long alias until it bounces. */
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < FILES_MOST) {
		r.rlim_cur = r.rlim_max < FILES_MOST ? r.rlim_max : FILES_MOST;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}
