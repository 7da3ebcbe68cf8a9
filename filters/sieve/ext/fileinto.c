/* fileinto (RFC 5228 section 4.1); :create (RFC 5490), :specialuse (RFC 8579)
 * and :mailboxid (RFC 9042) come from their own files. */
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/ext/mailbox.h"

static int
check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING];
	const char *why;

	if (check_constant(c, a) && !plan_mailbox_ok(a->text, &why))
		return check_error_arg(c, a, "%s", why);
	return mailbox_check_place(c, n);
}

static int
command(struct run *r, const struct node *n)
{
	struct engine_action a = { .kind = ENGINE_FILEINTO };
	const char *why;

	if (run_string(r, n, SLOT_STRING, &a.mailbox))
		return -1;
	run_trace(r, n, "fileinto \"%s\"", run_show(a.mailbox));
	if (!plan_mailbox_ok(a.mailbox, &why))
		return run_error(r, n, "fileinto: %s", why);
	if (node_has(n, SLOT_COPY))
		a.flags |= ENGINE_F_COPY;
	if (node_has(n, SLOT_CREATE))
		a.flags |= ENGINE_F_CREATE;
	if (mailbox_place(r, n, &a.special_use, &a.mailbox_id))
		return -1;
	if (plan_flags(r, n, &a))
		return -1;
	return plan_add(r, n, &a);
}

static const struct sieve_spec specs[] = {
	{ .name = "fileinto", .kind = SPEC_ACTION, .classes = ON_FILEINTO,
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .check = check, .command = command },
};

const struct sieve_ext ext_fileinto = {
	.name = "fileinto",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
};
