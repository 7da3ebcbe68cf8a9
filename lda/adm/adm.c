#include "lda/adm/adm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/privileges.h"
#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/directory/name.h"

#define PROBLEMS_MAX 65536
#define NOTE_MAX 4096
#define DIRECTORY_MODE 0640
#define OUT_MAX ((size_t)1 << 30)

/* --- options --------------------------------------------------------------------- */

const char *
adm_option(const struct adm *a, const char *name)
{
	for (size_t i = a->option_count; i > 0; i--)
		if (strcmp(a->options[i - 1].name, name) == 0)
			return a->options[i - 1].value;
	return NULL;
}

/* Does a command know the option, and does it take a value? 1 with, 0
 * without, -1 unknown. */
static int
takes_value(const struct adm_command *c, struct str name)
{
	struct str rest = str_of(c->options), word;

	while (str_split(&rest, ' ', &word)) {
		bool value = word.n > 0 && word.p[word.n - 1] == '=';

		if (str_eq(str_sub(word, 0, word.n - value), name))
			return value;
	}
	return -1;
}

static int
usage(struct adm *a, struct verdict *v, const char *what, const char *which)
{
	const struct adm_command *c = a->command;

	if (c == NULL)
		return verdict_set(v, V_USAGE, "%s%s (try: vboxadm help)", what,
		    which);
	return verdict_set(v, V_USAGE, "%s%s (usage: vboxadm %s%s%s %s)", what,
	    which, c->noun, c->verb != NULL ? " " : "",
	    c->verb != NULL ? c->verb : "", c->arguments);
}

/* One "--name=value", "--name value", "--name" or "-n value"; moves *i. */
static int
take_option(struct adm *a, int argc, char **argv, int *i, struct verdict *v)
{
	const char *text = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	struct str word = str_of(text), name = word;
	ptrdiff_t eq = str_chr(word, '=');
	const char *value = NULL;
	int takes;

	if (eq >= 0) {
		name = str_sub(word, 0, (size_t)eq);
		value = text + eq + 1;
	}
	takes = takes_value(a->command, name);
	if (takes < 0 || (takes == 0 && value != NULL))
		return usage(a, v, "no such option: ", argv[*i]);
	if (takes > 0 && value == NULL) {
		if (*i + 1 >= argc)
			return usage(a, v, "wants a value: ", argv[*i]);
		value = argv[++*i];
	}
	if (a->option_count >= ADM_OPTIONS_MAX)
		return usage(a, v, "too many options", "");
	a->options[a->option_count++] = (struct adm_option){
		.name = mem_dupn(name.p, name.n),
		.value = value != NULL ? value : "",
	};
	return 0;
}

/* What stands before the noun, or anywhere. 1: taken, 0: not one of these. */
static int
take_global(struct adm *a, int argc, char **argv, int *i, struct verdict *v)
{
	const char *word = argv[*i];

	if (strcmp(word, "--json") == 0) {
		a->json = true;
		return 1;
	}
	if (strcmp(word, "--quiet") == 0 || strcmp(word, "-q") == 0) {
		a->quiet = true;
		return 1;
	}
	if (strcmp(word, "-c") != 0 && strcmp(word, "--directory") != 0)
		return 0;
	if (*i + 1 >= argc)
		return usage(a, v, "wants a value: ", word);
	if (word[1] == 'c')
		a->conf = argv[++*i];
	else
		a->spec = argv[++*i];
	return 1;
}

static const struct adm_command *
find_command(const char *noun, const char *verb)
{
	for (size_t i = 0; i < adm_command_count; i++) {
		const struct adm_command *c = &adm_commands[i];

		if (strcmp(c->noun, noun) == 0 && (c->verb == NULL ||
		    (verb != NULL && strcmp(c->verb, verb) == 0)))
			return c;
	}
	return NULL;
}

/* Names what is wrong, and the help that is nearest to it. */
static int
no_such(const char *noun, const char *verb, struct verdict *v)
{
	for (size_t i = 0; i < adm_command_count; i++) {
		if (strcmp(adm_commands[i].noun, noun) != 0)
			continue;
		if (verb == NULL)
			return verdict_set(v, V_USAGE, "what about the %s? "
			    "(try: vboxadm help %s)", noun, noun);
		return verdict_set(v, V_USAGE, "no such command: %s %s "
		    "(try: vboxadm help %s)", noun, verb, noun);
	}
	return verdict_set(v, V_USAGE, "no such command: %s "
	    "(try: vboxadm help)", noun);
}

