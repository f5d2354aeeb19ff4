/* SPDX-License-Identifier: MIT */
/* Many connections: as many new ones as possible, or thousands that are silent. */
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TICK_MS = 100, MESSAGE = 64, IDLE_TIMEOUT_SECONDS = 30 };

/* The mode byte, and the message that the service sends back. */
static uint8_t hello[1 + MESSAGE];

static void make_hello(void)
{
    hello[0] = LOAD_ECHO;
    for (size_t i = 0; i < MESSAGE; i++)
        hello[1 + i] = (uint8_t)('!' + i);
}

static void check(const uint8_t *data, size_t at, size_t n)
{
    if (memcmp(data, hello + 1 + at, n))
        load_fail(LOAD_EXIT_MISMATCH, "another message came back than was sent");
}

/* ---- new connections ---- */

struct tally {
    size_t done, failed;
};

static void dial(struct load_conn *c, int port)
{
    *c = (struct load_conn){.fd = load_dial_start(port), .since = load_now()};
    load_watch(c, EPOLLOUT);
}

/* True when the connection is over; t counts how it ended. */
static bool attempt(struct load_conn *c, struct tally *t)
{
    if (c->events == EPOLLOUT) {
        if (send(c->fd, hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello) {
            load_watch(c, EPOLLIN);
            return false;
        }
        t->failed++;
        return true;
    }
    uint8_t data[MESSAGE];
    ssize_t n = recv(c->fd, data, MESSAGE - (size_t)c->rx, 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        t->failed++;
        return true;
    }
    check(data, (size_t)c->rx, (size_t)n);
    c->rx += (uint64_t)n;
    if (c->rx < MESSAGE)
        return false;
    t->done++;
    load_latency_add(load_now() - c->since);
    return true;
}

int load_connect(const struct load_options *o)
{
    struct epoll_event events[LOAD_EVENTS];
    struct tally t = {0, 0};
    struct load_conn *conns = calloc((size_t)o->conns + 1, sizeof *conns);
    if (!conns)
        load_die("malloc");
    make_hello();
    double start = load_now();
    for (int i = 0; i < o->conns; i++)
        dial(&conns[i], o->port);
    while (load_now() < start + o->seconds) {
        int n = load_wait(events, TICK_MS);
        for (int i = 0; i < n; i++) {
            struct load_conn *c = events[i].data.ptr;
            if (attempt(c, &t)) {
                close(c->fd);
                dial(c, o->port);
            }
        }
    }
    double seconds = load_now() - start;
    printf("{\"done\":%zu,\"failed\":%zu,", t.done, t.failed);
    load_latency_print(seconds);
    printf(",\"seconds\":%.4f}\n", seconds);
    load_hold(o);
    free(conns);
    return 0;
}

/* ---- silent connections ---- */

static bool greet(int port)
{
    uint8_t data[MESSAGE];
    struct timeval patience = {.tv_sec = IDLE_TIMEOUT_SECONDS};
    int fd = load_dial_blocking(port);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience))
        load_die("setsockopt");
    if (send(fd, hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello)
        return false;
    ssize_t n = recv(fd, data, sizeof data, MSG_WAITALL);
    if (n != (ssize_t)sizeof data)
        return false;
    check(data, 0, sizeof data);
    return true;
}

int load_idle(const struct load_options *o)
{
    int ready = 0;
    make_hello();
    double start = load_now();
    while (ready < o->conns && greet(o->port))
        ready++;
    printf("{\"ready\":%d,\"seconds\":%.4f}\n", ready, load_now() - start);
    load_hold(o);
    return 0;
}
