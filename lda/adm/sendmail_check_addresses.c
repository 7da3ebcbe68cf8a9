/* Where mail for an address goes, and what a stranger is told. */
#include "lda/adm/sendmail_check.h"

#include <string.h>

#include "lda/adm/ask.h"

struct str
check_first_domain(const struct check *c)
{
	if (c->tried_count > 0)
		return c->tried[0].domain;
	return c->domains.count > 0 ? c->domains.list[0].is.domain.name :
	    STR(ELSEWHERE);
}

static void
wrong_mailer(struct check *c, const struct tried *t, struct str returned)
{
	struct str mailer = bt_mailer_of(returned);
	struct str code = bt_code_of(returned, &c->a->arena);
	const char *means, *remedy = "see what is wrong with its domain above";

	if (str_starts(code, STR("4."))) {
		if (c->map_dead)
			return;		/* said with its reason */
		means = "it cannot be looked up";
		remedy = "see the maps above, and the log of vbox-lmtpd";
	} else if (code.n > 0) {
		means = "sendmail refuses it";
		remedy = c->table_way ? "vboxadm export virtusertable "
		    "--output=FILE --makemap=hash" : remedy;
	} else if (str_eq(mailer, STR("local"))) {
		means = "it goes to an account of this machine, not to vbox-lda: "
		    "the domain counts as this machine";
	} else if (mailer.n == 0) {
		means = "rule set 0 did not choose a mailer";
	} else {
		means = TEXT(c, "mailer %.*s would send it on to another "
		    "machine: sendmail does not know that the domain is hosted "
		    "here", STR_ARG(mailer));
		remedy = "FEATURE(`vbox') in the .mc, and the .cf built anew";
	}
	SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s does not go to "
	    "vbox-lda", STR_ARG(t->address)),
	    .asked = bt_question(&c->bt, t->parse), .answer = returned,
	    .means = means, .remedy = remedy);
}

/* Which mailer? Only for who may have mail: of others nothing is wanted. */
static void
judge_route(struct check *c, const struct tried *t)
{
	struct str returned = bt_returns(bt_answer(&c->bt, t->parse),
	    STR("parse"));
	const struct bt_mailer *m = check_find_mailer(c, bt_mailer_of(returned));

	if (!check_is_ours(m))
		wrong_mailer(c, t, returned);
	else
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%.*s goes to mailer "
		    "%.*s", STR_ARG(t->address), STR_ARG(m->name)),
		    .asked = bt_question(&c->bt, t->parse),
		    .answer = returned);
}

/* Somebody who may have mail: does a stranger's get through to him? */
static void
judge_welcome(struct check *c, const struct tried *t, struct str returned,
    struct str code)
{
	bool full = str_eq(code, STR("5.2.2")) || str_eq(code, STR("4.2.2"));

	if (code.n == 0 && bt_mailer_of(returned).n == 0) {
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%.*s may have mail "
		    "from strangers", STR_ARG(t->address)),
		    .asked = bt_question(&c->bt, t->check),
		    .answer = returned);
		return;
	}
	if (str_starts(code, STR("4.3.")) && c->map_dead)
		return;
	SAY(c, .grade = full ? GRADE_NOTE : GRADE_WRONG,
	    .about = TEXT(c, full ? "%.*s: the mailbox is full" :
	    "%.*s is refused, and should not be", STR_ARG(t->address)),
	    .asked = bt_question(&c->bt, t->check), .answer = returned,
	    .means = full ? NULL : str_find(returned, STR("Relaying")) >= 0 ?
	    "for sendmail the domain is not hosted here, so a stranger's mail "
	    "for it is relaying" : "a check of sendmail refuses it: an entry "
	    "of the access table, a DNS list, a rule of the site",
	    .remedy = full ? NULL : "follow the rule set in test mode: "
	    "echo 'check_rcpt <ADDRESS>' | sendmail -bt");
}

/* Somebody who may not: is that said at RCPT, with the same code? Both the
 * look-up of the mailer and check_rcpt may say it. */
static void
judge_refusal(struct check *c, const struct tried *t, struct str returned,
    struct str code)
{
	const char *want = verdict_code(&t->want);
	size_t question = t->check;

