/* The log: what a line looks like, and that nobody else can write one. */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/config.h"
#include "lda/log.h"
#include "lda/log_escape.h"
#include "store/base/clock.h"
#include "store/base/file.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
strangers_text_is_escaped(void **state)
{
	static const struct {
		struct str in;
		const char *text, *json;
	} cases[] = {
		{ STR("plain <a@b> +-_"), "plain <a@b> +-_", "plain <a@b> +-_" },
		{ STR("a\nb\rc\td"), "a\\nb\\rc\\td", "a\\u000ab\\u000dc\\u0009d" },
		{ STR("x\" y=\"z"), "x\\\" y=\\\"z", "x\\\" y=\\\"z" },
		{ STR("a\\n"), "a\\\\n", "a\\\\n" },
		{ STR("\033[2Jx\007"), "\\x1B[2Jx\\x07", "\\u001b[2Jx\\u0007" },
		{ STR("a\0b\177"), "a\\x00b\\x7F", "a\\u0000b\\u007f" },
		{ STR("m\xc3\xbcller"), "m\xc3\xbcller", "m\xc3\xbcller" },
		/* C1: CSI without an ESC */
		{ STR("\xc2\x9b" "2J"), "\\xC2\\x9B2J", "\\u009b2J" },
		/* lone, cut short, overlong, surrogate, past the end */
		{ STR("\xff"), "\\xFF", "\\ufffd" },
		{ STR("a\xc3"), "a\\xC3", "a\\ufffd" },
		{ STR("\xc0\x8a"), "\\xC0\\x8A", "\\ufffd\\ufffd" },
		{ STR("\xe0\x80\x8a"), "\\xE0\\x80\\x8A", "\\ufffd\\ufffd\\ufffd" },
		{ STR("\xed\xa0\x80"), "\\xED\\xA0\\x80", "\\ufffd\\ufffd\\ufffd" },
		{ STR("\xf4\x90\x80\x80"), "\\xF4\\x90\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
		{ STR("\xf0\x9f\x93\xa7"), "\xf0\x9f\x93\xa7", "\xf0\x9f\x93\xa7" },
		/* line separator, right-to-left override, a tag */
		{ STR("\xe2\x80\xa8"), "\\xE2\\x80\\xA8", "\\u2028" },
		{ STR("\xe2\x80\xaegpj"), "\\xE2\\x80\\xAEgpj", "\\u202egpj" },
		{ STR("\xf3\xa0\x81\x81"), "\\xF3\\xA0\\x81\\x81", "\\udb40\\udc41" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out;

		buf_init(&out, LOG_LINE_MAX);
		log_escape(cases[i].in, &out);
		assert_string_equal(out.p, cases[i].text);
		buf_reset(&out);
		log_escape_json(cases[i].in, &out);
		assert_string_equal(out.p, cases[i].json);
		buf_release(&out);
	}
}

/* Whatever the bytes, what comes out is one printable line with as many bare
 * quotes as its writer put there. */
static void
no_bytes_break_a_line(void **state)
{
	uint32_t seed = 42;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char bytes[64];
		struct log_line l;
		struct buf out;
		unsigned quotes = 0;
		bool escaped = false;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (char)(seed >> 24);
			if (seed >> 30 == 0)
				bytes[i] = "\"\\\n\r\033 =\xe2"[seed >> 16 & 7];
		}
		log_line_init(&l);
		log_kv(&l, "from", str_mem(bytes, sizeof(bytes)));
		buf_init(&out, LOG_LINE_MAX);
		log_render(SET_LOG_TEXT, SET_LOG_INFO, &l, &out);
		for (size_t i = 0; i < out.n; i++) {
			assert_false(ascii_iscntrl(out.p[i]));
			if (escaped)
				escaped = false;
			else if (out.p[i] == '\\')
				escaped = true;
			else if (out.p[i] == '"')
				quotes++;
		}
		assert_int_equal(quotes, 2);
		assert_int_equal(out.p[out.n - 1], '"');
		buf_release(&out);
		log_line_release(&l);
	}
}

