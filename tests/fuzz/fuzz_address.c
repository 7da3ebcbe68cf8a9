/*
 * Addresses from bytes: results are UTF-8 without controls, and what is
 * written back reads as the same address.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/message/address.h"
#include "filters/message/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
address_check(bool good)
{
	if (!good)
		abort();
}

static void
one_address(struct arena *a, const struct address *x)
{
	struct address_list again;

	address_check(utf8_valid(x->display) && utf8_valid(x->local) &&
	    utf8_valid(x->domain) && utf8_valid(x->spec));
	if (x->kind != ADDRESS_MAILBOX)
		return;
	address_check(x->local.n && x->domain.n);
	for (size_t i = 0; i < x->spec.n; i++)
		address_check(!ascii_iscntrl(x->spec.p[i]) ||
		    x->spec.p[i] == '\t');
	address_list(a, x->spec, &again);
	if (again.cut)
		return;
	address_check(again.n == 1 && again.list[0].kind == ADDRESS_MAILBOX);
	address_check(str_eq(again.list[0].local, x->local));
	address_check(str_eq(again.list[0].domain, x->domain));
	address_check(str_eq(again.list[0].spec, x->spec));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct address_list l;
	struct address x;
	struct str s;
	const char *why;

	if (size < 1 || size > 20000)
		return 0;
	s = str_mem(data + 1, size - 1);
	arena_init(&a, data[0] & 0x80 ? (size_t)data[0] * 8 :
	    (size_t)32 << 20);
	address_list(&a, s, &l);
	for (size_t i = 0; i < l.n && i < 50; i++)
		one_address(&a, &l.list[i]);
	if (address_parse(&a, s, data[0] & 1 ? ADDRESS_NAMED : ADDRESS_BARE,
	    &x, &why) == 0) {
		one_address(&a, &x);
		/* What is taken strictly is taken from a header, too. */
		address_list(&a, s, &l);
		address_check(l.cut || (l.n == 1 &&
		    str_eq(l.list[0].spec, x.spec)));
	} else {
		address_check(why && *why);
	}
	why = NULL;
	if (address_parse_path(&a, s, &x, &why) == 0)
		one_address(&a, &x);
	else
		address_check(why && *why);
	arena_release(&a);
	return 0;
}