/* The noun and the verb, which come first among what is no option. */
static int
choose_command(struct adm *a, int argc, char **argv, struct verdict *v)
{
	static char help[] = "help", version[] = "version";
	const char *word[2] = { NULL, NULL };
	size_t n = 0;

	for (int i = 1; i < argc && n < 2; i++) {
		int r = take_global(a, argc, argv, &i, v);

		if (r < 0)
			return -1;
		if (r == 0 && n == 0 && (strcmp(argv[i], "-h") == 0 ||
		    strcmp(argv[i], "--help") == 0))
			argv[i] = help;
		else if (r == 0 && n == 0 && (strcmp(argv[i], "-V") == 0 ||
		    strcmp(argv[i], "--version") == 0))
			argv[i] = version;
		else if (r == 0 && n == 1 && strcmp(argv[i], "--help") == 0)
			break;
		else if (r == 0 && argv[i][0] == '-' && argv[i][1] != '\0')
			return usage(a, v, "no such option before the "
			    "command: ", argv[i]);
		if (r == 0)
			word[n++] = argv[i];
		/* A noun that says it all: options of its own may follow,
		 * unless what follows is a verb that it also has. */
		if (n == 1 && find_command(word[0], NULL) != NULL &&
		    (i + 1 >= argc || find_command(word[0], argv[i + 1]) ==
		    find_command(word[0], NULL)))
			break;
	}
	if (n == 0)
		return usage(a, v, "what is to be done?", "");
	a->command = find_command(word[0], word[1]);
	if (a->command == NULL)
		return no_such(word[0], word[1], v);
	return 0;
}

static int
parse(struct adm *a, int argc, char **argv, struct verdict *v)
{
	size_t skip;
	bool options = true;

	if (choose_command(a, argc, argv, v) < 0)
		return -1;
	skip = a->command->verb != NULL ? 2 : 1;
	for (int i = 1; i < argc; i++) {
		int r = options ? take_global(a, argc, argv, &i, v) : 0;

		if (r < 0)
			return -1;
		if (r > 0)
			continue;
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && strncmp(argv[i], "--", 2) == 0) {
			if (take_option(a, argc, argv, &i, v) < 0)
				return -1;
		} else if (options && argv[i][0] == '-' && argv[i][1] != '\0' &&
		    argv[i][2] == '\0' && takes_value(a->command,
		    str_of(argv[i] + 1)) >= 0) {
			if (take_option(a, argc, argv, &i, v) < 0)
				return -1;
		} else if (skip > 0) {
			skip--;
		} else {
			a->args[a->arg_count++] = argv[i];
		}
	}
	if (a->arg_count < a->command->least)
		return usage(a, v, "something is missing", "");
	if (a->arg_count > a->command->most)
		return usage(a, v, "too much: ", a->args[a->command->most]);
	return 0;
}

/* --- what commands use --------------------------------------------------------------- */

int
adm_config(struct adm *a, struct verdict *v)
{
	struct buf problems;
	int r;

	if (a->config_loaded)
		return 0;
	buf_init(&problems, PROBLEMS_MAX);
	r = config_load(a->conf, &a->config, &problems, v);
	if (r < 0)
		(void)file_write_all(STDERR_FILENO, problems.p, problems.n);
	buf_release(&problems);
	a->config_loaded = r == 0;
	if (r == 0)
		name_set_module_dir(a->config.global.module_dir);
	return r;
}

struct directory_settings
adm_directory_settings(const struct adm *a)
{
	const struct settings *s = &a->config.global;

	return (struct directory_settings){
		.module_dir = s->module_dir,
		.mbox_path = s->mbox_path,
		.maildir_path = s->maildir_path,
		.home = s->home,
		.format = s->format == SET_FORMAT_MAILDIR ? "maildir" : "mbox",
	};
}

int
adm_directory(struct adm *a, enum directory_want want,
    struct directory **d_r, struct verdict *v)
{
	struct directory_settings set;

	if (adm_config(a, v) < 0)
		return -1;
	set = adm_directory_settings(a);
	set.want = want;
	return directory_open(a->config.global.directory.v,
	    a->config.global.directory.n, &set, d_r, v);
}

int
adm_become_vmail(struct adm *a, struct verdict *v)
{
	const struct settings *s = &a->config.global;
	struct identity id;

	if (identity_find(s->user, s->group, (uid_t)s->min_uid, &id, v) < 0)
		return -1;
	return privileges_drop(&id, PRIVILEGES_BOUND_NONE, v);
}

/* A directory file that vboxadm makes can be read by those who deliver, and
 * by nobody else: it holds password hashes. */
static int
make_readable(struct adm *a, const char *spec, struct verdict *v)
{
	const struct settings *s = &a->config.global;
	const char *path = strchr(spec, '/');
	struct identity id;
	int fd;

	if (geteuid() != 0 || path == NULL || strchr(path, '?') != NULL ||
	    (strncmp(spec, "sqlite:", 7) != 0 && strncmp(spec, "file:", 5) != 0))
		return 0;
	if (access(path, F_OK) == 0)
		return 0;
	if (identity_find(s->user, s->group, (uid_t)s->min_uid, &id, v) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    DIRECTORY_MODE);
	if (fd < 0 || fchown(fd, (uid_t)-1, id.gid) < 0 ||
	    fchmod(fd, DIRECTORY_MODE) < 0) {
		verdict_errno(v, errno, "%s", path);
		file_close(&fd);
		return -1;
	}
	file_close(&fd);
	return 0;
}

