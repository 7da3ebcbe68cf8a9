/*
 * Counting all accounts of a domain. Private to quota.c.
 */
#ifndef STORE_QUOTA_DOMAIN_H
#define STORE_QUOTA_DOMAIN_H

#include "store/quota.h"
#include "store/quota_ledger.h"

/*
 * Asks every account that a->walk finds what it takes, and makes the total of
 * the ledger of that. Deliveries go on meanwhile; what they write down is
 * newer than what was found. V_BOX_BUSY when another process does the same,
 * or while deliveries end that began without a total.
 */
int quota_domain_count(struct ledger *l, const struct quota_account *a,
    struct verdict *v);

#endif
