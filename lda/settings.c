#include "lda/settings.h"

#include <limits.h>
#include <string.h>

#include "filters/content.h"
#include "lda/settings_check.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define TIB (1ULL << 40)
#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define NAME_MAX_BYTES 64
#define TEXT_MAX 255
#define PATH_LONGEST 1023
/* Items of a list; the before and after scripts of a site, its sockets. */
#define ITEMS_MAX 64
#define CAPABILITIES_MAX 128
#define SCANNERS_MAX 8

/*
 * The last uid is the "nobody changed" of setresuid(2); uid 0 is never
 * delivered as.
 */
#define UID_LAST 4294967294ULL

#define AT(field) offsetof(struct settings, field)

#define ROW(field_, type_, scope_, preset_, least_, most_, words_, check_, help_) \
	{ #field_, SETTING_ ## type_, SETTING_ ## scope_, preset_, least_, \
	    most_, words_, check_, help_, AT(field_) }

const struct setting settings_table[] = {
	/* identity and look-up */
	ROW(user, STRING, GLOBAL, "vmail", 1, NAME_MAX_BYTES, NULL,
	    settings_check_account,
	    "The account that owns all mail; root becomes it before the first byte is read."),
	ROW(group, STRING, GLOBAL, "", 0, NAME_MAX_BYTES, NULL,
	    settings_check_account,
	    "The group to become; empty: that of the user."),
	ROW(min_uid, INTEGER, GLOBAL, "100", 1, UID_LAST, NULL, NULL,
	    "A user with a smaller number is refused."),
	ROW(directory, LIST, GLOBAL, "sqlite:/var/lib/vbox/vbox.db", 1, 8, NULL,
	    settings_check_directory,
	    "Where domains and users are looked up, asked in this order."),
	ROW(module_dir, PATH, GLOBAL, VBOX_LIBDIR, 1, PATH_LONGEST, NULL, NULL,
	    "Where modules such as directory_pgsql.so lie."),
	ROW(cache_ttl, DURATION, GLOBAL, "1m", 0, DAY, NULL, NULL,
	    "How long a found user is believed without asking again."),
	ROW(cache_negative_ttl, DURATION, GLOBAL, "5s", 0, HOUR, NULL, NULL,
	    "How long an absent user is believed to be absent."),
	ROW(cache_stale, DURATION, GLOBAL, "1d", 0, 30 * DAY, NULL, NULL,
	    "How long a found user is still served while the directory is down."),

	/* mailboxes */
	ROW(format, ENUM, USER, "mbox", 0, 0, "mbox|maildir", NULL,
	    "How mail is kept."),
	ROW(mbox_path, TEMPLATE, DOMAIN, "/var/spool/vbox/%d/%n", 1,
	    PATH_LONGEST, NULL, NULL,
	    "The INBOX of a user whose format is mbox."),
	ROW(home, TEMPLATE, DOMAIN, "/home/vmail-users/%d/%n", 1, PATH_LONGEST,
	    NULL, NULL,
	    "The home of a user, %h in the other templates."),
	ROW(maildir_path, TEMPLATE, DOMAIN, "%h/Maildir", 1, PATH_LONGEST, NULL,
	    NULL,
	    "The Maildir of a user whose format is maildir."),
	ROW(folder_path, TEMPLATE, DOMAIN, "%h/mail", 1, PATH_LONGEST, NULL,
	    NULL,
	    "The directory of a user's mbox folders."),
	ROW(mbox_variant, ENUM, DOMAIN, "mboxrd", 0, 0,
	    "mboxrd|mboxo|mboxcl2", NULL,
	    "How lines that look like a message boundary are kept."),
	ROW(mbox_undo, ENUM, DOMAIN, "auto", 0, 0, "auto|xattr|file|off", NULL,
	    "Where the undo record of an append is kept."),
	ROW(locks, WORDS, DOMAIN, "fcntl dotlock", 0, 3,
	    "fcntl|dotlock|flock", NULL,
	    "The locks of an mbox, taken in this order."),
	ROW(lock_timeout, DURATION, DOMAIN, "30s", 0, 10 * MINUTE, NULL, NULL,
	    "How long one delivery waits for all locks together."),
	ROW(dotlock_stale, DURATION, DOMAIN, "5m", 10 * SECOND, DAY, NULL, NULL,
	    "The age at which a dotlock of another host is removed."),
	ROW(dotlock_method, ENUM, DOMAIN, "auto", 0, 0, "auto|liblockfile", NULL,
	    "How a dotlock is made."),
	ROW(autocreate, BOOLEAN, DOMAIN, "true", 0, 0, NULL, NULL,
	    "Whether missing mailboxes and directories of known users are made."),
	ROW(dir_mode, MODE, DOMAIN, "0700", 0700, 02775, NULL, NULL,
	    "The mode of directories that are made."),
	ROW(file_mode, MODE, DOMAIN, "0600", 0600, 0664, NULL, NULL,
	    "The mode of mailbox files that are made."),
	ROW(fsync, BOOLEAN, DOMAIN, "true", 0, 0, NULL, NULL,
	    "Whether file and directory are on disk before success is said."),
	ROW(single_instance, BOOLEAN, DOMAIN, "false", 0, 0, NULL, NULL,
	    "Whether Maildir copies with equal bytes of one message are one file with hard links."),
	ROW(retry_journal, DURATION, DOMAIN, "0", 0, 7 * DAY, NULL, NULL,
	    "How long a delivered message is remembered, so that a retry after a lost reply makes no second copy; 0: not at all."),
	ROW(delivery_log, SIZE, GLOBAL, "0", 0, 16 * GIB, NULL, NULL,
	    "The size of the delivery log of vbox-lmtpd, one sync of which makes all mail durable that came at the same time; 0: each mailbox is synced."),
	ROW(delivery_log_flush, DURATION, GLOBAL, "5s", 100, HOUR, NULL, NULL,
	    "How long mail is in the delivery log before its mailboxes are synced."),

	/* receiving */
	ROW(recipient_delimiter, STRING, DOMAIN, "+", 0, 8, NULL,
	    settings_check_delimiter,
	    "The signs that part a user from a detail."),
	ROW(hop_limit, INTEGER, DOMAIN, "100", 10, 1000, NULL, NULL,
	    "A message with more Received fields loops."),
	ROW(hostname, STRING, GLOBAL, "", 0, TEXT_MAX, NULL,
	    settings_check_hostname,
	    "Our name in Received fields, Maildir names and replies; empty: the machine's."),
	ROW(postmaster, STRING, DOMAIN, "postmaster", 1, TEXT_MAX, NULL,
	    settings_check_mailbox,
	    "Who sends notices, and whom their readers may ask."),
	ROW(exit_profile, ENUM, GLOBAL, "sysexits", 0, 0,
	    "sysexits|exim|qmail", NULL,
	    "Which exit codes vbox-deliver speaks."),
	ROW(message_size_limit, SIZE, DOMAIN, "0", 0, TIB, NULL, NULL,
	    "The largest message that is taken; 0: no limit of ours."),
	ROW(spool_dir, PATH, GLOBAL, "/var/tmp", 1, PATH_LONGEST, NULL, NULL,
	    "Where a message that does not fit into memory waits, in a file without a name."),
	ROW(spool_memory, SIZE, GLOBAL, "1M", 4 * KIB, 64 * MIB, NULL, NULL,
	    "The size up to which a message stays in memory."),
	ROW(min_free_space, SIZE, GLOBAL, "0", 0, TIB, NULL, NULL,
	    "Less free space on the mail's file system than this, and nothing is taken; 0: not looked at."),

	/* sieve */
	ROW(sieve_engine, ENUM, DOMAIN, "native", 0, 0,
	    "native|libsieve|none", NULL,
	    "Which engine runs the scripts."),
	ROW(sieve_script, TEMPLATE, DOMAIN, "%h/.dovecot.sieve", 1,
	    PATH_LONGEST, NULL, NULL,
	    "The active script of a user."),
	ROW(sieve_dir, TEMPLATE, DOMAIN, "%h/sieve", 1, PATH_LONGEST, NULL,
	    NULL,
	    "The personal scripts of a user, for include."),
	ROW(sieve_global, PATH, DOMAIN, "", 0, PATH_LONGEST, NULL, NULL,
	    "The directory of the site's scripts, for include :global; empty: none."),
	ROW(sieve_extensions, LIST, DOMAIN, "default", 1, CAPABILITIES_MAX, NULL,
	    settings_check_capability,
	    "The capabilities that scripts may require."),
	ROW(sieve_before, TEMPLATES, DOMAIN, "", 0, ITEMS_MAX, NULL, NULL,
	    "Scripts, or directories of scripts, that run first."),
	ROW(sieve_domain, TEMPLATES, DOMAIN, "", 0, ITEMS_MAX, NULL, NULL,
	    "Scripts, or directories of scripts, that run after sieve_before."),
	ROW(sieve_after, TEMPLATES, DOMAIN, "", 0, ITEMS_MAX, NULL, NULL,
	    "Scripts, or directories of scripts, that run after the user's."),
	ROW(sieve_default, PATH, DOMAIN, "", 0, PATH_LONGEST, NULL, NULL,
	    "The script of a user who has none; empty: none."),
	ROW(sieve_log, TEMPLATE, DOMAIN, "%h/.dovecot.sieve.log", 1,
	    PATH_LONGEST, NULL, NULL,
	    "Where a user reads what went wrong with the script."),
	ROW(sieve_max_script_size, SIZE, DOMAIN, "1M", KIB, 16 * MIB, NULL,
	    NULL,
	    "The largest script that is read."),
	ROW(sieve_max_actions, INTEGER, DOMAIN, "32", 1, 1000, NULL, NULL,
	    "The most actions of one delivery."),
	ROW(sieve_max_redirects, INTEGER, DOMAIN, "4", 0, 100, NULL, NULL,
	    "The most redirects of one delivery; 0: redirect is refused."),
	ROW(sieve_max_cpu_time, DURATION, DOMAIN, "1s", 10, MINUTE, NULL, NULL,
	    "The processor time that the scripts of one delivery may take."),
	ROW(sieve_vacation_min, DURATION, DOMAIN, "0", 0, 30 * DAY, NULL,
	    NULL,
	    "The shortest time between two vacation answers to one sender; 0: a day for :days, none for :seconds."),
	ROW(sieve_vacation_max, DURATION, DOMAIN, "30d", 7 * DAY, 365 * DAY,
	    NULL, NULL,
	    "The longest time that a vacation script may ask for."),
	ROW(sieve_spamtest_status_type, ENUM, DOMAIN, "score", 0, 0,
	    "score|strlen|text", NULL,
	    "What the scanner writes into sieve_spamtest_status_header."),
	ROW(sieve_spamtest_status_header, STRING, DOMAIN, "", 0, TEXT_MAX, NULL,
	    settings_check_scan_header,
	    "The header field that spamtest reads, perhaps with a regular expression; empty: nothing was tested."),
	ROW(sieve_spamtest_max_value, STRING, DOMAIN, "", 0, 16, NULL,
	    settings_check_decimal,
	    "The status that counts as certain."),
	ROW(sieve_spamtest_max_header, STRING, DOMAIN, "", 0, TEXT_MAX, NULL,
	    settings_check_scan_header,
	    "The header field that holds the status that counts as certain."),
	ROW(sieve_spamtest_text_values, LIST, DOMAIN, "", 0, 11, NULL,
	    settings_check_spamtest,
	    "The texts of the scanner and what spamtest makes of them."),
	ROW(sieve_virustest_status_type, ENUM, DOMAIN, "score", 0, 0,
	    "score|strlen|text", NULL,
	    "What the scanner writes into sieve_virustest_status_header."),
	ROW(sieve_virustest_status_header, STRING, DOMAIN, "", 0, TEXT_MAX, NULL,
	    settings_check_scan_header,
	    "The header field that virustest reads, perhaps with a regular expression; empty: nothing was tested."),
	ROW(sieve_virustest_max_value, STRING, DOMAIN, "", 0, 16, NULL,
	    settings_check_decimal,
	    "The status that counts as certain."),
	ROW(sieve_virustest_max_header, STRING, DOMAIN, "", 0, TEXT_MAX, NULL,
	    settings_check_scan_header,
	    "The header field that holds the status that counts as certain."),
	ROW(sieve_virustest_text_values, LIST, DOMAIN, "", 0, 6, NULL,
	    settings_check_virustest,
	    "The texts of the scanner and what virustest makes of them."),
	ROW(special_use, LIST, DOMAIN,
	    "Drafts=\\Drafts\nJunk=\\Junk\nTrash=\\Trash\nSent=\\Sent\n"
	    "Sent Messages=\\Sent", 0, ITEMS_MAX, NULL,
	    settings_check_special_use,
	    "Mailboxes and what they are used for, as Dovecot's special_use says it."),
	ROW(sieve_lists, LIST, DOMAIN,
	    "urn:ietf:params:sieve:addrbook:default=%h/addressbook", 0,
	    ITEMS_MAX, NULL, settings_check_external_list,
	    "The lists that scripts may name with :list, and their files."),
	ROW(sieve_max_list_redirects, INTEGER, DOMAIN, "50", 0, 1000, NULL, NULL,
	    "The most members of a list that redirect sends to; 0: redirect :list is refused."),
	ROW(metadata_file, TEMPLATE, DOMAIN, "%h/dovecot-attributes", 0,
	    PATH_LONGEST, NULL, NULL,
	    "Where Dovecot keeps the annotations of a user's mailboxes; empty: there are none."),
	ROW(mbox_index, TEMPLATE, DOMAIN, "%h/dovecot", 1, PATH_LONGEST, NULL,
	    NULL,
	    "The directory of Dovecot's indexes of a user's mbox folders."),

	/* the filter process */
	ROW(sandbox, BOOLEAN, GLOBAL, "true", 0, 0, NULL, NULL,
	    "Whether workers and filters confine themselves by Landlock and seccomp."),
	ROW(sandbox_paths, TEMPLATES, GLOBAL, "", 0, ITEMS_MAX, NULL, NULL,
	    "More directories in which confined workers may write, such as homes that the directory gives."),
	ROW(filter_timeout, DURATION, GLOBAL, "30s", SECOND, 10 * MINUTE, NULL,
	    NULL,
	    "How long filtering one message may take; then it goes to the INBOX."),
	ROW(filter_memory, SIZE, GLOBAL, "64M", 16 * MIB, 4 * GIB, NULL, NULL,
	    "The memory of the filter process."),

	/* the content policy */
	ROW(content_rules, LIST, USER, "", 0, CONTENT_RULES_MAX, NULL,
	    settings_check_content,
	    "What is done with attachments of which kind; empty: nothing, and none is looked at."),
	ROW(content_quarantine, STRING, DOMAIN, "Quarantine", 1, PATH_LONGEST,
	    NULL, settings_check_quarantine,
	    "Where the action quarantine puts a message: a folder of the user, or maildir: and a path template."),
	ROW(content_failure, ENUM, DOMAIN, "keep", 0, 0,
	    "keep|quarantine|defer", NULL,
	    "What becomes of a message whose attachments could not be looked at."),
	ROW(magic_database, PATH, GLOBAL, "/usr/share/misc/magic.mgc", 1,
	    PATH_LONGEST, NULL, NULL,
	    "The compiled database of libmagic."),

	/* the external content filter */
	ROW(scanners, LIST, DOMAIN, "", 0, SCANNERS_MAX, NULL,
	    settings_check_scanner,
	    "Who is asked about each message: a clamd, a command; empty: nobody."),
	ROW(scan_timeout, DURATION, DOMAIN, "30s", SECOND, 10 * MINUTE, NULL,
	    NULL,
	    "How long a scanner may take for one message."),
	ROW(scan_size_limit, SIZE, DOMAIN, "25M", 0, TIB, NULL, NULL,
	    "A larger message is not shown to the scanners; 0: all are."),
	ROW(scan_found, ENUM, DOMAIN, "reject", 0, 0, "reject|quarantine|tag",
	    NULL,
	    "What becomes of a message in which a scanner finds something."),
	ROW(scan_failure, ENUM, DOMAIN, "defer", 0, 0, "defer|accept", NULL,
	    "What becomes of a message when a scanner does not answer."),

	/* handing over to the MTA */
	ROW(submit, STRING, DOMAIN, "/usr/sbin/sendmail", 1, PATH_LONGEST, NULL,
	    settings_check_submit,
	    "What takes redirects, forwards and answers."),
	ROW(submit_timeout, DURATION, GLOBAL, "1m", SECOND, 10 * MINUTE, NULL,
	    NULL,
	    "How long handing over one message may take."),
	ROW(srs_domain, STRING, DOMAIN, "", 0, TEXT_MAX, NULL,
	    settings_check_hostname,
	    "The domain of rewritten senders (SRS); empty: senders are not rewritten."),
	ROW(srs_secret_file, PATH, GLOBAL, "", 0, PATH_LONGEST, NULL, NULL,
	    "The file with the secrets of SRS, one a line: the first signs, all verify."),

	/* quota */
	ROW(quota_bytes, SIZE, USER, "0", 0, 1024 * TIB, NULL, NULL,
	    "What the mail of one user may take; 0: no limit."),
	ROW(quota_messages, INTEGER, USER, "0", 0, 1000000000, NULL, NULL,
	    "The messages that one user may keep; 0: no limit."),
	ROW(domain_quota_bytes, SIZE, DOMAIN, "0", 0, 1024 * TIB, NULL, NULL,
	    "What the mail of a whole domain may take; 0: no limit."),
	ROW(quota_grace, SIZE, DOMAIN, "0", 0, GIB, NULL, NULL,
	    "How far the last message may pass the limit."),
	ROW(quota_full, ENUM, DOMAIN, "refuse", 0, 0, "refuse|defer", NULL,
	    "Whether mail for a full box is returned (552) or tried again (452)."),
	ROW(quota_exempt, LIST, DOMAIN, "", 0, ITEMS_MAX, NULL,
	    settings_check_folder,
	    "Folders that do not count."),
	ROW(quota_folders, LIST, DOMAIN, "", 0, ITEMS_MAX, NULL,
	    settings_check_quota_folder,
	    "Folders that do not count, or into which more may go."),
	ROW(quota_warnings, NUMBERS, DOMAIN, "80 95", 1, 100, NULL, NULL,
	    "The percentages at which a user is warned."),
	ROW(quota_template, PATH, DOMAIN, "", 0, PATH_LONGEST, NULL, NULL,
	    "The text of the warning; empty: a built-in one."),

	/* the service */
	ROW(lmtp_listen, LIST, GLOBAL, "unix:/run/vbox/lmtp.sock", 0, ITEMS_MAX,
	    NULL, settings_check_listen,
	    "Where LMTP is spoken."),
	ROW(map_listen, LIST, GLOBAL, "", 0, ITEMS_MAX, NULL,
	    settings_check_listen,
	    "Where sendmail and Postfix ask by socketmap."),
	ROW(policy_listen, LIST, GLOBAL, "", 0, ITEMS_MAX, NULL,
	    settings_check_listen,
	    "Where Postfix asks by its policy protocol."),
	ROW(metrics_listen, LIST, GLOBAL, "", 0, ITEMS_MAX, NULL,
	    settings_check_listen,
	    "Where the metrics are served by HTTP."),
	ROW(socket_mode, MODE, GLOBAL, "0660", 0600, 0777, NULL, NULL,
	    "The mode of unix sockets."),
	ROW(socket_user, STRING, GLOBAL, "", 0, NAME_MAX_BYTES, NULL,
	    settings_check_account,
	    "The owner of unix sockets; empty: as `user'."),
	ROW(socket_group, STRING, GLOBAL, "", 0, NAME_MAX_BYTES, NULL,
	    settings_check_account,
	    "The group of unix sockets; empty: as `group'."),
	ROW(tls_cert, PATH, GLOBAL, "", 0, PATH_LONGEST, NULL, NULL,
	    "The certificate chain for STARTTLS on TCP, in PEM; empty: no STARTTLS."),
	ROW(tls_key, PATH, GLOBAL, "", 0, PATH_LONGEST, NULL, NULL,
	    "The key of tls_cert, in PEM; empty: it is in the same file."),
	ROW(xclient_peers, LIST, GLOBAL, "", 0, ITEMS_MAX, NULL,
	    settings_check_network,
	    "TCP peers that may say XCLIENT and XFORWARD."),
	ROW(workers, INTEGER, GLOBAL, "0", 0, 1024, NULL, NULL,
	    "The processes that deliver; 0: by the number of processors."),
	ROW(map_workers, INTEGER, GLOBAL, "0", 0, 32, NULL, NULL,
	    "How many processes answer maps and policy questions, each those of many connections; 0: by the number of processors."),
	ROW(max_connections, INTEGER, GLOBAL, "1000", 1, 100000, NULL, NULL,
	    "The most connections at a time."),
	ROW(max_recipients, INTEGER, GLOBAL, "1000", 100, 100000, NULL, NULL,
	    "The most recipients of one message."),
	ROW(mailbox_concurrency, INTEGER, GLOBAL, "10", 0, 10000, NULL, NULL,
	    "The most deliveries that wait for one mailbox; 0: no limit."),
	ROW(command_timeout, DURATION, GLOBAL, "5m", SECOND, HOUR, NULL, NULL,
	    "How long a client may take for a command."),
	ROW(data_timeout, DURATION, GLOBAL, "10m", SECOND, 4 * HOUR, NULL, NULL,
	    "How long a client may be silent within a message."),
	ROW(idle_timeout, DURATION, GLOBAL, "5m", SECOND, 4 * HOUR, NULL, NULL,
	    "How long a client may be silent between two messages."),

	/* telling */
	ROW(log_target, STRING, GLOBAL, "syslog", 1, PATH_LONGEST, NULL,
	    settings_check_log_target,
	    "Where log lines go."),
	ROW(log_format, ENUM, GLOBAL, "text", 0, 0, "text|json", NULL,
	    "How a log line looks."),
	ROW(log_level, ENUM, GLOBAL, "info", 0, 0,
	    "error|warning|info|debug", NULL,
	    "Which log lines are written."),
	ROW(log_facility, ENUM, GLOBAL, "mail", 0, 0,
	    "mail|daemon|user|local0|local1|local2|local3|local4|local5|local6|local7",
	    NULL,
	    "The facility for syslog."),
	ROW(metrics_textfile, PATH, GLOBAL, "", 0, PATH_LONGEST, NULL, NULL,
	    "A file that the metrics are written to; empty: none."),
	ROW(metrics_interval, DURATION, GLOBAL, "15s", SECOND, HOUR, NULL, NULL,
	    "How often metrics_textfile is written."),
	ROW(state_dir, PATH, GLOBAL, "/var/lib/vbox", 1, PATH_LONGEST, NULL,
	    NULL,
	    "Where the state of accounts is kept."),

	/* users of this machine */
	ROW(system_mailbox, TEMPLATE, GLOBAL, "/var/mail/%n", 1, PATH_LONGEST,
	    NULL, NULL,
	    "The mailbox of a user of this machine (vbox-deliver --system-user)."),
	ROW(system_format, ENUM, GLOBAL, "mbox", 0, 0, "mbox|maildir", NULL,
	    "How mail of a user of this machine is kept."),
	ROW(system_root, STRING, GLOBAL, "", 0, NAME_MAX_BYTES, NULL,
	    settings_check_account,
	    "The user of this machine who gets mail for root; empty: it waits for an alias."),
	ROW(system_min_uid, INTEGER, GLOBAL, "1", 1, UID_LAST, NULL, NULL,
	    "Mail for a user of this machine with a smaller number goes where root's goes."),
};

