/* SPDX-License-Identifier: MIT */
/*
 * Two sessions joined by a seeded link in virtual time: delays, any chunks, slow and stalled
 * readers, half-closes in any order, resets. For every schedule: bytes in are bytes out, in order;
 * no window is overrun (the session would end); nothing stalls; nothing is left.
 *
 * Windows grow, within budgets of some windows, or of none.
 *
 *   test_pair [FIRST_SEED [COUNT]]      one schedule a seed; a failure names its seed
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "bytes.h"
#include "proto/smux/internal.h"

enum {
    SCHEDULES = 3000,
    STREAMS = 12,
    LINK_BYTES = 300000, /* what a direction of the link holds: beyond it the sender waits */
    STEPS_MAX = 200000,
};

static uint64_t seed;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "seed %llu, line %d: %s\n", (unsigned long long)seed, __LINE__,  \
                          #what);                                                                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* One end of one stream: what it will write, what it has seen. */
struct end {
    struct smux_stream *st; /* NULL: not there yet, or let go */
    uint64_t to_write, written, seen, unread;
    bool fin_sent, fin_seen, reset, stalled, done;
    bool blocked; /* refused: only CREDIT says when to try again */
};

struct side {
    struct smux_session *s;
    struct end ends[STREAMS];
    uint8_t *wire; /* bytes on their way from here */
    size_t len;
    mtime_ms arrives; /* when the first of them does */
};

static struct side sides[2];
static struct smux_budget budgets[2];
static struct rng rng;
static mtime_ms now;

static int index_of(const struct side *sd, const struct end *e)
{
    return (int)(e - sd->ends);
}

static void on_event(int me, const struct smux_event *ev)
{
    struct side *sd = &sides[me];
    struct end *e = ev->user;
    if (ev->type == SMUX_EV_OPENED) {
        int i = (int)(smux_stream_id(ev->stream) / 2 - 1); /* the server opens 2, 4, 6 ... */
        CHECK(i >= 0 && i < STREAMS && !sd->ends[i].st);
        sd->ends[i].st = ev->stream;
        smux_stream_set_user(ev->stream, &sd->ends[i]);
        return;
    }
    CHECK(e && e->st == ev->stream);
    if (ev->type == SMUX_EV_DATA) {
        CHECK(!e->fin_seen && !e->reset);
        for (size_t k = 0; k < ev->len; k++)
            CHECK(ev->data[k] == byte_of((uint64_t)index_of(sd, e), !me, e->seen + k));
        e->seen += ev->len;
        e->unread += ev->len;
        CHECK(e->unread <= SMUX_START_WINDOW + budgets[me].max);
    } else if (ev->type == SMUX_EV_FIN) {
        CHECK(!e->fin_seen);
        e->fin_seen = true;
    } else if (ev->type == SMUX_EV_CREDIT) {
        CHECK(e->blocked);
        e->blocked = false;
    } else if (ev->type == SMUX_EV_RESET) {
        CHECK(ev->err == ERR_RESET);
        e->reset = true;
    }
}

static void deliver(int from)
{
    struct side *a = &sides[from], *b = &sides[!from];
    struct smux_event ev;
    if (a->len == 0 || a->arrives > now)
        return;
    size_t n = 1 + rng_below(&rng, (uint32_t)(rng_below(&rng, 4) ? 40000 : 20));
    n = n < a->len ? n : a->len;
    struct smux_input in = {a->wire, n};
    int r;
    while ((r = smux_session_feed(b->s, &in, now, &ev)) > 0)
        on_event(!from, &ev);
    CHECK(r == 0);
    memmove(a->wire, a->wire + n, a->len - n);
    a->len -= n;
    a->arrives = now + rng_below(&rng, 20);
}

static void transmit(int me)
{
    struct side *sd = &sides[me];
    size_t n;
    const uint8_t *p = smux_session_output(sd->s, &n);
    size_t part = n > 0 ? 1 + rng_below(&rng, (uint32_t)n) : 0;
    part = part < LINK_BYTES - sd->len ? part : LINK_BYTES - sd->len;
    if (part == 0)
        return;
    if (sd->len == 0)
        sd->arrives = now + rng_below(&rng, 60);
    memcpy(sd->wire + sd->len, p, part);
    sd->len += part;
    smux_session_sent(sd->s, part);
}

static void write_some(int me, struct end *e)
{
    uint8_t *p;
    size_t room;
    if (e->written == e->to_write || e->blocked)
        return;
    int err = smux_stream_reserve(e->st, &p, &room);
    e->blocked = err == ERR_AGAIN;
    if (err < 0)
        return;
    uint64_t left = e->to_write - e->written;
    size_t n = 1 + rng_below(&rng, (uint32_t)(room < left ? room : left));
    for (size_t k = 0; k < n; k++)
        p[k] = byte_of((uint64_t)index_of(&sides[me], e), me, e->written + k);
    smux_stream_commit(e->st, n);
    e->written += n;
}

