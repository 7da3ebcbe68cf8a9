/* The directory: names, records, the file and fs back-ends, the cache. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/file.h"
#include "store/directory/cache.h"
#include "store/directory/directory.h"
#include "store/directory/file.h"
#include "store/directory/file_line.h"
#include "store/directory/name.h"

#define MUELLER "m\xc3\xbcller"
#define MUELLER_NFD "mu\xcc\x88ller"
#define BUECHER "b\xc3\xbc" "cher.example"
#define LONG_LABEL "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char dir[] = "/tmp/vbox-test-directory-XXXXXX";

static void
write_file(const char *name, const char *text)
{
	char path[256], tmp[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(tmp, 0644), 0);
	assert_int_equal(rename(tmp, path), 0);
}

static struct directory *
open_one(const char *spec, const struct directory_settings *set)
{
	struct verdict v = VERDICT_INIT;
	struct directory *d = NULL;

	if (directory_open(&spec, 1, set, &d, &v) < 0)
		fail_msg("%s: %s", spec, v.detail);
	return d;
}

static struct directory *
open_file(const char *name, const struct directory_settings *set)
{
	char spec[256];

	snprintf(spec, sizeof(spec), "file:%s/%s", dir, name);
	return open_one(spec, set);
}

/* --- names ------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *want;	/* NULL: refused */
} locals[] = {
	{ "fred", "fred" }, { "Fred", "fred" }, { "FRED+Lists", "fred+lists" },
	{ "a.b", "a.b" }, { "a..b", "a..b" }, { "o'hara", "o'hara" },
	{ "\"fred\"", "fred" }, { "\"fr\\ed\"", "fred" },
	{ "a=b", "a=b" }, { "tmpx", "tmpx" },
	{ MUELLER, MUELLER }, { MUELLER_NFD, MUELLER },
	{ "M\xc3\x9cLLER", MUELLER },
	{ "", NULL }, { "\"\"", NULL }, { ".", NULL }, { "..", NULL },
	{ ".fred", NULL }, { "-fred", NULL }, { "~fred", NULL },
	{ "fr/ed", NULL }, { "../fred", NULL }, { "\"../x\"", NULL },
	{ "fr ed", NULL }, { "fr\ted", NULL }, { "fr\ned", NULL },
	{ "fr\x7f" "ed", NULL }, { "fr\x01" "ed", NULL }, { "fr%ed", NULL },
	{ "fred.lock", NULL }, { "fred.LOCK", NULL }, { "tmp", NULL },
	{ "new", NULL }, { "Cur", NULL }, { "a@b", NULL }, { "a:b", NULL },
	{ "a\\b", NULL }, { "a,b", NULL },
	{ "fr\xff" "ed", NULL }, { "fr\xc0\xaf" "ed", NULL },
	{ "fr\xed\xa0\x80" "ed", NULL }, { "fr\xc2\x80" "ed", NULL },
	{ "fr\xf4\x90\x80\x80", NULL }, { "fr\xc3", NULL },
	/* U+037E becomes a semicolon by NFC. */
	{ "a\xcd\xbe" "b", NULL },
};

static void
local_parts_are_judged(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	for (size_t i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
		struct verdict v = VERDICT_INIT;
		struct str got = STR("");
		int r = name_local(str_of(locals[i].name), &a, &got, &v);

		if (locals[i].want == NULL && (r == 0 ||
		    v.why != V_BAD_ADDRESS))
			fail_msg("\"%s\" passed or got %s", locals[i].name,
			    verdict_word(&v));
		if (locals[i].want != NULL && (r < 0 ||
		    !str_eq(got, str_of(locals[i].want))))
			fail_msg("\"%s\": got \"%.*s\", %s", locals[i].name,
			    STR_ARG(got), v.detail);
	}
	arena_release(&a);
}

