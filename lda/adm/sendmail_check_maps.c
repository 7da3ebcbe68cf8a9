/* Maps, classes, the access table. */
#include "lda/adm/sendmail_check.h"

#include <string.h>

/* sendmail's own reason for not using a socket, in plain words. */
static void
explain_map(struct check *c, const struct cf_map *m, size_t question)
{
	const struct settings *s = &c->a->config.global;
	ptrdiff_t at = str_find(m->args, STR("unix:"));
	const char *path = "", *why = NULL, *remedy = NULL;

	if (at >= 0) {
		path = check_zero(c, str_trim(str_sub(m->args, (size_t)at + 5,
		    m->args.n)));
		why = check_socket(c, path, "map_listen", &s->map_listen, &remedy);
	}
	SAY(c, .grade = GRADE_WRONG,
	    .about = TEXT(c, "map %.*s does not answer", STR_ARG(m->name)),
	    .asked = bt_question(&c->bt, question),
	    .answer = bt_answer(&c->bt, question),
	    .means = TEXT(c, "%s; every recipient is put off (451) until it "
	    "does", why != NULL ? why : "vbox-lmtpd cannot ask its directory, "
	    "or the socket is another program's"),
	    .remedy = remedy != NULL ? remedy : "see the log of vbox-lmtpd; "
	    "vboxadm check");
	c->map_dead = true;
}

void
check_map(struct check *c, const struct cf_map *m, size_t question)
{
	struct str answer = bt_answer(&c->bt, question);

	/* 69 is EX_UNAVAILABLE: asked, and not there. 75 could not be asked. */
	if (str_find(answer, STR("no match (75)")) >= 0 ||
	    str_find(answer, STR(" unsafe: ")) >= 0) {
		if (!c->map_dead)
			explain_map(c, m, question);
		return;
	}
	SAY(c, .grade = GRADE_OK, .about = TEXT(c, "map %.*s answers",
	    STR_ARG(m->name)), .asked = bt_question(&c->bt, question),
	    .answer = answer);
}

/* Without the mark "could not ask" is taken for "not there". */
void
check_marks(struct check *c)
{
	struct str rest = c->cf, line;

	while (cf_next(&rest, 'K', &line)) {
		struct cf_map m = cf_map_of(line);

		if (!str_eq(m.kind, STR("socket")) ||
		    str_find(m.args, STR("-T<TMPF>")) >= 0)
			continue;
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "map %.*s has no "
		    "-T<TMPF>", STR_ARG(m.name)), .asked = line,
		    .means = "when it cannot be asked, sendmail takes that for "
		    "\"not there\" and refuses users who exist",
		    .remedy = TEXT(c, "socket -T<TMPF> %.*s in the .mc",
		    STR_ARG(m.args)));
	}
}

/* --- classes --------------------------------------------------------------------------- */

static const char *
remedy_of_class(struct check *c, const char *class, const char *what)
{
	struct str file = cf_class_file(c->cf, str_of(class));

	return file.n > 0 ? TEXT(c, "%s %.*s, then restart sendmail", what,
	    STR_ARG(file)) : TEXT(c, "%s class %s in the .mc, then restart "
	    "sendmail", what, class);
}

