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
 * data, the message is not sent. Who would rather send it to the others asks
 * for an answer for each.
 */
#ifndef LDA_SUBMIT_H
#define LDA_SUBMIT_H

#include <stdint.h>

#include "store/base/source.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* Recipients of one call. */
#define SUBMIT_RECIPIENTS 1000

enum submit_answer {
	SUBMIT_LATER,
	SUBMIT_TAKEN,
	SUBMIT_REFUSED,		/* for good */
};

enum submit_flag {
	/* The message came with SMTPUTF8, or its header has addresses that
	 * need it. Addresses of the envelope are seen without being told; 8-bit
	 * bytes elsewhere in a header ask for nothing, since a relay would
	 * bounce them where it could have passed them on. */
	SUBMIT_SMTPUTF8 = 1,
};

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
	unsigned flags;		/* enum submit_flag */
	const char *hostname;	/* for EHLO; NULL: "localhost" */
	struct str notify;	/* RFC 3461: "NEVER", "SUCCESS,FAILURE", ... */
	struct str ret;		/* "FULL" or "HDRS" */
	struct str envid;	/* not yet in xtext */
	/* NULL, or room for to_count answers: then the message is sent to
	 * those that are accepted. */
	enum submit_answer *each;
};

/*
 * 0 when the MTA has taken it for all; else -1 with V_SUBMIT, or V_POLICY when
 * an SMTP server said that it never will (with `each`: V_SUBMIT as long as
 * one of them is SUBMIT_LATER). What is asked by notify, ret and envid
 * and cannot be passed on (no DSN extension) is dropped.
 */
int submit_run(const struct submit_job *job, struct verdict *v);
/* From now on submit_run() is done by this function, for a process that may
 * not execute anything. */
void submit_through(int (*run)(const struct submit_job *job,
    struct verdict *v));

#endif