static void
local_parts_have_a_length(void **state)
{
	char name[NAME_LOCAL_MAX + 1];
	struct verdict v = VERDICT_INIT;
	struct arena a;
	struct str got;

	(void)state;
	arena_init(&a, 65536);
	memset(name, 'x', sizeof(name));
	assert_int_equal(name_local(str_mem(name, NAME_LOCAL_MAX), &a, &got,
	    &v), 0);
	assert_int_equal(name_local(str_mem(name, NAME_LOCAL_MAX + 1), &a,
	    &got, &v), -1);
	assert_int_equal(v.why, V_BAD_ADDRESS);
	assert_int_equal(name_local(str_mem("a\0b", 3), &a, &got, &v), -1);
	arena_release(&a);
}

static const struct {
	const char *name;
	const char *want;
} domains[] = {
	{ "example.com", "example.com" }, { "Example.COM.", "example.com" },
	{ "localhost", "localhost" }, { "a_b.example", "a_b.example" },
	{ BUECHER, "xn--bcher-kva.example" },
	{ "B\xc3\x9c" "CHER.Example", "xn--bcher-kva.example" },
	{ "bu\xcc\x88" "cher.example", "xn--bcher-kva.example" },
	{ "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
	{ "", NULL }, { ".", NULL }, { "..", NULL }, { "a..b", NULL },
	{ ".example.com", NULL }, { "-a.example", NULL }, { "~a", NULL },
	{ "a-.example", NULL }, { "a.-b", NULL }, { "a/b", NULL },
	{ "../etc", NULL }, { "a b", NULL }, { "a%d", NULL }, { "a\x01", NULL },
	{ "[192.0.2.1]", NULL }, { "a.lock", NULL }, { "tmp", NULL },
	{ LONG_LABEL ".example", NULL }, { "a\xff", NULL }, { "a@b", NULL },
	{ "\xe2\x80\xae" "a.example", NULL },
	/* U+2024 ONE DOT LEADER maps to a dot, U+FF0F to a slash. */
	{ "\xef\xbc\x8f" "etc", NULL },
};

static void
domains_are_judged(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		struct verdict v = VERDICT_INIT;
		struct str got = STR("");
		int r = name_domain(str_of(domains[i].name), &a, &got, &v);

		if (domains[i].want == NULL && (r == 0 ||
		    v.why != V_BAD_ADDRESS))
			fail_msg("\"%s\" passed as \"%.*s\" or got %s",
			    domains[i].name, STR_ARG(got), verdict_word(&v));
		if (domains[i].want != NULL && (r < 0 ||
		    !str_eq(got, str_of(domains[i].want))))
			fail_msg("\"%s\": got \"%.*s\", %s", domains[i].name,
			    STR_ARG(got), v.detail);
	}
	assert_true(str_eq(name_domain_display(STR("xn--bcher-kva.example"),
	    &a), STR(BUECHER)));
	arena_release(&a);
}

/* --- records ----------------------------------------------------------------- */

