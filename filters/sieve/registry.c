#include "filters/sieve/registry.h"

#include <stddef.h>

#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"

/* The order is part of the image (program.h): append, and raise
 * PROGRAM_VERSION when something moves. */
static const struct sieve_ext *const all[] = {
	&ext_core,
#define EXT(name) &ext_##name,
	EXT_LIST(EXT)
#undef EXT
};

_Static_assert(COUNT_OF(all) <= LIMIT_EXTENSIONS, "one bit each");

unsigned
registry_count(void)
{
	return COUNT_OF(all);
}

const struct sieve_ext *
registry_ext(unsigned i)
{
	return all[i];
}

int
registry_find(struct str name)
{
	for (unsigned i = 0; i < COUNT_OF(all); i++)
		if (!(all[i]->flags & EXT_CORE && i == 0) &&
		    str_eq(str_of(all[i]->name), name))
			return (int)i;
	return -1;
}

static uint64_t
default_bits(uint64_t *core_r)
{
	uint64_t bits = 0, core = 0;

	for (unsigned i = 0; i < COUNT_OF(all); i++) {
		if (all[i]->flags & EXT_CORE)
			core |= (uint64_t)1 << i;
		if (!(all[i]->flags & EXT_OFF))
			bits |= (uint64_t)1 << i;
	}
	*core_r = core;
	return bits;
}

static bool
next_word(struct str *rest, struct str *word_r)
{
	size_t i = 0, j;

	while (i < rest->n && (ascii_isblank(rest->p[i]) || rest->p[i] == ','))
		i++;
	for (j = i; j < rest->n && !ascii_isblank(rest->p[j]) &&
	    rest->p[j] != ','; j++)
		;
	*word_r = str_sub(*rest, i, j - i);
	*rest = str_sub(*rest, j, rest->n);
	return word_r->n > 0;
}

uint64_t
registry_allowed(struct str setting, struct str *unknown_r)
{
	uint64_t core, bits = default_bits(&core), every;
	struct str rest = setting, word;
	bool first = true;

	every = COUNT_OF(all) == 64 ? UINT64_MAX :
	    ((uint64_t)1 << COUNT_OF(all)) - 1;
	if (unknown_r)
		*unknown_r = (struct str){ 0 };
	while (next_word(&rest, &word)) {
		char sign = word.p[0];
		int i;

		if (sign == '+' || sign == '-')
			word = str_sub(word, 1, word.n);
		else
			sign = 0;
		if (str_eq(word, STR("default"))) {
			first = false;
			continue;
		}
		if (str_eq(word, STR("all"))) {
			bits = every;
			first = false;
			continue;
		}
		/* a bare list is exactly that list */
		if (first && !sign)
			bits = core;
		first = false;
		i = registry_find(word);
		if (i < 0) {
			if (unknown_r)
				*unknown_r = word;
			continue;
		}
		if (sign == '-')
			bits &= ~((uint64_t)1 << i);
		else
			bits |= (uint64_t)1 << i;
	}
	return bits | core;
}

/* 32 commands and tests per extension; 0 is nothing. */
uint16_t
registry_op(unsigned ext, unsigned spec)
{
	return (uint16_t)(ext * 32 + spec + 1);
}

const struct sieve_spec *
registry_spec(uint16_t op)
{
	unsigned ext = (op - 1u) / 32, spec = (op - 1u) % 32;

	if (op == 0 || ext >= COUNT_OF(all) || spec >= all[ext]->n_specs)
		return NULL;
	return &all[ext]->specs[spec];
}

uint16_t
registry_spec_find(struct str name, enum spec_tests is_test, uint64_t bits,
    unsigned *ext_r)
{
	for (; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);

		if (i >= COUNT_OF(all))
			break;
		for (unsigned k = 0; k < all[i]->n_specs; k++) {
			const struct sieve_spec *s = &all[i]->specs[k];

			if ((s->kind == SPEC_TEST) !=
			    (is_test != TESTS_NONE))
				continue;
			if (!str_caseeq(str_of(s->name), name))
				continue;
			*ext_r = i;
			return registry_op(i, k);
		}
	}
	return 0;
}
