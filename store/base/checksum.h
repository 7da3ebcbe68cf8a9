/*
 * A 64-bit check sum against torn and foreign bytes, not against an enemy.
 *
 * Not a CRC: its fast form needs an instruction that has to be asked for,
 * and CPUID, asked in a virtual machine, costs each start of a program more
 * than the sum (measured: 0.1 ms). Words are multiplied and folded instead.
 */
#ifndef STORE_BASE_CHECKSUM_H
#define STORE_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Word N goes into sum N modulo this: the processor multiplies for several
 * at the same time. */
#define CHECKSUM_LANES 4

/* All zero to begin. */
struct checksum {
	uint64_t lane[CHECKSUM_LANES];
	uint64_t tail;		/* bytes that do not fill a word yet */
	uint64_t n;		/* bytes so far */
};

/* The same bytes give the same sum, however they are divided. */
void checksum_add(struct checksum *c, const void *p, size_t n);
uint64_t checksum_value(const struct checksum *c);
/* Of one piece. */
uint64_t checksum_of(const void *p, size_t n);

#endif
