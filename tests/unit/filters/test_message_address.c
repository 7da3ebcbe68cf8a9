/* Addresses: lists as mail has them, single ones as scripts may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "filters/message/address.h"
#include "filters/message/limits.h"
#include "store/base/buf.h"

#define LIMIT ((size_t)64 << 20)

/* A list as text: "display<spec>" for a mailbox, "[name:" and "]" for a group,
 * "!raw" for what is none, "?local" without a domain, "0" for <>. */
static void
show(const struct address_list *l, struct buf *b)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct address *a = &l->list[i];

		if (i)
			(void)buf_addc(b, ' ');
		switch (a->kind) {
		case ADDRESS_MAILBOX:
			(void)buf_adds(b, a->display);
			(void)buf_addc(b, '<');
			(void)buf_adds(b, a->spec);
			(void)buf_addc(b, '>');
			break;
		case ADDRESS_NO_DOMAIN:
			(void)buf_addc(b, '?');
			(void)buf_adds(b, a->local);
			break;
		case ADDRESS_NULL:
			(void)buf_addc(b, '0');
			break;
		case ADDRESS_GROUP:
			(void)buf_addc(b, '[');
			(void)buf_adds(b, a->display);
			(void)buf_addc(b, ':');
			break;
		case ADDRESS_GROUP_END:
			(void)buf_addc(b, ']');
			break;
		case ADDRESS_INVALID:
			(void)buf_addc(b, '!');
			(void)buf_adds(b, a->raw);
			break;
		}
	}
}

