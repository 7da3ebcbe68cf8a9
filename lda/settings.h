/*
 * The settings: what an administrator may choose, as typed fields.
 *
 * Every setting is one row of one table (settings.c): name, type, default,
 * bounds, scope, help, place in struct settings. The parser of vbox.conf,
 * `vbox-lmtpd -t`, vboxadm and the check of vbox.conf(5) read that row. A new
 * setting is a field here, a row there and an entry in the man page; the
 * tests complain when one of the three is missing.
 *
 * Units: sizes are bytes, durations are milliseconds. Strings and lists are
 * never NULL; "not set" is "" or an empty list. Everything belongs to the
 * struct config that it came from.
 */
#ifndef LDA_SETTINGS_H
#define LDA_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* The words of the enumerations, in the order of the row's `words`. */
enum setting_format { SET_FORMAT_MBOX, SET_FORMAT_MAILDIR };
enum setting_mbox { SET_MBOX_MBOXRD, SET_MBOX_MBOXO, SET_MBOX_MBOXCL2 };
enum setting_undo { SET_UNDO_AUTO, SET_UNDO_XATTR, SET_UNDO_FILE, SET_UNDO_OFF };
enum setting_lock { SET_LOCK_FCNTL, SET_LOCK_DOTLOCK, SET_LOCK_FLOCK };
enum setting_dotlock { SET_DOTLOCK_AUTO, SET_DOTLOCK_LIBLOCKFILE };
enum setting_scan_found {
	SET_SCAN_FOUND_REJECT, SET_SCAN_FOUND_QUARANTINE, SET_SCAN_FOUND_TAG
};
enum setting_scan_failure { SET_SCAN_FAILURE_DEFER, SET_SCAN_FAILURE_ACCEPT };
enum setting_engine { SET_ENGINE_NATIVE, SET_ENGINE_LIBSIEVE, SET_ENGINE_NONE };
enum setting_scan { SET_SCAN_SCORE, SET_SCAN_STRLEN, SET_SCAN_TEXT };
enum setting_failure {
	SET_FAILURE_KEEP, SET_FAILURE_QUARANTINE, SET_FAILURE_DEFER
};
enum setting_full { SET_FULL_REFUSE, SET_FULL_DEFER };
enum setting_log_format { SET_LOG_TEXT, SET_LOG_JSON };
enum setting_log_level {
	SET_LOG_ERROR, SET_LOG_WARNING, SET_LOG_INFO, SET_LOG_DEBUG
};
enum setting_facility {
	SET_FACILITY_MAIL, SET_FACILITY_DAEMON, SET_FACILITY_USER,
	SET_FACILITY_LOCAL0, SET_FACILITY_LOCAL1, SET_FACILITY_LOCAL2,
	SET_FACILITY_LOCAL3, SET_FACILITY_LOCAL4, SET_FACILITY_LOCAL5,
	SET_FACILITY_LOCAL6, SET_FACILITY_LOCAL7
};

/* NUL-terminated strings; v[n] is NULL. */
struct setting_list {
	size_t n;
	const char *const *v;
};

/* Words of a fixed list, each at most once, in the order they were given. */
#define SETTING_WORDS_MAX 8
struct setting_words {
	unsigned n;
	unsigned v[SETTING_WORDS_MAX];
};

/* Numbers, rising. */
#define SETTING_NUMBERS_MAX 16
struct setting_numbers {
	unsigned n;
	uint64_t v[SETTING_NUMBERS_MAX];
};

struct settings {
	/* identity and look-up */
	const char *user;
	const char *group;		/* "": the user's own */
	uint64_t min_uid;
	struct setting_list directory;
	const char *module_dir;
	uint64_t cache_ttl;
	uint64_t cache_negative_ttl;
	uint64_t cache_stale;

	/* mailboxes; paths are templates, see lda/template.h */
	enum setting_format format;
	const char *mbox_path;
	const char *home;
	const char *maildir_path;
	const char *folder_path;
	enum setting_mbox mbox_variant;
	enum setting_undo mbox_undo;
	struct setting_words locks;	/* enum setting_lock */
	uint64_t lock_timeout;
	uint64_t dotlock_stale;
	enum setting_dotlock dotlock_method;
	bool autocreate;
	unsigned dir_mode;
	unsigned file_mode;
	bool fsync;
	bool single_instance;
	uint64_t retry_journal;		/* 0: off */
	uint64_t delivery_log;		/* bytes; 0: off */
	uint64_t delivery_log_flush;

	/* receiving */
	const char *recipient_delimiter;
	uint64_t hop_limit;
	const char *hostname;		/* "": the machine's */
	const char *postmaster;
	enum exit_profile exit_profile;
	uint64_t message_size_limit;	/* 0: none */
	const char *spool_dir;
	uint64_t spool_memory;
	uint64_t min_free_space;	/* 0: not looked at */

