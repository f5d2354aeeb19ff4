/* SPDX-License-Identifier: MIT */
/* The service at the far end of a tunnel: does with each connection what its first byte says. */
#include "bench/load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO_CHUNK = 16384, ACCEPTS = 64 };

/* What of an echo the socket did not take. Nothing more is read meanwhile. */
struct load_backlog {
    size_t n, off;
    uint8_t data[];
};

struct guest {
    struct load_conn conn;
    uint8_t head[1 + sizeof(struct load_order)];
    size_t heard; /* bytes of it */
};

static void guest_free(struct guest *g)
{
    close(g->conn.fd);
    free(g->conn.rests);
    free(g);
}

/* ---- echo ---- */

static bool echo_rest(struct load_conn *c)
{
    struct load_backlog *b = c->rests;
    ssize_t n = send(c->fd, b->data + b->off, b->n - b->off, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    b->off += (size_t)n;
    if (b->off == b->n) {
        free(b);
        c->rests = NULL;
        load_watch(c, EPOLLIN);
    }
    return true;
}

static void keep_rest(struct load_conn *c, const uint8_t *data, size_t n)
{
    c->rests = malloc(sizeof *c->rests + n);
    if (!c->rests)
        load_die("malloc");
    c->rests->n = n;
    c->rests->off = 0;
    memcpy(c->rests->data, data, n);
    load_watch(c, EPOLLOUT);
}

/* False when the connection is over. */
static bool echo(struct load_conn *c)
{
    uint8_t data[ECHO_CHUNK];
    if (c->rests)
        return echo_rest(c);
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    ssize_t sent = send(c->fd, data, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return false;
    if (sent < n)
        keep_rest(c, data + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)));
    return true;
}

/* ---- bulk ---- */

static void answer(struct load_conn *c, uint8_t byte)
{
    c->answered = true;
    (void)send(c->fd, &byte, 1, MSG_NOSIGNAL); /* a generator that has gone does not want it */
}

static bool bulk(struct load_conn *c, uint32_t events)
{
    if (events & (uint32_t)~EPOLLOUT) {
        ssize_t n = load_swallow(c, LOAD_CHUNK);
        if (n == -EBADMSG) {
            answer(c, LOAD_BAD);
            c->verify = false; /* closing now, with bytes unread, could take the answer away */
        } else if (n <= 0 && n != -EAGAIN) {
            return false;
        }
    }
    if (c->tx < c->tx_want) {
        ssize_t n = load_pump(c);
        if (n < 0 && n != -EAGAIN)
            return false;
        if (c->tx == c->tx_want)
            load_watch(c, EPOLLIN);
    }
    if (c->rx_want && c->rx >= c->rx_want && c->tx == c->tx_want && !c->answered)
        answer(c, LOAD_GOOD);
    return true;
}

/* ---- the head of a connection ---- */

static void begin(struct guest *g)
{
    struct load_order order;
    struct load_conn *c = &g->conn;
    memcpy(&order, g->head + 1, sizeof order);
    c->verify = order.verify != 0;
    c->rx_want = c->mode == LOAD_DOWN ? 0 : order.bytes;
    c->tx_want = c->mode == LOAD_UP ? 0 : order.bytes;
    if (c->tx_want)
        load_watch(c, EPOLLIN | EPOLLOUT);
}

static size_t head_size(const struct guest *g)
{
    return g->heard && g->conn.mode != LOAD_ECHO ? sizeof g->head : 1;
}

/* Reads no further than the head, so that what follows is counted from its own beginning. */
static bool hear(struct guest *g)
{
    ssize_t n = recv(g->conn.fd, g->head + g->heard, head_size(g) - g->heard, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    g->conn.mode = g->head[0];
    g->heard += (size_t)n;
    if (g->heard == sizeof g->head)
        begin(g);
    return true;
}

static bool serve(struct guest *g, uint32_t events)
{
    if (g->heard < head_size(g))
        return hear(g);
    return g->conn.mode == LOAD_ECHO ? echo(&g->conn) : bulk(&g->conn, events);
}

static void welcome(int listener)
{
    int one = 1;
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct guest *g = calloc(1, sizeof *g);
        if (!g || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
            load_die("accept");
        g->conn.fd = fd;
        load_watch(&g->conn, EPOLLIN);
    }
}

int load_sink(const struct load_options *o)
{
    struct epoll_event events[LOAD_EVENTS];
    int port, listener = load_listen(o->port, &port);
    load_watch_listener(listener);
    printf("{\"port\":%d}\n", port);
    fflush(stdout);
    for (;;) {
        int n = load_wait(events, -1);
        for (int i = 0; i < n; i++) {
            struct guest *g = events[i].data.ptr;
            if (!g)
                welcome(listener);
            else if (!serve(g, events[i].events))
                guest_free(g);
        }
    }
}
