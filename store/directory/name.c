#include "store/directory/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "store/directory/idn.h"
#include "store/directory/module.h"

/* Room for any form of a name while it is worked on; what comes out is
 * judged against NAME_*_MAX again. */
#define NAME_SCRATCH 1024

static const char *module_dir;
static const struct idn *idn;

void
name_set_module_dir(const char *dir)
{
	module_dir = dir;
}

int
name_preload(struct verdict *v)
{
	if (idn == NULL)
		idn = module_load(module_dir, "idn", IDN_SYMBOL, v);
	return idn == NULL ? -1 : 0;
}

static int
bad(struct verdict *v, const char *what, const char *why)
{
	return verdict_set(v, V_BAD_ADDRESS, "%s %s", what, why);
}

static bool
is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* The bytes of the UTF-8 sequence at the start of s, 0 when it is none:
 * RFC 3629 section 4, so no overlong form, no surrogate, none past U+10FFFF.
 * C1 controls are refused as the ASCII ones are. */
static size_t
utf8_length(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n;
	unsigned char low = 0x80, high = 0xbf;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xc2 || p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (s.n < n || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

static bool
is_utf8(struct str s)
{
	while (s.n > 0) {
		size_t n = utf8_length(s);

		if (n == 0)
			return false;
		s = str_sub(s, n, s.n - n);
	}
	return true;
}

/* atext of RFC 5322 section 3.2.3 and the dot, without `/` (a path) and `%`
 * (a path template, the percent hack). The rest would need quotes, and no
 * mailbox has such a name. */
static bool
is_local_char(char c)
{
	return (unsigned char)c >= 0x80 || ascii_isalnum(c) ||
	    (c != '\0' && strchr(".!#$&'*+-=?^_`{|}~", c) != NULL);
}

/* What both kinds of names must not be, since they become file names. */
static int
judge_file_name(const char *what, struct str s, struct verdict *v)
{
	static const struct str reserved[] = {
		{ "tmp", 3 }, { "new", 3 }, { "cur", 3 },
	};

	if (s.n == 0)
		return bad(v, what, "is empty");
	if (s.p[0] == '.' || s.p[0] == '-' || s.p[0] == '~')
		return bad(v, what, "begins with a dot, hyphen or tilde");
	if (s.n >= 5 && str_caseeq(str_sub(s, s.n - 5, 5), STR(".lock")))
		return bad(v, what, "ends in .lock");
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (str_caseeq(s, reserved[i]))
			return bad(v, what, "is reserved");
	return 0;
}

static int
judge_local(struct str s, struct verdict *v)
{
	if (judge_file_name("local part", s, v) < 0)
		return -1;
	if (s.n > NAME_LOCAL_MAX)
		return bad(v, "local part", "is too long");
	for (size_t i = 0; i < s.n; i++)
		if (!is_local_char(s.p[i]))
			return bad(v, "local part",
			    "holds a character that we do not serve");
	if (!is_utf8(s))
		return bad(v, "local part", "is not UTF-8");
	return 0;
}

static int
judge_label(struct str label, struct verdict *v)
{
	if (label.n == 0 || label.n > NAME_LABEL_MAX)
		return bad(v, "domain", "has an empty or too long label");
	if (label.p[0] == '-' || label.p[label.n - 1] == '-')
		return bad(v, "domain", "has a hyphen at the end of a label");
	for (size_t i = 0; i < label.n; i++)
		if (!ascii_isalnum(label.p[i]) && label.p[i] != '-' &&
		    label.p[i] != '_')
			return bad(v, "domain", "holds a strange character");
	return 0;
}

static int
judge_domain(struct str s, struct verdict *v)
{
	struct str label;

	if (judge_file_name("domain", s, v) < 0)
		return -1;
	if (s.n > NAME_DOMAIN_MAX)
		return bad(v, "domain", "is too long");
	while (str_split(&s, '.', &label))
		if (judge_label(label, v) < 0)
			return -1;
	return 0;
}

static int
lower_copy(struct str s, struct arena *a, struct str *out_r, struct verdict *v)
{
	char *p = arena_alloc(a, s.n + 1);

	if (p == NULL)
		return verdict_set(v, V_NO_MEMORY, "name: arena is full");
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	*out_r = str_mem(p, s.n);
	return 0;
}

/* Gives a name that is not ASCII to one of the module's functions. */
static int
convert(const char *what, struct str s,
    int (*by)(const char *, char *, size_t), char out[NAME_SCRATCH],
    struct verdict *v)
{
	char in[NAME_SCRATCH];

	memcpy(in, s.p, s.n);
	in[s.n] = '\0';
	if (by(in, out, NAME_SCRATCH) < 0)
		return bad(v, what, "has no canonical form");
	return 0;
}

/* The module, for a name that needs it. Its absence is our fault, not the
 * sender's. */
static int
need_module(struct verdict *v)
{
	if (name_preload(v) == 0)
		return 0;
	v->why = V_TROUBLE;
	return -1;
}

/* "fred" of "\"fred\"", a quoted pair inside taken off. */
static int
unquote(struct str s, struct arena *a, struct str *out_r, struct verdict *v)
{
	char *p;
	size_t n = 0;

	*out_r = s;
	if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
		return 0;
	p = arena_alloc(a, s.n);
	if (p == NULL)
		return verdict_set(v, V_NO_MEMORY, "name: arena is full");
	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.p[i] == '\\' && i + 2 < s.n)
			i++;
		p[n++] = s.p[i];
	}
	*out_r = str_mem(p, n);
	return 0;
}

