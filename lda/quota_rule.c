#include "lda/quota_rule.h"

#include "store/base/num.h"

int
quota_rule_parse(struct str text, struct quota_rule *r_r)
{
	/* A folder may have such a sign in its name. */
	ptrdiff_t at = str_rchr(text, '=');
	struct quota_rule r = { .ignore = false };
	struct str how;

	if (at <= 0)
		return -1;
	r.folder = str_sub(text, 0, (size_t)at);
	how = str_sub(text, (size_t)at + 1, text.n);
	r.ignore = str_eq(how, STR("ignore"));
	if (!r.ignore && !str_starts(how, STR("+")))
		return -1;
	how = str_sub(how, 1, how.n);
	if (!r.ignore && str_ends(how, STR("%"))) {
		if (num_u64(str_sub(how, 0, how.n - 1),
		    QUOTA_RULE_PERCENT_MAX, &r.percent) < 0)
			return -1;
	} else if (!r.ignore && num_size(how, &r.bytes) < 0) {
		return -1;
	}
	*r_r = r;
	return 0;
}