static void
lists(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "", "" },
		{ " \t", "" },
		{ "a@b", "<a@b>" },
		{ " a@b ", "<a@b>" },
		{ "<a@b>", "<a@b>" },
		{ "A.B@C.D", "<A.B@C.D>" },
		{ "a@b, c@d", "<a@b> <c@d>" },
		{ "a@b,,c@d,", "<a@b> <c@d>" },
		{ ",", "" },
		{ "a@b; c@d", "<a@b> <c@d>" },
		{ "Fred <a@b>", "Fred<a@b>" },
		{ "Fred Flint <a@b>", "Fred Flint<a@b>" },
		{ "Fred  \tFlint <a@b>", "Fred Flint<a@b>" },
		{ "\"Flint, Fred\" <a@b>", "Flint, Fred<a@b>" },
		{ "\"a \\\"b\\\" c\" <a@b>", "a \"b\" c<a@b>" },
		{ "\"Fred\" \"Flint\" <a@b>", "Fred Flint<a@b>" },
		{ "\"Fred\"<a@b>", "Fred<a@b>" },
		{ "Fred F. Flint <a@b>", "Fred F. Flint<a@b>" },
		{ "F.F. <a@b>", "F.F.<a@b>" },
		{ "Fred,Flint <a@b>", "?Fred Flint<a@b>" },
		{ "=?utf-8?q?J=C3=BCrgen?= <a@b>", "J\xc3\xbcrgen<a@b>" },
		{ "=?utf-8?q?x=2Cy?= <a@b>", "x,y<a@b>" },
		{ "=?utf-8?q?a?= =?utf-8?q?b?= <a@b>", "ab<a@b>" },
		{ "\"=?utf-8?q?=C3=BC?=\" <a@b>", "\xc3\xbc<a@b>" },
		{ "J\xc3\xbcrgen <a@b>", "J\xc3\xbcrgen<a@b>" },
		{ "J\xfcrgen <a@b>", "J\xef\xbf\xbdrgen<a@b>" },
		{ "a@b (Fred)", "Fred<a@b>" },
		{ "a@b (Fred (the) Flint)", "Fred (the) Flint<a@b>" },
		{ "(c) a (d) @ (e) b (f)", "f<a@b>" },
		{ "a@b (=?utf-8?q?=C3=BC?=)", "\xc3\xbc<a@b>" },
		{ "a@b (a \\) b)", "a ) b<a@b>" },
		{ "Fred (x) <a@b>", "Fred<a@b>" },
		{ "<a@b> (Fred)", "<a@b>" },
		{ "x <a @ b . c>", "x<a@b.c>" },
		{ "x <a(c)@(d)b>", "x<a@b>" },
		{ "x\n <a@b>,\n\ty\r\n <c@d>", "x<a@b> y<c@d>" },
		{ "a . b @ c", "<a.b@c>" },
		{ "\"a b\"@c", "<\"a b\"@c>" },
		{ "\"ab\"@c", "<ab@c>" },
		{ "\"a.b\"@c", "<a.b@c>" },
		{ "\"a@b\"@c", "<\"a@b\"@c>" },
		{ "\"a\\\"b\"@c", "<\"a\\\"b\"@c>" },
		{ "\"a\\\\b\"@c", "<\"a\\\\b\"@c>" },
		{ "a.\"b c\".d@e", "<\"a.b c.d\"@e>" },
		{ "a..b@c.d", "<\"a..b\"@c.d>" },
		{ ".a@b.c", "<\".a\"@b.c>" },
		{ "a.@b.c", "<\"a.\"@b.c>" },
		{ "\"\"@b", "!\"\"@b" },
		{ "a@[1.2.3.4]", "<a@[1.2.3.4]>" },
		{ "a@[ 1.2.3.4 ]", "<a@[1.2.3.4]>" },
		{ "a@[IPv6:2001:db8::1]", "<a@[IPv6:2001:db8::1]>" },
		{ "a@[1.2", "!a@[1.2" },
		{ "a@[]", "!a@[]" },
		{ "[1.2.3.4]@x", "![1.2.3.4]@x" },
		{ "\xc3\xa4@\xc3\xb6.de", "<\xc3\xa4@\xc3\xb6.de>" },
		{ "<@a,@b:c@d>", "<c@d>" },
		{ "x <@a.b:c@d>, e@f", "x<c@d> <e@f>" },
		{ "<@a,@b>", "!<@a,@b>" },
		{ "<@a:>", "!<@a:>" },
		{ "g:;", "[g: ]" },
		{ "undisclosed-recipients:;", "[undisclosed-recipients: ]" },
		{ "Undisclosed recipients: ;", "[Undisclosed recipients: ]" },
		{ "g: a@b, c@d;", "[g: <a@b> <c@d> ]" },
		{ "g: a@b, c@d;, e@f", "[g: <a@b> <c@d> ] <e@f>" },
		{ "g: a@b", "[g: <a@b> ]" },
		{ "\"My, group\": Fred <a@b>;", "[My, group: Fred<a@b> ]" },
		{ "g:;, h:;", "[g: ] [h: ]" },
		{ "g: (empty) ;", "[g: ]" },
		{ "=?utf-8?q?=C3=BC?=:;", "[\xc3\xbc: ]" },
		{ "fred", "?fred" },
		{ "<fred>", "?fred" },
		{ "<>", "0" },
		{ "< >", "0" },
		{ "MAILER-DAEMON <>", "0" },
		{ "fred smith", "!fred smith" },
		{ "a b@c", "!a b@c" },
		{ "a\"b\"c@d", "!a\"b\"c@d" },
		{ "a@b c", "<a@b>" },
		{ "a@b@c", "<a@b>" },
		{ "a@b <c@d>", "a@b<c@d>" },
		{ "<a@b> junk", "<a@b>" },
		{ "junk <a@b", "!junk <a@b" },
		{ "<<a@b>>", "!<<a@b>>" },
		{ "a@b, <broken, c@d", "<a@b> !<broken <c@d>" },
		{ "a@b, bro ken, c@d", "<a@b> !bro ken <c@d>" },
		{ "a@", "!a@" },
		{ "@b", "!@b" },
		{ "@", "!@" },
		{ "a@b..c", "!a@b..c" },
		{ "a@b.", "!a@b." },
		{ "a@.b", "!a@.b" },
		{ "a@-b", "<a@-b>" },
		{ "\"unterminated <a@b>", "!\"unterminated <a@b>" },
		{ "\"unterminated\\\"", "!\"unterminated\\\"" },
		{ "(unterminated a@b", "" },
		{ "a@b (unterminated", "<a@b>" },
		{ "\"a\\\nb\"@c", "!\"a\\\nb\"@c" },
		{ "\"a\n b\"@c", "<\"a b\"@c>" },
		{ "mailto:a@b", "[mailto: <a@b> ]" },
		{ "a@b:c", "<a@b>" },
		{ "\\", "!\\" },
		{ "<a@b>, <c@d>", "<a@b> <c@d>" },
		{ "Fred <a@b> <c@d>", "Fred<a@b>" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct address_list l;
		struct buf b;

		arena_init(&a, LIMIT);
		buf_init(&b, 10000);
		address_list(&a, str_of(cases[i].value), &l);
		show(&l, &b);
		if (!str_eq(buf_str(&b), str_of(cases[i].want)))
			fail_msg("%s: got %s, want %s", cases[i].value, b.p,
			    cases[i].want);
		assert_int_equal(l.invalid,
		    strchr(cases[i].want, '!') != NULL);
		assert_false(l.cut);
		buf_release(&b);
		arena_release(&a);
	}
}

