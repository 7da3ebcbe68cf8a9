/* vbox.conf: what is accepted and what it means, what is refused and how. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/config.h"
#include "lda/settings.h"
#include "store/base/buf.h"
#include "store/base/file.h"

#define PROBLEMS_MAX 4096
#define FILE_TEXT_MAX 65536
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- wrong ------------------------------------------------------------------ */

struct wrong {
	const char *text;
	int line;
	const char *want;	/* part of the message */
};

static const struct wrong wrongs[] = {
	/* names */
	{ "mbox_pth = \"/x\"\n", 1,
	    "unknown setting `mbox_pth'; did you mean `mbox_path'?" },
	{ "\n\nlock_timout = 3s", 3, "did you mean `lock_timeout'?" },
	{ "Format = mbox", 1, "did you mean `format'?" },
	{ "quota_byte = 1G", 1, "did you mean `quota_bytes'?" },
	{ "isve_engine = native", 1, "unknown setting `isve_engine'; did you mean `sieve_engine'?" },
	{ "sieve-dir = \"/x\"", 1, "did you mean `sieve_dir'?" },
	{ "zzz = 1", 1, "unknown setting `zzz'; vbox.conf(5) lists them all" },
	{ "domain|x = 1", 1, "unknown setting" },
	{ "domain \"a.example\" { user = \"x\" }", 1,
	    "`user' holds for the whole service; it cannot stand in domain \"a.example\"" },
	{ "domain \"a.example\" {\n\n\tformt = mbox\n}", 3,
	    "did you mean `format'?" },
	/* lines are counted right after comments of every kind */
	{ "# one\n#\n// three\n/* four\n five */\nzzz = 1", 6, "unknown setting `zzz'" },
	{ "user = vmail # comment\nzzz = 1", 2, "unknown setting" },
	{ "locks = { fcntl, # first\n\t/* then */ dotlock }\nzzz = 1", 3, "unknown setting" },
	/* structure */
	{ "user vmail", 1, "a `=' is missing behind `user'" },
	{ "user =\nformat = mbox", 1, "nothing stands behind the `='" },
	{ "user = ", 1, "nothing stands behind the `='" },
	{ "user = = x", 1, "a `=' does not belong here" },
	{ "= x", 1, "a `=' does not belong here" },
	{ "user = vmail;\n", 1, "a `;' stands here" },
	{ "user = vmail\n}", 2, "a `}' stands here, but nothing is open" },
	{ "\nuser = \"vmail\n", 2, "not closed on its line" },
	{ "user = 'vmail\nhome = '/x'", 1, "not closed on its line" },
	{ "\n/* never\nclosed", 2, "not closed by */" },
	{ "domain \"a.example\" {\nformat = mbox\n", 1, "the section that begins here is not closed" },
	{ "user = x\nlocks = {fcntl,\ndotlock\n", 2, "the list that begins here is not closed" },
	{ "locks = {fcntl, dotlock\nuser = vmail", 2, "a `=' stands in the list that begins in line 1" },
	{ "locks = {fcntl dotlock}", 1, "a comma or a `}' is missing in front of `dotlock'" },
	{ "locks = {,fcntl}", 1, "a `,' does not belong here" },
	{ "locks = fcntl, dotlock", 1, "a `,' stands outside of a list; a list has braces" },
	{ "locks = {{fcntl}}", 1, "`{' stands in a list" },
	{ "locks += {flock}", 1, "`+=' is not known; write the whole list" },
	{ "recipient_delimiter = +", 1, "a `+' can only stand in quotes" },
	{ "include(\"/etc/shadow\")", 1, "no include()" },
	{ "include = x", 1, "unknown setting" },
	{ "lmtp_listen = inet:*:24", 1, "a `*' can only stand in quotes" },
	{ "domain { format = mbox }", 1, "a section begins with domain \"example.com\" {" },
	{ "domain = x", 1, "a section begins with" },
	{ "domain \"x\" format = mbox", 1, "a section begins with" },
	{ "domain \"a.example\" { domain \"b.example\" { } }", 1, "a section cannot stand within a section" },
	{ "domain \"a.example\" {\nformat = mbox\nlocks {fcntl}\n}", 3, "or a `=' in front of a list" },
	{ "\001", 1, "a control character (code 1)" },
	{ "user = \"a\033b\"", 1, "a control character (code 27)" },
	/* the environment and escapes */
	{ "user = \"${USER}\"", 1, "the environment is not looked into" },
	{ "\nhome = ${HOME}", 2, "the environment is not looked into" },
	{ "home = /srv/${HOME}", 1, "the environment is not looked into" },
	{ "user = \"a\\nb\"", 1, "an unknown \\ stands in the string" },
	{ "user = \"a\\000b\"", 1, "an unknown \\ stands in the string" },
	{ "user = 'a\\x41'", 1, "an unknown \\ stands in the string" },
	/* twice */
	{ "user = a\nhome = /h\nuser = b", 3, "`user' is set twice; line 1 has it already" },
	{ "locks = {}\nlocks = {fcntl}", 2, "`locks' is set twice; line 1" },
	{ "domain a.example { format = mbox\nformat = maildir }", 2, "`format' is set twice; line 1" },
	{ "domain \"a.example\" {}\n\ndomain \"a.example\" {}", 3, "domain `a.example' has a section already" },
	{ "domain \"a.example\" {}\ndomain \"A.Example\" {}", 2, "domain `a.example' has a section already" },
	{ "\ndomain \"a/b\" {\n}", 2, "`a/b' is no domain" },
	{ "domain \"\" {}", 1, "`' is no domain" },
	{ "domain \"fred@a.example\" {}", 1, "is no domain" },
	{ "domain \"../etc\" {}", 1, "is no domain" },
	{ "domain \"b\xc3\xbc" "cher.example\" {}", 1, "is written as xn--" },
	/* values */
	{ "user = {a, b}", 1, "user: one string is wanted, not a list of 2" },
	{ "user = {}", 1, "user: one string is wanted, not a list of 0" },
	{ "user = \"\"", 1, "user: it cannot be empty" },
	{ "user = \"vmail \"", 1, "the name of an account is wanted" },
	{ "user = \"-x\"", 1, "the name of an account is wanted" },
	{ "min_uid = 0", 1, "min_uid: `0' is no number from 1 to 4294967294" },
	{ "min_uid = -1", 1, "`-1' is no number from" },
	{ "min_uid = 0x10", 1, "`0x10' is no number from" },
	{ "workers = 99999", 1, "`99999' is no number from 0 to 1024" },
	{ "hop_limit = 18446744073709551616", 1, "is no number from 10 to 1000" },
	{ "format = mailbox", 1, "format: `mailbox' is not one of mbox, maildir" },
	{ "format = MBOX", 1, "is not one of mbox, maildir" },
	{ "mbox_variant = mbox", 1, "is not one of mboxrd, mboxo, mboxcl2" },
	{ "locks = {fcntl, lockf}", 1, "locks: `lockf' is not one of fcntl, dotlock, flock" },
	{ "locks = {fcntl, fcntl}", 1, "`fcntl' stands there twice" },
	{ "lock_timeout = 30x", 1, "lock_timeout: `30x' is no duration from 0 to 10m; write it as" },
	{ "lock_timeout = 1h", 1, "`1h' is no duration from 0 to 10m" },
	{ "lock_timeout = 1.5s", 1, "is no duration from" },
	{ "dotlock_stale = 1s", 1, "is no duration from 10s to 1d" },
	{ "quota_bytes = lots", 1, "quota_bytes: `lots' is no size from 0 to 1024T; write it as" },
	{ "quota_bytes = 9999999999999T", 1, "is no size from" },
	{ "spool_memory = 1K", 1, "`1K' is no size from 4K to 64M" },
	{ "sandbox = maybe", 1, "sandbox: `maybe' is not one of true, false" },
	{ "sandbox = 1", 1, "is not one of true, false" },
	{ "file_mode = 0666", 1, "no octal mode that contains 0600 and is contained in 0664" },
	{ "file_mode = 0400", 1, "no octal mode that contains 0600" },
	{ "dir_mode = 0777", 1, "is contained in 2775" },
	{ "dir_mode = rwx", 1, "no octal mode" },
	{ "quota_warnings = {80, 70}", 1, "`70' is not greater than what stands before it" },
	{ "quota_warnings = {0}", 1, "`0' is no number from 1 to 100" },
	{ "quota_warnings = {101}", 1, "`101' is no number from 1 to 100" },
	{ "quota_warnings = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17}", 1, "at most 16 are possible" },
	{ "mbox_path = \"/var/spool/vbox/%d/%s\"", 1, "mbox_path: `/var/spool/vbox/%d/%s': %s is not known; there are %d (domain)" },
	{ "mbox_path = \"/var/%\"", 1, "a lone % stands at the end" },
	{ "mbox_path = \"spool/%n\"", 1, "an absolute path, or one that begins with %h, is wanted" },
	{ "mbox_path = \"%d/%n\"", 1, "an absolute path, or one that begins with %h" },
	{ "mbox_path = \"/var/spool/../%n\"", 1, "a path without `..' is wanted" },
	{ "mbox_path = \"/var/%h/x\"", 1, "%h can only stand at the beginning" },
	{ "home = \"%h/x\"", 1, "an absolute path is wanted" },
	{ "home = \"/x/%h\"", 1, "%h cannot be made of itself" },
	{ "sieve_before = {\"/etc/vbox/a\", \"b\"}", 1, "sieve_before: `b': an absolute path" },
	{ "state_dir = \"var/lib\"", 1, "state_dir: `var/lib': an absolute path is wanted" },
	{ "state_dir = \"\"", 1, "it cannot be empty" },
	{ "directory = {}", 1, "directory: 0 items stand there; 1 to 8 items are possible" },
	{ "directory = {\"mysql:/x\"}", 1, "one of \"fs\", \"file:/PATH\"" },
	{ "directory = \"sqlite:vbox.db\"", 1, "is wanted" },
	{ "directory = \"socketmap:unix:/run/x\"", 1, "\"socketmap:unix:/PATH:MAP\"" },
	{ "recipient_delimiter = \"@\"", 1, "signs that part user and detail" },
	{ "hostname = \"mail_1.example\"", 1, "a host name is wanted" },
	{ "hostname = \"a..b\"", 1, "a host name is wanted" },
	{ "postmaster = \"Fred <fred@example.com>\"", 1, "USER or USER@DOMAIN is wanted" },
	{ "submit = \"sendmail\"", 1, "the path of a program, \"smtp:HOST:PORT\" or \"unix:/PATH\"" },
	{ "submit = \"smtp:relay.example\"", 1, "the path of a program, \"smtp:HOST:PORT\" or \"unix:/PATH\"" },
	{ "submit = \"smtp:relay.example:0\"", 1, "\"smtp:HOST:PORT\"" },
	{ "lmtp_listen = \"/run/lmtp.sock\"", 1, "\"unix:/PATH\" or \"inet:HOST:PORT\" is wanted" },
	{ "lmtp_listen = \"inet:127.0.0.1:65536\"", 1, "\"inet:HOST:PORT\" is wanted" },
	{ "lmtp_listen = \"inet:::1:24\"", 1, "\"inet:[::1]:24\"" },
	{ "lmtp_listen = {\"unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", 1, "at most 107 bytes" },
	{ "xclient_peers = {\"10.0.0.0/33\"}", 1, "an address or a network is wanted" },
	{ "xclient_peers = {\"localhost\"}", 1, "an address or a network is wanted" },
	{ "log_target = \"file:vbox.log\"", 1, "one of syslog, stderr, journal" },
	{ "log_facility = kern", 1, "is not one of mail, daemon, user, local0" },
	{ "sieve_extensions = {\"file into\"}", 1, "the names of Sieve capabilities" },
	{ "sieve_extensions = {}", 1, "0 items stand there" },
	{ "quota_exempt = {\"../x\"}", 1, "the name of a folder is wanted" },
	{ "quota_folders = {\"Trash\"}", 1, "a folder and what holds for it" },
	{ "quota_folders = {\"Trash=10%\"}", 1, "a folder and what holds" },
	{ "quota_folders = {\"Trash=+1001%\"}", 1, "a folder and what holds" },
	{ "quota_folders = {\"../x=ignore\"}", 1, "a folder and what holds" },
	{ "sieve_spamtest_status_header = \"X Spam\"", 1, "the name of a header field is wanted" },
	{ "\nsieve_spamtest_status_header = \"X-Spam: score=(\"", 2, "no regular expression: " },
	{ "sieve_spamtest_max_value = \"ten\"", 1, "a number above 0 is wanted" },
	{ "sieve_virustest_max_value = \"0.0\"", 1, "a number above 0 is wanted" },
	{ "sieve_spamtest_status_type = percent", 1, "is not one of score, strlen, text" },
	{ "sieve_spamtest_text_values = {\"11=x\"}", 1, "N=TEXT is wanted, N from 0 to 10" },
	{ "sieve_virustest_text_values = {\"6=x\"}", 1, "N=TEXT is wanted, N from 0 to 5" },
	{ "special_use = {\"Junk=Junk\"}", 1, "a mailbox and its use are wanted" },
	{ "special_use = {\"\\\\Junk\"}", 1, "a mailbox and its use are wanted" },
	{ "sieve_lists = {\"friends=%h/friends\"}", 1, "the name of a list, a URI, and its file" },
	{ "sieve_lists = {\"tag:a,2026:b=friends\"}", 1, "sieve_lists" },
	{ "sieve_max_list_redirects = 1001", 1, "sieve_max_list_redirects" },
	/* together */
	{ "sieve_spamtest_status_header = \"X-Spam\"", 1, "sieve_spamtest_max_value or sieve_spamtest_max_header" },
	{ "domain a.example {\nsieve_virustest_status_header = \"X-V\"\nsieve_virustest_status_type = text\n}", 2, "sieve_virustest_text_values has to say" },
	{ "tls_key = \"/k.pem\"", 1, "tls_key is set, tls_cert is not" },
	{ "sandbox = false\nsieve_engine = libsieve", 2, "only possible with sandbox = true" },
	{ "domain a.example {\nsieve_engine = libsieve\n}\nsandbox = off", 2, "only possible with sandbox = true" },
	{ "srs_domain = example.com", 1, "srs_secret_file is not" },
	{ "sieve_vacation_min = 30d\nsieve_vacation_max = 7d", 1, "sieve_vacation_min is longer" },
	/* in a section */
	{ "domain a.example {\n\tquota_bytes = x\n}", 2, "quota_bytes: `x' is no size" },
	{ "quota_bytes = 1G domain a.example {\n\n\tlocks = {x} }", 3, "locks: `x' is not one of" },
};

