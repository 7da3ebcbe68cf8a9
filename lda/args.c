#include "lda/args.h"

#include <string.h>
#include <unistd.h>

#include "lda/envelope.h"

const char args_usage[] =
"usage: vbox-deliver [-f SENDER] [-e DETAIL] [-o ORCPT] [-m FOLDER] [-c CONF]\n"
"                    [-n] [-j] [--] DOMAIN USER[@any]\n"
"       vbox-deliver [...] -a USER@DOMAIN\n"
"       vbox-deliver -t -Y -a DOMAIN -a USER[@hub]         as procmail\n"
"       vbox-deliver -d USER@DOMAIN [-f SENDER] [-a ORIG]  as dovecot-lda\n"
"                    [-r FINAL] [-m FOLDER] [-e]\n"
"       vbox-deliver --system-user [...] [--] USER         to an account of this\n"
"                                                          machine, as mail.local\n"
"       vbox-deliver -l [-c CONF]                          LMTP on stdin\n"
"The message is read from standard input. See vbox-deliver(8).\n";

#define SYSTEM_USER "--system-user"

enum form { FORM_OWN, FORM_PROCMAIL, FORM_DOVECOT, FORM_SYSTEM };

/*
 * Which program's command line is this? -d is dovecot-lda's, -t and -Y are
 * procmail's. Arguments of options are stepped over: a sender may look like
 * anything.
 */
static enum form
form_of(int argc, char **argv)
{
	static const char with_argument[] = "acfmopr";

	if (argc > 1 && strcmp(argv[1], SYSTEM_USER) == 0)
		return FORM_SYSTEM;
	for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "--") == 0)
			break;
		for (const char *p = argv[i] + 1; *p; p++) {
			if (*p == 'd')
				return FORM_DOVECOT;
			if (*p == 't' || *p == 'Y')
				return FORM_PROCMAIL;
			if (*p == 'e' && p[1])
				break;		/* -eDETAIL */
			if (strchr(with_argument, *p)) {
				if (!p[1])
					i++;
				break;
			}
		}
	}
	return FORM_OWN;
}

static int
split(const char *text, struct args *a, struct verdict *v)
{
	envelope_split(envelope_strip(str_of(text)), &a->local, &a->domain);
	if (!a->domain.n)
		return verdict_set(v, V_USAGE, "%s: USER@DOMAIN is wanted", text);
	return 0;
}

/* A user that came qualified with the hub's name counts as its local part
 * when the domain is given apart (STANDARDS: the paper's mailer). */
static void
set_user(struct args *a, const char *domain, const char *user)
{
	struct str ignored;

	a->domain = str_of(domain);
	envelope_split(envelope_strip(str_of(user)), &a->local, &ignored);
}

/* What our own forms share; false: another option. */
static bool
common(int c, struct args *a)
{
	switch (c) {
	case 'c':
		a->conf = optarg;
		return true;
	case 'e':
		a->detail = str_of(optarg);
		return true;
	case 'f':
		a->sender = optarg;
		return true;
	case 'j':
		a->json = true;
		return true;
	case 'm':
		a->folder = optarg;
		return true;
	case 'n':
		a->rehearsal = true;
		return true;
	case 'o':
		a->original = str_of(optarg);
		return true;
	default:
		return false;
	}
}

static int
unknown_option(struct verdict *v)
{
	return verdict_set(v, V_USAGE, "unknown or incomplete option -%c",
	    optopt);
}

static int
own(int argc, char **argv, struct args *a, struct verdict *v)
{
	const char *address = NULL;
	int c;

	while ((c = getopt(argc, argv, "+a:c:e:f:hjlm:no:V")) != -1) {
		if (common(c, a))
			continue;
		switch (c) {
		case 'a':
			address = optarg;
			break;
		case 'h':
			a->what = ARGS_HELP;
			return 0;
		case 'l':
			a->what = ARGS_LMTP;
			break;
		case 'V':
			a->what = ARGS_VERSION;
			return 0;
		default:
			return unknown_option(v);
		}
	}
	if (a->what == ARGS_LMTP)
		return optind == argc ? 0 : verdict_set(v, V_USAGE,
		    "-l takes no recipient");
	if (address)
		return optind == argc ? split(address, a, v) :
		    verdict_set(v, V_USAGE, "-a leaves no room for %s",
		    argv[optind]);
	if (argc - optind != 2)
		return verdict_set(v, V_USAGE,
		    "DOMAIN and USER are wanted, %d arguments given",
		    argc - optind);
	set_user(a, argv[optind], argv[optind + 1]);
	return 0;
}

