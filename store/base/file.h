/*
 * Files below a directory descriptor. Nothing here follows a symbolic link
 * or leaves the directory that it was given (openat2(2), RESOLVE_BENEATH,
 * RESOLVE_NO_SYMLINKS): names come from senders.
 *
 * Calls return -1 with errno set; the caller turns it into a verdict with
 * verdict_errno() and its own words. EINTR never comes out.
 */
#ifndef STORE_BASE_FILE_H
#define STORE_BASE_FILE_H

#include <sys/types.h>
#include <sys/uio.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"

/* A trusted directory of the administrator's, opened by path, links and all.
 * O_DIRECTORY | O_CLOEXEC. */
int file_open_root(const char *path);
/* path below dirfd; O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added, so that a FIFO
 * or a device in the place of a file blocks nobody. */
int file_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
/* The same, but links are followed as long as they stay below dirfd: for
 * files that users and their programs arrange (ManageSieve links the active
 * script). */
int file_open_inside(int dirfd, const char *path, int flags);
/*
 * Opens the directory `path` below dirfd, making what is missing of it with
 * `mode` (not cut by the umask), each new entry synced. ENOENT when `make`
 * is false and it is not there.
 */
enum file_make { FILE_NO_MAKE, FILE_MAKE };
int file_open_dir(int dirfd, const char *path, enum file_make make, mode_t mode);

/*
 * Gives an open file, perhaps one without a name (O_TMPFILE), the name `name`
 * below dirfd. 0, or -1 with errno of linkat(2): EEXIST when there is one.
 */
int file_link_open(int fd, int dirfd, const char *name);

/* All of it, in as many calls as it takes: write(2) alone, for a process that
 * may have no other call left. */
int file_write_all(int fd, const void *p, size_t n);
int file_pwrite_all(int fd, const void *p, size_t n, off_t at);
/* iov is used up. */
int file_writev_all(int fd, struct iovec *iov, int count);
int file_pwritev_all(int fd, struct iovec *iov, int count, off_t at);
/* Up to n bytes, fewer only at the end of the file; -1 on error. */
ssize_t file_read_full(int fd, void *p, size_t n);
ssize_t file_pread_full(int fd, void *p, size_t n, off_t at);
/* The whole of a small file of the administrator's into out; EFBIG past
 * out's ceiling. */
int file_read_whole(int fd, struct buf *out);

/* rename(2) over a regular file or nothing. A device, a link, a FIFO that an
 * administrator has named (/dev/null) is not replaced: EEXIST. */
int file_rename_over(int olddir, const char *old, int newdir, const char *new);

/* Is the open file on a file system of one of these types (f_type of
 * statfs(2))? False when nobody can say. */
bool file_system_among(int fd, const unsigned long *types, size_t n);

/* The process's umask, as it was when first asked: who changes it afterwards
 * says the modes of files himself. */
mode_t file_umask(void);

/* fsync / fdatasync. A failed sync is an error for good: the kernel drops
 * the dirty pages and a second try would say 0 for lost data. */
int file_sync(int fd);
int file_datasync(int fd);
/* Closes and forgets; copes with -1. errno is kept. */
void file_close(int *fd);
/* The same where an error matters (NFS writes at close): 0 or -1. */
int file_close_checked(int *fd);

#endif
