/* The table of i;unicode-casemap (RFC 5051), sorted by character; made by
 * casemap_table.py. */
#ifndef FILTERS_SIEVE_CASEMAP_TABLE_H
#define FILTERS_SIEVE_CASEMAP_TABLE_H

#include <stdint.h>

struct casemap_entry {
	uint32_t c;
	uint32_t at : 24;	/* in casemap_bytes */
	uint32_t n : 8;
};

extern const struct casemap_entry casemap_entries[];
extern const unsigned casemap_count;
extern const unsigned char casemap_bytes[];

#endif
