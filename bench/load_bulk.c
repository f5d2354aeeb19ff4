/* SPDX-License-Identifier: MIT */
/* Many bytes: a number of connections that move so many bytes, or as many as a time allows. */
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STALL_SECONDS = 30, TICK_MS = 100, SETTLE_US = 20000 };

static const uint64_t ENDLESS = (uint64_t)1 << 60;

struct bulk {
    const struct load_options *options;
    struct load_conn *conns;
    int left; /* connections that are not done */
    uint64_t last_moved;
    double last_moved_at;
};

static void begin(struct load_conn *c, const struct load_options *o)
{
    uint64_t bytes = o->seconds > 0 ? ENDLESS : o->bytes;
    c->mode = o->mode;
    c->verify = o->verify;
    c->tx_want = o->mode == LOAD_DOWN ? 0 : bytes;
    c->rx_want = o->mode == LOAD_UP ? 0 : bytes;
    load_order_send(c, o);
    load_watch(c, EPOLLIN | (c->tx_want ? EPOLLOUT : 0u));
}

static void finish(struct bulk *b, struct load_conn *c)
{
    c->answered = true;
    b->left--;
    load_unwatch(c);
}

/* The byte with which the service says whether all arrived as it was sent. */
static void take_answer(struct bulk *b, struct load_conn *c)
{
    char answer;
    ssize_t n = recv(c->fd, &answer, 1, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        load_fail(LOAD_EXIT_CLOSED, "a connection was closed before the answer");
    if (answer != LOAD_GOOD)
        load_fail(LOAD_EXIT_MISMATCH, "the service received other data than was sent");
    finish(b, c);
}

static void take_data(struct bulk *b, struct load_conn *c)
{
    ssize_t n = load_swallow(c, c->rx_want - c->rx);
    if (n == -EAGAIN)
        return;
    if (n == -EBADMSG)
        load_fail(LOAD_EXIT_MISMATCH, "other data arrived than was sent");
    if (n <= 0)
        load_fail(LOAD_EXIT_CLOSED, "a connection was closed before its last byte");
    if (c->rx == c->rx_want && c->mode == LOAD_DOWN)
        finish(b, c);
}

static void give_data(struct load_conn *c)
{
    ssize_t n = load_pump(c);
    if (n < 0 && n != -EAGAIN)
        load_fail(LOAD_EXIT_CLOSED, "a connection was closed while sending");
    if (c->tx == c->tx_want)
        load_watch(c, EPOLLIN);
}

static void step(struct bulk *b, struct load_conn *c, uint32_t events)
{
    if (events & (uint32_t)~EPOLLOUT) {
        if (c->rx < c->rx_want)
            take_data(b, c);
        else
            take_answer(b, c);
    }
    if (c->tx < c->tx_want && (events & EPOLLOUT))
        give_data(c);
}

static uint64_t moved(const struct bulk *b)
{
    uint64_t sum = 0;
    for (int i = 0; i < b->options->conns; i++)
        sum += b->conns[i].rx + b->conns[i].tx;
    return sum;
}

static void watch_for_stall(struct bulk *b)
{
    uint64_t now_moved = moved(b);
    if (now_moved != b->last_moved) {
        b->last_moved = now_moved;
        b->last_moved_at = load_now();
    } else if (load_now() - b->last_moved_at > STALL_SECONDS) {
        load_fail(LOAD_EXIT_STALLED, "nothing moves");
    }
}

/* Until all are done or `until` has come. */
static void run(struct bulk *b, double until)
{
    struct epoll_event events[LOAD_EVENTS];
    while (b->left && (until <= 0 || load_now() < until)) {
        int n = load_wait(events, TICK_MS);
        for (int i = 0; i < n; i++)
            step(b, events[i].data.ptr, events[i].events);
        watch_for_stall(b);
    }
}

int load_bulk(const struct load_options *o)
{
    struct bulk b = {.options = o, .left = o->conns, .last_moved_at = load_now()};
    b.conns = calloc((size_t)o->conns + 1, sizeof *b.conns);
    if (!b.conns)
        load_die("malloc");
    for (int i = 0; i < o->conns; i++)
        b.conns[i].fd = load_dial(o->port);
    usleep(SETTLE_US); /* the far ends of the connections are there, too */
    load_gate(o);
    double start = load_now();
    for (int i = 0; i < o->conns; i++)
        begin(&b.conns[i], o);
    uint64_t before = 0;
    if (o->seconds > 0 && o->warm > 0) {
        run(&b, start + o->warm);
        before = moved(&b);
        start = load_now();
    }
    run(&b, o->seconds > 0 ? start + o->seconds : 0);
    double seconds = load_now() - start, bytes = (double)(moved(&b) - before);
    printf("{\"bytes\":%.0f,\"seconds\":%.4f,\"mb_per_s\":%.3f}\n", bytes, seconds,
           bytes / seconds / 1e6);
    load_hold(o);
    free(b.conns);
    return 0;
}
