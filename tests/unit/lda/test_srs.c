/* The Sender Rewriting Scheme, there and back. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/srs.h"
#include "store/base/file.h"

#define NOW ((time_t)1795226089)
#define DAY 86400
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct srs *
secrets(const char *text)
{
	struct verdict v = VERDICT_INIT;
	struct srs *srs = NULL;

	assert_int_equal(srs_parse(str_of(text), &srs, &v), 0);
	return srs;
}

/* The rewritten sender, to be freed; NULL when it is not rewritten. */
static char *
forward(const struct srs *srs, const char *sender, const char *domain,
    time_t now)
{
	struct verdict v = VERDICT_INIT;
	struct buf out;
	char *r = NULL;

	buf_init(&out, 2000);
	if (srs_forward(srs, str_of(sender), str_of(domain), now, &out, &v) ==
	    SRS_DONE)
		r = strndup(out.p, out.n);
	buf_release(&out);
	return r;
}

static enum srs_answer
reverse(const struct srs *srs, const char *address, time_t now, char *got)
{
	struct verdict v = VERDICT_INIT;
	struct str s = str_of(address);
	ptrdiff_t at = str_rchr(s, '@');
	enum srs_answer a;
	struct buf out;

	buf_init(&out, 2000);
	a = srs_reverse(srs, str_sub(s, 0, at < 0 ? s.n : (size_t)at), now,
	    &out, &v);
	if (a == SRS_REFUSED)
		assert_int_equal(v.why, V_UNKNOWN_USER);
	if (got)
		(void)snprintf(got, 2000, "%s", out.p);
	buf_release(&out);
	return a;
}

static void
there_and_back(void **state)
{
	static const struct {
		const char *sender;
		const char *shape;	/* # stands for a character of base32 */
	} cases[] = {
		{ "fred@a.test", "SRS0=########=##=a.test=fred@srs.test" },
		{ "Fred.X@A.test", "SRS0=########=##=A.test=Fred.X@srs.test" },
		{ "a=b=c@a.test", "SRS0=########=##=a.test=a=b=c@srs.test" },
		{ "a+tag@a.test", "SRS0=########=##=a.test=a+tag@srs.test" },
		{ "\"a b\"@a.test",
		    "\"SRS0=########=##=a.test=a b\"@srs.test" },
		{ "m\xc3\xbcller@b\xc3\xbc.test",
		    "SRS0=########=##=b\xc3\xbc.test=m\xc3\xbcller@srs.test" },
		{ "srs@a.test", "SRS0=########=##=a.test=srs@srs.test" },
	};
	struct srs *srs = secrets("a good secret\n");
	char back[2000];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *made = forward(srs, cases[i].sender, "srs.test", NOW);
		const char *shape = cases[i].shape;

		assert_non_null(made);
		assert_int_equal(strlen(made), strlen(shape));
		for (size_t k = 0; shape[k]; k++)
			if (shape[k] != '#')
				assert_int_equal(made[k], shape[k]);
		assert_int_equal(reverse(srs, made, NOW, back), SRS_DONE);
		assert_string_equal(back, cases[i].sender);
		free(made);
	}
	srs_close(&srs);
}

