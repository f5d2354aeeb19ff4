/* SPDX-License-Identifier: MIT */
/*
 * What the service manager hears of the server: that it is ready, what it does, and that it lives.
 *
 * With each beat every worker gets a ping. When all have answered, through the main thread's
 * mailbox, the watchdog is told that the program is alive: so one loop that hangs, the main one
 * included, is enough to be found. A round that is not complete is never followed by another.
 */
#include "base/i18n.h"
#include "server/internal.h"

static void tell_status(struct server *srv)
{
    unsigned sessions = 0, connections = quota_used(&srv->connections);
    for (unsigned i = 0; i < srv->workers_count; i++)
        sessions += srv->workers[i].trusted;
    if (srv->draining)
        notify_status(&srv->notify,
                      P_("stopping: %u connection", "stopping: %u connections", connections),
                      connections);
    else if (*srv->trouble.text)
        notify_status(&srv->notify, _("no client can connect: %s"), srv->trouble.text);
    else
        notify_status(&srv->notify, _("listening on %s, sessions: %u, connections: %u"),
                      listener_address(srv->tunnel_port), sessions, connections);
}

static void watchdog_on_beat(void *ctx)
{
    struct server *srv = ctx;
    tell_status(srv);
    if (srv->workers_pinged > 0)
        return; /* somebody has not answered */
    srv->workers_pinged = srv->workers_count;
    for (unsigned i = 0; i < srv->workers_count; i++)
        mailbox_post(&srv->workers[i].in, &srv->workers[i].ping);
}

void watchdog_worker_alive(struct server *srv)
{
    if (--srv->workers_pinged == 0)
        notify_alive(&srv->notify);
}

void watchdog_begin(struct server *srv)
{
    tell_status(srv);
    notify_ready(&srv->notify);
    notify_begin(&srv->notify, &srv->loop, watchdog_on_beat, srv);
}
