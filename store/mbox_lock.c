#include "store/mbox_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <lockfile.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/num.h"
#include "store/base/self.h"
#include "store/mbox_slot.h"

/* First and longest pause between two tries. A delivery holds a lock for
 * some milliseconds, a reader that rewrites its mbox for up to seconds. */
#define PAUSE_FIRST_US 2000
#define PAUSE_MOST_US 100000
/* For how long a lock is there because it was there. Another host that sees
 * this mbox may call it stale after ten seconds (dotlock_stale), liblockfile
 * does so after five minutes. */
#define TRUSTED_MS 1000
/* Content of a lock that is worth reading: a pid, perhaps ":host". */
#define LOCK_CONTENT 256
/* inode of /proc/self/ns/pid in the first pid namespace
 * (PROC_PID_INIT_INO, linux/proc_ns.h). */
#define FIRST_PID_NS 0xEFFFFFFCUL

enum attempt { TAKEN, BUSY, FAILED };

/* The dotlocks that are held, and by which process: what it forks does not hold
 * them. */
static struct mbox_lock *held;
static pid_t holder;

void
mbox_lock_init(struct mbox_lock *l)
{
	*l = (struct mbox_lock){ .dirfd = -1, .fd = -1, .file = -1 };
}

/* --- stale dotlocks -------------------------------------------------------- */

/* May a bare pid in a lock file be one that we can see? Not on a network file
 * system, and not when we live in a pid namespace of our own. */