static void
wrong_files_are_explained(void **state)
{
	size_t tried = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(wrongs); i++) {
		const struct wrong *w = &wrongs[i];
		struct verdict v = VERDICT_INIT;
		struct config c;
		struct buf problems;
		char where[32];

		tried++;
		buf_init(&problems, PROBLEMS_MAX);
		if (config_load_text("t.conf", w->text, &c, &problems, &v) == 0)
			fail_msg("accepted: %s", w->text);
		assert_int_equal(v.why, V_CONFIG);
		(void)snprintf(where, sizeof(where), "t.conf:%d: ", w->line);
		if (strncmp(problems.p, where, strlen(where)) != 0 ||
		    !strstr(problems.p, w->want))
			fail_msg("%s\nsaid:   %swanted: %s%s", w->text,
			    problems.p, where, w->want);
		/* The log has the first of them. */
		assert_int_equal(strncmp(v.detail, problems.p,
		    strcspn(v.detail, "\n")), 0);
		buf_release(&problems);
	}
	assert_true(tried >= 60);
}

static void
all_wrong_values_are_named_at_once(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct config c;
	struct buf problems;

	(void)state;
	buf_init(&problems, PROBLEMS_MAX);
	assert_int_equal(config_load_text("t.conf",
	    "format = x\nworkers = y\ndomain a.example {\nlocks = z\n}\n", &c,
	    &problems, &v), -1);
	assert_non_null(strstr(problems.p, "t.conf:1: format: "));
	assert_non_null(strstr(problems.p, "t.conf:2: workers: "));
	assert_non_null(strstr(problems.p, "t.conf:4: locks: "));
	/* problems may be of no interest */
	assert_int_equal(config_load_text("t.conf", "x", &c, NULL, &v), -1);
	buf_release(&problems);
}

