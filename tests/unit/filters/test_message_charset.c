/* UTF-8, charsets, encoded words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "filters/message/charset.h"
#include "filters/message/encoded.h"
#include "filters/message/utf8.h"

#define FFFD "\xef\xbf\xbd"

static void
check(struct str got, struct str want, size_t i)
{
	if (!str_eq(got, want))
		fail_msg("case %zu: got \"%.*s\", want \"%.*s\"", i,
		    STR_ARG(got), STR_ARG(want));
}

static void
utf8_is_strict(void **state)
{
	static const struct {
		struct str s;
		bool valid;
		size_t length;
		struct str fixed;
	} cases[] = {
		{ { "", 0 }, true, 0, { "", 0 } },
		{ { "abc", 3 }, true, 3, { "abc", 3 } },
		{ { "a\0b", 3 }, true, 3, { "a\0b", 3 } },
		{ { "\xc3\xa4", 2 }, true, 1, { "\xc3\xa4", 2 } },
		{ { "\xe2\x82\xac", 3 }, true, 1, { "\xe2\x82\xac", 3 } },
		{ { "\xf0\x9f\x98\x80", 4 }, true, 1, { "\xf0\x9f\x98\x80", 4 } },
		{ { "\xf4\x8f\xbf\xbf", 4 }, true, 1, { "\xf4\x8f\xbf\xbf", 4 } },
		{ { "\xc3", 1 }, false, 1, { FFFD, 3 } },
		{ { "\xa4", 1 }, false, 1, { FFFD, 3 } },
		{ { "\xc0\x80", 2 }, false, 2, { FFFD FFFD, 6 } },
		{ { "\xc1\xbf", 2 }, false, 2, { FFFD FFFD, 6 } },
		{ { "\xe0\x80\x80", 3 }, false, 3, { FFFD FFFD FFFD, 9 } },
		{ { "\xed\xa0\x80", 3 }, false, 3, { FFFD FFFD FFFD, 9 } },
		{ { "\xf4\x90\x80\x80", 4 }, false, 4,
		    { FFFD FFFD FFFD FFFD, 12 } },
		{ { "\xf5", 1 }, false, 1, { FFFD, 3 } },
		{ { "\xff", 1 }, false, 1, { FFFD, 3 } },
		{ { "a\xe2\x82x", 4 }, false, 4, { "a" FFFD FFFD "x", 8 } },
		{ { "12345678\xc3\xa4" "12345678", 18 }, true, 17,
		    { "12345678\xc3\xa4" "12345678", 18 } },
		{ { "1234567\xff" "12345678", 16 }, false, 16,
		    { "1234567" FFFD "12345678", 18 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;

		buf_init(&b, 100);
		assert_int_equal(utf8_valid(cases[i].s), cases[i].valid);
		assert_int_equal(utf8_length(cases[i].s), cases[i].length);
		assert_int_equal(utf8_add_fixed(&b, cases[i].s), 0);
		check(buf_str(&b), cases[i].fixed, i);
		buf_release(&b);
	}
}

static void
utf8_round_trip(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (uint32_t c = 0; c < 0x110100; c += 7) {
		struct str s;
		bool none = c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff);

		buf_reset(&b);
		assert_int_equal(utf8_add(&b, c), 0);
		s = buf_str(&b);
		assert_true(utf8_valid(s));
		assert_int_equal(utf8_next(&s), none ? UTF8_REPLACEMENT : c);
		assert_int_equal(s.n, 0);
	}
	buf_release(&b);
}

static void
utf8_cuts_between(void **state)
{
	struct str s = STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
	struct buf b;

	(void)state;
	for (size_t n = 0; n < sizeof(want) / sizeof(want[0]); n++)
		assert_int_equal(utf8_cut(s, n).n, want[n]);
	assert_int_equal(utf8_cut(STR("\x80\x80\x80\x80\x80\x80"), 5).n, 5);
	assert_int_equal(utf8_cut(STR("\xf0\x9f"), 1).n, 1);
	/* A full buffer never ends in half a character. */
	for (size_t max = 0; max < 12; max++) {
		buf_init(&b, max);
		assert_int_equal(utf8_add_fixed(&b, s), max < s.n ? -1 : 0);
		assert_true(utf8_valid(buf_str(&b)));
		buf_release(&b);
	}
}

