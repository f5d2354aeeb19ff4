/* SPDX-License-Identifier: MIT */
/*
 * The client's census: one line for the session that serves, or is to, with all tunnels; and one for each that
 * still drains beside it. There is one thread, so it is whole at once.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "client/internal.h"
#include "tunnel/census_fill.h"

/* ---- what is remembered of sessions that are over ---- */

void client_note_end(struct client *c, const struct uplink *u, enum end_reason reason,
                     const struct hello_answer *refusal)
{
    struct client_history *h = &c->history;
    mtime_ms now = loop_now(&c->loop);
    if (u->was_live && (c->asked == u || c->current == u)) {
        h->broke = end_reason_word(reason);
        h->broke_at = h->down_since = now;
    }
    if (u->was_live || c->current != u)
        return;
    h->failed_at = now;
    h->failed = refusal && refusal->error != HELLO_OK ? hello_error_word(refusal->error)
                                                      : end_reason_word(reason);
    h->is_refused = reason == END_AUTH || reason == END_REFUSED || reason == END_CERT ||
                    reason == END_CERT_TIME || reason == END_UNPROVEN || reason == END_LEGACY;
}

/* ---- tunnels ---- */

static enum census_state state_of_tunnel(const struct tunnel *t)
{
    switch (t->wish.state) {
    case WISH_REFUSED:
        if (!tunnel_port(t))
            return CENSUS_PORT_REFUSED;
        break; /* the one that it was to replace goes on */
    case WISH_IDLE:
    case WISH_ASKED:
        if (!tunnel_port(t))
            return CENSUS_OPENING;
        break;
    case WISH_OPEN:
        break;
    case WISH_CLOSING:
    case WISH_GONE:
    case WISH_STATES:
        return CENSUS_DRAINING;
    }
    return census_tally_state(t->service->tally);
}

static void put_refusal(struct census_part *p, struct census_tunnel *r, const struct tunnel *t,
                        mtime_ms now)
{
    const struct service_why *why = &t->wish.why;
    r->error = service_error_word(why->error);
    r->detail = census_text(p, *why->errno_word ? why->errno_word : why->by);
    r->error_ms = now - t->refused_at;
}

/* u: in whose session it is opened; NULL: in none. */
static void put_tunnel(struct census_part *p, struct census_client *k, const struct tunnel *t,
                       const struct uplink *u)
{
    const struct client *c = t->client;
    struct census_tunnel *r = census_tunnel_new(k);
    mtime_ms now = loop_now(&c->loop);
    char address[CLIENT_ADDRESS_MAX];
    bool is_first = list_first(&c->tunnels) == &t->node;
    bool is_old = u && !session_has_services(u->session);
    int32_t port = !u || (is_old && !is_first) ? 0 : is_old ? (int32_t)u->port : tunnel_port(t);
    if (!r)
        return;
    r->name = census_text(p, tunnel_shown_name(t));
    r->target = census_text(p, t->service->name);
    r->port = t->wish.wanted.port;
    census_put_tally(r, t->service->tally, false, now);
    if (port > 0) {
        client_public_address(address, c, port);
        r->address = census_text(p, address);
    }
    enum census_state own = is_old ? census_tally_state(t->service->tally) : state_of_tunnel(t);
    if (is_old && !is_first) {
        own = CENSUS_PORT_REFUSED;
        r->error = "legacy-server"; /* which has one port for a client */
        r->error_ms = -1;
    } else if (t->wish.state == WISH_REFUSED) {
        put_refusal(p, r, t, now);
    }
    r->state = census_tunnel_state(k->state, own);
}

/* Of those that close, the ones whose connections are counted nowhere else. */
static bool is_elsewhere(const struct client *c, const struct tunnel *leaving)
{
    list_foreach (n, &c->tunnels)
        if (LIST_ENTRY(n, struct tunnel, node)->service == leaving->service)
            return true;
    return tally_running(leaving->service->tally) == 0;
}

static void put_tunnels(struct census_part *p, struct census_client *k, const struct client *c,
                        const struct uplink *u)
{
    list_foreach (n, &c->tunnels)
        put_tunnel(p, k, LIST_ENTRY(n, struct tunnel, node), u);
    list_foreach (n, &c->leaving) {
        const struct tunnel *t = LIST_ENTRY(n, struct tunnel, node);
        if (!is_elsewhere(c, t))
            put_tunnel(p, k, t, u);
    }
}

