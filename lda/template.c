#include "lda/template.h"

#include <stdbool.h>

static int
complain(struct buf *why, const char *what)
{
	(void)buf_addz(why, what);	/* a cut message is still a message */
	return -1;
}

static bool
has_dotdot(struct str path)
{
	struct str part;

	while (str_split(&path, '/', &part))
		if (str_eq(part, STR("..")))
			return true;
	return false;
}

int
template_check(const char *text, enum template_home home, struct buf *why)
{
	struct str t = str_of(text);

	if (t.n == 0 || (t.p[0] != '/' &&
	    !(home == TEMPLATE_HOME && str_starts(t, STR("%h")))))
		return complain(why, home == TEMPLATE_HOME ?
		    "an absolute path, or one that begins with %h, is wanted" :
		    "an absolute path is wanted");
	if (has_dotdot(t))
		return complain(why, "a path without `..' is wanted");
	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] != '%')
			continue;
		i++;
		if (i == t.n)
			return complain(why, "a lone % stands at the end; %% is "
			    "a percent sign");
		switch (t.p[i]) {
		case 'd':
		case 'n':
		case 'u':
		case '%':
			break;
		case 'h':
			if (home == TEMPLATE_HOME && i == 1)
				break;
			return complain(why, home == TEMPLATE_HOME ?
			    "%h can only stand at the beginning" :
			    "%h cannot be made of itself");
		default:
			(void)buf_addf(why, "%%%c is not known; %s", t.p[i],
			    "there are %d (domain), %n (user), %u "
			    "(user@domain), %h (home) and %%");
			return -1;
		}
	}
	return 0;
}

/* A name that stays where it is put. */
static bool
name_stays(struct str name)
{
	return name.n > 0 && !str_eq(name, STR(".")) &&
	    !str_eq(name, STR("..")) && str_chr(name, '/') < 0 &&
	    str_chr(name, '\0') < 0;
}

/* How far the administrator's directory reaches: the last slash before `n`. */
static size_t
root_before(struct str path, size_t n)
{
	while (n > 1 && path.p[n - 1] != '/')
		n--;
	while (n > 1 && path.p[n - 1] == '/')
		n--;
	return n;
}

/* One template's text behind `out`; %h was seen to. *fixed is where the first
 * name begins, or untouched. */
static int
expand(struct str t, const struct template_names *names, size_t base,
    struct buf *out, size_t *fixed, bool *has_fixed)
{
	for (size_t i = 0; i < t.n; i++) {
		ptrdiff_t percent = str_chr(str_sub(t, i, t.n), '%');
		size_t plain = percent < 0 ? t.n - i : (size_t)percent;
		bool named = true;

		/* The last byte stands for itself whatever it is. */
		if (plain == 0 && i + 1 == t.n)
			plain = 1;
		if (plain > 0) {
			if (buf_adds(out, str_sub(t, i, plain)) < 0)
				return -1;
			i += plain - 1;
			continue;
		}
		i++;
		if (t.p[i] == '%')
			named = false;
		else if (!*has_fixed) {
			*fixed = out->n - base;
			*has_fixed = true;
		}
		if (!named) {
			if (buf_addc(out, '%') < 0)
				return -1;
		} else if (t.p[i] == 'd') {
			if (!name_stays(names->domain) ||
			    buf_adds(out, names->domain) < 0)
				return -1;
		} else if (t.p[i] == 'n') {
			if (!name_stays(names->user) ||
			    buf_adds(out, names->user) < 0)
				return -1;
		} else if (t.p[i] == 'u') {
			if (!name_stays(names->user) ||
			    !name_stays(names->domain) ||
			    buf_adds(out, names->user) < 0 ||
			    buf_addc(out, '@') < 0 ||
			    buf_adds(out, names->domain) < 0)
				return -1;
		} else {
			return -1;
		}
	}
	return 0;
}

int
template_expand(const char *text, const struct template_names *names,
    struct buf *out, size_t *root_r)
{
	struct str t = str_of(text), home = STR("%h");
	size_t base = out->n, fixed = 0, root;
	bool has_fixed = false;

	if (str_starts(t, home)) {
		if (!names->home || expand(str_of(names->home), names, base,
		    out, &fixed, &has_fixed) < 0)
			goto no;
		t = str_sub(t, home.n, t.n);
	}
	if (expand(t, names, base, out, &fixed, &has_fixed) < 0 ||
	    out->n == base || out->p[base] != '/')
		goto no;
	/* "/var/mail/%d/%n" is made of the root "/var/mail" and the names
	 * below; without a name the last component is what we open. */
	root = root_before(str_mem(out->p + base, out->n - base),
	    has_fixed ? fixed : out->n - base);
	*root_r = root;
	return 0;
no:
	buf_cut(out, base);
	return -1;
}
