#include "lda/config.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/config_text.h"
#include "store/base/file.h"
#include "store/base/mem.h"

/* A site with thousands of sections has them written by a program, and a
 * delivery that reads megabytes first is none; the directory is for that. */
#define CONFIG_FILE_MAX (4 << 20)
#define CONFIG_MEMORY_MAX (64 << 20)
#define CONFIG_ITEMS_MAX 256
#define CONFIG_PROBLEMS_MAX (64 << 10)
#define CONFIG_WHY_MAX 512
#define CONFIG_DUMP_LINE_MAX (64 << 10)
#define DOMAIN_MAX 255

#define SECTION "domain"
#define GLOBAL SIZE_MAX

/* One `name = value` of the file. */
struct assignment {
	struct assignment *next;
	const struct setting *row;
	size_t section;		/* which section, or GLOBAL */
	size_t line;
	const char *const *items;
	size_t count;
};

/* A section, in the order of the file. */
struct met {
	struct met *next;
	struct str domain;
};

struct reader {
	const char *name;		/* of the file */
	struct config *config;
	struct arena arena;		/* what only reading needs */
	struct buf section_lines;
	unsigned char *met_names;	/* enum config_text_met */
	struct buf problems;
	size_t problem_count;

	struct assignment *first, **last;
	struct met *met, **met_last;
	size_t met_count;

	/* The assignment whose items are coming in. */
	const struct setting *row;
	size_t section, line;
	const char *items[CONFIG_ITEMS_MAX];
	size_t count;

	/* Where each row was set: in the open, and in this section. */
	size_t *seen_global, *seen_section;
};

/* libconfuse hands nothing of ours to its callbacks, and has one lexer for
 * the process: it is called by one thread, one file after the other. */
static struct reader *reading;

static void problem(struct reader *r, size_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
problem(struct reader *r, size_t line, const char *fmt, ...)
{
	char text[CONFIG_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);	/* cut is good enough */
	va_end(ap);
	for (char *p = text; *p; p++)
		if (ascii_iscntrl(*p))
			*p = '?';
	r->problem_count++;
	if (line)
		(void)buf_addf(&r->problems, "%s:%zu: %s\n", r->name, line, text);
	else
		(void)buf_addf(&r->problems, "%s: %s\n", r->name, text);
}

/* --- what libconfuse tells ------------------------------------------------ */

/* The pending assignment is complete. */
static void
flush(struct reader *r)
{
	struct assignment *a;
	const char **items;

	if (!r->row)
		return;
	a = arena_alloc(&r->arena, sizeof(*a));
	items = arena_array(&r->arena, r->count + 1, sizeof(*items));
	if (a && items) {
		memcpy(items, r->items, r->count * sizeof(*items));
		*a = (struct assignment){
			.row = r->row,
			.section = r->section,
			.line = r->line,
			.items = items,
			.count = r->count,
		};
		*r->last = a;
		r->last = &a->next;
	}
	r->row = NULL;
}

static int
take_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct reader *r = reading;
	size_t *seen;
	struct str copy;

	*(const char **)result = "";
	/* The first value of a list: libconfuse has thrown earlier ones away. */
	if (opt->nvalues == 1) {
		size_t index;

		flush(r);
		r->row = settings_find(opt->name);
		if (!r->row)
			return -1;
		index = (size_t)(r->row - settings_table);
		r->section = cfg->title ? r->met_count : GLOBAL;
		r->line = (size_t)cfg->line;
		r->count = 0;
		seen = cfg->title ? r->seen_section : r->seen_global;
		if (seen[index])
			problem(r, r->line, "`%s' is set twice; line %zu has it "
			    "already", opt->name, seen[index]);
		seen[index] = r->line;
		if (strcmp(value, CONFIG_TEXT_EMPTY) == 0)
			return 0;
	}
	copy = arena_copy(&r->arena, str_of(value));
	if (r->count == CONFIG_ITEMS_MAX || !copy.p) {
		problem(r, (size_t)cfg->line, "`%s' has too many values; at most "
		    "%d are possible", opt->name, CONFIG_ITEMS_MAX);
		return -1;
	}
	r->items[r->count++] = copy.p;
	return 0;
}

static size_t
section_line(const struct reader *r, size_t index)
{
	size_t line = 0;

	if ((index + 1) * sizeof(line) <= r->section_lines.n)
		memcpy(&line, r->section_lines.p + index * sizeof(line),
		    sizeof(line));
	return line;
}

