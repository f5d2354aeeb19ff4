/* SPDX-License-Identifier: MIT */
/* See leasing.h. */
#include "sim/leasing.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/session/leases.h"
#include "proto/session/wishes.h"
#include "sim/carry.h"

enum {
    CLIENTS = 2,
    TUNNELS = 5, /* of a client's file */
    BOUND = 4,   /* services of a session: fewer than the file may have */
    PORTS = 6,   /* for which all compete: 1 .. PORTS; 0 is chosen */
    LEASES = 64, /* at once */
    RETRY_MAX_MS = 8000,
    REST_MS = 60000, /* every refusal was asked for again by then */
    PULSE_MS = 1000, /* muxes are not let stand still for longer */
    PIPE = 1 << 17,
};

struct pipe {
    size_t from, to;
    uint8_t bytes[PIPE];
};

/* What the client keeps for a tunnel. */
struct tunnel {
    struct wish wish;
    bool is_top;      /* the file has it */
    bool is_replaced; /* or another one in its place */
    unsigned slot;
};

struct client;

/* What the server keeps for a service. */
struct held {
    struct lease lease;
    struct client *client;
    bool asks, holds, opens, listens; /* of the registry, and of the listener */
    uint32_t visitors;
    mtime_ms cut_by; /* the client's word; 0: none */
    int32_t port;
};

struct client {
    struct world *world;
    struct wishes wishes;
    struct tunnel *top[TUNNELS];
    bool is_up;
    struct leases leases;
    struct service_reader up_reader, down_reader;
    struct pipe up, down;
    struct carry *carry; /* instead of the pipes; NULL: there are these, or no session */
    uint32_t server_bound;
    uint8_t rights; /* bit: port */
};

struct world {
    struct rng *rng;
    mtime_ms now;
    struct client clients[CLIENTS];
    struct held *held[LEASES];
    unsigned count;
    bool at_rest;
    int32_t next_port;
    unsigned serial; /* of tunnels: no two have one name */
    struct leasing_seen seen;
    struct carry_seen *carried; /* NULL: pipes */
};

static uint32_t pick(struct world *w, uint32_t n)
{
    return rng_below(w->rng, n);
}

/* ---- pipes ---- */

static void pipe_line(struct pipe *p, const struct service_line *line)
{
    char buf[HELLO_MAX];
    size_t n = service_line_put(buf, line);
    assert(n < 1024 && p->to + n <= PIPE);
    memcpy(p->bytes + p->to, buf, n);
    p->to += n;
}

static void say(struct client *c, bool up, const struct service_line *line)
{
    char buf[HELLO_MAX];
    if (!c->carry)
        pipe_line(up ? &c->up : &c->down, line);
    else
        carry_say(c->carry, !up, buf, service_line_put(buf, line));
}

static size_t pipe_waiting(const struct pipe *p)
{
    return p->to - p->from;
}

static void pipe_took(struct pipe *p, size_t n)
{
    p->from += n;
    if (p->from == p->to)
        p->from = p->to = 0;
}

/* ---- the server's hands ---- */

static struct held *holder_of(struct world *w, int32_t port)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->held[i] && w->held[i]->holds && w->held[i]->port == port)
            return w->held[i];
    return NULL;
}

/* The registry says something. */
static void registry_answers(struct held *h)
{
    struct world *w = h->client->world;
    int32_t wanted = h->lease.wanted.port;
    struct held *other = wanted ? holder_of(w, wanted) : NULL;
    h->asks = false;
    if (!(h->client->rights & 1u << wanted)) {
        leases_refused(&h->client->leases, &h->lease,
                       &(struct service_why){.error = SERVICE_ERR_RIGHT});
    } else if (other) {
        struct service_why why = {.error = SERVICE_ERR_TAKEN, .by = "192.0.2.7:1"};
        leases_refused(&h->client->leases, &h->lease, &why);
    } else {
        h->holds = true;
        h->port = wanted ? wanted : w->next_port++;
        leases_granted(&h->client->leases, &h->lease);
    }
}

static void listener_answers(struct held *h, bool ok)
{
    char address[HELLO_WORD_BUF];
    h->opens = false;
    h->listens = ok;
    if (!ok) {
        h->client->world->seen.failed++;
        leases_failed(&h->client->leases, &h->lease, "EADDRINUSE");
        return;
    }
    (void)snprintf(address, sizeof address, "[::]:%d", (int)h->port);
    leases_listening(&h->client->leases, &h->lease, address, h->port);
}

