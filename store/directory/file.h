/* More of the file back-end than its answers: what vboxadm check asks. */
#ifndef STORE_DIRECTORY_FILE_H
#define STORE_DIRECTORY_FILE_H

#include <stddef.h>

#include "store/base/buf.h"
#include "store/base/verdict.h"

/* The largest file that is read. */
#define FILE_DIRECTORY_MAX ((size_t)1 << 30)

/*
 * Reads every line and adds "PATH:LINE: what is wrong" to `problems` for each
 * mistake, doubles too. The number of mistakes, or -1 when the file
 * cannot be read.
 */
int file_directory_check(const char *path, struct buf *problems,
    struct verdict *v);

#endif
