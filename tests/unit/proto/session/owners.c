/* SPDX-License-Identifier: MIT */
/* Clients and workers that do what they like: see owners.h. */
#include "owners.h"

#undef NDEBUG /* its asserts are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/session/registry.h"

enum { PEERS = 8, FIRST_PORT = 80, PORTS = 4, NONCES = 64 };

enum answer { NOT_ANSWERED, ACCEPTED, REFUSED };

/* In memory of its own, so that a late look at it is seen. */
struct seat {
    struct claim c;
    struct claimant who;
};

struct peer {
    struct claim *c; /* of a seat; NULL: gone */
    enum answer answer;
    bool opens, yields; /* has to answer OPEN, YIELD */
    bool evicted, released;
    bool has_ended;   /* a session was evicted for it */
    int64_t promised; /* a port that it will get, because a session was ended for it; 0: none */
    int listens;
};

struct world {
    struct registry r;
    struct rng *rng;
    struct peer peers[PEERS];
    struct peer *asks; /* in registry_ask() just now */
    bool asks_overtook;
    uint8_t nonces;
    struct owners_seen seen;
};

static bool chance(struct world *w, uint32_t of)
{
    return rng_below(w->rng, of) == 0;
}

static struct peer *peer_of(struct world *w, const struct claim *c)
{
    for (unsigned i = 0; c && i < PEERS; i++)
        if (w->peers[i].c == c)
            return &w->peers[i];
    return NULL;
}

static bool are_namesakes(const struct peer *a, const struct peer *b)
{
    return a != b && a->c && b->c && *a->c->who->id && strcmp(a->c->who->id, b->c->who->id) == 0 &&
           strcmp(a->c->who->key, b->c->who->key) == 0;
}

static bool is_pending(const struct peer *p)
{
    return p->c && p->answer == NOT_ANSWERED;
}

static bool serves(const struct peer *p)
{
    return p->c && p->answer == ACCEPTED && !p->released;
}

static bool may_replace(const struct peer *p, const struct peer *older)
{
    bool named = false;
    for (unsigned i = 0; i < p->c->who->mine.count; i++)
        named |= p->c->who->mine.nonces[i][0] == older->c->who->nonce[0];
    return named || p->c->who->take;
}

/* ---- what the registry may do ---- */

static void on_open(struct world *w, struct peer *p)
{
    assert(is_pending(p) && !p->opens && p->listens == 0);
    for (struct peer *o = w->peers; o < w->peers + PEERS; o++) {
        if (o == p || !o->c || p->c->wanted == 0)
            continue;
        assert(o->listens != p->c->wanted);
        assert(!o->opens || o->c->wanted != p->c->wanted);
        assert(o->promised != p->c->wanted || !is_pending(o));
    }
    p->opens = true;
}

static void on_accept(struct world *w, struct peer *p)
{
    assert(is_pending(p) && p->listens != 0);
    for (struct peer *o = w->peers; o < w->peers + PEERS; o++)
        assert(!are_namesakes(o, p) || !serves(o));
    p->answer = ACCEPTED;
    w->seen.accepted++;
}

static void on_refuse(struct world *w, struct peer *p, struct peer *by, bool is_port)
{
    assert(is_pending(p) && by && by != p);
    if (is_port) {
        assert(serves(by) && by->listens == p->c->wanted && !p->has_ended && p->promised == 0);
        w->seen.no_port++;
    } else if (p == w->asks) {
        assert(are_namesakes(p, by) && !may_replace(p, by));
        assert(!p->has_ended && !w->asks_overtook && !by->evicted);
        w->seen.taken++;
    } else {
        assert(by == w->asks && are_namesakes(p, by));
        assert(may_replace(by, p));
        int64_t sure = p->listens ? p->listens : p->promised;
        if (sure == by->c->wanted)
            by->promised = sure;
        w->asks_overtook = true;
        w->seen.overtaken++;
    }
    p->answer = REFUSED;
}

static void on_evict(struct world *w, struct peer *p, struct peer *by)
{
    assert(serves(p) && !p->evicted && by && is_pending(by) && are_namesakes(p, by));
    assert(may_replace(by, p));
    if (by->listens == 0) {
        assert(p->listens != 0 && p->listens == by->c->wanted);
        by->promised = by->c->wanted;
    }
    p->evicted = by->has_ended = true;
    w->seen.evicted++;
}

static void on_yield(struct world *w, struct peer *p, const struct peer *by)
{
    assert(serves(p) && !p->evicted && !p->yields && by && is_pending(by));
    assert(p->listens == by->c->wanted && !are_namesakes(p, by));
    p->yields = true;
    w->seen.yields++;
}

static void on_act(void *ctx, const struct registry_action *a)
{
    struct world *w = ctx;
    struct peer *p = peer_of(w, a->claim), *by = peer_of(w, a->by);
    assert(p && (by || !a->by));
    switch (a->kind) {
    case REGISTRY_OPEN:
        on_open(w, p);
        break;
    case REGISTRY_ACCEPT:
        on_accept(w, p);
        break;
    case REGISTRY_REFUSE:
        on_refuse(w, p, by, a->is_port);
        break;
    case REGISTRY_EVICT:
        on_evict(w, p, by);
        break;
    case REGISTRY_YIELD:
        on_yield(w, p, by);
        break;
    }
}