static void visitors_are(struct held *h, uint32_t n)
{
    h->visitors = n;
    leases_streams(&h->client->leases, &h->lease, n);
}

static void server_frees(struct held *h)
{
    struct world *w = h->client->world;
    struct service_why why = {.error = SERVICE_ERR_RIGHT};
    assert(h->lease.state == LEASE_OVER && !h->holds && !h->opens && !h->listens);
    assert(h->visitors == 0);
    if (h->asks) { /* the answer is on its way, and comes too late */
        w->seen.late++;
        leases_granted(&h->client->leases, &h->lease);
        leases_refused(&h->client->leases, &h->lease, &why);
    }
    for (unsigned i = 0; i < w->count; i++)
        if (w->held[i] == h)
            w->held[i] = NULL;
    free(h);
}

static void server_act(struct client *c, const struct lease_action *a)
{
    struct held *h = CONTAINER_OF(a->lease, struct held, lease);
    switch (a->kind) {
    case LEASE_ASK:
        assert(!h->asks && !h->holds);
        h->asks = true;
        if (pick(c->world, 3) == 0)
            registry_answers(h);
        break;
    case LEASE_LISTEN:
        assert(h->holds && !h->opens && !h->listens);
        h->opens = true;
        if (pick(c->world, 3) == 0)
            listener_answers(h, c->world->at_rest || pick(c->world, 8) > 0);
        break;
    case LEASE_STOP:
        assert(h->opens || h->listens);
        h->opens = h->listens = false;
        break;
    case LEASE_RELEASE:
        assert(!h->opens && !h->listens);
        h->holds = false;
        break;
    case LEASE_CHANGED:
        c->world->seen.changed++;
        break;
    case LEASE_CUT:
        assert(h->visitors > 0);
        c->world->seen.cut++;
        if (c->carry) {
            (void)carry_reset_all(c->carry, h);
            assert(h->visitors == 0);
            break;
        }
        visitors_are(h, pick(c->world, 2) ? 0 : h->visitors - 1);
        if (h->visitors > 0)
            visitors_are(h, 0);
        break;
    case LEASE_SEND:
        /* what the client has closed is closed when the last visitor is gone */
        assert(a->line.op != SERVICE_CLOSED || a->line.why.error != SERVICE_OK || !h->visitors);
        if (a->line.op == SERVICE_REFUSED && a->line.why.error == SERVICE_ERR_LIMIT)
            c->world->seen.limit++;
        say(c, false, &a->line);
        break;
    case LEASE_FREE:
        server_frees(h);
        break;
    }
}

static void server_pull(struct client *c)
{
    struct lease_action a;
    while (leases_next(&c->leases, &a))
        server_act(c, &a);
}

static void server_line(struct client *c, const struct service_line *line)
{
    struct world *w = c->world;
    if (line->op == SERVICE_CLOSE && line->drain_ms != UINT32_MAX) {
        struct lease *l = leases_find(&c->leases, line->svc);
        if (l)
            CONTAINER_OF(l, struct held, lease)->cut_by = w->now + line->drain_ms;
    }
    if (line->op != SERVICE_OPEN) {
        leases_line(&c->leases, line, w->now);
        return;
    }
    struct held *h = calloc(1, sizeof *h);
    unsigned place = 0;
    while (place < w->count && w->held[place])
        place++;
    assert(h && place < LEASES);
    h->client = c;
    w->held[place] = h;
    w->count = place == w->count ? place + 1 : w->count;
    int err = leases_open(&c->leases, line, &h->lease, w->now);
    assert(err == 0);
}

/* ---- the client's hands ---- */

static void client_frees(struct client *c, struct tunnel *t)
{
    assert(t->wish.state == WISH_GONE && !t->is_top);
    for (unsigned i = 0; i < TUNNELS; i++)
        assert(c->top[i] != t);
    free(t);
}

static void client_tells(struct client *c, const struct wish_action *a)
{
    struct leasing_seen *seen = &c->world->seen;
    seen->again += a->again;
    switch (a->tell) {
    case WISH_TELL_OPENED:
        assert(a->wish->port > 0 && !a->again);
        seen->opened++;
        break;
    case WISH_TELL_REFUSED:
        seen->refused++;
        seen->taken += a->wish->why.error == SERVICE_ERR_TAKEN;
        break;
    case WISH_TELL_CLOSED:
        seen->closed++;
        break;
    }
}