static void
check_class(struct check *c, const struct classes *q, struct str domain)
{
	struct str name = str_trim(bt_answer(&c->bt, q->j));

	if (str_caseeq(name, domain)) {
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s is this "
		    "machine's own name", STR_ARG(domain)), .asked = STR("$j"),
		    .answer = name, .means = "sendmail delivers mail for its "
		    "own name to accounts of this machine, never to hosted "
		    "users", .remedy = "give the machine another name, such as "
		    "mx.that-domain, or define(`confDOMAIN_NAME')");
	} else if (bt_lists(bt_answer(&c->bt, q->w), domain)) {
		SAY(c, .grade = GRADE_WARNING, .about = TEXT(c, "%.*s is in "
		    "class w", STR_ARG(domain)), .asked = STR("$=w"),
		    .answer = domain, .means = c->map_way || c->class_way ?
		    "FEATURE(`vbox') comes first, so its mail still goes "
		    "there; for all other rules the domain is this machine, "
		    "and fred there is the account fred here" :
		    "an address that is not in the virtusertable goes to the "
		    "account of that name on this machine: sam there reaches "
		    "the account sam here", .remedy = remedy_of_class(c, "w",
		    "take it out of"));
	}
	if (bt_lists(bt_answer(&c->bt, q->r), domain))
		SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s is in class "
		    "R", STR_ARG(domain)), .asked = STR("$=R"),
		    .answer = domain, .means = "hosts whose names are in it or "
		    "below it may relay to anywhere, and whoever has the "
		    "domain gives such names; sendmail 8.13 and 8.14 were seen "
		    "to pass over DNS lists for it, too",
		    .remedy = remedy_of_class(c, "R",
		    "FEATURE(`vbox') needs no class R: do not use "
		    "VIRTUSER_DOMAIN_FILE (contrib/sendmail/vbox-single.mc "
		    "shows how), and take it out of"));
	if (c->map_way)
		return;
	if (c->class_way && bt_lists(bt_answer(&c->bt, q->whole), domain))
		return;
	if (c->table_way && bt_lists(bt_answer(&c->bt, q->virthost), domain))
		return;
	SAY(c, .grade = GRADE_WRONG, .about = TEXT(c, "%.*s is not known to "
	    "sendmail", STR_ARG(domain)), .asked = c->class_way ?
	    STR("$={VboxDomain}") : STR("$={VirtHost}"),
	    .means = "it is in none of the classes of hosted domains, so mail "
	    "for it is refused as relaying, or sent on to its MX",
	    .remedy = c->class_way && c->table_way ? TEXT(c, "%s; or, user by "
	    "user, %s", remedy_of_class(c, "{VboxDomain}", "write it into"),
	    remedy_of_class(c, "{VirtHost}", "into")) : c->class_way ?
	    remedy_of_class(c, "{VboxDomain}", "write it into") :
	    remedy_of_class(c, "{VirtHost}", "write it into"));
}

static bool
already(const struct check *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(c->tried[i].domain, c->tried[n].domain))
			return true;
	return false;
}

/* The domains of the addresses that were given, or all. */
void
check_classes(struct check *c, const struct classes *q)
{
	size_t wrong = c->found.counts[GRADE_WRONG], n = 0;

	for (size_t i = 0; c->a->arg_count > 0 && i < c->tried_count; i++)
		if (!already(c, i)) {
			check_class(c, q, c->tried[i].domain);
			n++;
		}
	for (size_t i = 0; c->a->arg_count == 0 && i < c->domains.count;
	    i++, n++)
		check_class(c, q, c->domains.list[i].is.domain.name);
	if (wrong == c->found.counts[GRADE_WRONG] && n > 0)
		SAY(c, .grade = GRADE_OK, .about = TEXT(c, "%zu hosted "
		    "domain%s: in no class that would change where %s mail "
		    "goes", n, n == 1 ? "" : "s", n == 1 ? "its" : "their"),
		    .asked = STR("$=w, $=R"));
	if (!c->domains_known && c->a->arg_count == 0)
		SAY(c, .grade = GRADE_NOTE, .about = "the domains cannot be "
		    "listed", .means = "the configured directory can be asked "
		    "but not listed; give addresses, and their domains are "
		    "looked at", .remedy = "vboxadm check sendmail "
		    "USER@DOMAIN ...");
}

/* Are there DNS lists, and does an entry of the access table excuse hosts of
 * a hosted domain from them? */
void
check_dns_lists(struct check *c)
{
	struct str rest = c->cf, line;
	size_t lists = 0;

	while (cf_next(&rest, 'R', &line))
		if (str_find(line, STR("$(dnsbl ")) >= 0 ||
		    str_find(line, STR("$(ednsbl ")) >= 0)
			lists++;
	SAY(c, .grade = lists > 0 ? GRADE_OK : GRADE_NOTE,
	    .about = lists > 0 ? TEXT(c, "%zu DNS list%s asked about who sends",
	    lists, lists == 1 ? " is" : "s are") : "no DNS list is configured",
	    .asked = STR("FEATURE(`dnsbl'), FEATURE(`enhdnsbl')"));
}

void
check_access(struct check *c, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++) {
		struct str value = bt_value(bt_answer(&c->bt, i));

		if (!str_eq(value, STR("RELAY")) && !str_eq(value, STR("OK")))
			continue;
		SAY(c, .grade = GRADE_WARNING, .about = "the access table "
		    "excuses hosts of a hosted domain",
		    .asked = bt_question(&c->bt, i), .answer = value,
		    .means = "an entry without To: is about who sends: hosts "
		    "with names in the domain pass the DNS lists, and with "
		    "RELAY they may relay", .remedy = "write To:DOMAIN RELAY, "
		    "or nothing: FEATURE(`vbox') needs no entry");
	}
}
