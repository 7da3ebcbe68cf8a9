#include "lda/config_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/privileges.h"
#include "lda/scan.h"
#include "lda/script_check.h"
#include "lda/scripts.h"
#include "lda/template.h"
#include "store/base/arena.h"
#include "store/directory/directory.h"
#include "store/redo.h"

#define PATH_LONGEST 4096
#define LOOKUP_ARENA (256 * 1024)
/* RFC 2606: nobody's domain, so any directory can say that it is absent. */
#define NOBODY "vbox-check.invalid"

struct check {
	const struct config *config;
	const size_t *lines;	/* of the part being looked at */
	struct buf *problems;
	int count;
};

/* The line of a setting; where it is a default, the file alone. */
#define LINE(check_, field_) line_of(check_, #field_)

static size_t
line_of(const struct check *k, const char *name)
{
	const struct setting *row = settings_find(name);

	return k->lines && row ? k->lines[row - settings_table] : 0;
}

static void
problem(struct check *k, const char *name, const char *subject,
    const char *what)
{
	size_t line = line_of(k, name);

	k->count++;
	(void)buf_addf(k->problems, "%s", k->config->path ? k->config->path :
	    CONFIG_PATH);
	if (line)
		(void)buf_addf(k->problems, ":%zu", line);
	(void)buf_addf(k->problems, ": %s: %s%s%s\n", name, subject,
	    subject[0] ? ": " : "", what);
}

enum kind { A_FILE, A_DIRECTORY, EITHER };

/* Is it there, of the right kind, and may we do this (access(2)) with it? */
static void
look(struct check *k, const char *name, const char *path, enum kind kind,
    int may)
{
	struct stat st;

	if (!path[0])
		return;
	if (stat(path, &st) < 0)
		problem(k, name, path, strerror(errno));
	else if (kind == A_DIRECTORY && !S_ISDIR(st.st_mode))
		problem(k, name, path, "is not a directory");
	else if (kind == A_FILE && !S_ISREG(st.st_mode))
		problem(k, name, path, "is not a file");
	else if (faccessat(AT_FDCWD, path, may, AT_EACCESS) < 0)
		problem(k, name, path, may & W_OK ?
		    "the configured user cannot write there" :
		    may & X_OK && kind == A_DIRECTORY ?
		    "the configured user cannot enter it" : may & X_OK ?
		    "the configured user cannot execute it" :
		    "the configured user cannot read it");
}

/* The directory that a path would be made in. */
static void
look_above(struct check *k, const char *name, const char *path)
{
	char dir[PATH_LONGEST];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (!slash || n >= sizeof(dir))
		return;
	memcpy(dir, path, n);
	dir[n] = '\0';
	look(k, name, n ? dir : "/", A_DIRECTORY, W_OK | X_OK);
}

/* Directories of unix sockets that the file names. Root may make sockets where
 * the configured user may not, so these only have to be there. */
static void
look_sockets(struct check *k, const char *name,
    const struct setting_list *list)
{
	char dir[PATH_LONGEST];

	if (line_of(k, name) == 0)
		return;
	for (size_t i = 0; i < list->n; i++) {
		const char *path = strncmp(list->v[i], "unix:", 5) == 0 ?
		    list->v[i] + 5 : "";
		const char *slash = strrchr(path, '/');
		size_t n = slash ? (size_t)(slash - path) : 0;

		if (n == 0 || n >= sizeof(dir))
			continue;
		memcpy(dir, path, n);
		dir[n] = '\0';
		look(k, name, dir, A_DIRECTORY, F_OK);
	}
}

/* The administrator's part of a template. */
static void
look_root(struct check *k, const struct settings *s, const char *name,
    const char *template)
{
	struct template_names names = { .domain = STR("d"), .user = STR("n"),
	    .home = s->home };
	struct buf path;
	size_t root;

	buf_init(&path, PATH_LONGEST);
	if (template_expand(template, &names, &path, &root) < 0) {
		problem(k, name, template, "makes no path");
	} else {
		buf_cut(&path, root);
		look(k, name, path.p, A_DIRECTORY, X_OK);
	}
	buf_release(&path);
}

/* What script_check() finds is a problem of this setting. */
struct complaint {
	struct check *check;
	const char *name;
};

static void
complain(void *arg, const char *text)
{
	struct complaint *c = arg;

	problem(c->check, c->name, "", text);
}

static void
look_script(struct check *k, const struct settings *s, const char *name,
    const char *path, enum kind kind)
{
	look(k, name, path, kind, R_OK);
	if (path[0])
		script_check(s, path, complain, &(struct complaint){ k, name });
}

static void
look_scripts(struct check *k, const struct settings *s, const char *name,
    const struct setting_list *list)
{
	/* What has a name in it differs from user to user. */
	for (size_t i = 0; i < list->n; i++)
		if (!strchr(list->v[i], '%'))
			look_script(k, s, name, list->v[i], EITHER);
}

/* A clamd may start later than we do: only what must be there is looked for. */
static void
look_scanners(struct check *k, const struct setting_list *list)
{
	char path[PATH_LONGEST];

	for (size_t i = 0; i < list->n; i++) {
		size_t n = strcspn(list->v[i], " ");

		if (!scan_is_command(list->v[i]) || n >= sizeof(path))
			continue;
		memcpy(path, list->v[i], n);
		path[n] = '\0';
		look(k, "scanners", path, A_FILE, X_OK);
	}
}

static void
look_engine(struct check *k, const struct engine *engine)
{
	const char *why;

	if (engine->load && engine->load(&why) < 0)
		problem(k, "sieve_engine", engine->name, why);
}

