/*
 * LD_PRELOAD: every write(2) and its sisters store at most 700 bytes, and
 * each third of them is interrupted first. What POSIX allows, the disk of a
 * test machine never does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST ((size_t)700)

static unsigned calls;

static int
interrupted(void)
{
	if (++calls % 3)
		return 0;
	errno = EINTR;
	return 1;
}

static size_t
least(size_t n)
{
	return n < MOST ? n : MOST;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	return interrupted() ? -1 : syscall(SYS_write, fd, p, least(n));
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return interrupted() ? -1 : syscall(SYS_pwrite64, fd, p, least(n), at);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t
writev(int fd, const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		if (iov[i].iov_len)
			return write(fd, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

int
fsync(int fd)
{
	return interrupted() ? -1 : (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	return interrupted() ? -1 : (int)syscall(SYS_fdatasync, fd);
}