static void
fill(struct log_line *l)
{
	log_line_init(l);
	log_kv(l, "msgid", STR("<1@a.example>"));
	log_kv(l, "from", STR("x\" verdict=ok\n"));
	log_number(l, "size", 1234);
	log_word(l, "verdict", "unknown_user");
}

static void
a_line_in_each_form(void **state)
{
	struct log_line l;
	struct buf out;
	char want[512];

	(void)state;
	clock_set_us(1795230000LL * 1000000);
	buf_init(&out, LOG_LINE_MAX);
	fill(&l);
	log_render(SET_LOG_TEXT, SET_LOG_INFO, &l, &out);
	assert_string_equal(out.p, "msgid=\"<1@a.example>\" "
	    "from=\"x\\\" verdict=ok\\n\" size=1234 verdict=unknown_user");
	buf_reset(&out);
	log_render(SET_LOG_JSON, SET_LOG_WARNING, &l, &out);
	(void)snprintf(want, sizeof(want), "{\"time\":\"2026-11-21T03:00:00Z\","
	    "\"level\":\"warning\",\"program\":\"vbox\",\"pid\":%ld,"
	    "\"msgid\":\"<1@a.example>\",\"from\":\"x\\\" verdict=ok\\u000a\","
	    "\"size\":1234,\"verdict\":\"unknown_user\"}", (long)getpid());
	assert_string_equal(out.p, want);
	buf_reset(&out);
	log_render_journal(SET_LOG_ERROR, &l, &out);
	(void)snprintf(want, sizeof(want), "MESSAGE=msgid=\"<1@a.example>\" "
	    "from=\"x\\\" verdict=ok\\n\" size=1234 verdict=unknown_user\n"
	    "PRIORITY=3\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=vbox\n"
	    "SYSLOG_PID=%ld\nVBOX_MSGID=<1@a.example>\nVBOX_FROM\n",
	    (long)getpid());
	assert_memory_equal(out.p, want, strlen(want));
	/* A value with a line end has its length in front. */
	assert_memory_equal(out.p + strlen(want),
	    "\x0e\0\0\0\0\0\0\0x\" verdict=ok\n\n"
	    "VBOX_SIZE=1234\nVBOX_VERDICT=unknown_user\n",
	    out.n - strlen(want));
	buf_release(&out);
	log_line_release(&l);
	clock_set_us(-1);
}

static void
long_lines_are_cut_at_a_field(void **state)
{
	char value[1000];
	struct log_line l;
	struct buf out;

	(void)state;
	memset(value, 1, sizeof(value));
	log_line_init(&l);
	for (unsigned i = 0; i < 40; i++)
		log_kv(&l, "to", str_mem(value, sizeof(value)));
	assert_int_equal(l.count, LOG_FIELDS_MAX);
	for (enum setting_log_format f = SET_LOG_TEXT; f <= SET_LOG_JSON; f++) {
		buf_init(&out, 2 * LOG_LINE_MAX);
		log_render(f, SET_LOG_INFO, &l, &out);
		assert_true(out.n <= LOG_LINE_MAX);
		assert_true(out.n > LOG_LINE_MAX / 2);
		assert_int_equal(out.p[out.n - 1], f == SET_LOG_TEXT ? '"' : '}');
		assert_int_equal(out.p[out.n - 2],
		    f == SET_LOG_TEXT ? '1' : '"');
		buf_release(&out);
	}
	log_line_release(&l);
}

/* --- a file ----------------------------------------------------------------- */

static char dir[] = "/tmp/vbox-log-XXXXXX";
static char path[PATH_MAX], target[PATH_MAX + 8];

static int
setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	(void)snprintf(target, sizeof(target), "file:%s", path);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	log_close();
	(void)unlink(path);
	return rmdir(dir);
}

static void
slurp(const char *name, struct buf *out)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	buf_init(out, 1 << 20);
	assert_int_equal(file_read_whole(fd, out), 0);
	file_close(&fd);
}

