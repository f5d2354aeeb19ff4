/* SPDX-License-Identifier: MIT */
/*
 * The worker's side of what a client with a key may do. Whether it may have a session, a tunnel or a port that
 * it asks for is decided on the main thread (registry.c); here is what holds for those that it has.
 */
#include "conf/rights.h"
#include "server/internal.h"

/* NULL: the shared secret's, or of one who is about to be ended. */
static const struct rights *agent_rights(const struct agent *a)
{
    return credentials_rights(a->worker->keys, a->who.key);
}

bool agent_has_right(const struct agent *a, int64_t port)
{
    const struct rights *r = agent_rights(a);
    return !r || rights_may_have_port(r, port);
}

void agent_use_rights(struct agent *a)
{
    const struct rights *r = agent_rights(a);
    a->work.connections_max = r ? rights_limit(r, RIGHTS_CONNECTIONS, 0) : 0;
    a->work.rate_max = r ? rights_limit(r, RIGHTS_RATE, 0) : 0;
    services_allow(a, r ? rights_limit(r, RIGHTS_TUNNELS, 0) : 0);
    agent_look_at_port(a);
}