static void
until_is_a_date_or_seconds(void **state)
{
	static const struct {
		const char *text;
		int64_t want;	/* -1: refused */
	} cases[] = {
		{ "0", 0 }, { "1800000000", 1800000000 },
		{ "2026-12-31", 1798675200 }, { "2026-12-31T18:00Z", 1798740000 },
		{ "2026-12-31T18:00:30Z", 1798740030 },
		{ "2026-12-31 18:00:30", 1798740030 },
		{ "2028-02-29", 1835395200 },
		{ "", -1 }, { "2026-02-29", -1 }, { "2026-13-01", -1 },
		{ "2026-12-32", -1 }, { "2026-12-31T25:00Z", -1 },
		{ "2026-12-31T18:00Zx", -1 }, { "tomorrow", -1 },
		{ "-5", -1 }, { "99999999999999", -1 }, { "2026-1-1", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t got = -1;

		(void)directory_until_parse(str_of(cases[i].text), &got);
		if (got != cases[i].want)
			fail_msg("\"%s\": %lld", cases[i].text, (long long)got);
	}
}

static void
a_state_ends_at_until(void **state)
{
	struct directory_state s = { .state = ACCOUNT_LOCKED, .until = 100 };

	(void)state;
	assert_int_equal(directory_state_at(&s, 99), ACCOUNT_LOCKED);
	assert_int_equal(directory_state_at(&s, 100), ACCOUNT_ACTIVE);
	s.until = 0;
	assert_int_equal(directory_state_at(&s, INT64_MAX), ACCOUNT_LOCKED);
}

/* --- the line ------------------------------------------------------------------ */

/* A line that parses comes out as `want`, and that parses to itself. */
static const struct {
	const char *line;
	const char *want;	/* NULL: refused, `why` is in the message */
	const char *why;
} lines[] = {
	{ "fred@example.com", "fred@example.com", NULL },
	{ "Fred@Example.COM quota=1G", "fred@example.com quota=1073741824",
	    NULL },
	{ "fred@example.com:{CRYPT}$6$x", "fred@example.com:{CRYPT}$6$x::::::",
	    NULL },
	{ "fred@example.com:pw:1:2:Fred, F.:/h/fred::quota=10 keep=no "
	    "forward=a@b,c@d userdb_mail=mbox:~/mail",
	    "fred@example.com:pw::::/h/fred:: quota=10 forward=a@b,c@d keep=no",
	    NULL },
	{ "fred@example.com content=reject%20extension%20exe%2Ccom;%20default "
	    "quota=10", "fred@example.com quota=10 "
	    "content=reject%20extension%20exe%2Ccom;%20default", NULL },
	{ "@example.com content=none", NULL, "no such setting" },
	{ "fred@example.com::::::::state=locked until=2026-12-31T18:00:00Z "
	    "reason=Not%20paid",
	    NULL, "no such setting" },
	{ "fred@example.com:::::::state=locked until=2026-12-31T18:00:00Z "
	    "reason=Not%20paid", "fred@example.com state=locked "
	    "reason=Not%20paid until=1798740000", NULL },
	{ "@example.org alias=Example.com", "@example.org alias=example.com",
	    NULL },
	{ "@example.com catchall=fred format=maildir quota=none host=mx2",
	    "@example.com catchall=fred format=maildir host=mx2 quota=0",
	    NULL },
	{ "info@example.com alias=fred,jane@example.net",
	    "info@example.com alias=fred,jane@example.net", NULL },
	{ "fred", NULL, "no @" },
	{ "fred@", NULL, "empty" },
	{ "../x@example.com", NULL, "begins with" },
	{ "fred@example.com qota=1", NULL, "no such setting here: \"qota=1\"" },
	{ "fred@example.com quota", NULL, "no such setting" },
	{ "fred@example.com quota=much", NULL, "makes no sense" },
	{ "fred@example.com state=asleep", NULL, "makes no sense" },
	{ "fred@example.com format=mh", NULL, "makes no sense" },
	{ "fred@example.com reason=%0", NULL, "makes no sense" },
	{ "fred@example.com reason=a\x01" "b", NULL, "control character" },
	{ "fred@example.com host=a%20b", "fred@example.com host=a%20b", NULL },
	{ "info@example.com alias=", NULL, "without a target" },
	{ "info@example.com alias=a quota=1", NULL, "no such setting" },
};

static void
lines_are_parsed_and_printed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct directory_entry l;
		struct arena a;
		struct buf why, out;
		int r;

		arena_init(&a, 65536);
		buf_init(&why, 1024);
		buf_init(&out, 1024);
		r = file_line_parse(str_of(lines[i].line), &a, &l, &why);
		if (lines[i].want == NULL) {
			if (r == 0 || strstr(why.p, lines[i].why) == NULL)
				fail_msg("%s: %s", lines[i].line, why.p);
		} else {
			if (r < 0)
				fail_msg("%s: %s", lines[i].line, why.p);
			file_line_print(&l, &out);
			assert_string_equal(out.p, lines[i].want);
			assert_int_equal(file_line_parse(buf_str(&out), &a, &l,
			    &why), 0);
		}
		arena_release(&a);
		buf_release(&why);
		buf_release(&out);
	}
}

/* --- file ------------------------------------------------------------------------ */

