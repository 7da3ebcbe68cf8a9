#include "lda/settings_check.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#include "filters/content.h"
#include "filters/sieve/regex.h"
#include "lda/quota_rule.h"
#include "lda/template.h"
#include "store/base/num.h"
#include "store/base/str.h"

#define PORT_MAX 65535
/* RFC 1035 section 2.3.4. */
#define HOSTNAME_MAX 255
#define LABEL_MAX 63

static int
wanted(struct buf *why, const char *what)
{
	(void)buf_addz(why, what);	/* a cut message is still a message */
	return -1;
}

static bool
is_absolute(struct str s)
{
	return s.n > 1 && s.p[0] == '/';
}

static bool
all_of(struct str s, const char *others)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isalnum(s.p[i]) && !strchr(others, s.p[i]))
			return false;
	return true;
}

int
settings_check_account(const char *value, struct buf *why)
{
	struct str s = str_of(value);

	if (s.n > 0 && (s.p[0] == '-' || !all_of(s, "._-$")))
		return wanted(why, "the name of an account is wanted: letters, "
		    "digits, `.', `_' and `-'");
	return 0;
}

static bool
is_hostname(struct str s)
{
	struct str label;

	if (s.n == 0 || s.n > HOSTNAME_MAX || !all_of(s, ".-"))
		return false;
	while (str_split(&s, '.', &label))
		if (label.n == 0 || label.n > LABEL_MAX ||
		    label.p[0] == '-' || label.p[label.n - 1] == '-')
			return false;
	return true;
}

static bool
is_address(struct str s, int family)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char out[sizeof(struct in6_addr)];

	if (s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(family, text, out) == 1;
}

static bool
is_port(struct str s)
{
	uint64_t port;

	return num_u64(s, PORT_MAX, &port) == 0 && port > 0;
}

/* HOST:PORT, where HOST is a name, 1.2.3.4, [::1] or, to listen, `*'. */
enum star { NO_STAR, STAR };
static bool
is_host_port(struct str s, enum star star)
{
	ptrdiff_t colon = str_rchr(s, ':');
	struct str host;

	if (colon < 0 || !is_port(str_sub(s, (size_t)colon + 1, s.n)))
		return false;
	host = str_sub(s, 0, (size_t)colon);
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		return is_address(str_sub(host, 1, host.n - 2), AF_INET6);
	return (star == STAR && str_eq(host, STR("*"))) || is_hostname(host);
}

/* unix:PATH, short enough for its address. */
static bool
is_unix(struct str s)
{
	struct sockaddr_un sun;

	return str_starts(s, STR("unix:")) && is_absolute(str_sub(s, 5, s.n)) &&
	    s.n - 5 < sizeof(sun.sun_path);
}

int
settings_check_directory(const char *value, struct buf *why)
{
	static const char *const files[] = { "file:", "sqlite:", "pgsql:" };
	struct str s = str_of(value), rest, head = STR("socketmap:");
	ptrdiff_t colon;

	if (str_eq(s, STR("fs")))
		return 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (str_starts(s, str_of(files[i])) &&
		    is_absolute(str_sub(s, strlen(files[i]), s.n)))
			return 0;
	colon = str_rchr(s, ':');
	if (str_starts(s, head) && colon > (ptrdiff_t)head.n &&
	    (size_t)colon + 1 < s.n) {
		rest = str_sub(s, head.n, (size_t)colon - head.n);
		if (is_unix(rest))
			return 0;
		if (str_starts(rest, STR("inet:")) &&
		    is_host_port(str_sub(rest, 5, rest.n), NO_STAR))
			return 0;
	}
	return wanted(why, "one of \"fs\", \"file:/PATH\", \"sqlite:/PATH\", "
	    "\"pgsql:/PATH-OF-CONNINFO\", \"socketmap:unix:/PATH:MAP\", "
	    "\"socketmap:inet:HOST:PORT:MAP\" is wanted");
}

int
settings_check_hostname(const char *value, struct buf *why)
{
	struct str s = str_of(value);

	if (s.n > 0 && !is_hostname(s))
		return wanted(why, "a host name is wanted, such as "
		    "mail.example.com");
	return 0;
}

int
settings_check_mailbox(const char *value, struct buf *why)
{
	struct str s = str_of(value), user = s;
	ptrdiff_t at = str_rchr(s, '@');

	if (at >= 0)
		user = str_sub(s, 0, (size_t)at);
	if (user.n == 0 || !all_of(user, "!#$%&'*+-/=?^_`{|}~.") ||
	    (at >= 0 && !is_hostname(str_sub(s, (size_t)at + 1, s.n))))
		return wanted(why, "USER or USER@DOMAIN is wanted");
	return 0;
}

