/*
 * What is said about a delivery: the first line of standard output, which
 * Postfix and Exim show to senders; the rehearsal or the JSON record for
 * people; one line in the log.
 */
#ifndef LDA_REPORT_H
#define LDA_REPORT_H

#include <stdint.h>

#include "lda/config.h"
#include "lda/delivery.h"

struct report {
	const struct verdict *verdict;
	struct str local, domain;	/* as given */
	const struct envelope *envelope;
	const struct parcel *parcel;
	const struct resolution *resolution;
	const struct delivery *delivery;	/* may be NULL */
	int64_t elapsed_ms;
	const struct verdict *gate;	/* what a door would say; may be NULL */
	bool rehearsal, json;
	const char *door;		/* for the log; NULL: argv */
};

/*
 * "5.1.1 <fred@example.com> User unknown" on standard output. Nothing when all
 * went well, unless it was a rehearsal or JSON is wanted. At a terminal the
 * detail goes to standard error, too.
 */
void report_say(const struct report *r);
/* The same in full, as text or JSON, wherever it is wanted. */
void report_write(const struct report *r, struct buf *out);
/* One line per recipient. */
void report_log(const struct report *r);

#endif
