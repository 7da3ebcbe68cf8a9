/* The back-ends, one file each; the lists are in directory.c and writer.c. */
#ifndef STORE_DIRECTORY_BACKEND_H
#define STORE_DIRECTORY_BACKEND_H

#include "store/directory/directory.h"
#include "store/directory/writer.h"

extern const struct directory_backend backend_file;
extern const struct directory_backend backend_fs;
extern const struct directory_backend backend_socketmap;
extern const struct directory_backend backend_sqlite;
extern const struct directory_backend backend_pgsql;

extern const struct directory_writer_backend writer_file;
extern const struct directory_writer_backend writer_sqlite;
extern const struct directory_writer_backend writer_pgsql;

#define BACKEND_TIMEOUT_MS 5000

#endif