int
settings_check_delimiter(const char *value, struct buf *why)
{
	/* `.' and `_' are part of too many names, but some sites want them. */
	for (const char *p = value; *p; p++)
		if (!strchr("+-._=#~!$&'*^|", *p))
			return wanted(why, "signs that part user and detail are "
			    "wanted, from +-._=#~!$&'*^|");
	return 0;
}

int
settings_check_submit(const char *value, struct buf *why)
{
	struct str s = str_of(value), smtp = STR("smtp:");

	if (is_absolute(s) || is_unix(s) || (str_starts(s, smtp) &&
	    is_host_port(str_sub(s, smtp.n, s.n), NO_STAR)))
		return 0;
	return wanted(why, "the path of a program, \"smtp:HOST:PORT\" or "
	    "\"unix:/PATH\" is wanted");
}

int
settings_check_scanner(const char *value, struct buf *why)
{
	struct str s = str_of(value), inet = STR("clamd:inet:"), host;
	ptrdiff_t colon = str_rchr(s, ':');

	if (is_absolute(s) || (str_starts(s, STR("clamd:unix:")) &&
	    is_unix(str_sub(s, 6, s.n))))
		return 0;
	if (str_starts(s, inet) && colon >= (ptrdiff_t)inet.n &&
	    is_port(str_sub(s, (size_t)colon + 1, s.n))) {
		host = str_sub(s, inet.n, (size_t)colon - inet.n);
		if (is_address(host, AF_INET) || (host.n > 2 &&
		    host.p[0] == '[' && host.p[host.n - 1] == ']' &&
		    is_address(str_sub(host, 1, host.n - 2), AF_INET6)))
			return 0;
		return wanted(why, "an address in numbers is wanted, such as "
		    "\"clamd:inet:127.0.0.1:3310\": workers ask no resolver");
	}
	return wanted(why, "\"clamd:unix:/PATH\", \"clamd:inet:ADDRESS:PORT\" "
	    "or the path of a command with its arguments is wanted");
}

int
settings_check_listen(const char *value, struct buf *why)
{
	struct str s = str_of(value), inet = STR("inet:");

	if (is_unix(s) || (str_starts(s, inet) &&
	    is_host_port(str_sub(s, inet.n, s.n), STAR)))
		return 0;
	if (str_starts(s, STR("unix:/")))
		return wanted(why, "the path of a socket has at most 107 bytes");
	return wanted(why, "\"unix:/PATH\" or \"inet:HOST:PORT\" is wanted, "
	    "such as \"inet:127.0.0.1:24\" or \"inet:[::1]:24\"");
}

int
settings_check_network(const char *value, struct buf *why)
{
	struct str s = str_of(value), host = s;
	ptrdiff_t slash = str_chr(s, '/');
	uint64_t bits = 0;
	bool v4, v6;

	if (slash >= 0)
		host = str_sub(s, 0, (size_t)slash);
	v4 = is_address(host, AF_INET);
	v6 = !v4 && is_address(host, AF_INET6);
	if ((!v4 && !v6) || (slash >= 0 &&
	    num_u64(str_sub(s, (size_t)slash + 1, s.n), v4 ? 32 : 128,
	    &bits) < 0))
		return wanted(why, "an address or a network is wanted, such as "
		    "\"192.0.2.1\", \"192.0.2.0/24\" or \"2001:db8::/32\"");
	return 0;
}

int
settings_check_log_target(const char *value, struct buf *why)
{
	struct str s = str_of(value), file = STR("file:");

	if (str_eq(s, STR("syslog")) || str_eq(s, STR("stderr")) ||
	    str_eq(s, STR("journal")) || (str_starts(s, file) &&
	    is_absolute(str_sub(s, file.n, s.n))))
		return 0;
	return wanted(why, "one of syslog, stderr, journal, \"file:/PATH\" is "
	    "wanted");
}

int
settings_check_capability(const char *value, struct buf *why)
{
	struct str s = str_of(value);

	if (s.n > 0 && (s.p[0] == '+' || s.p[0] == '-'))
		s = str_sub(s, 1, s.n);
	if (s.n == 0 || !ascii_isalpha(s.p[0]) || !all_of(s, "-.;"))
		return wanted(why, "default, all, or the names of Sieve "
		    "capabilities are wanted, each with + or - in front when it "
		    "changes what is before it");
	return 0;
}

