/*
 * The protocol of Postfix's policy delegation, from bytes to bytes: lines
 * NAME=VALUE and an empty line in, "action=..." and an empty line out. Read
 * are recipient, size and protocol_state. DUNNO for what is not ours: the rest
 * of the rules decide about that.
 *
 * A recipient that is refused is refused in any state that has one; a size
 * counts as soon as it is known.
 */
#ifndef LDA_MAPS_POLICY_H
#define LDA_MAPS_POLICY_H

#include "lda/maps/serve.h"

/* One request. Postfix sends less than 4 kB, certificates included. */
#define POLICY_REQUEST_MAX 32768

extern const struct map_protocol policy_protocol;

#endif
