#include "lda/server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/base/mem.h"
#include "store/base/num.h"

/*
 * Rights that came after the header of Debian 12; the kernel is asked which
 * of them it knows. ABI 2 REFER: link and rename between directories, which
 * Maildir needs. 3 TRUNCATE. 4 TCP. 5 IOCTL_DEV. 6 scopes.
 */
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define RULE_NET_PORT ((enum landlock_rule_type)2)

#define FS_ABI_1 ((1ULL << 13) - 1)

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_KEEP (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	FS_REFER | FS_TRUNCATE)

struct ruleset_attr {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct net_port_attr {
	uint64_t access;
	uint64_t port;
};

struct cage {
	int ruleset;
	uint64_t fs;		/* what this kernel handles */
	bool network;		/* a directory of ours is asked by network */
	bool scanners;		/* a clamd is, and nothing else by TCP */
};

static long
landlock_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
}

static int
make_ruleset(struct cage *cage, long abi, struct verdict *v)
{
	struct ruleset_attr attr = { .fs = FS_ABI_1 };
	size_t size = offsetof(struct ruleset_attr, net);

	if (abi >= 2)
		attr.fs |= FS_REFER;
	if (abi >= 3)
		attr.fs |= FS_TRUNCATE;
	if (abi >= 5)
		attr.fs |= FS_IOCTL_DEV;
	if (abi >= 4) {
		size = offsetof(struct ruleset_attr, scoped);
		attr.net = NET_BIND_TCP | (cage->network ? 0 : NET_CONNECT_TCP);
	}
	if (abi >= 6) {
		size = sizeof(attr);
		attr.scoped = SCOPE_ABSTRACT_UNIX;
	}
	cage->fs = attr.fs;
	cage->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size,
	    0);
	if (cage->ruleset < 0)
		return verdict_errno(v, errno, "Landlock rules");
	return 0;
}

/* Everything below `path`; a path that is not there needs no rule. */
static int
allow(struct cage *cage, struct str path, uint64_t rights, struct verdict *v)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = rights & cage->fs,
	};
	char *z;
	int r;

	if (path.n == 0)
		return 0;
	z = mem_dupn(path.p, path.n);
	rule.parent_fd = open(z, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0) {
		r = errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 :
		    verdict_errno(v, errno, "Landlock rule for %s", z);
	} else {
		r = (int)syscall(SYS_landlock_add_rule, cage->ruleset,
		    LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
		if (r < 0)
			verdict_errno(v, errno, "Landlock rule for %s", z);
		(void)close(rule.parent_fd);
	}
	free(z);
	return r;
}

/* The ports of the clamds of these settings, where TCP is the kernel's to
 * handle. */
static int
allow_scanners(struct cage *cage, const struct settings *s, struct verdict *v)
{
	for (size_t i = 0; i < s->scanners.n; i++) {
		struct str scanner = str_of(s->scanners.v[i]);
		struct net_port_attr rule = { .access = NET_CONNECT_TCP };

		if (!str_starts(scanner, STR("clamd:inet:")) ||
		    num_u64(str_sub(scanner, (size_t)str_rchr(scanner, ':') + 1,
		    scanner.n), UINT16_MAX, &rule.port))
			continue;
		if (syscall(SYS_landlock_add_rule, cage->ruleset, RULE_NET_PORT,
		    &rule, 0) < 0)
			return verdict_errno(v, errno, "Landlock rule for %s",
			    s->scanners.v[i]);
	}
	return 0;
}

static struct str
parent(struct str path)
{
	ptrdiff_t slash = str_rchr(path, '/');

	return slash <= 0 ? STR("/") : str_sub(path, 0, (size_t)slash);
}

/* The administrator's part of a template: up to the last slash before the
 * first %. */
static struct str
root_of(const char *template)
{
	struct str s = str_of(template);
	ptrdiff_t percent = str_chr(s, '%');

	if (s.n == 0)
		return s;
	if (percent < 0)
		return parent(s);
	if (percent == 0)
		return STR("");		/* %h: another template's */
	return parent(str_sub(s, 0, (size_t)percent));
}