int
settings_check_folder(const char *value, struct buf *why)
{
	struct str s = str_of(value);

	if (s.n == 0 || str_chr(s, '/') == 0 || str_find(s, STR("..")) >= 0)
		return wanted(why, "the name of a folder is wanted, such as "
		    "\"Trash\"");
	return 0;
}

int
settings_check_quota_folder(const char *value, struct buf *why)
{
	struct quota_rule r;

	if (quota_rule_parse(str_of(value), &r) < 0 ||
	    str_chr(r.folder, '/') == 0 || str_find(r.folder, STR("..")) >= 0)
		return wanted(why, "a folder and what holds for it are wanted, "
		    "such as \"Junk=ignore\", \"Trash=+10%\" or "
		    "\"Archive=+500M\"");
	return 0;
}

/* RFC 5322 section 3.6.8: printable, no colon. */
static bool
is_field_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == ':')
			return false;
	return s.n > 0;
}

int
settings_check_scan_header(const char *value, struct buf *why)
{
	struct str s = str_of(value);
	ptrdiff_t colon = str_chr(s, ':');
	char problem[120];
	struct regex *re;

	if (!is_field_name(str_trim(colon < 0 ? s :
	    str_sub(s, 0, (size_t)colon))))
		return wanted(why, "the name of a header field is wanted, or "
		    "NAME: REGULAR-EXPRESSION");
	if (colon < 0)
		return 0;
	re = regex_open(str_trim(str_sub(s, (size_t)colon + 1, s.n)),
	    REGEX_NOCASE, problem, sizeof(problem));
	if (!re) {
		(void)buf_addf(why, "no regular expression: %s", problem);
		return -1;
	}
	regex_close(&re);
	return 0;
}

int
settings_check_decimal(const char *value, struct buf *why)
{
	struct str s = str_of(value);
	double d;

	if (s.n > 0 && (num_decimal(s, &d) < 0 || !(d > 0)))
		return wanted(why, "a number above 0 is wanted, such as 10 or "
		    "7.5");
	return 0;
}

static int
scan_text(const char *value, uint64_t most, struct buf *why)
{
	struct str s = str_of(value);
	ptrdiff_t sign = str_chr(s, '=');
	uint64_t n;

	if (sign < 0 || (size_t)sign + 1 == s.n ||
	    num_u64(str_sub(s, 0, (size_t)sign), most, &n) < 0) {
		(void)buf_addf(why, "N=TEXT is wanted, N from 0 to %llu",
		    (unsigned long long)most);
		return -1;
	}
	return 0;
}

int
settings_check_spamtest(const char *value, struct buf *why)
{
	return scan_text(value, 10, why);
}

int
settings_check_virustest(const char *value, struct buf *why)
{
	return scan_text(value, 5, why);
}

int
settings_check_special_use(const char *value, struct buf *why)
{
	struct str s = str_of(value), uses, use;
	ptrdiff_t sign = str_rchr(s, '=');
	unsigned n = 0;

	uses = str_trim(str_sub(s, sign < 0 ? s.n : (size_t)sign + 1, s.n));
	while (uses.n && str_split(&uses, ' ', &use))
		if (use.n < 2 || use.p[0] != '\\' ||
		    !all_of(str_sub(use, 1, use.n), "-_"))
			sign = -1;
		else
			n++;
	if (sign <= 0 || n == 0)
		return wanted(why, "a mailbox and its use are wanted, such as "
		    "\"Spam=\\\\Junk\"");
	return 0;
}

int
settings_check_external_list(const char *value, struct buf *why)
{
	struct str s = str_of(value);
	ptrdiff_t sign = str_rchr(s, '=');

	if (sign <= 0 || str_chr(str_sub(s, 0, (size_t)sign), ':') <= 0)
		return wanted(why, "the name of a list, a URI, and its file are "
		    "wanted, such as \"tag:example.com,2026:vip=%h/vip\"");
	return template_check(value + sign + 1, TEMPLATE_HOME, why);
}

int
settings_check_content(const char *value, struct buf *why)
{
	return content_rule_check(value, why);
}

int
settings_check_quarantine(const char *value, struct buf *why)
{
	struct str s = str_of(value), maildir = STR("maildir:");

	if (str_starts(s, maildir))
		return template_check(value + maildir.n, TEMPLATE_HOME, why);
	if (str_starts(s, STR("/")))
		return wanted(why, "the name of a folder, or \"maildir:/PATH\" "
		    "is wanted");
	return settings_check_folder(value, why);
}