static const char site[] =
    "# the accounts\n"
    "\n"
    "@example.com format=mbox\n"
    "  Fred@example.com quota=5M forward=a@b.example\r\n"
    "info@example.com alias=fred,jane\n"
    MUELLER "@" BUECHER " quota=7\n"
    "joe@implied.example\n"
    "last@example.com";

/* Asked often enough for scan and index. */
#define ROUNDS 20

static void
file_answers_by_scan_and_index(void **state)
{
	struct directory_settings set = { 0 };
	struct directory *d;

	(void)state;
	write_file("site", site);
	d = open_file("site", &set);
	for (int i = 0; i < ROUNDS; i++) {
		struct verdict v = VERDICT_INIT;
		struct domain_record domain;
		struct alias_record alias;
		struct account user;
		struct arena a;

		arena_init(&a, 65536);
		assert_int_equal(directory_domain(d, STR("example.com"), &a,
		    &domain, &v), DIR_FOUND);
		assert_true(str_eq(domain.format, STR("mbox")));
		assert_int_equal(directory_domain(d, STR("implied.example"),
		    &a, &domain, &v), DIR_FOUND);
		assert_int_equal(directory_domain(d, STR("example.co"), &a,
		    &domain, &v), DIR_ABSENT);
		assert_int_equal(directory_user(d, STR("fred"),
		    STR("example.com"), &a, &user, &v), DIR_FOUND);
		assert_int_equal(user.quota_bytes, 5 << 20);
		assert_int_equal(user.forwards.count, 1);
		assert_int_equal(directory_user(d, STR("info"),
		    STR("example.com"), &a, &user, &v), DIR_ABSENT);
		assert_int_equal(directory_alias(d, STR("info"),
		    STR("example.com"), &a, &alias, &v), DIR_FOUND);
		assert_int_equal(alias.targets.count, 2);
		assert_int_equal(directory_alias(d, STR("fred"),
		    STR("example.com"), &a, &alias, &v), DIR_ABSENT);
		assert_int_equal(directory_user(d, STR(MUELLER),
		    STR("xn--bcher-kva.example"), &a, &user, &v), DIR_FOUND);
		assert_int_equal(user.quota_bytes, 7);
		assert_int_equal(directory_user(d, STR("last"),
		    STR("example.com"), &a, &user, &v), DIR_FOUND);
		assert_int_equal(directory_user(d, STR("nobody"),
		    STR("example.com"), &a, &user, &v), DIR_ABSENT);
		arena_release(&a);
	}
	directory_close(&d);
}

static enum directory_answer
ask_user(struct directory *d, const char *local, struct verdict *v)
{
	struct account user;
	struct arena a;
	enum directory_answer answer;

	arena_init(&a, 65536);
	answer = directory_user(d, str_of(local), STR("example.com"), &a,
	    &user, v);
	arena_release(&a);
	return answer;
}

static void
file_is_read_again_when_it_changes(void **state)
{
	struct directory_settings set = { 0 };
	struct verdict v = VERDICT_INIT;
	struct directory *d;

	(void)state;
	write_file("changing", "fred@example.com\n");
	d = open_file("changing", &set);
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(ask_user(d, "jane", &v), DIR_ABSENT);
	write_file("changing", "fred@example.com\njane@example.com\n");
	assert_int_equal(ask_user(d, "jane", &v), DIR_FOUND);
	directory_close(&d);
}

/* What cannot be read or understood is BROKEN with its place, never ABSENT. */
static void
file_trouble_is_never_absence(void **state)
{
	static const struct {
		const char *text;	/* NULL: no such file */
		const char *want;
	} cases[] = {
		{ NULL, "No such file" },
		{ "x@example.com\nfred@example.com qota=1\n", ":2: no such" },
		{ "fred@example.com\n\nfred@example.com\n", ":3: the same" },
		{ "x@example.com\ngarbage\n", ":2: not an address" },
	};
	struct directory_settings set = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct directory *d;

		if (cases[i].text != NULL)
			write_file("broken", cases[i].text);
		d = open_file(cases[i].text != NULL ? "broken" : "none", &set);
		for (int round = 0; round < ROUNDS; round++) {
			struct verdict v = VERDICT_INIT;

			assert_int_equal(ask_user(d, "fred", &v), DIR_BROKEN);
			assert_int_equal(verdict_kind(&v), VERDICT_LATER);
			if (strstr(v.detail, cases[i].want) == NULL)
				fail_msg("round %d: %s", round, v.detail);
		}
		directory_close(&d);
	}
}