static int
allow_mail(struct cage *cage, const struct settings *s, struct verdict *v)
{
	const char *const templates[] = { s->mbox_path, s->home,
	    s->maildir_path, s->folder_path,
	    strncmp(s->content_quarantine, "maildir:", 8) == 0 ?
	    s->content_quarantine + 8 : "" };

	for (size_t i = 0; i < sizeof(templates) / sizeof(*templates); i++)
		if (allow(cage, root_of(templates[i]), FS_KEEP, v) < 0)
			return -1;
	return 0;
}

/* A file, a directory or a template that deliveries read. A file's directory is
 * allowed with it: whoever edits it often makes a new one of that name. */
static int
allow_reading(struct cage *cage, const char *template, struct verdict *v)
{
	struct str path = str_of(template), root = root_of(template);
	struct stat st;

	if (path.n > 0 && str_chr(path, '%') < 0 && ((stat(template, &st) == 0 &&
	    S_ISDIR(st.st_mode)) || str_eq(root, STR("/"))))
		root = path;
	return allow(cage, root, FS_READ, v);
}

static int
allow_readings(struct cage *cage, const struct setting_list *list,
    struct verdict *v)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *sign = strrchr(list->v[i], '=');

		/* "NAME=PATH", or a path. */
		if (allow_reading(cage, sign && list->v[i][0] != '/' ? sign + 1 :
		    list->v[i], v) < 0)
			return -1;
	}
	return 0;
}

/* Scripts and what they ask, and the texts and secrets of what we send. */
static int
allow_sources(struct cage *cage, const struct settings *s, struct verdict *v)
{
	const char *const paths[] = { s->sieve_script, s->sieve_dir,
	    s->sieve_global, s->sieve_default, s->metadata_file, s->mbox_index,
	    s->srs_secret_file, s->quota_template };
	const struct setting_list *const lists[] = { &s->sieve_before,
	    &s->sieve_domain, &s->sieve_after, &s->sieve_lists };

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		if (allow_reading(cage, paths[i], v) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (allow_readings(cage, lists[i], v) < 0)
			return -1;
	return allow(cage, root_of(s->sieve_log), FS_KEEP, v);
}

/* A directory in files: SQLite writes beside its database (WAL). */
static int
allow_directory(struct cage *cage, const char *spec, struct verdict *v)
{
	struct str rest = str_of(spec), kind;

	(void)str_split(&rest, ':', &kind);	/* one part at least */
	if (str_eq(kind, STR("sqlite")))
		return allow(cage, parent(rest), FS_KEEP, v);
	if (str_eq(kind, STR("file")))
		return allow(cage, parent(rest), FS_READ, v);
	if (str_eq(kind, STR("pgsql")))
		return allow(cage, rest, LANDLOCK_ACCESS_FS_READ_FILE, v);
	return 0;
}

static int
allow_all(struct cage *cage, const struct config *c, struct verdict *v)
{
	static const struct { const char *path; uint64_t rights; } ours[] = {
		{ "/proc", FS_READ },	/* is the holder of a lock alive? */
		{ "/etc/localtime", LANDLOCK_ACCESS_FS_READ_FILE },
		{ "/usr/share/zoneinfo", FS_READ },
		{ "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE |
		    LANDLOCK_ACCESS_FS_WRITE_FILE },
		{ "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE },
	};
	const struct settings *s = &c->global;

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (allow(cage, str_of(ours[i].path), ours[i].rights, v) < 0)
			return -1;
	if (allow_mail(cage, s, v) < 0 || allow_sources(cage, s, v) < 0 ||
	    allow(cage, str_of(s->state_dir), FS_KEEP, v) < 0 ||
	    allow(cage, str_of(s->spool_dir), FS_KEEP, v) < 0)
		return -1;
	for (size_t i = 0; i < s->sandbox_paths.n; i++) {
		const char *path = s->sandbox_paths.v[i];

		if (allow(cage, strchr(path, '%') ? root_of(path) :
		    str_of(path), FS_KEEP, v) < 0)
			return -1;
	}
	if (strncmp(s->log_target, "file:", 5) == 0 &&
	    allow(cage, parent(str_of(s->log_target + 5)), FS_KEEP, v) < 0)
		return -1;
	for (size_t i = 0; i < c->section_count; i++)
		if (allow_mail(cage, &c->sections[i].settings, v) < 0 ||
		    allow_sources(cage, &c->sections[i].settings, v) < 0)
			return -1;
	for (size_t i = 0; i < s->directory.n; i++)
		if (allow_directory(cage, s->directory.v[i], v) < 0)
			return -1;
	return 0;
}

static int
landlock(struct cage *cage, const struct config *c, struct verdict *v)
{
	long abi = landlock_abi();
	int r;

	if (abi < 1)
		return 0;	/* no Landlock in this kernel: seccomp alone */
	/* Before ABI 2 no link or rename leaves its directory: no Maildir. */
	if (abi < 2)
		return 0;
	if (make_ruleset(cage, abi, v) < 0)
		return -1;
	r = allow_all(cage, c, v);
	if (abi >= 4 && cage->scanners && r == 0) {
		r = allow_scanners(cage, &c->global, v);
		for (size_t i = 0; i < c->section_count && r == 0; i++)
			r = allow_scanners(cage, &c->sections[i].settings, v);
	}
	if (r == 0 && syscall(SYS_landlock_restrict_self, cage->ruleset, 0) < 0)
		r = verdict_errno(v, errno, "Landlock");
	(void)close(cage->ruleset);
	return r;
}

static const int denied[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd), SCMP_SYS(mount),
	SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr), SCMP_SYS(setns), SCMP_SYS(unshare),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
	SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(open_by_handle_at),
	SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff),
	SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid),
	SCMP_SYS(setregid), SCMP_SYS(setresuid), SCMP_SYS(setresgid),
	SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(setgroups),
	SCMP_SYS(capset), SCMP_SYS(personality), SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(syslog), SCMP_SYS(acct), SCMP_SYS(quotactl),
	SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
	SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(mknod), SCMP_SYS(mknodat),
};

