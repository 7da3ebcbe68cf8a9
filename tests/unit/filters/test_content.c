/* Rules over attachments: what they say of which, and what is no rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "filters/content.h"

#define S(text) { text, sizeof(text) - 1 }

/* A program as invoice.pdf; in a zip; a picture; a body text. */
static const struct mime_part attached = { .disposition = {
    .value = S("attachment") } }, body;
static const struct attachment zip = { .part = &attached,
    .name = S("Stuff.ZIP"), .extension = S("zip"),
    .declared = S("application/zip"), .type = S("application/zip"),
    .size = 5000, .flags = ATTACHMENT_ARCHIVE | ATTACHMENT_ENCRYPTED };
static const struct attachment program = { .part = &attached,
    .name = S("invoice.pdf"), .extension = S("pdf"),
    .declared = S("application/pdf"), .type = S("application/x-dosexec"),
    .size = 1024, .flags = ATTACHMENT_MISMATCH | ATTACHMENT_EXECUTABLE };
static const struct attachment member = { .part = &attached, .inside = &zip,
    .depth = 1, .name = S("bin/Set up, now.EXE"), .extension = S("exe"),
    .declared = S(""), .type = S("application/x-dosexec"), .size = 10,
    .flags = ATTACHMENT_EXECUTABLE };
static const struct attachment text = { .part = &body, .name = S(""),
    .extension = S(""), .declared = S("text/plain"), .type = S("text/plain"),
    .size = 100 };

static void
parse(const char *rules, struct arena *a, struct content_policy *p)
{
	struct buf why;

	buf_init(&why, 1000);
	arena_init(a, 1 << 20);
	if (content_policy_parse(str_of(rules), a, p, &why) < 0)
		fail_msg("%s: %s", rules, why.p);
	buf_release(&why);
}

static void
rules_say_what_they_say(void **state)
{
	static const struct {
		const char *rules;
		const struct attachment *x;
		enum content_act want;
	} cases[] = {
		{ "", &program, CONTENT_ACCEPT },
		{ "reject executable", &program, CONTENT_REJECT },
		{ "reject executable", &text, CONTENT_ACCEPT },
		{ "reject executable attached", &member, CONTENT_ACCEPT },
		{ "reject executable member", &member, CONTENT_REJECT },
		{ "reject executable not member", &member, CONTENT_ACCEPT },
		{ "reject not executable", &text, CONTENT_REJECT },
		{ "quarantine bomb,encrypted", &zip, CONTENT_QUARANTINE },
		{ "quarantine bomb encrypted", &zip, CONTENT_ACCEPT },
		{ "tag not bomb,broken archive", &zip, CONTENT_TAG },
		{ "tag attached", &text, CONTENT_ACCEPT },
		{ "tag type application/x-dosexec", &program, CONTENT_TAG },
		{ "tag type APPLICATION/*", &program, CONTENT_TAG },
		{ "tag type text/*,image/*", &program, CONTENT_ACCEPT },
		{ "tag type text/*,image/*", &text, CONTENT_TAG },
		{ "tag declared application/pdf", &program, CONTENT_TAG },
		{ "tag declared *", &member, CONTENT_TAG },
		{ "tag declared ?*", &member, CONTENT_ACCEPT },
		{ "tag name stuff.*", &zip, CONTENT_TAG },
		{ "tag name 'set up, now.exe'", &member, CONTENT_TAG },
		{ "tag name x,'set*;*,*set up*'", &member, CONTENT_ACCEPT },
		{ "tag name bin/*", &member, CONTENT_TAG },
		{ "tag extension exe,pdf", &program, CONTENT_TAG },
		{ "tag extension .exe", &member, CONTENT_TAG },
		{ "tag extension *", &text, CONTENT_ACCEPT },
		{ "tag over 1K", &program, CONTENT_ACCEPT },
		{ "tag over 1023", &program, CONTENT_TAG },
		{ "tag under 1K", &member, CONTENT_TAG },
		{ "  tag\tover  1023  ;", &program, CONTENT_TAG },
		/* The first that holds. */
		{ "tag mismatch\nreject executable", &program, CONTENT_TAG },
		{ "accept name invoice.*; reject executable", &program,
		    CONTENT_ACCEPT },
		{ "accept name invoice.*; reject executable", &member,
		    CONTENT_REJECT },
		{ "reject name 'a;b'; tag over 1", &member, CONTENT_TAG },
	};
	struct content_finding f;
	struct content_policy p;
	struct arena a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse(cases[i].rules, &a, &p);
		content_judge_one(&p, cases[i].x, &f);
		if (f.act != cases[i].want)
			fail_msg("%s: %s", cases[i].rules,
			    content_act_word(f.act));
		arena_release(&a);
	}
}

