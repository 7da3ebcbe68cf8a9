/*
 * Memory that is there or the process is not: a delivery without memory ends
 * with "try again" (exit 75), so no caller has an error path for it.
 */
#ifndef STORE_BASE_MEM_H
#define STORE_BASE_MEM_H

#include <stddef.h>

/* Exit status on memory exhaustion: EX_TEMPFAIL, temporary for every MTA. */
#define MEM_EXIT 75

/* As malloc, calloc, realloc, strdup; never NULL. Released with free(). */
void *mem_alloc(size_t n);
void *mem_zalloc(size_t count, size_t size);
void *mem_realloc(void *p, size_t n);
char *mem_dup(const char *z);
/* A NUL-terminated copy of n bytes. */
char *mem_dupn(const void *p, size_t n);

#endif