static bool
is_domain(struct str s)
{
	if (s.n == 0 || s.n > DOMAIN_MAX || s.p[0] == '.' || s.p[0] == '-' ||
	    s.p[s.n - 1] == '.' || str_find(s, STR("..")) >= 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!ascii_isalnum(c) && c != '.' && c != '-' && c != '_')
			return false;
	}
	return true;
}

static int
take_section(cfg_t *cfg, cfg_opt_t *opt)
{
	struct reader *r = reading;
	const char *title = opt->values[opt->nvalues - 1]->section->title;
	struct met *m = arena_alloc(&r->arena, sizeof(*m));
	struct str domain = str_of(title);
	size_t line = section_line(r, r->met_count);

	flush(r);
	if (!is_domain(domain))
		problem(r, line, "`%.60s' is no domain; a section begins with "
		    SECTION " \"example.com\" {, and a name beyond ASCII is "
		    "written as xn--...", title);
	if (!m || !(domain = arena_copy(&r->config->arena, domain)).p) {
		problem(r, (size_t)cfg->line, "there are too many sections");
		return -1;
	}
	for (size_t i = 0; i < domain.n; i++)
		((char *)domain.p)[i] = ascii_lower(domain.p[i]);
	m->domain = domain;
	*r->met_last = m;
	r->met_last = &m->next;
	r->met_count++;
	memset(r->seen_section, 0, settings_count * sizeof(*r->seen_section));
	return 0;
}

static void
unknown_setting(struct reader *r, cfg_t *cfg, const char *name)
{
	size_t line = (size_t)cfg->line;
	const struct setting *row = settings_find(name);
	const char *nearest = settings_nearest(name);

	if (cfg->title && row && row->scope == SETTING_GLOBAL)
		problem(r, line, "`%s' holds for the whole service; it cannot "
		    "stand in " SECTION " \"%.60s\"", name, cfg->title);
	else if (row)
		problem(r, line, "a `=' is missing behind `%s'", name);
	else if (nearest)
		problem(r, line, "unknown setting `%.60s'; did you mean `%s'?",
		    name, nearest);
	else
		problem(r, line, "unknown setting `%.60s'; vbox.conf(5) lists "
		    "them all", name);
}

static void take_error(cfg_t *cfg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* libconfuse speaks in few sentences; ours say what would be right. */
static void
take_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct reader *r = reading;
	size_t line = (size_t)cfg->line;
	char text[CONFIG_WHY_MAX];
	va_list again;
	const char *arg;

	va_copy(again, ap);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	if (!strstr(fmt, "'%s'")) {
		problem(r, line, "%s", text);
		va_end(again);
		return;
	}
	arg = va_arg(again, const char *);
	va_end(again);
	if (strncmp(fmt, "no such option", 14) == 0 ||
	    strncmp(fmt, "no sub-section", 14) == 0) {
		unknown_setting(r, cfg, arg);
	} else if (strncmp(fmt, "unexpected token", 16) == 0) {
		if (arg[0] && !arg[1] && strchr("{}=,", arg[0]))
			problem(r, line, "a `%s' does not belong here", arg);
		else
			problem(r, line, "a comma or a `}' is missing in front of "
			    "`%.60s'", arg);
	} else if (strncmp(fmt, "missing equal sign", 18) == 0) {
		problem(r, line, "a `=' is missing behind `%s'", arg);
	} else if (strncmp(fmt, "missing title", 13) == 0 ||
	    strncmp(fmt, "missing opening brace", 21) == 0) {
		problem(r, line, "a section begins with " SECTION
		    " \"example.com\" {");
	} else if (strncmp(fmt, "found duplicate title", 21) == 0) {
		problem(r, line, "domain `%.60s' has a section already", arg);
	} else {
		problem(r, line, "%s", text);
	}
}

/* --- from assignments to settings ----------------------------------------- */

static void
assign(struct reader *r, const struct assignment *a, struct settings *s)
{
	struct buf why;

	buf_init(&why, CONFIG_WHY_MAX);
	if (setting_parse(a->row, a->items, a->count, s, &r->config->arena,
	    &why) < 0)
		problem(r, a->line, "%s: %s", a->row->name, why.p);
	buf_release(&why);
}