/* EPERM rather than death: a library that tries something new fails in a way
 * that it knows. */
static int
seccomp(const struct cage *cage, struct verdict *v)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	const uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int r = 0;

	if (!ctx)
		return verdict_set(v, V_CONFIG, "seccomp cannot start");
	for (size_t i = 0; r == 0 && i < sizeof(denied) / sizeof(*denied); i++)
		r = seccomp_rule_add(ctx, no, denied[i], 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, no, SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER));
	/* Its flags lie in memory where no filter sees them; the C library
	 * falls back to clone. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
		    SCMP_SYS(clone3), 0);
	/* Terminals that we may have inherited (CVE-2017-5226). */
	if (r == 0)
		r = seccomp_rule_add(ctx, no, SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, 0x5412));
	for (int family = AF_INET; cage->scanners && r == 0 &&
	    family <= AF_INET6; family += AF_INET6 - AF_INET)
		for (scmp_datum_t type = SOCK_DGRAM; r == 0 && type <= SOCK_RAW;
		    type++)
			r = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 2,
			    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0),
			    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type));
	if (r == 0)
		r = cage->network || cage->scanners ?
		    seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_GT, AF_INET6, 0)) :
		    seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r == 0 ? 0 : verdict_set(v, V_CONFIG, "seccomp: %s",
	    strerror(-r));
}

static bool
scans_by_network(const struct settings *s)
{
	for (size_t i = 0; i < s->scanners.n; i++)
		if (strncmp(s->scanners.v[i], "clamd:inet:", 11) == 0)
			return true;
	return false;
}

static bool
any_scans_by_network(const struct config *c)
{
	bool yes = scans_by_network(&c->global);

	for (size_t i = 0; i < c->section_count; i++)
		yes = yes || scans_by_network(&c->sections[i].settings);
	return yes;
}

static bool
needs_network(const struct settings *s)
{
	for (size_t i = 0; i < s->directory.n; i++)
		if (strncmp(s->directory.v[i], "pgsql:", 6) == 0 ||
		    strncmp(s->directory.v[i], "socketmap:inet:", 15) == 0)
			return true;
	return false;
}

int
sandbox_enter(const struct config *c, struct verdict *v)
{
	struct cage cage = { .network = needs_network(&c->global) };

	cage.scanners = !cage.network && any_scans_by_network(c);

	if (!c->global.sandbox)
		return 0;
	tzset();	/* read while we may */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return verdict_errno(v, errno, "no_new_privs");
	if (landlock(&cage, c, v) < 0)
		return -1;
	return seccomp(&cage, v);
}
