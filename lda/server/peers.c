#include "lda/server/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "store/base/num.h"

struct bytes {
	unsigned char b[16];
	unsigned bits;
};

static bool
of_peer(const struct sockaddr_storage *peer, struct bytes *x)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (peer->ss_family == AF_INET) {
		memcpy(x->b, &((const struct sockaddr_in *)peer)->sin_addr, 4);
		x->bits = 32;
		return true;
	}
	if (peer->ss_family != AF_INET6)
		return false;
	memcpy(x->b, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
	x->bits = 128;
	if (memcmp(x->b, mapped, sizeof(mapped)) == 0) {
		memmove(x->b, x->b + 12, 4);
		x->bits = 32;
	}
	return true;
}

static bool
is_in(const char *network, const struct bytes *x)
{
	struct str s = str_of(network), host;
	char text[PEER_TEXT];
	unsigned char net[16];
	uint64_t bits = x->bits;

	(void)str_split(&s, '/', &host); /* one part at least */
	if (host.n >= sizeof(text))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	if (inet_pton(x->bits == 32 ? AF_INET : AF_INET6, text, net) != 1)
		return false;
	if (s.p && num_u64(s, x->bits, &bits) < 0)
		return false;
	for (unsigned i = 0; i < bits; i++)
		if ((net[i / 8] ^ x->b[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

bool
peers_have(const struct setting_list *networks,
    const struct sockaddr_storage *peer)
{
	struct bytes x;

	if (!of_peer(peer, &x))
		return false;
	for (size_t i = 0; i < networks->n; i++)
		if (is_in(networks->v[i], &x))
			return true;
	return false;
}

void
peer_text(const struct sockaddr_storage *peer, char text[PEER_TEXT])
{
	struct bytes x;

	if (!of_peer(peer, &x) || !inet_ntop(x.bits == 32 ? AF_INET : AF_INET6,
	    x.b, text, PEER_TEXT))
		memcpy(text, "local", sizeof("local"));
}
