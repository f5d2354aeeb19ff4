/* SPDX-License-Identifier: MIT */
/* Small messages: ping-pong on many connections, or one ping-pong beside bulk streams. */
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TICK_MS = 100, SETTLE_US = 200000 };

static const uint64_t ENDLESS = (uint64_t)1 << 60;

struct game {
    const struct load_options *options;
    struct load_conn *conns;
    int n;
    uint8_t *ping, *pong;
    double counts_from; /* what ended earlier is not counted */
    double next_ping;   /* mix: when the next one is due; 0: one is under way */
};

static void serve(struct game *g, struct load_conn *c)
{
    c->rx = 0;
    c->since = load_now();
    load_say(c->fd, g->ping, g->options->size);
}

static void point(struct game *g, struct load_conn *c)
{
    double now = load_now();
    if (now > g->counts_from)
        load_latency_add(now - c->since);
    if (g->options->mode) /* mix */
        g->next_ping = now + g->options->think;
    else
        serve(g, c);
}

static void receive(struct game *g, struct load_conn *c)
{
    size_t left = g->options->size - (size_t)c->rx;
    ssize_t n = recv(c->fd, g->pong, left, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        load_fail(LOAD_EXIT_CLOSED, "a ping-pong connection was closed");
    if (memcmp(g->pong, g->ping + c->rx, (size_t)n))
        load_fail(LOAD_EXIT_MISMATCH, "another message came back than was sent");
    c->rx += (uint64_t)n;
    if (c->rx == g->options->size)
        point(g, c);
}

static void bulk(struct load_conn *c, uint32_t events)
{
    if (events & (uint32_t)~EPOLLOUT) {
        ssize_t n = load_swallow(c, LOAD_CHUNK);
        if (n == -EBADMSG)
            load_fail(LOAD_EXIT_MISMATCH, "other data arrived than was sent");
        if (n <= 0 && n != -EAGAIN)
            load_fail(LOAD_EXIT_CLOSED, "a bulk connection was closed");
    }
    if ((events & EPOLLOUT) && c->tx < c->tx_want) {
        ssize_t n = load_pump(c);
        if (n < 0 && n != -EAGAIN)
            load_fail(LOAD_EXIT_CLOSED, "a bulk connection was closed while sending");
    }
}

static void open_conns(struct game *g, int pings)
{
    const struct load_options *o = g->options;
    g->conns = calloc((size_t)g->n + 1, sizeof *g->conns);
    g->ping = malloc(o->size);
    g->pong = malloc(o->size);
    if (!g->conns || !g->ping || !g->pong)
        load_die("malloc");
    for (size_t i = 0; i < o->size; i++)
        g->ping[i] = (uint8_t)('!' + i % 90);
    for (int i = 0; i < g->n; i++) {
        struct load_conn *c = &g->conns[i];
        c->fd = load_dial(o->port);
        c->mode = i < pings ? LOAD_ECHO : o->mode;
        c->verify = o->verify;
        c->tx_want = c->mode == LOAD_UP ? ENDLESS : 0;
        c->rx_want = c->mode == LOAD_DOWN ? ENDLESS : 0;
        load_order_send(c, o);
        load_watch(c, EPOLLIN | (c->tx_want ? EPOLLOUT : 0u));
    }
    usleep(SETTLE_US); /* bulk has filled what there is to fill before the first ping */
}

static uint64_t moved(const struct game *g)
{
    uint64_t sum = 0;
    for (int i = 0; i < g->n; i++)
        sum += g->conns[i].mode == LOAD_ECHO ? 0 : g->conns[i].rx + g->conns[i].tx;
    return sum;
}

static int patience(const struct game *g)
{
    if (g->next_ping <= 0)
        return TICK_MS;
    return g->next_ping <= load_now() ? 0 : 1;
}

static void run(struct game *g, double until)
{
    struct epoll_event events[LOAD_EVENTS];
    while (load_now() < until) {
        int n = load_wait(events, patience(g));
        for (int i = 0; i < n; i++) {
            struct load_conn *c = events[i].data.ptr;
            if (c->mode == LOAD_ECHO)
                receive(g, c);
            else
                bulk(c, events[i].events);
        }
        if (g->next_ping > 0 && load_now() >= g->next_ping) {
            g->next_ping = 0;
            serve(g, &g->conns[0]);
        }
    }
}

/* The first `pings` connections play; the others, if any, are bulk. */
static int play(const struct load_options *o, int pings, int others)
{
    struct game g = {.options = o, .n = pings + others};
    open_conns(&g, pings);
    load_gate(o);
    double start = load_now() + o->warm;
    g.counts_from = start;
    for (int i = 0; i < pings; i++)
        serve(&g, &g.conns[i]);
    run(&g, start);
    uint64_t before = moved(&g);
    run(&g, start + o->seconds);
    double seconds = load_now() - start;
    printf("{");
    load_latency_print(seconds);
    printf(",\"mb_per_s\":%.3f,\"seconds\":%.4f}\n", (double)(moved(&g) - before) / seconds / 1e6,
           seconds);
    load_hold(o);
    free(g.conns);
    free(g.ping);
    free(g.pong);
    return 0;
}

int load_pingpong(const struct load_options *o)
{
    struct load_options without_bulk = *o;
    without_bulk.mode = 0;
    return play(&without_bulk, o->conns, 0);
}

int load_mix(const struct load_options *o)
{
    return play(o, 1, o->conns);
}