/* Settings that only make sense together. `lines` is where each stands. */
static void
check_together(struct reader *r, const struct settings *s, const size_t *lines)
{
#define LINE(field_) lines[settings_find(#field_) - settings_table]
	if (s->tls_key[0] && !s->tls_cert[0])
		problem(r, LINE(tls_key), "tls_key is set, tls_cert is not; "
		    "STARTTLS needs a certificate");
	if (s->sieve_engine == SET_ENGINE_LIBSIEVE && !s->sandbox)
		problem(r, LINE(sieve_engine) ? LINE(sieve_engine) :
		    LINE(sandbox), "sieve_engine \"libsieve\" is only possible "
		    "with sandbox = true: a message can make it overflow");
	if (s->srs_domain[0] && !s->srs_secret_file[0])
		problem(r, LINE(srs_domain), "srs_domain is set, "
		    "srs_secret_file is not; SRS needs both");
	if (s->sieve_vacation_min > s->sieve_vacation_max)
		problem(r, LINE(sieve_vacation_min) ? LINE(sieve_vacation_min) :
		    LINE(sieve_vacation_max),
		    "sieve_vacation_min is longer than sieve_vacation_max");
#define SCAN(test) do { \
	if (!s->sieve_ ## test ## _status_header[0]) \
		break; \
	if (s->sieve_ ## test ## _status_type == SET_SCAN_TEXT) { \
		if (!s->sieve_ ## test ## _text_values.n) \
			problem(r, LINE(sieve_ ## test ## _status_header), \
			    #test " reads texts: sieve_" #test "_text_values " \
			    "has to say what they mean"); \
	} else if (!s->sieve_ ## test ## _max_value[0] && \
	    !s->sieve_ ## test ## _max_header[0]) { \
		problem(r, LINE(sieve_ ## test ## _status_header), \
		    "sieve_" #test "_max_value or sieve_" #test "_max_header " \
		    "has to say what a certain status is"); \
	} \
} while (0)
	SCAN(spamtest);
	SCAN(virustest);
#undef SCAN
#undef LINE
}

static int
by_domain(const void *a, const void *b)
{
	const struct config_section *x = a, *y = b;

	return str_cmp(x->domain, y->domain);
}

static void
build_sections(struct reader *r)
{
	struct config *c = r->config;
	const struct assignment *a = r->first;
	const struct met *m = r->met;

	c->sections = arena_array(&c->arena, r->met_count + 1,
	    sizeof(*c->sections));
	if (!c->sections) {
		problem(r, 0, "there are too many sections");
		return;
	}
	for (size_t i = 0; m; i++, m = m->next) {
		struct config_section *section = &c->sections[i];
		size_t problems = r->problem_count;
		size_t *lines = arena_array(&c->arena, settings_count,
		    sizeof(*lines));

		if (!lines) {
			problem(r, 0, "there are too many sections");
			return;
		}
		section->lines = lines;
		section->domain = m->domain;
		section->line = section_line(r, i);
		section->settings = c->global;
		memcpy(lines, r->seen_global, settings_count * sizeof(*lines));
		for (; a && (a->section == GLOBAL || a->section == i);
		    a = a->next) {
			if (a->section == GLOBAL)
				continue;
			assign(r, a, &section->settings);
			lines[a->row - settings_table] = a->line;
		}
		if (problems == r->problem_count)
			check_together(r, &section->settings, lines);
	}
	c->section_count = r->met_count;
	if (c->section_count > 1)
		qsort(c->sections, c->section_count, sizeof(*c->sections),
		    by_domain);
	for (size_t i = 1; i < c->section_count; i++)
		if (str_eq(c->sections[i - 1].domain, c->sections[i].domain))
			problem(r, c->sections[i].line > c->sections[i - 1].line ?
			    c->sections[i].line : c->sections[i - 1].line,
			    "domain `%.60s' has a section already",
			    c->sections[i].domain.p);
}

static void
build(struct reader *r)
{
	for (const struct assignment *a = r->first; a; a = a->next)
		if (a->section == GLOBAL)
			assign(r, a, &r->config->global);
	/* A section is looked at together with the global settings: when
	 * those are wrong, it would be blamed for them. */
	if (r->problem_count == 0)
		check_together(r, &r->config->global, r->seen_global);
	if (r->problem_count == 0)
		build_sections(r);
	else
		for (const struct assignment *a = r->first; a; a = a->next)
			if (a->section != GLOBAL) {
				struct settings trial = r->config->global;

				assign(r, a, &trial);
			}
}

/* --- reading -------------------------------------------------------------- */

/* libconfuse's picture of our rows: each a list of strings, so that judging
 * values is ours alone. */
static cfg_opt_t *
make_options(struct reader *r, enum config_text_met where,
    cfg_opt_t *sections)
{
	enum setting_scope scope = where == CONFIG_TEXT_SECTION ?
	    SETTING_DOMAIN : SETTING_GLOBAL;
	cfg_opt_t *opts, end = CFG_END();
	size_t n = 2;

	for (size_t i = 0; i < settings_count; i++)
		n += (r->met_names[i] & where) != 0;
	opts = arena_array(&r->arena, n, sizeof(*opts));
	if (!opts)
		return NULL;
	n = 0;
	for (size_t i = 0; i < settings_count; i++) {
		cfg_opt_t opt = CFG_STR_LIST_CB(settings_table[i].name, NULL,
		    CFGF_NODEFAULT, take_value);

		if ((r->met_names[i] & where) && settings_table[i].scope >= scope)
			opts[n++] = opt;
	}
	if (sections) {
		cfg_opt_t opt = CFG_SEC(SECTION, sections,
		    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);

		opt.validcb = take_section;
		opts[n++] = opt;
	}
	opts[n] = end;
	return opts;
}

static int
parse(struct reader *r, const char *clean)
{
	cfg_opt_t *opts = make_options(r, CONFIG_TEXT_SECTION, NULL);
	cfg_t *cfg = NULL;
	int result = -1;

	opts = opts ? make_options(r, CONFIG_TEXT_OPEN, opts) : NULL;
	r->seen_global = arena_array(&r->config->arena, settings_count,
	    sizeof(size_t));
	r->config->lines = r->seen_global;
	r->seen_section = arena_array(&r->arena, settings_count, sizeof(size_t));
	if (opts && r->seen_global && r->seen_section)
		cfg = cfg_init(opts, CFGF_NONE);
	if (!cfg) {
		problem(r, 0, "out of memory");
		return -1;
	}
	(void)cfg_set_error_function(cfg, take_error);
	reading = r;
	if (cfg_parse_buf(cfg, clean) == CFG_SUCCESS) {
		flush(r);
		result = 0;
	} else if (r->problem_count == 0) {
		problem(r, (size_t)cfg->line, "this cannot be understood");
	}
	reading = NULL;
	(void)cfg_free(cfg);
	return result;
}

void
config_init(struct config *c)
{
	*c = (struct config){ .path = NULL };
	arena_init(&c->arena, CONFIG_MEMORY_MAX);
	settings_init(&c->global, &c->arena);
}

void
config_release(struct config *c)
{
	arena_release(&c->arena);
	*c = (struct config){ .path = NULL };
}

static int
load(const char *name, struct str text, struct config *c,
    struct buf *problems, struct verdict *v)
{
	struct reader *r = mem_zalloc(1, sizeof(*r));
	struct buf clean, why;
	size_t line;
	int result = -1;

	config_init(c);
	r->name = name;
	r->config = c;
	r->last = &r->first;
	r->met_last = &r->met;
	arena_init(&r->arena, CONFIG_MEMORY_MAX);
	buf_init(&r->section_lines, CONFIG_FILE_MAX);
	buf_init(&r->problems, CONFIG_PROBLEMS_MAX);
	/* `{}` grows by what stands for its item. */
	buf_init(&clean, 3 * CONFIG_FILE_MAX);
	buf_init(&why, CONFIG_WHY_MAX);

	r->met_names = mem_zalloc(settings_count, 1);
	if (config_text_clean(text, &clean, &r->section_lines, r->met_names,
	    &line, &why) < 0)
		problem(r, line, "%s", why.p);
	else if (parse(r, clean.p) == 0)
		build(r);
	c->path = arena_copy(&c->arena, str_of(name)).p;
	if (r->problem_count == 0 && c->path) {
		result = verdict_ok(v, "configuration read from %s", name);
	} else {
		struct str all = buf_str(&r->problems), first = { "", 0 };

		(void)str_split(&all, '\n', &first);
		(void)verdict_set(v, V_CONFIG, "%.*s", STR_ARG(first));
		if (problems)
			(void)buf_adds(problems, buf_str(&r->problems));
		config_release(c);
	}
	buf_release(&why);
	buf_release(&clean);
	buf_release(&r->problems);
	buf_release(&r->section_lines);
	arena_release(&r->arena);
	free(r->met_names);
	free(r);
	return result;
}

int
config_load_text(const char *name, const char *text, struct config *c,
    struct buf *problems, struct verdict *v)
{
	return load(name, str_of(text), c, problems, v);
}

/* A problem with the file as a whole. */
static int
refuse(const char *path, const char *what, struct buf *problems,
    struct verdict *v)
{
	if (problems)
		(void)buf_addf(problems, "%s: %s\n", path, what);
	return verdict_set(v, V_CONFIG, "%s: %s", path, what);
}

static int
open_config(const char *path, struct buf *problems, struct verdict *v)
{
	struct stat st;
	const char *what = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return refuse(path, strerror(errno), problems, v);
	if (fstat(fd, &st) < 0)
		what = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		what = "is not a file";
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		what = "belongs to another account; it must belong to root or "
		    "to the caller, for it says whom we become";
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		what = "can be written by others; say chmod go-w";
	else if (st.st_size > CONFIG_FILE_MAX)
		what = "is too long; domains and users belong in the directory";
	if (what) {
		file_close(&fd);
		return refuse(path, what, problems, v);
	}
	return fd;
}

int
config_load(const char *path, struct config *c, struct buf *problems,
    struct verdict *v)
{
	struct buf text;
	int fd, result = -1;

	if (!path) {
		path = CONFIG_PATH;
		if (access(path, F_OK) < 0 && errno == ENOENT) {
			config_init(c);
			return verdict_ok(v, "built-in defaults, %s is not there",
			    path);
		}
	}
	fd = open_config(path, problems, v);
	if (fd < 0)
		return -1;
	buf_init(&text, CONFIG_FILE_MAX);
	if (file_read_whole(fd, &text) < 0)
		(void)refuse(path, strerror(errno), problems, v);
	else
		result = load(path, buf_str(&text), c, problems, v);
	buf_release(&text);
	file_close(&fd);
	return result;
}

const struct settings *
config_domain(const struct config *c, struct str domain)
{
	size_t low = 0, high = c->section_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct str at = c->sections[middle].domain;
		size_t n = at.n < domain.n ? at.n : domain.n;
		int order = 0;

		for (size_t i = 0; i < n && order == 0; i++)
			order = (unsigned char)ascii_lower(domain.p[i]) -
			    (unsigned char)at.p[i];
		if (order == 0 && at.n == domain.n)
			return &c->sections[middle].settings;
		if (order < 0 || (order == 0 && domain.n < at.n))
			high = middle;
		else
			low = middle + 1;
	}
	return &c->global;
}

void
config_dump(const struct config *c, struct buf *out)
{
	struct config preset;
	struct buf mine, other;

	config_init(&preset);
	buf_init(&mine, CONFIG_DUMP_LINE_MAX);
	buf_init(&other, CONFIG_DUMP_LINE_MAX);
	(void)buf_addf(out, "# %s\n", c->path ? c->path : "built-in defaults");
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		buf_reset(&mine);
		buf_reset(&other);
		setting_print(row, &c->global, &mine);
		setting_print(row, &preset.global, &other);
		(void)buf_addf(out, "%s = %s%s\n", row->name, mine.p,
		    str_eq(buf_str(&mine), buf_str(&other)) ?
		    "\t# default" : "");
	}
	for (size_t d = 0; d < c->section_count; d++) {
		const struct config_section *section = &c->sections[d];

		(void)buf_addf(out, "domain \"%s\" {\n", section->domain.p);
		for (size_t i = 0; i < settings_count; i++) {
			const struct setting *row = &settings_table[i];

			buf_reset(&mine);
			buf_reset(&other);
			setting_print(row, &section->settings, &mine);
			setting_print(row, &c->global, &other);
			if (!str_eq(buf_str(&mine), buf_str(&other)))
				(void)buf_addf(out, "\t%s = %s\n", row->name,
				    mine.p);
		}
		(void)buf_addz(out, "}\n");
	}
	buf_release(&mine);
	buf_release(&other);
	config_release(&preset);
}