static unsigned live_wishes(const struct client *c)
{
    unsigned live = 0;
    for (unsigned i = 0; i < TUNNELS; i++) {
        const struct tunnel *t = c->top[i];
        live += t && (t->wish.state == WISH_OPEN || t->wish.state == WISH_ASKED);
        live += t && wishes_replaced(&t->wish);
    }
    return live;
}

/* A service that served is closed: it is not wanted, its successor is there, or cannot be before. */
static void check_close(struct client *c, const struct tunnel *t)
{
    const struct tunnel *next = c->top[t->slot];
    c->world->seen.removed += !t->is_replaced;
    if (!t->is_replaced || !next || next->wish.state == WISH_OPEN)
        return;
    bool clashes = live_wishes(c) + 1 == BOUND || next->wish.why.error == SERVICE_ERR_LIMIT;
    for (unsigned i = 0; i < TUNNELS; i++)
        clashes |= c->top[i] && c->top[i]->wish.wanted.port == t->wish.wanted.port;
    assert(clashes);
    c->world->seen.broke_first++;
}

static void client_pull(struct client *c)
{
    struct wish_action a;
    while (wishes_next(&c->wishes, &a)) {
        switch (a.kind) {
        case WISH_TELL:
            client_tells(c, &a);
            break;
        case WISH_SEND:
            assert(c->is_up);
            if (a.line.op == SERVICE_CLOSE && a.wish->port > 0)
                check_close(c, CONTAINER_OF(a.wish, struct tunnel, wish));
            say(c, true, &a.line);
            break;
        case WISH_FREE:
            client_frees(c, CONTAINER_OF(a.wish, struct tunnel, wish));
            break;
        }
    }
}

/* ---- delivery ---- */

/* Bytes have arrived at one end, in one piece; how many of them were read. */
static size_t take_lines(struct client *c, bool up, const uint8_t *p, size_t n)
{
    struct service_reader *r = up ? &c->up_reader : &c->down_reader;
    struct world *w = c->world;
    size_t at = 0;
    for (;;) {
        struct service_line line;
        size_t used;
        if (up && leases_read_at(&c->leases, w->now) > w->now) {
            w->seen.slowed++;
            return at; /* read later */
        }
        int err = service_reader_feed(r, p + at, n - at, &used);
        at += used;
        if (err == ERR_AGAIN)
            return at;
        assert(err == 0);
        err = service_line_get(service_reader_line(r), up ? SERVICE_CLIENT : SERVICE_SERVER, &line);
        assert(err == 0);
        if (up) {
            server_line(c, &line);
            server_pull(c);
        } else {
            err = wishes_line(&c->wishes, &line, w->now);
            assert(err == 0);
            client_pull(c);
        }
    }
}

/* Up to n bytes of a pipe arrive. */
static void deliver(struct client *c, bool up, size_t n)
{
    struct pipe *p = up ? &c->up : &c->down;
    size_t all = pipe_waiting(p);
    pipe_took(p, take_lines(c, up, p->bytes + p->from, n < all ? n : all));
}

/* ---- carried by muxes ---- */

static size_t on_control(void *ctx, bool at_server, const uint8_t *p, size_t n)
{
    return take_lines(ctx, at_server, p, n);
}

static const char *name_of(void *ctx, uint32_t svc)
{
    struct client *c = ctx;
    const struct wish *w = wishes_find(&c->wishes, svc);
    return w ? w->wanted.name : NULL;
}

static void on_over(void *ctx, void *service)
{
    struct held *h = service;
    (void)ctx;
    assert(h->visitors > 0);
    visitors_are(h, h->visitors - 1);
}

static void some_steps(struct client *c)
{
    for (uint32_t n = pick(c->world, 60); n > 0; n--) {
        carry_step(c->carry, c->world->now);
        server_pull(c);
    }
}

static bool settle(struct client *c)
{
    bool moved = carry_settle(c->carry, c->world->now);
    server_pull(c);
    client_pull(c);
    return moved;
}

/* ---- a session ---- */