/* ---- what clients and workers do ---- */

static void ask(struct world *w, struct peer *p)
{
    static const char *const ids[] = {"a", "a", "a", "b", ""};
    static const char *const keys[] = {"", "", "", "a"};
    struct seat *seat = calloc(1, sizeof *seat);
    assert(seat);
    struct claim *c = &seat->c;
    struct claimant *who = &seat->who;
    c->who = who;
    *p = (struct peer){.c = c};
    strcpy(who->id, ids[rng_below(w->rng, 5)]);
    strcpy(who->key, *who->id ? keys[rng_below(w->rng, 4)] : "");
    who->nonce[0] = w->nonces = (uint8_t)((w->nonces + 1) % NONCES);
    who->take = chance(w, 3);
    c->wanted = chance(w, 6) ? 0 : FIRST_PORT + rng_below(w->rng, PORTS);
    who->mine.count = (uint8_t)rng_below(w->rng, HELLO_MINE_MAX + 1);
    for (unsigned i = 0; i < who->mine.count; i++)
        who->mine.nonces[i][0] =
            (uint8_t)((w->nonces + NONCES - 1 - rng_below(w->rng, PEERS)) % NONCES);
    w->asks = p;
    w->asks_overtook = false;
    registry_ask(&w->r, c);
    w->asks = NULL;
}

/* A port that no worker listens on or is about to; 0: none is left. */
static int free_port(struct world *w)
{
    unsigned first = rng_below(w->rng, PORTS);
    for (unsigned i = 0; i < PORTS; i++) {
        int port = FIRST_PORT + (int)((first + i) % PORTS);
        bool used = false;
        for (const struct peer *o = w->peers; o < w->peers + PEERS; o++)
            used |= o->c && (o->listens == port || (o->opens && o->c->wanted == port));
        if (!used)
            return port;
    }
    return 0;
}

static void open_port(struct world *w, struct peer *p, bool works)
{
    int port = !works ? 0 : p->c->wanted == 0 ? free_port(w) : (int)p->c->wanted;
    p->opens = false;
    p->listens = port;
    if (port == 0)
        p->answer = REFUSED; /* by its worker, or before */
    registry_opened(&w->r, p->c, port);
}

static void answer_yield(struct world *w, struct peer *p, bool yes)
{
    p->yields = false;
    if (yes) {
        p->released = true;
        p->listens = 0;
    }
    registry_yielded(&w->r, p->c, yes);
}

static void release(struct world *w, struct peer *p)
{
    p->released = true;
    p->listens = 0;
    registry_released(&w->r, p->c);
}

static void go(struct world *w, struct peer *p)
{
    struct claim *c = p->c;
    *p = (struct peer){0}; /* nobody may be told of it from here on */
    registry_gone(&w->r, c);
    free(CONTAINER_OF(c, struct seat, c));
}

static void check(const struct world *w)
{
    for (const struct peer *p = w->peers; p < w->peers + PEERS; p++) {
        if (!p->c)
            continue;
        bool owns = p->c->state == CLAIM_SERVING || p->c->state == CLAIM_ENDING;
        assert(owns == serves(p));
        assert((p->c->state == CLAIM_RELEASED) == (p->answer == REFUSED || p->released));
        assert((p->c->state == CLAIM_ENDING) == (serves(p) && p->evicted));
        assert((p->c->state == CLAIM_OPENING) == (p->opens && is_pending(p)));
        assert(!owns || p->c->port == p->listens);
    }
}

/* Whoever owes an answer gives it, and who has been told to go goes, in any order; then no open may
   be left without an answer. */
static void settle(struct world *w)
{
    for (bool owed = true; owed;) {
        owed = false;
        unsigned first = rng_below(w->rng, PEERS);
        for (unsigned i = 0; i < PEERS; i++) {
            struct peer *p = &w->peers[(first + i) % PEERS];
            if (!p->c || !(p->opens || p->yields || p->evicted || p->answer == REFUSED))
                continue;
            owed = true;
            if (p->opens)
                open_port(w, p, !chance(w, 8));
            else if (p->yields)
                answer_yield(w, p, chance(w, 4));
            else
                go(w, p);
            check(w);
        }
    }
    for (const struct peer *p = w->peers; p < w->peers + PEERS; p++)
        assert(!is_pending(p));
    w->seen.settled++;
}

static void event(struct world *w)
{
    struct peer *p = &w->peers[rng_below(w->rng, PEERS)];
    uint32_t kind = rng_below(w->rng, 16);
    if (!p->c)
        ask(w, p);
    else if (kind == 0)
        settle(w);
    else if (kind < 3)
        go(w, p);
    else if (p->opens)
        open_port(w, p, kind < 14);
    else if (p->yields)
        answer_yield(w, p, kind < 6);
    else if (p->evicted || p->answer == REFUSED)
        go(w, p);
    else if (serves(p) && kind < 5)
        release(w, p);
    check(w);
}

struct owners_seen owners_run(struct rng *rng, unsigned events)
{
    struct world w = {.rng = rng};
    registry_init(&w.r, on_act, &w);
    for (unsigned i = 0; i < events; i++)
        event(&w);
    settle(&w);
    for (struct peer *p = w.peers; p < w.peers + PEERS; p++)
        if (p->c)
            go(&w, p);
    assert(w.r.count == 0);
    return w.seen;
}