static void
a_delivery_is_one_line_in_the_file(void **state)
{
	struct config c;
	struct verdict v = VERDICT_INIT;
	struct log_delivery d = {
		.msgid = STR("<1@a.example>"),
		.to = STR("fred@example.com"),
		.orig_to = STR("fred@example.com"),
		.size = 7,
		.verdict = &v,
		.delay_ms = 12,
		.box = STR("/var/spool/vbox/example.com/fred"),
		.actions = STR("keep"),
		.door = "argv",
	};
	struct stat st;
	struct buf text;
	char want[1024];

	(void)state;
	config_init(&c);
	c.global.log_target = target;
	clock_set_us(1795230000LL * 1000000);
	log_open("vbox-deliver", &c.global);
	/* Nothing is opened before something is said. */
	assert_int_equal(access(path, F_OK), -1);
	(void)verdict_ok(&v, "stored");
	log_delivery(&d);
	(void)verdict_set(&v, V_NO_SPACE, "disk \"full\"");
	log_delivery(&d);
	log_say(SET_LOG_ERROR, "odd name %s", "a\nb");
	log_say(SET_LOG_DEBUG, "not at this level");
	slurp(path, &text);
	(void)snprintf(want, sizeof(want),
	    "2026-11-21T03:00:00Z vbox-deliver[%ld]: msgid=\"<1@a.example>\" "
	    "from=\"<>\" to=\"fred@example.com\" size=7 verdict=%s dsn=2.0.0 "
	    "delay_ms=12 box=\"/var/spool/vbox/example.com/fred\" "
	    "actions=\"keep\" door=argv\n"
	    "2026-11-21T03:00:00Z vbox-deliver[%ld]: warning: "
	    "msgid=\"<1@a.example>\" from=\"<>\" to=\"fred@example.com\" "
	    "size=7 verdict=%s dsn=4.3.1 delay_ms=12 "
	    "box=\"/var/spool/vbox/example.com/fred\" actions=\"keep\" "
	    "door=argv detail=\"disk \\\"full\\\"\"\n"
	    "2026-11-21T03:00:00Z vbox-deliver[%ld]: error: odd name a\\nb\n",
	    (long)getpid(), verdict_word(&(struct verdict){ .why = V_OK }),
	    (long)getpid(), verdict_word(&v), (long)getpid());
	assert_string_equal(text.p, want);
	buf_release(&text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);
	clock_set_us(-1);
	log_close();
	config_release(&c);
}

static void
a_rotated_file_is_opened_anew(void **state)
{
	struct config c;
	struct buf text;
	char old[PATH_MAX + 8];

	(void)state;
	(void)unlink(path);
	(void)snprintf(old, sizeof(old), "%s.1", path);
	config_init(&c);
	c.global.log_target = target;
	c.global.log_format = SET_LOG_JSON;
	log_open("vbox-lmtpd", &c.global);
	log_say(SET_LOG_INFO, "first");
	assert_int_equal(rename(path, old), 0);
	log_say(SET_LOG_INFO, "second");
	log_reopen();
	log_say(SET_LOG_INFO, "third");
	slurp(old, &text);
	assert_non_null(strstr(text.p, "\"message\":\"first\"}\n"));
	assert_non_null(strstr(text.p, "\"message\":\"second\"}\n"));
	assert_null(strstr(text.p, "third"));
	buf_release(&text);
	slurp(path, &text);
	assert_non_null(strstr(text.p, "\"message\":\"third\"}\n"));
	assert_null(strstr(text.p, "second"));
	buf_release(&text);
	assert_int_equal(unlink(old), 0);
	log_close();
	config_release(&c);
}

#define WRITERS 4
#define LINES 500

