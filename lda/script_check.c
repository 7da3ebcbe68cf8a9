#include "lda/script_check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/scripts.h"
#include "lda/sieve_set.h"
#include "store/base/file.h"

#define PATH_LONGEST 4096
#define SET_ARENA (256 * 1024)
#define IMAGE_MAX ((size_t)64 << 20)
/* A path and a sentence. */
#define LINE_MAX_BYTES 8192

static void
check_text(const struct settings *s, const char *path, struct str text,
    void (*say)(void *arg, const char *text), void *arg)
{
	const struct engine *engine = scripts_engine(s);
	struct engine_script script = { .name = str_of(path), .text = text,
	    .location = ENGINE_GLOBAL };
	struct engine_settings set;
	struct engine_errors errors;
	struct buf image, line;
	struct arena arena;

	arena_init(&arena, SET_ARENA);
	buf_init(&image, IMAGE_MAX);
	engine_errors_init(&errors);
	if (sieve_set(s, &arena, &set) == 0)
		(void)engine->compile(&set, &script, &image, &errors);
	for (size_t i = 0; i < errors.n; i++) {
		const struct engine_error *e = &errors.list[i];

		if (e->warning)
			continue;
		buf_init(&line, LINE_MAX_BYTES);
		(void)buf_addf(&line, "%s:%u:%u: %.*s", path, e->line,
		    e->column, STR_ARG(e->text));	/* cut is enough */
		say(arg, line.p);
		buf_release(&line);
	}
	engine_errors_release(&errors);
	buf_release(&image);
	arena_release(&arena);
}

static void
check_file(const struct settings *s, const char *path,
    void (*say)(void *arg, const char *text), void *arg)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct buf text;
	struct stat st;

	buf_init(&text, (size_t)s->sieve_max_script_size);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    file_read_whole(fd, &text) == 0)
		check_text(s, path, buf_str(&text), say, arg);
	file_close(&fd);
	buf_release(&text);
}

static int
is_script(const struct dirent *e)
{
	return e->d_name[0] != '.' &&
	    str_ends(str_of(e->d_name), STR(".sieve"));
}

void
script_check(const struct settings *s, const char *path,
    void (*say)(void *arg, const char *text), void *arg)
{
	struct dirent **list = NULL;
	int n = scandir(path, &list, is_script, alphasort);
	struct buf full;

	if (n < 0) {
		check_file(s, path, say, arg);
		return;
	}
	for (int i = 0; i < n; i++) {
		buf_init(&full, PATH_LONGEST);
		(void)buf_addf(&full, "%s/%s", path, list[i]->d_name);
		if (!full.full)
			check_file(s, full.p, say, arg);
		buf_release(&full);
		free(list[i]);
	}
	free(list);
}
