#include "filters/sieve/program.h"

#include <string.h>

#include "filters/sieve/ext/mimeopt.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"
#include "filters/sieve/values.h"

static const char MAGIC[8] = "VBSIEVE";

_Static_assert(SLOT_COUNT <= 64, "slots are bits of a word");
_Static_assert(sizeof(struct program_header) % 8 == 0, "tables are aligned");
_Static_assert(sizeof(struct node) % 8 == 0, "tables are aligned");

/* --- reading --- */

const struct arg *
program_arg(const struct program *p, const struct node *n, enum slot slot)
{
	uint64_t below = n->present & (((uint64_t)1 << slot) - 1);

	if (!node_has(n, slot))
		return NULL;
	return &p->args[n->args + (unsigned)__builtin_popcountll(below)];
}

uint64_t
program_number(const struct arg *a)
{
	return (uint64_t)a->b << 32 | a->a;
}

struct str
program_string(const struct program *p, uint32_t index, uint32_t *flags_r)
{
	const struct program_string *s = &p->strings[index];

	*flags_r = s->flags;
	return str_mem(p->bytes + s->off, s->n);
}

/* The kind that a slot holds wherever a tag fills it. */
enum value_kind
program_slot_kind(enum slot slot)
{
	switch (slot) {
	case SLOT_MATCH:
	case SLOT_ADDRESS_PART:
	case SLOT_OVER:
	case SLOT_COPY:
	case SLOT_CREATE:
	case SLOT_LAST:
	case SLOT_ORIGINAL_ZONE:
	case SLOT_BODY:
	case SLOT_MIME:
	case SLOT_ANYCHILD:
	case SLOT_MIME_PART:
	case SLOT_MODIFIERS:
	case SLOT_LOCATION:
	case SLOT_ONCE:
	case SLOT_OPTIONAL:
	case SLOT_MIME_REASON:
	case SLOT_PERCENT:
	case SLOT_BYTRACE:
	case SLOT_LIST_TARGET:
	case SLOT_ATTACHMENT:
	case SLOT_AUX:
		return VALUE_NONE;
	case SLOT_NUMBER:
	case SLOT_INDEX:
	case SLOT_FIRST:
	case SLOT_SECONDS:
	case SLOT_DAYS:
	case SLOT_BYTIME:
		return VALUE_NUMBER;
	case SLOT_HEADERS:
	case SLOT_KEYS:
	case SLOT_LIST:
	case SLOT_FLAGS:
	case SLOT_CONTENT:
	case SLOT_PARAM:
	case SLOT_ADDRESSES:
	case SLOT_OPTIONS:
		return VALUE_LIST;
	default:
		return VALUE_STRING;
	}
}

/* The codes that a tag can set: the largest of each slot. */
static uint32_t
code_max(enum slot slot)
{
	switch (slot) {
	case SLOT_MATCH: return MATCH_LIST;
	case SLOT_ADDRESS_PART: return ADDRESS_PART_DETAIL;
	case SLOT_BODY: return 2;
	case SLOT_ATTACHMENT: return 5;
	case SLOT_MIME_PART: return MIME_OPT_PARAM;
	case SLOT_MODIFIERS: return 0x1fff;
	default: return 1;
	}
}

static bool
arg_ok(const struct program *p, const struct arg *a, enum slot slot)
{
	enum value_kind want = program_slot_kind(slot);

	if (a->kind != want)
		return false;
	switch (want) {
	case VALUE_NONE:
		return a->a <= code_max(slot);
	case VALUE_NUMBER:
		return true;
	case VALUE_STRING:
		return a->a < p->h->n_strings;
	case VALUE_LIST:
		return a->a <= p->h->n_strings &&
		    a->b <= p->h->n_strings - a->a;
	}
	return false;
}

static bool
args_ok(const struct program *p, const struct node *n,
    const struct sieve_spec *spec)
{
	unsigned count = (unsigned)__builtin_popcountll(n->present);
	uint64_t left = n->present;

	if (SLOT_COUNT < 64 && n->present >> SLOT_COUNT)
		return false;
	if (n->args > p->h->n_args || count > p->h->n_args - n->args)
		return false;
	for (unsigned i = 0; left; i++, left &= left - 1) {
		enum slot slot = (enum slot)__builtin_ctzll(left);

		if (!arg_ok(p, &p->args[n->args + i], slot))
			return false;
	}
	/* what a function of the spec takes for granted must be there */
	for (unsigned i = 0; i < SPEC_PARAMS; i++) {
		const struct sieve_param *q = &spec->params[i];
		bool optional = (spec->flags & SPEC_FIRST_OPTIONAL && i == 0) ||
		    (spec->flags & SPEC_SECOND_OPTIONAL &&
		    (i + 1 == SPEC_PARAMS ||
		    spec->params[i + 1].kind == VALUE_NONE));

		if (q->kind == VALUE_NONE)
			break;
		if (!optional && !node_has(n, q->slot))
			return false;
	}
	return true;
}

/* Follows one level; recursion is bounded by the depth that is checked. */
static bool
level_ok(const struct program *p, uint32_t first, uint32_t parent,
    enum spec_tests tests, unsigned count, unsigned depth, uint32_t *seen)
{
	uint32_t before = parent;
	unsigned n = 0;

