/*
 * Handing a message to the MTA: a redirect, an answer, a notice.
 *
 *	struct submit_job job = { .command = "/usr/sbin/sendmail", ... };
 *	submit_run(&job, &v)
 *
 * `command` is the setting `submit`:
 *
 *	/PATH			a sendmail program, run with an argument vector
 *				(-oi -f SENDER -- RECIPIENT...), no shell, a
 *				clean environment and nothing of ours open
 *				but its standard input, output and error
 *				(CVE-2020-7247 is why)
 *	smtp:HOST:PORT		SMTP; an IPv6 address stands in brackets
 *	unix:/PATH		SMTP on a local socket
 *
 * All recipients or none: when an SMTP server refuses one of them before the
 * data, the message is not sent.
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
	const char *command;
	uint64_t timeout_ms;	/* for all of it */
	struct str sender;	/* empty: the null sender, given as <> */
	const struct str *to;
	size_t to_count;
	struct str head;	/* header lines in front */
	const struct source *message;
	uint64_t start;		/* where in it to begin */

	/* All of these may stay empty. */
	const char *hostname;	/* for EHLO; NULL: "localhost" */
	struct str notify;	/* RFC 3461: "NEVER", "SUCCESS,FAILURE", ... */
	struct str ret;		/* "FULL" or "HDRS" */
	struct str envid;	/* not yet in xtext */
};

/*
 * 0 when the MTA has taken it; else -1 with V_SUBMIT, or V_POLICY when an
 * SMTP server said that it never will. What is asked by notify, ret and envid
 * and cannot be passed on (no DSN extension) is dropped.
 */
int submit_run(const struct submit_job *job, struct verdict *v);
/* From now on submit_run() is done by this function, for a process that may
 * not execute anything. */
void submit_through(int (*run)(const struct submit_job *job,
    struct verdict *v));

#endif
