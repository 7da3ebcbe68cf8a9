/*
 * The header fields that a test means: names in SLOT_HEADERS, :index and
 * :last, :mime and :anychild.
 */
#ifndef FILTERS_SIEVE_VALUES_H
#define FILTERS_SIEVE_VALUES_H

#include "filters/sieve/eval.h"

struct syntax_arg;

/* The rules of :index, :last, :mime, :anychild and :type. */
int values_check(struct check *c, const struct check_node *n);

/* Warns of a name that no field can have; in a test it is no error, it only
 * matches nothing (RFC 5228 section 2.4.2.2). */
void values_check_name(struct check *c, const struct syntax_arg *name);
/* Likewise, of all names in SLOT_HEADERS. */
void values_check_names(struct check *c, const struct check_node *n);

/* Called for each field; 0 goes on, everything else ends the walk and is its
 * result. */
typedef int (*values_fn)(void *ctx, struct header *h, struct field *f);

int values_each(struct run *r, const struct node *n, values_fn fn, void *ctx);
/* The first field of a name, or the last one; NULL for a name that is none,
 * whatever bytes stand in front of a colon in the message (RFC 5228 section
 * 2.4.2.2). */
enum values_end { VALUES_FIRST, VALUES_LAST };
struct field *values_find(const struct header *h, struct str name,
    enum values_end end);
/* The first field of the first name, or the one of :index: date looks at one
 * only (RFC 5260 section 4). */
int values_one(struct run *r, const struct node *n, values_fn fn, void *ctx);
/* The parts that a test with :mime means: this one, or with :anychild the
 * ones below, too. */
struct mime_part *values_next_part(struct run *r, const struct node *n,
    struct mime_part *top, struct mime_part *part);
/* The value and parameters of a field, taken apart once. */
const struct mime_value *values_mime(struct run *r, struct field *f);
/* The addresses of a field, taken apart once. */
const struct address_list *values_addresses(struct run *r, struct field *f);

enum address_part {
	ADDRESS_PART_ALL,
	ADDRESS_PART_LOCALPART,
	ADDRESS_PART_DOMAIN,
	ADDRESS_PART_USER,
	ADDRESS_PART_DETAIL,
};

/* The part of an address; false when it has none (no detail, no domain). */
bool values_address_part(struct run *r, const struct address *a,
    enum address_part part, struct str *s_r);

#endif
