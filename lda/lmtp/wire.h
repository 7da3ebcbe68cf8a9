/*
 * The two ends of a connection, with deadlines: a socket, or standard input
 * and output. TLS is laid over it by whoever links it (server/tls.c), so that
 * vbox-deliver does not carry OpenSSL.
 */
#ifndef LDA_LMTP_WIRE_H
#define LDA_LMTP_WIRE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/str.h"

struct tls;

enum wire_want { WIRE_READ, WIRE_WRITE };

struct tls_ops {
	/* As read(2) and write(2); EAGAIN with *want_r says what to wait for. */
	ssize_t (*read)(struct tls *t, void *p, size_t n, enum wire_want *want_r);
	ssize_t (*write)(struct tls *t, const void *p, size_t n,
	    enum wire_want *want_r);
};

struct wire {
	int in, out;		/* borrowed, both non-blocking or both not */
	bool brisk;		/* wire_brisk() */
	unsigned reads;
	struct tls *tls;	/* NULL: in clear */
	const struct tls_ops *ops;
	/* Signals that may come while we wait for input, and only then; NULL:
	 * as they are. */
	const sigset_t *waiting;
};

enum wire_result {
	WIRE_OK,
	WIRE_END,		/* the peer closed, or broke */
	WIRE_TIMEOUT,
	WIRE_SIGNAL,		/* a signal came while waiting for input */
};

/* A blocking socket's input is waited for in the call that reads it, for a
 * moment: most clients answer at once, and that is one call less than asking
 * first. A signal that is held comes behind that moment, or with one of the
 * next reads of a client that never pauses. */
void wire_brisk(struct wire *w);
/* Reads what there is, at least one byte. `deadline` by clock_mono_ms(). */
enum wire_result wire_read(struct wire *w, void *p, size_t n,
    int64_t deadline, size_t *got_r);
/* Writes what goes without waiting and says how much that was; with TLS, or
 * where it is no socket, nothing. */
size_t wire_try(struct wire *w, struct str s);
/* Writes all of it. */
enum wire_result wire_write(struct wire *w, struct str s, int64_t deadline);

#endif
