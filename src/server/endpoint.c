/* SPDX-License-Identifier: MIT */
/* What is exposed for a client: a public TCP port, whose users become streams of its session. */
#include <stdio.h>

#include "base/event.h"
#include "base/log.h"
#include "net/sock.h"
#include "proto/hash.h"
#include "proto/smux/session.h"
#include "proto/unsent.h"
#include "server/internal.h"

/* How many new users each client is given. */
static struct bucket_rate user_rate(const struct agent *a)
{
    int own = a->work.rate_max, all = a->worker->opt->client_rate;
    uint64_t n = (uint64_t)(own > 0 && (all == 0 || own < all) ? own : all);
    return (struct bucket_rate){.per_s = n,
                                .burst = n > ENDPOINT_BURST_PART ? n / ENDPOINT_BURST_PART : 1};
}

/* What the connection is for, and whose it is. */
static void say_user(struct smux_open *open, const struct service *v, int fd,
                     const struct sockaddr *addr)
{
    *open = (struct smux_open){0};
    if (!v)
        return; /* its client has one tunnel */
    open->service = v->lease.svc;
    open->visitor = sock_address(addr);
    open->local = sock_own_address(fd);
    open->visitor.scope = open->local.scope = 0;
    if (open->local.family != open->visitor.family)
        open->local = open->visitor = (struct address){0};
}

/* A tunnel without a name is called by its port. */
static void begin_visit(const struct endpoint *e, struct relay *r, const char *user)
{
    const struct worker *w = e->agent->worker;
    char port[16];
    if (!w->opt->log_visitors)
        return;
    (void)snprintf(port, sizeof port, "%d", listener_port(e->listener));
    relay_set_visit(r, visit_new(e->agent->name, e->service ? e->service->lease.wanted.name : port,
                                 user, loop_now(w->loop)));
}

static void endpoint_on_user(void *ctx, int fd, const struct sockaddr *addr)
{
    struct endpoint *e = ctx;
    struct agent *a = e->agent;
    struct worker *w = a->worker;
    struct smux_stream *st;
    struct smux_open open;
    char user[SOCK_NAME_MAX];

    if (!a->work.session || a->work.users == SESSION_USERS_REFUSE) {
        w->census.refused[w->stopping ? CENSUS_STOPPING : CENSUS_NOBODY_THERE]++;
        sock_close_reset(fd); /* nobody knows when, or whether, the client comes back */
        return;
    }
    struct bucket_rate rate = user_rate(a);
    (void)bucket_take(&a->work.user_bucket, &rate, 1,
                      loop_now(w->loop)); /* endpoint_wait_before() */
    say_user(&open, e->service, fd, addr);
    int err = session_open_stream(a->work.session, &open, &st);
    struct relay *r = err < 0 ? NULL : relay_new(&w->relays, a->work.session, st);
    if (!r) {
        if (err == 0)
            smux_stream_close(st, loop_now(w->loop));
        w->census.refused[CENSUS_NO_ROOM]++;
        if (agent_may_tell(a, TOLD_USERS))
            event_user_not_served(a->name, err_text(err < 0 ? err : ERR_NOMEM));
        sock_close_reset(fd);
        return;
    }
    if (log_enabled(LOG_LEVEL_DEBUG))
        event_user_connected(a->name, sock_name(user, addr));
    relay_set_source(r, hash_text(sock_source(user, addr)));
    begin_visit(e, r, sock_name(user, addr));
    relay_bound_unsent(r);
    if (e->service) {
        relay_count_at(r, e->service->tally);
        services_count(e->service);
    } else {
        relay_count_at(r, a->work.tally);
    }
    relay_attach(r, fd);
    if (quota_is_full(w->relays.quota))
        worker_full(w);
}

