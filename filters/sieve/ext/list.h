/*
 * All capabilities. Each is a const table in a file of its own; some small
 * relatives share one.
 */
#ifndef FILTERS_SIEVE_EXT_LIST_H
#define FILTERS_SIEVE_EXT_LIST_H

#include "filters/sieve/registry.h"

#define EXT_LIST(X) \
	X(fileinto) X(reject) X(ereject) X(envelope) X(encoded_character) \
	X(cmp_octet) X(cmp_casemap) X(cmp_numeric) X(cmp_unicode) \
	X(relational) X(regex) X(variables) X(subaddress) X(copy) X(body) \
	X(imap4flags) X(vacation) X(vacation_seconds) X(date) X(index) \
	X(mailbox) X(mboxmetadata) X(servermetadata) X(special_use) \
	X(environment) X(include) X(duplicate) X(editheader) X(ihave) \
	X(mime) X(foreverypart) X(extracttext) \
	X(enotify) X(spamtest) X(spamtestplus) X(virustest) X(extlists) \
	X(fcc) X(envelope_dsn) X(redirect_dsn) X(envelope_deliverby) \
	X(redirect_deliverby) X(envelope_auth) X(mailboxid) X(debug) \
	X(dovecot_environment) X(attachment) X(replace) X(enclose)

extern const struct sieve_ext ext_core;
#define EXT(name) extern const struct sieve_ext ext_##name;
EXT_LIST(EXT)
#undef EXT

#endif
