/*
 * Text to number and back; nowhere else. Strict: the whole text, digits
 * only, no sign, no space, no overflow. Results are written on success only.
 */
#ifndef STORE_BASE_NUM_H
#define STORE_BASE_NUM_H

#include <stdint.h>

#include "store/base/str.h"

/* Decimal, at most `max`. 0 or -1. */
int num_u64(struct str s, uint64_t max, uint64_t *value_r);
/* "5", "5.0", "0.25": at most 9 digits before and behind the point. */
int num_decimal(struct str s, double *value_r);
/* Octal, for file modes. */
int num_octal(struct str s, uint64_t max, uint64_t *value_r);
/* Bytes: digits with an optional K, M, G or T (powers of 1024, either case)
 * and an optional "B" or "iB" behind it. */
int num_size(struct str s, uint64_t *bytes_r);
/* Milliseconds: digits with ms, s (default), m or min, h, d, w. */
int num_duration(struct str s, uint64_t *ms_r);

#endif
