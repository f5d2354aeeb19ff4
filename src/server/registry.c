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
    uint32_t before = further_tunnels(a);
    a->main.tunnels = tunnels;
    if (a->main.crowd)
        a->main.crowd->tunnels += further_tunnels(a) - before;
    count(srv, srv->sessions, srv->tunnels - before + further_tunnels(a));
}

static void count_sessions(struct server *srv, uint32_t sessions)
{
    count(srv, sessions, srv->tunnels);
}

/* What there is beside a's session and its tunnels. */
struct others {
    uint32_t sessions, tunnels, sessions_of_source, tunnels_of_source, sessions_of_key;
};

/* Of those that count; without who would end for a's: one of its own id, unless a is refused. One that
   drains has its id no more, and stays. */
static struct others others_of(const struct agent *a)
{
    struct server *srv = a->worker->srv;
    const struct crowd *c = a->main.crowd;
    uint32_t own = further_tunnels(a);
    struct others n = {srv->sessions - 1, srv->tunnels - own, c->sessions - 1, c->tunnels - own,
                       a->main.of_key->sessions - 1};
    for (struct claim *i = NULL; (i = registry_namesake(&srv->registry, &a->claim, i));) {
        const struct agent *o = agent_of_claim(i);
        srv->looks++;
        if (!o->main.counts || i->state == CLAIM_RELEASED)
            continue;
        n.sessions--;
        n.sessions_of_key--;
        n.tunnels -= further_tunnels(o);
        if (o->main.crowd != c)
            continue;
        n.sessions_of_source--;
        n.tunnels_of_source -= further_tunnels(o);
    }
    return n;
}

/* Is there room for a's session with its tunnels, of all and of its source, beside those that stay? */
static bool has_room(const struct agent *a)
{
    const struct server *srv = a->worker->srv;
    struct others n = others_of(a);
    uint32_t own = further_tunnels(a);
    return account_takes_session(&srv->account, n.sessions, n.tunnels + own,
                                 quota_used(&srv->connections),
                                 account_places(n.sessions_of_source, n.tunnels_of_source + own));
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

static bool may_have_session(const struct agent *a)
{
    const struct rights *r = rights_of(a);
    return !r || others_of(a).sessions_of_key < (uint32_t)rights_limit(r, RIGHTS_SESSIONS, INT_MAX);
}

static bool may_have_tunnel(const struct agent *a)
{
    const struct rights *r = rights_of(a);
    return !r || (int)a->main.tunnels <= rights_limit(r, RIGHTS_TUNNELS, LEASES_MAX);
}

/* ---- numbers of sessions ---- */

/* Random ones of ours: hardly two begin alike. */
static uint32_t sid_key(const uint8_t sid[HELLO_SID_BYTES])
{
    uint32_t key;
    memcpy(&key, sid, sizeof key);
    return key;
}

static void sids_put(struct agent *a)
{
    a->main.has_session = true;
    a->main.by_sid.key = sid_key(a->sid);
    map_put(&a->worker->srv->sids, &a->main.by_sid);
}

static void sids_del(struct agent *a)
{
    if (a->main.has_session)
        map_del(&a->worker->srv->sids, &a->main.by_sid);
    a->main.has_session = false;
}

struct agent *owners_find(struct server *srv, const uint8_t sid[HELLO_SID_BYTES])
{
    for (struct map_node *n = map_get(&srv->sids, sid_key(sid)); n; n = map_next(n)) {
        struct agent *a = CONTAINER_OF(n, struct agent, main.by_sid);
        srv->looks++;
        if (memcmp(a->sid, sid, sizeof a->sid) == 0)
            return a;
    }
    return NULL;
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
    a->main.counts = crowds_join(a) == 0;
    if (!a->main.counts || !may_have_session(a) || !has_room(a)) {
        a->main.counts = false;
        crowds_leave(a);
        count_sessions(srv, srv->sessions - 1);
        refuse_for_room(a);
        return;
    }
    if (a->is_v2)
        sids_put(a);
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
    if (bytes > 0 && !a->main.is_away)
        reception_saw(a);
    a->main.is_away = bytes > 0;
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
    if (v->yields &&
        told_take(&srv->told, a->who.key, a->source, TOLD_LIFE, loop_now(&srv->loop), &left_out)) {
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
    crowds_init(srv);
    map_init(&srv->sids, NULL);
    waiting_init(&srv->waiting, WAITING_MAX_BYTES, WAITING_FLOOR_BYTES);
}

void owners_fini(struct server *srv)
{
    crowds_fini(srv);
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
    crowds_leave(a);
    sids_del(a);
    waiting_remove(&a->worker->srv->waiting, &a->main.waiting);
    registry_gone(&a->worker->srv->registry, &a->claim);
}
