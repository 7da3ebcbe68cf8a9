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

static uint64_t
word_at(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, 8);
	return le64toh(word);
}

/* The word that ends at c->n. */
static void
lane_add(struct checksum *c, uint64_t word)
{
	uint64_t *lane = &c->lane[(c->n / 8 + CHECKSUM_LANES - 1) %
	    CHECKSUM_LANES];

	*lane = fold(*lane, word);
}

void
checksum_add(struct checksum *c, const void *p, size_t n)
{
	const unsigned char *bytes = p;
	unsigned have = (unsigned)(c->n % 8);
	uint64_t *lane = c->lane;

	for (; have && n; n--, bytes++) {
		c->tail |= (uint64_t)*bytes << (8 * have);
		have = (have + 1) % 8;
		c->n++;
		if (!have) {
			lane_add(c, c->tail);
			c->tail = 0;
		}
	}
	for (; n >= 8 && c->n / 8 % CHECKSUM_LANES; n -= 8, bytes += 8) {
		c->n += 8;
		lane_add(c, word_at(bytes));
	}
	/* What one lane waits for another does meanwhile. */
	for (; n >= 8 * CHECKSUM_LANES; n -= 8 * CHECKSUM_LANES) {
		lane[0] = fold(lane[0], word_at(bytes));
		lane[1] = fold(lane[1], word_at(bytes + 8));
		lane[2] = fold(lane[2], word_at(bytes + 16));
		lane[3] = fold(lane[3], word_at(bytes + 24));
		bytes += 8 * CHECKSUM_LANES;
		c->n += 8 * CHECKSUM_LANES;
	}
	for (; n >= 8; n -= 8, bytes += 8) {
		c->n += 8;
		lane_add(c, word_at(bytes));
	}
	c->n += n;
	for (; n; n--, bytes++)
		c->tail |= (uint64_t)*bytes << (8 * have++);
}

uint64_t
checksum_value(const struct checksum *c)
{
	/* The length tells a tail of zeros from none. */
	uint64_t sum = fold(c->tail, c->n);

	for (unsigned i = 0; i < CHECKSUM_LANES; i++)
		sum = fold(sum, c->lane[i]);

	return sum ^ sum >> 32;
}

uint64_t
checksum_of(const void *p, size_t n)
{
	struct checksum c = { 0 };

	checksum_add(&c, p, n);
	return checksum_value(&c);
}
