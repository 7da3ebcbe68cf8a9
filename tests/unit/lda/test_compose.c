/* The messages that we write: what has to be in them, and what must not get
 * into them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/message/header.h"
#include "filters/message/transfer.h"
#include "lda/compose.h"
#include "lda/letter.h"
#include "store/base/arena.h"

#define NOW ((time_t)1795226089)
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static const struct compose who = {
	.hostname = { "mx.test", 7 },
	.postmaster = { "postmaster@d.test", 17 },
	.user = { "fred@d.test", 11 },
	.now = NOW,
};

/* Bytes that try to leave their field. */
#define EVIL "x\r\nBcc: evil@e.test\r\n\r\nbody\n.\n\0end"

/* --- looking at a message ------------------------------------------------------- */

static struct buf out;
static struct arena arena;
static struct header header;
static struct str body;

static int
setup(void **state)
{
	(void)state;
	buf_init(&out, COMPOSE_MAX);
	arena_init(&arena, 4 * 1024 * 1024);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_release(&out);
	arena_release(&arena);
	return 0;
}

/* What holds for each of our messages. */
static void
check_message(void)
{
	static const char *const once[] = { "From", "To", "Date", "Message-ID",
	    "Subject", "MIME-Version", "Content-Type", "Auto-Submitted" };
	struct str rest, line;

	assert_false(out.full);
	arena_reset(&arena);
	body = header_init(&header, &arena, buf_str(&out));
	for (size_t i = 0; i < COUNT(once); i++) {
		const struct field *f = header_find(&header, str_of(once[i]));

		if (!f || field_next(f))
			fail_msg("%s: none or two in\n%s", once[i], out.p);
	}
	assert_null(header_find(&header, STR("Bcc")));
	for (struct field *f = header_first(&header); f; f = field_after(f)) {
		assert_true(f->name.n > 0);
		for (size_t i = 0; i < f->raw.n; i++)
			assert_true(f->raw.p[i] == '\n' || f->raw.p[i] == '\t' ||
			    !ascii_iscntrl(f->raw.p[i]));
	}
	rest = buf_str(&out);
	while (str_split(&rest, '\n', &line)) {
		if (line.p >= body.p)
			assert_true(line.n <= LETTER_LINE_MAX);
		else if (line.n > LETTER_FOLD)
			/* Only what cannot be folded. */
			assert_int_equal(str_chr(str_sub(line, str_chr(line,
			    ':') >= 0 ? (size_t)str_chr(line, ':') + 2 : 1,
			    line.n), ' '), -1);
	}
	assert_int_equal(out.p[out.n - 1], '\n');
}

static void
check_field(const char *name, const char *want)
{
	struct field *f = header_find(&header, str_of(name));

	if (!want) {
		assert_null(f);
		return;
	}
	if (!f)
		fail_msg("no %s in\n%s", name, out.p);
	else if (!str_eq(field_text(&header, f), str_of(want)))
		fail_msg("%s: %.*s, not %s", name,
		    STR_ARG(field_text(&header, f)), want);
}

static void
check_body(const char *want)
{
	struct field *f = header_find(&header, STR("Content-Transfer-Encoding"));
	struct buf plain;

	buf_init(&plain, COMPOSE_MAX);
	assert_int_equal(transfer_decode(f ? transfer_named(field_value(&header,
	    f)) : TRANSFER_IDENTITY, body, &plain), 0);
	if (!str_eq(buf_str(&plain), str_of(want)))
		fail_msg("body:\n%s\nnot:\n%s", plain.p, want);
	buf_release(&plain);
}

static void
check_in_body(const char *want)
{
	if (str_find(body, str_of(want)) < 0)
		fail_msg("no \"%s\" in\n%.*s", want, STR_ARG(body));
}

/* --- vacation ---------------------------------------------------------------------- */

static struct engine_action
vacation(struct str reason)
{
	return (struct engine_action){ .kind = ENGINE_VACATION,
	    .address = STR("sender@s.test"), .subject = STR("Auto: hello"),
	    .reason = reason, .in_reply_to = STR("<1@s.test>"),
	    .references = STR("<0@s.test> <1@s.test>") };
}

