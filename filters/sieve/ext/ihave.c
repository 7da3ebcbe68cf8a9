/* ihave (RFC 5463): ihave, error. What is behind a false ihave is not
 * checked (check.c). */
#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/ext/list.h"

/* Section 4: what changes how a script is read must be required; ihave for it
 * is false, and it stays off. */
static bool
changes_reading(struct str name)
{
	return str_eq(name, STR("variables")) ||
	    str_eq(name, STR("encoded-character"));
}

static int
check(struct check *c, struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *first = check_items(n, SLOT_LIST, &count);
	const struct syntax_arg *i = first;
	uint32_t all = count;

	for (; count; count--, i = i->next) {
		int ext = registry_find(i->text);

		if (ext < 0 || !(c->allowed >> ext & 1) ||
		    changes_reading(i->text))
			break;
	}
	check_set_code(n, SLOT_AUX, count == 0);
	if (count)
		return 0;
	/* section 4: what is there may be used from here on */
	for (i = first; all; all--, i = i->next)
		check_require(c, (unsigned)registry_find(i->text));
	return 0;
}

static int
test(struct run *r, const struct node *n)
{
	return run_code(r, n, SLOT_AUX, 0) != 0;
}

static int
command_error(struct run *r, const struct node *n)
{
	struct str s;

	if (run_string(r, n, SLOT_STRING, &s))
		return -1;
	return run_error(r, n, "%s", run_show(s));
}

static const struct sieve_spec specs[] = {
	{ .name = "ihave", .kind = SPEC_TEST,
	    .params = { { VALUE_LIST, SLOT_LIST, true } },
	    .check = check, .test = test },
	{ .name = "error",
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .command = command_error },
};

const struct sieve_ext ext_ihave = {
	.name = "ihave",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
};
