#include "lda/together.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* A step needs little; the preset of 8 MB is address space for nothing. */
#define STACK ((size_t)256 * 1024)

struct work {
	void (*step)(void *thing);
	void **things;
	size_t n;
	atomic_size_t next;
};

static void *
run(void *arg)
{
	struct work *w = arg;
	size_t i;

	while ((i = atomic_fetch_add(&w->next, 1)) < w->n)
		w->step(w->things[i]);
	return NULL;
}

void
together(void (*step)(void *thing), void **things, size_t n)
{
	struct work w = { .step = step, .things = things, .n = n };
	pthread_t threads[TOGETHER_MOST - 1];
	size_t want = n < TOGETHER_MOST ? n : TOGETHER_MOST, have = 0;
	pthread_attr_t attr;

	if (want > 1 && pthread_attr_init(&attr) == 0) {
		/* Refused sizes leave the preset. */
		(void)pthread_attr_setstacksize(&attr, STACK);
		while (have + 1 < want && pthread_create(&threads[have], &attr,
		    run, &w) == 0)
			have++;
		(void)pthread_attr_destroy(&attr);
	}
	(void)run(&w);
	while (have > 0)
		(void)pthread_join(threads[--have], NULL); /* ours */
}
