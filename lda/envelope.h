/*
 * The envelope: who sent a message and how it came. Addresses are judged
 * here, once, before anything of them goes into a mailbox, a header or a log.
 */
#ifndef LDA_ENVELOPE_H
#define LDA_ENVELOPE_H

#include "store/base/str.h"
#include "store/base/verdict.h"

/* RFC 5321 section 4.5.3.1 plus room for SRS and for UTF-8. */
#define ENVELOPE_ADDRESS_MAX 1000

struct envelope {
	struct str sender;	/* without <>; empty: the null sender */
	struct str protocol;	/* "LMTP", "UTF8LMTP", ...; empty: by argv,
				 * where no Received field is added */
	struct str client;	/* who connected, for Received; may be empty */
	struct str helo;
	/* The SMTP client of the MTA (XFORWARD, XCLIENT); empty: not told. */
	struct str remote_host, remote_ip;
	/* RFC 3461; p NULL: not given. */
	struct str ret, envid;
};

/*
 * May this stand in an envelope? No control character, no NUL (a line break in
 * a sender must not reach an mbox), not over-long. Empty is the null
 * sender. 0, or -1 with V_BAD_ADDRESS.
 */
int envelope_check(struct str address, struct verdict *v);
/* "<a@b>" and "a@b" give a@b; "<>" gives the empty str; blanks around are
 * dropped. */
struct str envelope_strip(struct str text);
/*
 * The sender in a From_ line, "From SENDER  Sat Nov ...": the word behind
 * "From ", which may be quoted. MAILER-DAEMON is the null sender, and so is no
 * word at all (two spaces). False when the line is no From_ line.
 */
bool envelope_from_line(struct str line, struct str *sender_r);
/* Splits at the last '@' that is not quoted: local (with its quotes taken
 * off when it needs none) and domain (empty when there is none). */
void envelope_split(struct str address, struct str *local_r,
    struct str *domain_r);

#endif
