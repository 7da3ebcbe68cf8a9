#include "store/directory/file_line.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/num.h"
#include "store/directory/name.h"

enum passwd_field {
	FIELD_ADDRESS,
	FIELD_PASSWORD,
	FIELD_UID,
	FIELD_GID,
	FIELD_GECOS,
	FIELD_HOME,
	FIELD_SHELL,
	FIELD_SETTINGS,
};

/* What Dovecot reads in the same place and we do not. */
static const char *const foreign[] = {
	"userdb_", "allow_nets", "nologin", "nopassword", "proxy", "quota_rule",
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct str
file_line_address(struct str line)
{
	size_t n = 0;

	while (line.n > 0 && is_space(line.p[0]))
		line = str_sub(line, 1, line.n);
	if (line.n > 0 && line.p[0] == '#')
		return STR("");
	while (n < line.n && line.p[n] != ':' && !is_space(line.p[n]))
		n++;
	return str_sub(line, 0, n);
}

/* --- values ---------------------------------------------------------------- */

/* %XX becomes its byte; NUL never. */
static int
decode(struct str s, struct arena *a, struct str *out_r)
{
	char *p;
	size_t n = 0;

	if (str_chr(s, '%') < 0) {
		*out_r = s;
		return 0;
	}
	p = arena_alloc(a, s.n);
	if (p == NULL)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		int byte;

		if (s.p[i] != '%') {
			p[n++] = s.p[i];
			continue;
		}
		if (i + 2 >= s.n || ascii_hex(s.p[i + 1]) < 0 ||
		    ascii_hex(s.p[i + 2]) < 0)
			return -1;
		byte = ascii_hex(s.p[i + 1]) * 16 + ascii_hex(s.p[i + 2]);
		if (byte == 0)
			return -1;
		p[n++] = (char)byte;
		i += 2;
	}
	*out_r = str_mem(p, n);
	return 0;
}

static void
encode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == '%' || c == ',' || c == 0x7f)
			(void)buf_addf(out, "%%%02X", c);
		else
			(void)buf_addc(out, (char)c);
	}
}

static int
size_value(struct str value, uint64_t *to)
{
	if (!str_caseeq(value, STR("none")))
		return num_size(value, to);
	*to = 0;
	return 0;
}

static int
count_value(struct str value, uint64_t *to)
{
	if (!str_caseeq(value, STR("none")))
		return num_u64(value, INT64_MAX, to);
	*to = 0;
	return 0;
}

static int
keep_value(struct str value, enum forward_keep *to)
{
	if (str_caseeq(value, STR("yes")))
		*to = FORWARD_KEEP;
	else if (str_caseeq(value, STR("no")))
		*to = FORWARD_DROP;
	else
		return -1;
	return 0;
}

static int
format_value(struct str value, struct str *to)
{
	if (value.n == 0 || directory_format_check(value) < 0)
		return -1;
	*to = value;
	return 0;
}

/* --- settings ---------------------------------------------------------------
 * 1: taken, 0: no such setting here, -1: a value that makes no sense. */

static int
taken(int r)
{
	return r < 0 ? -1 : 1;
}

static int
state_setting(struct str name, struct str value, struct arena *a,
    struct directory_state *s)
{
	if (str_eq(name, STR("state")))
		return taken(account_state_parse(value, &s->state));
	if (str_eq(name, STR("until")))
		return taken(directory_until_parse(value, &s->until));
	if (str_eq(name, STR("reason")))
		return taken(decode(value, a, &s->reason));
	return 0;
}

static int
domain_setting(struct str name, struct str value, struct arena *a,
    struct domain_record *r)
{
	struct verdict v = VERDICT_INIT;

	if (str_eq(name, STR("alias")))
		return taken(name_domain(value, a, &r->alias_of, &v));
	if (str_eq(name, STR("catchall")))
		return taken(directory_list_parse(value, a, &r->catch_all));
	if (str_eq(name, STR("format")))
		return taken(format_value(value, &r->format));
	if (str_eq(name, STR("host")))
		return taken(decode(value, a, &r->host));
	if (str_eq(name, STR("quota")))
		return taken(size_value(value, &r->quota_bytes));
	if (str_eq(name, STR("user_quota")))
		return taken(size_value(value, &r->user_quota_bytes));
	if (str_eq(name, STR("user_messages")))
		return taken(count_value(value, &r->user_quota_messages));
	return state_setting(name, value, a, &r->state);
}

