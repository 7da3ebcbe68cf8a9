/* MIME: values, trees, transfer encodings, text of HTML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "filters/message/html.h"
#include "filters/message/limits.h"
#include "filters/message/message.h"
#include "filters/message/transfer.h"
#include "filters/message/utf8.h"

#define LIMIT ((size_t)64 << 20)
#define FFFD "\xef\xbf\xbd"

static void
check(struct str got, struct str want, size_t i)
{
	if (!str_eq(got, want))
		fail_msg("case %zu: got \"%.*s\", want \"%.*s\"", i,
		    STR_ARG(got), STR_ARG(want));
}

/* Values as "value|name=value|...". */
static void
values(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "" },
		{ "text/plain", "text/plain" },
		{ " Text/PLAIN ", "text/plain" },
		{ "text / plain", "text/plain" },
		{ "text/plain;", "text/plain" },
		{ "text/plain (c); a=b", "text/plain|a=b" },
		{ "(c) text/plain; a=b", "text/plain|a=b" },
		{ "text (c) / plain; a=b", "text/plain|a=b" },
		{ "text/plain; charset=utf-8", "text/plain|charset=utf-8" },
		{ "text/plain; Charset=\"UTF-8\"", "text/plain|charset=UTF-8" },
		{ "text/plain; charset = utf-8 ; x=y",
		    "text/plain|charset=utf-8|x=y" },
		{ "text/plain;charset=us-ascii (Plain text)",
		    "text/plain|charset=us-ascii" },
		{ "text/plain; a=\"b;c\"; d=e", "text/plain|a=b;c|d=e" },
		{ "text/plain; a=\"b\\\"c\\\\d\"", "text/plain|a=b\"c\\d" },
		{ "text/plain;\n\ta=b;\r\n c=d", "text/plain|a=b|c=d" },
		{ "text/plain; a=\"b\n c\"", "text/plain|a=b c" },
		{ "x/y; filename=my file (1).pdf", "x/y|filename=my file" },
		{ "x/y; filename=file(1).pdf", "x/y|filename=file(1).pdf" },
		{ "x/y; filename=my file.pdf; a=b", "x/y|filename=my file.pdf|a=b" },
		{ "x/y; a", "x/y" },
		{ "x/y; a; b=c", "x/y|b=c" },
		{ "x/y;; b=c;", "x/y|b=c" },
		{ "x/y; =c", "x/y" },
		{ "x/y; b=", "x/y|b=" },
		{ "x/y; b=\"\"", "x/y|b=" },
		{ "x/y; \"a=b\"; c=d", "x/y|c=d" },
		{ "x/y; a=\"unterminated; c=d", "x/y|a=unterminated; c=d" },
		{ "x/y; a=\"trail\\", "x/y|a=trail\\" },
		{ "x/y; (comment; z=1) a=b", "x/y|a=b" },
		{ "x/y (unterminated; a=b", "x/y" },
		{ "attachment; filename=x", "attachment|filename=x" },
		{ "x/y; a=1; A=2", "x/y|a=1" },
		{ "x/y; n=\"=?utf-8?q?=C3=A4?=\"", "x/y|n=\xc3\xa4" },
		{ "x/y; n==?utf-8?q?=C3=A4?=", "x/y|n=\xc3\xa4" },
		{ "x/y; n=\xe4", "x/y|n=" FFFD },
		{ "x/y; n=\xc3\xa4", "x/y|n=\xc3\xa4" },
		/* RFC 2231. */
		{ "x/y; n*=utf-8''%C3%A4", "x/y|n=\xc3\xa4" },
		{ "x/y; n*=iso-8859-1'de'%e4b", "x/y|n=\xc3\xa4" "b" },
		{ "x/y; n*=\"utf-8''%41\"", "x/y|n=A" },
		{ "x/y; n*=''%41", "x/y|n=A" },
		{ "x/y; n*=%41", "x/y|n=A" },
		{ "x/y; n*=utf-8'%41", "x/y|n=utf-8'A" },
		{ "x/y; n*0=a; n*1=b", "x/y|n=ab" },
		{ "x/y; n*1=b; n*0=a", "x/y|n=ab" },
		{ "x/y; n*0=a; n*2=c", "x/y|n=a" },
		{ "x/y; n*1=b", "x/y|n=" },
		{ "x/y; n*0=\"a;\"; n*1=\" b\"", "x/y|n=a; b" },
		{ "x/y; n*0*=utf-8''%C3; n*1*=%A4; n*2=%41", "x/y|n=\xc3\xa4%41" },
		{ "x/y; n*0*=iso-8859-1''%E4; n*1=x; n*2*=%E4",
		    "x/y|n=\xc3\xa4x\xc3\xa4" },
		{ "x/y; n*0=\"=?utf-8?q?a?=\"; n*1=\" =?utf-8?q?b?=\"", "x/y|n=ab" },
		{ "x/y; n=plain; n*=utf-8''ext", "x/y|n=ext" },
		{ "x/y; n*=utf-8''ext; n=plain", "x/y|n=ext" },
		{ "x/y; n=plain; n*0=cont", "x/y|n=cont" },
		{ "x/y; n*00=a", "x/y|n=a" },
		{ "x/y; n*x=a", "x/y|n*x=a" },
		{ "x/y; n*9999=a", "x/y|n*9999=a" },
		{ "x/y; n*999=a", "x/y|n=" },
		{ "x/y; n*0=a; n*0=b; n*1=c", "x/y|n=ac" },
		{ "x/y; *=a", "x/y" },
		{ "x/y; n*=utf-8''%", "x/y|n=%" },
		{ "x/y; n*=utf-8''%4", "x/y|n=%4" },
		{ "x/y; n*=utf-8''%zz", "x/y|n=%zz" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct mime_value v;
		struct buf b;

		arena_init(&a, LIMIT);
		buf_init(&b, 1000);
		mime_value_parse(&a, str_of(cases[i].in), &v);
		(void)buf_adds(&b, v.value);
		for (size_t k = 0; k < v.n_params; k++) {
			(void)buf_addc(&b, '|');
			(void)buf_adds(&b, v.params[k].name);
			(void)buf_addc(&b, '=');
			(void)buf_adds(&b, v.params[k].value);
		}
		check(buf_str(&b), str_of(cases[i].want), i);
		assert_false(v.cut);
		buf_release(&b);
		arena_release(&a);
	}
}