	if (depth > 2 * LIMIT_NESTING + 2)
		return false;
	for (uint32_t i = first; i; i = p->nodes[i].next) {
		const struct node *x;
		const struct sieve_spec *spec;

		/* forwards only, and each node once */
		if (i >= p->h->n_nodes || i <= before || ++*seen > p->h->n_nodes)
			return false;
		before = i;
		x = &p->nodes[i];
		spec = registry_spec(x->op);
		if (!spec || (spec->kind == SPEC_TEST) != (tests != TESTS_NONE))
			return false;
		if (!args_ok(p, x, spec))
			return false;
		if (spec->tests == TESTS_NONE ? x->tests != 0 : x->tests == 0)
			return false;
		if (x->block && !(spec->flags & SPEC_BLOCK))
			return false;
		if (x->tests && !level_ok(p, x->tests, i, spec->tests,
		    x->n_tests, depth + 1, seen))
			return false;
		if (x->block && !level_ok(p, x->block, i, TESTS_NONE, 0,
		    depth + 1, seen))
			return false;
		n++;
	}
	return tests == TESTS_NONE || (n == count &&
	    (tests == TESTS_LIST || n == 1));
}

int
program_load(struct str image, struct str text, uint64_t fingerprint,
    struct program *p_r)
{
	const struct program_header *h = (const void *)image.p;
	struct program p = { .h = h };
	uint64_t at = sizeof(*h);
	uint32_t seen = 0;

	if (image.n < sizeof(*h) || ((uintptr_t)image.p & 7))
		return -1;
	if (memcmp(h->magic, MAGIC, sizeof(MAGIC)) ||
	    h->version != PROGRAM_VERSION || h->fingerprint != fingerprint ||
	    h->n_total != image.n || h->n_text != text.n)
		return -1;
	p.nodes = (const void *)(image.p + at);
	at += (uint64_t)h->n_nodes * sizeof(struct node);
	if (at > image.n)
		return -1;
	p.args = (const void *)(image.p + at);
	at += (uint64_t)h->n_args * sizeof(struct arg);
	if (at > image.n)
		return -1;
	p.strings = (const void *)(image.p + at);
	at += (uint64_t)h->n_strings * sizeof(struct program_string);
	if (at > image.n)
		return -1;
	p.bytes = image.p + at;
	at += h->n_bytes;
	if (at + h->n_text != image.n)
		return -1;
	p.text = str_mem(image.p + at, h->n_text);
	if (!str_eq(p.text, text))
		return -1;
	for (uint32_t i = 0; i < h->n_strings; i++)
		if (p.strings[i].off > h->n_bytes ||
		    p.strings[i].n > h->n_bytes - p.strings[i].off)
			return -1;
	/* node 0 is the root: its block is the script */
	if (h->n_nodes == 0 || p.nodes[0].next || p.nodes[0].tests ||
	    p.nodes[0].present)
		return -1;
	if (!level_ok(&p, p.nodes[0].block, 0, TESTS_NONE, 0, 0, &seen))
		return -1;
	*p_r = p;
	return 0;
}

/* --- building --- */

void
program_builder_init(struct program_builder *b)
{
	memset(b, 0, sizeof(*b));
	buf_init(&b->nodes, (size_t)LIMIT_NODES * sizeof(struct node));
	buf_init(&b->args, (size_t)LIMIT_NODES * 4 * sizeof(struct arg));
	buf_init(&b->strings,
	    (size_t)LIMIT_STRINGS * sizeof(struct program_string));
	buf_init(&b->bytes, 2 * LIMIT_SCRIPT_SIZE);
}

void
program_builder_release(struct program_builder *b)
{
	buf_release(&b->nodes);
	buf_release(&b->args);
	buf_release(&b->strings);
	buf_release(&b->bytes);
}

uint32_t
program_add_node(struct program_builder *b, const struct node *n)
{
	if (buf_add(&b->nodes, n, sizeof(*n))) {
		b->full = true;
		return 0;
	}
	return b->n_nodes++;
}

struct node *
program_node(struct program_builder *b, uint32_t index)
{
	return (struct node *)(void *)b->nodes.p + index;
}

uint32_t
program_add_arg(struct program_builder *b, const struct arg *a)
{
	if (buf_add(&b->args, a, sizeof(*a))) {
		b->full = true;
		return 0;
	}
	return b->n_args++;
}

uint32_t
program_add_string(struct program_builder *b, struct str s, uint32_t flags)
{
	struct program_string x = { (uint32_t)b->bytes.n, (uint32_t)s.n,
	    flags };

	if (buf_adds(&b->bytes, s) || buf_add(&b->strings, &x, sizeof(x))) {
		b->full = true;
		return 0;
	}
	return b->n_strings++;
}

int
program_finish(struct program_builder *b, struct str text,
    uint64_t fingerprint, uint64_t extensions, uint32_t flags,
    struct buf *image_r)
{
	struct program_header h = {
		.version = PROGRAM_VERSION,
		.flags = flags,
		.fingerprint = fingerprint,
		.extensions = extensions,
		.n_nodes = b->n_nodes,
		.n_args = b->n_args,
		.n_strings = b->n_strings,
		.n_bytes = (uint32_t)b->bytes.n,
		.n_text = (uint32_t)text.n,
	};
	uint64_t total = sizeof(h) + b->nodes.n + b->args.n + b->strings.n +
	    b->bytes.n + text.n;

	if (b->full || total > LIMIT_IMAGE)
		return -1;
	memcpy(h.magic, MAGIC, sizeof(MAGIC));
	h.n_total = (uint32_t)total;
	buf_reset(image_r);
	if (buf_reserve(image_r, total))
		return -1;
	(void)buf_add(image_r, &h, sizeof(h));	/* reserved just now */
	(void)buf_adds(image_r, buf_str(&b->nodes));
	(void)buf_adds(image_r, buf_str(&b->args));
	(void)buf_adds(image_r, buf_str(&b->strings));
	(void)buf_adds(image_r, buf_str(&b->bytes));
	return buf_adds(image_r, text);
}