/* --- right ------------------------------------------------------------------ */

static void
load(const char *text, struct config *c)
{
	struct verdict v = VERDICT_INIT;
	struct buf problems;

	buf_init(&problems, PROBLEMS_MAX);
	if (config_load_text("t.conf", text, c, &problems, &v) < 0)
		fail_msg("%s", problems.p);
	assert_int_equal(v.why, V_OK);
	buf_release(&problems);
}

/* The example of the design, to the letter. */
static const char design[] =
"    user = \"vmail\"                    # drop to this; group likewise\n"
"    directory = {\"sqlite:/var/lib/vbox/vbox.db\"}   # also \"fs\", \"file:PATH\", \"pgsql:PATH-OF-CONNINFO\", \"socketmap:unix:PATH:MAP\"\n"
"    format = \"mbox\"                   # or maildir; domain, user\n"
"    mbox_path = \"/var/spool/vbox/%d/%n\"\n"
"    home = \"/home/vmail-users/%d/%n\"\n"
"    maildir_path = \"%h/Maildir\"\n"
"    folder_path = \"%h/mail\"           # mbox folders\n"
"    mbox_variant = \"mboxrd\"\n"
"    locks = {\"fcntl\", \"dotlock\"}\n"
"    lock_timeout = \"30s\"\n"
"    autocreate = true\n"
"    recipient_delimiter = \"+\"\n"
"    sieve_engine = \"native\"           # or libsieve\n"
"    sieve_script = \"%h/.dovecot.sieve\"\n"
"    sieve_dir = \"%h/sieve\"            # personal scripts for include; sieve_global: a directory\n"
"    sieve_extensions = \"default\"      # all, or a list with + and -\n"
"    sieve_before = {}                 # files or directories; likewise sieve_domain, sieve_after\n"
"    submit = \"/usr/sbin/sendmail\"     # or smtp:HOST:PORT; called as: submit -oi -f SENDER -- RECIPIENT...\n"
"    quota_bytes = 0                   # 0: none; quota_messages, domain_quota_bytes, quota_grace\n"
"    lmtp_listen = {\"unix:/run/vbox/lmtp.sock\", \"inet:127.0.0.1:24\"}\n"
"    map_listen = {\"unix:/run/vbox/map.sock\"}\n"
"    policy_listen = {\"unix:/run/vbox/policy.sock\"}\n"
"    metrics_listen = {}\n"
"    log_target = \"syslog\"             # stderr, journal, file:PATH\n"
"    state_dir = \"/var/lib/vbox\"\n"
"    sandbox = true\n"
"    domain \"example.net\" { format = \"maildir\" quota_bytes = 1G }\n";