static void take_some(struct end *e)
{
    if (e->unread == 0 || (e->stalled && rng_below(&rng, 200)))
        return;
    uint64_t n = 1 + rng_below(&rng, (uint32_t)e->unread);
    smux_stream_consumed(e->st, n, now);
    e->unread -= n;
}

/* One step of one end: finish when all is written, let go when both directions are over. */
static void live(int me, struct end *e)
{
    if (!e->st)
        return;
    if (e->reset) {
        smux_stream_close(e->st, now);
        e->st = NULL;
        e->done = true;
        return;
    }
    write_some(me, e);
    take_some(e);
    if (e->written == e->to_write && !e->fin_sent && rng_below(&rng, 3) == 0) {
        smux_stream_finish(e->st, now);
        e->fin_sent = true;
    }
    if (e->fin_sent && e->fin_seen && e->unread == 0) {
        smux_stream_close(e->st, now);
        e->st = NULL;
        e->done = true;
    } else if (rng_below(&rng, 20000) == 0) {
        smux_stream_reset(e->st, SMUX_RST_UNSPECIFIED, now);
        e->st = NULL;
        e->done = e->reset = true;
    }
}

static void tick(int me)
{
    struct smux_event ev;
    int r;
    while ((r = smux_session_tick(sides[me].s, now, &ev)) > 0)
        on_event(me, &ev);
    CHECK(r == 0);
}

static void begin(void)
{
    now = 1000;
    rng_seed(&rng, seed);
    for (int me = 0; me < 2; me++) {
        struct smux_config cfg = smux_config_default(me == 1, SMUX_WIRE_LEGACY);
        struct side *sd = &sides[me];
        budgets[me] = (struct smux_budget){.max = rng_below(&rng, 4) << 18};
        cfg.budget = &budgets[me];
        uint8_t *wire = sd->wire ? sd->wire : malloc(LINK_BYTES);
        *sd = (struct side){.wire = wire};
        CHECK(wire && smux_session_new(&cfg, now, &sd->s) == 0);
        for (int i = 0; i < STREAMS; i++) {
            sd->ends[i].to_write = rng_below(&rng, rng_below(&rng, 4) ? 3000 : 400000);
            if (rng_below(&rng, 16) == 0)
                sd->ends[i].to_write *= 8; /* enough for a window to grow */
            sd->ends[i].stalled = rng_below(&rng, 5) == 0;
        }
    }
}

static bool is_over(void)
{
    for (int me = 0; me < 2; me++)
        for (int i = 0; i < STREAMS; i++)
            if (!sides[me].ends[i].done)
                return false;
    return true;
}

/* Bytes written at one end are those seen at the other, unless somebody reset the stream. */
static void compare(void)
{
    for (int i = 0; i < STREAMS; i++) {
        struct end *a = &sides[0].ends[i], *b = &sides[1].ends[i];
        CHECK(a->seen <= b->written && b->seen <= a->written);
        if (!a->reset && !b->reset)
            CHECK(a->seen == b->to_write && b->seen == a->to_write);
    }
}

static void drain(void)
{
    for (int i = 0; i < 2000 && (session_streams(sides[0].s) || session_streams(sides[1].s)); i++) {
        now += 50;
        for (int me = 0; me < 2; me++) {
            tick(me);
            transmit(me);
            deliver(me);
        }
    }
    for (int me = 0; me < 2; me++) {
        CHECK(session_streams(sides[me].s) == 0);
        CHECK(budgets[me].used == 0);
        smux_session_free(sides[me].s);
    }
}

static void schedule(void)
{
    int opened = 0;
    begin();
    for (int step = 0; !is_over(); step++) {
        CHECK(step < STEPS_MAX); /* a stall */
        now += rng_below(&rng, 3);
        if (opened < STREAMS && rng_below(&rng, 10) == 0) {
            struct end *e = &sides[0].ends[opened++];
            CHECK(smux_stream_open(sides[0].s, e, &e->st) == 0);
        }
        for (int me = 0; me < 2; me++) {
            live(me, &sides[me].ends[rng_below(&rng, STREAMS)]);
            tick(me);
            transmit(me);
            deliver(me);
        }
    }
    compare();
    drain();
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : SCHEDULES;
    for (seed = first; seed < first + count; seed++)
        schedule();
    printf("%llu schedules\n", (unsigned long long)count);
    free(sides[0].wire);
    free(sides[1].wire);
    return 0;
}
