/* SPDX-License-Identifier: MIT */
/*
 * Ids, ports and what waits, on the main thread: carries out what proto/session/registry and
 * proto/session/waiting decide, by messages to the workers.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "conf/rights.h"
#include "proto/hash.h"
#include "server/internal.h"
#include "tunnel/refusal.h"

static struct service *service_of_claim(struct claim *c)
{
    return CONTAINER_OF(c, struct service, claim);
}

/* Whose it is, itself or as the claim of one of its services. */
static struct agent *agent_of_claim(struct claim *c)
{
    return c->is_tunnel ? service_of_claim(c)->agent : CONTAINER_OF(c, struct agent, claim);
}

static void tell_worker(struct agent *a, struct message *m)
{
    mailbox_post(&a->worker->in, m);
}

/* The log knows who is in the way; the client, if it may. */
static void fill_refusal(struct agent *a, const struct registry_action *act)
{
    struct hello_answer *no = &a->main.refusal.answer;
    a->main.refusal =
        (struct opening_refusal){.answer = {.error = act->is_port ? HELLO_OK : HELLO_ERR_TAKEN},
                                 .err = ERR_INUSE,
                                 .port = a->claim.wanted};
    a->main.refused_by[0] = '\0';
    if (act->by)
        (void)snprintf(a->main.refused_by, sizeof a->main.refused_by, "%.*s", HELLO_WORD_BUF - 1,
                       agent_of_claim(act->by)->peer);
    if (act->by && claim_may_know(act->claim, act->by))
        memcpy(no->by, a->main.refused_by, sizeof no->by);
}

/* A service needs no word of being accepted: it listens, and has no older one. */
static void service_act(struct service *v, const struct registry_action *act)
{
    struct agent *a = v->agent;
    switch (act->kind) {
    case REGISTRY_OPEN:
        tell_worker(a, &v->orders.open_port);
        break;
    case REGISTRY_REFUSE:
        v->why = (struct service_why){.error = SERVICE_ERR_TAKEN};
        if (act->by && claim_may_know(act->claim, act->by))
            (void)snprintf(v->why.by, sizeof v->why.by, "%.*s", HELLO_WORD_BUF - 1,
                           agent_of_claim(act->by)->peer);
        tell_worker(a, &v->orders.refuse);
        break;
    case REGISTRY_YIELD:
        tell_worker(a, &v->orders.yield);
        break;
    case REGISTRY_ACCEPT:
    case REGISTRY_EVICT:
        break;
    }
}

static void owners_act(void *ctx, const struct registry_action *act)
{
    struct agent *a = agent_of_claim(act->claim);
    (void)ctx;
    if (act->claim->is_tunnel) {
        service_act(service_of_claim(act->claim), act);
        return;
    }
    switch (act->kind) {
    case REGISTRY_OPEN:
        tell_worker(a, &a->orders.open_port);
        break;
    case REGISTRY_ACCEPT:
        tell_worker(a, &a->orders.accept);
        break;
    case REGISTRY_REFUSE:
        fill_refusal(a, act);
        tell_worker(a, &a->orders.refuse);
        break;
    case REGISTRY_EVICT:
        if (!agent_of_claim(act->by)->work.is_quiet)
            event_session_replaced(a->name, agent_of_claim(act->by)->peer);
        tell_worker(a, &a->orders.evict);
        break;
    case REGISTRY_YIELD:
        break; /* a claim of the legacy wire keeps its port; others have none but their services' */
    }
}

/* ---- how many ---- */

enum { TELL_SESSIONS_MS = 60000 };

/* The crowd of a's source, with a in it; NULL without memory. */
static struct crowd *crowd_join(const struct agent *a)
{
    struct server *srv = a->worker->srv;
    struct crowd *c = NULL, *unused = NULL;
    for (struct crowd *o = srv->crowds; o && !c; o = o->next) {
        bool is_empty = o->sessions == 0 && quota_used(&o->users) == 0;
        if (is_empty)
            unused = o;
        else if (strcmp(o->source, a->source) == 0)
            c = o;
    }
    if (!c)
        c = unused;
    if (!c && (c = calloc(1, sizeof *c))) {
        quota_init(&c->users, UINT32_MAX);
        c->next = srv->crowds;
        srv->crowds = c;
    }
    if (c) {
        memcpy(c->source, a->source, sizeof c->source);
        c->sessions++;
    }
    return c;
}

static void crowd_leave(struct agent *a)
{
    if (a->main.crowd)
        a->main.crowd->sessions--;
    a->main.crowd = NULL;
}

/* There are so many sessions and further tunnels now, which leave that much to users. */
static void count(struct server *srv, uint32_t sessions, uint32_t tunnels)
{
    srv->sessions = sessions;
    srv->tunnels = tunnels;
    if (quota_set_max(&srv->connections,
                      account_users(&srv->account, account_places(sessions, tunnels))))
        reception_room(srv); /* some may have had to wait */
}