static int
user_setting(struct str name, struct str value, struct arena *a,
    struct account *r)
{
	if (str_eq(name, STR("home")))
		return taken(decode(value, a, &r->home));
	if (str_eq(name, STR("format")))
		return taken(format_value(value, &r->format));
	if (str_eq(name, STR("host")))
		return taken(decode(value, a, &r->host));
	if (str_eq(name, STR("quota")))
		return taken(size_value(value, &r->quota_bytes));
	if (str_eq(name, STR("messages")))
		return taken(count_value(value, &r->quota_messages));
	if (str_eq(name, STR("forward")))
		return taken(directory_list_parse(value, a, &r->forwards));
	if (str_eq(name, STR("keep")))
		return taken(keep_value(value, &r->keep));
	if (str_eq(name, STR("content")))
		return taken(decode(value, a, &r->content));
	return state_setting(name, value, a, &r->state);
}

static int
one_setting(struct str name, struct str value, struct arena *a,
    struct directory_entry *l)
{
	switch (l->kind) {
	case ENTRY_DOMAIN:
		return domain_setting(name, value, a, &l->is.domain);
	case ENTRY_USER:
		return user_setting(name, value, a, &l->is.user);
	case ENTRY_ALIAS:
		if (!str_eq(name, STR("alias")))
			return 0;
		return taken(directory_list_parse(value, a,
		    &l->is.alias.targets));
	}
	abort();
}

static bool
is_foreign(struct str name)
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (str_starts(name, str_of(foreign[i])))
			return true;
	return false;
}

/* The next NAME=VALUE; false at the end. */
static bool
next_setting(struct str *rest, struct str *setting_r)
{
	size_t n = 0;

	while (rest->n > 0 && is_space(rest->p[0]))
		*rest = str_sub(*rest, 1, rest->n);
	while (n < rest->n && !is_space(rest->p[n]))
		n++;
	*setting_r = str_sub(*rest, 0, n);
	*rest = str_sub(*rest, n, rest->n);
	return n > 0;
}

/* Strangers do not write this file, but a binary byte in a message about it
 * helps nobody. */
static void
complain(struct buf *why, const char *what, struct str about)
{
	(void)buf_addz(why, what);
	(void)buf_addz(why, " \"");
	for (size_t i = 0; i < about.n && i < 80; i++)
		(void)buf_addc(why, ascii_iscntrl(about.p[i]) ? '?' :
		    about.p[i]);
	(void)buf_addz(why, "\"");
}

static int
all_settings(struct str rest, struct arena *a, struct directory_entry *l,
    struct buf *why)
{
	struct str setting;

	while (next_setting(&rest, &setting)) {
		ptrdiff_t eq = str_chr(setting, '=');
		struct str name = setting, value = STR("");
		int r;

		if (eq >= 0) {
			name = str_sub(setting, 0, (size_t)eq);
			value = str_sub(setting, (size_t)eq + 1, setting.n);
		}
		if (is_foreign(name))
			continue;
		r = eq < 0 ? 0 : one_setting(name, value, a, l);
		if (r > 0)
			continue;
		complain(why, r == 0 ? "no such setting here:" :
		    "value makes no sense:", setting);
		return -1;
	}
	return 0;
}

static bool
has_alias(struct str settings)
{
	struct str setting;

	while (next_setting(&settings, &setting))
		if (str_starts(setting, STR("alias=")))
			return true;
	return false;
}

/* --- lines ----------------------------------------------------------------- */

static int
begin_record(struct str address, struct str settings, struct arena *a,
    struct directory_entry *l, struct buf *why)
{
	struct verdict v;
	struct str local = STR(""), domain = STR("");
	int r;

	verdict_init(&v);
	if (address.n > 0 && address.p[0] == '@') {
		r = name_domain(str_sub(address, 1, address.n), a, &domain, &v);
	} else {
		r = name_address(address, a, &local, &domain, &v);
		if (r == 0 && domain.n == 0)
			r = verdict_set(&v, V_BAD_ADDRESS, "no @ in it");
	}
	if (r < 0) {
		complain(why, v.detail, address);
		return -1;
	}
	if (local.n == 0) {
		l->kind = ENTRY_DOMAIN;
		domain_record_init(&l->is.domain);
		l->is.domain.name = domain;
	} else if (has_alias(settings)) {
		l->kind = ENTRY_ALIAS;
		l->is.alias = (struct alias_record){ .local = local,
		    .domain = domain };
	} else {
		l->kind = ENTRY_USER;
		account_init(&l->is.user);
		l->is.user.local = local;
		l->is.user.domain = domain;
	}
	return 0;
}

