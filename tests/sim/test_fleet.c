/* SPDX-License-Identifier: MIT */
/*
 * A fleet that comes back to a server that was killed, in virtual time: the cores that decide who is in
 * (proto/admission, proto/handshakes), and what net/gate and server/reception do with them. The server's
 * processor is a bound, too: while it is busy connections wait in the kernel's queue, and clients lose patience.
 *
 *   AWAY --its wait--> DIALLING --round trip--> QUEUED --accepted--> WAITING --its turn--> SHAKING --> AWAY, or IN
 *
 * Each client asks twice: the server does not know its session any more, so it opens another one. Who loses
 * patience leaves; his connection stays where it was until the server looks at it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "proto/admission.h"
#include "proto/backoff.h"
#include "proto/handshakes.h"
#include "proto/session/life.h"

enum {
    FLEET = 4000,
    SOURCES = 4,
    RATE = 200,
    PLACES = 64, /* at the gate, and beyond it: of sources that are known */
    QUEUE = 512, /* TUNNEL_BACKLOG of server/server.c */
    SPARE_MS = 2000,
    STEP_MS = 5,
    ATTEMPTS = 1 << 20, /* of all; there are never so many */
    EACH_COMES = 16,    /* times, on the average */
};

enum state { AWAY, DIALLING, SHAKING, IN };

/* A connection of a client; one that it has left is nobody's. */
struct connection {
    struct client *of; /* NULL: it has left */
    const char *source;
    struct list node; /* in to_shake */
    struct admission_entry place;
    struct handshakes_entry turn;
};

struct client {
    enum state state;
    mtime_ms at, began, patient_until;
    bool opens; /* it has heard that its session is unknown */
    mtime_ms retry;
    unsigned timeouts, turned_away;
    struct backoff backoff;
    struct connection *connection;
};

static struct {
    struct handshakes turns;
    struct admission gate, beyond;
    struct rng rng;
    struct client clients[FLEET];
    struct connection *all; /* by their coming */
    unsigned queue_from, queue_to;
    mtime_ms now, round_trip, accept_us, handshake_us;
    int64_t spare_us;     /* of the processor: of the half that looks at connections */
    int64_t worker_us;    /* of the half that makes handshakes */
    struct list to_shake; /* connections */
    unsigned in, begun, had_left;
} w;

static const char *const sources[SOURCES] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"};

/* ---- a client ---- */

static void come_later(struct client *c)
{
    mtime_ms at;
    c->connection = NULL;
    c->state = AWAY;
    if (c->opens) {
        backoff_down(&c->backoff, w.now);
        at = w.now + backoff_next(&c->backoff, BACKOFF_OUTAGE, w.now, &w.rng);
    } else {
        mtime_ms most =
            c->turned_away >= LIFE_TURNED_AWAY ? LIFE_RETRY_CROWDED_MS : LIFE_RETRY_MOST_MS;
        c->retry = 2 * c->retry < most ? 2 * c->retry : most;
        at = c->began + c->retry + c->retry / 4 - rng_below(&w.rng, (uint32_t)c->retry / 2);
    }
    c->at = at > w.now ? at : w.now + 1;
}

static void dial(struct client *c)
{
    mtime_ms patience = c->opens ? LIFE_PATIENCE_MAX_MS : LIFE_ANSWER_MS + 8 * w.round_trip;
    for (unsigned i = 0; i < c->timeouts && patience < LIFE_PATIENCE_MAX_MS; i++)
        patience *= 2;
    c->state = DIALLING;
    c->began = w.now;
    c->at = w.now + 3 * w.round_trip / 2; /* its hello is there */
    c->patient_until =
        w.now + w.round_trip + (patience < LIFE_PATIENCE_MAX_MS ? patience : LIFE_PATIENCE_MAX_MS);
}

static void arrive(struct client *c)
{
    if (w.queue_to - w.queue_from == QUEUE || w.queue_to == ATTEMPTS) {
        c->at = w.now + 1000; /* the kernel sends its SYN again */
        return;
    }
    struct connection *k = &w.all[w.queue_to++];
    k->of = c;
    list_init(&k->node);
    k->source = sources[(c - w.clients) % SOURCES];
    c->connection = k;
    c->at = MTIME_NEVER;
}

static void lose_patience(struct client *c)
{
    if (c->connection) {
        c->connection->of = NULL;
        admission_remove(&w.beyond, &c->connection->place); /* harmless if it is not there */
    }
    c->timeouts++;
    come_later(c);
}

/* Its handshake is over. */
static void hear(struct client *c)
{
    admission_remove(&w.beyond, &c->connection->place);
    c->connection = NULL;
    c->timeouts = 0;
    c->state = c->opens ? IN : AWAY;
    w.in += c->opens;
    c->at = w.now + w.round_trip / 2;
    c->opens = true;
}

static void client_step(struct client *c)
{
    if (c->state == IN)
        return;
    if (c->state != AWAY && c->patient_until <= w.now) {
        lose_patience(c);
        return;
    }
    if (c->at > w.now)
        return;
    if (c->state == AWAY)
        dial(c);
    else if (c->state == DIALLING)
        arrive(c);
    else
        hear(c);
}

/* ---- the server ---- */

static void drop(struct admission_entry *victim)
{
    if (!victim)
        return;
    struct connection *k = CONTAINER_OF(victim, struct connection, place);
    handshakes_leave(&w.turns, &k->turn);
    if (!k->of)
        return;
    k->of->turned_away++;
    come_later(k->of);
    k->of = NULL;
}

