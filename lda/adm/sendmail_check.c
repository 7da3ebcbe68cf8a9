/*
 * vboxadm check sendmail: the questions that an administrator would ask of a
 * sendmail in its test mode, and what the answers mean for virtual hosting.
 *
 * sendmail itself is asked, with its own .cf: what it says of a map, a class
 * or a rule set is what it will do. Nothing is changed, and no mail is sent.
 */
#include "lda/adm/sendmail_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/adm/nouns.h"
#include "store/base/file.h"
#include "store/base/mem.h"

/* --- the program and its configuration -------------------------------------------- */

static void
check_program(struct check *c)
{
	struct str said = c->bt.preamble;
	struct str version = str_trim(bt_line(said, "Version "));
	bool maps = str_find(said, STR("SOCKETMAP")) >= 0;

	SAY(c, .grade = maps ? GRADE_OK : GRADE_WARNING,
	    .about = TEXT(c, "%s: %.*s, %s socket maps", c->bt.sendmail,
	    STR_ARG(version), maps ? "with" : "without"),
	    .asked = STR("sendmail -d0.1 -bt"),
	    .means = maps ? NULL : "this sendmail was built without SOCKETMAP: "
	    "it cannot ask vbox-lmtpd at RCPT time",
	    .remedy = maps ? NULL : "build it with SOCKETMAP, or keep tables: "
	    "vboxadm export virtusertable, access, virtuserdomains");
}

