#include "lda/server/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>

#include "store/base/clock.h"
#include "store/base/mem.h"

struct tls_site {
	SSL_CTX *ctx;
};

struct tls {
	SSL *ssl;
};

static int
refuse(struct verdict *v, const char *what, const char *path)
{
	char why[160];

	ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
	ERR_clear_error();
	return verdict_set(v, V_CONFIG, "%s %s: %s", what, path, why);
}

struct tls_site *
tls_site_open(const char *cert, const char *key, struct verdict *v)
{
	struct tls_site *site = mem_zalloc(1, sizeof(*site));

	site->ctx = SSL_CTX_new(TLS_server_method());
	if (!site->ctx) {
		refuse(v, "TLS", "cannot start");
	} else if (SSL_CTX_set_min_proto_version(site->ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_use_certificate_chain_file(site->ctx, cert) != 1) {
		refuse(v, "tls_cert", cert);
	} else if (SSL_CTX_use_PrivateKey_file(site->ctx, key,
	    SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(site->ctx) != 1) {
		refuse(v, "tls_key", key);
	} else {
		(void)SSL_CTX_set_options(site->ctx, SSL_OP_NO_RENEGOTIATION |
		    SSL_OP_NO_COMPRESSION);
		(void)SSL_CTX_set_mode(site->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
		    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		return site;
	}
	tls_site_close(&site);
	return NULL;
}

void
tls_site_close(struct tls_site **site)
{
	if (!*site)
		return;
	SSL_CTX_free((*site)->ctx);
	free(*site);
	*site = NULL;
}

/* What a failed call waits for, as errno EAGAIN, or EIO. */
static ssize_t
failed(struct tls *t, int result, enum wire_want *want_r)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*want_r = WIRE_READ;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		*want_r = WIRE_WRITE;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		ERR_clear_error();
		errno = EIO;
		return -1;
	}
}

static ssize_t
tls_read(struct tls *t, void *p, size_t n, enum wire_want *want_r)
{
	int r = SSL_read(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);

	return r > 0 ? r : failed(t, r, want_r);
}

static ssize_t
tls_write(struct tls *t, const void *p, size_t n, enum wire_want *want_r)
{
	int r = SSL_write(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);

	return r > 0 ? r : failed(t, r, want_r);
}

static const struct tls_ops ops = { tls_read, tls_write };

static int
shake(struct tls *t, int fd, int64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd };
		enum wire_want want;
		int64_t left;
		int r = SSL_accept(t->ssl);

		if (r == 1)
			return 0;
		if (failed(t, r, &want) == 0 || errno != EAGAIN)
			return -1;
		p.events = want == WIRE_READ ? POLLIN : POLLOUT;
		left = deadline - clock_mono_ms();
		if (left <= 0 || (poll(&p, 1, left > INT_MAX ? INT_MAX :
		    (int)left) < 0 && errno != EINTR))
			return -1;
	}
}

int
tls_accept(struct tls_site *site, struct wire *w, int64_t deadline)
{
	struct tls *t = mem_zalloc(1, sizeof(*t));
	int flags = fcntl(w->in, F_GETFL);

	/* OpenSSL reads more than once for one answer: no call of its may wait. */
	t->ssl = SSL_new(site->ctx);
	if (!t->ssl || flags < 0 ||
	    fcntl(w->in, F_SETFL, flags | O_NONBLOCK) < 0 || SSL_set_fd(t->ssl, w->in) != 1 ||
	    shake(t, w->in, deadline) < 0) {
		ERR_clear_error();
		SSL_free(t->ssl);
		free(t);
		return -1;
	}
	w->tls = t;
	w->ops = &ops;
	return 0;
}

void
tls_finish(struct wire *w)
{
	if (!w->tls)
		return;
	(void)SSL_shutdown(w->tls->ssl); /* a courtesy */
	ERR_clear_error();
	SSL_free(w->tls->ssl);
	free(w->tls);
	w->tls = NULL;
	w->ops = NULL;
}
