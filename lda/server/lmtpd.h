/*
 * vbox-lmtpd: the service.
 */
#ifndef LDA_SERVER_LMTPD_H
#define LDA_SERVER_LMTPD_H

/* The whole program; returns its exit status. */
int lmtpd_program(int argc, char **argv);

#endif