static void
a_vacation_answer(void **state)
{
	struct engine_action a = vacation(STR("I am away.\r\nBye"));

	(void)state;
	assert_int_equal(compose_vacation(&who, &a, &out), 0);
	check_message();
	check_field("From", "fred@d.test");
	check_field("To", "sender@s.test");
	check_field("Subject", "Auto: hello");
	check_field("In-Reply-To", "<1@s.test>");
	check_field("References", "<0@s.test> <1@s.test>");
	check_field("Auto-Submitted", "auto-replied");
	check_field("Content-Type", "text/plain; charset=utf-8");
	check_field("Content-Transfer-Encoding", "7bit");
	check_body("I am away.\nBye\n");
	assert_false(compose_needs_utf8(buf_str(&out)));
	buf_reset(&out);
	a.from = STR("Fr\xc3\xa9""d\xc3\xa9ric <f@d.test>");
	a.subject = STR("Abwesend: gr\xc3\xbc\xc3\x9f gott");
	a.in_reply_to = a.references = STR("");
	a.reason = STR("Sch\xc3\xb6n\n");
	assert_int_equal(compose_vacation(&who, &a, &out), 0);
	check_message();
	check_field("From", "Fr\xc3\xa9""d\xc3\xa9ric <f@d.test>");
	check_field("Subject", "Abwesend: gr\xc3\xbc\xc3\x9f gott");
	check_field("In-Reply-To", NULL);
	check_field("References", NULL);
	check_field("Content-Transfer-Encoding", "8bit");
	check_body("Sch\xc3\xb6n\n");
	assert_false(compose_needs_utf8(buf_str(&out)));
	buf_reset(&out);
	a.from = STR("Road <rr@d.test>, \"c, d\" <c@d.test>");
	assert_int_equal(compose_vacation(&who, &a, &out), 0);
	check_message();
	check_field("From", "Road <rr@d.test>, \"c, d\" <c@d.test>");
	check_field("Sender", "fred@d.test");
}

static void
bodies_find_an_encoding(void **state)
{
	static char long_line[3000], want[3002];
	const struct {
		struct str text;
		const char *encoding, *want;
	} cases[] = {
		{ STR(""), "7bit", "" },
		{ STR("a\n\n\nb\n"), "7bit", "a\n\n\nb\n" },
		{ STR("\xff\xc3\xbc"), "8bit", "\xef\xbf\xbd\xc3\xbc\n" },
		{ STR("a\rb\r\nc"), "7bit", "a\nb\nc\n" },
		{ STR("a\x1b[31m =\t \n"), "quoted-printable", "a\x1b[31m =\t \n" },
		{ { long_line, sizeof(long_line) }, "quoted-printable", want },
	};

	(void)state;
	memset(long_line, 'a', sizeof(long_line));
	memset(want, 'a', sizeof(long_line));
	want[sizeof(long_line)] = '\n';
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct engine_action a = vacation(cases[i].text);

		buf_reset(&out);
		assert_int_equal(compose_vacation(&who, &a, &out), 0);
		if (cases[i].text.n)
			check_message();
		body = header_init(&header, &arena, buf_str(&out));
		check_field("Content-Transfer-Encoding", cases[i].encoding);
		check_body(cases[i].want);
	}
}

