/* SPDX-License-Identifier: MIT */
/*
 * The server's census: the main thread asks each worker by one message, each fills in its part and posts it back.
 *
 *   main: gather --count--> worker: fills --counted--> main: census_add(); the last one: done
 *
 * A worker that has not answered in time is silent. Its part may come later, and is thrown away then.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/internal.h"
#include "tunnel/census_fill.h"

/* ---- the worker's side ---- */

static enum census_state state_of_service(const struct service *v)
{
    switch (v->lease.state) {
    case LEASE_ASKED:
    case LEASE_GRANTED:
        return CENSUS_OPENING;
    case LEASE_OPEN:
        return census_tally_state(v->tally);
    case LEASE_DRAINING:
    case LEASE_OVER:
    case LEASE_STATES:
        break;
    }
    return CENSUS_DRAINING;
}

static void put_listener(struct census_part *p, struct census_tunnel *t, const struct listener *l)
{
    if (l)
        t->address = census_text(p, listener_address(l));
}

static void put_services(struct census_part *p, struct census_client *k, const struct agent *a)
{
    mtime_ms now = loop_now(a->worker->loop);
    list_foreach (n, &a->work.services->all) {
        const struct service *v = LIST_ENTRY(n, struct service, of_agent);
        struct census_tunnel *t = census_tunnel_new(k);
        if (!t)
            return;
        t->name = census_text(p, v->lease.wanted.name);
        t->port = v->lease.wanted.port;
        t->state = census_tunnel_state(k->state, state_of_service(v));
        put_listener(p, t, v->endpoint.listener);
        census_put_tally(t, v->tally, true, now);
    }
}

/* The legacy wire: the session and its port are one. */
static void put_port(struct census_part *p, struct census_client *k, const struct agent *a)
{
    struct census_tunnel *t = a->work.tally ? census_tunnel_new(k) : NULL;
    if (!t)
        return;
    t->port = a->claim.wanted;
    t->state = census_tunnel_state(k->state, census_tally_state(a->work.tally));
    put_listener(p, t, a->work.endpoint.listener);
    census_put_tally(t, a->work.tally, true, loop_now(a->worker->loop));
}

static void put_client(struct census_part *p, const struct agent *a)
{
    struct census_client *k = census_client_new(p);
    if (!k)
        return;
    k->name = census_text(p, a->who.key);
    k->id = census_text(p, a->who.id);
    census_put_session(p, k, a->work.session);
    if (a->work.services)
        put_services(p, k, a);
    else
        put_port(p, k, a);
    p->worker.sessions++;
}

static void census_on_count(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, census.count);
    struct census_part *p = census_part_new();
    w->census.part = p;
    if (p) {
        p->worker.lag_us = (int64_t)((uv_hrtime() - w->census.posted) / 1000);
        memcpy(p->refused, w->census.refused, sizeof p->refused);
        census_put_relays(p, &w->relays, true);
        list_foreach (n, &w->agents) {
            const struct agent *a = LIST_ENTRY(n, struct agent, work.node);
            if (a->work.session && !a->work.over)
                put_client(p, a);
        }
    }
    mailbox_post(&w->srv->in, &w->census.counted);
}

/* ---- the main thread's ---- */

static void add_silent(struct census *c)
{
    struct census_part *p = census_part_new();
    if (!p)
        return; /* then it lacks that, too */
    p->worker.is_silent = true;
    census_add(c, p);
}

static void check_whole(struct server *srv)
{
    if (srv->census.awaited > 0)
        return;
    srv->census.made = NULL;
    census_desk_done(&srv->census.desk);
}

static void census_on_counted(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, census.counted);
    struct server *srv = w->srv;
    struct census_part *p = w->census.part;
    bool is_awaited = w->census.is_counting && srv->census.made;
    w->census.part = NULL;
    w->census.is_asked = w->census.is_counting = false;
    if (!is_awaited) {
        census_part_free(p);
        return;
    }
    if (p)
        census_add(srv->census.made, p);
    else
        add_silent(srv->census.made);
    srv->census.awaited--;
    check_whole(srv);
}

static void put_process(const struct server *srv, struct census *c)
{
    struct census_process *p = &c->process;
    unsigned sessions = 0, trusted = 0;
    for (unsigned i = 0; i < srv->workers_count; i++) {
        sessions += srv->workers[i].sessions;
        trusted += srv->workers[i].trusted;
    }
    p->mode = "server";
    p->version = GOTUNNEL_VERSION;
    p->address = srv->tunnel_port ? census_own_text(c, listener_address(srv->tunnel_port)) : "";
    p->is_stopping = srv->draining || srv->ended;
    p->trouble = *srv->trouble.text ? "certificate" : "";
    p->pid = getpid();
    p->now_s = time(NULL);
    p->begun_s = srv->census.begun_s;
    p->connections = quota_used(&srv->connections);
    p->connections_max = quota_max(&srv->connections);
    p->unauthenticated = sessions - trusted;
    if (srv->gate)
        p->unauthenticated += gate_waiting(srv->gate);
    if (srv->proxy_gate)
        p->unauthenticated += proxy_gate_waiting(srv->proxy_gate);
    for (enum stranger_kind k = STRANGER_CONNECTED + 1; k < STRANGER_KINDS; k++)
        census_count(&p->auth_failures, stranger_word(k), srv->census.failures[k]);
    p->reloads = srv->census.reloads;
    p->reloads_failed = srv->census.reloads_failed;
}

/* One that has not answered the last time either is not asked again: its message is still on its way. At the end
   nobody is asked: a worker that is over has no mailbox. */
static void census_gather(void *ctx, struct census *c)
{
    struct server *srv = ctx;
    unsigned count = srv->ended ? 0 : srv->workers_count;
    put_process(srv, c);
    srv->census.made = c;
    srv->census.awaited = 0;
    for (unsigned i = 0; i < count; i++)
        srv->census.awaited += !srv->workers[i].census.is_asked;
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = &srv->workers[i];
        w->census.is_counting = !w->census.is_asked;
        if (w->census.is_asked) {
            add_silent(c);
            continue;
        }
        w->census.is_asked = true;
        w->census.posted = uv_hrtime();
        mailbox_post(&w->in, &w->census.count);
    }
    check_whole(srv);
}

static void census_give_up(void *ctx, struct census *c)
{
    struct server *srv = ctx;
    for (unsigned i = 0; i < srv->workers_count; i++) {
        struct worker *w = &srv->workers[i];
        if (w->census.is_counting)
            add_silent(c);
        w->census.is_counting = false;
    }
    srv->census.awaited = 0;
    check_whole(srv);
}

void census_init(struct server *srv)
{
    static const struct census_ops ops = {census_gather, census_give_up};
    census_desk_init(&srv->census.desk, &srv->loop, &ops, srv);
    srv->census.begun_s = time(NULL);
}

void census_init_worker(struct worker *w)
{
    message_init(&w->census.count, census_on_count);
    message_init(&w->census.counted, census_on_counted);
}

void server_census(void *ctx, struct census_ask *a)
{
    census_ask(&((struct server *)ctx)->census.desk, a);
}
