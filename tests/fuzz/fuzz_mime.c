/*
 * MIME trees from bytes: parts lie in their parents and do not overlap, text
 * is UTF-8, decoding in pieces gives what decoding at once gives.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/message/html.h"
#include "filters/message/limits.h"
#include "filters/message/message.h"
#include "filters/message/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
mime_check(bool good)
{
	if (!good)
		abort();
}

static bool
inside(struct str in, struct str of)
{
	return in.p >= of.p && in.p + in.n <= of.p + of.n;
}

static void
one_part(const struct mime_part *p, uint8_t step)
{
	struct buf text, pieces, small;
	struct str in = p->body;
	struct transfer t;

	buf_init(&text, (size_t)4 << 20);
	buf_init(&pieces, (size_t)4 << 20);
	(void)mime_decode(p, &text);
	if (p->kind != MIME_MULTIPART) {
		buf_init(&small, (size_t)step + TRANSFER_ROOM);
		transfer_init(&t, p->encoding);
		while (in.n) {
			struct str some = str_sub(in, 0, (size_t)step + 1);

			in = str_sub(in, some.n, in.n);
			while (transfer_feed(&t, &some, &small) < 0) {
				mime_check(small.n > 0);
				(void)buf_adds(&pieces, buf_str(&small));
				buf_reset(&small);
			}
		}
		(void)buf_adds(&pieces, buf_str(&small));
		buf_reset(&small);
		(void)transfer_finish(&t, &small);
		(void)buf_adds(&pieces, buf_str(&small));
		buf_release(&small);
		mime_check(str_eq(buf_str(&text), buf_str(&pieces)));
	}
	buf_reset(&text);
	(void)mime_decode_text(p, &text);
	mime_check(utf8_valid(buf_str(&text)));
	buf_reset(&pieces);
	(void)html_text(buf_str(&text), &pieces);
	mime_check(utf8_valid(buf_str(&pieces)));
	buf_release(&text);
	buf_release(&pieces);
	/* A ceiling that is met in the middle. */
	buf_init(&text, step);
	(void)mime_extract_text(p, &text);
	mime_check(utf8_valid(buf_str(&text)));
	buf_release(&text);
	for (size_t i = 0; i < p->type.n_params; i++)
		mime_check(utf8_valid(p->type.params[i].value));
	mime_check(utf8_valid(p->filename));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct message m;
	const struct mime_tree *t;
	unsigned n = 0;

	if (size < 1 || size > 20000)
		return 0;
	arena_init(&a, data[0] & 0x80 ? (size_t)(data[0] & 0x7f) * 100 :
	    (size_t)32 << 20);
	message_init(&m, &a, str_mem(data + 1, size - 1));
	t = message_mime(&m);
	for (struct mime_part *p = t->root; p; p = mime_next(t->root, p)) {
		mime_check(p->number == n++);
		mime_check(p->depth < MIME_DEPTH_MAX);
		mime_check(inside(p->body, p->raw));
		mime_check(!p->parent || inside(p->raw, p->parent->body));
		mime_check(!p->next || p->next->raw.p >= p->raw.p + p->raw.n);
		mime_check((p->kind == MIME_LEAF) <= !p->child);
		if (p->kind == MIME_MULTIPART) {
			mime_check(inside(p->preamble, p->body) ||
			    !p->preamble.n);
			mime_check(inside(p->epilogue, p->body) ||
			    !p->epilogue.n);
		}
		if (n < 40)
			one_part(p, data[0] & 0x3f);
	}
	mime_check(n == t->n_parts || message_full(&m));
	mime_check(t->root || message_full(&m));
	arena_release(&a);
	return 0;
}
