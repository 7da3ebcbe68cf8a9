/*
 * A checked script, ready to run: flat tables in one piece of memory that
 * is at the same time what a cache file holds. Nothing in it is a pointer,
 * so loading is reading and one walk that believes nothing: the file may
 * have been written by anybody.
 *
 *	header | nodes | args | strings | bytes | text of the script
 *
 * Nodes stand in pre-order: children and next siblings come behind a node,
 * so following them ends. The text is kept to compare with: an image is for
 * exactly one script.
 */
#ifndef FILTERS_SIEVE_PROGRAM_H
#define FILTERS_SIEVE_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/sieve/registry.h"
#include "store/base/buf.h"
#include "store/base/str.h"

/* Changes whenever a slot, a code or the meaning of a node does. */
#define PROGRAM_VERSION 6

enum program_flag {
	PROGRAM_VARIABLES = 1 << 0,
};

struct program_header {
	char magic[8];
	uint32_t version;
	uint32_t flags;
	uint64_t fingerprint;	/* of registry and settings */
	uint64_t extensions;	/* bits that the script requires */
	uint32_t n_nodes;
	uint32_t n_args;
	uint32_t n_strings;
	uint32_t n_bytes;
	uint32_t n_text;
	uint32_t n_total;
};

struct node {
	uint64_t present;	/* slots that have an argument */
	uint32_t args;		/* first of them, in the order of slots */
	uint32_t tests;		/* first child test, 0: none */
	uint32_t block;		/* first command of the block, 0: none */
	uint32_t next;		/* next test or command beside it, 0: last */
	uint32_t line;
	uint32_t column;
	uint16_t op;
	uint16_t n_tests;
	uint32_t unused;
};

struct arg {
	uint32_t kind;		/* enum value_kind; VALUE_NONE: code in a */
	uint32_t a;		/* string index; first of a list; low half */
	uint32_t b;		/* length of a list; high half */
};

enum string_flag {
	STRING_VARIABLES = 1 << 0,	/* has "${": expand before use */
};

struct program_string {
	uint32_t off;
	uint32_t n;
	uint32_t flags;
};

struct program {
	const struct program_header *h;
	const struct node *nodes;
	const struct arg *args;
	const struct program_string *strings;
	const char *bytes;
	struct str text;
};

/* Looks at `image` and says what is where. -1: not ours, not for this
 * text, or broken. The program borrows from the image. */
int program_load(struct str image, struct str text, uint64_t fingerprint,
    struct program *p_r);

/* The argument in a slot, or NULL. */
const struct arg *program_arg(const struct program *p, const struct node *n,
    enum slot slot);
static inline bool
node_has(const struct node *n, enum slot slot)
{
	return n->present >> slot & 1;
}
uint64_t program_number(const struct arg *a);
struct str program_string(const struct program *p, uint32_t index,
    uint32_t *flags_r);

/* What a slot holds, wherever it occurs. */
enum value_kind program_slot_kind(enum slot slot);

/* --- building --- */

struct program_builder {
	struct buf nodes;
	struct buf args;
	struct buf strings;
	struct buf bytes;
	uint32_t n_nodes;
	uint32_t n_args;
	uint32_t n_strings;
	bool full;
};

void program_builder_init(struct program_builder *b);
void program_builder_release(struct program_builder *b);
/* Each gives an index; `full` says whether all fitted. */
uint32_t program_add_node(struct program_builder *b, const struct node *n);
struct node *program_node(struct program_builder *b, uint32_t index);
uint32_t program_add_arg(struct program_builder *b, const struct arg *a);
uint32_t program_add_string(struct program_builder *b, struct str s,
    uint32_t flags);
int program_finish(struct program_builder *b, struct str text,
    uint64_t fingerprint, uint64_t extensions, uint32_t flags,
    struct buf *image_r);

#endif
