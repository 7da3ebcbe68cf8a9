/*
 * Running a program of the configuration with a message on its standard input:
 * an argument vector, no shell, a clean environment, nothing of ours open but
 * its input and output (CVE-2020-7247 is why), and a deadline.
 *
 *	struct program p = { .argv = argv, .message = &source, ... };
 *	switch (program_run(&p)) ...
 */
#ifndef LDA_PROGRAM_H
#define LDA_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/source.h"
#include "store/base/str.h"

/* What the program says is kept up to here. */
#define PROGRAM_SAID 300

enum program_end {
	PROGRAM_ENDED,		/* `status` says how, as of waitpid(2) */
	PROGRAM_FAILED,		/* not started, or could not be given the message:
				 * `error` says why */
	PROGRAM_LATE,		/* the time was up, or `stop` said so; it was
				 * killed */
};

struct program {
	char *const *argv;	/* [0] is the path; ends in NULL */
	uint64_t timeout_ms;
	struct str head;	/* in front of the message */
	const struct source *message;
	uint64_t start;		/* where in it to begin */
	bool (*stop)(void);	/* asked while it runs; may be NULL */
	bool with_children;	/* what it has started is killed with it */

	/* Filled by program_run. */
	int status;
	int error;		/* errno */
	bool given;		/* it took the whole message */
	char said[PROGRAM_SAID + 1];	/* standard output and error; not
					 * cleaned, ends in NUL */
};

enum program_end program_run(struct program *p);

#endif
