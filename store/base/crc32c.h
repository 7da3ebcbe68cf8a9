/*
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4): a check sum against torn and
 * foreign bytes, not against an enemy.
 */
#ifndef STORE_BASE_CRC32C_H
#define STORE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over n bytes. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

#endif
