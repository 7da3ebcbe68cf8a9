#include "store/base/sha256.h"

#include <string.h>

static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
	0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
	0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
	0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t
rotate(uint32_t x, unsigned by)
{
	return x >> by | x << (32 - by);
}

static uint32_t
big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Section 6.2.2: a to h are s[0] to s[7]. */
static void
compress(uint32_t state[8], const unsigned char *block)
{
	uint32_t w[64], s[8], t1, t2;

	for (size_t i = 0; i < 16; i++)
		w[i] = big_endian(block + 4 * i);
	for (size_t i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		    (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		    (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, state, sizeof(s));
	for (size_t i = 0; i < 64; i++) {
		t1 = s[7] + k[i] + w[i] + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
		    (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25));
		t2 = ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])) +
		    (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22));
		memmove(s + 1, s, 7 * sizeof(*s));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (size_t i = 0; i < 8; i++)
		state[i] += s[i];
}

void
sha256_init(struct sha256 *h)
{
	static const uint32_t start[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	memset(h, 0, sizeof(*h));
	memcpy(h->state, start, sizeof(start));
}

void
sha256_add(struct sha256 *h, const void *p, size_t n)
{
	const unsigned char *bytes = p;
	size_t have = h->n % SHA256_BLOCK;

	h->n += n;
	while (n) {
		size_t take = SHA256_BLOCK - have < n ? SHA256_BLOCK - have : n;

		if (take == SHA256_BLOCK) {
			compress(h->state, bytes);
		} else {
			memcpy(h->block + have, bytes, take);
			if (have + take == SHA256_BLOCK)
				compress(h->state, h->block);
		}
		have = 0;
		bytes += take;
		n -= take;
	}
}

void
sha256_part(struct sha256 *h, struct str s)
{
	unsigned char length[8];

	for (unsigned i = 0; i < 8; i++)
		length[i] = (unsigned char)((uint64_t)s.n >> (56 - 8 * i));
	sha256_add(h, length, sizeof(length));
	sha256_add(h, s.p, s.n);
}

void
sha256_end(struct sha256 *h, unsigned char digest[SHA256_BYTES])
{
	static const unsigned char pad[SHA256_BLOCK] = { 0x80 };
	uint64_t bits = h->n * 8;
	size_t have = h->n % SHA256_BLOCK;
	unsigned char length[8];

	for (unsigned i = 0; i < 8; i++)
		length[i] = (unsigned char)(bits >> (56 - 8 * i));
	sha256_add(h, pad, have < 56 ? 56 - have : 120 - have);
	sha256_add(h, length, sizeof(length));
	for (size_t i = 0; i < SHA256_BYTES; i++)
		digest[i] = (unsigned char)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void
sha256_hmac(struct str key, struct str text, unsigned char digest[SHA256_BYTES])
{
	unsigned char block[SHA256_BLOCK] = { 0 };
	struct sha256 h;

	if (key.n > SHA256_BLOCK) {
		sha256_init(&h);
		sha256_add(&h, key.p, key.n);
		sha256_end(&h, block);
	} else if (key.n) {
		memcpy(block, key.p, key.n);
	}
	for (size_t i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36;
	sha256_init(&h);
	sha256_add(&h, block, sizeof(block));
	sha256_add(&h, text.p, text.n);
	sha256_end(&h, digest);
	for (size_t i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_init(&h);
	sha256_add(&h, block, sizeof(block));
	sha256_add(&h, digest, SHA256_BYTES);
	sha256_end(&h, digest);
	explicit_bzero(block, sizeof(block));
}

void
sha256_hex(const unsigned char digest[SHA256_BYTES], struct buf *out)
{
	for (size_t i = 0; i < SHA256_BYTES; i++)
		buf_addf(out, "%02x", digest[i]);
}

bool
sha256_same(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;
	volatile unsigned char differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}