/* Until when users wait because more come than -client-rate allows: a second at the most. */
static mtime_ms wait_for_rate(const struct endpoint *e, mtime_ms now)
{
    struct agent *a = e->agent;
    struct bucket_rate rate = user_rate(a);
    mtime_ms wait = bucket_due(&a->work.user_bucket, &rate, 1, now) - now;
    if (wait > 0 && now >= a->work.tell_rate_at && listener_has_waiting(e->listener)) {
        a->work.tell_rate_at = now + TELL_FULL_MS;
        if (agent_may_tell(a, TOLD_USERS))
            event_users_wait_for_rate(a->name, (unsigned)rate.per_s);
    }
    return wait;
}

/* One client, or all of one source, leaves users' connections to others (proto/account.h), and has so
   many new ones a second. Nobody is refused: who waits is in the kernel's backlog. */
static mtime_ms endpoint_wait_before(void *ctx)
{
    struct agent *a = ((struct endpoint *)ctx)->agent;
    const struct quota *all = a->worker->relays.quota;
    mtime_ms now = loop_now(a->worker->loop);
    if (!a->work.session || a->work.users == SESSION_USERS_REFUSE)
        return 0; /* nothing is kept of whoever comes */
    uint32_t of_client = session_streams(a->work.session),
             of_source = quota_used(&a->main.crowd->users);
    uint32_t most = (uint32_t)a->work.connections_max;
    bool has_right = most == 0 || of_client < most;
    if (has_right && account_takes_user(quota_max(all), quota_used(all), of_client, of_source))
        return wait_for_rate(ctx, now);
    if (now >= a->work.tell_crowded_at) {
        a->work.tell_crowded_at = now + TELL_FULL_MS;
        if (agent_may_tell(a, TOLD_USERS))
            event_users_wait_for_client(a->name, of_client, of_source);
    }
    return LISTENER_PAUSE_MS;
}

static void endpoint_on_pause(void *ctx, int err)
{
    struct endpoint *e = ctx;
    if (agent_may_tell(e->agent, TOLD_USERS))
        event_port_paused(e->agent->name, err_text(err));
}

static void endpoint_look(struct endpoint *e, bool full)
{
    listener_pause(e->listener, full || e->agent->work.users == SESSION_USERS_HOLD);
}

void endpoint_init(struct endpoint *e, struct agent *a)
{
    *e = (struct endpoint){.agent = a};
    list_init(&e->of_agent);
}

int endpoint_open(struct endpoint *e, int port, struct errmsg *why)
{
    static const struct listener_events events = {.on_accept = endpoint_on_user,
                                                  .on_pause = endpoint_on_pause,
                                                  .wait_before = endpoint_wait_before};
    struct worker *w = e->agent->worker;
    struct listener_config cfg = {
        .host = w->srv->public_host, .port = port, .for_users = true, .unsent_max = UNSENT_FIRST};
    int err = listener_open(w->loop, &cfg, &events, e, &e->listener, why);
    if (err == 0) {
        list_push(&e->agent->work.endpoints, &e->of_agent);
        endpoint_look(e, w->full);
    }
    return err;
}

void endpoint_close(struct endpoint *e)
{
    listener_close(e->listener);
    e->listener = NULL;
    list_del(&e->of_agent);
}

/* ---- all of a client ---- */

void endpoints_init(struct agent *a)
{
    list_init(&a->work.endpoints);
    endpoint_init(&a->work.endpoint, a);
    a->work.users = SESSION_USERS_HOLD;
}

void endpoints_close(struct agent *a)
{
    for (struct list *n; (n = list_first(&a->work.endpoints));)
        endpoint_close(LIST_ENTRY(n, struct endpoint, of_agent));
}

void endpoints_users(struct agent *a, enum session_users what)
{
    a->work.users = what;
    endpoints_pause(a, a->worker->full);
}

void endpoints_pause(struct agent *a, bool full)
{
    list_foreach (n, &a->work.endpoints)
        endpoint_look(LIST_ENTRY(n, struct endpoint, of_agent), full);
}
