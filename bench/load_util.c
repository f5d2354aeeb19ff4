/* SPDX-License-Identifier: MIT */
/* Sockets, the pattern, the clock and the latencies of the load generator (see load.h). */
#include "bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint8_t *pattern; /* LOAD_PATTERN bytes and LOAD_CHUNK more, so that a chunk never wraps */
static uint8_t *scratch;
static int poller;

static struct {
    uint32_t *ns;
    size_t n, room;
} latency;

double load_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void load_die(const char *what)
{
    perror(what);
    exit(LOAD_EXIT_SYSTEM);
}

void load_fail(enum load_exit status, const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit((int)status);
}

static void *allocate(void *old, size_t n)
{
    void *p = realloc(old, n);
    if (!p)
        load_die("malloc");
    return p;
}

void load_init(void)
{
    pattern = allocate(NULL, LOAD_PATTERN + LOAD_CHUNK);
    scratch = allocate(NULL, LOAD_CHUNK);
    uint64_t x = 88172645463325252u; /* xorshift64: cheap, and no two places look alike */
    for (size_t i = 0; i < LOAD_PATTERN; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        pattern[i] = (uint8_t)x;
    }
    memcpy(pattern + LOAD_PATTERN, pattern, LOAD_CHUNK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        load_die("epoll_create1");
}

/* ---- epoll ---- */

void load_watch(struct load_conn *c, uint32_t events)
{
    if (events == c->events)
        return;
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e))
        load_die("epoll_ctl");
    c->events = events;
}

void load_unwatch(struct load_conn *c)
{
    if (epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL))
        load_die("epoll_ctl");
    c->events = 0;
}

void load_watch_listener(int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e))
        load_die("epoll_ctl");
}

int load_wait(struct epoll_event *events, int timeout_ms)
{
    int n = epoll_wait(poller, events, LOAD_EVENTS, timeout_ms);
    if (n < 0 && errno != EINTR)
        load_die("epoll_wait");
    return n < 0 ? 0 : n;
}

/* ---- sockets ---- */

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int load_listen(int port, int *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = loopback(port);
    socklen_t size = sizeof a;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&a, &size))
        load_die("listen");
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static int dial(int port, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;
    struct sockaddr_in a = loopback(port);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
        (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS))
        load_die("connect");
    return fd;
}

int load_dial_start(int port)
{
    return dial(port, SOCK_NONBLOCK);
}

int load_dial(int port)
{
    int fd = dial(port, 0);
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        load_die("fcntl");
    return fd;
}

int load_dial_blocking(int port)
{
    return dial(port, 0);
}

void load_say(int fd, const void *data, size_t n)
{
    ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
    if (sent < 0)
        load_die("send");
    if ((size_t)sent != n)
        load_fail(LOAD_EXIT_SYSTEM, "a short message was not taken whole");
}

void load_order_send(struct load_conn *c, const struct load_options *o)
{
    uint8_t message[1 + sizeof(struct load_order)] = {c->mode};
    struct load_order order = {.bytes = c->mode == LOAD_UP ? c->tx_want : c->rx_want,
                               .verify = o->verify};
    memcpy(message + 1, &order, sizeof order);
    load_say(c->fd, message, c->mode == LOAD_ECHO ? 1 : sizeof message);
}

/* ---- data ---- */

ssize_t load_swallow(struct load_conn *c, uint64_t most)
{
    size_t n = most < LOAD_CHUNK ? (size_t)most : LOAD_CHUNK;
    /* Without a look at it the kernel need not even copy it: the load is not what we measure. */
    ssize_t r = c->verify ? recv(c->fd, scratch, n, 0) : recv(c->fd, NULL, n, MSG_TRUNC);
    if (r < 0)
        return -errno;
    if (c->verify && memcmp(scratch, pattern + c->rx % LOAD_PATTERN, (size_t)r))
        return -EBADMSG;
    c->rx += (uint64_t)r;
    return r;
}

ssize_t load_pump(struct load_conn *c)
{
    uint64_t left = c->tx_want - c->tx;
    ssize_t r = send(c->fd, pattern + c->tx % LOAD_PATTERN, left < LOAD_CHUNK ? left : LOAD_CHUNK,
                     MSG_NOSIGNAL);
    if (r < 0)
        return -errno;
    c->tx += (uint64_t)r;
    return r;
}

/* ---- latencies ---- */

void load_latency_add(double seconds)
{
    if (latency.n == latency.room) {
        latency.room = latency.room ? latency.room * 2 : 1u << 16;
        latency.ns = allocate(latency.ns, latency.room * sizeof *latency.ns);
    }
    latency.ns[latency.n++] = seconds < 4 ? (uint32_t)(seconds * 1e9) : UINT32_MAX;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double microseconds(double quantile)
{
    return latency.n ? latency.ns[(size_t)((double)(latency.n - 1) * quantile)] / 1e3 : 0;
}

void load_latency_print(double seconds_in_all)
{
    if (latency.n)
        qsort(latency.ns, latency.n, sizeof *latency.ns, compare);
    printf(
        "\"n\":%zu,\"per_s\":%.1f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f",
        latency.n, (double)latency.n / seconds_in_all, microseconds(.5), microseconds(.9),
        microseconds(.99), microseconds(1));
}

void load_gate(const struct load_options *o)
{
    char byte;
    if (!o->gate)
        return;
    printf("{\"open\":%d}\n", o->conns);
    fflush(stdout);
    if (read(STDIN_FILENO, &byte, 1) != 1)
        load_fail(LOAD_EXIT_USAGE, "stdin ended before it said to go on");
}

void load_hold(const struct load_options *o)
{
    char byte;
    fflush(stdout);
    while (o->hold && read(STDIN_FILENO, &byte, 1) > 0)
        ;
}
