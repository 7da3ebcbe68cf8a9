/* Items of environment (RFC 5183); ${env.item} asks, too. */
#ifndef FILTERS_SIEVE_EXT_ENVIRONMENT_H
#define FILTERS_SIEVE_EXT_ENVIRONMENT_H

#include "filters/sieve/eval.h"

enum engine_answer environment_item(struct run *r, struct str item,
    struct buf *value);

#endif