int
file_line_parse(struct str line, struct arena *a, struct directory_entry *out_r,
    struct buf *why)
{
	struct str address = file_line_address(line), rest = line;
	struct str field[FIELD_SETTINGS] = { { NULL, 0 } };
	struct directory_entry l;

	if (line.n > FILE_LINE_MAX) {
		(void)buf_addz(why, "line is too long");
		return -1;
	}
	for (size_t i = 0; i < line.n; i++) {
		if (ascii_iscntrl(line.p[i]) && !is_space(line.p[i])) {
			(void)buf_addz(why, "line holds a control character");
			return -1;
		}
	}
	rest = str_mem(address.p + address.n,
	    (size_t)(line.p + line.n - (address.p + address.n)));
	if (rest.n > 0 && rest.p[0] == ':') {
		rest = str_sub(rest, 1, rest.n);
		for (int i = FIELD_PASSWORD; i < FIELD_SETTINGS; i++)
			if (!str_split(&rest, ':', &field[i]))
				break;
		if (rest.p == NULL)
			rest = STR("");
	}
	if (begin_record(address, rest, a, &l, why) < 0)
		return -1;
	if (l.kind == ENTRY_USER) {
		l.is.user.password = field[FIELD_PASSWORD];
		l.is.user.home = str_trim(field[FIELD_HOME]);
	}
	if (all_settings(rest, a, &l, why) < 0)
		return -1;
	if (l.kind == ENTRY_ALIAS && l.is.alias.targets.count == 0) {
		complain(why, "alias without a target:", address);
		return -1;
	}
	*out_r = l;
	return 0;
}

/* --- printing --------------------------------------------------------------- */

static void
print_text(struct buf *out, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	(void)buf_addf(out, " %s=", name);
	encode(value, out);
}

static void
print_list(struct buf *out, const char *name, struct directory_list l)
{
	for (size_t i = 0; i < l.count; i++) {
		if (i == 0)
			(void)buf_addf(out, " %s=", name);
		else
			(void)buf_addc(out, ',');
		(void)buf_adds(out, l.list[i]);
	}
}

static void
print_number(struct buf *out, const char *name, uint64_t value)
{
	if (value != DIRECTORY_UNSET)
		(void)buf_addf(out, " %s=%llu", name,
		    (unsigned long long)value);
}

static void
print_state(struct buf *out, const struct directory_state *s)
{
	if (s->state != ACCOUNT_ACTIVE)
		(void)buf_addf(out, " state=%s", account_state_word(s->state));
	print_text(out, "reason", s->reason);
	if (s->until != 0)
		(void)buf_addf(out, " until=%lld", (long long)s->until);
}

static void
print_domain(const struct domain_record *r, struct buf *out)
{
	(void)buf_addc(out, '@');
	(void)buf_adds(out, r->name);
	print_text(out, "alias", r->alias_of);
	print_list(out, "catchall", r->catch_all);
	print_text(out, "format", r->format);
	print_text(out, "host", r->host);
	print_number(out, "quota", r->quota_bytes);
	print_number(out, "user_quota", r->user_quota_bytes);
	print_number(out, "user_messages", r->user_quota_messages);
	print_state(out, &r->state);
}

static void
print_user(const struct account *r, struct buf *out)
{
	(void)buf_adds(out, r->local);
	(void)buf_addc(out, '@');
	(void)buf_adds(out, r->domain);
	if (r->password.n > 0) {
		(void)buf_addc(out, ':');
		(void)buf_adds(out, r->password);
		(void)buf_addz(out, "::::");
		(void)buf_adds(out, r->home);
		(void)buf_addz(out, "::");
	} else {
		print_text(out, "home", r->home);
	}
	print_text(out, "format", r->format);
	print_text(out, "host", r->host);
	print_number(out, "quota", r->quota_bytes);
	print_number(out, "messages", r->quota_messages);
	print_list(out, "forward", r->forwards);
	if (r->keep == FORWARD_DROP)
		(void)buf_addz(out, " keep=no");
	print_text(out, "content", r->content);
	print_state(out, &r->state);
}

void
file_line_print(const struct directory_entry *line, struct buf *out)
{
	switch (line->kind) {
	case ENTRY_DOMAIN:
		print_domain(&line->is.domain, out);
		return;
	case ENTRY_USER:
		print_user(&line->is.user, out);
		return;
	case ENTRY_ALIAS:
		(void)buf_adds(out, line->is.alias.local);
		(void)buf_addc(out, '@');
		(void)buf_adds(out, line->is.alias.domain);
		print_list(out, "alias", line->is.alias.targets);
		return;
	}
}
