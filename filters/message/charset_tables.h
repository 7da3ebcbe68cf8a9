/*
 * Single-byte charsets whose lower half is ASCII. ISO-8859-1 needs no table.
 */
#ifndef FILTERS_MESSAGE_CHARSET_TABLES_H
#define FILTERS_MESSAGE_CHARSET_TABLES_H

#include <stdint.h>

struct charset_table {
	const char *key;	/* lower case, only letters and digits */
	uint16_t upper[128];
};

extern const struct charset_table charset_tables[];
extern const unsigned charset_tables_n;

#endif
