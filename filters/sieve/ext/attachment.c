/*
 * attachment (vnd.vbox.attachment): what is attached to the message, by its
 * real type, its name, what it says to be.
 *
 *	attachment [:type | :name | :declared | :extension | :size | :flag]
 *	    [COMPARATOR] [MATCH-TYPE] <keys: string-list>
 *
 * Each attachment, and each member of an archive, has one value (:flag: one
 * for each flag). Within foreverypart: those of the current part.
 */
#include <stdio.h>

#include "filters/content.h"
#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/match.h"

enum what {
	ATTACHMENT_TYPE,
	ATTACHMENT_NAME,
	ATTACHMENT_DECLARED,
	ATTACHMENT_EXTENSION,
	ATTACHMENT_SIZE,
	ATTACHMENT_FLAG,
};

static int
match_flags(struct match *m, const struct attachment *x)
{
	unsigned flags = content_flags(x);

	for (unsigned bit = 1; bit <= CONTENT_ATTACHED; bit <<= 1) {
		const char *word = flags & bit ? content_flag_word(bit) : NULL;
		int r = word ? match_value(m, str_of(word)) : 0;

		if (r)
			return r;
	}
	return 0;
}

/* A leaf may have two names. */
static int
match_either(struct match *m, struct str one, struct str other)
{
	int x = one.n ? match_value(m, one) : 0;

	return x == 0 && other.n ? match_value(m, other) : x;
}

static int
match_one(struct run *r, const struct node *n, struct match *m,
    const struct attachment *x)
{
	char number[24];

	switch (run_code(r, n, SLOT_ATTACHMENT, ATTACHMENT_TYPE)) {
	case ATTACHMENT_TYPE:
		return match_value(m, x->type);
	case ATTACHMENT_NAME:
		return match_either(m, x->name, x->other_name);
	case ATTACHMENT_DECLARED:
		return x->declared.n ? match_value(m, x->declared) : 0;
	case ATTACHMENT_EXTENSION:
		return match_either(m, x->extension, x->other_extension);
	case ATTACHMENT_SIZE:
		(void)snprintf(number, sizeof(number), "%llu",
		    (unsigned long long)x->size);
		return match_value(m, run_copy(r, str_of(number)));
	case ATTACHMENT_FLAG:
		return match_flags(m, x);
	}
	return 0;
}

/* Parts are numbered in the order of the tree: the list's own view of the
 * message has the same numbers. */
static bool
belongs(const struct run *r, const struct attachment *x)
{
	const struct mime_part *part = r->loops ? r->loops->part : NULL;

	return !part || (x->part && x->part->number == part->number);
}

static int
test(struct run *r, const struct node *n)
{
	const struct engine_attachments *source = r->job->attachments;
	const struct attachments *all = source ? source->list(source->ctx) :
	    NULL;
	struct match m;
	int x;

	if (!all)
		return run_error(r, n, "attachments cannot be looked at here");
	/* those of the message as it came are known, and by their number */
	if (r->loops && r->n_rewrites)
		return run_error(r, n, "the attachments of a part cannot be "
		    "looked at once the message was replaced or enclosed");
	if (match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	for (size_t i = 0; i < all->n; i++) {
		if (run_work(r, n, WORK_NODE))
			return -1;
		if (!belongs(r, all->list[i]))
			continue;
		x = match_one(r, n, &m, all->list[i]);
		if (x)
			return x;
	}
	return match_end(&m);
}

static const struct sieve_spec specs[] = {
	{ .name = "attachment", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = { { VALUE_LIST, SLOT_KEYS, false } }, .test = test },
};

#define WHAT(word, what) { .name = word, .on = ON_OWN, .spec = "attachment", \
	.slot = SLOT_ATTACHMENT, .code = what }

static const struct sieve_tag tags[] = {
	WHAT("type", ATTACHMENT_TYPE),
	WHAT("name", ATTACHMENT_NAME),
	WHAT("declared", ATTACHMENT_DECLARED),
	WHAT("extension", ATTACHMENT_EXTENSION),
	WHAT("size", ATTACHMENT_SIZE),
	WHAT("flag", ATTACHMENT_FLAG),
};

const struct sieve_ext ext_attachment = {
	.name = "vnd.vbox.attachment",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
