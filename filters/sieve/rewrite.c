#include "filters/sieve/rewrite.h"

#include <string.h>

#include "filters/message/utf8.h"
#include "filters/sieve/actions.h"
#include "filters/sieve/limits.h"

int
rewrite_begin(struct run *r, const struct node *n, struct engine_body *b_r)
{
	if (++r->n_rewrites > LIMIT_REWRITES)
		return run_error(r, n, "replace and enclose are called more "
		    "than %d times", LIMIT_REWRITES);
	b_r->n_pieces = 0;
	b_r->pieces = run_alloc(r, n, ENGINE_PIECES_MAX * sizeof(*b_r->pieces));
	return b_r->pieces ? plan_begin_editions(r, n) : -1;
}

static int
add(struct run *r, const struct node *n, struct engine_body *b,
    struct engine_piece piece)
{
	if (b->n_pieces == ENGINE_PIECES_MAX)
		return run_error(r, n, "the message is made of more than %d "
		    "pieces", ENGINE_PIECES_MAX);
	b->pieces[b->n_pieces++] = piece;
	return 0;
}

int
rewrite_add_text(struct run *r, const struct node *n, struct engine_body *b,
    struct str text)
{
	return add(r, n, b, (struct engine_piece){
	    .text = text.n ? text : STR(""), .n = text.n });
}

int
rewrite_add_old(struct run *r, const struct node *n, struct engine_body *b,
    size_t from, size_t size)
{
	struct engine_piece whole = { .back = r->message.body.n,
	    .n = r->message.body.n };
	const struct engine_piece *list = r->body.pieces;
	size_t n_list = r->body.n_pieces, at = 0;

	if (!n_list) {
		list = &whole;
		n_list = 1;
	}
	for (size_t i = 0; i < n_list && size; i++) {
		struct engine_piece p = list[i];
		size_t skip = from > at ? from - at : 0;

		at += p.n;
		if (skip >= p.n)
			continue;
		p.n -= skip;
		if (p.n > size)
			p.n = size;
		if (p.text.p)
			p.text = str_sub(p.text, skip, p.n);
		else
			p.back -= skip;
		from += p.n;
		size -= p.n;
		if (add(r, n, b, p))
			return -1;
	}
	return 0;
}

static struct mime_part *
part_numbered(struct run *r, unsigned number)
{
	struct mime_part *root = message_mime(&r->message)->root, *p = root;

	while (p && p->number != number)
		p = mime_next(root, p);
	return p;
}

int
rewrite_commit(struct run *r, const struct node *n, struct str header,
    const struct engine_body *b, unsigned shift)
{
	struct str came = r->job->message;
	size_t total = header.n, at = header.n;
	char *p;

	for (size_t i = 0; i < b->n_pieces; i++)
		total += b->pieces[i].n;
	r->n_rewritten += total;
	if (r->n_rewritten > LIMIT_REWRITTEN)
		return run_error(r, n, "replace and enclose make more than %u "
		    "bytes", LIMIT_REWRITTEN);
	if (run_work(r, n, total))
		return -1;
	p = run_alloc(r, n, total + 1);
	if (!p)
		return -1;
	memcpy(p, header.p, header.n);
	for (size_t i = 0; i < b->n_pieces; i++) {
		const struct engine_piece *e = &b->pieces[i];
		const char *from = e->text.p ? e->text.p :
		    came.p + came.n - e->back;

		if (e->n)
			memcpy(p + at, from, e->n);
		at += e->n;
	}
	message_init(&r->message, &r->arena, str_mem(p, total));
	r->body = *b;
	r->header_changed = true;
	r->texts = NULL;
	r->raw_body = (struct str){ 0 };
	for (struct loop *l = r->loops; l; l = l->outer) {
		l->top = part_numbered(r, l->top->number + shift);
		l->part = part_numbered(r, l->part->number + shift);
		if (!l->top || !l->part)
			return run_error(r, n, "the message has too many parts "
			    "now");
	}
	return 0;
}

struct header *
rewrite_first_header(struct run *r)
{
	return r->first_header ? r->first_header : &r->message.header;
}

bool
rewrite_structural(struct str name)
{
	return str_caseeq(name, STR("MIME-Version")) ||
	    str_casestarts(name, STR("Content-"));
}

int
rewrite_text_fields(struct run *r, const struct node *n, struct str text,
    struct buf *out)
{
	(void)buf_addz(out, "Content-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: ");
	(void)buf_addz(out, utf8_is_ascii(text) ? "7bit\n\n" : "8bit\n\n");
	return out->full ? run_no_memory(r, n) : 0;
}
