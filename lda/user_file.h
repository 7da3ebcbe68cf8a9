/*
 * Small files that a user, or the administrator, keeps for us: scripts, lists,
 * annotations. Read whole and distrustfully: what belongs to a user is opened
 * below his home, links are followed as long as they stay there, and a file
 * that somebody else could have written is not read.
 */
#ifndef LDA_USER_FILE_H
#define LDA_USER_FILE_H

#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/base/verdict.h"
#include "store/directory/directory.h"

/* An administrator's file may be reached over any link. */
enum user_file_owner { USER_FILE_ADMIN, USER_FILE_USER };

enum user_file {
	USER_FILE_READ,
	USER_FILE_ABSENT,
	USER_FILE_REFUSED,	/* `why` says what is wrong with it */
	USER_FILE_TROUBLE,	/* may pass; errno says what */
};

struct user_file_place {
	enum user_file_owner owner;
	const char *root, *path;
	size_t max;
	const char *too_long;	/* `why` of a longer file */
};

/*
 * Where a template leads. One that begins with %h: the home is the root, so
 * that links may go anywhere in it. 0, or -1 with the verdict (V_CONFIG).
 */
int user_file_place(const char *setting, const char *template,
    const struct settings *s, const struct account *account, struct arena *a,
    const char **root_r, const char **path_r, enum user_file_owner *owner_r,
    struct verdict *v);
/* The text lives in the arena. */
enum user_file user_file_read(const struct user_file_place *place,
    struct arena *a, struct str *text_r, const char **why);
/* errno of an open: is the file simply not there, or does it stand where it
 * may not? */
enum user_file user_file_errno(int error);

#endif