const size_t settings_count =
    sizeof(settings_table) / sizeof(settings_table[0]);

const struct setting *
settings_find(const char *name)
{
	for (size_t i = 0; i < settings_count; i++)
		if (strcmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	return NULL;
}

static unsigned
least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Longer names are nobody's slip of the finger. */
#define NEAREST_NAME_MAX 40

/* Letters to change, add, leave out or swap to come from a to b (Damerau's
 * distance in its simple form); large when one is too long. */
static unsigned
distance(struct str a, struct str b)
{
	unsigned d[NEAREST_NAME_MAX + 1][NEAREST_NAME_MAX + 1];

	if (a.n > NEAREST_NAME_MAX || b.n > NEAREST_NAME_MAX)
		return UINT_MAX;
	for (unsigned i = 0; i <= a.n; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= b.n; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		for (size_t j = 1; j <= b.n; j++) {
			char x = ascii_lower(a.p[i - 1]);
			char y = ascii_lower(b.p[j - 1]);

			d[i][j] = least_of(least_of(d[i - 1][j] + 1,
			    d[i][j - 1] + 1), d[i - 1][j - 1] + (x != y));
			if (i > 1 && j > 1 &&
			    x == ascii_lower(b.p[j - 2]) &&
			    y == ascii_lower(a.p[i - 2]))
				d[i][j] = least_of(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[a.n][b.n];
}

const char *
settings_nearest(const char *name)
{
	struct str s = str_of(name);
	const char *best = NULL;
	/* A third of the letters wrong is another word. */
	unsigned limit = s.n < 4 ? 1 : least_of((unsigned)s.n / 3, 4);

	for (size_t i = 0; i < settings_count; i++) {
		unsigned d = distance(s, str_of(settings_table[i].name));

		if (d <= limit) {
			best = settings_table[i].name;
			if (d == 0)
				break;
			limit = d - 1;
		}
	}
	return best;
}

const char *
setting_type_name(enum setting_type type)
{
	static const char *const names[] = {
		[SETTING_STRING] = "string",
		[SETTING_PATH] = "path",
		[SETTING_TEMPLATE] = "path template",
		[SETTING_LIST] = "list",
		[SETTING_TEMPLATES] = "list of path templates",
		[SETTING_SIZE] = "size",
		[SETTING_DURATION] = "duration",
		[SETTING_INTEGER] = "integer",
		[SETTING_BOOLEAN] = "boolean",
		[SETTING_ENUM] = "word",
		[SETTING_WORDS] = "list of words",
		[SETTING_NUMBERS] = "list of integers",
		[SETTING_MODE] = "octal mode",
	};

	return names[type];
}

const char *
setting_scope_name(enum setting_scope scope)
{
	static const char *const names[] = {
		[SETTING_GLOBAL] = "global",
		[SETTING_DOMAIN] = "domain",
		[SETTING_USER] = "user",
	};

	return names[scope];
}