static void
lines_of_many_processes_do_not_mix(void **state)
{
	struct config c;
	struct buf text;
	struct str rest, line;
	unsigned lines = 0;

	(void)state;
	(void)unlink(path);
	config_init(&c);
	c.global.log_target = target;
	log_open("vbox-lmtpd", &c.global);
	log_connect();
	for (int w = 0; w < WRITERS; w++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int i = 0; i < LINES; i++)
				log_say(SET_LOG_INFO, "begin %0*d end",
				    50 + 100 * w, i);
			_exit(0);
		}
		assert_true(pid > 0);
	}
	for (int w = 0; w < WRITERS; w++) {
		int status = -1;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	slurp(path, &text);
	rest = buf_str(&text);
	while (str_split(&rest, '\n', &line) && line.n > 0) {
		assert_int_equal(str_find(line, STR("begin ")),
		    str_chr(line, ':') > 0 ? str_find(line, STR("]: ")) + 3 : 0);
		assert_true(str_ends(line, STR(" end")));
		lines++;
	}
	assert_int_equal(lines, WRITERS * LINES);
	buf_release(&text);
	log_close();
	config_release(&c);
}

/* --- syslog and the journal -------------------------------------------------- */

#define JOURNAL "/run/systemd/journal/socket"
#define DATAGRAM_MAX 16384
/* Exit status of a child that may not make a namespace. */
#define CANNOT 77

static int
listen_at(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, name, strlen(name) + 1);
	return bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ? fd : -1;
}

/* The next datagram holds this; 0 or an exit status. */
static int
heard(int fd, const char *want)
{
	char text[DATAGRAM_MAX + 1];
	ssize_t n = recv(fd, text, DATAGRAM_MAX, MSG_DONTWAIT);

	if (n < 0)
		return 3;
	text[n] = '\0';
	return strstr(text, want) ? 0 : 4;
}

/* In a mount namespace of its own, with a /dev and a /run of its own, so that
 * nothing reaches the log of this machine. */
static int
speak_and_listen(void)
{
	struct config c;
	int syslog_fd, journal_fd, r;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, NULL) < 0 ||
	    mount("none", "/dev", "tmpfs", 0, NULL) < 0)
		return CANNOT;
	config_init(&c);
	c.global.log_facility = SET_FACILITY_LOCAL3;
	syslog_fd = listen_at("/dev/log");
	if (syslog_fd < 0)
		return 5;
	log_open("vbox-lmtpd", &c.global);
	log_say(SET_LOG_WARNING, "to %s", "sys\nlog");
	/* RFC 3164: facility local3 (19) * 8 + warning (4) */
	r = heard(syslog_fd, "<156>");
	if (r)
		return r;
	/* The journal is not there yet: syslog gets the line. */
	c.global.log_target = "journal";
	log_open("vbox-lmtpd", &c.global);
	log_say(SET_LOG_INFO, "instead");
	r = heard(syslog_fd, "]: instead");
	if (r)
		return r + 10;
	if (mkdir("/run/systemd", 0755) < 0 ||
	    mkdir("/run/systemd/journal", 0755) < 0)
		return 6;
	journal_fd = listen_at(JOURNAL);
	log_connect();
	log_say(SET_LOG_ERROR, "to the journal");
	r = heard(journal_fd, "MESSAGE=to the journal\nPRIORITY=3\n"
	    "SYSLOG_FACILITY=19\nSYSLOG_IDENTIFIER=vbox-lmtpd\n");
	if (r)
		return r + 20;
	/* A journald that was started anew has another socket. */
	if (close(journal_fd) < 0 || unlink(JOURNAL) < 0)
		return 7;
	journal_fd = listen_at(JOURNAL);
	log_say(SET_LOG_INFO, "again");
	r = heard(journal_fd, "MESSAGE=again\n");
	if (r)
		return r + 30;
	log_close();
	config_release(&c);
	return heard(syslog_fd, "") == 3 ? 0 : 8;
}

static void
syslog_and_journal_get_their_datagrams(void **state)
{
	int status = -1;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(speak_and_listen());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();		/* neither root nor allowed namespaces */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_text_is_escaped),
		cmocka_unit_test(no_bytes_break_a_line),
		cmocka_unit_test(a_line_in_each_form),
		cmocka_unit_test(long_lines_are_cut_at_a_field),
		cmocka_unit_test(a_delivery_is_one_line_in_the_file),
		cmocka_unit_test(a_rotated_file_is_opened_anew),
		cmocka_unit_test(lines_of_many_processes_do_not_mix),
		cmocka_unit_test(syslog_and_journal_get_their_datagrams),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