static void
the_example_of_the_design_is_accepted(void **state)
{
	struct config c;
	const struct settings *s;

	(void)state;
	load(design, &c);
	assert_string_equal(c.path, "t.conf");
	s = &c.global;
	assert_string_equal(s->user, "vmail");
	assert_int_equal(s->directory.n, 1);
	assert_string_equal(s->directory.v[0], "sqlite:/var/lib/vbox/vbox.db");
	assert_null(s->directory.v[1]);
	assert_int_equal(s->format, SET_FORMAT_MBOX);
	assert_int_equal(s->locks.n, 2);
	assert_int_equal(s->locks.v[0], SET_LOCK_FCNTL);
	assert_int_equal(s->locks.v[1], SET_LOCK_DOTLOCK);
	assert_int_equal(s->lock_timeout, 30000);
	assert_true(s->autocreate);
	assert_int_equal(s->sieve_before.n, 0);
	assert_int_equal(s->lmtp_listen.n, 2);
	assert_string_equal(s->lmtp_listen.v[1], "inet:127.0.0.1:24");
	assert_int_equal(s->quota_bytes, 0);
	assert_ptr_equal(config_domain(&c, STR("example.com")), s);
	s = config_domain(&c, STR("Example.NET"));
	assert_int_equal(s->format, SET_FORMAT_MAILDIR);
	assert_int_equal(s->quota_bytes, 1ULL << 30);
	assert_string_equal(s->mbox_path, "/var/spool/vbox/%d/%n");
	config_release(&c);
}