	if (code.n == 0) {
		struct str parsed = bt_returns(bt_answer(&c->bt, t->parse),
		    STR("parse"));

		code = bt_code_of(parsed, &c->a->arena);
		if (code.n > 0) {
			question = t->parse;
			returned = parsed;
		}
		/* sendmail's word for it (virtusertable, error:nouser). */
		if (str_eq(code, STR("nouser")))
			code = STR("5.1.1");
	}
	if (str_starts(code, STR("4.3.")) && c->map_dead)
		return;
	if (str_eq(code, str_of(want))) {
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%.*s is refused at "
		    "RCPT, %s", STR_ARG(t->address), want),
		    .asked = bt_question(&c->bt, question),
		    .answer = returned);
		return;
	}
	SAY(c, .grade = c->map_way ? GRADE_WRONG : GRADE_WARNING,
	    .about = TEXT(c, "%.*s: the agent says %s, sendmail at RCPT %s",
	    STR_ARG(t->address), want, code.n > 0 ? check_zero(c, code) : "takes it"),
	    .asked = bt_question(&c->bt, question), .answer = returned,
	    .means = code.n > 0 ? "a table or a map is older than the "
	    "directory" : "sendmail accepts the message, and then has to send "
	    "a bounce, often to a forged address",
	    .remedy = c->map_way ? "wait for cache_ttl and ask again; if it "
	    "stays, vbox-lmtpd runs with another configuration" :
	    "let sendmail ask vbox-lmtpd at RCPT: FEATURE(`vbox') with a map "
	    "(contrib/sendmail/vbox-maps.mc); or write the tables: vboxadm "
	    "export virtusertable --output=FILE --makemap=hash");
}

void
check_address(struct check *c, const struct tried *t)
{
	struct str returned = bt_returns(bt_answer(&c->bt, t->check),
	    STR("check_rcpt"));
	struct str code = bt_code_of(returned, &c->a->arena);

	if (t->want.why == V_DIRECTORY_DOWN || t->want.why == V_TROUBLE ||
	    t->want.why == V_CONFIG) {
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s cannot be "
		    "looked up", STR_ARG(t->address)),
		    .means = check_zero(c, str_of(t->want.detail)),
		    .remedy = "vboxadm check; vbox-lmtpd -t");
		return;
	}
	if (t->want.why == V_OK) {
		judge_route(c, t);
		judge_welcome(c, t, returned, code);
	} else {
		judge_refusal(c, t, returned, code);
	}
}

static void
try_address(struct check *c, struct str local, struct str domain)
{
	struct tried *t = &c->tried[c->tried_count];
	struct resolution res;
	struct arena arena;

	if (c->tried_count == ADDRESSES_MAX)
		return;
	c->tried_count++;
	arena_init(&arena, RESOLVE_ARENA);
	/* What it says stands in res. */
	(void)resolve_recipient(&c->resolver, local, domain, STR(""), &arena,
	    &res);
	*t = (struct tried){ .want = res.verdict,
	    .local = arena_copy(&c->a->arena, local),
	    .domain = arena_copy(&c->a->arena, domain),
	    .address = adm_join(c->a, local, domain) };
	arena_release(&arena);
}

/* One of each kind of the directory's entries, and nobody. */
static void
choose_samples(struct check *c)
{
	bool had[V_WHY_COUNT] = { false };
	size_t n = c->domains.count < SEARCHED_MAX ? c->domains.count :
	    SEARCHED_MAX;

	for (size_t i = 0; i < n && c->tried_count < SAMPLES_MAX; i++) {
		struct str name = c->domains.list[i].is.domain.name;
		struct verdict v = VERDICT_INIT;
		struct collection users;

		collection_init(&users);
		if (collect_entries(c->a, ENTRY_USER, name, &users, &v) == 0)
			for (size_t k = 0; k < users.count; k++) {
				const struct account *u = &users.list[k].is.user;
				size_t at = c->tried_count;

				if (at >= SAMPLES_MAX)
					break;
				try_address(c, u->local, u->domain);
				/* Of each domain one who may have mail, of
				 * each reason one who may not. */
				if (c->tried[at].want.why == V_OK ?
				    at > 0 && c->tried[at - 1].want.why == V_OK &&
				    str_eq(c->tried[at - 1].domain, name) :
				    had[c->tried[at].want.why])
					c->tried_count--;
				else
					had[c->tried[at].want.why] = true;
			}
		collection_release(&users);
	}
	if (n > 0)
		try_address(c, STR(NOBODY), c->domains.list[0].is.domain.name);
}

int
check_choose_addresses(struct check *c, struct verdict *v)
{
	struct str local, domain;

	for (size_t i = 0; i < c->a->arg_count; i++) {
		if (adm_address(c->a, c->a->args[i], &local, &domain, v) < 0)
			return -1;
		try_address(c, local, domain);
	}
	if (c->a->arg_count == 0)
		choose_samples(c);
	return 0;
}

/* --- whole ways and relaying --------------------------------------------------- */