static void
converts(void **state)
{
	static const struct {
		const char *charset;
		struct str in;
		const char *want;
		enum charset_answer answer;
	} cases[] = {
		{ "utf-8", { "\xc3\xa4", 2 }, "\xc3\xa4", CHARSET_CONVERTED },
		{ "UTF8", { "\xe4", 1 }, FFFD, CHARSET_CONVERTED },
		{ "", { "a\xe4", 2 }, "a" FFFD, CHARSET_CONVERTED },
		{ "us-ascii", { "\xc3\xa4", 2 }, "\xc3\xa4", CHARSET_CONVERTED },
		{ "ANSI_X3.4-1968", { "a", 1 }, "a", CHARSET_CONVERTED },
		{ "iso-8859-1", { "\xe4\xdf", 2 }, "\xc3\xa4\xc3\x9f",
		    CHARSET_CONVERTED },
		{ "ISO_8859-1:1987", { "\xe4", 1 }, "\xc3\xa4", CHARSET_CONVERTED },
		{ "latin1", { "\xe4", 1 }, "\xc3\xa4", CHARSET_CONVERTED },
		{ "iso8859-15", { "\xa4", 1 }, "\xe2\x82\xac", CHARSET_CONVERTED },
		{ "iso-8859-2", { "\xb1", 1 }, "\xc4\x85", CHARSET_CONVERTED },
		{ "iso-8859-5", { "\xd0", 1 }, "\xd0\xb0", CHARSET_CONVERTED },
		{ "iso-8859-8-i", { "\xe0", 1 }, "\xd7\x90", CHARSET_CONVERTED },
		{ "windows-1252", { "\x80\x93", 2 }, "\xe2\x82\xac\xe2\x80\x9c",
		    CHARSET_CONVERTED },
		{ "cp1252", { "\x81", 1 }, FFFD, CHARSET_CONVERTED },
		{ "Windows-1251", { "\xc0", 1 }, "\xd0\x90", CHARSET_CONVERTED },
		{ "koi8-r", { "\xc1", 1 }, "\xd0\xb0", CHARSET_CONVERTED },
		{ "KOI8-U", { "\xa4", 1 }, "\xd1\x94", CHARSET_CONVERTED },
		{ "x-mac-roman", { "\x8a", 1 }, "\xc3\xa4", CHARSET_CONVERTED },
		{ "ibm850", { "\x84", 1 }, "\xc3\xa4", CHARSET_CONVERTED },
		{ "tis-620", { "\xa1", 1 }, "\xe0\xb8\x81", CHARSET_CONVERTED },
		{ "utf-16", { "\xfe\xff\0a", 4 }, "a", CHARSET_CONVERTED },
		{ "utf-16", { "\xff\xfe" "a\0", 4 }, "a", CHARSET_CONVERTED },
		{ "utf-16", { "\0a", 2 }, "a", CHARSET_CONVERTED },
		{ "utf-16le", { "\x3d\xd8\x00\xde", 4 }, "\xf0\x9f\x98\x80",
		    CHARSET_CONVERTED },
		{ "utf-16be", { "\xd8\x3d", 2 }, FFFD, CHARSET_CONVERTED },
		{ "utf-16be", { "\xd8\x3d\0a", 4 }, FFFD "a", CHARSET_CONVERTED },
		{ "utf-16be", { "\xde\x00\0", 3 }, FFFD FFFD, CHARSET_CONVERTED },
		{ "utf-7", { "a+AOQ-b+-", 9 }, "a\xc3\xa4" "b+", CHARSET_CONVERTED },
		{ "utf-7", { "+2D3eAA-", 8 }, "\xf0\x9f\x98\x80",
		    CHARSET_CONVERTED },
		{ "utf-7", { "+AOQ.", 5 }, "\xc3\xa4.", CHARSET_CONVERTED },
		{ "utf-7", { "+2D0-x\xff", 7 }, FFFD "x" FFFD,
		    CHARSET_CONVERTED },
		{ "gb2312", { "\xc4\xe3", 2 }, "\xe4\xbd\xa0", CHARSET_CONVERTED },
		{ "GBK", { "\xc4\xe3", 2 }, "\xe4\xbd\xa0", CHARSET_CONVERTED },
		{ "gb18030", { "\x81\x30\x84\x36", 4 }, "\xc2\xa5",
		    CHARSET_CONVERTED },
		{ "big5", { "\xa7\x41", 2 }, "\xe4\xbd\xa0", CHARSET_CONVERTED },
		{ "euc-kr", { "\xb0\xa1", 2 }, "\xea\xb0\x80", CHARSET_CONVERTED },
		{ "ks_c_5601-1987", { "\xb0\xa1", 2 }, "\xea\xb0\x80",
		    CHARSET_CONVERTED },
		{ "iso-2022-jp", { "\x1b$BF|\x1b(B", 8 }, "\xe6\x97\xa5",
		    CHARSET_CONVERTED },
		{ "shift_jis", { "\x93\xfa", 2 }, "\xe6\x97\xa5",
		    CHARSET_CONVERTED },
		{ "Shift-JIS", { "\x93", 1 }, FFFD, CHARSET_CONVERTED },
		{ "euc-jp", { "\xc6\xfc", 2 }, "\xe6\x97\xa5", CHARSET_CONVERTED },
		{ "gb2312", { "a\xff" "b", 3 }, "a" FFFD "b", CHARSET_CONVERTED },
		{ "x-unknown", { "a\xe4", 2 }, "a" FFFD, CHARSET_UNKNOWN },
		{ "x-unknown", { "\xc3\xa4", 2 }, "\xc3\xa4", CHARSET_UNKNOWN },
		{ "../../etc/passwd", { "a", 1 }, "a", CHARSET_UNKNOWN },
		{ "UTF-8//TRANSLIT", { "a", 1 }, "a", CHARSET_UNKNOWN },
		{ "---", { "a", 1 }, "a", CHARSET_UNKNOWN },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaaaaa", { "a", 1 }, "a", CHARSET_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;

		buf_init(&b, 100);
		if (charset_to_utf8(str_of(cases[i].charset), cases[i].in, &b) !=
		    cases[i].answer)
			fail_msg("case %zu: %s", i, cases[i].charset);
		check(buf_str(&b), str_of(cases[i].want), i);
		assert_int_equal(charset_known(str_of(cases[i].charset)),
		    cases[i].answer == CHARSET_CONVERTED);
		buf_release(&b);
	}
}