static void
defaults_hold_without_a_file(void **state)
{
	struct config c, empty;
	struct buf a, b;

	(void)state;
	config_init(&c);
	assert_int_equal(c.global.min_uid, 100);
	assert_int_equal(c.global.file_mode, 0600);
	assert_int_equal(c.global.dir_mode, 0700);
	assert_int_equal(c.global.exit_profile, EXITS_SYSEXITS);
	assert_int_equal(c.global.quota_warnings.n, 2);
	assert_int_equal(c.global.quota_warnings.v[1], 95);
	assert_true(c.global.fsync);
	assert_true(c.global.sandbox);
	assert_string_equal(c.global.group, "");
	assert_int_equal(c.global.map_listen.n, 0);
	assert_ptr_equal(config_domain(&c, STR("example.com")), &c.global);
	load("", &empty);
	buf_init(&a, FILE_TEXT_MAX);
	buf_init(&b, FILE_TEXT_MAX);
	config_dump(&c, &a);
	config_dump(&empty, &b);
	assert_string_equal(strchr(a.p, '\n'), strchr(b.p, '\n'));
	buf_release(&a);
	buf_release(&b);
	config_release(&empty);
	config_release(&c);
}

static void
values_may_be_written_in_many_ways(void **state)
{
	struct config c;

	(void)state;
	load("lock_timeout = 500ms dotlock_stale = '2h'\n"
	    "quota_bytes=10MiB\tquota_grace = \"64k\"\r\n"
	    "user\n= vmail\n"
	    "sandbox = yes autocreate = \"off\" single_instance = ON\n"
	    "locks = flock\n"
	    "dir_mode = 2770 file_mode = \"0660\"\n"
	    "sieve_before = {\n\t\"/a/%d\", # one\n\t'%h/b c',\n}\n"
	    "sieve_extensions = {default, -vacation, \"+vnd.vbox.attachment\"}\n"
	    "submit = \"smtp:[::1]:25\"\n"
	    "hostname = mail.example.com // said so\n"
	    "mbox_path = \"/srv/a\\\\b \\\"c\\\" \\$d/%d/%n\"\n"
	    "lmtp_listen = {\"inet:*:24\", \"inet:[::]:2424\", \"inet:localhost:24\"}\n"
	    "xclient_peers = {192.0.2.1, 192.0.2.0/24, 2001:db8::/32}\n"
	    "quota_warnings = {}\n"
	    "home = /home/%u # bare\n"
	    "tls_cert = \"/c\" tls_key = \"/k\"", &c);
	assert_int_equal(c.global.lock_timeout, 500);
	assert_int_equal(c.global.dotlock_stale, 7200000);
	assert_int_equal(c.global.quota_bytes, 10 << 20);
	assert_int_equal(c.global.quota_grace, 64 << 10);
	assert_string_equal(c.global.user, "vmail");
	assert_true(c.global.sandbox);
	assert_false(c.global.autocreate);
	assert_true(c.global.single_instance);
	assert_int_equal(c.global.locks.n, 1);
	assert_int_equal(c.global.locks.v[0], SET_LOCK_FLOCK);
	assert_int_equal(c.global.dir_mode, 02770);
	assert_int_equal(c.global.file_mode, 0660);
	assert_int_equal(c.global.sieve_before.n, 2);
	assert_string_equal(c.global.sieve_before.v[1], "%h/b c");
	assert_int_equal(c.global.sieve_extensions.n, 3);
	assert_string_equal(c.global.mbox_path, "/srv/a\\b \"c\" $d/%d/%n");
	assert_int_equal(c.global.quota_warnings.n, 0);
	assert_string_equal(c.global.home, "/home/%u");
	config_release(&c);
}

