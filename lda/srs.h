/*
 * The Sender Rewriting Scheme: a forwarded message leaves with a sender of
 * our own domain, so that SPF at its target holds, and a bounce finds the way
 * back.
 *
 *	fred@a.example       ->  SRS0=HHHHHHHH=TT=a.example=fred@SRS_DOMAIN
 *	SRS0=...@b.example   ->  SRS1=HHHHHHHH=b.example==...@SRS_DOMAIN
 *
 * HHHHHHHH is 40 bits of HMAC-SHA-256 in base32, TT the day in base32. The
 * first hop is kept, so addresses do not grow from hop to hop. Hashes and
 * time stamps are compared without case, since some hosts fold it.
 */
#ifndef LDA_SRS_H
#define LDA_SRS_H

#include <stdbool.h>
#include <time.h>

#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* A bounce that comes later than this is not ours any more. */
#define SRS_DAYS 21
/* Lines of a secrets file, least and most bytes of each. */
#define SRS_SECRETS 16
#define SRS_SECRET_MIN 8
#define SRS_SECRET_MAX 256

struct srs;

enum srs_answer {
	SRS_DONE,	/* the address is in out */
	SRS_NOT_OURS,	/* no SRS address: leave it as it is */
	SRS_REFUSED,	/* looks like one, but hash, time or form are wrong;
			 * verdict V_UNKNOWN_USER */
};

/*
 * The secrets of a file: the first line signs, all verify, so that a new one
 * can be put in front. Empty lines and those with # do not count. Readable by
 * others: V_CONFIG. 0 or -1.
 */
int srs_open(const char *path, struct srs **srs_r, struct verdict *v);
/* The same from text. */
int srs_parse(struct str text, struct srs **srs_r, struct verdict *v);
void srs_close(struct srs **srs);

/*
 * The sender to forward with. SRS_NOT_OURS for the null sender, for one whose
 * domain is `domain` already, and for one that has no domain. SRS_REFUSED
 * (with V_TROUBLE) when it does not fit.
 */
enum srs_answer srs_forward(const struct srs *srs, struct str sender,
    struct str domain, time_t now, struct buf *out, struct verdict *v);
/* Where mail to `local`@SRS_DOMAIN goes. */
enum srs_answer srs_reverse(const struct srs *srs, struct str local,
    time_t now, struct buf *out, struct verdict *v);
/* Has the local part the form of an SRS address (right or wrong)? */
bool srs_is(struct str local);

#endif
