/* The resolver: one table of recipients, asked of each kind of directory. */
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

#include "lda/resolve.h"
#include "store/base/clock.h"
#include "store/directory/file_line.h"
#include "store/directory/writer.h"

#define MUELLER "m\xc3\xbcller"
#define BUECHER "b\xc3\xbc" "cher.example"
#define XN_BUECHER "xn--bcher-kva.example"
/* The day on which these tests take place: 2026-11-21. */
#define TODAY_US INT64_C(1795219200000000)

static char dir[] = "/tmp/vbox-test-resolve-XXXXXX";

static const char site[] =
    "@example.com catchall=\n"
    "@alias.example alias=example.com\n"
    "@alias2.example alias=alias.example\n"
    "@loop1.example alias=loop2.example\n"
    "@loop2.example alias=loop1.example\n"
    "@lost.example alias=nowhere.example\n"
    "@catch.example catchall=fred@example.com,someone@elsewhere.example\n"
    "@off.example state=disabled reason=Moved%20away\n"
    "@wait.example state=locked\n"
    "@over.example state=locked until=2026-11-20\n"
    "@quiet.example state=suspended format=maildir user_quota=5M\n"
    "@fwd.example state=forward-only\n"
    "@" BUECHER "\n"
    "fred@example.com quota=1M\n"
    "jane@example.com\n"
    "fred+own@example.com\n"
    "a+b@example.com\n"
    "off@example.com state=disabled reason=Fred%20has%20left\n"
    "lock@example.com state=locked\n"
    "was@example.com state=disabled until=2026-11-20\n"
    "will@example.com state=disabled until=2026-11-22\n"
    "susp@example.com state=suspended forward=x@elsewhere.example keep=no\n"
    "fwd@example.com forward=x@elsewhere.example,jane keep=no\n"
    "copy@example.com forward=x@elsewhere.example\n"
    "self@example.com forward=self@Alias.example,y@elsewhere.example keep=no\n"
    "only@example.com state=forward-only forward=x@elsewhere.example\n"
    "dead@example.com state=forward-only\n"
    "pingforward@example.com forward=pongforward keep=no\n"
    "pongforward@example.com forward=pingforward keep=no\n"
    "info@example.com alias=fred,jane@Example.COM\n"
    "sales@example.com alias=info,fred,bob@elsewhere.example\n"
    "tagged@example.com alias=fred+box\n"
    "half@example.com alias=nobody,fred\n"
    "gone@example.com alias=nobody,off\n"
    "busy@example.com alias=fred,lock\n"
    "bad@example.com alias=../x,|/bin/sh\n"
    "badhalf@example.com alias=|/bin/sh,fred\n"
    "ping@example.com alias=pong\n"
    "pong@example.com alias=ping\n"
    "team@example.com alias=team,fred\n"
    "n1@example.com alias=n2\n" "n2@example.com alias=n3\n"
    "n3@example.com alias=n4\n" "n4@example.com alias=n5\n"
    "n5@example.com alias=n6\n" "n6@example.com alias=fred\n"
    "real@catch.example\n"
    "x@off.example\n" "x@wait.example\n" "x@over.example\n"
    "x@quiet.example\n" "y@quiet.example quota=1M format=mbox\n"
    "x@fwd.example\n" "y@fwd.example forward=z@elsewhere.example\n"
    "ali@fwd.example alias=fred@example.com\n"
    MUELLER "@" BUECHER "\n";

/* Mailboxes as they are, remote addresses with ">" before them, details
 * behind "#". */