/* a.test -> b.test -> c.test -> d.test, and the bounce all the way back. */
static void
over_several_hosts(void **state)
{
	struct srs *b = secrets("secret of b"), *c = secrets("secret of c"),
	    *d = secrets("secret of d");
	char *at_b = forward(b, "fred@a.test", "b.test", NOW);
	char *at_c = forward(c, at_b, "c.test", NOW);
	char *at_d = forward(d, at_c, "d.test", NOW);
	char back[2000];

	(void)state;
	assert_true(str_starts(str_of(at_c), STR("SRS1=")));
	assert_non_null(strstr(at_c, "=b.test=="));
	/* The first hop is kept, the middle one is gone. */
	assert_true(str_starts(str_of(at_d), STR("SRS1=")));
	assert_non_null(strstr(at_d, "=b.test=="));
	assert_null(strstr(at_d, "c.test"));
	assert_int_equal(reverse(d, at_d, NOW, back), SRS_DONE);
	assert_string_equal(back, at_b);
	assert_int_equal(reverse(c, at_c, NOW, back), SRS_DONE);
	assert_string_equal(back, at_b);
	assert_int_equal(reverse(b, back, NOW, back), SRS_DONE);
	assert_string_equal(back, "fred@a.test");
	/* Nobody else's signature is taken. */
	assert_int_equal(reverse(d, at_c, NOW, NULL), SRS_REFUSED);
	assert_int_equal(reverse(c, at_b, NOW, NULL), SRS_REFUSED);
	free(at_b);
	free(at_c);
	free(at_d);
	srs_close(&b);
	srs_close(&c);
	srs_close(&d);
}

/* Another implementation's separator is kept for its own way back. */
static void
foreign_separators(void **state)
{
	struct srs *srs = secrets("a good secret");
	char *made = forward(srs, "SRS0+abcd=XY=a.test=fred@b.test", "c.test",
	    NOW);
	char back[2000];

	(void)state;
	assert_non_null(strstr(made, "=b.test=+abcd=XY=a.test=fred@c.test"));
	assert_int_equal(reverse(srs, made, NOW, back), SRS_DONE);
	assert_string_equal(back, "SRS0+abcd=XY=a.test=fred@b.test");
	free(made);
	srs_close(&srs);
}

static void
senders_left_alone(void **state)
{
	static const char *const cases[] = {
		"", "fred", "@a.test", "fred@", "fred@srs.test",
		"fred@SRS.Test", "fred@[192.0.2.1]", "a b@a.test",
		"a\nb@a.test", "\"a\"b\"@a.test",
	};
	struct srs *srs = secrets("a good secret");

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_null(forward(srs, cases[i], "srs.test", NOW));
	srs_close(&srs);
}

static void
forged_and_broken(void **state)
{
	struct srs *srs = secrets("a good secret");
	char *made = forward(srs, "fred@a.test", "srs.test", NOW);
	char changed[200];

	(void)state;
	/* Every character counts, but for its case. */
	for (size_t i = 5; made[i] != '@'; i++) {
		(void)snprintf(changed, sizeof(changed), "%s", made);
		changed[i] = changed[i] == 'x' ? 'y' : 'x';
		assert_int_equal(reverse(srs, changed, NOW, NULL), SRS_REFUSED);
	}
	for (size_t i = 0; made[i]; i++)
		changed[i] = ascii_lower(made[i]);
	changed[strlen(made)] = '\0';
	assert_int_equal(reverse(srs, changed, NOW, NULL), SRS_DONE);
	free(made);

	static const char *const broken[] = {
		"SRS0=", "SRS0=a", "SRS0=a=b=c", "SRS0====", "SRS1=a=b", "SRS1===",
		"SRS1=AAAAAAAA=b.test=x", "SRS0=AAAAAAAA=AA=a/b=x",
		"SRS0=AAAAAAAA=AA=a.test=", "\"SRS0=a=b=c=d", "srs0+x=y=z=u",
	};
	for (size_t i = 0; i < COUNT(broken); i++)
		assert_int_equal(reverse(srs, broken[i], NOW, NULL), SRS_REFUSED);

	static const char *const others[] = {
		"fred", "", "SRS", "SRS0", "SRS2=a", "srs.fred", "SRS0x=",
		"mySRS0=a=b=c=d",
	};
	for (size_t i = 0; i < COUNT(others); i++)
		assert_int_equal(reverse(srs, others[i], NOW, NULL),
		    SRS_NOT_OURS);
	srs_close(&srs);
}

