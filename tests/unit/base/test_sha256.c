/* SHA-256 and HMAC against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/sha256.h"

static void
check_hex(const unsigned char digest[SHA256_BYTES], const char *want)
{
	struct buf hex;

	buf_init(&hex, 100);
	sha256_hex(digest, &hex);
	assert_string_equal(hex.p, want);
	buf_release(&hex);
}

/* FIPS 180-4 examples and the empty message. */
static void
test_digest(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb924"
		    "27ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223"
		    "b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039"
		    "a33ce45964ff2167f6ecedd419db06c1" },
	};
	unsigned char digest[SHA256_BYTES];
	struct sha256 h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		sha256_init(&h);
		sha256_add(&h, cases[i].text, strlen(cases[i].text));
		sha256_end(&h, digest);
		check_hex(digest, cases[i].want);
	}
}

/* A million times "a", in pieces of every size up to two blocks. */
static void
test_pieces(void **state)
{
	unsigned char digest[SHA256_BYTES];
	size_t left = 1000000, size = 1;
	char a[2 * SHA256_BLOCK];
	struct sha256 h;

	(void)state;
	memset(a, 'a', sizeof(a));
	sha256_init(&h);
	for (; left; size = size % sizeof(a) + 1) {
		size_t n = size < left ? size : left;

		sha256_add(&h, a, n);
		left -= n;
	}
	sha256_end(&h, digest);
	check_hex(digest, "cdc76e5c9914fb9281a1c7e284d73e67"
	    "f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231 cases 1, 2, 3 and 6. */
static void
test_hmac(void **state)
{
	unsigned char digest[SHA256_BYTES];
	char key[131], data[50];

	(void)state;
	memset(key, 0x0b, 20);
	sha256_hmac(str_mem(key, 20), STR("Hi There"), digest);
	check_hex(digest, "b0344c61d8db38535ca8afceaf0bf12b"
	    "881dc200c9833da726e9376c2e32cff7");
	sha256_hmac(STR("Jefe"), STR("what do ya want for nothing?"), digest);
	check_hex(digest, "5bdcc146bf60754e6a042426089575c7"
	    "5a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	sha256_hmac(str_mem(key, 20), str_mem(data, sizeof(data)), digest);
	check_hex(digest, "773ea91e36800e46854db8ebd09181a7"
	    "2959098b3ef8c122d9635514ced565fe");
	sha256_hmac(str_mem(key, sizeof(key)),
	    STR("Test Using Larger Than Block-Size Key - Hash Key First"),
	    digest);
	check_hex(digest, "60e431591ee0b67f0d8a26aacbf5b77f"
	    "8e0bc6213728c5140546040f0ee37f54");
}

static void
test_parts(void **state)
{
	unsigned char one[SHA256_BYTES], two[SHA256_BYTES];
	struct sha256 h;

	(void)state;
	sha256_init(&h);
	sha256_part(&h, STR("ab"));
	sha256_part(&h, STR("c"));
	sha256_end(&h, one);
	sha256_init(&h);
	sha256_part(&h, STR("a"));
	sha256_part(&h, STR("bc"));
	sha256_end(&h, two);
	assert_false(sha256_same(one, two, SHA256_BYTES));
	assert_true(sha256_same(one, one, SHA256_BYTES));
	memcpy(two, one, sizeof(two));
	two[SHA256_BYTES - 1] ^= 1;
	assert_false(sha256_same(one, two, SHA256_BYTES));
	assert_true(sha256_same(one, two, SHA256_BYTES - 1));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