/* What may differ from domain to domain. Where a section says nothing the
 * global settings have been looked at. */
enum part { GLOBAL_PART, SECTION_PART };

static void
check_part(struct check *k, const struct settings *s, enum part part)
{
#define WANTED(field_) (part == GLOBAL_PART || \
	LINE(k, field_) != (k->config->lines ? \
	k->config->lines[settings_find(#field_) - settings_table] : 0))
	bool mbox = s->format == SET_FORMAT_MBOX, again;

	if (mbox && (WANTED(mbox_path) || WANTED(format)))
		look_root(k, s, "mbox_path", s->mbox_path);
	if (!mbox && (WANTED(maildir_path) || WANTED(format) || WANTED(home)))
		look_root(k, s, "maildir_path", s->maildir_path);
	if (s->submit[0] == '/' && WANTED(submit))
		look(k, "submit", s->submit, A_FILE, X_OK);
	if (WANTED(scanners))
		look_scanners(k, &s->scanners);
	if (s->content_rules.n && WANTED(content_rules))
		look(k, "magic_database", k->config->global.magic_database,
		    A_FILE, R_OK);
	if (strncmp(s->content_quarantine, "maildir:", 8) == 0 &&
	    WANTED(content_quarantine))
		look_root(k, s, "content_quarantine", s->content_quarantine + 8);
	if (WANTED(quota_template))
		look(k, "quota_template", s->quota_template, A_FILE, R_OK);
	if (s->sieve_engine == SET_ENGINE_NONE)
		return;
	/* The global scripts again, when another engine is to run them. */
	again = WANTED(sieve_engine) || WANTED(sieve_extensions);
	if (WANTED(sieve_engine))
		look_engine(k, scripts_engine(s));
	if (WANTED(sieve_global))
		look(k, "sieve_global", s->sieve_global, A_DIRECTORY, X_OK);
	if (again || WANTED(sieve_default))
		look_script(k, s, "sieve_default", s->sieve_default, A_FILE);
	if (again || WANTED(sieve_before))
		look_scripts(k, s, "sieve_before", &s->sieve_before);
	if (again || WANTED(sieve_domain))
		look_scripts(k, s, "sieve_domain", &s->sieve_domain);
	if (again || WANTED(sieve_after))
		look_scripts(k, s, "sieve_after", &s->sieve_after);
#undef WANTED
}

static void
check_directory(struct check *k, const struct settings *s)
{
	struct directory_settings set = {
		.module_dir = s->module_dir,
		.mbox_path = s->mbox_path,
		.maildir_path = s->maildir_path,
		.home = s->home,
		.format = s->format == SET_FORMAT_MAILDIR ? "maildir" : "mbox",
	};
	struct verdict v = VERDICT_INIT;
	struct domain_record record;
	struct directory *d = NULL;
	struct arena arena;

	arena_init(&arena, LOOKUP_ARENA);
	if (directory_open(s->directory.v, s->directory.n, &set, &d, &v) < 0 ||
	    directory_domain(d, STR(NOBODY), &arena, &record, &v) == DIR_BROKEN)
		problem(k, "directory", "", v.detail);
	directory_close(&d);
	arena_release(&arena);
}

static void
look_log(struct check *k, const struct settings *s)
{
	struct verdict v = VERDICT_INIT;

	if (s->delivery_log && redo_look(s->state_dir,
	    redo_size(s->delivery_log), &v) < 0)
		problem(k, "delivery_log", "", v.detail);
}

static void
check_global(struct check *k, const struct settings *s)
{
	look(k, "module_dir", s->module_dir, A_DIRECTORY, X_OK);
	look(k, "spool_dir", s->spool_dir, A_DIRECTORY, W_OK | X_OK);
	look(k, "state_dir", s->state_dir, A_DIRECTORY, W_OK | X_OK);
	look_log(k, s);
	look(k, "srs_secret_file", s->srs_secret_file, A_FILE, R_OK);
	look_sockets(k, "lmtp_listen", &s->lmtp_listen);
	look_sockets(k, "map_listen", &s->map_listen);
	look_sockets(k, "policy_listen", &s->policy_listen);
	look_sockets(k, "metrics_listen", &s->metrics_listen);
	look_above(k, "metrics_textfile", s->metrics_textfile);
	if (strncmp(s->log_target, "file:", 5) == 0)
		look_above(k, "log_target", s->log_target + 5);
	check_directory(k, s);
}

enum config_checked
config_check(const struct config *c, struct buf *problems)
{
	const struct settings *s = &c->global;
	struct check k = { .config = c, .lines = c->lines,
	    .problems = problems };
	struct verdict v = VERDICT_INIT;
	struct identity id;

	/* Read before root is gone. */
	look(&k, "tls_cert", s->tls_cert, A_FILE, R_OK);
	look(&k, "tls_key", s->tls_key, A_FILE, R_OK);
	if (identity_find(s->user, s->group, (uid_t)s->min_uid, &id, &v) < 0) {
		problem(&k, "user", "", v.detail);
		return CONFIG_USELESS;
	}
	if (geteuid() == 0 && privileges_drop(&id, PRIVILEGES_BOUND_NONE,
	    &v) < 0) {
		problem(&k, "user", s->user, v.detail);
		return CONFIG_USELESS;
	}
	check_global(&k, s);
	check_part(&k, s, GLOBAL_PART);
	for (size_t i = 0; i < c->section_count; i++) {
		k.lines = c->sections[i].lines;
		check_part(&k, &c->sections[i].settings, SECTION_PART);
	}
	return k.count ? CONFIG_INCOMPLETE : CONFIG_SOUND;
}