static void
the_severest_counts(void **state)
{
	struct attachment *all[] = {
		(struct attachment *)(uintptr_t)&text,
		(struct attachment *)(uintptr_t)&zip,
		(struct attachment *)(uintptr_t)&member,
		(struct attachment *)(uintptr_t)&program,
	};
	struct attachments list = { .list = all, .n = 4 };
	struct content_facts facts;
	struct content_finding f;
	struct content_policy p;
	struct arena a;

	(void)state;
	parse("tag encrypted\nreject executable member\nreject executable", &a,
	    &p);
	content_judge(&p, &list, &f);
	assert_int_equal(f.act, CONTENT_REJECT);
	assert_ptr_equal(f.what, &member);
	assert_true(str_eq(f.rule, STR("reject executable member")));
	content_facts(&f, &facts);
	assert_true(str_eq(facts.name, STR("Set up, now.EXE")));
	arena_release(&a);

	/* What was left out of the list may be anything. */
	parse("quarantine cut", &a, &p);
	content_judge(&p, &list, &f);
	assert_int_equal(f.act, CONTENT_ACCEPT);
	list.flags = ATTACHMENT_CUT;
	content_judge(&p, &list, &f);
	assert_int_equal(f.act, CONTENT_QUARANTINE);
	content_facts(&f, &facts);
	assert_int_equal(facts.name.n, 0);
	arena_release(&a);
}

static void
what_is_no_rule_is_explained(void **state)
{
	static const struct { const char *rule, *want; } cases[] = {
		{ "", "one rule" }, { "executable", "no action" },
		{ "Reject executable", "no action" },
		{ "reject", "no condition" }, { "reject all", "`all'" },
		{ "reject executable,all", "`all'" },
		{ "reject not", "not" }, { "reject not not executable", "not" },
		{ "reject type", "value" }, { "reject over", "value" },
		{ "reject over big", "size" }, { "reject over -1", "size" },
		{ "reject name a,,b", "empty" }, { "reject name a,", "empty" },
		{ "reject name 'a", "quote" }, { "reject name a'b", "quote" },
		{ "reject name ''", "empty" },
		{ "reject bomb; tag cut", "one rule" },
	};
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&why);
		assert_int_equal(content_rule_check(cases[i].rule, &why), -1);
		if (!strstr(why.p, cases[i].want))
			fail_msg("%s: %s", cases[i].rule, why.p);
	}
	buf_release(&why);
}

static void
ceilings_hold(void **state)
{
	struct content_policy p;
	struct buf many, why;
	struct arena a;

	(void)state;
	buf_init(&many, 1 << 20);
	buf_init(&why, 1000);
	arena_init(&a, 1 << 20);
	for (unsigned i = 0; i <= CONTENT_RULES_MAX; i++)
		(void)buf_addz(&many, "tag cut;");
	assert_int_equal(content_policy_parse(buf_str(&many), &a, &p, &why), -1);
	buf_reset(&many);
	(void)buf_addz(&many, "tag name x");
	for (unsigned i = 0; i < CONTENT_PATTERNS_MAX; i++)
		(void)buf_addz(&many, ",x");
	assert_int_equal(content_policy_parse(buf_str(&many), &a, &p, &why), -1);
	buf_reset(&many);
	(void)buf_addz(&many, "tag");
	for (unsigned i = 0; i <= CONTENT_CONDITIONS_MAX; i++)
		(void)buf_addz(&many, " cut");
	assert_int_equal(content_policy_parse(buf_str(&many), &a, &p, &why), -1);
	arena_release(&a);
	buf_release(&many);
	buf_release(&why);
}

/* One field, whatever the attachment is called. */
static void
the_field_is_one_field(void **state)
{
	struct content_facts f = { .act = CONTENT_TAG, .flags =
	    ATTACHMENT_MISMATCH | CONTENT_ATTACHED,
	    .name = S("a\"\r\nBcc: x@y\n\n\xc3\xbc\\.pdf"),
	    .type = S("application/x-dosexec"), .rule = S("tag mismatch") };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	content_field(&f, &b);
	assert_string_equal(b.p, "X-Vbox-Content: tag;\n"
	    "\tflags=\"mismatch attached\";\n\ttype=\"application/x-dosexec\";\n"
	    "\tname=\"a???Bcc: x@y?????.pdf\";\n\trule=\"tag mismatch\"\n");
	buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_say_what_they_say),
		cmocka_unit_test(the_severest_counts),
		cmocka_unit_test(what_is_no_rule_is_explained),
		cmocka_unit_test(ceilings_hold),
		cmocka_unit_test(the_field_is_one_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
