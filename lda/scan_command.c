/* A command that looks at a message: see scan.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lda/program.h"
#include "lda/scan.h"
#include "store/base/mem.h"

/* What clamdscan(1), and many others, mean by it. */
#define EXIT_CLEAN 0
#define EXIT_FOUND 1

static void (*through)(const struct scan_job *job, struct scan_result *r);

void
scan_command_through(void (*run)(const struct scan_job *job,
    struct scan_result *r))
{
	through = run;
}

/* Words between blanks. */
static void
split(const char *command, char *argv[SCAN_WORDS + 1])
{
	struct str rest = str_of(command), word;
	size_t n = 0;

	while (n < SCAN_WORDS && str_split(&rest, ' ', &word))
		if (word.n)
			argv[n++] = mem_dupn(word.p, word.n);
	argv[n] = NULL;
}

static void
judge(const struct program *p, struct scan_result *r)
{
	struct str said = str_of(p->said), line = said;
	int code = WIFEXITED(p->status) ? WEXITSTATUS(p->status) : -1;
	struct buf why;

	(void)str_split(&said, '\n', &line);	/* one part at least */
	if (code == EXIT_CLEAN && p->given) {
		scan_set(r, SCAN_CLEAN, STR(""));
		return;
	}
	if (code == EXIT_FOUND) {
		scan_set(r, SCAN_FOUND, line.n ? line : STR("something"));
		return;
	}
	buf_init(&why, PROGRAM_SAID * 2);
	if (code == EXIT_CLEAN)
		(void)buf_addz(&why, "did not read the whole message");
	else if (code >= 0)
		(void)buf_addf(&why, "exit %d: ", code);
	else
		(void)buf_addf(&why, "signal %d: ", WTERMSIG(p->status));
	(void)buf_adds(&why, line);		/* cut is enough */
	scan_set(r, SCAN_BROKEN, buf_str(&why));
	buf_release(&why);
}

void
scan_command(const struct scan_job *job, struct scan_result *r)
{
	char *argv[SCAN_WORDS + 1];
	struct program p = { .argv = argv, .timeout_ms = job->timeout_ms,
	    .message = job->message, .stop = job->stop,
	    /* A script's own death would leave the scanner that hangs. */
	    .with_children = true };

	if (through) {
		through(job, r);
		return;
	}
	split(job->scanner, argv);
	switch (program_run(&p)) {
	case PROGRAM_ENDED:
		judge(&p, r);
		break;
	case PROGRAM_LATE:
		scan_set(r, SCAN_BROKEN, STR("no answer in time"));
		break;
	case PROGRAM_FAILED:
		scan_set(r, SCAN_BROKEN, str_of(strerror(p.error)));
		break;
	}
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
}
