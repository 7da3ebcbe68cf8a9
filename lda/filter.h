/*
 * The filter process: strangers' bytes are read where nothing can be lost.
 *
 * A child with no file system, no network, no exec, bounded memory and time
 * runs the engine over the message; it asks the world through frames, and
 * its plan comes back as frames that we distrust. When it crashes, overruns
 * its time or says nonsense, the plan is a keep and an error says why: no
 * message is lost or loops because of what it holds.
 *
 * It is made on demand, and only when a script applies: a mailbox without
 * script pays nothing. A process that delivers many messages keeps it warm:
 * one filter for one worker, replaced after a crash, an overrun or
 * FILTER_JOBS messages, so that what one message did to it does not last.
 * A message that is not in memory gets a filter of its own, which maps it, and
 * so does each message for an engine that is not trusted (libsieve).
 */
#ifndef LDA_FILTER_H
#define LDA_FILTER_H

#include "filters/engine.h"
#include "lda/scripts.h"
#include "lda/settings.h"
#include "store/base/source.h"
#include "store/base/verdict.h"

/* What a plan may take, edited headers and a trace among it. */
#define FILTER_FRAME_MAX (32u * 1024 * 1024)

/* Messages that one warm process filters before it is replaced. */
#define FILTER_JOBS 500
/* Messages beyond this are not sent through the socket. */
#define FILTER_INLINE_MAX (8u * 1024 * 1024)

enum filter_life { FILTER_ONCE, FILTER_WARM };

struct filter_how {
	const struct engine *engine;
	bool sandbox;
	uint64_t timeout_ms;	/* wall clock, the whole run */
	uint64_t cpu_ms;
	uint64_t memory;	/* bytes beside the message; 0: no limit */
	enum filter_life life;
};

/*
 * Runs job->scripts over the message in `source` (job->message is set here).
 * r is initialised by the caller and holds a plan afterwards, whatever
 * happens. 0, or -1 with a verdict when the process could not even be made
 * ("try again": V_TROUBLE).
 */
int filter_run(const struct filter_how *how, struct engine_job *job,
    const struct source *source, struct engine_result *r, struct verdict *v);

/*
 * Compiles one script in a filter process of its own that sees nothing else.
 * The image is added to image_r; nothing is, when the script has errors (the
 * run will tell them) or the process failed. 0, or -1 when none could be made.
 */
int filter_compile(const struct filter_how *how,
    const struct engine_settings *settings, const struct engine_script *script,
    struct buf *image_r, struct verdict *v);
/* Ends a warm process, if there is one; and says how many were replaced
 * because they crashed or overran, for the metrics. */
void filter_end(void);
unsigned filter_crashes(void);

#endif
