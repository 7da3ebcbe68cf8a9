/*
 * Charsets and encoded words from bytes. The first byte chooses a charset, or
 * the bytes up to a NUL name one; whatever comes out is UTF-8.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/message/charset.h"
#include "filters/message/encoded.h"
#include "filters/message/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
charset_check(bool good)
{
	if (!good)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15",
		"windows-1252", "koi8-r", "utf-7", "utf-16", "utf-16le",
		"gb2312", "big5", "euc-kr", "iso-2022-jp", "shift_jis",
		"euc-jp", "iso-2022-kr", "euc-tw", "johab", "tcvn", "viscii",
	};
	struct str s, name;
	struct buf b, back;
	ptrdiff_t nul;

	if (size < 1 || size > 20000)
		return 0;
	s = str_mem(data + 1, size - 1);
	buf_init(&b, (size_t)1 << 20);
	buf_init(&back, (size_t)1 << 20);
	name = str_of(names[data[0] % (sizeof(names) / sizeof(names[0]))]);
	nul = str_chr(s, '\0');
	if (data[0] > 200 && nul >= 0) {
		name = str_sub(s, 0, (size_t)nul);
		s = str_sub(s, (size_t)nul + 1, s.n);
	}
	(void)charset_to_utf8(name, s, &b);
	charset_check(utf8_valid(buf_str(&b)));
	(void)utf8_length(s);
	(void)charset_preload_for(s);

	buf_reset(&b);
	charset_check(encoded_decode(s, &b) == 0);
	charset_check(utf8_valid(buf_str(&b)));
	charset_check(str_chr(buf_str(&b), '\0') < 0 || str_chr(s, '\0') >= 0);

	/* What was encoded is pure ASCII and comes back as it was. */
	buf_reset(&b);
	buf_reset(&back);
	(void)utf8_add_fixed(&back, str_trim(s));
	for (size_t i = 0; i < back.n; i++)
		if (ascii_iscntrl(back.p[i]))
			back.p[i] = ' ';
	{
		struct str text = str_trim(buf_str(&back)), rest, line;
		struct buf flat, decoded;

		charset_check(encoded_encode(text, data[0] % 70, STR("\r\n"),
		    &b) == 0);
		charset_check(utf8_is_ascii(buf_str(&b)));
		buf_init(&flat, (size_t)1 << 20);
		buf_init(&decoded, (size_t)1 << 20);
		rest = buf_str(&b);
		while (str_split(&rest, '\n', &line)) {
			charset_check(line.n < 998);
			if (line.n && line.p[line.n - 1] == '\r')
				line.n--;
			(void)buf_adds(&flat, line);
		}
		charset_check(encoded_decode(buf_str(&flat), &decoded) == 0);
		charset_check(str_eq(buf_str(&decoded), text));
		buf_reset(&flat);
		(void)encoded_phrase(text, &flat);
		charset_check(utf8_is_ascii(buf_str(&flat)));
		buf_release(&flat);
		buf_release(&decoded);
	}
	/* A ceiling in the middle cuts no character. */
	buf_release(&b);
	buf_init(&b, data[0] & 0x1f);
	(void)charset_to_utf8(name, s, &b);
	charset_check(utf8_valid(buf_str(&b)));
	buf_reset(&b);
	(void)encoded_decode(s, &b);
	charset_check(utf8_valid(buf_str(&b)));
	buf_release(&b);
	buf_release(&back);
	return 0;
}
