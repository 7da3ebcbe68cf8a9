/*
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) with it. Our own, since libcrypto
 * would cost each start of vbox-deliver more than the delivery.
 *
 *	struct sha256 h;
 *	sha256_init(&h);
 *	sha256_add(&h, p, n);
 *	sha256_end(&h, digest);
 */
#ifndef STORE_BASE_SHA256_H
#define STORE_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/str.h"

#define SHA256_BYTES 32
#define SHA256_BLOCK 64

struct sha256 {
	uint32_t state[8];
	uint64_t n;			/* bytes so far */
	unsigned char block[SHA256_BLOCK];
};

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t n);
/* The same with its length in front, so that parts cannot run into each
 * other. */
void sha256_part(struct sha256 *h, struct str s);
void sha256_end(struct sha256 *h, unsigned char digest[SHA256_BYTES]);

void sha256_hmac(struct str key, struct str text,
    unsigned char digest[SHA256_BYTES]);
/* Two hexadecimal digits a byte. */
void sha256_hex(const unsigned char digest[SHA256_BYTES], struct buf *out);
/* In a time that does not tell where they differ. */
bool sha256_same(const void *a, const void *b, size_t n);

#endif
