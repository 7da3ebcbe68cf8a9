/* suspend, resume, disable, enable, lock and unlock, for a user or for a
 * whole domain. */
#ifndef LDA_ADM_STATE_H
#define LDA_ADM_STATE_H

#include "lda/adm/adm.h"

/* The verb of the command says which. */
int state_change(struct adm *a, enum directory_entry_kind kind,
    struct verdict *v);

#endif