static const struct {
	const char *local, *domain, *detail;
	enum verdict_why why;
	const char *want;
} cases[] = {
	/* users */
	{ "fred", "example.com", "", V_OK, "fred@example.com" },
	{ "FRED", "Example.COM.", "", V_OK, "fred@example.com" },
	{ "nobody", "example.com", "", V_UNKNOWN_USER, "" },
	{ "fred", "elsewhere.example", "", V_UNKNOWN_DOMAIN, "" },
	{ MUELLER, BUECHER, "", V_OK, MUELLER "@" XN_BUECHER },
	{ "mu\xcc\x88ller", XN_BUECHER, "", V_OK, MUELLER "@" XN_BUECHER },
	{ "M\xc3\x9cLLER", "B\xc3\x9c" "CHER.example", "", V_OK,
	    MUELLER "@" XN_BUECHER },
	/* bad names */
	{ "", "example.com", "", V_BAD_ADDRESS, "" },
	{ "..", "example.com", "", V_BAD_ADDRESS, "" },
	{ "a/b", "example.com", "", V_BAD_ADDRESS, "" },
	{ "fred.lock", "example.com", "", V_BAD_ADDRESS, "" },
	{ "fred", "", "", V_BAD_ADDRESS, "" },
	{ "fred", "../example.com", "", V_BAD_ADDRESS, "" },
	{ "fred", "example.com", "a/b", V_BAD_ADDRESS, "" },
	{ "fred", "example.com", "a\nb", V_BAD_ADDRESS, "" },
	/* details */
	{ "fred+Lists", "example.com", "", V_OK, "fred@example.com#Lists" },
	{ "fred-x", "example.com", "", V_OK, "fred@example.com#x" },
	{ "fred+a+b", "example.com", "", V_OK, "fred@example.com#a+b" },
	{ "fred+", "example.com", "", V_OK, "fred@example.com" },
	{ "fred+own", "example.com", "", V_OK, "fred+own@example.com" },
	{ "a+b", "example.com", "", V_OK, "a+b@example.com" },
	{ "a+c", "example.com", "", V_UNKNOWN_USER, "" },
	{ "+fred", "example.com", "", V_UNKNOWN_USER, "" },
	{ "fred", "example.com", "MTA", V_OK, "fred@example.com#MTA" },
	{ "fred+x", "example.com", "MTA", V_OK, "fred@example.com#MTA" },
	{ "info+x", "example.com", "", V_OK,
	    "fred@example.com#x jane@example.com#x" },
	{ "tagged+x", "example.com", "", V_OK, "fred@example.com#box" },
	/* domain aliases */
	{ "fred", "alias.example", "", V_OK, "fred@example.com" },
	{ "Fred+x", "Alias2.Example", "", V_OK, "fred@example.com#x" },
	{ "nobody", "alias.example", "", V_UNKNOWN_USER, "" },
	{ "fred", "loop1.example", "", V_CONFIG, "" },
	{ "fred", "lost.example", "", V_CONFIG, "" },
	/* aliases */
	{ "info", "example.com", "", V_OK, "fred@example.com jane@example.com" },
	{ "sales", "example.com", "", V_OK,
	    "fred@example.com jane@example.com >bob@elsewhere.example" },
	{ "half", "example.com", "", V_OK, "fred@example.com" },
	{ "gone", "example.com", "", V_UNKNOWN_USER, "" },
	{ "busy", "example.com", "", V_LOCKED, "" },
	{ "bad", "example.com", "", V_CONFIG, "" },
	{ "badhalf", "example.com", "", V_OK, "fred@example.com" },
	{ "ping", "example.com", "", V_LOOP, "" },
	{ "team", "example.com", "", V_OK, "fred@example.com" },
	{ "n2", "example.com", "", V_OK, "fred@example.com" },
	{ "n1", "example.com", "", V_LOOP, "" },
	/* forwards */
	{ "fwd", "example.com", "", V_OK,
	    ">x@elsewhere.example jane@example.com" },
	{ "copy", "example.com", "", V_OK,
	    "copy@example.com >x@elsewhere.example" },
	{ "self", "example.com", "", V_OK,
	    "self@example.com >y@elsewhere.example" },
	{ "pingforward", "example.com", "", V_LOOP, "" },
	/* catch-all */
	{ "real", "catch.example", "", V_OK, "real@catch.example" },
	{ "any", "catch.example", "", V_OK,
	    "fred@example.com >someone@elsewhere.example" },
	{ "any+x", "catch.example", "", V_OK,
	    "fred@example.com >someone@elsewhere.example" },
	/* states */
	{ "off", "example.com", "", V_DISABLED, "" },
	{ "lock", "example.com", "", V_LOCKED, "" },
	{ "was", "example.com", "", V_OK, "was@example.com" },
	{ "will", "example.com", "", V_DISABLED, "" },
	{ "susp", "example.com", "", V_OK, "susp@example.com" },
	{ "only", "example.com", "", V_OK, ">x@elsewhere.example" },
	{ "dead", "example.com", "", V_DISABLED, "" },
	{ "x", "off.example", "", V_DISABLED, "" },
	{ "nobody", "off.example", "", V_DISABLED, "" },
	{ "x", "wait.example", "", V_LOCKED, "" },
	{ "x", "over.example", "", V_OK, "x@over.example" },
	{ "x", "quiet.example", "", V_OK, "x@quiet.example" },
	{ "x", "fwd.example", "", V_DISABLED, "" },
	{ "y", "fwd.example", "", V_OK, ">z@elsewhere.example" },
	{ "ali", "fwd.example", "", V_OK, "fred@example.com" },
};

