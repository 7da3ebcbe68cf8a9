/*
 * The filter process: strangers' bytes are read where nothing can be lost.
 *
 * A child with no file system, no network, no exec, bounded memory and time
 * runs the engine over the message; it asks the world through frames, and
 * its plan comes back as frames that we distrust. When it crashes, overruns
 * its time or says nonsense, the plan is a keep and an error says why: no
 * message is lost or loops because of what it holds.
 *
 * It is made on demand, and only when a script or a content policy applies: a
 * mailbox without both pays nothing. A process that delivers many messages keeps it warm:
 * one filter for one worker, replaced after a crash, an overrun or
 * FILTER_JOBS messages, so that what one message did to it does not last.
 * A message that is not in memory gets a filter of its own, which maps it, and
 * so does each message for an engine that is not trusted (libsieve).
 */
#ifndef LDA_FILTER_H
#define LDA_FILTER_H

#include "filters/content.h"
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

/* CPU time for the policy, beside that for scripts: all ceilings of
 * filters/attachment.h together take less than a second. */
#define FILTER_CONTENT_CPU_MS 5000

/* A question about what is attached, and the answer. */
struct filter_content {
	struct str rules;	/* asked: filters/content.h; empty: no policy */
	bool list;		/* asked: a line for each in the trace */
	bool known;		/* not asked: `facts` has the answer already,
				 * which scripts are to see */
	struct arena *arena;	/* for what follows */
	bool judged;		/* false: could not look, and why */
	struct str why;
	struct content_facts facts;
	uint64_t count;		/* attachments and members */
};

struct filter_how {
	const struct engine *engine;
	bool sandbox;
	uint64_t timeout_ms;	/* wall clock, the whole run */
	uint64_t cpu_ms;
	uint64_t memory;	/* bytes beside the message; 0: no limit */
	enum filter_life life;
	const char *database;	/* libmagic's; opened when types are wanted */
};

/*
 * Maps the database of types and loads libmagic once, for filters of a
 * process that will not be able to open files. 0, or -1 with a verdict: then
 * a policy that applies says so.
 */
int filter_preload(const char *database, struct verdict *v);

/*
 * Runs job->scripts over the message in `source` (job->message is set here).
 * r is initialised by the caller and holds a plan afterwards, whatever
 * happens: the scripts', or none when the policy of `content` (may be NULL)
 * refuses the message or puts it elsewhere. What the policy said stands even
 * when a script crashes afterwards. 0, or -1 with a verdict when the process could not even be made
 * ("try again": V_TROUBLE).
 */
int filter_run(const struct filter_how *how, struct engine_job *job,
    const struct source *source, struct filter_content *content,
    struct engine_result *r, struct verdict *v);

/*
 * Compiles one script in a filter process of its own that sees nothing else.
 * The image is added to image_r; nothing is, when the script has errors (the
 * run will tell them) or the process failed. 0, or -1 when none could be made.
 */
int filter_compile(const struct filter_how *how,
    const struct engine_settings *settings, const struct engine_script *script,
    struct buf *image_r, struct verdict *v);
/* Ends a warm process, if there is one. */
void filter_end(void);
/* How many were replaced because they crashed, or overran their time. */
unsigned filter_crashes(void);
unsigned filter_overruns(void);

#endif