	/* sieve */
	enum setting_engine sieve_engine;
	const char *sieve_script;
	const char *sieve_dir;
	const char *sieve_global;
	struct setting_list sieve_extensions;
	struct setting_list sieve_before;
	struct setting_list sieve_domain;
	struct setting_list sieve_after;
	const char *sieve_default;
	const char *sieve_log;
	uint64_t sieve_max_script_size;
	uint64_t sieve_max_actions;
	uint64_t sieve_max_redirects;
	uint64_t sieve_max_cpu_time;
	uint64_t sieve_vacation_min;
	uint64_t sieve_vacation_max;
	enum setting_scan sieve_spamtest_status_type;
	const char *sieve_spamtest_status_header;	/* "": not tested */
	const char *sieve_spamtest_max_value;
	const char *sieve_spamtest_max_header;
	struct setting_list sieve_spamtest_text_values;	/* "N=TEXT" */
	enum setting_scan sieve_virustest_status_type;
	const char *sieve_virustest_status_header;
	const char *sieve_virustest_max_value;
	const char *sieve_virustest_max_header;
	struct setting_list sieve_virustest_text_values;
	struct setting_list special_use;	/* "MAILBOX=\\Use \\Use" */
	struct setting_list sieve_lists;	/* "NAME=PATH" */
	uint64_t sieve_max_list_redirects;
	const char *metadata_file;
	const char *mbox_index;

	/* the filter process */
	bool sandbox;
	struct setting_list sandbox_paths;
	uint64_t filter_timeout;
	uint64_t filter_memory;
	struct setting_list scanners;
	uint64_t scan_timeout;
	uint64_t scan_size_limit;
	enum setting_scan_found scan_found;
	enum setting_scan_failure scan_failure;

	/* the content policy */
	struct setting_list content_rules;
	const char *content_quarantine;
	enum setting_failure content_failure;
	const char *magic_database;

	/* handing over to the MTA */
	const char *submit;
	uint64_t submit_timeout;
	const char *srs_domain;		/* "": no SRS */
	const char *srs_secret_file;

	/* quota; 0: none */
	uint64_t quota_bytes;
	uint64_t quota_messages;
	uint64_t domain_quota_bytes;
	uint64_t quota_grace;
	enum setting_full quota_full;
	struct setting_list quota_exempt;
	struct setting_list quota_folders;	/* quota_rule.h */
	struct setting_numbers quota_warnings;	/* percent */
	const char *quota_template;

	/* the service */
	struct setting_list lmtp_listen;
	struct setting_list map_listen;
	struct setting_list policy_listen;
	struct setting_list metrics_listen;
	unsigned socket_mode;
	const char *socket_user;
	const char *socket_group;
	const char *tls_cert;
	const char *tls_key;
	struct setting_list xclient_peers;
	uint64_t workers;		/* 0: by the number of processors */
	uint64_t map_workers;		/* likewise */
	uint64_t max_connections;
	uint64_t max_recipients;
	uint64_t mailbox_concurrency;	/* 0: no limit */
	uint64_t command_timeout;
	uint64_t data_timeout;
	uint64_t idle_timeout;

	/* telling */
	const char *log_target;
	enum setting_log_format log_format;
	enum setting_log_level log_level;
	enum setting_facility log_facility;
	const char *metrics_textfile;
	uint64_t metrics_interval;
	const char *state_dir;

	/* users of this machine (vbox-deliver --system-user) */
	const char *system_mailbox;
	enum setting_format system_format;
	const char *system_root;	/* "": nobody */
	uint64_t system_min_uid;
	bool shared_spool;	/* not of the file: the INBOX lies in a directory
				 * that is its group's (system_user.h) */
};

enum setting_type {
	SETTING_STRING,		/* least..most: bytes */
	SETTING_PATH,		/* absolute, or "" where least is 0 */
	SETTING_TEMPLATE,	/* a path with %d %n %u %h %% */
	SETTING_LIST,		/* strings */
	SETTING_TEMPLATES,	/* a list of templates */
	SETTING_SIZE,
	SETTING_DURATION,
	SETTING_INTEGER,
	SETTING_BOOLEAN,
	SETTING_ENUM,
	SETTING_WORDS,
	SETTING_NUMBERS,
	SETTING_MODE,		/* bits of least must be set, those not in most not */
};

/* Where a setting may stand; each includes those before it. */
enum setting_scope {
	SETTING_GLOBAL,		/* once, outside of the sections */
	SETTING_DOMAIN,		/* also in domain "..." { } */
	SETTING_USER,		/* also given by the directory, per user */
};

struct setting {
	const char *name;
	enum setting_type type;
	enum setting_scope scope;
	const char *preset;	/* the default, as one would write it; items of
				 * a list have a space between them, or a line
				 * break where an item has spaces */
	uint64_t least, most;
	const char *words;	/* "mbox|maildir" */
	/* A further look at a string or an item; fills `why` and returns -1. */
	int (*check)(const char *value, struct buf *why);
	const char *help;
	size_t offset;
};

extern const struct setting settings_table[];
extern const size_t settings_count;

/* The row, or NULL. */
const struct setting *settings_find(const char *name);
/* The known name nearest to a mistyped one, or NULL when none is near. */
const char *settings_nearest(const char *name);
/* "size", "path template", ... as the man page says it. */
const char *setting_type_name(enum setting_type type);
const char *setting_scope_name(enum setting_scope scope);
/* The allowed range in words ("1 to 1000", "mbox, maildir"); empty when
 * there is nothing to say. */
void setting_range(const struct setting *row, struct buf *out);
/* The value of a row as one would write it in the file. */
void setting_print(const struct setting *row, const struct settings *s,
    struct buf *out);

/* Every field at its default; memory comes from the arena. */
void settings_init(struct settings *s, struct arena *arena);
/*
 * One field from text: `count` items for a list, one otherwise. On failure
 * -1, `why` holds what is wrong and what would be right, and *s is as before.
 */
int setting_parse(const struct setting *row, const char *const *items,
    size_t count, struct settings *s, struct arena *arena, struct buf *why);

#endif