/* A kind of directory, filled with a site. */
struct kind {
	const char *name;
	struct directory *(*open)(const char *text);
};

static struct directory *
open_spec(const char *spec)
{
	struct directory_settings set = { 0 };
	struct verdict v = VERDICT_INIT;
	struct directory *d = NULL;

	if (directory_open(&spec, 1, &set, &d, &v) < 0)
		fail_msg("%s: %s", spec, v.detail);
	return d;
}

static struct directory *
open_file(const char *text)
{
	char path[256], spec[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/users", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
	snprintf(spec, sizeof(spec), "file:%s", path);
	return open_spec(spec);
}

/* --- databases, filled through the writer ------------------------------------ */

struct names {
	struct directory_entry list[256];
	size_t count;
	struct arena a;
};

static int
collect(const struct directory_entry *e, void *arg, struct verdict *v)
{
	struct names *n = arg;
	struct directory_entry *copy = &n->list[n->count++];

	(void)v;
	assert_true(n->count < sizeof(n->list) / sizeof(n->list[0]));
	copy->kind = e->kind;
	switch (e->kind) {
	case ENTRY_DOMAIN:
		copy->is.domain.name = arena_copy(&n->a, e->is.domain.name);
		break;
	case ENTRY_USER:
		copy->is.user.local = arena_copy(&n->a, e->is.user.local);
		copy->is.user.domain = arena_copy(&n->a, e->is.user.domain);
		break;
	case ENTRY_ALIAS:
		copy->is.alias.local = arena_copy(&n->a, e->is.alias.local);
		copy->is.alias.domain = arena_copy(&n->a, e->is.alias.domain);
		break;
	}
	return 0;
}

static void
empty(struct directory_writer *w)
{
	struct verdict v = VERDICT_INIT;
	struct names *n = calloc(1, sizeof(*n));
	bool existed;

	arena_init(&n->a, RESOLVE_ARENA);
	for (int kind = ENTRY_ALIAS; kind >= ENTRY_DOMAIN; kind--)
		assert_int_equal(directory_writer_list(w,
		    (enum directory_entry_kind)kind, STR(""), STR(""), collect,
		    n, &v), 0);
	for (size_t i = 0; i < n->count; i++) {
		const struct directory_entry *e = &n->list[i];
		struct str local = e->kind == ENTRY_USER ? e->is.user.local :
		    e->kind == ENTRY_ALIAS ? e->is.alias.local : STR("");
		struct str domain = e->kind == ENTRY_USER ? e->is.user.domain :
		    e->kind == ENTRY_ALIAS ? e->is.alias.domain :
		    e->is.domain.name;

		assert_int_equal(directory_writer_remove(w, e->kind, local,
		    domain, &existed, &v), 0);
		assert_true(existed);
	}
	arena_release(&n->a);
	free(n);
}

/* Databases want every domain named. */
static void
put_domain_of(struct directory_writer *w, const struct directory_entry *e,
    struct arena *a)
{
	struct directory_entry d = { .kind = ENTRY_DOMAIN }, there;
	struct verdict v = VERDICT_INIT;

	if (e->kind == ENTRY_DOMAIN)
		return;
	domain_record_init(&d.is.domain);
	d.is.domain.name = e->kind == ENTRY_USER ? e->is.user.domain :
	    e->is.alias.domain;
	if (directory_writer_get(w, ENTRY_DOMAIN, STR(""), d.is.domain.name, a,
	    &there, &v) == DIR_ABSENT)
		assert_int_equal(directory_writer_put(w, &d, &v), 0);
}

static void
fill(const char *spec, const char *text)
{
	struct directory_settings set = { 0 };
	struct verdict v = VERDICT_INIT;
	struct directory_writer *w = NULL;
	struct str rest = str_of(text), line;
	struct arena a;
	struct buf why;

	arena_init(&a, RESOLVE_ARENA);
	buf_init(&why, 4096);
	if (directory_writer_open(spec, &set, &w, &v) < 0 ||
	    directory_writer_begin(w, &v) < 0)
		fail_msg("%s: %s", spec, v.detail);
	empty(w);
	while (str_split(&rest, '\n', &line)) {
		struct directory_entry e;

		if (line.n == 0)
			continue;
		if (file_line_parse(line, &a, &e, &why) < 0)
			fail_msg("%s", why.p);
		put_domain_of(w, &e, &a);
		if (directory_writer_put(w, &e, &v) < 0)
			fail_msg("%s: %.*s: %s", spec, STR_ARG(line), v.detail);
		if (strstr(text, "alias=nowhere.example") != NULL &&
		    e.kind == ENTRY_DOMAIN &&
		    str_eq(e.is.domain.alias_of, STR("nowhere.example"))) {
			/* A key forbids it; a loop of its own serves. */
			e.is.domain.alias_of = e.is.domain.name;
			assert_int_equal(directory_writer_put(w, &e, &v), 0);
		}
	}
	if (directory_writer_commit(w, &v) < 0)
		fail_msg("%s: %s", spec, v.detail);
	directory_writer_close(&w);
	arena_release(&a);
	buf_release(&why);
}

static struct directory *
open_sqlite(const char *text)
{
	char spec[300];

	snprintf(spec, sizeof(spec), "sqlite:%s/vbox.db", dir);
	fill(spec, text);
	return open_spec(spec);
}

/* A real server, started by tests/integration/test_directory.py. */
static struct directory *
open_pgsql(const char *text)
{
	char spec[300];

	snprintf(spec, sizeof(spec), "pgsql:%s", getenv("VBOX_TEST_PGSQL"));
	fill(spec, text);
	return open_spec(spec);
}

static const struct kind kinds[] = {
	{ "file", open_file },
	{ "sqlite", open_sqlite },
	{ "pgsql", open_pgsql },
};
#define KINDS (getenv("VBOX_TEST_PGSQL") != NULL ? 3 : 2)

static void
print_targets(const struct resolution *res, struct buf *out)
{
	for (size_t i = 0; i < res->target_count; i++) {
		const struct target *t = &res->targets[i];

		if (i > 0)
			(void)buf_addc(out, ' ');
		if (t->kind == TARGET_REMOTE)
			(void)buf_addc(out, '>');
		(void)buf_adds(out, t->address);
		if (t->detail.n > 0) {
			(void)buf_addc(out, '#');
			(void)buf_adds(out, t->detail);
		}
	}
}

static void
the_table_holds_for_every_directory(void **state)
{
	(void)state;
	clock_set_us(TODAY_US);
	for (size_t k = 0; k < KINDS; k++) {
		struct directory *d = kinds[k].open(site);
		struct resolver r = { .directory = d, .delimiters = "+-",
		    .max_depth = 5 };

		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct resolution res;
			struct arena a;
			struct buf got;

			arena_init(&a, RESOLVE_ARENA);
			buf_init(&got, 4096);
			(void)resolve_recipient(&r, str_of(cases[i].local),
			    str_of(cases[i].domain), str_of(cases[i].detail),
			    &a, &res); /* the verdict says it too */
			print_targets(&res, &got);
			if (res.verdict.why != cases[i].why ||
			    strcmp(got.p, cases[i].want) != 0)
				fail_msg("%s: %s@%s: %s (%s), \"%s\"",
				    kinds[k].name, cases[i].local,
				    cases[i].domain,
				    verdict_word(&res.verdict),
				    res.verdict.detail, got.p);
			buf_release(&got);
			arena_release(&a);
		}
		directory_close(&d);
	}
	clock_set_us(-1);
}

