/*
 * vbox-deliver: one message from standard input to one recipient.
 */
#ifndef LDA_DELIVER_H
#define LDA_DELIVER_H

/* The whole program; returns its exit status. */
int deliver_program(int argc, char **argv);

#endif