/* The tree as text: type, "[" children "]" for multiparts, "{" child "}" for
 * messages, "(" body ")" for leaves. */
static void
show(const struct mime_part *p, struct buf *b)
{
	(void)buf_adds(b, p->type.value);
	if (p->kind == MIME_LEAF) {
		(void)buf_addc(b, '(');
		(void)buf_adds(b, p->body);
		(void)buf_addc(b, ')');
		return;
	}
	(void)buf_addc(b, p->kind == MIME_MULTIPART ? '[' : '{');
	if (p->preamble.n) {
		(void)buf_addc(b, '<');
		(void)buf_adds(b, p->preamble);
		(void)buf_addc(b, '>');
	}
	for (const struct mime_part *c = p->child; c; c = c->next)
		show(c, b);
	if (p->epilogue.n) {
		(void)buf_addc(b, '<');
		(void)buf_adds(b, p->epilogue);
		(void)buf_addc(b, '>');
	}
	(void)buf_addc(b, p->kind == MIME_MULTIPART ? ']' : '}');
	if (p->kind == MIME_MULTIPART && !p->closed)
		(void)buf_addc(b, '!');
}

#define MP "Content-Type: multipart/mixed; boundary=b\n\n"

static void
trees(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "text/plain()" },
		{ "\nbody", "text/plain(body)" },
		{ "A: b\n\nbody\n", "text/plain(body\n)" },
		{ "Content-Type: text/html\n\nx", "text/html(x)" },
		{ "Content-Type: TEXT/Html; a=b\n\nx", "text/html(x)" },
		{ "Content-Type: garbage\n\nx", "text/plain(x)" },
		{ "Content-Type: /html\n\nx", "text/plain(x)" },
		{ "Content-Type:\n\nx", "text/plain(x)" },
		{ "Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n",
		    "multipart/mixed(--b\n\nx\n--b--\n)" },
		{ MP "--b\n\none\n--b\n\ntwo\n--b--\n",
		    "multipart/mixed[text/plain(one)text/plain(two)]" },
		{ "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"
		    "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
		    "multipart/mixed[text/plain(one)text/plain(two)]" },
		{ MP "--b\n\none\n\n--b--", "multipart/mixed[text/plain(one\n)]" },
		{ MP "pre\namble\n--b\n\none\n--b--\nepi\nlogue",
		    "multipart/mixed[<pre\namble>text/plain(one)<epi\nlogue>]" },
		{ MP "--b\nContent-Type: text/html\n\none\n--b--\n",
		    "multipart/mixed[text/html(one)]" },
		/* No final boundary, no boundary at all. */
		{ MP "--b\n\none", "multipart/mixed[text/plain(one)]!" },
		{ MP "--b\n\none\n--b\n\ntwo\n",
		    "multipart/mixed[text/plain(one)text/plain(two\n)]!" },
		{ MP "just text\n", "multipart/mixed[<just text\n>]!" },
		{ MP "", "multipart/mixed[]!" },
		{ MP "--b", "multipart/mixed[text/plain()]!" },
		{ MP "--b--", "multipart/mixed[]" },
		{ MP "--b\n--b--", "multipart/mixed[text/plain()]" },
		{ MP "--b\nA: b\n--b--", "multipart/mixed[text/plain()]" },
		{ MP "--b\n\n--b--", "multipart/mixed[text/plain()]" },
		{ MP "--b\n\n\n--b--", "multipart/mixed[text/plain()]" },
		{ MP "--b\nContent-Type: text/html\n--b\n\nx\n--b--",
		    "multipart/mixed[text/html()text/plain(x)]" },
		/* What is no boundary. */
		{ MP "--b\n\n--bb\n --b\nx--b\n--\n-b\n--b-\n--b---\n--B\n--b--",
		    "multipart/mixed[text/plain(--bb\n --b\nx--b\n--\n-b\n--b-\n"
		    "--b---\n--B)]" },
		{ MP "--b\n\nx\n--b x\n--b--",
		    "multipart/mixed[text/plain(x\n--b x)]" },
		/* White space behind it. */
		{ MP "--b \t\n\none\n--b\t \r\n\ntwo\n--b--  \n",
		    "multipart/mixed[text/plain(one)text/plain(two)]" },
		{ "Content-Type: multipart/mixed; boundary=\"b c \"\n\n"
		    "--b c\n\none\n--b c--\n", "multipart/mixed[text/plain(one)]" },
		{ "Content-Type: multipart/mixed; boundary=\" \"\n\n-- \n\nx",
		    "multipart/mixed(-- \n\nx)" },
		/* After the end it is over. */
		{ MP "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
		    "multipart/mixed[text/plain(one)<--b\n\ntwo\n--b--\n>]" },
		/* Nesting, prefixes either way. */
		{ MP "--b\nContent-Type: multipart/alternative; boundary=bb\n\n"
		    "--bb\n\none\n--bb\n\ntwo\n--bb--\n--b\n\nthree\n--b--\n",
		    "multipart/mixed[multipart/alternative[text/plain(one)"
		    "text/plain(two)]text/plain(three)]" },
		{ "Content-Type: multipart/mixed; boundary=bb\n\n"
		    "--bb\nContent-Type: multipart/alternative; boundary=b\n\n"
		    "--b\n\none\n--bb\n\ntwo\n--bb--\n",
		    "multipart/mixed[multipart/alternative[text/plain(one)]!"
		    "text/plain(two)]" },
		{ MP "--b\nContent-Type: multipart/x; boundary=\"b--\"\n\n"
		    "--b--\n\none\n--b----\n--b--\n",
		    "multipart/mixed[multipart/x[text/plain(one)]]" },
		/* The same boundary twice: the inner one is meant. */
		{ MP "--b\n" MP "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
		    "multipart/mixed[multipart/mixed[text/plain(one)]"
		    "text/plain(two)]" },
		/* An outer boundary ends what is inside. */
		{ MP "--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\none\n"
		    "--b\n\ntwo\n--b--\n",
		    "multipart/mixed[multipart/x[text/plain(one)]!"
		    "text/plain(two)]" },
		{ MP "--b\nContent-Type: multipart/x; boundary=c\n--b\n\ntwo\n--b--",
		    "multipart/mixed[multipart/x[]!text/plain(two)]" },
		{ MP "--b\nContent-Type: multipart/x; boundary=c\n\npre\n--b--",
		    "multipart/mixed[multipart/x[<pre>]!]" },
		{ MP "--b\nContent-Type: multipart/x; boundary=c\n\n--c--\nepi\n"
		    "--b--", "multipart/mixed[multipart/x[<epi>]]" },
		/* Messages. */
		{ "Content-Type: message/rfc822\n\nA: b\n\nbody",
		    "message/rfc822{text/plain(body)}" },
		{ "Content-Type: message/rfc822\n\n", "message/rfc822{text/plain()}" },
		{ "Content-Type: message/global\n\nA: b\n\nbody",
		    "message/global{text/plain(body)}" },
		{ "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\n"
		    "Content-Type: text/html\n\nx",
		    "message/rfc822{message/rfc822{text/html(x)}}" },
		{ MP "--b\nContent-Type: message/rfc822\n\n"
		    "Content-Type: multipart/x; boundary=c\n\n--c\n\none\n--c--\n"
		    "--b--\n",
		    "multipart/mixed[message/rfc822{multipart/x[text/plain(one)]}]" },
		{ MP "--b\nContent-Type: message/rfc822\n\nA: b\n--b\n\ntwo\n--b--",
		    "multipart/mixed[message/rfc822{text/plain()}"
		    "text/plain(two)]" },
		{ "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64"
		    "\n\nQTogYgo=", "message/rfc822(QTogYgo=)" },
		{ "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit"
		    "\n\nA: b\n\nc", "message/rfc822{text/plain(c)}" },
		{ "Content-Type: message/delivery-status\n\nA: b\n\nC: d",
		    "message/delivery-status(A: b\n\nC: d)" },
		{ "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\n"
		    "one\n--b\nContent-Type: text/plain\n\ntwo\n--b--",
		    "multipart/digest[message/rfc822{text/plain(one)}"
		    "text/plain(two)]" },
		{ MP "--b\n\n1\n--b\n\n2\n--b\n\n3\n--b\n\n4\n--b--",
		    "multipart/mixed[text/plain(1)text/plain(2)text/plain(3)"
		    "text/plain(4)]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct message m;
		struct buf b;
		const struct mime_tree *t;
		unsigned n = 0;

		arena_init(&a, LIMIT);
		buf_init(&b, 10000);
		message_init(&m, &a, str_of(cases[i].in));
		t = message_mime(&m);
		show(t->root, &b);
		check(buf_str(&b), str_of(cases[i].want), i);
		assert_ptr_equal(t->root->header, &m.header);
		assert_false(t->cut);
		for (const struct mime_part *p = t->root; p;
		    p = mime_next(t->root, p))
			assert_int_equal(p->number, n++);
		assert_int_equal(n, t->n_parts);
		assert_true(str_eq(t->root->raw, m.bytes));
		assert_true(str_eq(t->root->body, m.body));
		buf_release(&b);
		arena_release(&a);
	}
}

