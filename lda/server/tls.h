/*
 * STARTTLS by OpenSSL. The context is made once, with the key read while
 * that is allowed; each connection makes its own state of it.
 */
#ifndef LDA_SERVER_TLS_H
#define LDA_SERVER_TLS_H

#include <stdint.h>

#include "lda/lmtp/wire.h"
#include "store/base/verdict.h"

struct tls_site;

/* Certificate chain and key in PEM. NULL with *v set. */
struct tls_site *tls_site_open(const char *cert, const char *key,
    struct verdict *v);
void tls_site_close(struct tls_site **site);

/* Shakes hands as the server; the wire is secure afterwards. 0 or -1. */
int tls_accept(struct tls_site *site, struct wire *w, int64_t deadline);
/* Says goodbye and forgets; nothing when the wire is in clear. */
void tls_finish(struct wire *w);

#endif
