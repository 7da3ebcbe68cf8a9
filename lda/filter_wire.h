/* Frames between the filter process and its master. Private to filter*.c. */
#ifndef LDA_FILTER_WIRE_H
#define LDA_FILTER_WIRE_H

#include "filters/engine.h"
#include "lda/filter.h"
#include "lda/filter_share.h"
#include "store/base/frame.h"

enum filter_frame {
	FILTER_RESULT = 1,	/* child: the plan; ends the run */
	FILTER_ASK,		/* child: a question of struct engine_world */
	FILTER_ANSWER,		/* master */
	FILTER_IMAGE,		/* child: a compiled script */
	FILTER_JOB,		/* master, to a warm process: message and all */
	FILTER_CONTENT,		/* child: what the policy says; first of all */
	FILTER_TYPES,		/* child: ask one that knows types; the end */
};

enum filter_question {
	ASK_MAILBOX_EXISTS, ASK_MAILBOX_BY_ID, ASK_SPECIAL_USE, ASK_METADATA,
	ASK_DUPLICATE_SEEN, ASK_LIST_HAS, ASK_LIST_KNOWN, ASK_ENVIRONMENT,
	ASK_INCLUDE, ASK_COUNT
};

/* Ceilings of what is believed. */
#define FILTER_SCRIPTS_MAX 1000
#define FILTER_ADDRESSES_MAX 1000
#define FILTER_ACTIONS_MAX 1100
#define FILTER_EDITIONS_MAX 1100
#define FILTER_NOTIFY_TO_MAX 1000
/* One answer: an included script is the longest. */
#define FILTER_ANSWER_MAX (17u * 1024 * 1024)
/* One question: a mailbox name, a list member, a key. */
#define FILTER_ASK_MAX (1024u * 1024)

/* A job with everything that it borrows; the world stays behind. */
void filter_encode_job(const struct engine_job *job,
    const struct filter_content *content, struct buf *out);
/* Strings borrow from `in`; the structs that *job points to live in the
 * arena. 0, or -1 when it is no job. */
int filter_decode_job(struct str in, struct arena *a, struct engine_job *job,
    struct filter_content *content_r);

/* The other half of FILTER_CONTENT: everything but what the caller asked.
 * Strings are copied to content->arena. 0, or -1 when it makes no sense. */
void filter_encode_content(const struct filter_content *content,
    struct buf *out);
int filter_decode_content(struct str in, struct filter_content *content);

/* What a filter knows of types. */
struct filter_types {
	const struct attachment_typer *typer;	/* NULL: it did not load */
	struct str why;				/* then */
};
/* Where a filter's frames go: 0, or -1 when nobody takes them. */
struct filter_ear {
	int (*hear)(void *arg, enum filter_frame type, struct str body);
	void *arg;
};
/*
 * What a filter does with one job: judges what is attached by the policy,
 * then, unless that settles it, runs the scripts; says FILTER_CONTENT when it
 * was asked for, then FILTER_RESULT. The same function in the confined
 * process and in the fuzzer. `types` NULL: it was made without; when they
 * turn out to be wanted it says FILTER_TYPES and ends the process.
 */
int filter_work(const struct engine *engine, struct engine_job *job,
    struct filter_content *content, const struct filter_types *types,
    const struct filter_ear *ear);

void filter_encode(const struct engine_result *r, struct buf *out);
/* Fills an initialised result; 0, or -1 when the frame is no plan. */
int filter_decode(struct str in, struct engine_result *r);
/* The plan of last resort: keep, and an error that says why. */
void filter_keep(struct engine_result *r, const char *why);

/* How a filter speaks: through the socket `fd`, once it has said so to a master
 * who waits at what they share (NULL: he listens to the socket). */
struct filter_mouth {
	int fd;
	struct filter_share *share;
};
/* One frame. 0, or -1 when nobody takes it. */
int filter_mouth_say(struct filter_mouth *m, enum filter_frame type,
    struct str body);

/* A world whose answers come from the master. */
void filter_world_remote(struct filter_mouth *mouth,
    struct engine_world *world, struct arena *a);
/* Answers one question from `world` into `out`; -1 when it is none. */
int filter_world_answer(const struct engine_world *world, struct str question,
    struct buf *out);

/* Takes everything from the process that a filter does not need. 0 or -1. */
int filter_confine(uint64_t memory, uint64_t cpu_ms);

#endif