static void
fields_of_parts(void **state)
{
	struct arena a;
	struct message m;
	const struct mime_part *p;
	struct buf b;

	(void)state;
	arena_init(&a, LIMIT);
	message_init(&m, &a, STR(MP
	    "--b\nContent-Type: Application/PDF; name=x.pdf\n"
	    "Content-Disposition: Attachment; filename*=utf-8''%C3%A4.pdf\n"
	    "Content-Transfer-Encoding: BASE64 (c)\n"
	    "Content-ID: <a@b>\n\nSGVs\nbG8=\n"
	    "--b\nContent-Type: text/plain; charset=iso-8859-1; name=n.txt\n"
	    "Content-Transfer-Encoding: quoted-printable\n\na=E4=\n=\r\nb\n"
	    "--b\nContent-Type: text/html\n\n<p>x</p>\n--b--\n"));
	p = message_mime(&m)->root->child;
	check(p->type.type, STR("application"), 0);
	check(p->type.subtype, STR("pdf"), 0);
	assert_true(mime_is(p, STR("APPLICATION"), STR("")));
	assert_true(p->type_given);
	check(p->disposition.value, STR("attachment"), 0);
	check(p->filename, STR("\xc3\xa4.pdf"), 0);
	check(p->id, STR("a@b"), 0);
	assert_int_equal(p->encoding, TRANSFER_BASE64);
	assert_int_equal(p->depth, 1);
	buf_init(&b, 100);
	assert_int_equal(mime_decode(p, &b), 0);
	check(buf_str(&b), STR("Hello"), 0);
	buf_reset(&b);
	p = p->next;
	check(p->filename, STR("n.txt"), 0);
	assert_int_equal(mime_decode_text(p, &b), 0);
	check(buf_str(&b), STR("a\xc3\xa4" "b"), 0);
	buf_reset(&b);
	p = p->next;
	assert_int_equal(p->filename.n, 0);
	assert_int_equal(mime_extract_text(p, &b), 0);
	check(buf_str(&b), STR("x"), 0);
	buf_release(&b);
	/* A ceiling: what fitted is there, and it is said. */
	buf_init(&b, 3);
	assert_int_equal(mime_decode(message_mime(&m)->root->child, &b), -1);
	check(buf_str(&b), STR("Hel"), 0);
	buf_release(&b);
	arena_release(&a);
}