static bool
pids_are_ours(int dirfd)
{
	static const unsigned long network[] = {
		0x6969,		/* NFS */
		0xFF534D42, 0xFE534D42, 0x517B,	/* CIFS, SMB2, SMB */
		0x01021997,	/* 9p */
		0x65735546,	/* FUSE */
		0x00C36400,	/* Ceph */
		0x01161970, 0x7461636f,	/* GFS2, OCFS2 */
	};
	struct statfs fs;
	struct stat st;

	if (fstatfs(dirfd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(network) / sizeof(*network); i++)
		if ((unsigned long)fs.f_type == network[i])
			return false;
	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NS;
}

/* When the machine started, seconds since 1970; -1 when it cannot be told. */
static int64_t
boot_time(void)
{
	struct timespec boot, wall;

	if (clock_gettime(CLOCK_BOOTTIME, &boot) < 0 ||
	    clock_gettime(CLOCK_REALTIME, &wall) < 0)
		return -1;
	return wall.tv_sec - boot.tv_sec;
}

/* Start of a process, seconds since 1970, by proc(5) `stat` field 22 and the
 * boot time; -1 when it cannot be told. */
static int64_t
process_start(uint64_t pid)
{
	char path[64], text[1024], *p;
	int64_t boot = boot_time();
	uint64_t ticks;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%llu/stat",
	    (unsigned long long)pid); /* fits any 64-bit number */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = file_read_full(fd, text, sizeof(text) - 1);
	file_close(&fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	/* The name may hold anything but ends at the last ')'; field 3 is
	 * behind it. */
	p = strrchr(text, ')');
	for (int field = 3; p && field <= 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -1;
	p++;
	if (num_u64(str_mem(p, strcspn(p, " ")), INT64_MAX, &ticks) < 0)
		return -1;
	if (boot < 0)
		return -1;
	return boot + (int64_t)(ticks / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* HOLDER_NAMELESS: nobody is named, as in an empty lock, which a power cut
 * leaves of one whose bytes were not yet on the disk. */
enum holder { HOLDER_NAMELESS, HOLDER_UNKNOWN, HOLDER_DEAD, HOLDER_ALIVE };

/* Who holds the lock with this content, made at `made`? */
static enum holder
holder_of(struct str content, int dirfd, int64_t made)
{
	char host[256];
	struct str pid_text = str_trim(content), where = { NULL, 0 };
	ptrdiff_t colon = str_chr(pid_text, ':');
	uint64_t pid;
	int64_t start;

	if (colon >= 0) {	/* Dovecot: PID:HOST */
		where = str_sub(pid_text, (size_t)colon + 1, pid_text.n);
		pid_text.n = (size_t)colon;
	} else {		/* liblockfile: PID, perhaps more lines */
		ptrdiff_t nl = str_chr(pid_text, '\n');

		if (nl >= 0)
			pid_text.n = (size_t)nl;
	}
	/* procmail and liblockfile without L_PID write "0". */
	if (num_u64(pid_text, INT32_MAX, &pid) < 0 || pid == 0)
		return where.n ? HOLDER_UNKNOWN : HOLDER_NAMELESS;
	if (where.n) {
		if (gethostname(host, sizeof(host)) < 0)
			return HOLDER_UNKNOWN;
		host[sizeof(host) - 1] = '\0';
		if (!str_caseeq(where, str_of(host)))
			return HOLDER_UNKNOWN;
	}
	if (!pids_are_ours(dirfd))
		return HOLDER_UNKNOWN;
	if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
		return HOLDER_DEAD;
	start = process_start(pid);
	/* Two seconds for the roundings of both times. */
	return start > made + 2 ? HOLDER_DEAD : HOLDER_ALIVE;
}

static bool
is_stale(int dirfd, int fd, const struct stat *st, int64_t stale_ms)
{
	char content[LOCK_CONTENT];
	ssize_t n;
	struct timespec now;
	int64_t age_ms;

	n = file_pread_full(fd, content, sizeof(content), 0);
	if (n < 0)
		return false;
	switch (holder_of(str_mem(content, (size_t)n), dirfd, st->st_mtim.tv_sec)) {
	case HOLDER_DEAD:
		return true;
	case HOLDER_ALIVE:
		return false;
	case HOLDER_NAMELESS:
		/* Two seconds for the roundings of both times. */
		if (st->st_mtim.tv_sec + 2 < boot_time() && pids_are_ours(dirfd))
			return true;
		break;
	case HOLDER_UNKNOWN:
		break;
	}
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return false;
	age_ms = (now.tv_sec - st->st_mtim.tv_sec) * 1000 +
	    (now.tv_nsec - st->st_mtim.tv_nsec) / 1000000;
	return age_ms > stale_ms;
}

/*
 * Removes NAME.lock if it is stale. The guard makes judging and removing one
 * step among all of us: who comes second sees the new lock, not the old one.
 * True when there is no lock any more.
 */
static bool
break_stale(struct mbox_lock *l, const char *lockname, int64_t stale_ms)
{
	struct stat st, at;
	int fd, guard;
	bool gone = false;

	fd = file_open_beneath(l->dirfd, lockname, O_RDONLY, 0);
	if (fd < 0)
		return errno == ENOENT;
	/* A directory, link or FIFO of that name is nobody's dotlock: busy. */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !is_stale(l->dirfd, fd, &st, stale_ms)) {
		file_close(&fd);
		return false;
	}
	guard = file_open_beneath(l->dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (guard >= 0 && flock(guard, LOCK_EX | LOCK_NB) == 0 &&
	    fstatat(l->dirfd, lockname, &at, AT_SYMLINK_NOFOLLOW) == 0 &&
	    at.st_dev == st.st_dev && at.st_ino == st.st_ino &&
	    is_stale(l->dirfd, fd, &at, stale_ms) &&
	    unlinkat(l->dirfd, lockname, 0) == 0) {
		l->broken++;
		gone = true;
	}
	file_close(&guard);
	file_close(&fd);
	return gone;
}

/* --- one try of each kind --------------------------------------------------- */

static enum attempt
by_liblockfile(struct mbox_lock *l, const char *lockname, struct verdict *v)
{
	char path[sizeof(l->name) + 40];
	struct stat st;

	/* It wants a path; this one goes through our descriptor. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", l->dirfd,
	    lockname); /* fits by its size */
	switch (lockfile_create(path, 0, L_PID)) {
	case L_SUCCESS:
		l->file = file_open_beneath(l->dirfd, lockname,
		    O_PATH | O_NOFOLLOW, 0);
		if (l->file < 0 || fstat(l->file, &st) < 0) {
			verdict_errno(v, errno, "look at %s", lockname);
			file_close(&l->file);
			(void)unlinkat(l->dirfd, lockname, 0); /* goes stale */
			return FAILED;
		}
		l->ino = st.st_ino;
		return TAKEN;
	case L_MAXTRYS:
		return BUSY;
	case L_NAMELEN:
		errno = ENAMETOOLONG;
		break;
	default:
		break;
	}
	verdict_errno(v, errno ? errno : EIO, "create %s", lockname);
	return FAILED;
}

/* The lock is written without a name and linked complete: killed at any
 * point we leave nothing, or a lock that says whose it is. */
static enum attempt
by_link(struct mbox_lock *l, const char *lockname, struct verdict *v)
{
	int fd;
	enum attempt done = FAILED;

	fd = file_open_beneath(l->dirfd, ".", O_WRONLY | O_TMPFILE, 0644);
	if (fd < 0) {
		if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)
			return by_liblockfile(l, lockname, v);
		verdict_errno(v, errno, "create %s", lockname);
		return FAILED;
	}
	if (slot_write_pid(fd) == 0) {
		struct stat st;

		if (fstat(fd, &st) == 0 &&
		    file_link_open(fd, l->dirfd, lockname) == 0) {
			l->ino = st.st_ino;
			l->file = fd;
			fd = -1;
			done = TAKEN;
		} else if (errno == EEXIST) {
			done = BUSY;
		}
	}
	if (done == FAILED)
		verdict_errno(v, errno, "create %s", lockname);
	file_close(&fd);
	return done;
}

static enum attempt
by_slot(struct mbox_lock *l, const char *lockname, const char *slot_dir,
    struct verdict *v)
{
	int fd = slot_dir ? slot_lock(slot_dir, &l->ino) : -1;

	if (fd < 0)
		return by_link(l, lockname, v);
	if (file_link_open(fd, l->dirfd, lockname) == 0)
		return TAKEN;
	if (errno == EEXIST)
		return BUSY;
	if (errno == EXDEV || errno == EPERM || errno == EACCES)
		slot_lock_useless();
	return by_link(l, lockname, v);
}

static enum attempt
try_dotlock(struct mbox_lock *l, const char *name,
    const struct mbox_lock_how *how, struct verdict *v)
{
	char lockname[sizeof(l->name)];
	size_t n = strlen(name);
	enum attempt done;
	struct stat st;

	if (n > sizeof(lockname) - sizeof(".lock")) {
		verdict_errno(v, ENAMETOOLONG, "%s.lock", name);
		return FAILED;
	}
	memcpy(lockname, name, n);
	memcpy(lockname + n, ".lock", sizeof(".lock"));
	for (int round = 0; ; round++) {
		/* liblockfile would judge a lock that it meets by itself. */
		if (how->method == DOTLOCK_AUTO)
			done = by_slot(l, lockname, how->slot_dir, v);
		else if (fstatat(l->dirfd, lockname, &st,
		    AT_SYMLINK_NOFOLLOW) == 0)
			done = BUSY;
		else
			done = by_liblockfile(l, lockname, v);
		if (done != BUSY || round > 0 ||
		    !break_stale(l, lockname, how->stale_ms))
			break;
	}
	if (done == TAKEN) {
		memcpy(l->name, lockname, n + sizeof(".lock"));
		l->refreshed_ms = l->seen_ms = clock_mono_ms();
		if (holder != self_pid()) {
			holder = self_pid();
			held = NULL;
		}
		l->next = held;
		held = l;
	}
	return done;
}

static enum attempt
try_fcntl(struct mbox_lock *l, struct verdict *v)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int r;

	do {
		r = fcntl(l->fd, F_OFD_SETLK, &fl);
	} while (r < 0 && errno == EINTR);
	if (r == 0) {
		l->fcntl_held = true;
		return TAKEN;
	}
	if (errno == EAGAIN || errno == EACCES)
		return BUSY;
	verdict_errno(v, errno, "fcntl lock");
	return FAILED;
}

static enum attempt
try_flock(struct mbox_lock *l, struct verdict *v)
{
	int r;

	do {
		r = flock(l->fd, LOCK_EX | LOCK_NB);
	} while (r < 0 && errno == EINTR);
	if (r == 0) {
		l->flock_held = true;
		return TAKEN;
	}
	if (errno == EWOULDBLOCK)
		return BUSY;
	verdict_errno(v, errno, "flock");
	return FAILED;
}

/* Each lock in order, or none of them. */
static enum attempt
try_all(struct mbox_lock *l, const char *name, const struct mbox_lock_how *how,
    enum mbox_lock_kind *kind_r, struct verdict *v)
{
	enum attempt done = TAKEN;

	for (int i = 0; done == TAKEN && how->order[i] != MBOX_LOCK_NONE; i++) {
		*kind_r = how->order[i];
		switch (how->order[i]) {
		case MBOX_LOCK_FCNTL:
			done = try_fcntl(l, v);
			break;
		case MBOX_LOCK_DOTLOCK:
			done = try_dotlock(l, name, how, v);
			break;
		case MBOX_LOCK_FLOCK:
			done = try_flock(l, v);
			break;
		case MBOX_LOCK_NONE:
			break;
		}
	}
	if (done != TAKEN)
		mbox_lock_release(l);
	return done;
}

/* A pause that grows and is never the same for two waiters. */
static void
pause_us(unsigned us)
{
	unsigned spread = us / 2 + (unsigned)(clock_now_us() % (us / 2 + 1));
	struct timespec ts = { .tv_nsec = (long)spread * 1000 };

	(void)nanosleep(&ts, NULL); /* woken early only means one try more */
}

int
mbox_lock_take(struct mbox_lock *l, int dirfd, const char *name, int fd,
    const struct mbox_lock_how *how, struct verdict *v)
{
	static const char *const words[] = { "", "fcntl", "dotlock", "flock" };
	int64_t deadline = clock_mono_ms() + how->timeout_ms;
	enum mbox_lock_kind kind = MBOX_LOCK_NONE;
	unsigned us = PAUSE_FIRST_US;

	l->dirfd = dirfd;
	l->fd = fd;
	for (;;) {
		switch (try_all(l, name, how, &kind, v)) {
		case TAKEN:
			return 0;
		case FAILED:
			return -1;
		case BUSY:
			break;
		}
		if (how->stop && how->stop())
			return verdict_set(v, V_SHUTDOWN,
			    "told to stop while waiting for a %s lock",
			    words[kind]);
		if (clock_mono_ms() >= deadline)
			return verdict_set(v, V_BOX_BUSY,
			    "%s lock of another program held for %lld ms",
			    words[kind], (long long)how->timeout_ms);
		mbox_locks_refresh();
		pause_us(us);
		us = us * 2 > PAUSE_MOST_US ? PAUSE_MOST_US : us * 2;
	}
}

static bool
is_ours(struct mbox_lock *l)
{
	struct stat st;

	if (fstatat(l->dirfd, l->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != l->ino)
		return false;
	l->seen_ms = clock_mono_ms();
	return true;
}

void
mbox_locks_refresh(void)
{
	int64_t now;

	if (!held || holder != self_pid())
		return;
	now = clock_mono_ms();
	for (struct mbox_lock *l = held; l; l = l->next) {
		if (now - l->refreshed_ms < MBOX_LOCK_REFRESH_MS)
			continue;
		l->refreshed_ms = now;
		/* If it cannot be touched it only looks older than it is. */
		if (is_ours(l))
			(void)utimensat(l->dirfd, l->name, NULL,
			    AT_SYMLINK_NOFOLLOW);
	}
}

static void
forget(const struct mbox_lock *l)
{
	struct mbox_lock **at = &held;

	while (*at && *at != l)
		at = &(*at)->next;
	if (*at)
		*at = l->next;
}

bool
mbox_lock_held(struct mbox_lock *l)
{
	return !l->name[0] || clock_mono_ms() - l->seen_ms < TRUSTED_MS ||
	    is_ours(l);
}

void
mbox_lock_release(struct mbox_lock *l)
{
	struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	/* Nothing can be done about a lock that does not go away; the next
	 * one finds our pid in it, so that must stay there. */
	if (l->name[0]) {
		bool ours = mbox_lock_held(l);

		forget(l);
		file_close(&l->file);	/* first: NFS renames what is open */
		if (ours && unlinkat(l->dirfd, l->name, 0) < 0 &&
		    errno != ENOENT)
			slot_lock_useless();
	}
	if (l->flock_held)
		(void)flock(l->fd, LOCK_UN);
	if (l->fcntl_held)
		(void)fcntl(l->fd, F_OFD_SETLK, &fl);
	l->name[0] = '\0';
	l->flock_held = l->fcntl_held = false;
}
