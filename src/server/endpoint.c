/* SPDX-License-Identifier: MIT */
/* What is exposed for a client: a public TCP port, whose users become streams of its session. */
#include "base/event.h"
#include "base/log.h"
#include "net/sock.h"
#include "proto/hash.h"
#include "proto/smux/session.h"
#include "proto/unsent.h"
#include "server/internal.h"

static void endpoint_on_user(void *ctx, int fd, const struct sockaddr *addr)
{
    struct agent *a = ctx;
    struct worker *w = a->worker;
    struct smux_stream *st;
    char user[SOCK_NAME_MAX];

    if (!a->work.session || a->work.endpoint.users == SESSION_USERS_REFUSE) {
        sock_close_reset(fd); /* nobody knows when, or whether, the client comes back */
        return;
    }
    int err = session_open_stream(a->work.session, &st);
    struct relay *r = err < 0 ? NULL : relay_new(&w->relays, a->work.session, st);
    if (!r) {
        if (err == 0)
            smux_stream_close(st, loop_now(w->loop));
        if (agent_may_tell(a, &a->work.endpoint.lines))
            event_user_not_served(a->name, err_text(err < 0 ? err : ERR_NOMEM));
        sock_close_reset(fd);
        return;
    }
    if (log_enabled(LOG_LEVEL_DEBUG))
        event_user_connected(a->name, sock_name(user, addr));
    relay_set_source(r, hash_text(sock_source(user, addr)));
    relay_bound_unsent(r);
    relay_attach(r, fd);
    if (quota_is_full(w->relays.quota))
        worker_full(w);
}

/* One client, or all of one source, leaves users' connections to others (proto/account.h). */
static bool endpoint_may_accept(void *ctx)
{
    struct agent *a = ctx;
    const struct quota *all = a->worker->relays.quota;
    if (!a->work.session || a->work.endpoint.users == SESSION_USERS_REFUSE)
        return true; /* nothing is kept of whoever comes */
    uint32_t of_client = session_streams(a->work.session),
             of_source = quota_used(&a->main.crowd->users);
    if (account_takes_user(quota_max(all), quota_used(all), of_client, of_source))
        return true;
    mtime_ms now = loop_now(a->worker->loop);
    if (now >= a->work.endpoint.tell_crowded_at) {
        a->work.endpoint.tell_crowded_at = now + TELL_FULL_MS;
        event_users_wait_for_client(a->name, of_client, of_source);
    }
    return false;
}

static void endpoint_on_pause(void *ctx, int err)
{
    struct agent *a = ctx;
    event_port_paused(a->name, err_text(err));
}

static void endpoint_look(struct agent *a, bool full)
{
    if (a->work.endpoint.listener)
        listener_pause(a->work.endpoint.listener,
                       full || a->work.endpoint.users == SESSION_USERS_HOLD);
}

int endpoint_open(struct agent *a, int port, struct errmsg *why)
{
    static const struct listener_events events = {.on_accept = endpoint_on_user,
                                                  .on_pause = endpoint_on_pause,
                                                  .may_accept = endpoint_may_accept};
    struct listener_config cfg = {.host = a->worker->srv->public_host,
                                  .port = port,
                                  .for_users = true,
                                  .unsent_max = UNSENT_FIRST};
    int err = listener_open(a->worker->loop, &cfg, &events, a, &a->work.endpoint.listener, why);
    if (err == 0)
        endpoint_users(a, SESSION_USERS_HOLD);
    return err;
}

void endpoint_users(struct agent *a, enum session_users what)
{
    a->work.endpoint.users = what;
    endpoint_look(a, a->worker->full);
}

void endpoint_pause(struct agent *a, bool full)
{
    endpoint_look(a, full);
}

void endpoint_close(struct agent *a)
{
    listener_close(a->work.endpoint.listener);
    a->work.endpoint.listener = NULL;
}
