/* SPDX-License-Identifier: MIT */
/* A client's tunnels as one list. */
#include "conf/client_tunnels.h"

bool client_has_sole(const struct client_options *o)
{
    return o->tunnels.count == 0;
}

struct tunnels client_tunnels(const struct client_options *o, struct tunnel_option *room)
{
    if (!client_has_sole(o))
        return tunnels_view(&o->tunnels);
    return tunnels_of_one(room, o->sole_name, (int32_t)o->remote_port, o->local_target);
}
