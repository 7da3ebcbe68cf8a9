/*
 * Syntax tree to program: names, arguments, requirements, and whatever else
 * can be known before a message is there.
 *
 * check_compile() is for engine_native; the rest is for the `check`
 * functions of extensions, which look at one command or test whose arguments
 * are sorted into slots already.
 */
#ifndef FILTERS_SIEVE_CHECK_H
#define FILTERS_SIEVE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/engine.h"
#include "filters/sieve/parser.h"
#include "filters/sieve/program.h"
#include "filters/sieve/registry.h"

/* 0 and the image, or -1 and errors. */
int check_compile(const struct engine_settings *settings,
    const struct engine_script *script, struct buf *image_r,
    struct engine_errors *errors);
/* What program_load() compares: engine version and settings. */
uint64_t check_fingerprint(const struct engine_settings *settings);

struct check_loop {
	const struct check_loop *outer;
	struct str name;	/* of a foreverypart; may be empty */
};

/* A variable that the script has named so far. */
struct check_variable {
	struct check_variable *next;
	struct str name;
	bool global;
};

struct check {
	struct arena arena;
	struct engine_errors *errors;
	struct str name;
	struct program_builder b;
	uint64_t allowed;	/* extension bits */
	uint64_t required;
	bool variables;		/* strings may hold "${" */
	bool encoded;		/* encoded-character is on */
	bool body_begun;	/* a command other than require was seen */
	unsigned depth;		/* of blocks; 0: top level */
	const struct check_loop *loop;
	struct check_variable *known;
	unsigned n_known;
};

/* A command or test, its arguments by slot. */
struct check_node {
	const struct syntax *syntax;
	const struct sieve_spec *spec;
	unsigned ext;
	uint64_t present;
	uint32_t code[SLOT_COUNT];
	const struct syntax_arg *value[SLOT_COUNT];	/* NULL: code only */
	struct syntax_arg made;		/* for a check that adds an argument */
};

static inline bool
check_has(const struct check_node *n, enum slot slot)
{
	return n->present >> slot & 1;
}

/* Reports at the node, or at one of its arguments. -1. */
int check_error(struct check *c, const struct check_node *n,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int check_error_arg(struct check *c, const struct syntax_arg *a,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int check_warn_arg(struct check *c, const struct syntax_arg *a,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Is this extension required? */
bool check_required(const struct check *c, const char *name);
/* Requires it from here on (ihave). */
void check_require(struct check *c, unsigned ext);
/* Holds the string no variable? Then its text is what run time will see. */
bool check_constant(const struct check *c, const struct syntax_arg *a);
/* A text that is known and can be no field's name (RFC 5322 section 2.2)? */
bool check_no_field_name(const struct check *c, const struct syntax_arg *a);
/* The items of a slot: those of a list, or the one string itself. */
const struct syntax_arg *check_items(const struct check_node *n,
    enum slot slot, uint32_t *count_r);
/* Sets or drops an argument; a code without a value. */
void check_set_code(struct check_node *n, enum slot slot, uint32_t code);
void check_drop(struct check_node *n, enum slot slot);
/* For printf: a name from the script, cut to what a line can hold. */
#define CHECK_NAME(s) ((int)((s).n > 80 ? 80 : (s).n)), ((s).p ? (s).p : "")

#endif