static struct resolution
ask(struct directory *d, struct arena *a, const char *local, const char *domain)
{
	struct resolver r = { .directory = d, .delimiters = "+" };
	struct resolution res;

	(void)resolve_recipient(&r, str_of(local), str_of(domain), STR(""), a,
	    &res); /* the verdict says it too */
	return res;
}

static void
users_inherit_from_their_domain(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct directory *d = kinds[k].open(site);
		struct resolution res;
		struct arena a;

		arena_init(&a, RESOLVE_ARENA);
		res = ask(d, &a, "x", "quiet.example");
		assert_int_equal(res.targets[0].state, ACCOUNT_SUSPENDED);
		assert_int_equal(res.targets[0].account.quota_bytes, 5 << 20);
		assert_true(str_eq(res.targets[0].account.format,
		    STR("maildir")));
		res = ask(d, &a, "y", "quiet.example");
		assert_int_equal(res.targets[0].account.quota_bytes, 1 << 20);
		assert_true(str_eq(res.targets[0].account.format,
		    STR("mbox")));
		res = ask(d, &a, "fred", "example.com");
		assert_int_equal(res.targets[0].account.quota_messages,
		    DIRECTORY_UNSET);
		arena_release(&a);
		directory_close(&d);
	}
}

static void
the_sender_is_told_the_reason(void **state)
{
	struct directory *d = open_file(site);
	struct resolution res;
	struct arena a;

	(void)state;
	arena_init(&a, RESOLVE_ARENA);
	res = ask(d, &a, "off", "example.com");
	assert_string_equal(verdict_text(&res.verdict),
	    "Mailbox not available: Fred has left");
	res = ask(d, &a, "any", "off.example");
	assert_string_equal(verdict_text(&res.verdict),
	    "Mailbox not available: Moved away");
	arena_release(&a);
	directory_close(&d);
}

