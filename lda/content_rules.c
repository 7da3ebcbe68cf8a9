#include "lda/content_rules.h"

#include "filters/content.h"

static void
add_configured(const struct settings *s, struct buf *out)
{
	for (size_t i = 0; i < s->content_rules.n; i++) {
		(void)buf_addz(out, s->content_rules.v[i]);
		(void)buf_addc(out, '\n');
	}
}

/* The account's, with the configuration's where it says "default". */
static void
add_own(const struct settings *s, struct str own, struct buf *out)
{
	struct str rest = own, rule;

	while (str_split(&rest, ';', &rule)) {
		if (str_eq(str_trim(rule), STR("default"))) {
			add_configured(s, out);
		} else {
			/* The semicolon of a quoted name stays one. */
			(void)buf_adds(out, rule);
			(void)buf_addc(out, rest.p ? ';' : '\n');
		}
	}
}

int
content_rules(const struct settings *s, const struct account *account,
    struct arena *a, struct str *rules_r, struct str *why_r,
    struct verdict *v)
{
	struct str own = account ? account->content : STR("");
	struct content_policy policy;
	struct buf text, why;
	int r = 0;

	*rules_r = *why_r = STR("");
	own = str_trim(own);
	if (str_eq(own, STR("none")) || (own.n == 0 && s->content_rules.n == 0))
		return 0;
	buf_init(&text, CONTENT_TEXT_MAX * 2);
	buf_init(&why, VERDICT_DETAIL);
	if (own.n) {
		add_own(s, own, &text);
		if (content_policy_parse(buf_str(&text), a, &policy, &why) < 0) {
			*why_r = arena_copy(a, buf_str(&why));
			buf_reset(&text);
			own = STR("");
		}
	}
	if (own.n == 0)
		add_configured(s, &text);
	*rules_r = arena_copy(a, buf_str(&text));
	if (!rules_r->p || !why_r->p)
		r = verdict_set(v, V_NO_MEMORY, "arena is full");
	buf_release(&text);
	buf_release(&why);
	return r;
}
