/* Where Dovecot keeps the identity of a mailbox: read as it is, and believed
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/buf.h"
#include "store/base/mem.h"
#include "store/folder.h"
#include "store/guid.h"

#define GUID "c800dc3797a50c6b3203000083ecc375"

/* The beginning of a dovecot.index.log as 2.3.19 wrote it, padding left out. */
static const char log_hex[] =
    "0103280097a50c6b02000000000000000000000097a50c6b010000000000000001000000"
    "00000000"
    "808080830000081070000000"
    "8080808840000010ffffffff000000002000000008000800000004006d626f78"
    "8080808b0001001000002000000000000000000097a50c6b00000000"
    "c800dc3797a50c6b3203000083ecc375"
    "80808086200000101800040099a50c6b4c000400ffffffff";

static size_t
unhex(const char *hex, unsigned char *p)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		p[i] = (unsigned char)strtoul(two, NULL, 16);
	}
	return n;
}

/* dovecot.index: head, an extension "cache" of 8 bytes, then "mbox". */
static size_t
make_index(unsigned char *p)
{
	static const unsigned char head[16] = { 7, 3, 120, 0, 216, 0, 0, 0 };
	size_t n = 120;

	memset(p, 0, 216);
	memcpy(p, head, sizeof(head));
	p[n] = 8;			/* header size */
	p[n + 14] = 5;			/* name size */
	memcpy(p + n + 16, "cache", 5);
	n += 16 + 8 + 8;
	p[n] = 32;
	p[n + 14] = 4;
	memcpy(p + n + 16, "mbox", 4);
	n += 16 + 8;
	(void)unhex(GUID, p + n + 16);
	return n + 32;
}

static void
the_guid_is_found(void **state)
{
	unsigned char p[400];
	char guid[GUID_HEX + 1];
	size_t n;

	(void)state;
	assert_int_equal(guid_in_log(p, unhex(log_hex, p), guid), 1);
	assert_string_equal(guid, GUID);
	assert_int_equal(guid_in_index(p, make_index(p), guid), 1);
	assert_string_equal(guid, GUID);
	n = make_index(p);
	memset(p + n - 16, 0, 16);
	assert_int_equal(guid_in_index(p, n, guid), 0);
}

/* Each piece in memory of its own size, so that a sanitizer sees a step
 * beyond it. */
static void
look(const unsigned char *p, size_t n)
{
	unsigned char *q = mem_alloc(n ? n : 1);
	char guid[GUID_HEX + 1];

	memcpy(q, p, n);
	(void)guid_in_log(q, n, guid);
	(void)guid_in_index(q, n, guid);
	free(q);
}

static void
cut_and_spoilt_ones_are_harmless(void **state)
{
	unsigned char p[2][400];
	size_t n[2];

	(void)state;
	n[0] = unhex(log_hex, p[0]);
	n[1] = make_index(p[1]);
	srandom(1);
	for (int f = 0; f < 2; f++) {
		for (size_t cut = 0; cut <= n[f]; cut++)
			look(p[f], cut);
		for (int i = 0; i < 20000; i++) {
			unsigned char spoilt[400];

			memcpy(spoilt, p[f], n[f]);
			for (int k = 0; k < 1 + i % 4; k++)
				spoilt[(size_t)random() % n[f]] =
				    (unsigned char)(i % 3 ? random() : 255);
			look(spoilt, n[f]);
		}
	}
}

static void
names_come_back(void **state)
{
	static const char *const names[] = { "Work", "Work/2026", "B\303\266se & x",
	    "\360\237\222\250\342\261\247", "a&b", "&-", "\303\244\303\266\303\274x" };
	static const char *const wrong[] = { "", "a&", "a&!-", "&2D0-", "&3K0-",
	    "a\001b", "\303\266", "&AAE-" };
	struct verdict v = VERDICT_INIT;
	struct buf path, name;

	(void)state;
	buf_init(&path, 1000);
	buf_init(&name, 1000);
	for (int format = 0; format < 2; format++) {
		enum mailbox_format f = format ? MAILBOX_MAILDIR : MAILBOX_MBOX;

		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			assert_int_equal(folder_path(f, str_of(names[i]), &path,
			    &v), 0);
			assert_int_equal(folder_name(f, buf_str(&path), &name), 0);
			assert_string_equal(name.p, names[i]);
		}
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(folder_name(MAILBOX_MBOX, str_of(wrong[i]),
		    &name), -1);
	buf_release(&path);
	buf_release(&name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guid_is_found),
		cmocka_unit_test(cut_and_spoilt_ones_are_harmless),
		cmocka_unit_test(names_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
