/*
 * LD_PRELOAD: makes calls of the delivery log fail while a service runs. The
 * file VBOX_FAULTS is shared memory: an errno for each kind of call, 0 for
 * none. A segment is known by its size, since a worker may look nowhere.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile struct faults {
	int segment_size;
	int pwritev, fdatasync, syncfs, pwrite;
	int shorter;	/* pwritev writes so many bytes at most */
	int madvise;
} *faults;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("VBOX_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*faults), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		faults = p;
	(void)close(fd);
}

static int
fails(int fd, int error)
{
	struct stat st;

	if (!error || fstat(fd, &st) < 0 || st.st_size != faults->segment_size)
		return 0;
	errno = error;
	return 1;
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off_t at)
{
	if (faults && fails(fd, faults->pwritev))
		return -1;
	if (faults && faults->shorter && count)
		return syscall(SYS_pwrite64, fd, iov->iov_base,
		    iov->iov_len < (size_t)faults->shorter ? iov->iov_len :
		    (size_t)faults->shorter, at);
	return syscall(SYS_pwritev, fd, iov, count, at, 0);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	return pwritev64(fd, iov, count, at);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off_t at)
{
	if (faults && fails(fd, faults->pwrite))
		return -1;
	return syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}

int
fdatasync(int fd)
{
	if (faults && fails(fd, faults->fdatasync))
		return -1;
	return (int)syscall(SYS_fdatasync, fd);
}

int
syncfs(int fd)
{
	if (faults && faults->syncfs) {
		errno = faults->syncfs;
		return -1;
	}
	return (int)syscall(SYS_syncfs, fd);
}

int
madvise(void *p, size_t n, int advice)
{
	if (faults && faults->madvise) {
		errno = faults->madvise;
		return -1;
	}
	return (int)syscall(SYS_madvise, p, n, advice);
}