static void pass(struct connection *k)
{
    admission_remove(&w.gate, &k->place);
    if (!k->of) {
        w.had_left++;
        handshakes_return(&w.turns, &k->turn);
        return;
    }
    list_push(&w.to_shake, &k->node);
    k->of->state = SHAKING;
    drop(admission_add(&w.beyond, &k->place, k->source));
    admission_spare(&k->place, w.now + SPARE_MS);
}

static void take(struct connection *k)
{
    w.spare_us -= 2 * w.accept_us;
    if (!k->of)
        return;
    handshakes_wait(&w.turns, &k->turn, k->source, true);
    drop(admission_add(&w.gate, &k->place, k->source));
}

/* Whoever's turn it is, while nobody has to wait beyond. NULL: nobody's. */
static struct handshakes_entry *next(void)
{
    list_foreach (n, &w.gate.all) {
        struct connection *k =
            CONTAINER_OF(LIST_ENTRY(n, struct admission_entry, by_age), struct connection, place);
        handshakes_hold(&k->turn, admission_room_at(&w.beyond, k->source) > w.now);
    }
    return handshakes_next(&w.turns, w.now);
}

/* A turn of its loop: a few accepts, then who waits. */
static bool server_turn(void)
{
    unsigned from = w.queue_from;
    struct handshakes_entry *e = NULL;
    for (int i = 0; i < 4 && w.queue_from < w.queue_to; i++)
        take(&w.all[w.queue_from++]);
    while ((e = next()))
        pass(CONTAINER_OF(e, struct connection, turn));
    return w.queue_from > from;
}

/* One after the other; who has left costs nothing. */
static void worker_step(void)
{
    for (w.worker_us += STEP_MS * 1000; w.worker_us > 0 && !list_empty(&w.to_shake);) {
        struct connection *k = LIST_ENTRY(w.to_shake.next, struct connection, node);
        list_del(&k->node);
        if (!k->of)
            continue;
        w.begun++;
        w.worker_us -= 2 * w.handshake_us;
        k->of->at = w.now + w.round_trip;
    }
    if (w.worker_us > 0)
        w.worker_us = 0; /* it was idle */
}

/* ---- the runs ---- */

static void begin(mtime_ms round_trip, mtime_ms accept_us, mtime_ms handshake_us)
{
    struct connection *all = w.all;
    memset(&w, 0, sizeof w);
    memset(all, 0, ATTEMPTS * sizeof *all);
    w.all = all;
    w.now = 1000000;
    w.round_trip = round_trip;
    w.accept_us = accept_us;
    w.handshake_us = handshake_us;
    rng_seed(&w.rng, 20261128);
    handshakes_init(&w.turns, RATE, 10, 7);
    list_init(&w.to_shake);
    admission_init(&w.gate, NULL);
    admission_limit(&w.gate, PLACES, PLACES);
    admission_init(&w.beyond, NULL);
    admission_limit(&w.beyond, PLACES, PLACES);
    for (struct client *c = w.clients; c < w.clients + FLEET; c++) {
        backoff_init(&c->backoff, 20000);
        c->retry = LIFE_RETRY_MOST_MS; /* the server has been away for seconds */
        c->at = w.now + rng_below(&w.rng, LIFE_RETRY_MOST_MS);
    }
}

/* How long it takes until all are in; or `most`. */
static mtime_ms come_back(mtime_ms most)
{
    mtime_ms start = w.now;
    for (; w.in < FLEET && w.now < start + most; w.now += STEP_MS) {
        w.spare_us += STEP_MS * 1000;
        for (struct client *c = w.clients; c < w.clients + FLEET; c++)
            client_step(c);
        while (w.spare_us > 0 && server_turn())
            continue;
        if (w.spare_us > 0)
            w.spare_us = 0;
        worker_step();
    }
    return w.now - start;
}

/* The most that it may take is a half more than what the turns, or the processor, take for two handshakes of each;
   and half a minute, as the last ones have waited long. */
int main(void)
{
    static const struct {
        mtime_ms round_trip, accept_us, handshake_us;
    } runs[] = {
        {1, 100, 1000}, {200, 100, 1000},  {400, 100, 1000}, /* an idle machine */
        {1, 500, 4000}, {200, 1000, 5000},                   /* a busy one */
    };
    int status = 0;
    w.all = calloc(ATTEMPTS, sizeof *w.all);
    if (!w.all)
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        mtime_ms by_turns = 2 * FLEET * 1000 / RATE;
        mtime_ms by_cpu = 2 * FLEET * 2 * runs[i].handshake_us / 1000;
        mtime_ms by_path = 2 * FLEET * runs[i].round_trip / PLACES;
        mtime_ms least = by_turns > by_cpu ? by_turns : by_cpu;
        least = least > by_path ? least : by_path;
        mtime_ms most = 3 * least / 2 + 30000;
        begin(runs[i].round_trip, runs[i].accept_us, runs[i].handshake_us);
        mtime_ms took = come_back(most);
        printf("round trip %lld ms, accept %lld us, handshake %lld us: %u of %d in after %lld ms, "
               "at least %lld; "
               "%u connections, %u handshakes, %u had left at their turn\n",
               (long long)runs[i].round_trip, (long long)runs[i].accept_us,
               (long long)runs[i].handshake_us, w.in, FLEET, (long long)took, (long long)least,
               w.queue_to, w.begun, w.had_left);
        if (w.in < FLEET || w.queue_to > FLEET * EACH_COMES)
            status = 1;
    }
    free(w.all);
    return status;
}
