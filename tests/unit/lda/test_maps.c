/* Netstrings, socket maps and policy questions, from bytes to bytes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/maps/answer.h"
#include "lda/maps/netstring.h"
#include "lda/maps/policy.h"
#include "lda/maps/socketmap.h"
#include "lda/resolve.h"
#include "store/base/file.h"

static char dir[] = "/tmp/vbox-test-maps-XXXXXX";

static const char people[] =
	"@d1.test\n"
	"@alias.test alias=d1.test\n"
	"@catch.test catchall=fred@d1.test\n"
	"@off.test state=disabled\n"
	"@wait.test state=locked\n"
	"@far.test host=mail2.test\n"
	"@here.test host=MX.test\n"
	"fred@d1.test\n"
	"jane@d1.test host=mail3.test\n"
	"off@d1.test state=disabled\n"
	"why@d1.test state=disabled reason=Gone%20%22to%22%20<bob@x>%24%C3%BC\n"
	"lock@d1.test state=locked\n"
	"susp@d1.test state=suspended\n"
	"fwd@d1.test forward=x@elsewhere.test keep=no\n"
	"info@d1.test alias=fred,x@elsewhere.test\n"
	"ping@d1.test alias=ping2\n"
	"ping2@d1.test alias=ping\n"
	"bob@far.test\n"
	"here@here.test\n"
	"gone@off.test\n";

static struct site {
	struct config config;
	struct directory *directory;
	struct resolver resolver;
	struct agent agent;
	struct arena a;
	struct buf out;
} s;

static int
setup(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct directory_settings set = { .module_dir = NULL };
	char path[128], spec[160];
	const char *specs[] = { spec };
	FILE *f;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/users", dir);
	(void)snprintf(spec, sizeof(spec), "file:%s", path);
	f = fopen(path, "w");
	if (f == NULL || fputs(people, f) == EOF || fclose(f) != 0 ||
	    config_load_text("test", "message_size_limit = 1M\n"
	    "domain \"far.test\" { message_size_limit = 2M }\n", &s.config,
	    NULL, &v) < 0 || directory_open(specs, 1, &set, &s.directory,
	    &v) < 0)
		return -1;
	s.resolver = (struct resolver){ .directory = s.directory,
	    .delimiters = "+" };
	s.agent = (struct agent){ .config = &s.config,
	    .resolver = &s.resolver, .hostname = "mx.test" };
	arena_init(&s.a, RESOLVE_ARENA);
	buf_init(&s.out, MAP_OUT_MAX);
	return 0;
}

static int
teardown(void **state)
{
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/users", dir);
	buf_release(&s.out);
	arena_release(&s.a);
	directory_close(&s.directory);
	config_release(&s.config);
	(void)unlink(path);
	return rmdir(dir);
}

/* --- netstrings ------------------------------------------------------------------- */

