/*
 * Handing a message to the MTA: a redirect, an answer, a notice.
 *
 *	struct submit_job job = { .command = "/usr/sbin/sendmail", ... };
 *	submit_run(&job, &v)
 *
 * The program is run with an argument vector (-oi -f SENDER -- RECIPIENT...),
 * no shell, a clean environment and nothing of ours open but its standard
 * input, output and error (CVE-2020-7247 is why).
 */
#ifndef LDA_SUBMIT_H
#define LDA_SUBMIT_H

#include <stdint.h>

#include "store/base/source.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* Recipients of one call. */
#define SUBMIT_RECIPIENTS 1000

struct submit_job {
	const char *command;	/* absolute path of a sendmail program */
	uint64_t timeout_ms;
	struct str sender;	/* empty: the null sender, given as <> */
	const struct str *to;
	size_t to_count;
	struct str head;	/* header lines in front */
	const struct source *message;
	uint64_t start;		/* where in it to begin */
};

/* 0 when the MTA has taken it; else -1 with V_SUBMIT, or V_POLICY when it
 * said that it never will. */
int submit_run(const struct submit_job *job, struct verdict *v);

#endif
