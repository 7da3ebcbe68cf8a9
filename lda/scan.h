/*
 * The external content filter: a clamd, or a command, asked about a whole
 * message before anything of it is parsed here.
 *
 *	struct scan_finding f;
 *	scan_message(settings, &parcel, agent->stop, &f);
 *
 * A scanner is one of
 *
 *	clamd:unix:/PATH		the INSTREAM command of clamd(8)
 *	clamd:inet:ADDRESS:PORT		an address in numbers: where we ask there
 *					is no resolver
 *	/PATH WORD...			a command: exit 0 clean, 1 found (its
 *					first line says what), anything else
 *					"ask again"; no shell, no quotes
 *
 * They are asked in their order until one finds something. Of one message it
 * is asked once, whatever the number of its recipients: answers are kept
 * for the message at hand.
 */
#ifndef LDA_SCAN_H
#define LDA_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lda/delivery.h"
#include "lda/settings.h"
#include "store/base/source.h"

/* What a scanner says is shown up to here. */
#define SCAN_WHAT 120
/* Words of a command. */
#define SCAN_WORDS 32

enum scan_answer {
	SCAN_CLEAN,
	SCAN_FOUND,
	SCAN_TOO_BIG,	/* larger than it takes: nobody has looked */
	SCAN_BROKEN,	/* no answer, or none that makes sense */
	SCAN_ANSWER_COUNT
};

/* One question to one scanner. */
struct scan_job {
	const char *scanner;
	const struct source *message;
	uint64_t timeout_ms;
	bool (*stop)(void);	/* may be NULL */
};

/* `what`: what was found, or why there is no answer; printable ASCII. */
struct scan_result {
	enum scan_answer answer;
	char what[SCAN_WHAT + 1];
};

void scan_clamd(const struct scan_job *job, struct scan_result *r);
void scan_command(const struct scan_job *job, struct scan_result *r);
/* Commands are run by this function from now on, for a process that may not
 * execute anything. */
void scan_command_through(void (*run)(const struct scan_job *job,
    struct scan_result *r));
/* Sets a result; `what` is cut and cleaned. */
void scan_set(struct scan_result *r, enum scan_answer answer, struct str what);
static inline bool
scan_is_command(const char *scanner)
{
	return scanner[0] == '/';
}

/* All scanners of a recipient. */
struct scan_finding {
	bool asked;		/* false: there is none */
	struct scan_result result;
	const char *scanner;	/* who said it */
	bool fresh;		/* asked now, not remembered */
};

void scan_message(const struct settings *s, const struct parcel *parcel,
    bool (*stop)(void), struct scan_finding *f);
/* "clean", "found", "unasked", "failed". */
const char *scan_word(enum scan_answer answer);

#endif