int
adm_writer(struct adm *a, struct verdict *v)
{
	struct directory_settings set;
	const struct setting_list *l;
	int r = -1;

	if (a->writer != NULL)
		return 0;
	if (adm_config(a, v) < 0)
		return -1;
	set = adm_directory_settings(a);
	if (a->spec != NULL)
		return make_readable(a, a->spec, v) < 0 ? -1 :
		    directory_writer_open(a->spec, &set, &a->writer, v);
	l = &a->config.global.directory;
	verdict_set(v, V_CONFIG, "directory: none is configured");
	for (size_t i = 0; i < l->n && r < 0; i++) {
		if (make_readable(a, l->v[i], v) < 0)
			return -1;
		r = directory_writer_open(l->v[i], &set, &a->writer, v);
		/* One that is down is not passed over for the next one. */
		if (r < 0 && v->why != V_CONFIG)
			break;
	}
	return r;
}

void
adm_flush(struct adm *a)
{
	if (a->out.n > 0 && file_write_all(STDOUT_FILENO, a->out.p,
	    a->out.n) < 0)
		a->out_failed = true;
	buf_reset(&a->out);
}

void
adm_note(struct adm *a, const char *fmt, ...)
{
	char text[NOTE_MAX];
	va_list ap;
	int n;

	if (a->quiet)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text) - 1)
		n = (int)sizeof(text) - 2;
	text[n] = '\n';
	/* Nobody may be there to read it. */
	(void)file_write_all(STDERR_FILENO, text, (size_t)n + 1);
}

void
adm_progress(struct adm *a, const char *what, size_t count)
{
	char text[128];
	int n;

	if (a->quiet || count % ADM_PROGRESS_EVERY != 0 ||
	    isatty(STDERR_FILENO) != 1)
		return;
	n = snprintf(text, sizeof(text), "\r%s %zu\033[K", what, count);
	if (n > 0 && (size_t)n < sizeof(text))
		(void)file_write_all(STDERR_FILENO, text, (size_t)n); /* idem */
}

int
adm_about(const char *text, struct verdict *v)
{
	const struct verdict was = *v;

	return verdict_set(v, was.why, "%s: %s", text,
	    was.detail[0] != '\0' ? was.detail : verdict_text(&was));
}

int
adm_address(struct adm *a, const char *text, struct str *local_r,
    struct str *domain_r, struct verdict *v)
{
	if (name_address(str_of(text), &a->arena, local_r, domain_r, v) < 0)
		return adm_about(text, v);
	if (domain_r->n == 0)
		return verdict_set(v, V_BAD_ADDRESS, "%s: no domain", text);
	return 0;
}

int
adm_domain(struct adm *a, const char *text, struct str *domain_r,
    struct verdict *v)
{
	if (name_domain(str_of(text + (text[0] == '@')), &a->arena, domain_r,
	    v) < 0)
		return adm_about(text, v);
	return 0;
}

struct str
adm_join(struct adm *a, struct str local, struct str domain)
{
	struct buf b;
	struct str s;

	buf_init(&b, NAME_LOCAL_MAX + NAME_DOMAIN_MAX + 2);
	(void)buf_adds(&b, local);
	(void)buf_addc(&b, '@');
	(void)buf_adds(&b, domain);
	s = arena_copy(&a->arena, buf_str(&b));
	buf_release(&b);
	return s;
}

/* --- main ------------------------------------------------------------------------------- */

/* As sysexits(3) has it for a person or a script; an MTA never sees these. */
static int
exit_of(const struct verdict *v)
{
	return v->why == V_CONFIG ? EX_CONFIG :
	    verdict_exit(v, EXITS_SYSEXITS);
}

static void
complain(struct adm *a, const struct verdict *v)
{
	bool quiet = a->quiet;

	a->quiet = false;
	adm_note(a, "vboxadm: %s", v->detail[0] != '\0' ? v->detail :
	    verdict_text(v));
	a->quiet = quiet;
}

int
adm_program(int argc, char **argv)
{
	struct adm a = { .exit = -1 };
	struct verdict v = VERDICT_INIT;
	int status;

	arena_init(&a.arena, ADM_ARENA);
	buf_init(&a.out, OUT_MAX);
	a.args = mem_zalloc((size_t)argc + 1, sizeof(*a.args));
	if (parse(&a, argc, argv, &v) < 0 || a.command->run(&a, &v) < 0) {
		if (a.exit < 0)
			complain(&a, &v);
		status = a.exit >= 0 ? a.exit : exit_of(&v);
	} else {
		status = a.exit >= 0 ? a.exit : EX_OK;
	}
	adm_flush(&a);
	if (a.out_failed) {
		adm_note(&a, "vboxadm: standard output: %s", strerror(errno));
		status = EX_IOERR;
	}
	directory_writer_close(&a.writer);
	if (a.config_loaded)
		config_release(&a.config);
	for (size_t i = 0; i < a.option_count; i++)
		free((void *)(uintptr_t)a.options[i].name);
	free((void *)(uintptr_t)a.args);
	buf_release(&a.out);
	arena_release(&a.arena);
	return status;
}
