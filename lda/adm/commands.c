#include <string.h>

#include "lda/adm/nouns.h"
#include "lda/adm/password.h"

#define STATE_OPTIONS "reason= until="
#define DOMAIN_OPTIONS "alias-of= catch-all= format= host= quota= " \
	"user-quota= user-messages= state= " STATE_OPTIONS
#define USER_OPTIONS "home= format= host= quota= messages= forward= keep= " \
	"content= state= " STATE_OPTIONS " " PASSWORD_OPTIONS
#define MANY 1000

#define STATES(noun, what, run) \
	{ noun, "suspend", what, 1, 1, STATE_OPTIONS, run, \
	    "mail still arrives, only a notice can be read" }, \
	{ noun, "resume", what, 1, 1, "", run, "ends a suspension" }, \
	{ noun, "disable", what, 1, 1, STATE_OPTIONS, run, \
	    "refuses mail for good, 550 5.2.1" }, \
	{ noun, "enable", what, 1, 1, "", run, "undoes disable" }, \
	{ noun, "lock", what, 1, 1, STATE_OPTIONS, run, \
	    "refuses mail for the time being, 450 4.2.1" }, \
	{ noun, "unlock", what, 1, 1, "", run, "undoes lock" }

const struct adm_command adm_commands[] = {
	{ "domain", "add", "DOMAIN", 1, 1, DOMAIN_OPTIONS, adm_domain_add,
	    "makes a domain, or changes one" },
	{ "domain", "set", "DOMAIN", 1, 1, DOMAIN_OPTIONS, adm_domain_set,
	    "changes a domain" },
	{ "domain", "show", "DOMAIN", 1, 1, "", adm_domain_show,
	    "tells what is known of it" },
	{ "domain", "list", "", 0, 0, "long", adm_domain_list, "all domains" },
	{ "domain", "delete", "DOMAIN", 1, 1, "all purge", adm_domain_delete,
	    "forgets a domain; --all: its users and aliases too, --purge: "
	    "and their mail" },
	{ "domain", "rename", "DOMAIN NEW", 2, 2, "no-files",
	    adm_domain_rename, "gives it another name and moves its mail" },
	STATES("domain", "DOMAIN", adm_domain_state),

	{ "user", "add", "USER@DOMAIN", 1, 1, USER_OPTIONS, adm_user_add,
	    "makes a mailbox, or changes one" },
	{ "user", "set", "USER@DOMAIN", 1, 1, USER_OPTIONS, adm_user_set,
	    "changes a mailbox" },
	{ "user", "show", "USER@DOMAIN", 1, 1, "", adm_user_show,
	    "tells what is known of it" },
	{ "user", "list", "[DOMAIN]", 0, 1, "long", adm_user_list,
	    "all users, or a domain's" },
	{ "user", "delete", "USER@DOMAIN", 1, 1, "purge", adm_user_delete,
	    "forgets a user; --purge: removes the mail too" },
	{ "user", "rename", "USER@DOMAIN NEW@DOMAIN", 2, 2, "no-files",
	    adm_user_rename, "gives it another name and moves its mail" },
	{ "user", "password", "USER@DOMAIN", 1, 1,
	    "password-hash= no-password", adm_user_password,
	    "sets the password, read from standard input" },
	{ "user", "change-password", "", 0, 0, "", adm_user_change_password,
	    "sets a user's own password: reads address, present and new one" },
	{ "user", "convert", "USER@DOMAIN mbox|maildir", 2, 2, "",
	    adm_user_convert, "changes the format of the mailbox" },
	STATES("user", "USER@DOMAIN", adm_user_state),

	{ "alias", "add", "ADDRESS TARGET...", 2, MANY, "", adm_alias_add,
	    "makes an alias, or gives it other targets" },
	{ "alias", "set", "ADDRESS TARGET...", 2, MANY, "", adm_alias_set,
	    "gives an alias other targets" },
	{ "alias", "show", "ADDRESS", 1, 1, "", adm_alias_show,
	    "its targets" },
	{ "alias", "list", "[DOMAIN]", 0, 1, "long", adm_alias_list,
	    "all aliases, or a domain's" },
	{ "alias", "delete", "ADDRESS", 1, 1, "", adm_alias_delete,
	    "forgets an alias" },
	{ "alias", "rename", "ADDRESS NEW", 2, 2, "", adm_alias_rename,
	    "gives it another name" },

	{ "quota", "show", "[USER@DOMAIN | DOMAIN]", 0, 1, "", adm_quota_show,
	    "what is used, of how much" },
	{ "quota", "set", "USER@DOMAIN | DOMAIN", 1, 1,
	    "quota= messages= user-quota= user-messages=", adm_quota_set,
	    "how much there may be" },
	{ "quota", "recalc", "[USER@DOMAIN | DOMAIN]", 0, 1, "",
	    adm_quota_recalc, "counts from the disk" },
	{ "quota", "top", "[DOMAIN]", 0, 1, "count=", adm_quota_top,
	    "who uses most" },

	{ "resolve", NULL, "ADDRESS... | -", 1, MANY, "", adm_resolve,
	    "who gets mail for an address, and why" },
	{ "explain", NULL, "USER@DOMAIN", 1, 1, "f=", adm_explain,
	    "what would become of the letter on standard input, and why" },
	{ "check", "sendmail", "[USER@DOMAIN...]", 0, 100,
	    "sendmail= config= C=", adm_check_sendmail,
	    "asks a sendmail in its test mode and explains its answers" },
	{ "check", NULL, "", 0, 0, "", adm_check,
	    "looks for mistakes in the directory" },
	{ "stats", NULL, "", 0, 0, "", adm_stats,
	    "the counters of the running vbox-lmtpd" },
	{ "log", "list", "", 0, 0, "", adm_log_list,
	    "messages of the delivery log that were set aside" },
	{ "log", "restore", "[NAME...]", 0, MANY, "", adm_log_restore,
	    "puts them, or all, where they belong" },
	{ "import", NULL, "virtusertable|aliases|passwd|users-table FILE", 2,
	    2, "domain= dry-run keep-home min-uid=", adm_import,
	    "takes over what another system knows" },
	{ "export", NULL, "virtusertable|virtuserdomains|access|"
	    "local-host-names|genericstable", 1, 1, "output= makemap=",
	    adm_export, "writes tables for a site that keeps files" },
	{ "sieve", "check", "FILE...", 1, MANY, "", adm_sieve_check,
	    "compiles scripts and tells what is wrong with them" },
	{ "sieve", "list", "USER@DOMAIN", 1, 1, "", adm_sieve_list,
	    "the scripts of a user, and which is active" },
	{ "sieve", "put", "USER@DOMAIN NAME FILE", 3, 3, "", adm_sieve_put,
	    "stores a script that is sound" },
	{ "sieve", "activate", "USER@DOMAIN NAME", 2, 2, "",
	    adm_sieve_activate, "makes it the one that runs" },
	{ "sieve", "extensions", "", 0, 0, "", adm_sieve_extensions,
	    "the extensions that scripts may require" },
	{ "help", NULL, "[NOUN]", 0, 1, "", adm_help, "this" },
	{ "version", NULL, "", 0, 0, "", adm_version, "which vboxadm this is" },
};
const size_t adm_command_count = sizeof(adm_commands) /
    sizeof(adm_commands[0]);