static void
parts(void **state)
{
	struct arena a;
	struct address_list l;

	(void)state;
	arena_init(&a, LIMIT);
	address_list(&a, STR("x <\"Fr ed+d\"@[1.2.3.4]>"), &l);
	assert_int_equal(l.n, 1);
	assert_true(str_eq(l.list[0].local, STR("Fr ed+d")));
	assert_true(str_eq(l.list[0].domain, STR("[1.2.3.4]")));
	assert_true(str_eq(l.list[0].raw, STR("x <\"Fr ed+d\"@[1.2.3.4]>")));
	address_list(&a, STR("a\0b@c, d@e"), &l);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.list[0].kind, ADDRESS_INVALID);
	arena_release(&a);
}

static void
one_strictly(void **state)
{
	static const char label64[] = "a@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaa.de";
	static const struct {
		const char *text;
		enum address_form form;
		const char *want;	/* spec, or NULL */
		const char *why;	/* or display */
	} cases[] = {
		{ "a@b", ADDRESS_BARE, "a@b", "" },
		{ " a@b ", ADDRESS_BARE, "a@b", "" },
		{ "a.b+c@d-e.f_g", ADDRESS_BARE, "a.b+c@d-e.f_g", "" },
		{ "\"a b\"@c", ADDRESS_BARE, "\"a b\"@c", "" },
		{ "\"a\"@c", ADDRESS_BARE, "a@c", "" },
		{ "a@[1.2.3.4]", ADDRESS_BARE, "a@[1.2.3.4]", "" },
		{ "a@[IPv6:::1]", ADDRESS_BARE, "a@[IPv6:::1]", "" },
		{ "\xc3\xa4@\xc3\xb6.de", ADDRESS_BARE, "\xc3\xa4@\xc3\xb6.de", "" },
		{ "Fred <a@b>", ADDRESS_NAMED, "a@b", "Fred" },
		{ "\"Fred, F\" <a@b>", ADDRESS_NAMED, "a@b", "Fred, F" },
		{ "J\xc3\xbcrgen F. <a@b>", ADDRESS_NAMED, "a@b",
		    "J\xc3\xbcrgen F." },
		{ "<a@b>", ADDRESS_NAMED, "a@b", "" },
		{ "a@b", ADDRESS_NAMED, "a@b", "" },
		{ "", ADDRESS_BARE, NULL, "address is empty" },
		{ "a", ADDRESS_BARE, NULL, "address has no domain" },
		{ "a@", ADDRESS_BARE, NULL, "address has no domain" },
		{ "@b", ADDRESS_BARE, NULL, "local part is empty" },
		{ "\"\"@b", ADDRESS_BARE, NULL, "local part is empty" },
		{ "a..b@c", ADDRESS_BARE, "\"a..b\"@c", "" },
		{ ".a@c", ADDRESS_BARE, "\".a\"@c", "" },
		{ "a.@c", ADDRESS_BARE, "\"a.\"@c", "" },
		{ "\"a..b\"@c", ADDRESS_BARE, "\"a..b\"@c", "" },
		{ "a @ c", ADDRESS_BARE, "a@c", "" },
		{ "a b@c", ADDRESS_BARE, NULL, "address has a space in it" },
		{ "a@b c", ADDRESS_BARE, NULL,
		    "domain has a character that is not allowed" },
		{ "a@b,c@d", ADDRESS_BARE, NULL,
		    "domain has a character that is not allowed" },
		{ "a@b@c", ADDRESS_BARE, NULL,
		    "domain has a character that is not allowed" },
		{ "a@b..c", ADDRESS_BARE, NULL, "domain has an empty label" },
		{ "a@b.", ADDRESS_BARE, NULL, "domain has an empty label" },
		{ "a@-b", ADDRESS_BARE, NULL,
		    "domain has a label with a hyphen at its end" },
		{ label64, ADDRESS_BARE, NULL,
		    "domain has a label of more than 63 bytes" },
		{ "a@[1.2.3]", ADDRESS_BARE, NULL,
		    "domain literal is no IP address" },
		{ "a@[1.2.3.256]", ADDRESS_BARE, NULL,
		    "domain literal is no IP address" },
		{ "a@[x]", ADDRESS_BARE, NULL, "domain literal is no IP address" },
		{ "a@[1.2.3.4", ADDRESS_BARE, NULL, "domain literal does not end" },
		{ "a\n@b", ADDRESS_BARE, NULL, "address has a control character" },
		{ "\"a\nb\"@c", ADDRESS_BARE, NULL,
		    "address has a control character" },
		{ "\xff@b", ADDRESS_BARE, NULL, "address is not UTF-8" },
		{ "\"a@b", ADDRESS_BARE, NULL, "quoted string does not end" },
		{ "a(c)@b", ADDRESS_BARE, NULL,
		    "local part has a character that is not allowed" },
		{ "Fred <a@b>", ADDRESS_BARE, NULL, "address has a space in it" },
		{ "<a@b>", ADDRESS_BARE, NULL, "local part is empty" },
		{ "a@b (Fred)", ADDRESS_NAMED, "a@b", "" },
		{ "(x) a (y (\\))) @ (z) b(<c@d>)", ADDRESS_NAMED, "a@b", "" },
		{ "Fred (F) \"(G)\" <a@b (c)> (d)", ADDRESS_NAMED, "a@b",
		    "Fred (G)" },
		{ "a@b (c", ADDRESS_NAMED, NULL, "comment does not end" },
		{ "a@b )", ADDRESS_NAMED, NULL,
		    "domain has a character that is not allowed" },
		{ "a(c)d@b", ADDRESS_NAMED, NULL, "address has a space in it" },
		{ "(a@b)", ADDRESS_NAMED, NULL, "address is empty" },
		{ "Fred <a@b", ADDRESS_NAMED, NULL, "address has no closing >" },
		{ "Fred <a@b> x", ADDRESS_NAMED, NULL,
		    "something follows the address" },
		{ "Fred, F <a@b>", ADDRESS_NAMED, NULL,
		    "local part has a character that is not allowed" },
		{ "Fr@ed <a@b>", ADDRESS_NAMED, NULL,
		    "display name has a character that needs quotes" },
		{ "<>", ADDRESS_NAMED, NULL, "address is empty" },
		{ "g:a@b;", ADDRESS_NAMED, NULL,
		    "local part has a character that is not allowed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct address got;
		const char *why = NULL;
		int r;

		arena_init(&a, LIMIT);
		r = address_parse(&a, str_of(cases[i].text), cases[i].form, &got,
		    &why);
		if ((r == 0) != (cases[i].want != NULL))
			fail_msg("%s: %d %s", cases[i].text, r, why ? why : "");
		if (r == 0) {
			assert_true(str_eq(got.spec, str_of(cases[i].want)));
			assert_true(str_eq(got.display, str_of(cases[i].why)));
		} else if (strcmp(why, cases[i].why) != 0) {
			fail_msg("%s: %s", cases[i].text, why);
		}
		arena_release(&a);
	}
}

static void
too_long(void **state)
{
	struct arena a;
	struct address got;
	const char *why;
	char text[2000];

	(void)state;
	arena_init(&a, LIMIT);
	memset(text, 'a', sizeof(text));
	text[252] = '@';
	assert_int_equal(address_parse(&a, str_mem(text, 254), ADDRESS_BARE,
	    &got, &why), 0);
	text[252] = 'a';
	text[253] = '@';
	assert_int_equal(address_parse(&a, str_mem(text, 255), ADDRESS_BARE,
	    &got, &why), -1);
	assert_string_equal(why, "address is too long");
	assert_int_equal(address_parse(&a, str_mem(text, 2000), ADDRESS_BARE,
	    &got, &why), -1);
	arena_release(&a);
}

static void
paths(void **state)
{
	static const struct {
		const char *text;
		int kind;	/* -1: refused */
		const char *spec;
	} cases[] = {
		{ "", ADDRESS_NULL, "" },
		{ "<>", ADDRESS_NULL, "" },
		{ "a@b", ADDRESS_MAILBOX, "a@b" },
		{ "<a@b>", ADDRESS_MAILBOX, "a@b" },
		{ "<@r,@s:a@b>", ADDRESS_MAILBOX, "a@b" },
		{ "<\"a b\"@c>", ADDRESS_MAILBOX, "\"a b\"@c" },
		{ "postmaster", ADDRESS_NO_DOMAIN, "postmaster" },
		{ "<Postmaster>", ADDRESS_NO_DOMAIN, "Postmaster" },
		{ "MAILER-DAEMON", ADDRESS_NO_DOMAIN, "MAILER-DAEMON" },
		{ "a+b@c", ADDRESS_MAILBOX, "a+b@c" },
		{ "<a@b", -1, "" },
		{ "a@b c", -1, "" },
		{ "a b", -1, "" },
		{ "a@b\nc", -1, "" },
		{ "@", -1, "" },
		{ "\"\"@d", -1, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct address got = { .kind = ADDRESS_INVALID };
		const char *why;
		int r;

		arena_init(&a, LIMIT);
		r = address_parse_path(&a, str_of(cases[i].text), &got, &why);
		if (r < 0 ? cases[i].kind != -1 :
		    (int)got.kind != cases[i].kind ||
		    !str_eq(got.spec, str_of(cases[i].spec)))
			fail_msg("%s: %d, kind %d", cases[i].text, r,
			    (int)got.kind);
		arena_release(&a);
	}
}

static void
many(void **state)
{
	struct arena a;
	struct address_list l;
	struct buf b;

	(void)state;
	arena_init(&a, LIMIT);
	buf_init(&b, LIMIT);
	for (unsigned i = 0; i < ADDRESS_LIST_MAX + 5; i++)
		(void)buf_addz(&b, "a@b,");
	address_list(&a, buf_str(&b), &l);
	assert_int_equal(l.n, ADDRESS_LIST_MAX);
	assert_true(l.cut);
	arena_release(&a);
	/* Small arenas: fewer addresses, no crash. */
	for (size_t limit = 0; limit < 5000; limit += 100) {
		arena_init(&a, limit);
		address_list(&a, STR("Fred <a@b>, \"x y\"@c, g: d@e;"), &l);
		if (limit < 300)
			assert_true(l.cut);
		arena_release(&a);
	}
	buf_release(&b);
}

static void
same(void **state)
{
	struct arena a;
	struct address x, y;
	const char *why;

	(void)state;
	arena_init(&a, LIMIT);
	assert_int_equal(address_parse(&a, STR("Fred@Example.COM"),
	    ADDRESS_BARE, &x, &why), 0);
	assert_int_equal(address_parse(&a, STR("\"fred\"@example.com"),
	    ADDRESS_BARE, &y, &why), 0);
	assert_true(address_same(&x, &y));
	assert_int_equal(address_parse(&a, STR("fredd@example.com"),
	    ADDRESS_BARE, &y, &why), 0);
	assert_false(address_same(&x, &y));
	arena_release(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(parts),
		cmocka_unit_test(one_strictly),
		cmocka_unit_test(too_long),
		cmocka_unit_test(paths),
		cmocka_unit_test(many),
		cmocka_unit_test(same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
