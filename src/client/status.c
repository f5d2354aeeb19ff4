/* SPDX-License-Identifier: MIT */
/* What a client says of itself: to a person, and to the service manager. */
#include "base/event.h"
#include "base/i18n.h"
#include "client/internal.h"

/* ---- status ---- */

/* For a person who has asked by a signal: a line for each session, and the totals. */
void client_status(void *ctx)
{
    struct client *c = ctx;
    unsigned sessions = 0;
    list_foreach (n, &c->uplinks) {
        const struct uplink *u = LIST_ENTRY(n, struct uplink, node);
        uplink_tell(u);
        sessions += u->session != NULL;
    }
    if (list_empty(&c->uplinks))
        event_uplink_status(c->opt->server, *c->id ? c->id : "-",
                            _("waits before it connects again"), 0U, 0, 0);
    tunnels_tell(c);
    event_status_totals(sessions, quota_used(&c->connections), quota_max(&c->connections),
                        c->relays.received, c->relays.sent);
}

/* ---- the service manager ---- */

static void tell_session(struct client *c, const struct uplink *u)
{
    uint32_t n = session_streams(u->session);
    bool has_services = session_has_services(u->session);
    const struct tunnel *sole = tunnels_sole(c);
    if (has_services && !sole)
        notify_status(&c->notify,
                      P_("server %s, tunnels open: %u of %u: %s, %u connection",
                         "server %s, tunnels open: %u of %u: %s, %u connections", n),
                      c->opt->server, tunnels_open(c), c->opt->tunnels.count, uplink_state(u), n);
    else
        notify_status(&c->notify,
                      P_("server %s, public port %lld: %s, %u connection",
                         "server %s, public port %lld: %s, %u connections", n),
                      c->opt->server, has_services ? (long long)tunnel_port(sole) : u->port,
                      uplink_state(u), n);
}

/* One that has no more than a tunnel which is not open serves nobody. */
static bool is_up(const struct client *c)
{
    const struct session *s = c->current ? c->current->session : NULL;
    return s && (!session_has_services(s) || !tunnels_sole(c) || tunnels_open(c) > 0);
}

void client_tell_manager(struct client *c)
{
    if (signals_stop_asked(&c->signals))
        notify_status(&c->notify,
                      P_("stopping: %u connection", "stopping: %u connections", c->relays.count),
                      c->relays.count);
    else if (is_up(c))
        tell_session(c, c->current);
    else if (*c->trouble.text)
        notify_status(&c->notify, "%s", c->trouble.text);
    else
        notify_status(&c->notify, _("connecting to %s"), c->opt->server);
}

void client_on_beat(void *ctx)
{
    client_tell_manager(ctx);
    notify_alive(&((struct client *)ctx)->notify); /* there is no loop but this one */
}
