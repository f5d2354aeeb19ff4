/* SPDX-License-Identifier: MIT */
/* The tunnels of a client, whichever rows of its options say them. Pure. */
#pragma once

#include "conf/options.h"

/* It has one tunnel, which is of no list. */
bool client_has_sole(const struct client_options *o);

/* All of them, one or more: the list of o, or the only one, which is then in *room. Memory stays that of o. */
struct tunnels client_tunnels(const struct client_options *o, struct tunnel_option *room);
