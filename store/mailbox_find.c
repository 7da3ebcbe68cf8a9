#include "store/mailbox_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/num.h"

/* Do these bytes of a file hold the mark? */
static int
holds(int fd, off_t at, size_t want, struct str mark)
{
	char *p = mem_alloc(want + 1);
	ssize_t n = file_pread_full(fd, p, want, at);
	int r = n < 0 ? -1 : str_find(str_mem(p, (size_t)n), mark) >= 0;

	free(p);
	return r;
}

/* "SECONDS.M...P<pid>Q...", as maildir.c names files. */
static bool
is_candidate(const char *name, pid_t pid, time_t since)
{
	struct str s = str_of(name), seconds;
	char process[32];
	uint64_t when;
	int n = snprintf(process, sizeof(process), "P%dQ", (int)pid);

	if (n < 0 || !str_split(&s, '.', &seconds) ||
	    num_u64(seconds, INT64_MAX, &when) < 0 || (time_t)when < since)
		return false;
	return s.p && str_find(s, str_mem(process, (size_t)n)) >= 0;
}

static int
find_in_dir(int dir, const char *sub, pid_t pid, time_t since, struct str mark,
    struct verdict *v)
{
	const struct dirent *e;
	int fd, r = 0;
	DIR *d;

	fd = file_open_beneath(dir, sub, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 :
		    verdict_errno(v, errno, "open %s", sub);
	d = fdopendir(fd);
	if (!d) {
		file_close(&fd);
		return verdict_errno(v, errno, "read %s", sub);
	}
	while (r == 0 && (e = readdir(d))) {
		int file;

		if (!is_candidate(e->d_name, pid, since))
			continue;
		file = file_open_beneath(dirfd(d), e->d_name, O_RDONLY, 0);
		if (file < 0)
			continue;	/* a reader moved it: the next dir */
		r = holds(file, 0, MAILBOX_FIND_HEAD, mark);
		if (r < 0)
			verdict_errno(v, errno, "read %s", e->d_name);
		file_close(&file);
	}
	(void)closedir(d);
	return r;
}

static int
find_in_maildir(int dir, pid_t pid, time_t since, struct str mark,
    struct verdict *v)
{
	int r = find_in_dir(dir, "new", pid, since, mark, v);

	return r == 0 ? find_in_dir(dir, "cur", pid, since, mark, v) : r;
}

static int
find_in_mbox(int dir, const char *name, struct str mark, struct verdict *v)
{
	int fd = file_open_beneath(dir, name, O_RDONLY, 0), r = -1;
	struct stat st;
	off_t at;

	if (fd < 0)
		return errno == ENOENT ? 0 :
		    verdict_errno(v, errno, "open %s", name);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		at = st.st_size > MAILBOX_FIND_TAIL ?
		    st.st_size - MAILBOX_FIND_TAIL : 0;
		r = holds(fd, at, MAILBOX_FIND_TAIL, mark);
	}
	if (r < 0)
		verdict_errno(v, errno, "read %s", name);
	file_close(&fd);
	return r;
}

int
mailbox_find(const struct mailbox_spec *spec, pid_t pid, time_t since,
    struct str mark, struct verdict *v)
{
	struct str path = str_of(spec->path);
	ptrdiff_t slash = str_rchr(path, '/');
	char *parent, *name;
	int root = file_open_root(spec->root), dir, r;

	if (root < 0)
		return errno == ENOENT ? 0 :
		    verdict_errno(v, errno, "open %s", spec->root);
	if (spec->format == MAILBOX_MAILDIR && spec->folder && spec->folder[0]) {
		size_t n = path.n + strlen(spec->folder) + 2;

		parent = mem_alloc(n);
		(void)snprintf(parent, n, "%s/%s", spec->path, spec->folder);
		name = mem_dup("");
	} else if (spec->format == MAILBOX_MAILDIR) {
		parent = mem_dup(spec->path);
		name = mem_dup("");
	} else {
		parent = slash < 0 ? mem_dup(".") : mem_dupn(path.p, (size_t)slash);
		name = mem_dup(spec->path + slash + 1);
	}
	dir = file_open_dir(root, parent[0] ? parent : ".", FILE_NO_MAKE, 0);
	if (dir < 0)
		r = errno == ENOENT ? 0 : verdict_errno(v, errno, "open %s in %s",
		    parent, spec->root);
	else if (spec->format == MAILBOX_MAILDIR)
		r = find_in_maildir(dir, pid, since, mark, v);
	else
		r = find_in_mbox(dir, name, mark, v);
	file_close(&dir);
	file_close(&root);
	free(parent);
	free(name);
	return r;
}
