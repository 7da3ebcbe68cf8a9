/*
 * The command line of vbox-deliver, in each of the forms that it is called.
 */
#ifndef LDA_ARGS_H
#define LDA_ARGS_H

#include <stdbool.h>

#include "store/base/str.h"
#include "store/base/verdict.h"

enum args_what {
	ARGS_DELIVER,
	ARGS_LMTP,		/* -l */
	ARGS_HELP,
	ARGS_VERSION,
};

struct args {
	enum args_what what;
	const char *conf;	/* -c; NULL: the usual place */
	const char *sender;	/* -f; NULL: not given */
	const char *folder;	/* -m; "" or NULL: INBOX */
	struct str local, domain;
	struct str detail;	/* -e */
	struct str original;	/* -o, or dovecot-lda's -a */
	bool rehearsal;		/* -n */
	bool json;		/* -j */
	bool system_user;	/* --system-user: local is an account of this
				 * machine, domain is empty */
};

/* 0, or -1 with V_USAGE. Everything is borrowed from argv. */
int args_parse(int argc, char **argv, struct args *a_r, struct verdict *v);
extern const char args_usage[];

#endif