static int
procmail(int argc, char **argv, struct args *a, struct verdict *v)
{
	const char *given[2] = { NULL, NULL };
	int n = 0, c;

	while ((c = getopt(argc, argv, "+a:c:f:m:noptY")) != -1)
		switch (c) {
		case 'a':
			if (n == 2)
				return verdict_set(v, V_USAGE,
				    "-a given three times");
			given[n++] = optarg;
			break;
		case 'c':
			a->conf = optarg;
			break;
		case 'f':
			/* "-f -" means: take the From_ line, renew its date */
			a->sender = strcmp(optarg, "-") == 0 ? NULL : optarg;
			break;
		case 'm':
			a->folder = optarg;
			break;
		case 'n':
			a->rehearsal = true;
			break;
		case 'o':	/* override a forged From_ line: always */
		case 'p':	/* preserve environment: never */
		case 't':	/* fail softly: always */
		case 'Y':	/* ignore Content-Length: always */
			break;
		default:
			return unknown_option(v);
		}
	if (n != 2 || optind != argc)
		return verdict_set(v, V_USAGE,
		    "-a DOMAIN -a USER are wanted in procmail's form");
	set_user(a, given[0], given[1]);
	return 0;
}

static int
dovecot(int argc, char **argv, struct args *a, struct verdict *v)
{
	const char *user = NULL;
	int c;

	while ((c = getopt(argc, argv, "+a:c:d:ef:jkm:nr:")) != -1)
		switch (c) {
		case 'a':
			a->original = envelope_strip(str_of(optarg));
			break;
		case 'c':
			a->conf = optarg;
			break;
		case 'd':
			user = optarg;
			break;
		case 'f':
			a->sender = optarg;
			break;
		case 'j':
			a->json = true;
			break;
		case 'm':
			a->folder = optarg;
			break;
		case 'n':
			a->rehearsal = true;
			break;
		case 'r':	/* final recipient: the mailbox's own address
				 * is what we say */
		case 'e':	/* refuse by exit code: always */
		case 'k':	/* keep the environment: never */
			break;
		default:
			return unknown_option(v);
		}
	if (!user || optind != argc)
		return verdict_set(v, V_USAGE,
		    "-d USER@DOMAIN is wanted in dovecot-lda's form");
	return split(user, a, v);
}

/* An MTA's local mailer: `vbox-deliver --system-user -f $g -- $u'. */
static int
system_user(int argc, char **argv, struct args *a, struct verdict *v)
{
	struct str ignored;
	int c;

	a->system_user = true;
	while ((c = getopt(argc, argv, "+c:e:f:jm:no:")) != -1)
		if (!common(c, a))
			return unknown_option(v);
	if (argc - optind != 1)
		return verdict_set(v, V_USAGE, "one USER is wanted behind "
		    SYSTEM_USER ", %d given", argc - optind);
	/* Some MTAs write our own name behind it. */
	envelope_split(envelope_strip(str_of(argv[optind])), &a->local,
	    &ignored);
	return 0;
}

int
args_parse(int argc, char **argv, struct args *a_r, struct verdict *v)
{
	struct args a = { .what = ARGS_DELIVER };
	int r = -1;

	opterr = 0;
	optind = 1;
	switch (form_of(argc, argv)) {
	case FORM_OWN:
		r = own(argc, argv, &a, v);
		break;
	case FORM_PROCMAIL:
		r = procmail(argc, argv, &a, v);
		break;
	case FORM_DOVECOT:
		r = dovecot(argc, argv, &a, v);
		break;
	case FORM_SYSTEM:
		r = system_user(argc - 1, argv + 1, &a, v);
		break;
	}
	if (r == 0)
		*a_r = a;
	return r;
}
