/*
 * A header from bytes: every byte is in a field, the rest or the body; values
 * are what their promises say; the overlay does what the first bytes tell it,
 * and what is written reads again as the same fields.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/message/encoded.h"
#include "filters/message/header.h"
#include "filters/message/limits.h"
#include "filters/message/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
header_check(bool good)
{
	if (!good)
		abort();
}

static void
header_walk(struct header *h)
{
	size_t n = 0;

	for (struct field *f = header_first(h); f; f = field_after(f)) {
		struct str v = field_value(h, f), t = field_text(h, f);

		n++;
		header_check(utf8_valid(t));
		header_check(str_chr(v, '\n') < 0);
		header_check(str_trim(v).n == v.n && str_trim(t).n == t.n);
		header_check(f->raw.n > 0);
		if (f->name.n) {
			struct field *g = header_find(h, f->name);

			while (g && g != f)
				g = field_next(g);
			header_check(g == f);
			for (g = header_find_last(h, f->name); g && g != f;)
				g = field_prev(g);
			header_check(g == f);
		}
		if (n > 200)
			return;
	}
	header_check(n == h->count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct header h, again;
	struct str bytes, body, text;
	struct buf b;
	uint8_t ops;

	if (size < 2 || size > 20000)
		return 0;
	ops = data[0];
	bytes = str_mem(data + 1, size - 1);
	arena_init(&a, ops & 0x80 ? (size_t)data[1] * 40 : (size_t)16 << 20);
	body = header_init(&h, &a, bytes);
	header_check(body.n + h.bytes.n == bytes.n);
	buf_init(&b, (size_t)64 << 20);
	if (!h.full) {
		/* What it was made of is what it is. */
		for (struct field *f = header_first(&h); f; f = field_after(f))
			(void)buf_adds(&b, f->raw);
		header_check(b.n <= h.bytes.n &&
		    memcmp(b.p, bytes.p ? bytes.p : "", b.n) == 0);
		header_check(h.bytes.n - b.n <= 2);
	}
	if (!(ops & 0x80))
		header_walk(&h);
	text = str_sub(bytes, ops & 0x3f, 200);
	if (ops & 1)
		(void)header_add(&h, HEADER_TOP, STR("X-Top"), text);
	if (ops & 2)
		(void)header_add(&h, HEADER_BOTTOM, STR("Subject"), text);
	if (ops & 4)
		for (struct field *f = header_find(&h, STR("subject")); f;
		    f = field_next(f))
			header_delete(&h, f);
	if (ops & 8 && header_first(&h))
		(void)header_replace(&h, header_first(&h), STR("A"), text);
	if (ops & 16 && header_last(&h))
		header_delete(&h, header_last(&h));
	if (!(ops & 0x80))
		header_walk(&h);
	buf_reset(&b);
	if (header_write(&h, &b) == 0 && !h.full && h.edited) {
		struct field *f, *g;
		struct str rest = header_init(&again, &a, buf_str(&b));

		header_check(rest.n == 0);
		header_check(again.full || again.count == h.count ||
		    /* A first line that begins with a blank, or what a field
		     * in front of it hid, joins what is now before it. */
		    again.count < h.count);
		f = header_find(&h, STR("x-top"));
		g = header_find(&again, STR("x-top"));
		if (f && f->added && g && !again.full &&
		    !(header_first(&h) == f && field_after(f) &&
		    ascii_isblank(field_after(f)->raw.p[0])))
			header_check(str_eq(field_text(&h, f),
			    field_text(&again, g)) ||
			    str_chr(field_text(&h, f), '\t') >= 0 ||
			    again.full);
	}
	buf_release(&b);
	arena_release(&a);
	return 0;
}
