/* vboxadm sieve: is a script sound, which extensions are there? */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "filters/engine.h"
#include "lda/adm/nouns.h"
#include "lda/adm/sieve.h"
#include "lda/json.h"
#include "lda/scripts.h"
#include "lda/sieve_set.h"
#include "store/base/file.h"
#include "store/base/mem.h"

#define IMAGE_MAX ((size_t)64 << 20)
#define EXTENSIONS_MAX 4096
#define LINE_MAX_BYTES 4096

static struct engine_settings
settings_of(struct adm *a, const struct settings *s)
{
	struct engine_settings set = { .extensions = STR("default") };

	/* A full arena: as if nothing was configured. */
	(void)sieve_set(s, &a->arena, &set);
	return set;
}

int
sieve_read(const char *path, struct buf *text, struct verdict *v)
{
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO :
	    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0 || (r = file_read_whole(fd, text)) < 0) {
		verdict_errno(v, errno, "%s", path);
		v->why = errno == EFBIG ? V_BAD_ADDRESS : V_USAGE;
		r = -1;
	}
	if (fd != STDIN_FILENO)
		file_close(&fd);
	return r;
}

/* FILE:LINE:COLUMN: text, as compilers write it and editors read it. */
static void
print_text(const char *file, const struct engine_error *e)
{
	struct buf line;

	buf_init(&line, LINE_MAX_BYTES);
	(void)buf_addf(&line, "%s:%u:%u: %s%.*s\n", file, e->line, e->column,
	    e->warning ? "warning: " : "", STR_ARG(e->text));
	/* The exit status says it too. */
	(void)file_write_all(STDERR_FILENO, line.p, line.n);
	buf_release(&line);
}

static void
print_json(struct adm *a, const char *file, const struct engine_errors *all)
{
	struct buf *out = &a->out;

	(void)buf_addc(out, '{');
	json_member(out, "file", str_of(file));
	json_name(out, "errors");
	(void)buf_addf(out, "%zu", all->count);
	json_name(out, "list");
	(void)buf_addc(out, '[');
	for (size_t i = 0; i < all->n; i++) {
		const struct engine_error *e = &all->list[i];

		if (i > 0)
			(void)buf_addc(out, ',');
		(void)buf_addc(out, '{');
		json_name(out, "line");
		(void)buf_addf(out, "%u", e->line);
		json_name(out, "column");
		(void)buf_addf(out, "%u", e->column);
		json_member(out, "kind", e->warning ? STR("warning") :
		    STR("error"));
		json_member(out, "text", e->text);
		(void)buf_addc(out, '}');
	}
	(void)buf_addz(out, "]}\n");
}

enum sieve_judgement
sieve_judge(struct adm *a, const struct settings *s, const char *file,
    struct str text)
{
	const struct engine *engine = scripts_engine(s);
	struct engine_settings settings = settings_of(a, s);
	struct engine_script script = { .name = str_of(file), .text = text,
	    .location = ENGINE_PERSONAL };
	enum sieve_judgement r = SIEVE_SOUND;
	struct engine_errors errors;
	struct buf image;

	buf_init(&image, IMAGE_MAX);
	engine_errors_init(&errors);
	if (engine->compile(&settings, &script, &image, &errors) < 0 ||
	    errors.count > 0)
		r = SIEVE_WRONG;
	if (a->json)
		print_json(a, file, &errors);
	for (size_t i = 0; i < errors.n && !a->json; i++)
		print_text(file, &errors.list[i]);
	if (errors.count > ENGINE_ERRORS && !a->json)
		adm_note(a, "%s: %zu errors in all", file, errors.count);
	engine_errors_release(&errors);
	buf_release(&image);
	return r;
}

static int
check_one(struct adm *a, const char *file, struct verdict *v)
{
	struct buf text;
	int r;

	buf_init(&text, a->config.global.sieve_max_script_size);
	r = sieve_read(file, &text, v);
	if (r == 0 && sieve_judge(a, &a->config.global, file,
	    buf_str(&text)) == SIEVE_WRONG)
		a->exit = EX_DATAERR;
	buf_release(&text);
	return r;
}

int
adm_sieve_check(struct adm *a, struct verdict *v)
{
	if (adm_config(a, v) < 0)
		return -1;
	for (size_t i = 0; i < a->arg_count; i++)
		if (check_one(a, a->args[i], v) < 0) {
			a->exit = -1;	/* v has what is to be told */
			return -1;
		}
	return 0;
}

int
adm_sieve_extensions(struct adm *a, struct verdict *v)
{
	struct engine_settings settings;
	struct buf names;

	if (adm_config(a, v) < 0)
		return -1;
	settings = settings_of(a, &a->config.global);
	buf_init(&names, EXTENSIONS_MAX);
	scripts_engine(&a->config.global)->extensions(&settings, &names);
	if (a->json) {
		(void)buf_addc(&a->out, '{');
		json_member(&a->out, "extensions", buf_str(&names));
		(void)buf_addz(&a->out, "}\n");
	} else {
		(void)buf_adds(&a->out, buf_str(&names));
		(void)buf_addc(&a->out, '\n');
	}
	buf_release(&names);
	return 0;
}
