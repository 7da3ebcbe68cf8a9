/*
 * The message on its way in: memory while it is small, an unlinked file in
 * spool_dir when it grows, never beyond the size limit.
 *
 *	spool_init(&sp, &how);
 *	spool_add(&sp, p, n, &v) ...		bytes with LF line ends
 *	spool_finish(&sp)			then sp.source and sp.body hold
 *	spool_reset(&sp)			for the next message
 *	spool_release(&sp)
 */
#ifndef LDA_SPOOL_H
#define LDA_SPOOL_H

#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/source.h"
#include "store/base/verdict.h"

struct spool_how {
	const char *dir;	/* for messages that outgrow memory */
	uint64_t memory;	/* bytes */
	uint64_t limit;		/* bytes; 0: none */
};

struct spool {
	struct spool_how how;
	struct buf mem;
	int fd;
	struct source source;
	uint64_t body;		/* where the body begins */
	/* while bytes come */
	uint64_t n;
	unsigned line;		/* bytes of the present line, up to 2 */
	char first;		/* first byte of the present line */
	bool body_found;
	enum { SPOOL_NAME, SPOOL_FIELD, SPOOL_TEXT } first_line;
};

void spool_init(struct spool *sp, const struct spool_how *how);
/* 0, or -1 with V_TOO_BIG, V_NO_SPACE ...; the spool must be reset then. */
int spool_add(struct spool *sp, const char *p, size_t n, struct verdict *v);
/* Where the next n bytes may be put without a copy between, and what tells that
 * m of them were: NULL where they have to be given to spool_add. */
char *spool_room(struct spool *sp, size_t n);
int spool_took(struct spool *sp, size_t m, struct verdict *v);
void spool_finish(struct spool *sp);
void spool_reset(struct spool *sp);
void spool_release(struct spool *sp);

#endif