static void
a_vacation_entity(void **state)
{
	static const struct {
		const char *entity, *type, *encoding, *body;
	} cases[] = {
		{ "Content-Type: text/html\r\n\r\n<b>x</b>\r\n", "text/html",
		    NULL, "<b>x</b>\n" },
		{ "Content-Type: text/plain; charset=utf-8\n\n\xc3\xbc",
		    "text/plain; charset=utf-8", "8bit", "\xc3\xbc\n" },
		{ "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n"
		    " boundary=b\nTo: evil@e.test\nBcc: evil@e.test\n"
		    "From: evil@e.test\nSubject: evil\n\n--b\n\nx\n--b--\n",
		    "multipart/mixed; boundary=b", NULL, "--b\n\nx\n--b--\n" },
		{ "Content-Transfer-Encoding: base64\n\naGVsbG8K\n",
		    "text/plain; charset=utf-8", "base64", "hello\n" },
		{ "just: text\nwithout a header", "text/plain; charset=utf-8",
		    "7bit", "just: text\nwithout a header\n" },
		{ "\nempty header", "text/plain; charset=utf-8", "7bit",
		    "empty header\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct engine_action a = vacation(str_of(cases[i].entity));

		a.flags = ENGINE_F_MIME;
		buf_reset(&out);
		assert_int_equal(compose_vacation(&who, &a, &out), 0);
		check_message();
		check_field("From", "fred@d.test");
		check_field("To", "sender@s.test");
		check_field("Subject", "Auto: hello");
		check_field("Content-Type", cases[i].type);
		check_field("Content-Transfer-Encoding", cases[i].encoding);
		check_body(cases[i].body);
	}
}

static void
an_entity_with_long_lines(void **state)
{
	struct engine_action a;
	struct buf entity, want;

	(void)state;
	buf_init(&entity, 10000);
	buf_init(&want, 10000);
	buf_addz(&entity, "Content-Type: text/html\n"
	    "Content-Transfer-Encoding: 8bit\n\n");
	for (int i = 0; i < 2000; i++)
		buf_addz(&want, i % 3 ? "\xc3\xbc" : "a");
	buf_addc(&want, '\n');
	buf_adds(&entity, buf_str(&want));
	a = vacation(buf_str(&entity));
	a.flags = ENGINE_F_MIME;
	assert_int_equal(compose_vacation(&who, &a, &out), 0);
	check_message();
	check_field("Content-Transfer-Encoding", "quoted-printable");
	check_body(want.p);
	buf_release(&entity);
	buf_release(&want);
}

/* --- reject --------------------------------------------------------------------- */

static void
a_refusal(void **state)
{
	struct compose_refused r = { .to = STR("sender@s.test"),
	    .recipient = STR("fred@d.test"), .original = STR("f@old.test"),
	    .reason = STR("Kein Interesse, \xc3\xbc.\r\n"),
	    .header = STR("From: sender@s.test\r\nSubject: a\r\n"
	    "X: long\r\n folded\r\n\r\nnot shown"),
	    .message_id = STR("<1@s.test>"), .subject = STR("a") };

	(void)state;
	assert_int_equal(compose_reject(&who, &r, &out), 0);
	check_message();
	check_field("From", "fred@d.test");
	check_field("To", "sender@s.test");
	check_field("Subject", "Rejected: a");
	check_field("Auto-Submitted", "auto-replied (rejected)");
	check_field("In-Reply-To", "<1@s.test>");
	check_field("Content-Transfer-Encoding", "8bit");
	assert_true(str_starts(field_value(&header, header_find(&header,
	    STR("Content-Type"))), STR("multipart/report; "
	    "report-type=disposition-notification; boundary=\"=_vbox_")));
	check_in_body("\nKein Interesse, \xc3\xbc.\n");
	check_in_body("\nContent-Type: message/disposition-notification\n\n"
	    "Reporting-UA: mx.test; vbox-lda\n"
	    "Original-Recipient: rfc822; f@old.test\n"
	    "Final-Recipient: rfc822; fred@d.test\n"
	    "Original-Message-ID: <1@s.test>\n"
	    "Disposition: automatic-action/MDN-sent-automatically; deleted\n");
	check_in_body("\nContent-Type: text/rfc822-headers\n\n"
	    "From: sender@s.test\nSubject: a\nX: long\n folded\n\n--=_vbox_");
	assert_int_equal(str_find(body, STR("not shown")), -1);
	/* ORCPT as the MTA gives it */
	buf_reset(&out);
	r.original = STR("rfc822;f@old.test");
	assert_int_equal(compose_reject(&who, &r, &out), 0);
	check_message();
	check_in_body("\nOriginal-Recipient: rfc822;f@old.test\n");
	buf_reset(&out);
	r.recipient = STR("m\xc3\xbcller@d.test");
	assert_int_equal(compose_reject(&who, &r, &out), 0);
	check_message();
	check_in_body("\nFinal-Recipient: utf-8; m\xc3\xbcller@d.test\n");
}

static void
a_refusal_of_a_monster(void **state)
{
	struct compose_refused r = { .to = STR("sender@s.test"),
	    .recipient = STR("fred@d.test"), .reason = STR(EVIL),
	    .message_id = STR(EVIL), .subject = STR(EVIL),
	    .original = STR(EVIL) };
	struct buf big;

	(void)state;
	buf_init(&big, 2000000);
	for (int i = 0; i < 5000; i++)
		buf_addf(&big, "X-%d: %0*d\n", i, i % 1500, 0);
	buf_add(&big, "Y: \0\n", 5);
	r.header = buf_str(&big);
	assert_int_equal(compose_reject(&who, &r, &out), 0);
	check_message();
	assert_true(out.n < COMPOSE_ORIGINAL_MAX + 8000);
	buf_release(&big);
}

/* --- notify ---------------------------------------------------------------------- */

static void
a_notification(void **state)
{
	static const struct str to[] = { { "a@n.test", 8 },
	    { "b@n.test", 8 }, { "no address", 10 } };
	struct engine_action a = { .kind = ENGINE_NOTIFY, .to = to,
	    .n_to = COUNT(to), .subject = STR("New mail"),
	    .reason = STR("from x"), .importance = 1,
	    .headers = STR("X-Tag: t\xc3\xbc\nTo: evil@e.test\n"
	    "Auto-Submitted: no\nFrom: evil@e.test\nBad name: x\n"
	    "Content-Type: text/html\nno colon\nX-Long: a\n") };

	(void)state;
	assert_int_equal(compose_notify(&who, &a, &out), 0);
	check_message();
	check_field("From", "fred@d.test");
	check_field("To", "a@n.test, b@n.test");
	check_field("Subject", "New mail");
	check_field("Auto-Submitted",
	    "auto-notified; owner-email=\"fred@d.test\"");
	check_field("Importance", "high");
	check_field("X-Tag", "t\xc3\xbc");
	check_field("X-Long", "a");
	check_field("Content-Type", "text/plain; charset=utf-8");
	check_body("from x\n");
	buf_reset(&out);
	a.importance = 3;
	a.from = STR("\"Other, Me\" <me@d.test>");
	assert_int_equal(compose_notify(&who, &a, &out), 0);
	check_message();
	check_field("From", "\"Other, Me\" <me@d.test>");
	check_field("Importance", "low");
}

/* --- notices ---------------------------------------------------------------------- */

static void
a_script_notice(void **state)
{
	struct engine_errors e;

	(void)state;
	engine_errors_init(&e);
	engine_errors_add(&e, STR(".dovecot.sieve"), 3, 7, "unknown test \"%s\"",
	    "hadder");
	engine_errors_warn(&e, STR(".dovecot.sieve"), 4, 1, "a warning");
	engine_errors_add(&e, STR("evil\r\nBcc: x@y"), 0, 0, "no line");
	assert_int_equal(compose_script_notice(&who, &e, &out), 0);
	check_message();
	check_field("From", "postmaster@d.test");
	check_field("To", "fred@d.test");
	check_field("Auto-Submitted", "auto-generated");
	check_in_body("\n.dovecot.sieve, line 3, column 7: unknown test "
	    "\"hadder\"\n");
	assert_int_equal(str_find(body, STR("a warning")), -1);
	engine_errors_release(&e);
}

static void
quota_warnings(void **state)
{
	struct compose_quota q = { .percent = 91, .used = STR("910 MB"),
	    .limit = STR("1 GB") };

	(void)state;
	assert_int_equal(compose_quota(&who, &q, &out), 0);
	check_message();
	check_field("From", "postmaster@d.test");
	check_field("To", "fred@d.test");
	check_field("Subject", "Your mailbox is 91% full");
	check_in_body("Your mailbox fred@d.test holds 910 MB of 1 GB (91%).\n");
	buf_reset(&out);
	q.template = STR("From: Hilfe <help@d.test>\r\nTo: %u\r\n"
	    "Subject: Postfach zu %p %% voll: \xc3\xbc\r\nDate: never\r\n"
	    "X-Mailer: us\r\nContent-Type: text/html\r\n\r\n%s/%l %x %\r\n");
	assert_int_equal(compose_quota(&who, &q, &out), 0);
	check_message();
	check_field("From", "Hilfe <help@d.test>");
	check_field("To", "fred@d.test");
	check_field("Subject", "Postfach zu 91 % voll: \xc3\xbc");
	check_field("X-Mailer", "us");
	check_body("910 MB/1 GB %x %\n");
	buf_reset(&out);
	q.template = STR("no header, %p %% only\n");
	assert_int_equal(compose_quota(&who, &q, &out), 0);
	check_message();
	check_field("Subject", "Your mailbox is nearly full");
	check_body("no header, 91 % only\n");
}

/* --- whatever is given ------------------------------------------------------------ */

static void
nothing_leaves_its_field(void **state)
{
	static const struct str evil = { EVIL, sizeof(EVIL) - 1 };
	struct engine_action a = { .subject = evil, .reason = evil,
	    .in_reply_to = evil, .references = evil, .from = evil,
	    .address = STR("sender@s.test"), .headers = evil, .to = &evil,
	    .n_to = 1 };
	struct compose c = who;

	(void)state;
	c.hostname = evil;
	assert_int_equal(compose_vacation(&c, &a, &out), 0);
	check_message();
	check_field("From", "fred@d.test");
	check_field("Subject", "x Bcc: evil@e.test body .  end");
	a.to = &a.address;
	buf_reset(&out);
	assert_int_equal(compose_notify(&c, &a, &out), 0);
	check_message();
	a.flags = ENGINE_F_MIME;
	a.reason = STR("Content-Type: text/plain\r\nX: y\r\n\r\nContent\n.\n");
	buf_reset(&out);
	assert_int_equal(compose_vacation(&c, &a, &out), 0);
	check_message();
	check_field("X", NULL);
}

static void
long_things_are_folded(void **state)
{
	struct engine_action a = vacation(STR("x"));
	struct buf subject, ids, from;

	(void)state;
	buf_init(&subject, 100000);
	buf_init(&ids, 100000);
	buf_init(&from, 100000);
	for (int i = 0; i < 60; i++) {
		buf_addf(&subject, "word%d %s", i, i % 7 ? "" : "\xc3\xbc ");
		buf_addf(&ids, "<%d.%040d@s.test>\r\n\t", i, i);
	}
	buf_addf(&subject, "%02000d", 1);
	buf_addf(&ids, "<%02000d@s.test> <no@ id <\xc3\xbc@x>", 1);
	buf_addz(&from, "\"");
	for (int i = 0; i < 500; i++)
		buf_addz(&from, "\xc3\xbc");
	buf_addz(&from, "\" <f@d.test>");
	a.subject = buf_str(&subject);
	a.references = buf_str(&ids);
	a.from = buf_str(&from);
	assert_int_equal(compose_vacation(&who, &a, &out), 0);
	check_message();
	check_field("Subject", subject.p);
	assert_int_equal(str_find(buf_str(&out), STR("no@")), -1);
	buf_release(&subject);
	buf_release(&ids);
	buf_release(&from);
}

static void
addresses_beyond_ascii(void **state)
{
	struct engine_action a = vacation(STR("x"));

	(void)state;
	a.address = STR("m\xc3\xbcller@b\xc3\xbc""cher.test");
	assert_int_equal(compose_vacation(&who, &a, &out), 0);
	check_message();
	check_field("To", "m\xc3\xbcller@b\xc3\xbc""cher.test");
	assert_true(compose_needs_utf8(buf_str(&out)));
}

static void
a_ceiling_is_told(void **state)
{
	struct engine_action a = vacation(STR("x"));
	struct buf small;

	(void)state;
	buf_init(&small, 100);
	assert_int_equal(compose_vacation(&who, &a, &small), -1);
	assert_true(small.n <= 100);
	buf_release(&small);
}

static void
ids_are_new_each_time(void **state)
{
	struct buf one, two;

	(void)state;
	buf_init(&one, 200);
	buf_init(&two, 200);
	letter_id(&one, NOW, STR("mx.test"));
	letter_id(&two, NOW, STR("mx.test"));
	assert_string_not_equal(one.p, two.p);
	assert_true(str_ends(buf_str(&one), STR("@mx.test>\n")));
	buf_release(&one);
	buf_release(&two);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_vacation_answer),
		CASE(bodies_find_an_encoding),
		CASE(a_vacation_entity),
		CASE(an_entity_with_long_lines),
		CASE(a_refusal),
		CASE(a_refusal_of_a_monster),
		CASE(a_notification),
		CASE(a_script_notice),
		CASE(quota_warnings),
		CASE(nothing_leaves_its_field),
		CASE(long_things_are_folded),
		CASE(addresses_beyond_ascii),
		CASE(a_ceiling_is_told),
		CASE(ids_are_new_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
