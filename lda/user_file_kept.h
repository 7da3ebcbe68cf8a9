/*
 * Texts of user_file_read that this process has read before: a script is read
 * with nine system calls, and asked for with every message. One that is asked
 * for a second time is kept, and afterwards the steps of the way to it are
 * looked at, without opening anything: directories that are none but
 * directories, a link in its end that is still the same, the file itself with
 * the same owner, mode, size and times. So what could not be opened now is not
 * recalled either.
 *
 * A file that changed in the last two seconds is not kept, since it may change
 * again at the same time; nor is one on a file system that another machine may
 * write to. What was kept is read anew after a minute all the same.
 */
#ifndef LDA_USER_FILE_KEPT_H
#define LDA_USER_FILE_KEPT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "lda/user_file.h"

/* Is it kept and still the same? The copy lives in the arena. */
bool user_file_recall(const struct user_file_place *place, struct arena *a,
    struct str *text_r);
/*
 * `text` was just read from the open file fd, which was judged good and was
 * `st` before it was read at `when_us` of clock_now_us.
 */
void user_file_keep(const struct user_file_place *place, int fd,
    const struct stat *st, int64_t when_us, struct str text);

#endif
