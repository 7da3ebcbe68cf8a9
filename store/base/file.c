#include "store/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* One read of file_read_whole. */
#define READ_CHUNK 65536
/* How often openat2 may say EAGAIN (a rename raced with "..") before we
 * believe it. */
#define RACE_TRIES 16

int
file_open_root(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
open_how(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOCTTY |
		    (flags & O_PATH ? 0 : O_NONBLOCK)),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = resolve,
	};
	long fd;
	int tries = 0;

	if (flags & O_PATH)
		how.flags &= ~(uint64_t)O_NOCTTY;
	do {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR ||
	    (errno == EAGAIN && ++tries < RACE_TRIES)));
	return (int)fd;
}

int
file_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	return open_how(dirfd, path, flags, mode, RESOLVE_BENEATH |
	    RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int
file_open_inside(int dirfd, const char *path, int flags)
{
	return open_how(dirfd, path, flags, 0, RESOLVE_BENEATH |
	    RESOLVE_NO_MAGICLINKS);
}

static int
open_dir(int dirfd, const char *name)
{
	return file_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
}

/* One component of a directory path; `made` below its own. */
static int
make_dir(int dirfd, const char *name, mode_t mode)
{
	int fd;

	if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
		return -1;
	fd = open_dir(dirfd, name);
	if (fd < 0)
		return -1;
	/* The umask is the caller's, the mode is the administrator's. */
	if (fchmod(fd, mode) < 0 || file_sync(dirfd) < 0)
		file_close(&fd);
	return fd;
}

int
file_open_dir(int dirfd, const char *path, enum file_make make, mode_t mode)
{
	char part[256];
	int at = dirfd, next;
	const char *p = path, *end;
	size_t n;

	next = open_dir(dirfd, path);
	if (next >= 0 || errno != ENOENT || make == FILE_NO_MAKE)
		return next;
	for (;; p = end) {
		while (*p == '/')
			p++;
		if (*p == '\0')
			return at;
		end = strchrnul(p, '/');
		n = (size_t)(end - p);
		if (n >= sizeof(part)) {
			errno = ENAMETOOLONG;
			next = -1;
		} else {
			memcpy(part, p, n);
			part[n] = '\0';
			next = open_dir(at, part);
			if (next < 0 && errno == ENOENT)
				next = make_dir(at, part, mode);
		}
		if (at != dirfd)
			file_close(&at);
		if (next < 0)
			return -1;
		at = next;
	}
}

bool
file_system_among(int fd, const unsigned long *types, size_t n)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned long)fs.f_type == types[i])
			return true;
	return false;
}

mode_t
file_umask(void)
{
	static mode_t mask;
	static bool known;

	if (!known) {
		mask = umask(077);
		(void)umask(mask);
		known = true;
	}
	return mask;
}

int
file_link_open(int fd, int dirfd, const char *name)
{
	static bool by_proc;	/* a kernel before 6.10, as this one was seen */
	char path[40];

	/* Without a walk through /proc, if the kernel lets the file's opener
	 * do so; older ones want CAP_DAC_READ_SEARCH and say ENOENT, which
	 * may also be the directory's. */
	if (!by_proc) {
		if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) == 0)
			return 0;
		if (errno != ENOENT && errno != EPERM && errno != EINVAL)
			return -1;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* fits */
	if (linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0)
		return -1;
	by_proc = true;
	return 0;
}

int
file_write_all(int fd, const void *p, size_t n)
{
	const char *bytes = p;
	ssize_t done;

	while (n) {
		done = write(fd, bytes, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (done == 0)
				errno = ENOSPC;
			return -1;
		}
		bytes += done;
		n -= (size_t)done;
	}
	return 0;
}

int
file_pwrite_all(int fd, const void *p, size_t n, off_t at)
{
	const char *bytes = p;
	ssize_t done;

	while (n) {
		done = pwrite(fd, bytes, n, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (done == 0)
				errno = ENOSPC;
			return -1;
		}
		bytes += done;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Takes n bytes off the front; returns how many of the pieces are used up. */
static int
advance(struct iovec *iov, size_t n)
{
	int used = 0;

	while (n) {
		size_t take = n < iov[used].iov_len ? n : iov[used].iov_len;

		iov[used].iov_base = (char *)iov[used].iov_base + take;
		iov[used].iov_len -= take;
		n -= take;
		if (iov[used].iov_len == 0)
			used++;
	}
	return used;
}

/* at < 0: where the file is. */
static int
writev_all(int fd, struct iovec *iov, int count, off_t at)
{
	ssize_t done;
	int used;

	while (count > 0) {
		if (iov->iov_len == 0) {
			iov++;
			count--;
			continue;
		}
		done = at < 0 ? writev(fd, iov, count) :
		    pwritev(fd, iov, count, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (done == 0)
				errno = ENOSPC;
			return -1;
		}
		if (at >= 0)
			at += done;
		used = advance(iov, (size_t)done);
		iov += used;
		count -= used;
	}
	return 0;
}

int
file_writev_all(int fd, struct iovec *iov, int count)
{
	return writev_all(fd, iov, count, -1);
}

int
file_pwritev_all(int fd, struct iovec *iov, int count, off_t at)
{
	return writev_all(fd, iov, count, at);
}

ssize_t
file_read_full(int fd, void *p, size_t n)
{
	size_t have = 0;
	ssize_t got;

	while (have < n) {
		got = read(fd, (char *)p + have, n - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

ssize_t
file_pread_full(int fd, void *p, size_t n, off_t at)
{
	size_t have = 0;
	ssize_t got;

	while (have < n) {
		got = pread(fd, (char *)p + have, n - have, at + (off_t)have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

int
file_read_whole(int fd, struct buf *out)
{
	char probe;
	size_t want;
	ssize_t got;

	while (out->n < out->max) {
		want = out->max - out->n;
		if (want > READ_CHUNK)
			want = READ_CHUNK;
		if (buf_reserve(out, want) < 0) {
			errno = EFBIG;
			return -1;
		}
		got = file_read_full(fd, out->p + out->n, want);
		if (got < 0)
			return -1;
		out->n += (size_t)got;
		out->p[out->n] = '\0';
		if ((size_t)got < want)
			return 0;
	}
	/* At the ceiling: is there more? */
	got = file_read_full(fd, &probe, 1);
	if (got > 0)
		errno = EFBIG;
	return got == 0 ? 0 : -1;
}

int
file_rename_over(int olddir, const char *old, int newdir, const char *new)
{
	struct stat st;

	if (fstatat(newdir, new, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISREG(st.st_mode)) {
			errno = EEXIST;
			return -1;
		}
	} else if (errno != ENOENT) {
		return -1;
	}
	return renameat(olddir, old, newdir, new);
}

int
file_sync(int fd)
{
	int r;

	do {
		r = fsync(fd);
	} while (r < 0 && errno == EINTR);
	return r;
}

int
file_datasync(int fd)
{
	int r;

	do {
		r = fdatasync(fd);
	} while (r < 0 && errno == EINTR);
	return r;
}

void
file_close(int *fd)
{
	int keep = errno;

	(void)file_close_checked(fd); /* the caller has said it does not matter */
	errno = keep;
}

int
file_close_checked(int *fd)
{
	int r = 0;

	if (*fd >= 0)
		r = close(*fd);
	*fd = -1;
	/* Linux has closed the descriptor even when it says EINTR. */
	return r < 0 && errno != EINTR ? -1 : 0;
}