static void
file_others_can_write_is_not_believed(void **state)
{
	struct directory_settings set = { 0 };
	struct verdict v = VERDICT_INIT;
	struct directory *d;
	char path[256];

	(void)state;
	write_file("open", "fred@example.com\n");
	snprintf(path, sizeof(path), "%s/open", dir);
	assert_int_equal(chmod(path, 0666), 0);
	d = open_file("open", &set);
	assert_int_equal(ask_user(d, "fred", &v), DIR_BROKEN);
	directory_close(&d);
}

static void
file_check_finds_every_mistake(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct buf problems;
	char path[256];

	(void)state;
	buf_init(&problems, 65536);
	write_file("check", "a@example.com\nb@example.com x=1\nnothing\n");
	snprintf(path, sizeof(path), "%s/check", dir);
	assert_int_equal(file_directory_check(path, &problems, &v), 2);
	assert_non_null(strstr(problems.p, "check:2: "));
	assert_non_null(strstr(problems.p, "check:3: "));
	buf_reset(&problems);
	write_file("check", "a@example.com\nA@example.com\n");
	assert_int_equal(file_directory_check(path, &problems, &v), 1);
	assert_non_null(strstr(problems.p, "check:2: the same"));
	buf_reset(&problems);
	write_file("check", site);
	assert_int_equal(file_directory_check(path, &problems, &v), 0);
	buf_release(&problems);
}

static void
the_first_directory_wins_and_a_broken_one_ends(void **state)
{
	struct directory_settings set = { 0 };
	char one[256], two[256], none[256];
	const char *both[2] = { one, two }, *broken[2] = { none, two };
	struct verdict v = VERDICT_INIT;
	struct directory *d = NULL;

	(void)state;
	write_file("one", "fred@example.com\n");
	write_file("two", "fred@example.com\njane@example.com\n");
	snprintf(one, sizeof(one), "file:%s/one", dir);
	snprintf(two, sizeof(two), "file:%s/two", dir);
	snprintf(none, sizeof(none), "file:%s/not-there", dir);
	assert_int_equal(directory_open(both, 2, &set, &d, &v), 0);
	assert_int_equal(ask_user(d, "jane", &v), DIR_FOUND);
	assert_int_equal(ask_user(d, "joe", &v), DIR_ABSENT);
	directory_close(&d);
	assert_int_equal(directory_open(broken, 2, &set, &d, &v), 0);
	assert_int_equal(ask_user(d, "jane", &v), DIR_BROKEN);
	directory_close(&d);
}

static void
unknown_kinds_are_refused(void **state)
{
	static const char *const specs[] = {
		"ldap:/x", "file", "file:relative", "fs:/x", "fs", "", ":",
	};
	struct directory_settings set = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct verdict v = VERDICT_INIT;
		struct directory *d = NULL;

		if (directory_open(&specs[i], 1, &set, &d, &v) == 0)
			fail_msg("%s was accepted", specs[i]);
		assert_int_equal(v.why, V_CONFIG);
		assert_null(d);
	}
}

/* --- fs ---------------------------------------------------------------------------- */