static void
text_of_parts(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "\na\r\nb\rc\n", "a\nb\rc\n" },
		{ "Content-Type: text/plain; charset=utf-16le\n"
		    "Content-Transfer-Encoding: base64\n\nYQBiAA==", "ab" },
		{ "Content-Transfer-Encoding: base64\n\nYQ0KYg==", "a\nb" },
		{ "Content-Type: text/plain; charset=x-none\n\n\xe4", FFFD },
		{ "Content-Type: text/html; charset=iso-8859-1\n\n<b>\xe4</b>",
		    "\xc3\xa4" },
		{ "Content-Transfer-Encoding: x-odd\n\n=41", "=41" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a;
		struct message m;
		struct buf b;

		arena_init(&a, LIMIT);
		buf_init(&b, 100);
		message_init(&m, &a, str_of(cases[i].in));
		assert_int_equal(mime_extract_text(message_mime(&m)->root, &b),
		    0);
		check(buf_str(&b), str_of(cases[i].want), i);
		buf_release(&b);
		arena_release(&a);
	}
}

static void
ceilings_of_trees(void **state)
{
	struct arena a;
	struct message m;
	struct buf b;
	const struct mime_tree *t;
	unsigned deepest = 0;

	(void)state;
	buf_init(&b, LIMIT);
	for (int i = 0; i < 1000; i++)
		(void)buf_addf(&b, "Content-Type: multipart/x; boundary=b%d\n\n"
		    "--b%d\n", i, i);
	(void)buf_addz(&b, "\nleaf\n");
	arena_init(&a, LIMIT);
	message_init(&m, &a, buf_str(&b));
	t = message_mime(&m);
	assert_true(t->cut);
	for (struct mime_part *p = t->root; p; p = mime_next(t->root, p))
		deepest = p->depth > deepest ? p->depth : deepest;
	assert_int_equal(deepest, MIME_DEPTH_MAX - 1);
	arena_release(&a);

	buf_reset(&b);
	for (int i = 0; i < 1000; i++)
		(void)buf_addz(&b, "Content-Type: message/rfc822\n\n");
	arena_init(&a, LIMIT);
	message_init(&m, &a, buf_str(&b));
	assert_true(message_mime(&m)->cut);
	assert_int_equal(m.tree.n_parts, MIME_DEPTH_MAX);
	arena_release(&a);

	buf_reset(&b);
	(void)buf_addz(&b, MP);
	for (unsigned i = 0; i < MIME_PARTS_MAX * 5; i++)
		(void)buf_addz(&b, "--b\n\nx\n");
	arena_init(&a, LIMIT);
	message_init(&m, &a, buf_str(&b));
	assert_true(message_mime(&m)->cut);
	assert_int_equal(m.tree.n_parts, MIME_PARTS_MAX);
	assert_false(message_full(&m));
	arena_release(&a);

	/* Small arenas. */
	buf_reset(&b);
	(void)buf_addz(&b, MP);
	for (int i = 0; i < 5; i++)
		(void)buf_addz(&b, "--b\nContent-Type: message/rfc822; a=\"\\b\""
		    "\nContent-ID: <x>\n\nContent-Type: text/html; n*=''x\n\nx\n");
	for (size_t limit = 0; limit < 20000; limit += 200) {
		arena_init(&a, limit);
		message_init(&m, &a, buf_str(&b));
		t = message_mime(&m);
		if (t->root)
			for (struct mime_part *p = t->root; p;
			    p = mime_next(t->root, p))
				assert_true(p->raw.p >= m.bytes.p);
		if (t->n_parts < 11)
			assert_true(message_full(&m) || t->cut);
		arena_release(&a);
	}

	buf_reset(&b);
	(void)buf_addz(&b, "x/y");
	for (unsigned i = 0; i < MIME_PARAMS_MAX + 3; i++)
		(void)buf_addf(&b, "; p%u=v", i);
	{
		struct mime_value v;

		arena_init(&a, LIMIT);
		mime_value_parse(&a, buf_str(&b), &v);
		assert_int_equal(v.n_params, MIME_PARAMS_MAX);
		assert_true(v.cut);
		arena_release(&a);
	}
	buf_release(&b);
}