/* ---- sessions ---- */

/* The last attempt to have a session has failed, since there is none. */
static bool has_failed(const struct client_history *h)
{
    return *h->failed && h->failed_at >= h->down_since;
}

static void put_history(struct census_client *k, const struct client *c)
{
    const struct client_history *h = &c->history;
    mtime_ms now = loop_now(&c->loop);
    k->resumes = h->resumes;
    if (has_failed(h) && k->proof_ms < 0) {
        k->error = h->failed;
        k->error_ms = now - h->failed_at;
    }
    if (*h->broke && (k->broke_ms < 0 || k->broke_ms > now - h->broke_at)) {
        k->broke = h->broke;
        k->broke_ms = now - h->broke_at;
        k->gap_ms = -1;
    }
}

/* There is no session. */
static void put_attempt(struct census_part *p, struct census_client *k, const struct client *c)
{
    const struct client_history *h = &c->history;
    k->address = census_text(p, c->opt->server);
    k->state = has_failed(h) && h->is_refused ? CENSUS_REFUSED : CENSUS_CONNECTING;
    k->state_ms = loop_now(&c->loop) - h->down_since;
    if (!c->current && uv_is_active((const uv_handle_t *)&c->retry))
        k->next_ms = (int64_t)uv_timer_get_due_in(&c->retry);
}

static const struct uplink *serving(const struct client *c)
{
    const struct uplink *u = c->asked ? c->asked : c->current;
    return u && u->session ? u : NULL;
}

static void put_serving(struct census_part *p, const struct client *c)
{
    const struct uplink *u = serving(c);
    struct census_client *k = census_client_new(p);
    if (!k)
        return;
    k->id = census_text(p, c->id);
    if (c->credential)
        k->name = census_text(p, c->credential->name);
    if (u)
        census_put_session(p, k, u->session);
    else
        put_attempt(p, k, c);
    put_history(k, c);
    put_tunnels(p, k, c, u);
}

static void put_beside(struct census_part *p, const struct client *c, const struct uplink *u)
{
    struct census_client *k = census_client_new(p);
    if (!k)
        return;
    k->id = census_text(p, c->id);
    census_put_session(p, k, u->session);
}

/* ---- all of it ---- */

static void put_process(struct census *c, const struct client *k)
{
    struct census_process *p = &c->process;
    p->mode = "client";
    p->version = GOTUNNEL_VERSION;
    p->address = census_own_text(c, k->opt->server);
    p->is_stopping = k->ended || signals_stop_asked(&k->signals);
    p->pid = getpid();
    p->now_s = time(NULL);
    p->begun_s = k->history.begun_s;
    p->connections = quota_used(&k->connections);
    p->connections_max = quota_max(&k->connections);
    p->reloads = k->history.reloads;
    p->reloads_failed = k->history.reloads_failed;
    p->dials = k->dials.took;
}

static void census_gather(void *ctx, struct census *c)
{
    struct client *k = ctx;
    struct census_part *p = census_part_new();
    put_process(c, k);
    if (p) {
        put_serving(p, k);
        list_foreach (n, &k->uplinks) {
            const struct uplink *u = LIST_ENTRY(n, struct uplink, node);
            if (u != serving(k) && u->session)
                put_beside(p, k, u);
        }
        p->worker.sessions = p->clients_count;
        p->worker.lag_us = 0; /* the loop that was asked has asked itself */
        for (enum census_refusal r = 0; r < CENSUS_REFUSALS; r++)
            p->refused[r] = k->history.refused[r];
        census_put_relays(p, &k->relays, false);
        census_add(c, p);
    }
    census_desk_done(&k->desk);
}

void client_census_init(struct client *c)
{
    static const struct census_ops ops = {census_gather, NULL};
    census_desk_init(&c->desk, &c->loop, &ops, c);
    c->history.begun_s = time(NULL);
    c->history.failed = c->history.broke = "";
    c->history.down_since = loop_now(&c->loop);
}

void client_census(void *ctx, struct census_ask *a)
{
    census_ask(&((struct client *)ctx)->desk, a);
}
