/*
 * Where a mailbox is: from an account and the settings of its domain to the
 * spec that store/ takes.
 */
#ifndef LDA_PLACE_H
#define LDA_PLACE_H

#include "lda/config.h"
#include "lda/resolve.h"
#include "store/base/arena.h"
#include "store/mailbox.h"

/* Arena for the paths of one mailbox. */
#define PLACE_ARENA 65536

/*
 * Fills a spec; its strings live in the arena. `folder` empty: INBOX. 0, or
 * -1: V_CONFIG when a template cannot serve, V_BAD_ADDRESS for a folder name
 * that cannot be.
 */
int place_mailbox(const struct settings *s, const struct target *t,
    struct str folder, const char *hostname, struct arena *a,
    struct mailbox_spec *spec_r, struct verdict *v);
/* Flags as scripts give them, divided by blanks: "\Seen" and its kin become
 * bits, the rest are keywords. 0, or -1 when the arena is full. */
int place_flags(struct str flags, struct arena *a, struct mailbox_spec *spec);
/*
 * Expands a template for an account: *root_r is the administrator's directory,
 * *path_r what is below it (may be ""). `name` is the setting, for V_CONFIG.
 */
int place_path(const char *name, const char *template, const struct settings *s,
    const struct account *account, struct arena *a, const char **root_r,
    const char **path_r, struct verdict *v);
/* The account's home directory as a path; "" when no template gives one. */
int place_home(const struct settings *s, const struct account *account,
    struct arena *a, struct str *home_r, struct verdict *v);

#endif