static void
sections_overlay_what_stands_anywhere(void **state)
{
	struct config c;

	(void)state;
	load("domain \"b.example\" { format = maildir }\n"
	    "domain a.example { locks = {} mbox_path = /a/%n }\n"
	    "domain \"XN--Bcher-kva.example\" { quota_bytes = 1 }\n"
	    "domain empty.example {}\n"
	    "locks = {dotlock}\nhop_limit = 50\n", &c);
	assert_int_equal(c.section_count, 4);
	assert_int_equal(config_domain(&c, STR("b.example"))->locks.v[0],
	    SET_LOCK_DOTLOCK);
	assert_int_equal(config_domain(&c, STR("b.example"))->format,
	    SET_FORMAT_MAILDIR);
	assert_int_equal(config_domain(&c, STR("a.example"))->locks.n, 0);
	assert_string_equal(config_domain(&c, STR("A.EXAMPLE"))->mbox_path,
	    "/a/%n");
	assert_int_equal(config_domain(&c, STR("a.example"))->hop_limit, 50);
	assert_int_equal(config_domain(&c,
	    STR("xn--bcher-kva.example"))->quota_bytes, 1);
	assert_int_equal(config_domain(&c, STR("empty.example"))->hop_limit, 50);
	assert_ptr_equal(config_domain(&c, STR("a.example.org")), &c.global);
	assert_ptr_equal(config_domain(&c, STR("a.exampl")), &c.global);
	assert_ptr_equal(config_domain(&c, STR("")), &c.global);
	config_release(&c);
}

static void
thousand_sections_are_found(void **state)
{
	struct config c;
	struct buf text;
	char name[32];

	(void)state;
	buf_init(&text, 1 << 20);
	for (unsigned i = 0; i < 1000; i++)
		(void)buf_addf(&text, "domain \"d%u.example\" { quota_bytes = "
		    "%uK }\n", i, i + 1);
	load(text.p, &c);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "D%u.example", i);
		assert_int_equal(config_domain(&c, str_of(name))->quota_bytes,
		    (i + 1) * 1024);
	}
	config_release(&c);
	buf_release(&text);
}

/* What is printed can be read again and then prints the same. */
static void
a_dump_is_a_configuration(void **state)
{
	static const char *const texts[] = {
		"", design, "recipient_delimiter = \"\" locks = {}\n"
		"mbox_path = \"/srv/a\\\\b \\\"c\\\" \\$d/%d/%n%%\" "
		"domain x.example { quota_warnings = {1, 2} lock_timeout=1500ms }",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct config first, second;
		struct buf a, b;

		buf_init(&a, FILE_TEXT_MAX);
		buf_init(&b, FILE_TEXT_MAX);
		load(texts[i], &first);
		config_dump(&first, &a);
		load(a.p, &second);
		config_dump(&second, &b);
		assert_string_equal(a.p, b.p);
		assert_non_null(strstr(a.p, "hop_limit = 100\t# default\n"));
		config_release(&first);
		config_release(&second);
		buf_release(&a);
		buf_release(&b);
	}
}