static void
print_options(struct adm *a, const struct adm_command *c)
{
	struct str rest = str_of(c->options), word;

	if (rest.n == 0)
		return;
	(void)buf_addz(&a->out, "     ");
	while (str_split(&rest, ' ', &word)) {
		bool value = word.n > 0 && word.p[word.n - 1] == '=';

		if (word.n - value == 1)
			(void)buf_addf(&a->out, " -%c%s", word.p[0],
			    value ? " ..." : "");
		else
			(void)buf_addf(&a->out, " --%.*s%s",
			    (int)(word.n - value), word.p,
			    value ? "=..." : "");
	}
	(void)buf_addc(&a->out, '\n');
}

int
adm_help(struct adm *a, struct verdict *v)
{
	const char *noun = a->arg_count > 0 ? a->args[0] : NULL;
	size_t shown = 0;

	if (noun == NULL)
		(void)buf_addz(&a->out, "vboxadm [-c CONF] [--directory SPEC] "
		    "[--json] [-q] NOUN [VERB] ...\n");
	for (size_t i = 0; i < adm_command_count; i++) {
		const struct adm_command *c = &adm_commands[i];

		if (noun != NULL && strcmp(noun, c->noun) != 0)
			continue;
		shown++;
		(void)buf_addf(&a->out, "  %s%s%s %s\n      %s\n", c->noun,
		    c->verb != NULL ? " " : "", c->verb != NULL ? c->verb : "",
		    c->arguments, c->help);
		if (noun != NULL)
			print_options(a, c);
	}
	if (shown == 0)
		return verdict_set(v, V_USAGE, "no such noun: %s", noun);
	return 0;
}

int
adm_version(struct adm *a, struct verdict *v)
{
	(void)v;
	(void)buf_addz(&a->out, "vboxadm " VBOX_VERSION "\n");
	return 0;
}
