/*
 * The same step for several things at the same time, by threads that live as
 * long as the step: what they wait for is the disk, which serves many as fast
 * as one. The step must touch nothing but its own thing.
 */
#ifndef LDA_TOGETHER_H
#define LDA_TOGETHER_H

#include <stddef.h>

/* Threads of one step, the caller's among them. */
#define TOGETHER_MOST 8

/* step(things[i]) for all of them; returns when all are through. A thread that
 * cannot be had is done without. */
void together(void (*step)(void *thing), void **things, size_t n);

#endif
