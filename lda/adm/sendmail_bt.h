/*
 * sendmail's test mode (sendmail -bt), asked many questions at once.
 *
 *	struct bt bt;
 *	bt_init(&bt, "/usr/sbin/sendmail", NULL, &arena);
 *	i = bt_ask(&bt, "3,0 %s", address);
 *	bt_run(&bt, &v)
 *	bt_answer(&bt, i)
 *	bt_release(&bt);
 *
 * After bt_run() new questions may be asked and bt_run() called again; each
 * run starts sendmail once.
 */
#ifndef LDA_ADM_SENDMAIL_BT_H
#define LDA_ADM_SENDMAIL_BT_H

#include <stdbool.h>
#include <stddef.h>

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* Questions of one check; a run takes a fraction of a second for all. */
#define BT_QUESTIONS 512
/* sendmail looks for its own name in the DNS first, which may take a minute. */
#define BT_TIMEOUT_MS 180000

struct bt_mailer {
	struct str name, program, flags, argv;
	struct str user;		/* "0:0", "-1:-1": not given */
};

struct bt {
	const char *sendmail;
	const char *conf;		/* NULL: its own */
	struct arena *arena;
	struct str question[BT_QUESTIONS], answer[BT_QUESTIONS];
	size_t count, done;
	struct str preamble;		/* of the last run: version, warnings */
	struct buf said;
};

void bt_init(struct bt *b, const char *sendmail, const char *conf,
    struct arena *arena);
void bt_release(struct bt *b);
/* The number of the question; past BT_QUESTIONS the last one is lost, and
 * its answer is empty. */
size_t bt_ask(struct bt *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* 0, or -1: sendmail cannot be run, or what was run has no test mode. */
int bt_run(struct bt *b, struct verdict *v);
struct str bt_question(const struct bt *b, size_t i);
/* Lines, without prompts. */
struct str bt_answer(const struct bt *b, size_t i);

/* The first line that has `what` in it; empty: none. */
struct str bt_line(struct str text, const char *what);
/* What a rule set returns in the end: "$# vbox $@ d . test $: ..."; empty
 * when it did not run. */
struct str bt_returns(struct str answer, struct str ruleset);
/* The mailer of "$# MAILER ..."; empty for anything else. */
struct str bt_mailer_of(struct str returned);
/* "5.1.1" of "$# error $@ 5 . 1 . 1 $: ..." in the arena; empty otherwise. */
struct str bt_code_of(struct str returned, struct arena *arena);
/* The value that a map returned; p is NULL when it had none. */
struct str bt_value(struct str answer);
/* Is the word a line of its own (class listings)? */
bool bt_lists(struct str answer, struct str word);
/* Takes the next mailer off an answer to "=M". */
bool bt_next_mailer(struct str *rest, struct bt_mailer *m_r);

#endif