int
name_local(struct str local, struct arena *a, struct str *local_r,
    struct verdict *v)
{
	char folded[NAME_SCRATCH];

	if (unquote(local, a, &local, v) < 0 || judge_local(local, v) < 0)
		return -1;
	if (is_ascii(local))
		return lower_copy(local, a, local_r, v);
	if (need_module(v) < 0 ||
	    convert("local part", local, idn->local_fold, folded, v) < 0)
		return -1;
	local = str_of(folded);
	/* Again: NFC turns some characters into ASCII ones. */
	if (judge_local(local, v) < 0)
		return -1;
	return lower_copy(local, a, local_r, v);
}

int
name_domain(struct str domain, struct arena *a, struct str *domain_r,
    struct verdict *v)
{
	char ascii[NAME_SCRATCH];

	if (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--; /* the root, said aloud */
	if (is_ascii(domain)) {
		if (judge_domain(domain, v) < 0)
			return -1;
		return lower_copy(domain, a, domain_r, v);
	}
	if (domain.n > NAME_DOMAIN_MAX * 2)
		return bad(v, "domain", "is too long");
	if (memchr(domain.p, '\0', domain.n) != NULL || !is_utf8(domain))
		return bad(v, "domain", "is not UTF-8");
	if (need_module(v) < 0 ||
	    convert("domain", domain, idn->domain_to_ascii, ascii, v) < 0)
		return -1;
	domain = str_of(ascii);
	if (judge_domain(domain, v) < 0)
		return -1;
	return lower_copy(domain, a, domain_r, v);
}

int
name_address(struct str address, struct arena *a, struct str *local_r,
    struct str *domain_r, struct verdict *v)
{
	ptrdiff_t at = str_rchr(address, '@');
	struct str local = address, domain = STR("");

	if (at >= 0) {
		local = str_sub(address, 0, (size_t)at);
		domain = str_sub(address, (size_t)at + 1, address.n);
		if (name_domain(domain, a, &domain, v) < 0)
			return -1;
	}
	if (name_local(local, a, &local, v) < 0)
		return -1;
	*local_r = local;
	*domain_r = domain;
	return 0;
}

struct str
name_domain_display(struct str domain, struct arena *a)
{
	char utf8[NAME_SCRATCH];
	struct verdict v = VERDICT_INIT;
	struct str shown;

	if (str_find(domain, STR("xn--")) < 0 || domain.n > NAME_DOMAIN_MAX ||
	    name_preload(&v) < 0 ||
	    convert("domain", domain, idn->domain_to_unicode, utf8, &v) < 0)
		return domain;
	shown = arena_copy(a, str_of(utf8));
	return shown.p != NULL ? shown : domain;
}
