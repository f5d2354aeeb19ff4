/* SPDX-License-Identifier: MIT */
/*
 * The yardstick (see limit.h): set-up and the loop.
 *
 *   limit server -T TUNNELPORT -P PUBLICPORT -C CERT.pem -K KEY.pem
 *   limit client -T TUNNELPORT -L LOCALPORT
 */
#include "bench/limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, ACCEPTS = 64, READ_AHEAD = 128 << 10 };

struct options {
    int tunnel_port, public_port, local_port;
    const char *cert, *key;
};

/* The addresses are what epoll's events carry for these two sockets. */
static const char LISTENER = 'l', TUNNEL = 't';

_Noreturn void limit_die(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* ---- set-up ---- */

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = loopback(port);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096))
        limit_die("listen");
    return fd;
}

static void set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        limit_die("fcntl");
}

static void watch(struct limit *l, int fd, uint32_t events, const char *what)
{
    struct epoll_event e = {.events = events, .data.ptr = (void *)(uintptr_t)what};
    if (epoll_ctl(l->poller, EPOLL_CTL_ADD, fd, &e))
        limit_die("epoll_ctl");
}

/* The one connection of the tunnel. */
static int join(const struct limit *l, int port)
{
    struct sockaddr_in a = loopback(port);
    if (l->server) {
        int listener = listen_on(port), fd = accept(listener, NULL, NULL);
        if (fd < 0)
            limit_die("accept");
        close(listener);
        return fd;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a))
        limit_die("connect");
    return fd;
}

static SSL_CTX *new_context(const struct limit *l, const struct options *o)
{
    SSL_CTX *ctx = SSL_CTX_new(l->server ? TLS_server_method() : TLS_client_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION))
        limit_die("SSL_CTX");
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
    if (!l->server)
        return ctx;
    if (SSL_CTX_use_certificate_file(ctx, o->cert, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1)
        limit_die("certificate");
    SSL_CTX_set_num_tickets(ctx, 0);
    return ctx;
}

static void start(struct limit *l, const struct options *o)
{
    int one = 1;
    l->poller = epoll_create1(EPOLL_CLOEXEC);
    l->ready_tail = &l->ready_head;
    l->next_id = 2;
    l->local_port = o->local_port;
    l->listener = -1;
    SSL_CTX *ctx = new_context(l, o); /* before the first connection waits for it */
    l->tunnel = join(l, o->tunnel_port);
    set_nonblocking(l->tunnel);
    if (setsockopt(l->tunnel, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
        limit_die("TCP_NODELAY");
    watch(l, l->tunnel, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &TUNNEL);
    l->writable = true;
    l->readable = true;
    limit_tls(l, ctx);
}

/* ---- the loop ---- */

static void accept_users(struct limit *l)
{
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        limit_open(l, fd);
    }
}

static void tunnel_event(struct limit *l, uint32_t events)
{
    const uint32_t gone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (events & (EPOLLIN | gone)) {
        l->readable = true;
        l->drained = false;
    }
    if (events & gone)
        l->hung_up = true;
    if (events & EPOLLOUT)
        l->writable = true;
}

static void dispatch(struct limit *l, const struct epoll_event *e)
{
    if (e->data.ptr == &TUNNEL)
        tunnel_event(l, e->events);
    else if (e->data.ptr == &LISTENER)
        accept_users(l);
    else
        limit_stream_event(l, e->data.ptr, e->events);
}

static void wait_for_events(struct limit *l, int timeout)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(l->poller, events, EVENTS, timeout);
    for (int i = 0; i < n; i++)
        dispatch(l, &events[i]);
}

static void handshake(struct limit *l)
{
    int r;
    while ((r = SSL_do_handshake(l->ssl)) != 1) {
        if (SSL_get_error(l->ssl, r) != SSL_ERROR_WANT_READ)
            limit_die("handshake");
        limit_flush(l);
        wait_for_events(l, -1);
    }
    limit_flush(l);
}

static _Noreturn void run(struct limit *l)
{
    for (;;) {
        bool busy = l->readable || (l->ready_head && limit_backlog(l) < LIMIT_QUEUE);
        wait_for_events(l, busy ? 0 : -1);
        if (l->readable)
            limit_receive(l);
        limit_run_ready(l);
        limit_flush(l);
        if (l->graveyard)
            limit_reap(l);
    }
}

static void raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r))
        limit_die("getrlimit");
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r))
        limit_die("setrlimit");
}

static bool parse(int argc, char **argv, struct options *ret)
{
    int c;
    while ((c = getopt(argc, argv, "T:P:L:C:K:")) != -1) {
        switch (c) {
        case 'T':
            ret->tunnel_port = atoi(optarg);
            break;
        case 'P':
            ret->public_port = atoi(optarg);
            break;
        case 'L':
            ret->local_port = atoi(optarg);
            break;
        case 'C':
            ret->cert = optarg;
            break;
        case 'K':
            ret->key = optarg;
            break;
        default:
            return false;
        }
    }
    return ret->tunnel_port > 0;
}

int main(int argc, char **argv)
{
    static struct limit l;
    struct options o = {0};
    if (argc < 2 || !parse(argc - 1, argv + 1, &o)) {
        fputs("usage: limit server -T PORT -P PORT -C CERT -K KEY | limit client -T PORT -L PORT\n",
              stderr);
        return 2;
    }
    l.server = !strcmp(argv[1], "server");
    signal(SIGPIPE, SIG_IGN);
    raise_limit();
    start(&l, &o);
    handshake(&l);
    if (l.server) {
        l.listener = listen_on(o.public_port);
        set_nonblocking(l.listener);
        watch(&l, l.listener, EPOLLIN, &LISTENER);
    }
    run(&l);
}