static void
test_netstrings(void **state)
{
	static const struct {
		const char *in;
		enum netstring_result want;
		const char *content, *rest;
	} cases[] = {
		{ "0:,", NETSTRING_ONE, "", "" },
		{ "3:a,b,rest", NETSTRING_ONE, "a,b", "rest" },
		{ "10:0123456789,", NETSTRING_ONE, "0123456789", "" },
		{ "", NETSTRING_MORE, NULL, NULL },
		{ "1", NETSTRING_MORE, NULL, NULL },
		{ "10", NETSTRING_MORE, NULL, NULL },
		{ "3:", NETSTRING_MORE, NULL, NULL },
		{ "3:ab", NETSTRING_MORE, NULL, NULL },
		{ "3:abc", NETSTRING_MORE, NULL, NULL },
		{ "3:abcd", NETSTRING_BAD, NULL, NULL },
		{ ":", NETSTRING_BAD, NULL, NULL },
		{ "-1:a,", NETSTRING_BAD, NULL, NULL },
		{ " 1:a,", NETSTRING_BAD, NULL, NULL },
		{ "01:a,", NETSTRING_BAD, NULL, NULL },
		{ "1 :a,", NETSTRING_BAD, NULL, NULL },
		{ "11:", NETSTRING_BAD, NULL, NULL },	/* past the limit */
		{ "99", NETSTRING_BAD, NULL, NULL },
		{ "999999999999999999999", NETSTRING_BAD, NULL, NULL },
		{ "GET / HTTP/1.0\r\n", NETSTRING_BAD, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str in = str_of(cases[i].in), content;

		if (netstring_take(&in, 10, &content) != cases[i].want)
			fail_msg("case %s", cases[i].in);
		if (cases[i].want != NETSTRING_ONE) {
			assert_true(str_eq(in, str_of(cases[i].in)));
			continue;
		}
		assert_true(str_eq(content, str_of(cases[i].content)));
		assert_true(str_eq(in, str_of(cases[i].rest)));
	}
}

static void
test_a_full_answer_leaves_nothing_behind(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(netstring_add(&b, STR("OK"), STR("abc")), 0);
	assert_true(str_eq(buf_str(&b), STR("6:OK abc,")));
	assert_int_equal(netstring_add(&b, STR("OK"), STR("abc")), -1);
	assert_true(str_eq(buf_str(&b), STR("6:OK abc,")));
	buf_release(&b);
}

/* --- maps -------------------------------------------------------------------------- */

/* "OK value", "NOTFOUND", ... */
static const struct {
	const char *map, *key, *want;
} answers[] = {
	{ "virtuser", "fred@d1.test", "OK fred@d1.test.virtuser." },
	{ "virtuser", "FRED@D1.Test", "OK FRED@D1.Test.virtuser." },
	{ "virtuser", "fred+x@d1.test", "OK fred+x@d1.test.virtuser." },
	{ "virtuser", "fred++@d1.test", "OK fred%3@d1.test.virtuser." },
	{ "virtuser", "fred+*@d1.test", "OK fred%3@d1.test.virtuser." },
	{ "virtuser", "ghost+*@d1.test", "NOTFOUND " },
	{ "virtuser", "++@d1.test", "NOTFOUND " },
	{ "virtuser", "fred@alias.test", "OK fred@alias.test.virtuser." },
	{ "virtuser", "info@d1.test", "OK info@d1.test.virtuser." },
	{ "virtuser", "fwd@d1.test", "OK fwd@d1.test.virtuser." },
	{ "virtuser", "any@catch.test", "OK any@catch.test.virtuser." },
	{ "virtuser", "@catch.test", "OK %1@catch.test.virtuser." },
	{ "virtuser", "susp@d1.test", "OK susp@d1.test.virtuser." },
	{ "virtuser", "ghost@d1.test", "NOTFOUND " },
	{ "virtuser", "@d1.test", "OK error:5.1.1:550 User unknown" },
	{ "virtuser", "off@d1.test",
	    "OK error:5.2.1:550 Mailbox not available" },
	{ "virtuser", "why@d1.test",
	    "OK error:5.2.1:550 Mailbox not available: Gone  to   bob x    " },
	{ "virtuser", "lock@d1.test",
	    "OK error:4.2.1:450 Mailbox is locked, please try again later" },
	{ "virtuser", "gone@off.test",
	    "OK error:5.2.1:550 Mailbox not available" },
	{ "virtuser", "@off.test",
	    "OK error:5.2.1:550 Mailbox not available" },
	{ "virtuser", "a/b@d1.test",
	    "OK error:5.1.3:553 Address is not valid" },
	{ "virtuser", "ping@d1.test", "OK error:5.4.6:554 Mail is looping" },
	{ "virtuser", "fred@elsewhere.test", "NOTFOUND " },
	{ "virtuser", "@elsewhere.test", "NOTFOUND " },
	{ "virtuser", "a/b@elsewhere.test", "NOTFOUND " },
	{ "virtuser", "fred", "NOTFOUND " },
	{ "virtuser", "", "NOTFOUND " },
	{ "virtuser", "@", "NOTFOUND " },
	{ "vbox_recipient", "fred@d1.test", "OK OK" },
	{ "recipient", "ghost@d1.test", "OK ERROR:5.1.1:550 User unknown" },
	{ "recipient", "fred@elsewhere.test", "NOTFOUND " },
	{ "recipient", "@d1.test", "OK ERROR:5.1.3:553 Address is not valid" },
	{ "recipient", "d1.test", "NOTFOUND " },
	{ "domain", "D1.test", "OK d1.test" },
	{ "domain", "d1.test.", "OK d1.test" },
	{ "domain", "alias.test", "OK d1.test" },
	{ "domain", "off.test", "OK off.test" },
	{ "domain", "elsewhere.test", "NOTFOUND " },
	{ "domain", "..", "NOTFOUND " },
	{ "domain", "", "NOTFOUND " },
	{ "access", "To:fred@d1.test", "OK RELAY" },
	{ "access", "to:d1.test", "OK RELAY" },
	{ "access", "To:off@d1.test",
	    "OK ERROR:5.2.1:550 Mailbox not available" },
	{ "access", "To:wait.test",
	    "OK ERROR:4.2.1:450 Mailbox is locked, please try again later" },
	{ "access", "To:ghost@d1.test", "OK ERROR:5.1.1:550 User unknown" },
	{ "access", "To:fred@", "NOTFOUND " },
	{ "access", "To:elsewhere.test", "NOTFOUND " },
	{ "access", "To:", "NOTFOUND " },
	{ "access", "d1.test", "NOTFOUND " },
	{ "access", "Connect:d1.test", "NOTFOUND " },
	{ "access", "From:fred@d1.test", "NOTFOUND " },
	{ "generics", "fred@d1.test.virtuser", "OK fred@d1.test" },
	{ "generics", "fred@d1.test.virtuser.", "OK fred@d1.test" },
	{ "generics", "@d1.test.virtuser", "OK %1@d1.test" },
	{ "generics", "fred@d1.test", "NOTFOUND " },
	{ "generics", "fred@.virtuser", "NOTFOUND " },
	{ "generics", "fred@elsewhere.test.virtuser", "NOTFOUND " },
	{ "mailertable", "far.test", "OK lmtp:[mail2.test]" },
	{ "mailertable", "here.test", "NOTFOUND " },
	{ "mailertable", "d1.test", "NOTFOUND " },
	{ "mailertable", ".test", "NOTFOUND " },
	{ "transport", "bob@far.test", "OK lmtp:[mail2.test]" },
	{ "transport", "jane@d1.test", "OK lmtp:[mail3.test]" },
	{ "transport", "fred@d1.test", "NOTFOUND " },
	{ "transport", "x@elsewhere.test", "NOTFOUND " },
	{ "transport", "*", "NOTFOUND " },
	{ "virtual_mailbox_domains", "d1.test", "OK d1.test" },
	{ "virtual_mailbox_domains", "elsewhere.test", "NOTFOUND " },
	{ "virtual_mailbox_maps", "fred@d1.test", "OK OK" },
	{ "virtual_mailbox_maps", "fred+x@d1.test", "OK OK" },
	{ "virtual_mailbox_maps", "off@d1.test", "OK OK" },
	{ "virtual_mailbox_maps", "lock@d1.test", "OK OK" },
	{ "virtual_mailbox_maps", "ghost@d1.test", "NOTFOUND " },
	{ "virtual_mailbox_maps", "@d1.test", "NOTFOUND " },
	{ "virtual_mailbox_maps", "@catch.test", "OK OK" },
	{ "virtual_mailbox_maps", "a/b@d1.test", "NOTFOUND " },
	{ "virtual_alias_maps", "info@d1.test",
	    "OK fred@d1.test, x@elsewhere.test" },
	{ "virtual_alias_maps", "info@alias.test",
	    "OK fred@d1.test, x@elsewhere.test" },
	{ "virtual_alias_maps", "fwd@d1.test", "NOTFOUND " },
	{ "virtual_alias_maps", "@catch.test", "NOTFOUND " },
	{ "virtual_alias_maps", "info", "NOTFOUND " },
	{ "recipient_access", "fred@d1.test", "NOTFOUND " },
	{ "recipient_access", "off@d1.test",
	    "OK 550 5.2.1 Mailbox not available" },
	{ "recipient_access", "lock@d1.test",
	    "OK 450 4.2.1 Mailbox is locked, please try again later" },
	{ "recipient_access", "ghost@d1.test", "OK 550 5.1.1 User unknown" },
	{ "recipient_access", "d1.test", "NOTFOUND " },
	{ "recipient_access", "fred@", "NOTFOUND " },
	{ "recipient_access", "x@elsewhere.test", "NOTFOUND " },
	{ "nonsense", "fred@d1.test", "PERM no such map" },
	{ "", "fred@d1.test", "PERM no such map" },
};
#define ANSWERS (sizeof(answers) / sizeof(answers[0]))

static void
add_query(struct buf *b, const char *map, const char *key)
{
	(void)buf_addf(b, "%zu:%s %s,", strlen(map) + 1 + strlen(key), map,
	    key);
}

static void
test_maps(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	for (size_t i = 0; i < ANSWERS; i++) {
		struct str in, text;

		buf_reset(&b);
		buf_reset(&s.out);
		add_query(&b, answers[i].map, answers[i].key);
		in = buf_str(&b);
		assert_int_equal(map_feed(&socketmap_protocol, &s.agent, &in,
		    &s.a, &s.out, 0), MAP_MORE);
		assert_int_equal(in.n, 0);
		in = buf_str(&s.out);
		assert_int_equal(netstring_take(&in, SOCKETMAP_REPLY_MAX,
		    &text), NETSTRING_ONE);
		assert_int_equal(in.n, 0);
		if (!str_eq(text, str_of(answers[i].want)))
			fail_msg("%s %s: %.*s", answers[i].map,
			    answers[i].key, STR_ARG(text));
	}
	buf_release(&b);
}

/* All questions in one piece; then byte by byte: the same bytes come back. */
static void
test_pipelining(void **state)
{
	struct buf all, first, piece;
	struct str in;

	(void)state;
	buf_init(&all, 100000);
	buf_init(&first, 100000);
	buf_init(&piece, 100000);
	for (size_t i = 0; i < ANSWERS; i++)
		add_query(&all, answers[i].map, answers[i].key);
	buf_reset(&s.out);
	in = buf_str(&all);
	assert_int_equal(map_feed(&socketmap_protocol, &s.agent, &in, &s.a,
	    &s.out, 0), MAP_MORE);
	assert_int_equal(in.n, 0);
	(void)buf_adds(&first, buf_str(&s.out));
	buf_reset(&s.out);
	for (size_t i = 0; i < all.n; i++) {
		(void)buf_addc(&piece, all.p[i]);
		in = buf_str(&piece);
		assert_int_equal(map_feed(&socketmap_protocol, &s.agent, &in,
		    &s.a, &s.out, 0), MAP_MORE);
		if (in.n == 0)
			buf_reset(&piece);
	}
	assert_true(str_eq(buf_str(&first), buf_str(&s.out)));
	buf_release(&all);
	buf_release(&first);
	buf_release(&piece);
}

/* Answers are sent on the way, and none is lost by that. */
static void
test_a_flood_is_answered_in_portions(void **state)
{
	struct buf flood;
	struct str in;
	size_t portions = 0, bytes = 0;

	(void)state;
	buf_init(&flood, 1 << 20);
	for (size_t i = 0; i < 5000; i++)
		add_query(&flood, "domain", "d1.test");
	in = buf_str(&flood);
	while (in.n > 0) {
		buf_reset(&s.out);
		assert_int_not_equal(map_feed(&socketmap_protocol, &s.agent,
		    &in, &s.a, &s.out, 0), MAP_CLOSE);
		assert_true(s.out.n < MAP_OUT_MAX);
		bytes += s.out.n;
		portions++;
	}
	assert_int_equal(bytes, 5000 * (sizeof("10:OK d1.test,") - 1));
	assert_int_equal(portions, 2);
	buf_release(&flood);
}

static void
test_nonsense_hangs_up(void **state)
{
	static const char *const bad[] = {
		"3:abc,", "0:,", "x", "10001:", "3:abcd",
		"15:domain d1.test,3:abc,",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct str in = str_of(bad[i]);

		buf_reset(&s.out);
		if (map_feed(&socketmap_protocol, &s.agent, &in, &s.a,
		    &s.out, 0) != MAP_CLOSE)
			fail_msg("%s", bad[i]);
	}
}

/* --- policy --------------------------------------------------------------------------- */

#define ASK "request=smtpd_access_policy\nprotocol_state=RCPT\n"

static void
test_policy(void **state)
{
	static const struct {
		const char *in;
		enum map_event want;
		const char *out;
	} cases[] = {
		{ ASK "recipient=fred@d1.test\n\n", MAP_MORE,
		    "action=DUNNO\n\n" },
		{ ASK "recipient=x@elsewhere.test\n\n", MAP_MORE,
		    "action=DUNNO\n\n" },
		{ ASK "recipient=ghost@d1.test\n\n", MAP_MORE,
		    "action=550 5.1.1 User unknown\n\n" },
		{ ASK "recipient=off@d1.test\n\n", MAP_MORE,
		    "action=550 5.2.1 Mailbox not available\n\n" },
		{ ASK "recipient=lock@d1.test\n\n", MAP_MORE,
		    "action=450 4.2.1 Mailbox is locked, please try again "
		    "later\n\n" },
		{ ASK "recipient=a/b@d1.test\n\n", MAP_MORE,
		    "action=553 5.1.3 Address is not valid\n\n" },
		{ ASK "recipient=fred@d1.test\nsize=2000000\n\n", MAP_MORE,
		    "action=552 5.3.4 Message is too big\n\n" },
		{ ASK "recipient=bob@far.test\nsize=2000000\n\n", MAP_MORE,
		    "action=DUNNO\n\n" },
		{ ASK "recipient=fred@d1.test\nsize=-1\n\n", MAP_MORE,
		    "action=DUNNO\n\n" },
		{ ASK "recipient=\n\n", MAP_MORE, "action=DUNNO\n\n" },
		{ ASK "recipient=postmaster\n\n", MAP_MORE,
		    "action=DUNNO\n\n" },
		{ "\n", MAP_MORE, "action=DUNNO\n\n" },
		{ ASK "recipient=ghost@d1.test\n\n" ASK
		    "recipient=fred@d1.test\n\n" ASK, MAP_MORE,
		    "action=550 5.1.1 User unknown\n\naction=DUNNO\n\n" },
		{ ASK "recipient=fred@d1.test\n", MAP_MORE, "" },
		{ "recipient=a=b@d1.test\n\n", MAP_MORE,
		    "action=550 5.1.1 User unknown\n\n" },
		{ "nonsense\n\n", MAP_CLOSE, "" },
		{ "=x\n\n", MAP_CLOSE, "" },
		{ "GET / HTTP/1.0\r\n\r\n", MAP_CLOSE, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str in = str_of(cases[i].in);

		buf_reset(&s.out);
		if (map_feed(&policy_protocol, &s.agent, &in, &s.a,
		    &s.out, 0) != cases[i].want || !str_eq(buf_str(&s.out),
		    str_of(cases[i].out)))
			fail_msg("case %zu: %.*s", i,
			    STR_ARG(buf_str(&s.out)));
	}
}

static void
test_policy_has_an_end(void **state)
{
	static char much[POLICY_REQUEST_MAX];
	struct str in = str_mem(much, sizeof(much) - 1);

	(void)state;
	memset(much, 'a', sizeof(much));
	buf_reset(&s.out);
	assert_int_equal(map_feed(&policy_protocol, &s.agent, &in, &s.a,
	    &s.out, 0), MAP_MORE);
	in = str_mem(much, sizeof(much));
	assert_int_equal(map_feed(&policy_protocol, &s.agent, &in, &s.a,
	    &s.out, 0), MAP_CLOSE);
}

/* --- the directory is down ---------------------------------------------------------- */

static void
test_could_not_ask_is_never_not_there(void **state)
{
	static const struct {
		const char *map, *key;
	} asks[] = {
		{ "virtuser", "fred@d1.test" }, { "virtuser", "@d1.test" },
		{ "virtuser", "fred++@d1.test" },
		{ "virtuser", "a/b@d1.test" },
		{ "access", "To:fred@d1.test" }, { "access", "To:d1.test" },
		{ "domain", "d1.test" }, { "recipient", "fred@d1.test" },
		{ "generics", "fred@d1.test.virtuser" },
		{ "mailertable", "d1.test" }, { "mailertable", "fred@d1.test" },
		{ "virtual_mailbox_domains", "d1.test" },
		{ "virtual_mailbox_maps", "fred@d1.test" },
		{ "virtual_mailbox_maps", "@d1.test" },
		{ "virtual_alias_maps", "fred@d1.test" },
		{ "transport", "fred@d1.test" },
		{ "recipient_access", "fred@d1.test" },
	};
	const char *specs[] = { "file:/nonexistent/users" };
	struct directory_settings set = { .module_dir = NULL };
	struct resolver resolver = s.resolver;
	struct agent agent = s.agent;
	struct verdict v = VERDICT_INIT;
	struct str in = STR(ASK "recipient=fred@d1.test\n\n");

	(void)state;
	resolver.directory = NULL;
	assert_int_equal(directory_open(specs, 1, &set, &resolver.directory,
	    &v), 0);
	agent.resolver = &resolver;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		if (answer_map(&agent, str_of(asks[i].map),
		    str_of(asks[i].key), &s.a).kind != ANSWER_TEMP)
			fail_msg("%s %s", asks[i].map, asks[i].key);
		arena_reset(&s.a);
	}
	/* No map was forgotten. */
	for (size_t m = 0, i; answer_name(m) != NULL; m++) {
		for (i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
			if (strcmp(asks[i].map, answer_name(m)) == 0)
				break;
		assert_true(i < sizeof(asks) / sizeof(asks[0]));
	}
	buf_reset(&s.out);
	assert_int_equal(map_feed(&policy_protocol, &agent, &in, &s.a,
	    &s.out, 0), MAP_MORE);
	assert_true(str_eq(buf_str(&s.out), STR("action=451 4.3.0 Recipient "
	    "cannot be looked up now, please try again later\n\n")));
	directory_close(&resolver.directory);
}

/* Whoever writes a map into his configuration finds it in the manual. */
static void
test_every_map_is_in_the_manual(void **state)
{
	struct buf page, want;
	int fd = open("docs/man/vbox-lmtpd.8", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	buf_init(&page, 1 << 20);
	buf_init(&want, 256);
	assert_int_equal(file_read_whole(fd, &page), 0);
	file_close(&fd);
	for (size_t m = 0; answer_name(m) != NULL; m++) {
		buf_reset(&want);
		(void)buf_addf(&want, "\n.It Cm %s\n", answer_name(m));
		if (str_find(buf_str(&page), buf_str(&want)) >= 0)
			continue;
		buf_reset(&want);
		(void)buf_addf(&want, " , %s\n", answer_name(m));
		if (str_find(buf_str(&page), buf_str(&want)) >= 0)
			continue;
		buf_reset(&want);
		(void)buf_addf(&want, "\n.It Cm %s , ", answer_name(m));
		if (str_find(buf_str(&page), buf_str(&want)) < 0)
			fail_msg("%s", answer_name(m));
	}
	buf_release(&page);
	buf_release(&want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netstrings),
		cmocka_unit_test(test_a_full_answer_leaves_nothing_behind),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_a_flood_is_answered_in_portions),
		cmocka_unit_test(test_nonsense_hangs_up),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_policy_has_an_end),
		cmocka_unit_test(test_could_not_ask_is_never_not_there),
		cmocka_unit_test(test_every_map_is_in_the_manual),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