static void
the_shipped_example_is_accepted_and_changes_nothing(void **state)
{
	struct config c, preset;
	struct buf text, a, b;
	int fd = open("contrib/vbox.conf", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	buf_init(&text, FILE_TEXT_MAX);
	assert_int_equal(file_read_whole(fd, &text), 0);
	file_close(&fd);
	load(text.p, &c);
	config_init(&preset);
	buf_init(&a, FILE_TEXT_MAX);
	buf_init(&b, FILE_TEXT_MAX);
	config_dump(&c, &a);
	config_dump(&preset, &b);
	assert_string_equal(strchr(a.p, '\n'), strchr(b.p, '\n'));
	config_release(&c);
	/* Its commented lines are settings too: each but the last section
	 * must read well when the sign in front is taken away. */
	for (char *line = text.p; line && *line; ) {
		char *end = strchr(line, '\n');
		struct str s = str_mem(line, end ? (size_t)(end - line) : 0);

		if (s.n > 1 && s.p[0] == '#' && ascii_isalpha(s.p[1]) &&
		    str_find(s, STR(" = ")) > 0 &&
		    !str_starts(s, STR("#srs_domain"))) {
			char one[2048], *sign = one;

			/* A list may have several lines. */
			if (str_ends(s, STR("{"))) {
				end = strstr(end, "\n#}");
				assert_non_null(end);
				end = strchr(end + 1, '\n');
				assert_non_null(end);
				s = str_mem(line, (size_t)(end - line));
			}
			(void)snprintf(one, sizeof(one), "%.*s",
			    STR_ARG(str_sub(s, 1, s.n)));
			while ((sign = strstr(sign, "\n#")))
				sign[1] = ' ';
			load(one, &c);
			config_release(&c);
		}
		line = end ? end + 1 : NULL;
	}
	config_release(&preset);
	buf_release(&a);
	buf_release(&b);
	buf_release(&text);
}

/* --- the file ---------------------------------------------------------------- */

static void
a_file_that_others_can_change_is_refused(void **state)
{
	char dir[] = "/tmp/vbox-config-XXXXXX", path[PATH_MAX];
	static const struct {
		mode_t mode;
		const char *want;	/* NULL: accepted */
	} modes[] = {
		{ 0644, NULL }, { 0600, NULL }, { 0640, NULL },
		{ 0660, "can be written by others" },
		{ 0602, "can be written by others" },
	};
	struct verdict v = VERDICT_INIT;
	struct config c;
	struct buf problems;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/vbox.conf", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(file_write_all(fd, "user = fred\n", 12), 0);
	buf_init(&problems, PROBLEMS_MAX);
	for (size_t i = 0; i < COUNT(modes); i++) {
		assert_int_equal(fchmod(fd, modes[i].mode), 0);
		buf_reset(&problems);
		if (modes[i].want) {
			assert_int_equal(config_load(path, &c, &problems, &v), -1);
			assert_non_null(strstr(problems.p, modes[i].want));
			assert_int_equal(v.why, V_CONFIG);
		} else {
			assert_int_equal(config_load(path, &c, &problems, &v), 0);
			assert_string_equal(c.global.user, "fred");
			assert_string_equal(c.path, path);
			config_release(&c);
		}
	}
	assert_int_equal(fchmod(fd, 0644), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 65534, 65534), 0);
		buf_reset(&problems);
		assert_int_equal(config_load(path, &c, &problems, &v), -1);
		assert_non_null(strstr(problems.p, "belongs to another account"));
	}
	(void)close(fd);
	assert_int_equal(config_load(dir, &c, NULL, &v), -1);
	assert_non_null(strstr(v.detail, "is not a file"));
	assert_int_equal(unlink(path), 0);
	/* Named and not there is an error; nobody meant the defaults. */
	assert_int_equal(config_load(path, &c, NULL, &v), -1);
	assert_non_null(strstr(v.detail, "No such file"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(config_load(path, &c, NULL, &v), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	buf_release(&problems);
}

/* A NUL would end the text for libconfuse, and hide the rest from it. */
static void
a_nul_in_the_file_is_refused(void **state)
{
	char path[] = "/tmp/vbox-config-XXXXXX";
	static const char text[] = "user = a\n\0zzz = b\n";
	struct verdict v = VERDICT_INIT;
	struct config c;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(file_write_all(fd, text, sizeof(text) - 1), 0);
	assert_int_equal(config_load(path, &c, NULL, &v), -1);
	assert_non_null(strstr(v.detail, ":2: a control character (code 0)"));
	(void)close(fd);
	(void)unlink(path);
}

/* After a failure the lexer, of which there is one per process, is as new. */
static void
a_failure_leaves_nothing_behind(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct config c;

	(void)state;
	for (size_t i = 0; i < COUNT(wrongs); i++) {
		(void)config_load_text("t.conf", wrongs[i].text, &c, NULL, &v);
		load("user = fred", &c);
		assert_string_equal(c.global.user, "fred");
		config_release(&c);
	}
}

/*
 * Bytes changed, doubled and taken away: whatever comes, it is either accepted
 * or explained with a line of the file, and nothing of it is left in memory
 * (under SANITIZE=1).
 */
static void
mutilated_files_are_accepted_or_explained(void **state)
{
	static const char signs[] = "\"'{}=,#/*+$\\\n \t;()%|\001\377x0";
	uint32_t seed = 1;
	size_t accepted = 0;

	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		char text[sizeof(design) + 64];
		struct verdict v = VERDICT_INIT;
		struct config c;
		struct buf problems;
		size_t n = sizeof(design) - 1, lines = 1, line = 0;

		memcpy(text, design, sizeof(design));
		for (unsigned cuts = 0; cuts < 1 + round % 4; cuts++) {
			size_t at;

			seed = seed * 1664525 + 1013904223;
			at = (seed >> 8) % n;
			switch (seed >> 30) {
			case 0:
				text[at] = signs[(seed >> 4) % (sizeof(signs) - 1)];
				break;
			case 1:
				if (n > 1)
					memmove(text + at, text + at + 1, n-- - at);
				break;
			case 2:
				memmove(text + at + 1, text + at, n - at + 1);
				n++;
				break;
			default:
				n = at + 1;
				text[n] = '\0';
				break;
			}
		}
		for (size_t i = 0; i < n; i++)
			lines += text[i] == '\n';
		buf_init(&problems, PROBLEMS_MAX);
		if (config_load_text("t.conf", text, &c, &problems, &v) == 0) {
			accepted++;
			config_release(&c);
		} else {
			assert_int_equal(sscanf(problems.p, "t.conf:%zu: ",
			    &line), 1);
			assert_true(line >= 1 && line <= lines);
			assert_int_equal(v.why, V_CONFIG);
		}
		buf_release(&problems);
	}
	/* Many a comment was hit. */
	assert_true(accepted > 400);
	assert_true(accepted < 3600);
}

/* --- the rows ----------------------------------------------------------------- */

static void
rows_are_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		assert_ptr_equal(settings_find(row->name), row);
		assert_true(row->offset < sizeof(struct settings));
		assert_true(strlen(row->help) > 10);
		assert_true(row->help[strlen(row->help) - 1] == '.');
		assert_true(row->least <= row->most);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(settings_table[j].name, row->name);
			assert_int_not_equal(settings_table[j].offset, row->offset);
		}
		if (row->type == SETTING_WORDS)
			assert_true(row->most <= SETTING_WORDS_MAX);
		if (row->type == SETTING_NUMBERS)
			assert_true(row->most < UINT_MAX);
	}
	assert_null(settings_nearest("nothing_like_it"));
	assert_string_equal(settings_nearest("LOCKS"), "locks");
}

