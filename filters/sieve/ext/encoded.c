/* encoded-character (RFC 5228 section 2.4.2.4): work of the compiler. */
#include "filters/sieve/ext/encoded.h"

#include "filters/message/utf8.h"
#include "filters/sieve/ext/list.h"

const struct sieve_ext ext_encoded_character = {
	.name = "encoded-character",
};

enum sequence {
	SEQUENCE_NONE,
	SEQUENCE_OK,
	SEQUENCE_RANGE,
};

/* Blanks as the grammar has them: blank is WSP and CRLF. */
static size_t
skip_blank(struct str s, size_t i)
{
	while (i < s.n && (ascii_isblank(s.p[i]) || s.p[i] == '\r' ||
	    s.p[i] == '\n'))
		i++;
	return i;
}

/* At "${hex:" or "${unicode:"; fills out and says how much it took. */
static enum sequence
sequence(struct str s, struct buf *out, size_t *used_r)
{
	bool hex = str_casestarts(s, STR("${hex:"));
	size_t i, was = out->n;
	bool range = false;

	if (!hex && !str_casestarts(s, STR("${unicode:")))
		return SEQUENCE_NONE;
	i = skip_blank(s, hex ? 6 : 10);
	for (;;) {
		uint32_t value = 0;
		size_t n = 0;

		/* unicode-hex is of any length, hex-pair of two at most */
		while (i < s.n && ascii_hex(s.p[i]) >= 0) {
			if (value <= 0x10ffff)
				value = value * 16 +
				    (uint32_t)ascii_hex(s.p[i]);
			i++;
			n++;
		}
		if (n == 0 || (hex && n > 2))
			goto none;
		if (hex) {
			(void)buf_addc(out, (char)value);	/* fits: see below */
		} else if (value > 0x10ffff ||
		    (value >= 0xd800 && value <= 0xdfff)) {
			range = true;
		} else {
			(void)utf8_add(out, value);
		}
		if (i < s.n && s.p[i] == '}')
			break;
		n = skip_blank(s, i);
		if (n == i || n == s.n)
			goto none;
		i = n;
		if (s.p[i] == '}')
			break;
	}
	*used_r = i + 1;
	return range ? SEQUENCE_RANGE : SEQUENCE_OK;
none:
	buf_cut(out, was);
	return SEQUENCE_NONE;
}

int
encoded_character_decode(struct arena *a, struct str *s, const char **why_r)
{
	struct str rest = *s;
	struct buf out;
	int r = -1;

	if (str_find(*s, STR("${")) < 0)
		return 0;
	/* a sequence is longer than what it stands for */
	buf_init(&out, s->n + 8);
	while (rest.n) {
		ptrdiff_t at = str_find(rest, STR("${"));
		size_t used = 2;

		if (at < 0)
			at = (ptrdiff_t)rest.n;
		(void)buf_add(&out, rest.p, (size_t)at);
		rest = str_sub(rest, (size_t)at, rest.n);
		if (rest.n == 0)
			break;
		switch (sequence(rest, &out, &used)) {
		case SEQUENCE_RANGE:
			*why_r = "a character past U+10FFFF, or a surrogate";
			goto out;
		case SEQUENCE_NONE:
			(void)buf_add(&out, rest.p, 2);
			break;
		case SEQUENCE_OK:
			break;
		}
		rest = str_sub(rest, used, rest.n);
	}
	*s = arena_copy(a, buf_str(&out));
	if (!s->p) {
		*why_r = "script too large";
		goto out;
	}
	r = 0;
out:
	buf_release(&out);
	return r;
}