/* The first one's is in the account of the session. */
static uint32_t further_tunnels(const struct agent *a)
{
    return a->main.tunnels > 0 ? a->main.tunnels - 1 : 0;
}

static void count_tunnels(struct agent *a, uint32_t tunnels)
{
    struct server *srv = a->worker->srv;
    uint32_t others = srv->tunnels - further_tunnels(a);
    a->main.tunnels = tunnels;
    count(srv, srv->sessions, others + further_tunnels(a));
}

static void count_sessions(struct server *srv, uint32_t sessions)
{
    count(srv, sessions, srv->tunnels);
}

/* Does o's session stay beside one that a begins? One of its own id ends then, or a is refused; not
   so when it drains, and has its id no more. */
static bool stays_beside(const struct agent *a, const struct agent *o)
{
    return !claim_is_namesake(&a->claim, &o->claim) || o->claim.state == CLAIM_RELEASED;
}

/* Is there room for a's session with its tunnels, of all and of its source, beside those that stay? */
static bool has_room(const struct agent *a)
{
    const struct server *srv = a->worker->srv;
    uint32_t others = 0, of_source = 0;
    uint32_t tunnels = further_tunnels(a), tunnels_of_source = tunnels;
    list_foreach (n, &srv->agents) {
        const struct agent *o = LIST_ENTRY(n, struct agent, main.of_server);
        if (o == a || !o->main.counts || !stays_beside(a, o))
            continue;
        bool is_same = strcmp(o->source, a->source) == 0;
        others++;
        of_source += is_same;
        tunnels += further_tunnels(o);
        tunnels_of_source += is_same ? further_tunnels(o) : 0;
    }
    return account_takes_session(&srv->account, others, tunnels, quota_used(&srv->connections),
                                 account_places(of_source, tunnels_of_source));
}

/* A client that asks again and again writes one line a minute. */
static void refuse_for_room(struct agent *a)
{
    struct server *srv = a->worker->srv;
    mtime_ms now = loop_now(&srv->loop);
    if (now >= srv->tell_sessions_at) {
        srv->tell_sessions_at = now + TELL_SESSIONS_MS;
        event_sessions_full(a->source, srv->account.sessions_max,
                            account_sessions_of_source(&srv->account));
    }
    a->main.refusal = (struct opening_refusal){.answer = {.error = HELLO_ERR_BUSY}, .err = ERR_IO};
    tell_worker(a, &a->orders.refuse);
}

/* ---- what a client with a key may ---- */

/* The rights in the file of a's client; NULL: it has none, or its key is gone, which ends it (keys.c). */
static const struct rights *rights_of(const struct agent *a)
{
    return credentials_rights(a->worker->srv->keys, a->who.key);
}

static bool may_have_port(const struct agent *a, int64_t port)
{
    const struct rights *r = rights_of(a);
    return !r || rights_may_have_port(r, port);
}

/* Sessions of its key beside a, but for one of the same id. */
static int other_sessions(const struct agent *a)
{
    int n = 0;
    list_foreach (i, &a->worker->srv->agents) {
        const struct agent *o = LIST_ENTRY(i, struct agent, main.of_server);
        n += o != a && o->main.counts && stays_beside(a, o) && strcmp(o->who.key, a->who.key) == 0;
    }
    return n;
}

static bool may_have_session(const struct agent *a)
{
    const struct rights *r = rights_of(a);
    return !r || other_sessions(a) < rights_limit(r, RIGHTS_SESSIONS, INT_MAX);
}

static bool may_have_tunnel(const struct agent *a)
{
    const struct rights *r = rights_of(a);
    return !r || (int)a->main.tunnels <= rights_limit(r, RIGHTS_TUNNELS, LEASES_MAX);
}

/* ---- what workers say ---- */

static void owners_on_asked(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.asked);
    struct server *srv = a->worker->srv;
    reception_leave_place(a); /* from here on it counts as a session */
    if (!keys_stays(a)) {
        keys_end(a);
        return;
    }
    keys_watch(a);
    count_sessions(srv, srv->sessions + 1); /* no further user takes its place meanwhile */
    if (!may_have_session(a) || !has_room(a) || !(a->main.crowd = crowd_join(a))) {
        count_sessions(srv, srv->sessions - 1);
        refuse_for_room(a);
        return;
    }
    a->main.counts = true;
    a->main.has_session = a->is_v2;
    registry_ask(&srv->registry, &a->claim);
}

static void owners_on_opened(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.opened);
    registry_opened(&a->worker->srv->registry, &a->claim, a->work.opened_port);
}

static void owners_on_released(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.released);
    registry_released(&a->worker->srv->registry, &a->claim);
}