static void begin(struct client *c)
{
    static const struct carry_ops ops = {on_control, name_of, on_over};
    struct world *w = c->world;
    if (w->carried)
        c->carry = carry_new(&ops, c, w->rng, w->now, w->carried);
    c->is_up = true;
    c->up.from = c->up.to = c->down.from = c->down.to = 0;
    service_reader_init(&c->up_reader);
    service_reader_init(&c->down_reader);
    c->server_bound = BOUND - pick(c->world, 2);
    leases_init(&c->leases, c->server_bound);
    c->leases.opens_paid_to = c->world->now + pick(c->world, 1000);
    wishes_begun(&c->wishes);
    client_pull(c);
}

static void lose(struct client *c)
{
    struct lease *l;
    c->is_up = false;
    carry_free(c->carry);
    c->carry = NULL;
    wishes_lost(&c->wishes, c->world->now);
    client_pull(c);
    while ((l = leases_take(&c->leases))) {
        struct held *h = CONTAINER_OF(l, struct held, lease);
        h->asks = h->holds = h->opens = h->listens = false;
        h->visitors = 0;
        server_frees(h);
    }
    service_reader_fini(&c->up_reader);
    service_reader_fini(&c->down_reader);
    c->world->seen.lost++;
}

/* ---- what the user wants ---- */

static struct tunnel *new_tunnel(struct client *c, unsigned slot)
{
    struct tunnel *t = calloc(1, sizeof *t);
    assert(t);
    (void)snprintf(t->wish.wanted.name, sizeof t->wish.wanted.name, "t%u.%u", slot,
                   ++c->world->serial);
    t->wish.wanted.kind = SERVICE_KIND_TCP;
    t->wish.wanted.port = (int32_t)pick(c->world, PORTS + 1);
    t->wish.wanted.ready = pick(c->world, 2);
    t->is_top = true;
    t->slot = slot;
    c->top[slot] = t;
    return t;
}

static uint32_t some_drain(struct world *w)
{
    static const uint32_t times[] = {0, 700, 5000, UINT32_MAX};
    return times[pick(w, 4)];
}

/* A change is taken back. */
static void take_back(struct client *c, unsigned slot)
{
    struct tunnel *t = c->top[slot];
    struct wish *older = wishes_replaced(&t->wish);
    if (!older)
        return; /* it did not serve, and is gone */
    t->is_top = false;
    c->top[slot] = CONTAINER_OF(older, struct tunnel, wish);
    c->top[slot]->is_top = true;
    c->top[slot]->is_replaced = false;
    wishes_undo(&c->wishes, &t->wish);
}

static void edit(struct client *c, unsigned slot)
{
    struct world *w = c->world;
    struct tunnel *t = c->top[slot];
    if (!t) {
        wishes_add(&c->wishes, &new_tunnel(c, slot)->wish);
        return;
    }
    switch (pick(w, 4)) {
    case 0:
        t->is_top = false;
        c->top[slot] = NULL;
        wishes_remove(&c->wishes, &t->wish, some_drain(w));
        break;
    case 1:
        wishes_change(&c->wishes, &t->wish, !t->wish.wanted.ready);
        break;
    case 2:
        t->is_top = false;
        t->is_replaced = true;
        w->seen.replaced++;
        wishes_replace(&c->wishes, &t->wish, &new_tunnel(c, slot)->wish, some_drain(w));
        break;
    default:
        if (!wishes_replaced(&t->wish))
            break;
        w->seen.undone++;
        take_back(c, slot);
    }
}

/* One reload: some lines of the file are others. */
static void reload(struct client *c)
{
    for (unsigned slot = 0; slot < TUNNELS; slot++)
        if (pick(c->world, 3) == 0)
            edit(c, slot);
    for (unsigned slot = 0; slot < TUNNELS; slot++)
        if (c->top[slot] && pick(c->world, 4) == 0)
            wishes_last(&c->wishes, &c->top[slot]->wish);
    client_pull(c);
}

/* ---- what else happens ---- */

static struct held *some_held(struct world *w)
{
    unsigned from = w->count ? pick(w, w->count) : 0;
    for (unsigned i = 0; i < w->count; i++)
        if (w->held[(from + i) % w->count])
            return w->held[(from + i) % w->count];
    return NULL;
}

