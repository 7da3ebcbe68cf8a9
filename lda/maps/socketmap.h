/*
 * The socketmap protocol, from bytes to bytes: netstrings "MAP KEY" in,
 * netstrings "OK VALUE", "NOTFOUND ", "TEMP why", "PERM why" out.
 */
#ifndef LDA_MAPS_SOCKETMAP_H
#define LDA_MAPS_SOCKETMAP_H

#include "lda/maps/serve.h"

/* socketmap_table(5) of Postfix allows this much. */
#define SOCKETMAP_QUERY_MAX 10000
#define SOCKETMAP_REPLY_MAX 100000

extern const struct map_protocol socketmap_protocol;

#endif