static void owners_on_waits(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.waits);
    struct waiting *w = &a->worker->srv->waiting;
    uint64_t bytes = atomic_load(&a->work.waiting_bytes);
    if (bytes == 0) {
        waiting_remove(w, &a->main.waiting);
        return;
    }
    uint64_t source = hash_text(a->source); /* stands for its client too */
    waiting_set_client(&a->main.waiting, source);
    waiting_put(w, &a->main.waiting, source, bytes - 1, atomic_load(&a->work.waiting_streams));
    for (struct waiting_entry *e; (e = waiting_victim(w));) {
        struct agent *v = CONTAINER_OF(e, struct agent, main.waiting);
        tell_worker(v, &v->orders.expire);
    }
}

/* ---- what workers say of services ---- */

/* A service that has no port any more, or none yet to come: its running users are in their own account. */
static void uncount_tunnel(struct service *v)
{
    if (v->counts)
        count_tunnels(v->agent, v->agent->main.tunnels - 1);
    v->counts = false;
}

static void service_on_asked(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, reports.asked);
    struct agent *a = v->agent;
    struct server *srv = a->worker->srv;
    v->counts = true;
    count_tunnels(a, a->main.tunnels + 1);
    bool has_right = may_have_port(a, v->claim.wanted);
    if (has_right && may_have_tunnel(a) && (further_tunnels(a) == 0 || has_room(a))) {
        registry_ask(&srv->registry, &v->claim);
        return;
    }
    v->why = (struct service_why){.error = has_right ? SERVICE_ERR_LIMIT : SERVICE_ERR_RIGHT};
    if (!has_right)
        (void)snprintf(v->why.errno_word, sizeof v->why.errno_word, "%s", REFUSAL_RIGHT);
    tell_worker(a, &v->orders.refuse);
}

static void service_on_opened(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, reports.opened);
    registry_opened(&v->agent->worker->srv->registry, &v->claim, v->opened_port);
}

static void service_on_yielded(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, reports.yielded);
    struct agent *a = v->agent;
    struct server *srv = a->worker->srv;
    struct claim *by = registry_waiter(&v->claim);
    unsigned left_out = 0;
    if (v->yields && told_take(&srv->told, a->who.key, a->source, TOLD_LIFE, loop_now(&srv->loop),
                               &left_out)) {
        if (left_out > 0)
            event_session_left_out(a->name, left_out);
        /* who has asked for it may be gone */
        event_port_yielded(a->name, v->opened_port, by ? agent_of_claim(by)->name : "-");
    }
    registry_yielded(&srv->registry, &v->claim, v->yields);
}

static void service_on_released(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, reports.released);
    uncount_tunnel(v);
    registry_released(&v->agent->worker->srv->registry, &v->claim);
}

static void service_on_gone(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, reports.gone);
    struct agent *a = v->agent;
    struct server *srv = a->worker->srv;
    uncount_tunnel(v);
    registry_gone(&srv->registry, &v->claim);
    tell_worker(a, &v->orders.forgotten);
}

void owners_init_service(struct service *v)
{
    message_init(&v->reports.asked, service_on_asked);
    message_init(&v->reports.opened, service_on_opened);
    message_init(&v->reports.yielded, service_on_yielded);
    message_init(&v->reports.released, service_on_released);
    message_init(&v->reports.gone, service_on_gone);
}

/* ---- the main thread ---- */

void owners_init(struct server *srv)
{
    registry_init(&srv->registry, owners_act, srv);
    waiting_init(&srv->waiting, WAITING_MAX_BYTES, WAITING_FLOOR_BYTES);
}

void owners_fini(struct server *srv)
{
    for (struct crowd *c; (c = srv->crowds);) {
        srv->crowds = c->next;
        free(c);
    }
}

void owners_init_agent(struct agent *a)
{
    a->claim.who = &a->who;
    a->claim.keeps_port = true; /* on the legacy wire who is away is over */
    message_init(&a->reports.asked, owners_on_asked);
    message_init(&a->reports.opened, owners_on_opened);
    message_init(&a->reports.released, owners_on_released);
    message_init(&a->reports.waits, owners_on_waits);
}

void owners_gone(struct agent *a)
{
    if (a->main.counts)
        count_sessions(a->worker->srv, a->worker->srv->sessions - 1);
    crowd_leave(a);
    waiting_remove(&a->worker->srv->waiting, &a->main.waiting);
    registry_gone(&a->worker->srv->registry, &a->claim);
}

/* Looked through once for each attempt to resume, which costs a handshake anyway. */
struct agent *owners_find(struct server *srv, const uint8_t sid[HELLO_SID_BYTES])
{
    list_foreach (n, &srv->agents) {
        struct agent *a = LIST_ENTRY(n, struct agent, main.of_server);
        if (a->main.has_session && memcmp(a->sid, sid, sizeof a->sid) == 0)
            return a;
    }
    return NULL;
}