static void
the_chain_tells_each_step(void **state)
{
	static const char *const want[] = {
		"domain_alias alias.example example.com",
		"address info+x@example.com ",
		"detail info+x@example.com x",
		"alias info+x@example.com fred",
		"user fred@example.com fred",
		"alias info+x@example.com jane@Example.COM",
		"user jane@example.com jane",
	};
	struct directory *d = open_file(site);
	struct resolution res;
	struct arena a;

	(void)state;
	arena_init(&a, RESOLVE_ARENA);
	res = ask(d, &a, "Info+x", "Alias.Example");
	assert_int_equal(res.step_count, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < res.step_count; i++) {
		char got[256];

		snprintf(got, sizeof(got), "%s %.*s %.*s", res.steps[i].what,
		    STR_ARG(res.steps[i].subject), STR_ARG(res.steps[i].result));
		assert_string_equal(got, want[i]);
	}
	assert_true(str_eq(res.local, STR("info+x")));
	assert_true(str_eq(res.domain, STR("alias.example")));
	arena_release(&a);
	directory_close(&d);
}

static void
fan_out_has_an_end(void **state)
{
	struct buf text;
	struct directory *d;
	struct resolution res;
	struct resolver r = { .delimiters = "+", .max_targets = 50 };
	struct arena a;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int n = 0; n < 60; n++)
		(void)buf_addf(&text, "u%d@example.com\n", n);
	for (int list = 50; list <= 51; list++) {
		(void)buf_addf(&text, "l%d@example.com", list);
		for (int n = 0; n < list; n++)
			(void)buf_addf(&text, "%su%d", n ? "," : " alias=", n);
		(void)buf_addc(&text, '\n');
	}
	d = open_file(text.p);
	r.directory = d;
	arena_init(&a, RESOLVE_ARENA);
	assert_int_equal(resolve_recipient(&r, STR("l50"), STR("example.com"),
	    STR(""), &a, &res), 0);
	assert_int_equal(res.target_count, 50);
	assert_int_equal(resolve_recipient(&r, STR("l51"), STR("example.com"),
	    STR(""), &a, &res), -1);
	assert_int_equal(res.verdict.why, V_CONFIG);
	assert_int_equal(res.target_count, 0);
	arena_release(&a);
	directory_close(&d);
	buf_release(&text);
}