static void a_visitor(struct held *h)
{
    if (h->listens) {
        /* its frame may overtake `opened`, and the client knows the number */
        struct wish *wish = wishes_find(&h->client->wishes, h->lease.svc);
        assert(wish && wish->wanted.port == h->lease.wanted.port);
        h->client->world->seen.visitors++;
        if (h->client->carry)
            carry_visit(h->client->carry, h, h->lease.svc, h->lease.wanted.name);
        visitors_are(h, h->visitors + 1);
    } else if (h->visitors > 0 && !h->client->carry) {
        visitors_are(h, h->visitors - 1);
    }
}

static void at_the_server(struct world *w, struct held *h)
{
    static const enum service_error reasons[] = {SERVICE_ERR_RIGHT, SERVICE_ERR_TAKEN,
                                                 SERVICE_ERR_REVOKED, SERVICE_ERR_SHUTDOWN};
    struct client *c = h->client;
    struct service_why why = {.error = reasons[pick(w, 4)]};
    switch (pick(w, 8)) {
    case 0:
    case 1:
        if (h->asks && h->lease.state == LEASE_ASKED)
            registry_answers(h);
        break;
    case 2:
        if (h->opens)
            listener_answers(h, pick(w, 8) > 0);
        break;
    case 3:
    case 4:
        a_visitor(h);
        break;
    case 5:
        if (c->carry)
            carry_visit(c->carry, NULL, pick(w, 1000), "nobody");
        else if (h->visitors > 0)
            visitors_are(h, 0);
        break;
    case 6:
        if (c->carry && h->listens && pick(w, 2))
            a_visitor(h); /* in the same turn */
        leases_end(&c->leases, &h->lease, &why, some_drain(w), w->now);
        break;
    default:
        if (pick(w, 8) == 0)
            leases_end_all(&c->leases, &why, some_drain(w), w->now);
    }
    server_pull(c);
}

static void tick(struct world *w)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        wishes_tick(&c->wishes, w->now);
        client_pull(c);
        if (!c->is_up)
            continue;
        leases_tick(&c->leases, w->now);
        server_pull(c);
    }
    for (unsigned i = 0; i < w->count; i++) {
        const struct held *h = w->held[i];
        assert(!h || h->cut_by == 0 || h->cut_by > w->now || h->visitors == 0);
    }
}

static void event(struct world *w)
{
    struct client *c = &w->clients[pick(w, CLIENTS)];
    uint32_t what = pick(w, 32);
    struct held *h = some_held(w);
    if (what < 2) {
        reload(c);
    } else if (what == 2) {
        if (!c->is_up)
            begin(c);
        else if (pick(w, 4) == 0)
            lose(c);
    } else if (what == 3) {
        c->rights ^= (uint8_t)(1u << pick(w, PORTS + 1));
    } else if (what < 18) {
        if (c->carry)
            some_steps(c);
        else if (c->is_up)
            deliver(c, pick(w, 2), pick(w, 400));
    } else if (what < 28) {
        if (h)
            at_the_server(w, h);
    } else {
        w->now += pick(w, 2000);
        tick(w);
    }
}

/* ---- rest ---- */

/* All that is on its way arrives, everybody answers, visitors go. True: something moved. */
static bool everybody_answers(struct world *w)
{
    bool moved = false;
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        moved |= c->carry && settle(c);
        for (int up = 0; up <= 1; up++) {
            size_t n = pipe_waiting(up ? &c->up : &c->down);
            moved |= n > 0;
            if (n > 0)
                deliver(c, up, n);
        }
    }
    for (unsigned i = 0; i < w->count; i++) {
        struct held *h = w->held[i];
        bool leaves = h && h->visitors > 0 && !h->client->carry;
        if (!h || !(h->asks || h->opens || leaves))
            continue;
        moved = true;
        if (h->asks)
            registry_answers(h);
        else if (h->opens)
            listener_answers(h, true);
        else
            visitors_are(h, 0);
        server_pull(h->client);
    }
    return moved;
}

static void come_to_rest(struct world *w)
{
    mtime_ms end = w->now + REST_MS;
    w->at_rest = true;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (!w->clients[i].is_up)
            begin(&w->clients[i]);
    while (w->now < end) {
        while (everybody_answers(w) && w->now < end)
            w->now++; /* lines may wait for their time */
        mtime_ms next = w->carried && end - w->now > PULSE_MS ? w->now + PULSE_MS : end;
        for (unsigned i = 0; i < CLIENTS; i++) {
            mtime_ms at = wishes_deadline(&w->clients[i].wishes);
            next = at < next ? at : next;
            /* nothing drains any more; over muxes a full ring may wait for its ACK */
            assert(w->carried || leases_deadline(&w->clients[i].leases) == MTIME_NEVER);
        }
        w->now = next > w->now ? next : w->now + 1;
        tick(w);
    }
    while (everybody_answers(w))
        w->now++;
}

