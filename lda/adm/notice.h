/*
 * What a suspended user reads instead of his mail: STATE_DIR/suspended/
 * DOMAIN/USER/mbox and .../Maildir hold one message that says why and until
 * when. They belong to whoever runs vboxadm (root) and nobody else can
 * write them; Dovecot is sent there by the view `logins` (contrib/dovecot).
 */
#ifndef LDA_ADM_NOTICE_H
#define LDA_ADM_NOTICE_H

#include "lda/adm/adm.h"

#define NOTICE_DIR "suspended"

int notice_build(struct adm *a, const struct account *account,
    struct verdict *v);
int notice_remove(struct adm *a, const struct account *account,
    struct verdict *v);

#endif
