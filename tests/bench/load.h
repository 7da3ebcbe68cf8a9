/*
 * What the two clients of lmtpload share: the options, and the counting.
 *
 * A client is a function that runs in a thread of its own for each connection:
 * it connects, says load_ready(), and while load_more() takes one message
 * after another and counts each by load_done().
 */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct load_set {
	unsigned connections, recipients, users;
	size_t size;
	double seconds, warm;
	long messages;
	bool bdat;
	const char *group;	/* the server's control group, or NULL */
	const char *target, *address;
	char **argv;
	char *body;		/* with its final dot */
	size_t body_n;
};
extern struct load_set load_set;

struct load {
	pthread_t thread;
	unsigned number;
	long all;		/* recipients delivered, warm-up and all */
	long ok, messages;	/* the same in the time that counts */
	long refused;
	unsigned *took;
	size_t took_n;
};

/* Returns when every connection is there. */
void load_ready(void);
bool load_more(void);

/* One message, begun then (load_now()), with what became of its recipients. */
void load_done(struct load *, double began, unsigned ok, unsigned refused);
double load_now(void);

/* The address of the connection's nth recipient, cut to what fits. */
void load_address(const struct load *, unsigned nth, char *out, size_t size);

/* These end the program when they fail. */
int load_connect_unix(const char *path);
void load_put(int fd, const char *, size_t);

/* qmgrload.c: the client for postfix:PATH; takes and gives what a thread does. */
void *qmgr_run(void *);

#endif
