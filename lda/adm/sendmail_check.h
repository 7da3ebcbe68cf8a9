/*
 * vboxadm check sendmail, from within: what its parts know of each other.
 *
 *	sendmail_check.c		what is asked, and in which order
 *	sendmail_check_files.c		sockets, queues, what has changed since
 *	sendmail_check_mailers.c	who takes mail, and how
 *	sendmail_check_maps.c		maps, classes, the access table
 *	sendmail_check_addresses.c	where mail goes, and who may send it
 */
#ifndef LDA_ADM_SENDMAIL_CHECK_H
#define LDA_ADM_SENDMAIL_CHECK_H

#include "lda/adm/collect.h"
#include "lda/adm/finding.h"
#include "lda/adm/sendmail_bt.h"
#include "lda/adm/sendmail_cf.h"
#include "lda/resolve.h"

#define SENDMAIL_PATH "/usr/sbin/sendmail"
#define CF_MAX ((size_t)16 << 20)
/* Addresses that are tried when none is given, one of each kind; domains that
 * are searched for them. */
#define SAMPLES_MAX 12
#define SEARCHED_MAX 20
#define ADDRESSES_MAX 100
#define MAILERS_MAX 128
/* RFC 2606 and RFC 5737: nobody's domain, nobody's address. */
#define NOBODY "vbox-check-nobody"
#define ELSEWHERE "vbox-check.invalid"
/* Debian's access table refuses 192.0.2. */
#define STRANGER_ADDR "203.0.113.1"
#define STRANGER_NAME "stranger.invalid"

struct classes {
	size_t w, r, virthost, whole, j;
};

struct tried {
	struct str address, local, domain;
	size_t parse, check;		/* questions */
	struct verdict want;
};

struct check {
	struct adm *a;
	struct findings found;
	struct bt bt;
	struct buf cf_text;
	struct str cf, cf_path;
	struct collection domains;
	bool domains_known;
	struct resolver resolver;
	struct bt_mailer mailers[MAILERS_MAX];
	size_t mailer_count;
	bool map_way;			/* FEATURE(`vbox') with a socket map */
	bool class_way;			/* ... with a file of domains */
	bool table_way;			/* virtusertable and .virtuser */
	bool map_dead;			/* said already */
	struct tried tried[ADDRESSES_MAX];
	size_t tried_count;
};

#define SAY(c_, ...) \
	findings_say(&(c_)->found, &(struct finding){ __VA_ARGS__ })
#define TEXT(c_, ...) finding_text((c_)->a, __VA_ARGS__)

/* --- files ----------------------------------------------------------------------- */

/* With a NUL behind it, in the arena. */
const char *check_zero(struct check *c, struct str s);
/* The directory at or above `path` that others than root and its owner can
 * write to, which sendmail trusts nothing below; NULL when there is none. */
const char *check_open_directory(struct check *c, const char *path);
/* Does a list of sockets name this one? */
bool check_listed(const struct setting_list *list, const char *path);
/* Why nobody can talk to a socket of ours, and what to do; NULL, and *remedy_r
 * is left alone, when it is all right. */
const char *check_socket(struct check *c, const char *path,
    const char *setting, const struct setting_list *list,
    const char **remedy_r);
void check_queues(struct check *c);
/* The .cf and the files of classes are read when sendmail starts. */
void check_age(struct check *c);

/* --- mailers ---------------------------------------------------------------------- */

/* The answer to "=M"; fills c->mailers. */
void check_mailers(struct check *c, struct str answer);
const struct bt_mailer *check_find_mailer(const struct check *c,
    struct str name);
/* Does mail that goes to this mailer come to us? NULL: no. */
bool check_is_ours(const struct bt_mailer *m);

/* --- maps and classes -------------------------------------------------------------- */

void check_map(struct check *c, const struct cf_map *m, size_t question);
/* Maps that take "could not ask" for "not there". */
void check_marks(struct check *c);
void check_classes(struct check *c, const struct classes *q);
void check_dns_lists(struct check *c);
/* Questions first..first+n-1 asked the access table about a hosted domain. */
void check_access(struct check *c, size_t first, size_t n);

/* --- addresses ---------------------------------------------------------------------- */

/* Those that were given, or one of each kind. 0 or -1. */
int check_choose_addresses(struct check *c, struct verdict *v);
struct str check_first_domain(const struct check *c);
void check_address(struct check *c, const struct tried *t);
void check_open_relay(struct check *c, size_t question);
void check_relay_within(struct check *c, size_t question);
void check_whole_way(struct check *c);
void check_root(struct check *c);

#endif
