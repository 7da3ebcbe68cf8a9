/*
 * Is a TCP peer in one of these networks? "192.0.2.0/24", "2001:db8::1".
 */
#ifndef LDA_SERVER_PEERS_H
#define LDA_SERVER_PEERS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "lda/settings.h"

/* Room for an address as text. */
#define PEER_TEXT 64

bool peers_have(const struct setting_list *networks,
    const struct sockaddr_storage *peer);
/* "192.0.2.1", "2001:db8::1", or "local" for a unix socket. */
void peer_text(const struct sockaddr_storage *peer, char text[PEER_TEXT]);

#endif