/* The line of `sendmail -bv ADDRESS' that names the mailer: after aliases. */
static struct str
verify(struct check *c, const char *address)
{
	const char *argv[] = { c->bt.sendmail, "-C", c->bt.conf, "-bv", "--",
	    address, NULL };
	const char *without[] = { c->bt.sendmail, "-bv", "--", address, NULL };
	struct verdict ignored = VERDICT_INIT;
	struct str line = STR("");
	struct buf said;
	int status;

	buf_init(&said, CF_MAX);
	if (ask_program(c->bt.conf != NULL ? argv : without, STR(""),
	    BT_TIMEOUT_MS, &said, &status, &ignored) == 0)
		line = arena_copy(&c->a->arena, str_trim(bt_line(
		    buf_str(&said), "mailer ")));
	buf_release(&said);
	return line;
}

/* Nobody wants to read mail as root, and this machine writes to root. */
void
check_root(struct check *c)
{
	static const char asked[] = "sendmail -bv root";
	struct str line = verify(c, "root");

	if (str_find(line, STR("mailer local")) >= 0 &&
	    str_find(line, STR("user root")) >= 0)
		SAY(c, .grade = GRADE_WARNING, .about = "root has no alias",
		    .asked = str_of(asked), .answer = line,
		    .means = "mail for root is delivered to root's own "
		    "mailbox, or waits where the agent does not deliver as "
		    "root", .remedy = "root: USER@DOMAIN in "
		    "/etc/mail/aliases, newaliases");
	else if (str_find(line, STR("mailer *error*")) < 0 && line.n > 0)
		SAY(c, .grade = GRADE_OK, .about = "mail for root has "
		    "somewhere to go", .asked = str_of(asked), .answer = line);
	else if (!c->map_dead)
		SAY(c, .grade = GRADE_WARNING, .about = "mail for root is "
		    "refused", .asked = str_of(asked), .answer = line,
		    .remedy = "correct the alias of root in "
		    "/etc/mail/aliases, newaliases");
}

/* The whole way of one address, aliases included. */
void
check_whole_way(struct check *c)
{
	const struct tried *t = NULL;
	struct str line, rest, name = STR("");
	ptrdiff_t at;

	for (size_t i = 0; i < c->tried_count && t == NULL; i++)
		if (c->tried[i].want.why == V_OK)
			t = &c->tried[i];
	if (t == NULL || c->map_dead)
		return;
	line = verify(c, check_zero(c, t->address));
	at = str_find(line, STR("mailer "));
	rest = str_sub(line, at < 0 ? line.n : (size_t)at + strlen("mailer "),
	    line.n);
	(void)str_split(&rest, ',', &name); /* none: no mailer */
	SAY(c, .grade = check_is_ours(check_find_mailer(c, name)) ? GRADE_OK :
	    GRADE_WRONG, .about = TEXT(c, "the whole way of %.*s",
	    STR_ARG(t->address)), .asked = str_of(TEXT(c, "sendmail -bv %.*s",
	    STR_ARG(t->address))), .answer = line,
	    .means = check_is_ours(check_find_mailer(c, name)) ? NULL :
	    "it does not end with vbox-lda");
}

/* A domain that is nobody's must not be taken for strangers. */
void
check_open_relay(struct check *c, size_t question)
{
	struct str returned = bt_returns(bt_answer(&c->bt, question),
	    STR("check_rcpt"));
	struct str code = bt_code_of(returned, &c->a->arena);

	if (code.n > 0 && (!str_starts(code, STR("4.3.")) || !c->map_dead))
		SAY(c, .grade = GRADE_OK, .about = "strangers may not relay",
		    .asked = bt_question(&c->bt, question),
		    .answer = returned);
	else if (code.n == 0)
		SAY(c, .grade = GRADE_WRONG, .about = "strangers may relay",
		    .asked = bt_question(&c->bt, question), .answer = returned,
		    .means = "mail from anywhere to anywhere is taken: spammers "
		    "find that within hours", .remedy = "look for "
		    "FEATURE(`promiscuous_relay') and entries of the access "
		    "table with RELAY");
}

/* Names below a hosted domain are given by whoever has it. */
void
check_relay_within(struct check *c, size_t question)
{
	struct str returned = bt_returns(bt_answer(&c->bt, question),
	    STR("check_rcpt"));

	if (!str_eq(returned, STR("RELAY")) ||
	    bt_code_of(returned, &c->a->arena).n > 0)
		return;
	SAY(c, .grade = GRADE_WRONG, .about = "hosts with names in a hosted "
	    "domain may relay", .asked = str_of(TEXT(c, "%.*s, then %.*s",
	    STR_ARG(bt_question(&c->bt, question - 1)),
	    STR_ARG(bt_question(&c->bt, question)))), .answer = returned,
	    .means = "whoever has the domain gives such names, to any machine",
	    .remedy = "take the domain out of class R and of entries of the "
	    "access table without To:");
}