static void
time_runs_out(void **state)
{
	static const struct {
		int days;
		enum srs_answer want;
	} cases[] = {
		{ 0, SRS_DONE }, { 1, SRS_DONE }, { SRS_DAYS, SRS_DONE },
		{ SRS_DAYS + 1, SRS_REFUSED }, { 500, SRS_REFUSED },
		{ 1022, SRS_REFUSED },
		{ -1, SRS_DONE },	/* another host's clock */
		{ -2, SRS_REFUSED },
	};
	struct srs *srs = secrets("a good secret");

	(void)state;
	/* Also over the end of the 1024 days. */
	for (time_t now = NOW; now < NOW + 2000L * DAY; now += 333L * DAY) {
		char *made = forward(srs, "fred@a.test", "srs.test", now);

		for (size_t i = 0; i < COUNT(cases); i++)
			assert_int_equal(reverse(srs, made,
			    now + (time_t)cases[i].days * DAY, NULL),
			    cases[i].want);
		free(made);
	}
	srs_close(&srs);
}

static void
secrets_change(void **state)
{
	struct srs *old = secrets("the old secret");
	struct srs *both = secrets("# new first\nthe new secret\n\n"
	    "the old secret\r\n");
	struct srs *new = secrets("the new secret");
	char *made = forward(old, "fred@a.test", "srs.test", NOW);
	char *fresh = forward(both, "fred@a.test", "srs.test", NOW);

	(void)state;
	assert_int_equal(reverse(both, made, NOW, NULL), SRS_DONE);
	assert_int_equal(reverse(new, made, NOW, NULL), SRS_REFUSED);
	assert_int_equal(reverse(new, fresh, NOW, NULL), SRS_DONE);
	assert_int_equal(reverse(old, fresh, NOW, NULL), SRS_REFUSED);
	free(made);
	free(fresh);
	srs_close(&old);
	srs_close(&both);
	srs_close(&new);
}

static void
bad_secrets(void **state)
{
	static const char *const cases[] = { "", "\n\n", "# only\n", "short\n",
	    "long enough\nshort" };
	struct verdict v = VERDICT_INIT;
	struct srs *srs = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(srs_parse(str_of(cases[i]), &srs, &v), -1);
		assert_int_equal(v.why, V_CONFIG);
		assert_null(srs);
	}
}

static void
secrets_of_a_file(void **state)
{
	char path[] = "/tmp/vbox-srs-XXXXXX";
	struct verdict v = VERDICT_INIT;
	struct srs *srs = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "a good secret\n", 14), 0);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(srs_open(path, &srs, &v), -1);
	assert_int_equal(v.why, V_CONFIG);
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(srs_open(path, &srs, &v), 0);
	srs_close(&srs);
	assert_null(srs);
	srs_close(&srs);
	file_close(&fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(srs_open(path, &srs, &v), -1);
	assert_int_equal(v.why, V_CONFIG);
	assert_int_equal(srs_open("/tmp", &srs, &v), -1);
}

static void
over_long(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct srs *srs = secrets("a good secret");
	char sender[1100];
	struct buf out;

	(void)state;
	memset(sender, 'a', sizeof(sender));
	memcpy(sender + sizeof(sender) - 7, "@b.test", 7);
	buf_init(&out, 5000);
	assert_int_equal(srs_forward(srs, str_mem(sender, sizeof(sender)),
	    STR("srs.test"), NOW, &out, &v), SRS_REFUSED);
	assert_int_equal(out.n, 0);
	memcpy(sender, "SRS0=AAAAAAAA=AA=a.test=", 24);
	assert_int_equal(srs_reverse(srs, str_mem(sender, sizeof(sender) - 7),
	    NOW, &out, &v), SRS_REFUSED);
	buf_release(&out);
	srs_close(&srs);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(over_several_hosts),
		cmocka_unit_test(foreign_separators),
		cmocka_unit_test(senders_left_alone),
		cmocka_unit_test(forged_and_broken),
		cmocka_unit_test(time_runs_out),
		cmocka_unit_test(secrets_change),
		cmocka_unit_test(bad_secrets),
		cmocka_unit_test(secrets_of_a_file),
		cmocka_unit_test(over_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