/* What a process without a file system can do. */
static void
sealed(void **state)
{
	struct buf b;
	struct str text = STR("Subject: =?Big5?B?p0E=?=\nContent-Type: "
	    "text/plain; CHARSET=\"euc-kr\"\nX: a*=iso-2022-jp''x\n"
	    "\n=41=42 = gb2312 charset = \"shift_jis\"");

	(void)state;
	charset_release();
	charset_seal();
	assert_false(charset_known(STR("big5")));
	assert_true(charset_known(STR("koi8-r")));
	assert_true(charset_known(STR("utf-7")));
	buf_init(&b, 100);
	assert_int_equal(charset_to_utf8(STR("big5"), STR("a\xa7\x41"), &b),
	    CHARSET_UNKNOWN);
	assert_true(utf8_valid(buf_str(&b)));
	buf_release(&b);
	charset_release();
	assert_int_equal(charset_preload_for(text), 3);
	charset_seal();
	assert_true(charset_known(STR("big5")));
	assert_true(charset_known(STR("ks_c_5601-1987")));
	assert_true(charset_known(STR("iso-2022-jp")));
	assert_false(charset_known(STR("gb2312")));
	charset_release();
	assert_true(charset_preload() >= 8);
	charset_seal();
	assert_true(charset_known(STR("gb2312")));
	charset_release();
	assert_int_equal(charset_preload_for(STR("")), 0);
	assert_int_equal(charset_preload_for(STR("charset=")), 0);
	assert_int_equal(charset_preload_for(STR("=?")), 0);
}

