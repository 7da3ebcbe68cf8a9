/* redirect, copy (RFC 3894), redirect-dsn and redirect-deliverby (RFC 6009);
 * redirect :list is in extlists.c. */
#include "filters/sieve/ext/redirect.h"

#include "filters/message/date.h"
#include "filters/sieve/actions.h"
#include "filters/sieve/ext/list.h"
#include "store/base/num.h"

static const struct sieve_tag copy_tags[] = {
	{ .name = "copy", .on = ON_FILEINTO | ON_REDIRECT, .slot = SLOT_COPY },
};

const struct sieve_ext ext_copy = {
	.name = "copy",
	.tags = copy_tags,
	.n_tags = COUNT_OF(copy_tags),
};

static const struct sieve_tag dsn_tags[] = {
	{ .name = "notify", .on = ON_REDIRECT, .slot = SLOT_DSN_NOTIFY,
	    .value = VALUE_STRING },
	{ .name = "ret", .on = ON_REDIRECT, .slot = SLOT_DSN_RET,
	    .value = VALUE_STRING },
};

const struct sieve_ext ext_redirect_dsn = {
	.name = "redirect-dsn",
	.tags = dsn_tags,
	.n_tags = COUNT_OF(dsn_tags),
};

static const struct sieve_tag deliverby_tags[] = {
	{ .name = "bytimerelative", .on = ON_REDIRECT, .slot = SLOT_BYTIME,
	    .value = VALUE_NUMBER },
	{ .name = "bytimeabsolute", .on = ON_REDIRECT,
	    .slot = SLOT_BYTIME_ABS, .value = VALUE_STRING },
	{ .name = "bymode", .on = ON_REDIRECT, .slot = SLOT_BYMODE,
	    .value = VALUE_STRING },
	{ .name = "bytrace", .on = ON_REDIRECT, .slot = SLOT_BYTRACE },
};

const struct sieve_ext ext_redirect_deliverby = {
	.name = "redirect-deliverby",
	.tags = deliverby_tags,
	.n_tags = COUNT_OF(deliverby_tags),
};

/* RFC 3461: NEVER alone, or a list of the others. */
static bool
notify_ok(struct str s)
{
	struct str rest = s, word;
	unsigned never = 0, n = 0;

	while (str_split(&rest, ',', &word)) {
		word = str_trim(word);
		n++;
		if (str_caseeq(word, STR("NEVER")))
			never++;
		else if (!str_caseeq(word, STR("SUCCESS")) &&
		    !str_caseeq(word, STR("FAILURE")) &&
		    !str_caseeq(word, STR("DELAY")))
			return false;
	}
	return n && (!never || n == 1);
}

static bool
ret_ok(struct str s)
{
	return str_caseeq(s, STR("FULL")) || str_caseeq(s, STR("HDRS"));
}

static bool
mode_ok(struct str s)
{
	return str_caseeq(s, STR("notify")) || str_caseeq(s, STR("return"));
}

int
redirect_check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING];
	struct address address;
	struct date date;
	const char *why;

	if (check_has(n, SLOT_LIST_TARGET)) {
		if (a->text.n == 0)
			return check_error_arg(c, a, "the name of a list is "
			    "empty");
	} else if (check_constant(c, a) && address_parse(&c->arena, a->text,
	    ADDRESS_NAMED, &address, &why)) {
		return check_error_arg(c, a, "redirect to \"%.*s\": %s",
		    CHECK_NAME(a->text), why);
	}
	a = n->value[SLOT_DSN_NOTIFY];
	if (a && check_constant(c, a) && !notify_ok(a->text))
		return check_error_arg(c, a, "\"%.*s\" is neither NEVER nor "
		    "of SUCCESS, FAILURE, DELAY", CHECK_NAME(a->text));
	a = n->value[SLOT_DSN_RET];
	if (a && check_constant(c, a) && !ret_ok(a->text))
		return check_error_arg(c, a, "\"%.*s\" is neither FULL nor "
		    "HDRS", CHECK_NAME(a->text));
	a = n->value[SLOT_BYMODE];
	if (a && check_constant(c, a) && !mode_ok(a->text))
		return check_error_arg(c, a, "\"%.*s\" is neither \"notify\" "
		    "nor \"return\"", CHECK_NAME(a->text));
	a = n->value[SLOT_BYTIME_ABS];
	if (a && check_has(n, SLOT_BYTIME))
		return check_error_arg(c, a, ":bytimeabsolute stands with "
		    ":bytimerelative");
	if (a && check_constant(c, a) && date_parse_iso(a->text, &date))
		return check_error_arg(c, a, "\"%.*s\" is no date-time of "
		    "RFC 3339", CHECK_NAME(a->text));
	if ((check_has(n, SLOT_BYMODE) || check_has(n, SLOT_BYTRACE)) &&
	    !check_has(n, SLOT_BYTIME) && !check_has(n, SLOT_BYTIME_ABS))
		return check_error(c, n, ":bymode and :bytrace want a "
		    "deliver-by time");
	return 0;
}