static void
make(const char *name, const char *text)
{
	char path[256];

	if (text != NULL) {
		write_file(name, text);
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void
touch_makes_a_user(void **state)
{
	char mbox[256], home[256];
	struct directory_settings set = {
		.mbox_path = mbox, .home = home, .maildir_path = "%h/Maildir",
		.format = "mbox",
	};
	struct verdict v = VERDICT_INIT;
	struct domain_record domain;
	struct account user;
	struct directory *d;
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	make("vbox", NULL);
	make("vbox/example.com", NULL);
	make("vbox/example.com/fred", "");
	make("home", NULL);
	make("home/example.com", NULL);
	make("home/example.com/jane", NULL);
	make("home/example.com/jane/Maildir", NULL);
	make("home/example.com/joe", NULL);
	make("home/example.net", NULL);
	snprintf(mbox, sizeof(mbox), "%s/vbox/%%d/%%n", dir);
	snprintf(home, sizeof(home), "%s/home/%%d/%%n", dir);
	d = open_one("fs", &set);
	assert_int_equal(directory_domain(d, STR("example.com"), &a, &domain,
	    &v), DIR_FOUND);
	assert_int_equal(directory_domain(d, STR("example.net"), &a, &domain,
	    &v), DIR_FOUND);
	assert_int_equal(directory_domain(d, STR("example.org"), &a, &domain,
	    &v), DIR_ABSENT);
	assert_int_equal(ask_user(d, "fred", &v), DIR_FOUND);
	assert_int_equal(ask_user(d, "joe", &v), DIR_FOUND);
	assert_int_equal(ask_user(d, "nobody", &v), DIR_ABSENT);
	assert_int_equal(directory_user(d, STR("jane"), STR("example.com"), &a,
	    &user, &v), DIR_FOUND);
	assert_true(str_eq(user.format, STR("maildir")));
	directory_close(&d);
	arena_release(&a);
}

/* A spool that is not mounted is no site without users. */
static void
fs_without_its_root_is_broken(void **state)
{
	char mbox[256];
	struct directory_settings set = { .mbox_path = mbox, .format = "mbox" };
	struct verdict v = VERDICT_INIT;
	struct directory *d;

	(void)state;
	snprintf(mbox, sizeof(mbox), "%s/unmounted/%%d/%%n", dir);
	d = open_one("fs", &set);
	assert_int_equal(ask_user(d, "fred", &v), DIR_BROKEN);
	assert_int_equal(v.why, V_DIRECTORY_DOWN);
	directory_close(&d);
}

/* --- cache -------------------------------------------------------------------------- */

static void
cache_answers_for_its_time(void **state)
{
	struct cache_times times = { .found_ms = 100, .absent_ms = 10,
	    .stale_ms = 1000 };
	struct str targets[2] = { STR("fred"), STR("jane@example.net") };
	struct alias_record alias = { .local = STR("info"),
	    .domain = STR("d"), .targets = { targets, 2 } }, got;
	struct cache *c = cache_open(10, &times);
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	cache_put(c, CACHE_ALIAS, STR("info"), STR("d"), 0, &alias);
	cache_put(c, CACHE_ALIAS, STR("x"), STR("d"), 0, NULL);
	targets[0] = STR("gone");
	assert_int_equal(cache_get(c, CACHE_ALIAS, STR("info"), STR("d"), 99,
	    CACHE_FRESH, &a, &got), CACHE_FOUND);
	assert_int_equal(got.targets.count, 2);
	assert_true(str_eq(got.targets.list[0], STR("fred")));
	assert_true(str_eq(got.targets.list[1], STR("jane@example.net")));
	assert_int_equal(cache_get(c, CACHE_USER, STR("info"), STR("d"), 99,
	    CACHE_FRESH, &a, &got), CACHE_MISS);
	assert_int_equal(cache_get(c, CACHE_ALIAS, STR("info"), STR("d"), 100,
	    CACHE_FRESH, &a, &got), CACHE_MISS);
	assert_int_equal(cache_get(c, CACHE_ALIAS, STR("info"), STR("d"), 1099,
	    CACHE_STALE, &a, &got), CACHE_FOUND);
	assert_int_equal(cache_get(c, CACHE_ALIAS, STR("info"), STR("d"), 1100,
	    CACHE_STALE, &a, &got), CACHE_MISS);
	assert_int_equal(cache_get(c, CACHE_ALIAS, STR("x"), STR("d"), 9,
	    CACHE_FRESH, &a, &got), CACHE_ABSENT);
	/* Absence is never stale: it would bounce. */
	assert_int_equal(cache_get(c, CACHE_ALIAS, STR("x"), STR("d"), 11,
	    CACHE_STALE, &a, &got), CACHE_MISS);
	cache_close(&c);
	assert_null(c);
	arena_release(&a);
}

static void
cache_drops_the_longest_unused(void **state)
{
	struct cache_times times = { .found_ms = 100, .absent_ms = 100 };
	struct cache *c = cache_open(2, &times);
	struct account user;
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	cache_put(c, CACHE_USER, STR("a"), STR("d"), 0, NULL);
	cache_put(c, CACHE_USER, STR("b"), STR("d"), 0, NULL);
	assert_int_equal(cache_get(c, CACHE_USER, STR("a"), STR("d"), 1,
	    CACHE_FRESH, &a, &user), CACHE_ABSENT);
	cache_put(c, CACHE_USER, STR("c"), STR("d"), 0, NULL);
	assert_int_equal(cache_get(c, CACHE_USER, STR("a"), STR("d"), 1,
	    CACHE_FRESH, &a, &user), CACHE_ABSENT);
	assert_int_equal(cache_get(c, CACHE_USER, STR("b"), STR("d"), 1,
	    CACHE_FRESH, &a, &user), CACHE_MISS);
	cache_close(&c);
	arena_release(&a);
}

static void
known_users_survive_a_broken_directory(void **state)
{
	struct directory_settings set = { .cache_ttl_ms = 1,
	    .cache_absent_ms = 1, .cache_stale_ms = 60000 };
	struct verdict v = VERDICT_INIT;
	struct directory *d;
	char path[256];

	(void)state;
	write_file("failing", "fred@example.com\n");
	d = open_file("failing", &set);
	assert_int_equal(ask_user(d, "fred", &v), DIR_FOUND);
	assert_int_equal(ask_user(d, "jane", &v), DIR_ABSENT);
	snprintf(path, sizeof(path), "%s/failing", dir);
	assert_int_equal(unlink(path), 0);
	for (int64_t i = 0; i < 1000; i++) {
		/* Whether fresh or stale by now, he is there. */
		assert_int_equal(ask_user(d, "fred", &v), DIR_FOUND);
	}
	while (ask_user(d, "jane", &v) == DIR_ABSENT)
		;	/* for the one millisecond that absence is believed */
	assert_int_equal(ask_user(d, "jane", &v), DIR_BROKEN);
	directory_forget(d);
	assert_int_equal(ask_user(d, "fred", &v), DIR_BROKEN);
	directory_close(&d);
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
remove_below(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct dirent *e;
	DIR *handle;

	if (fd < 0)
		return unlinkat(at, name, 0);
	handle = fdopendir(fd);
	while ((e = readdir(handle)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)remove_below(dirfd(handle), e->d_name);
	closedir(handle);
	return unlinkat(at, name, AT_REMOVEDIR);
}

static int
drop_dir(void **state)
{
	(void)state;
	return remove_below(AT_FDCWD, dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_parts_are_judged),
		cmocka_unit_test(local_parts_have_a_length),
		cmocka_unit_test(domains_are_judged),
		cmocka_unit_test(until_is_a_date_or_seconds),
		cmocka_unit_test(a_state_ends_at_until),
		cmocka_unit_test(lines_are_parsed_and_printed),
		cmocka_unit_test(file_answers_by_scan_and_index),
		cmocka_unit_test(file_is_read_again_when_it_changes),
		cmocka_unit_test(file_trouble_is_never_absence),
		cmocka_unit_test(file_others_can_write_is_not_believed),
		cmocka_unit_test(file_check_finds_every_mistake),
		cmocka_unit_test(the_first_directory_wins_and_a_broken_one_ends),
		cmocka_unit_test(unknown_kinds_are_refused),
		cmocka_unit_test(touch_makes_a_user),
		cmocka_unit_test(fs_without_its_root_is_broken),
		cmocka_unit_test(cache_answers_for_its_time),
		cmocka_unit_test(cache_drops_the_longest_unused),
		cmocka_unit_test(known_users_survive_a_broken_directory),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
