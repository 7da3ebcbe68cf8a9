#include "store/base/checksum.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/* An odd number without pattern: the golden ratio in 64 bits. */
#define MULTIPLIER 0x9e3779b97f4a7c15u
/* Bytes of a word for each lane. */
#define ROW ((size_t)8 * CHECKSUM_LANES)

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

/* n bytes, fewer than 8, as the low ones of a word. */
static uint64_t
part_at(const unsigned char *p, size_t n)
{
	uint64_t word = 0;

	if (n)
		memcpy(&word, p, n);
	return le64toh(word);
}

/* The next word of all. */
static void
lane_add(struct checksum *c, uint64_t word)
{
	uint64_t *lane = &c->lane[c->n / 8 % CHECKSUM_LANES];

	*lane = fold(*lane, word);
	c->n += 8;
}

/* Whole rows of words, from one for lane 0 on. What one lane waits for
 * another does meanwhile, and between them there is nothing to be stored. */
static void
rows_add(struct checksum *c, const unsigned char *p, size_t rows)
{
	uint64_t a = c->lane[0], b = c->lane[1], d = c->lane[2],
	    e = c->lane[3];

	c->n += rows * ROW;
	for (; rows; rows--, p += ROW) {
		a = fold(a, word_at(p));
		b = fold(b, word_at(p + 8));
		d = fold(d, word_at(p + 16));
		e = fold(e, word_at(p + 24));
	}
	c->lane[0] = a;
	c->lane[1] = b;
	c->lane[2] = d;
	c->lane[3] = e;
}

void
checksum_add(struct checksum *c, const void *p, size_t n)
{
	const unsigned char *bytes = p;
	size_t have = c->n % 8, take;
	bool wide = n >= 8;	/* so that a whole word can be read */

	if (n == 0)		/* p may be NULL then */
		return;
	if (have) {
		take = n < 8 - have ? n : 8 - have;
		/* What is too much of a whole word is shifted out. */
		c->tail |= (wide ? word_at(bytes) : part_at(bytes, take)) <<
		    (8 * have);
		c->n += take;
		if (have + take < 8)
			return;
		bytes += take;
		n -= take;
		c->n -= 8;
		lane_add(c, c->tail);
	}
	for (; n >= 8 && c->n / 8 % CHECKSUM_LANES; n -= 8, bytes += 8)
		lane_add(c, word_at(bytes));
	take = n / ROW;
	rows_add(c, bytes, take);
	bytes += take * ROW;
	n -= take * ROW;
	for (; n >= 8; n -= 8, bytes += 8)
		lane_add(c, word_at(bytes));
	if (n == 0)
		c->tail = 0;
	else
		c->tail = wide ? word_at(bytes + n - 8) >> (64 - 8 * n) :
		    part_at(bytes, n);
	c->n += n;
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