static void
decodes_words(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "=?utf-8?q?a?=", "a" },
		{ "=?UTF-8?Q?a_b=20c?=", "a b c" },
		{ "=?utf-8?b?w6Q=?=", "\xc3\xa4" },
		{ "=?utf-8?B?w6Q?=", "\xc3\xa4" },
		{ "=?iso-8859-1?q?=E4?=", "\xc3\xa4" },
		{ "=?iso-8859-1*de?q?=E4?=", "\xc3\xa4" },
		{ "x =?utf-8?q?a?= y", "x a y" },
		{ "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" },
		{ "=?utf-8?q?a?=  \t =?utf-8?q?b?= c", "ab c" },
		{ "=?utf-8?q?a?==?utf-8?q?b?=", "ab" },
		{ "=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b" },
		{ "=?utf-8?q?a?=x=?utf-8?q?b?=", "axb" },
		{ "x=?utf-8?q?a?=", "xa" },
		/* A character cut between two words. */
		{ "=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "\xc3\xa4" },
		{ "=?utf-8?b?4oI=?= =?utf-8?q?=AC?=", "\xe2\x82\xac" },
		{ "=?utf-8?q?=C3?= x =?utf-8?q?=A4?=", FFFD " x " FFFD },
		{ "=?utf-8?q?=C3?= =?iso-8859-1?q?=A4?=", FFFD "\xc2\xa4" },
		{ "=?iso-8859-1?q?=E4?= =?utf-8?q?=C3=A4?=", "\xc3\xa4\xc3\xa4" },
		{ "=?utf-8?q?" "?=", "" },
		{ "a =?utf-8?q?" "?= b", "a  b" },
		{ "=?utf-8?b?" "?=", "" },
		{ "=?utf-8?q?=41=4?=", "A=4" },
		{ "=?utf-8?q?=?=", "=" },
		{ "=?utf-8?q?=zz?=", "=zz" },
		{ "=?utf-8?q?a b?=", "a b" },
		{ "=?utf-8?q?what?really?=", "what?really" },
		/* Broken: as they are. */
		{ "=?utf-8?q?a", "=?utf-8?q?a" },
		{ "=?utf-8?q?a?", "=?utf-8?q?a?" },
		{ "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
		{ "=?utf-8?qq?a?=", "=?utf-8?qq?a?=" },
		{ "=??q?a?=", "=??q?a?=" },
		{ "=?utf-8?b?a!b?=", "=?utf-8?b?a!b?=" },
		{ "=?ut f?q?a?=", "=?ut f?q?a?=" },
		{ "=?", "=?" },
		{ "=?=?utf-8?q?a?=", "=?a" },
		{ "=?x =?utf-8?q?a?= y", "=?x a y" },
		{ "=?utf-8?q?a?= =?broken =?utf-8?q?b?=", "a =?broken b" },
		/* Unknown charset: the bytes, made valid. */
		{ "=?x-foo?q?a=FCb?=", "a" FFFD "b" },
		{ "=?x-foo?q?=C3=A4?=", "\xc3\xa4" },
		{ "\xe4 =?utf-8?q?a?=", FFFD " a" },
		{ "\xc3\xa4 =?utf-8?q?a?=", "\xc3\xa4 a" },
		/* No line breaks, no NUL out of a word. */
		{ "=?utf-8?q?a=0Ab=0D=00c?=", "a b  c" },
		{ "=?iso-2022-jp?b?GyRCRnwbKEI=?=", "\xe6\x97\xa5" },
		{ "=?utf-8?Q?a?= =?utf-8?Q?b?= =?utf-8?Q?c?=", "abc" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;

		buf_init(&b, 200);
		assert_int_equal(encoded_decode(str_of(cases[i].in), &b), 0);
		check(buf_str(&b), str_of(cases[i].want), i);
		buf_release(&b);
		/* Whatever the ceiling, no half characters. */
		for (size_t max = 0; max < 12; max++) {
			buf_init(&b, max);
			(void)encoded_decode(str_of(cases[i].in), &b);
			assert_true(utf8_valid(buf_str(&b)));
			buf_release(&b);
		}
	}
}

static void
encodes(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "plain text", "plain text" },
		{ "a  b", "a  b" },
		{ "\xc3\xa4", "=?utf-8?B?w6Q=?=" },
		{ "abcdefghi\xc3\xa4", "=?utf-8?Q?abcdefghi=C3=A4?=" },
		{ "a \xc3\xa4 \xc3\xb6 b", "a =?utf-8?B?w6Qgw7Y=?= b" },
		{ "=?x", "=?utf-8?B?PT94?=" },
		{ "a\nb", "a b" },
		{ "tab\there", "tab\there" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b, back;

		buf_init(&b, 1000);
		buf_init(&back, 1000);
		assert_int_equal(encoded_encode(str_of(cases[i].in), 9,
		    STR("\n"), &b), 0);
		check(buf_str(&b), str_of(cases[i].want), i);
		buf_release(&b);
		buf_release(&back);
	}
}

