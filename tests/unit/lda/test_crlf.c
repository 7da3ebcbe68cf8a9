#include "lda/lmtp/crlf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONGEST 400

/* The same, a byte at a time. */
static size_t
plainly(struct str in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++)
		if (in.p[i] != '\r' || i + 1 == in.n || in.p[i + 1] != '\n')
			out[n++] = in.p[i];
	return n;
}

/* Fed in pieces of `piece` bytes with room for `room` at a time, each in memory
 * of its own, so that a sanitizer sees who reads or writes beside it. */
static size_t
in_pieces(struct str in, size_t piece, size_t room, char *out)
{
	struct crlf c = { .held = false };
	size_t n = 0;

	for (size_t at = 0; at < in.n; at += piece) {
		size_t take = in.n - at < piece ? in.n - at : piece;
		char *copy = malloc(take), *to = malloc(room);
		struct str rest = str_mem(copy, take);

		memcpy(copy, in.p + at, take);
		while (rest.n) {
			size_t got = crlf_feed(&c, &rest, to, room);

			assert_true(got <= room);
			memcpy(out + n, to, got);
			n += got;
		}
		free(to);
		free(copy);
	}
	return n + crlf_end(&c, out + n);
}

static void
assert_same(struct str in, size_t piece, size_t room)
{
	char want[LONGEST], got[LONGEST + 1];
	size_t n = plainly(in, want);

	assert_int_equal(in_pieces(in, piece, room, got), n);
	assert_memory_equal(got, want, n);
}

/* A CRLF and a bare CR at each place that a block can have, and many of both. */
static void
line_ends_anywhere(void **state)
{
	static const char *const ends[] = { "\r\n", "\r", "\n", "\r\r\n",
	    "\r\n\r\n", "\n\r" };
	char text[LONGEST];

	(void)state;
	for (size_t e = 0; e < sizeof(ends) / sizeof(*ends); e++)
		for (size_t at = 0; at < 140; at++) {
			memset(text, 'x', sizeof(text));
			memcpy(text + at, ends[e], strlen(ends[e]));
			for (size_t n = at + strlen(ends[e]); n < 210; n += 3)
				assert_same(str_mem(text, n), n, CRLF_ROOM(n));
		}
}

static void
any_bytes_in_any_pieces(void **state)
{
	char text[LONGEST];
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		for (size_t i = 0; i < sizeof(text); i++) {
			seed = seed * 1664525 + 1013904223;
			/* From nearly all line ends to hardly any. */
			text[i] = seed >> 24 > 4 * (round + 1) ?
			    "\r\n\rx"[seed >> 16 & 3] : (char)(seed >> 8);
		}
		for (size_t piece = 1; piece <= sizeof(text); piece += 1 + piece / 9)
			for (size_t room = 2; room <= sizeof(text) + 3;
			    room += 1 + room / 5)
				assert_same(str_mem(text, sizeof(text)), piece,
				    room);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_anywhere),
		cmocka_unit_test(any_bytes_in_any_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
