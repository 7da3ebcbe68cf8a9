/*
 * The part of Postfix's queue manager that a delivery agent sees, for lmtpload:
 *
 *	lmtpload [options] postfix:SOCKET ADDRESS QUEUE-ID OFFSET SIZE PLACE...
 *
 * Connection N asks for the file active/QUEUE-ID-N (N as two hexadecimal
 * digits, no dash) to be delivered, again and again; its message begins at
 * OFFSET and has SIZE bytes, and the records of its recipients lie at each
 * PLACE, where the agent writes that they are done. As the queue manager does,
 * it connects anew for each request, and the agent is free for the next when
 * that connection is closed.
 *
 * Attributes are NAME NUL VALUE NUL, a list of them ends with another NUL. What
 * is said here was read from a trace of Postfix 3.7.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "load.h"

#define DELETE_THE_DONE "3"	/* flags: mark recipients delivered or bounced */
#define GREETING "protocol\0delivery_request_protocol\0"
#define ANSWER_END "\0\0"

struct request {
	char b[65536];
	size_t n;
};

/* How long the message was where: a struct in the agent's own layout. */
struct message_times {
	struct timeval arrived, active, handed_on, connected, delivered;
	int reused;
};

static void
add(struct request *q, const char *text)
{
	size_t n = strlen(text) + 1;

	if (n > sizeof(q->b) - q->n)
		errx(1, "too many recipients for one request");
	memcpy(q->b + q->n, text, n);
	q->n += n;
}

static void
attribute(struct request *q, const char *name, const char *value)
{
	add(q, name);
	add(q, value);
}

static void
base64(const void *from, size_t n, char *out)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = from;

	for (size_t i = 0; i < n; i += 3) {
		unsigned bits = (unsigned)p[i] << 16;

		if (i + 1 < n)
			bits |= (unsigned)p[i + 1] << 8;
		if (i + 2 < n)
			bits |= p[i + 2];
		*out++ = digit[bits >> 18];
		*out++ = digit[bits >> 12 & 63];
		*out++ = i + 1 < n ? digit[bits >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digit[bits & 63] : '=';
	}
	*out = '\0';
}

static void
stamp(struct request *q)
{
	struct message_times t;
	char text[4 * (sizeof(t) / 3 + 1) + 1];

	memset(&t, 0, sizeof(t));
	gettimeofday(&t.arrived, NULL);
	t.active = t.arrived;
	base64(&t, sizeof(t), text);
	attribute(q, "time", text);
}

static void
recipients(const struct load *l, struct request *q)
{
	char address[256], original[300];

	for (unsigned i = 0; i < load_set.recipients; i++) {
		load_address(l, i, address, sizeof(address));
		snprintf(original, sizeof(original), "rfc822;%s", address);
		attribute(q, "original_recipient", address);
		attribute(q, "recipient", address);
		attribute(q, "offset", load_set.argv[3 + i]);
		attribute(q, "dsn_orig_rcpt", original);
		attribute(q, "notify_flags", "0");
		add(q, "");
	}
}

static void
compose(const struct load *l, struct request *q)
{
	char text[128];

	q->n = 0;
	attribute(q, "flags", DELETE_THE_DONE);
	attribute(q, "queue_name", "active");
	snprintf(text, sizeof(text), "%s%02X", load_set.argv[0], l->number);
	attribute(q, "queue_id", text);
	attribute(q, "offset", load_set.argv[1]);
	attribute(q, "size", load_set.argv[2]);
	attribute(q, "nexthop", strchr(load_set.address, '@') + 1);
	attribute(q, "encoding", "");
	attribute(q, "smtputf8", "0");
	attribute(q, "sender", "sender@client.test");
	attribute(q, "envelope_id", "");
	attribute(q, "ret_flags", "0");
	stamp(q);
	attribute(q, "log_client_name", "client.test");
	attribute(q, "log_client_address", "127.0.0.1");
	attribute(q, "log_client_port", "4242");
	attribute(q, "log_protocol_name", "ESMTP");
	attribute(q, "log_helo_name", "client.test");
	attribute(q, "sasl_method", "");
	attribute(q, "sasl_username", "");
	attribute(q, "sasl_sender", "");
	attribute(q, "log_ident", text);
	attribute(q, "rewrite_context", "local");
	snprintf(text, sizeof(text), "%u", load_set.recipients);
	attribute(q, "recipient_count", text);
	add(q, "");
	recipients(l, q);
}

/* Reads up to the end of a list of attributes, which is all that is sent. */
static size_t
answer(int fd, char *out, size_t size)
{
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, out + n, size - n, 0);

		if (got <= 0)
			errx(1, "the agent closed the connection");
		n += (size_t)got;
		if (n >= 3 && memcmp(out + n - 2, ANSWER_END, 2) == 0 &&
		    out[n - 3] != '\0')
			return n;
		if (n == size)
			errx(1, "the agent's answer has no end");
	}
}

/* An agent that bounces says 0 as well: whoever asks counts the mailboxes. */
static bool
delivered(const char *said, size_t n)
{
	static const char good[] = "status\0" "0\0";

	return n >= sizeof(good) &&
	    memcmp(said + n - sizeof(good), good, sizeof(good)) == 0;
}

void *
qmgr_run(void *arg)
{
	struct load *l = arg;
	struct request *q = malloc(sizeof(*q));
	char said[4096];

	if (!q)
		err(1, "malloc");
	for (unsigned i = 0; i < 3 + load_set.recipients; i++)
		if (!load_set.argv[i])
			errx(64, "postfix:SOCKET ADDRESS QUEUE-ID OFFSET SIZE "
			    "PLACE... (a place for each recipient)");
	if (!strchr(load_set.address, '@'))
		errx(64, "%s: no domain", load_set.address);
	load_ready();
	while (load_more()) {
		double began = load_now();
		int fd = load_connect_unix(load_set.target + strlen("postfix:"));
		size_t n = answer(fd, said, sizeof(said));
		bool ok;

		if (n != sizeof(GREETING) || memcmp(said, GREETING, n) != 0)
			errx(1, "this is no delivery agent");
		compose(l, q);
		load_put(fd, q->b, q->n);
		ok = delivered(said, answer(fd, said, sizeof(said)));
		close(fd);
		load_done(l, began, ok ? load_set.recipients : 0,
		    ok ? 0 : load_set.recipients);
	}
	free(q);
	return NULL;
}