static void
phrases(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "Fred", "Fred" },
		{ "Fred Flint", "Fred Flint" },
		{ "Fred  Flint", "\"Fred  Flint\"" },
		{ " Fred", "\" Fred\"" },
		{ "Flint, Fred", "\"Flint, Fred\"" },
		{ "F. Flint", "\"F. Flint\"" },
		{ "a \"b\" \\ c", "\"a \\\"b\\\" \\\\ c\"" },
		{ "", "\"\"" },
		{ "J\xc3\xbcrgen", "=?utf-8?Q?J=C3=BCrgen?=" },
		{ "a\nb", "\"a b\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;

		buf_init(&b, 1000);
		assert_int_equal(encoded_phrase(str_of(cases[i].in), &b), 0);
		check(buf_str(&b), str_of(cases[i].want), i);
		buf_release(&b);
	}
}

/* Random text comes back, and no line or word is too long. */
static void
encoding_is_reversible(void **state)
{
	uint32_t seed = 4711;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct buf text, coded, back, flat;
		struct str rest, line;
		int n;

		buf_init(&text, 4096);
		buf_init(&coded, 65536);
		buf_init(&flat, 65536);
		buf_init(&back, 65536);
		seed = seed * 1103515245u + 12345u;
		n = (int)(seed >> 16) % 120 + 1;
		for (int i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			switch (seed >> 20 & 7) {
			case 0:
				(void)utf8_add(&text, 0xe4 + (seed >> 24));
				break;
			case 1:
				(void)utf8_add(&text, 0x1f600 + (seed >> 27));
				break;
			case 2:
				if (text.n && text.p[text.n - 1] != ' ')
					(void)buf_addc(&text, ' ');
				break;
			default:
				(void)buf_addc(&text,
				    (char)('!' + (seed >> 8) % 94));
			}
		}
		assert_int_equal(encoded_encode(str_trim(buf_str(&text)), 10,
		    STR("\n"), &coded), 0);
		rest = buf_str(&coded);
		while (str_split(&rest, '\n', &line)) {
			if (flat.n)
				assert_true(line.n && line.p[0] == ' ');
			(void)buf_adds(&flat, line);
			assert_true(utf8_is_ascii(line));
		}
		assert_int_equal(encoded_decode(buf_str(&flat), &back), 0);
		check(buf_str(&back), str_trim(buf_str(&text)), (size_t)round);
		buf_release(&text);
		buf_release(&coded);
		buf_release(&flat);
		buf_release(&back);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_is_strict),
		cmocka_unit_test(utf8_round_trip),
		cmocka_unit_test(utf8_cuts_between),
		cmocka_unit_test(converts),
		cmocka_unit_test(sealed),
		cmocka_unit_test(decodes_words),
		cmocka_unit_test(encodes),
		cmocka_unit_test(phrases),
		cmocka_unit_test(encoding_is_reversible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
