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

void client_tell_manager(struct client *c)
{
    if (signals_stop_asked(&c->signals))
        notify_status(&c->notify, _("stopping: %u connections"), c->relays.count);
    else if (c->current && c->current->session && session_has_services(c->current->session))
        notify_status(&c->notify, _("server %s, %u of %u tunnels: %s, %u connections"),
                      c->opt->server, tunnels_open(c), c->opt->tunnels.count,
                      uplink_state(c->current), session_streams(c->current->session));
    else if (c->current && c->current->session)
        notify_status(&c->notify, _("server %s, public port %lld: %s, %u connections"),
                      c->opt->server, c->current->port, uplink_state(c->current),
                      session_streams(c->current->session));
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
