#include "store/base/checksum.h"

#include <endian.h>
#include <string.h>

/* An odd number without pattern: the golden ratio in 64 bits. */
#define MULTIPLIER 0x9e3779b97f4a7c15u

static uint64_t
fold(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * MULTIPLIER;
	return sum ^ sum >> 29;
}

void
checksum_add(struct checksum *c, const void *p, size_t n)
{
	const unsigned char *bytes = p;
	unsigned have = (unsigned)(c->n % 8);
	uint64_t word;

	c->n += n;
	for (; have && n; n--, bytes++) {
		c->tail |= (uint64_t)*bytes << (8 * have);
		have = (have + 1) % 8;
		if (!have) {
			c->sum = fold(c->sum, c->tail);
			c->tail = 0;
		}
	}
	for (; n >= 8; n -= 8, bytes += 8) {
		memcpy(&word, bytes, 8);
		c->sum = fold(c->sum, le64toh(word));
	}
	for (; n; n--, bytes++)
		c->tail |= (uint64_t)*bytes << (8 * have++);
}

uint64_t
checksum_value(const struct checksum *c)
{
	/* The length tells a tail of zeros from none. */
	uint64_t sum = fold(fold(c->sum, c->tail), c->n);

	return sum ^ sum >> 32;
}

uint64_t
checksum_of(const void *p, size_t n)
{
	struct checksum c = { 0 };

	checksum_add(&c, p, n);
	return checksum_value(&c);
}
