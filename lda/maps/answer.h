/*
 * What the maps say: for a name of a map and a key, one answer. The same
 * resolver and the same verdicts as behind every other door (gate.h).
 *
 * For sendmail: virtuser, access, generics, mailertable, as the .cf calls
 * them; domain and recipient, for FEATURE(`vbox'). For Postfix:
 * virtual_mailbox_domains, virtual_mailbox_maps, virtual_alias_maps, transport,
 * recipient_access. Keys and values stand in vbox-lmtpd(8). A name may have
 * "vbox_" before it.
 */
#ifndef LDA_MAPS_ANSWER_H
#define LDA_MAPS_ANSWER_H

#include "lda/delivery.h"
#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* TEMP is 0: an answer that nobody filled in is not "not there". */
enum answer_kind { ANSWER_TEMP = 0, ANSWER_OK, ANSWER_NOTFOUND, ANSWER_PERM };

struct answer {
	enum answer_kind kind;
	struct str text;	/* the value, or why there is none */
};

/* Everything lives in the arena. PERM is a map that there is not. */
struct answer answer_map(const struct agent *agent, struct str map,
    struct str key, struct arena *a);
/* "550 5.1.1 User unknown": what an SMTP client is told. Printable ASCII. */
struct str answer_reply(const struct verdict *v, struct arena *a);
/* The names of the maps, for tests and help; NULL behind the last. */
const char *answer_name(size_t i);

#endif
