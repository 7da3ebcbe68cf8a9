/* fcc (RFC 8580); its mailbox may have :create, :flags, :specialuse and
 * :mailboxid, whose tags are those of fileinto. */
#include "filters/sieve/ext/fcc.h"

#include "filters/sieve/actions.h"
#include "filters/sieve/ext/flags.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/ext/mailbox.h"

int
fcc_check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_FCC];
	const char *why;

	if (a && check_constant(c, a) && !plan_mailbox_ok(a->text, &why))
		return check_error_arg(c, a, ":fcc: %s", why);
	if (!a && (check_has(n, SLOT_CREATE) || check_has(n, SLOT_FLAGS) ||
	    check_has(n, SLOT_SPECIALUSE) || check_has(n, SLOT_MAILBOXID)))
		return check_error(c, n, ":create, :flags, :specialuse and "
		    ":mailboxid of '%s' want :fcc", n->spec->name);
	return mailbox_check_place(c, n);
}

int
fcc_run(struct run *r, const struct node *n, struct engine_action *a)
{
	unsigned bits = 0;
	const char *why;

	if (!node_has(n, SLOT_FCC))
		return 0;
	if (run_string(r, n, SLOT_FCC, &a->fcc) ||
	    mailbox_place(r, n, &a->fcc_special_use, &a->fcc_mailbox_id))
		return -1;
	if (!plan_mailbox_ok(a->fcc, &why))
		return run_error(r, n, ":fcc: %s", why);
	a->flags |= ENGINE_F_FCC;
	if (node_has(n, SLOT_CREATE))
		a->flags |= ENGINE_F_FCC_CREATE;
	if (node_has(n, SLOT_FLAGS))
		return flags_of_action(r, n, SLOT_FLAGS, &bits, &a->fcc_flags);
	return 0;
}

static const struct sieve_tag tags[] = {
	{ .name = "fcc", .on = ON_VACATION | ON_NOTIFY, .slot = SLOT_FCC,
	    .value = VALUE_STRING },
};

const struct sieve_ext ext_fcc = {
	.name = "fcc",
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