/* Each level twice the one before: 2^20 paths, 20 names. */
static void
a_tree_of_aliases_is_walked_once(void **state)
{
	struct buf text;
	struct directory *d;
	struct resolution res;
	struct resolver r = { .delimiters = "", .max_depth = 30 };
	struct arena a;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int n = 0; n < 20; n++)
		(void)buf_addf(&text, "a%d@example.com alias=a%d,b%d\n"
		    "b%d@example.com alias=a%d,b%d\n", n, n + 1, n + 1, n,
		    n + 1, n + 1);
	(void)buf_addz(&text, "a20@example.com\nb20@example.com\n");
	d = open_file(text.p);
	r.directory = d;
	arena_init(&a, RESOLVE_ARENA);
	assert_int_equal(resolve_recipient(&r, STR("a0"), STR("example.com"),
	    STR(""), &a, &res), 0);
	assert_int_equal(res.target_count, 2);
	arena_release(&a);
	directory_close(&d);
	buf_release(&text);
}

static void
a_broken_directory_refuses_nobody(void **state)
{
	static const char *const specs[] = {
		"file:/nonexistent/users",
		"sqlite:/nonexistent/vbox.db",
		"sqlite:/dev/null",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct directory *d = open_spec(specs[i]);
		struct domain_record record;
		struct resolver r = { .directory = d };
		struct resolution res;
		struct verdict v = VERDICT_INIT;
		struct arena a;

		arena_init(&a, RESOLVE_ARENA);
		res = ask(d, &a, "fred", "example.com");
		assert_int_equal(res.verdict.why, V_DIRECTORY_DOWN);
		assert_int_equal(verdict_reply(&res.verdict), 451);
		assert_int_equal(resolve_domain(&r, STR("example.com"), &a,
		    &record, &v), -1);
		assert_int_equal(v.why, V_DIRECTORY_DOWN);
		arena_release(&a);
		directory_close(&d);
	}
}

static void
domains_resolve_alone(void **state)
{
	static const struct {
		const char *domain;
		enum verdict_why why;
		const char *name;
	} want[] = {
		{ "Example.COM", V_OK, "example.com" },
		{ "alias2.example", V_OK, "example.com" },
		{ "elsewhere.example", V_UNKNOWN_DOMAIN, "" },
		{ "off.example", V_DISABLED, "" },
		{ "wait.example", V_LOCKED, "" },
		{ "loop1.example", V_CONFIG, "" },
		{ "a/b", V_BAD_ADDRESS, "" },
	};
	struct directory *d = open_file(site);
	struct resolver r = { .directory = d };

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct domain_record record = { .name = STR("") };
		struct verdict v = VERDICT_INIT;
		struct arena a;

		arena_init(&a, RESOLVE_ARENA);
		(void)resolve_domain(&r, str_of(want[i].domain), &a, &record,
		    &v); /* the verdict says it too */
		if (v.why != want[i].why ||
		    !str_eq(record.name, str_of(want[i].name)))
			fail_msg("%s: %s", want[i].domain, v.detail);
		arena_release(&a);
	}
	directory_close(&d);
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
drop_dir(void **state)
{
	char path[256];

	(void)state;
	static const char *const names[] = {
		"users", "vbox.db", "vbox.db-wal", "vbox.db-shm",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds_for_every_directory),
		cmocka_unit_test(users_inherit_from_their_domain),
		cmocka_unit_test(the_sender_is_told_the_reason),
		cmocka_unit_test(the_chain_tells_each_step),
		cmocka_unit_test(fan_out_has_an_end),
		cmocka_unit_test(a_tree_of_aliases_is_walked_once),
		cmocka_unit_test(a_broken_directory_refuses_nobody),
		cmocka_unit_test(domains_resolve_alone),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
