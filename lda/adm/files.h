/* The files of an account: found, moved and removed. */
#ifndef LDA_ADM_FILES_H
#define LDA_ADM_FILES_H

#include <sys/types.h>

#include "lda/adm/adm.h"

/* The mbox, the Maildir and the home. */
#define ACCOUNT_FILES_MAX 3

struct account_file {
	const char *root;	/* the administrator's directory */
	const char *path;	/* below it */
};

/* Where they are or would be; what lies below another of them is left out,
 * so is a home that the directory names. The number of them, or -1. */
int account_files(struct adm *a, const struct account *account,
    struct account_file files[ACCOUNT_FILES_MAX], struct verdict *v);
/* "/root/path" in the arena. */
struct str account_file_name(struct adm *a, const struct account_file *f);
/* Removes a file or a tree; links are removed, never followed. 1 when there
 * was something, 0 when not, or -1. */
int account_file_remove(const struct account_file *f, struct verdict *v);
/* Renames within one root, making the new parent. Nothing there is no error;
 * something at the new place is. 1, 0, or -1. */
int account_file_move(const struct account_file *from,
    const struct account_file *to, mode_t dir_mode, struct verdict *v);
/* All files of an account to where another one has them. 0 or -1. */
int account_files_move(struct adm *a, const struct account *from,
    const struct account *to, struct verdict *v);

#endif