static void
transfers(void **state)
{
	static const struct {
		enum transfer_encoding encoding;
		struct str in, want;
	} cases[] = {
		{ TRANSFER_BASE64, { "", 0 }, { "", 0 } },
		{ TRANSFER_BASE64, { "SGVsbG8=", 8 }, { "Hello", 5 } },
		{ TRANSFER_BASE64, { "SGVsbG8", 7 }, { "Hello", 5 } },
		{ TRANSFER_BASE64, { "SGVs\r\nbG8h\n", 11 }, { "Hello!", 6 } },
		{ TRANSFER_BASE64, { "S!G?V s", 7 }, { "Hel", 3 } },
		{ TRANSFER_BASE64, { "SGk=SGk=", 8 }, { "HiHi", 4 } },
		{ TRANSFER_BASE64, { "S", 1 }, { "", 0 } },
		{ TRANSFER_BASE64, { "AAECAw==", 8 }, { "\0\1\2\3", 4 } },
		{ TRANSFER_QP, { "a=3Db", 5 }, { "a=b", 3 } },
		{ TRANSFER_QP, { "a=3db", 5 }, { "a=b", 3 } },
		{ TRANSFER_QP, { "a=\nb", 4 }, { "ab", 2 } },
		{ TRANSFER_QP, { "a=\r\nb", 5 }, { "ab", 2 } },
		{ TRANSFER_QP, { "a= \t\nb", 6 }, { "ab", 2 } },
		{ TRANSFER_QP, { "a \t\nb", 5 }, { "a\nb", 3 } },
		{ TRANSFER_QP, { "a \t\r\nb", 6 }, { "a\r\nb", 4 } },
		{ TRANSFER_QP, { "a b  c", 6 }, { "a b  c", 6 } },
		{ TRANSFER_QP, { "a  ", 3 }, { "a", 1 } },
		{ TRANSFER_QP, { "a=", 2 }, { "a", 1 } },
		{ TRANSFER_QP, { "a=4", 3 }, { "a=4", 3 } },
		{ TRANSFER_QP, { "a=zz", 4 }, { "a=zz", 4 } },
		{ TRANSFER_QP, { "a=4z", 4 }, { "a=4z", 4 } },
		{ TRANSFER_QP, { "==41", 4 }, { "=A", 2 } },
		{ TRANSFER_QP, { "=4=41", 5 }, { "=4A", 3 } },
		{ TRANSFER_QP, { "a\rb", 3 }, { "a\rb", 3 } },
		{ TRANSFER_QP, { "=00", 3 }, { "\0", 1 } },
		{ TRANSFER_IDENTITY, { "a=41\0", 5 }, { "a=41\0", 5 } },
		{ TRANSFER_UNKNOWN, { "a=41", 4 }, { "a=41", 4 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct transfer t;
		struct buf b;

		buf_init(&b, 1000);
		assert_int_equal(transfer_decode(cases[i].encoding, cases[i].in,
		    &b), 0);
		check(buf_str(&b), cases[i].want, i);
		buf_release(&b);
		/* In pieces of one byte the same comes out. */
		buf_init(&b, 1000);
		transfer_init(&t, cases[i].encoding);
		for (size_t k = 0; k < cases[i].in.n; k++) {
			struct str one = str_sub(cases[i].in, k, 1);

			assert_int_equal(transfer_feed(&t, &one, &b), 0);
			assert_int_equal(one.n, 0);
		}
		assert_int_equal(transfer_finish(&t, &b), 0);
		check(buf_str(&b), cases[i].want, i);
		buf_release(&b);
		/* Through a buffer of any size, emptied when full. */
		for (size_t max = 4; max < 8; max++) {
			struct str in = cases[i].in;
			struct buf all;

			buf_init(&b, max);
			buf_init(&all, 1000);
			transfer_init(&t, cases[i].encoding);
			while (transfer_feed(&t, &in, &b) < 0) {
				assert_true(b.n > 0);
				(void)buf_adds(&all, buf_str(&b));
				buf_reset(&b);
			}
			(void)buf_adds(&all, buf_str(&b));
			buf_reset(&b);
			assert_int_equal(transfer_finish(&t, &b), 0);
			(void)buf_adds(&all, buf_str(&b));
			check(buf_str(&all), cases[i].want, i);
			buf_release(&all);
			buf_release(&b);
		}
	}
	assert_int_equal(transfer_named(STR(" Base64 ")), TRANSFER_BASE64);
	assert_int_equal(transfer_named(STR("x-uuencode")), TRANSFER_UNKNOWN);
	assert_int_equal(transfer_named(STR("BINARY")), TRANSFER_IDENTITY);
}

static void
base64_round_trip(void **state)
{
	char bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 256);
	for (size_t n = 0; n < sizeof(bytes); n++) {
		struct buf coded, back;
		struct str rest, line;

		buf_init(&coded, 1000);
		buf_init(&back, 1000);
		assert_int_equal(transfer_base64_encode(str_mem(bytes, n),
		    STR("\r\n"), &coded), 0);
		rest = buf_str(&coded);
		while (str_split(&rest, '\n', &line))
			assert_true(line.n <= 77);
		assert_int_equal(transfer_decode(TRANSFER_BASE64,
		    buf_str(&coded), &back), 0);
		check(buf_str(&back), str_mem(bytes, n), n);
		buf_release(&coded);
		buf_release(&back);
	}
}

static void
html(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "a\n  b\t c", "a b c" },
		{ "<p>a</p><p>b</p>", "a\nb" },
		{ "a<br>b<BR/>c<br />d", "a\nb\nc\nd" },
		{ "<b>a</b>b", "ab" },
		{ "<b>a</b> <i>b</i>", "a b" },
		{ "<td>a</td><td>b</td><tr>c", "a b\nc" },
		{ "a<!-- b --> c", "a c" },
		{ "a<!-- <p> --> c", "a c" },
		{ "a<!-- b", "a" },
		{ "a<!-->b", "ab" },
		{ "a<!DOCTYPE html>b", "ab" },
		{ "a<?xml x?>b", "ab" },
		{ "<style>p { x: y }</style>a", "a" },
		{ "<script>if (a < b) x();</script>a", "a" },
		{ "<SCRIPT type=\"x\">\"</p>\"</Script >a", "a" },
		{ "<script>never ends", "" },
		{ "<script>a</scriptx>b</script>c", "c" },
		{ "<script/>a", "a" },
		{ "<title>t</title><body>a</body>", "a" },
		{ "a &amp; b &lt;c&gt; &quot;d&quot;", "a & b <c> \"d\"" },
		{ "&auml;&Ouml;&szlig;&euro;", "\xc3\xa4\xc3\x96\xc3\x9f\xe2\x82\xac" },
		{ "&#228;&#xE4;&#Xe4;", "\xc3\xa4\xc3\xa4\xc3\xa4" },
		{ "&#128;", "\xe2\x82\xac" },
		{ "&#0;&#xD800;&#x110000;&#99999999999999999999;",
		    FFFD FFFD FFFD FFFD },
		{ "a&nbsp;b", "a b" },
		{ "a&nbspb", "a&nbspb" },
		{ "&amp b", "& b" },
		{ "&unknown; &; & &#; &#x;", "&unknown; &; & &#; &#x;" },
		{ "a &lt;b&gt; c", "a <b> c" },
		{ "v&shy;i&#173;agra", "viagra" },
		{ "a < b > c", "a < b > c" },
		{ "1<2", "1<2" },
		{ "a<", "a<" },
		{ "a<b", "a" },
		{ "a</", "a</" },
		{ "a</>b", "ab" },
		{ "a</ x>b", "ab" },
		{ "<a href=\"x>y\">z</a>", "z" },
		{ "<a href='x>y'>z</a>", "z" },
		{ "<a href=\"x>z</a> y", "z y" },
		{ "<a title=it's>z</a>", "z" },
		{ "\xc3\xa4 \xff", "\xc3\xa4 " FFFD },
		{ "<div><div>a</div></div>", "a" },
		{ "  <p> a </p>  ", "a" },
		{ "a\xc2\xa0" "b", "a b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;

		buf_init(&b, 1000);
		assert_int_equal(html_text(str_of(cases[i].in), &b), 0);
		check(buf_str(&b), str_of(cases[i].want), i);
		buf_release(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(trees),
		cmocka_unit_test(fields_of_parts),
		cmocka_unit_test(text_of_parts),
		cmocka_unit_test(ceilings_of_trees),
		cmocka_unit_test(transfers),
		cmocka_unit_test(base64_round_trip),
		cmocka_unit_test(html),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