/* The words of a row are in the order of their enumeration. */
static void
words_mean_what_they_say(void **state)
{
	struct config c;

	(void)state;
	load("format = maildir mbox_variant = mboxcl2 mbox_undo = file\n"
	    "locks = {flock, dotlock, fcntl} sieve_engine = none\n"
	    "quota_full = defer log_format = json log_level = debug\n"
	    "log_facility = local7 exit_profile = qmail", &c);
	assert_int_equal(c.global.format, SET_FORMAT_MAILDIR);
	assert_int_equal(c.global.mbox_variant, SET_MBOX_MBOXCL2);
	assert_int_equal(c.global.mbox_undo, SET_UNDO_FILE);
	assert_int_equal(c.global.locks.v[0], SET_LOCK_FLOCK);
	assert_int_equal(c.global.locks.v[1], SET_LOCK_DOTLOCK);
	assert_int_equal(c.global.locks.v[2], SET_LOCK_FCNTL);
	assert_int_equal(c.global.sieve_engine, SET_ENGINE_NONE);
	assert_int_equal(c.global.quota_full, SET_FULL_DEFER);
	assert_int_equal(c.global.log_format, SET_LOG_JSON);
	assert_int_equal(c.global.log_level, SET_LOG_DEBUG);
	assert_int_equal(c.global.log_facility, SET_FACILITY_LOCAL7);
	assert_int_equal(c.global.exit_profile, EXITS_QMAIL);
	config_release(&c);
	load("mbox_undo = xattr exit_profile = exim mbox_variant = mboxo "
	    "log_level = warning log_facility = daemon", &c);
	assert_int_equal(c.global.mbox_undo, SET_UNDO_XATTR);
	assert_int_equal(c.global.exit_profile, EXITS_EXIM);
	assert_int_equal(c.global.mbox_variant, SET_MBOX_MBOXO);
	assert_int_equal(c.global.log_level, SET_LOG_WARNING);
	assert_int_equal(c.global.log_facility, SET_FACILITY_DAEMON);
	config_release(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_files_are_explained),
		cmocka_unit_test(all_wrong_values_are_named_at_once),
		cmocka_unit_test(the_example_of_the_design_is_accepted),
		cmocka_unit_test(defaults_hold_without_a_file),
		cmocka_unit_test(values_may_be_written_in_many_ways),
		cmocka_unit_test(sections_overlay_what_stands_anywhere),
		cmocka_unit_test(thousand_sections_are_found),
		cmocka_unit_test(a_dump_is_a_configuration),
		cmocka_unit_test(the_shipped_example_is_accepted_and_changes_nothing),
		cmocka_unit_test(a_file_that_others_can_change_is_refused),
		cmocka_unit_test(a_nul_in_the_file_is_refused),
		cmocka_unit_test(a_failure_leaves_nothing_behind),
		cmocka_unit_test(mutilated_files_are_accepted_or_explained),
		cmocka_unit_test(rows_are_in_order),
		cmocka_unit_test(words_mean_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