static void check_open(const struct client *c, const struct wish *wish)
{
    struct lease *l = leases_find(&c->leases, wish->svc);
    assert(l && l->state == LEASE_OPEN);
    const struct held *h = CONTAINER_OF(l, struct held, lease);
    assert(h->listens && h->holds && h->port == wish->port);
    assert(strcmp(l->wanted.name, wish->wanted.name) == 0);
    assert(l->wanted.port == wish->wanted.port && l->wanted.ready == wish->wanted.ready);
    assert(wish->wanted.port == 0 || wish->wanted.port == wish->port);
}

static unsigned refused_wishes(const struct client *c)
{
    unsigned refused = 0;
    for (unsigned i = 0; i < TUNNELS; i++)
        refused += c->top[i] && c->top[i]->wish.state == WISH_REFUSED;
    return refused;
}

/* A wish that is in the file: open at both ends, or there is a reason. */
static void check_wish(struct client *c, const struct wish *wish)
{
    const struct wish *older = wishes_replaced(wish);
    int32_t port = wish->wanted.port;
    if (older)
        check_open(c, older);
    if (wish->state == WISH_OPEN) {
        assert(!older);
        check_open(c, wish);
    } else if (wish->state == WISH_IDLE) {
        c->world->seen.waited++;
        assert(live_wishes(c) == BOUND);
    } else if (wish->why.error == SERVICE_ERR_LIMIT) {
        /* others that are refused again and again have a place while they are asked for */
        assert(wish->state == WISH_REFUSED);
        assert(c->leases.live + refused_wishes(c) > c->server_bound);
    } else {
        assert(wish->state == WISH_REFUSED);
        const struct held *other = port ? holder_of(c->world, port) : NULL;
        assert(!(c->rights & 1u << port) || other);
        assert(!other || !older || other->lease.svc != older->svc || other->client != c);
    }
}

static void check_rest(struct world *w)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        assert(!c->carry || carry_is_over(c->carry));
        for (unsigned slot = 0; slot < TUNNELS; slot++)
            if (c->top[slot])
                check_wish(c, &c->top[slot]->wish);
        unsigned leases = 0;
        for (unsigned j = 0; j < w->count; j++)
            leases += w->held[j] && w->held[j]->client == c;
        assert(leases == live_wishes(c));
    }
    for (int32_t port = 1; port <= PORTS; port++) {
        unsigned holders = 0;
        for (unsigned j = 0; j < w->count; j++)
            holders += w->held[j] && w->held[j]->holds && w->held[j]->port == port;
        assert(holders <= 1);
    }
}

/* Everything goes: what is still held shows as a leak. */
static void end(struct world *w)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        for (unsigned slot = 0; slot < TUNNELS; slot++) {
            if (!c->top[slot])
                continue;
            struct tunnel *t = c->top[slot];
            t->is_top = false;
            c->top[slot] = NULL;
            wishes_remove(&c->wishes, &t->wish, 0);
        }
        client_pull(c);
    }
    while (everybody_answers(w))
        w->now++;
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert(list_empty(&w->clients[i].wishes.all));
        assert(list_empty(&w->clients[i].leases.all));
        lose(&w->clients[i]);
    }
}

static struct world *new_world(struct rng *rng, struct carry_seen *carried)
{
    static struct world w;
    w = (struct world){.rng = rng, .now = 1000, .next_port = 40000, .carried = carried};
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &w.clients[i];
        c->world = &w;
        c->rights = 0xff;
        wishes_init(&c->wishes, BOUND, RETRY_MAX_MS, rng->next(rng));
        c->wishes.next_svc = UINT32_MAX - pick(&w, 20); /* numbers begin again */
        begin(c);
    }
    return &w;
}

static struct leasing_seen rest_and_end(struct world *w)
{
    come_to_rest(w);
    check_rest(w);
    struct leasing_seen seen = w->seen;
    end(w);
    return seen;
}

