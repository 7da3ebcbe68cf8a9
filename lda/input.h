/*
 * The message on standard input and its sender, for the programs that take
 * one letter from a pipe: vbox-deliver and `vboxadm explain`.
 *
 *	struct input in = { .given_sender = ..., .env_sender = ... };
 *	input_sender(&in, &v)		optional, before anything is read
 *	input_read(&in, &spool, &v)	then in.envelope has the sender
 */
#ifndef LDA_INPUT_H
#define LDA_INPUT_H

#include <stdbool.h>

#include "lda/envelope.h"
#include "lda/spool.h"

struct input {
	const char *given_sender;	/* -f; may be NULL */
	const char *env_sender;		/* $SENDER; may be NULL */
	struct envelope envelope;
	bool used;			/* all of it was read */
	char copy[ENVELOPE_ADDRESS_MAX + 1];
};

/* The sender that was given, if one was: a refusal before the message is read
 * should name it. 0, or -1 when it is no address. */
int input_sender(struct input *in, struct verdict *v);
/*
 * Reads all of standard input into an initialised spool and finishes it. The
 * sender is -f, else the From_ line, else $SENDER, else the null sender. A
 * From_ line is envelope, never part of the message.
 */
int input_read(struct input *in, struct spool *spool, struct verdict *v);

#endif