static int
deliver_by(struct run *r, const struct node *n, struct engine_action *a)
{
	struct str s;
	struct date date;

	if (node_has(n, SLOT_BYTIME)) {
		uint64_t seconds = run_number(r, n, SLOT_BYTIME);

		a->by_seconds = (int64_t)(seconds > INT32_MAX ? INT32_MAX :
		    seconds);
		a->flags |= ENGINE_F_BYTIME;
	} else if (node_has(n, SLOT_BYTIME_ABS)) {
		if (run_string(r, n, SLOT_BYTIME_ABS, &s))
			return -1;
		if (date_parse_iso(s, &date))
			return run_error(r, n, "\"%s\" is no date-time",
			    run_show(s));
		a->by_seconds = date_unix(&date) - r->job->now;
		a->flags |= ENGINE_F_BYTIME;
	}
	if (run_string_opt(r, n, SLOT_BYMODE, &s))
		return -1;
	if (s.p && !mode_ok(s))
		return run_error(r, n, "\"%s\" is no deliver-by mode",
		    run_show(s));
	/* RFC 6009 section 7: the default */
	if (a->flags & ENGINE_F_BYTIME &&
	    (!s.p || str_caseeq(s, STR("return"))))
		a->flags |= ENGINE_F_BYMODE_RETURN;
	if (node_has(n, SLOT_BYTRACE))
		a->flags |= ENGINE_F_BYTRACE;
	return 0;
}

int
redirect_command(struct run *r, const struct node *n)
{
	struct engine_action a = { .kind = ENGINE_REDIRECT };
	const struct engine_world *w = r->world;
	struct address address;
	const char *why;
	struct str s;

	if (run_string(r, n, SLOT_STRING, &s))
		return -1;
	run_trace(r, n, "redirect to \"%s\"", run_show(s));
	if (node_has(n, SLOT_COPY))
		a.flags |= ENGINE_F_COPY;
	if (node_has(n, SLOT_LIST_TARGET)) {
		a.flags |= ENGINE_F_LIST;
		a.address = s;
		if (!w->list_known ||
		    w->list_known(w->ctx, s) != ENGINE_YES)
			return run_error(r, n, "there is no list \"%s\"",
			    run_show(s));
	} else {
		if (address_parse(&r->arena, s, ADDRESS_NAMED, &address, &why))
			return run_error(r, n, "redirect to \"%s\": %s",
			    run_show(s), why);
		a.address = address.spec;
	}
	if (run_string_opt(r, n, SLOT_DSN_NOTIFY, &a.notify) ||
	    run_string_opt(r, n, SLOT_DSN_RET, &a.ret))
		return -1;
	if (a.notify.p && !notify_ok(a.notify))
		return run_error(r, n, "\"%s\" is no value for :notify",
		    run_show(a.notify));
	if (a.ret.p && !ret_ok(a.ret))
		return run_error(r, n, "\"%s\" is no value for :ret",
		    run_show(a.ret));
	if (deliver_by(r, n, &a))
		return -1;
	return plan_add(r, n, &a);
}