struct leasing_seen leasing_run(struct rng *rng, unsigned events, struct carry_seen *carried)
{
    struct world *w = new_world(rng, carried);
    while (events-- > 0)
        event(w);
    return rest_and_end(w);
}

/* ---- one exchange, cut at a byte ---- */

static struct tunnel *tunnel_at(struct client *c, unsigned slot, int32_t port)
{
    struct tunnel *t = new_tunnel(c, slot);
    t->wish.wanted.port = port;
    return t;
}

/* The file names another port for a tunnel. */
static void change_place(struct client *c, unsigned slot, int32_t port)
{
    struct tunnel *old = c->top[slot];
    old->is_top = false;
    old->is_replaced = true;
    wishes_replace(&c->wishes, &old->wish, &tunnel_at(c, slot, port)->wish, 100);
}

/* The steps of the exchange. False: it is through. */
static bool step(struct client *c, unsigned n)
{
    struct tunnel *old = c->top[0];
    switch (n) {
    case 0:
        wishes_add(&c->wishes, &tunnel_at(c, 0, 1)->wish);
        wishes_add(&c->wishes, &tunnel_at(c, 1, 2)->wish);
        wishes_add(&c->wishes, &tunnel_at(c, 2, 2)->wish); /* refused */
        break;
    case 1:
        change_place(c, 0, 3);
        wishes_change(&c->wishes, &c->top[1]->wish, !c->top[1]->wish.wanted.ready);
        break;
    case 2:
        c->top[1]->is_top = false;
        old = c->top[1];
        c->top[1] = NULL;
        wishes_remove(&c->wishes, &old->wish, 0);
        break;
    case 3: /* one is new, one goes elsewhere and comes back before it was asked for, and all is in another order */
        wishes_add(&c->wishes, &tunnel_at(c, 1, 4)->wish);
        change_place(c, 0, 5);
        take_back(c, 0);
        wishes_last(&c->wishes, &c->top[2]->wish);
        break;
    case 4: /* two change their places */
        change_place(c, 0, c->top[1]->wish.wanted.port);
        change_place(c, 1, old->wish.wanted.port);
        break;
    case 5: /* refused: that is the port of another; and again elsewhere */
        change_place(c, 0, c->top[1]->wish.wanted.port);
        break;
    case 6:
        change_place(c, 0, 6);
        break;
    default:
        return false;
    }
    client_pull(c);
    return true;
}

/* What has arrived at the server is answered. */
static void server_answers(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct held *h = w->held[i];
        if (h && h->asks)
            registry_answers(h);
        if (h && h->opens)
            listener_answers(h, true);
        if (h)
            server_pull(h->client);
    }
}

bool leasing_cut(struct rng *rng, size_t at)
{
    struct world *w = new_world(rng, NULL);
    struct client *c = &w->clients[0];
    bool goes_on = true;
    for (unsigned n = 0; at > 0 && goes_on;) {
        bool up = pipe_waiting(&c->up) > 0;
        if (up || pipe_waiting(&c->down) > 0) {
            w->now += 10; /* so that none waits for its time */
            deliver(c, up, 1);
            server_answers(w);
            at--;
        } else {
            goes_on = step(c, n++);
        }
    }
    lose(c);
    (void)rest_and_end(w);
    return at == 0;
}

/* ---- the same, carried ---- */

/* A visitor of each service that listens, and one of none. */
static void visits(struct client *c)
{
    for (unsigned i = 0; i < c->world->count; i++)
        if (c->world->held[i] && c->world->held[i]->listens)
            a_visitor(c->world->held[i]);
    carry_visit(c->carry, NULL, 1, "nobody");
}

bool leasing_carried_cut(struct rng *rng, size_t at, size_t again, struct carry_seen *carried)
{
    struct world *w = new_world(rng, carried);
    struct client *c = &w->clients[0];
    unsigned cuts = 0;
    for (unsigned n = 0;;) {
        if (at == 0 && cuts < 2) {
            carry_cut(c->carry, w->now);
            cuts++;
            at = again;
        }
        w->now++;
        if (carry_byte(c->carry, w->now)) {
            at -= at > 0;
        } else {
            visits(c);
            if (!step(c, n++))
                break;
        }
        server_pull(c);
        server_answers(w);
    }
    (void)rest_and_end(w);
    return cuts > 0;
}