/* What sendmail said while it read the .cf. */
static void
check_complaints(struct check *c)
{
	struct str rest = c->bt.preamble, line, shown = STR("");
	struct stat st;

	while (rest.n > 0 && str_split(&rest, '\n', &line)) {
		line = str_trim(line);
		if (str_starts(line, c->cf_path) &&
		    str_find(line, STR(": line ")) >= 0)
			SAY(c, .grade = GRADE_WRONG,
			    .about = "sendmail does not understand a line of "
			    "its configuration",
			    .answer = line,
			    .remedy = "correct the .mc, build the .cf anew");
		else if (str_find(line, STR("ritable directory")) >= 0 &&
		    !str_eq(line, shown)) {
			SAY(c, .grade = GRADE_WARNING,
			    .about = "a directory that others can write to",
			    .answer = line,
			    .means = "sendmail distrusts files below it, and "
			    "maps there fail when they are needed",
			    .remedy = "chmod go-w that directory");
			shown = line;
		}
	}
	line = cf_option(c->cf, STR("DontBlameSendmail"));
	if (line.n > 0 && !str_caseeq(line, STR("safe")))
		SAY(c, .grade = GRADE_NOTE,
		    .about = "DontBlameSendmail is set", .answer = line,
		    .means = "vbox-lda needs none of it: sockets and "
		    "directories as it makes them are what sendmail trusts");
	if (geteuid() != 0)
		SAY(c, .grade = GRADE_NOTE, .about = "not run as root",
		    .means = "sendmail may not read its maps then, and answers "
		    "differ from those of the daemon");
	if (stat(c->cf_path.p, &st) == 0 &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		SAY(c, .grade = GRADE_WRONG,
		    .about = TEXT(c, "%s can be written by others",
		    c->cf_path.p),
		    .remedy = TEXT(c, "chmod go-w %s", c->cf_path.p));
}

static int
read_cf(struct check *c, struct verdict *v)
{
	struct str line, path = STR("");
	struct str rest = c->bt.preamble;
	ptrdiff_t at;
	int fd, r = 0;

	/* "Conf file:	/etc/mail/sendmail.cf (selected)" */
	while (rest.n > 0 && str_split(&rest, '\n', &line)) {
		at = str_find(line, STR("Conf file:"));
		if (at < 0 || str_find(line, STR("(selected)")) < 0)
			continue;
		path = str_trim(str_sub(line, (size_t)at +
		    strlen("Conf file:"), line.n));
		at = str_rchr(path, '(');
		path = str_trim(str_sub(path, 0, (size_t)at));
	}
	if (path.n == 0)
		return verdict_set(v, V_CONFIG, "%s does not tell which .cf it "
		    "reads", c->bt.sendmail);
	c->cf_path = arena_copy(&c->a->arena, path);
	fd = open(c->cf_path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || file_read_whole(fd, &c->cf_text) < 0)
		r = verdict_errno(v, errno, "%s", c->cf_path.p);
	file_close(&fd);
	c->cf = buf_str(&c->cf_text);
	return r;
}

/* --- all of it ------------------------------------------------------------------------------ */

static int
ask_first(struct check *c, struct classes *q, size_t *mailers_r,
    struct verdict *v)
{
	*mailers_r = bt_ask(&c->bt, "=M");
	q->w = bt_ask(&c->bt, "$=w");
	q->r = bt_ask(&c->bt, "$=R");
	q->virthost = bt_ask(&c->bt, "$={VirtHost}");
	q->whole = bt_ask(&c->bt, "$={VboxDomain}");
	q->j = bt_ask(&c->bt, "$j");
	return bt_run(&c->bt, v);
}

static void
find_way(struct check *c)
{
	struct cf_map m;

	c->map_way = cf_map(c->cf, STR("vbox_recipient"), &m);
	c->class_way = cf_class_file(c->cf, STR("{VboxDomain}")).n > 0;
	c->table_way = cf_map(c->cf, STR("virtuser"), &m);
	SAY(c, .grade = c->map_way || c->class_way || c->table_way ?
	    GRADE_OK : GRADE_WRONG,
	    .about = TEXT(c, "%s: %s", c->cf_path.p, c->map_way ?
	    "asks vbox-lmtpd at RCPT time" : c->class_way ?
	    "whole domains, without asking at RCPT time" : c->table_way ?
	    "hosts by virtusertable" : "hosts nothing"),
	    .means = c->map_way || c->class_way || c->table_way ? NULL :
	    "there is neither FEATURE(`vbox') nor FEATURE(`virtusertable') in "
	    "it", .remedy = c->map_way || c->class_way || c->table_way ? NULL :
	    "FEATURE(`vbox', `vbox', `', `socket -T<TMPF> "
	    "unix:/run/vbox/map.sock') in the .mc; or name the right .cf with "
	    "--config");
}

static const char *const our_maps[] = { "vbox_domain", "vbox_recipient",
	"virtuser" };
#define OUR_MAPS (sizeof(our_maps) / sizeof(our_maps[0]))

/* The questions that depend on what the first ones said. */
static int
ask_second(struct check *c, struct verdict *v)
{
	struct str domain = check_first_domain(c);
	size_t map[OUR_MAPS], access_first, access_n = 0, relay,
	    within;
	struct cf_map m;

	for (size_t i = 0; i < OUR_MAPS; i++)
		map[i] = cf_map(c->cf, str_of(our_maps[i]), &m) ?
		    bt_ask(&c->bt, "/map %s %s%.*s", our_maps[i], i == 0 ? "" :
		    NOBODY "@", STR_ARG(domain)) : BT_QUESTIONS;
	access_first = c->bt.count;
	if (cf_map(c->cf, STR("access"), &m)) {
		(void)bt_ask(&c->bt, "/map access %.*s", STR_ARG(domain));
		(void)bt_ask(&c->bt, "/map access Connect:%.*s",
		    STR_ARG(domain));
		access_n = 2;
	}
	for (size_t i = 0; i < c->tried_count; i++)
		c->tried[i].parse = bt_ask(&c->bt, "3,0 %.*s",
		    STR_ARG(c->tried[i].address));
	/* As a stranger would be asked about. */
	(void)bt_ask(&c->bt, ".D{client_addr}" STRANGER_ADDR);
	(void)bt_ask(&c->bt, ".D{client_name}" STRANGER_NAME);
	(void)bt_ask(&c->bt, ".D{client_resolve}OK");
	/* With delay_checks check_rcpt judges the sender, too, and finds none
	 * in test mode. Nobody may doubt the null sender. */
	(void)bt_ask(&c->bt, ".D{mail_from}<>");
	for (size_t i = 0; i < c->tried_count; i++)
		c->tried[i].check = bt_ask(&c->bt, "check_rcpt <%.*s>",
		    STR_ARG(c->tried[i].address));
	relay = bt_ask(&c->bt, "check_rcpt <x@" ELSEWHERE ">");
	(void)bt_ask(&c->bt, ".D{client_name}www.%.*s", STR_ARG(domain));
	within = bt_ask(&c->bt, "check_rcpt <x@" ELSEWHERE ">");
	if (bt_run(&c->bt, v) < 0)
		return -1;
	for (size_t i = 0; i < OUR_MAPS; i++)
		if (map[i] != BT_QUESTIONS && cf_map(c->cf,
		    str_of(our_maps[i]), &m))
			check_map(c, &m, map[i]);
	check_marks(c);
	check_access(c, access_first, access_n);
	for (size_t i = 0; i < c->tried_count; i++)
		check_address(c, &c->tried[i]);
	check_open_relay(c, relay);
	check_relay_within(c, within);
	return 0;
}

static int
check_all(struct check *c, struct verdict *v)
{
	struct classes q;
	size_t mailers;

	if (check_choose_addresses(c, v) < 0 || ask_first(c, &q, &mailers, v) < 0 ||
	    read_cf(c, v) < 0)
		return -1;
	findings_begin(&c->found, c->a);
	check_program(c);
	find_way(c);
	check_complaints(c);
	check_mailers(c, bt_answer(&c->bt, mailers));
	check_classes(c, &q);
	if (ask_second(c, v) < 0) {
		/* What was found is worth reading, and JSON has an end. */
		findings_end(&c->found);
		return -1;
	}
	check_dns_lists(c);
	check_queues(c);
	check_age(c);
	check_whole_way(c);
	check_root(c);
	findings_end(&c->found);
	return 0;
}

int
adm_check_sendmail(struct adm *a, struct verdict *v)
{
	struct check *c = mem_zalloc(1, sizeof(*c));
	const char *sendmail = adm_option(a, "sendmail");
	const char *conf = adm_option(a, "config");
	struct verdict unlisted = VERDICT_INIT;
	struct directory *d = NULL;
	int r = -1;

	c->a = a;
	buf_init(&c->cf_text, CF_MAX);
	collection_init(&c->domains);
	bt_init(&c->bt, sendmail != NULL ? sendmail : SENDMAIL_PATH,
	    conf != NULL ? conf : adm_option(a, "C"), &a->arena);
	if (adm_directory(a, DIRECTORY_WANT_DELIVERY, &d, v) < 0)
		goto out;
	c->resolver = (struct resolver){ .directory = d,
	    .delimiters = a->config.global.recipient_delimiter };
	c->domains_known = collect_entries(a, ENTRY_DOMAIN, STR(""),
	    &c->domains, &unlisted) == 0;
	/* A directory that is down is no reason to ask nothing else. */
	r = check_all(c, v);
	if (r == 0)
		a->exit = c->found.counts[GRADE_WRONG] > 0 ? EX_DATAERR : EX_OK;
out:
	directory_close(&d);
	collection_release(&c->domains);
	bt_release(&c->bt);
	buf_release(&c->cf_text);
	free(c);
	return r;
}
