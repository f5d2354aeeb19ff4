/* SPDX-License-Identifier: MIT */
/*
 * A long link in user space, for one tunnel: every byte leaves the far side so much later, and no
 * faster than the rate.
 *
 *   delay -l LISTENPORT -t TARGETPORT -d ONEWAY_MS [-r MBYTES_PER_S] [-q QUEUE_KB] [-s SOURCE]
 *
 * Port 0 takes a free one; the line that is printed says which. The queue is the room of the router
 * before the bottleneck, on top of what is on the way (default: 64 MB in all). The target sees
 * connections from the address SOURCE (default: 127.0.0.1). TCP acknowledgements
 * are local to each half of the connection, so the kernel does not see the distance: what is
 * measured through this link are the windows of the protocols above TCP, not TCP itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 16384, EVENTS = 64, UNLIMITED_ROOM = 64 << 20 };

struct chunk {
    struct chunk *next;
    double due;
    size_t len, off;
    uint8_t data[CHUNK];
};

/* One direction: what was read at `from` waits for its time to be written to `to`. */
struct half {
    int from, to;
    struct chunk *head, **tail;
    bool readable, writable, ended, done;
};

struct joint;

/* The bottleneck of one direction, which all connections share. */
struct pipe {
    size_t waiting;      /* bytes, on the way or in the queue */
    double last_arrival; /* at its end, before the delay */
};

/* What epoll's events carry: which socket of which connection. */
struct end {
    struct joint *joint;
    int side;
};

/* One connection; half i reads from side i. */
struct joint {
    struct joint *next;
    struct half half[2];
    struct end end[2];
};

struct link {
    double delay, rate; /* seconds, bytes a second; rate 0: no limit */
    size_t room;
    int poller, listener, target_port;
    uint32_t source;     /* network order */
    struct pipe pipe[2]; /* of halves 0 and halves 1 */
    struct joint *joints;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- bytes ---- */

static bool may_take(const struct link *l, const struct half *h, const struct pipe *p)
{
    return h->readable && !h->ended && !h->done && p->waiting < l->room;
}

/* When the last of n bytes that enter now will be at the far side. */
static double arrival(const struct link *l, struct pipe *p, size_t n)
{
    double t = now();
    if (p->last_arrival < t)
        p->last_arrival = t;
    if (l->rate > 0)
        p->last_arrival += (double)n / l->rate;
    return p->last_arrival + l->delay;
}

/* One chunk, so that connections that share the pipe take turns. */
static void take(const struct link *l, struct half *h, struct pipe *p)
{
    struct chunk *c = malloc(sizeof *c);
    if (!c)
        die("malloc");
    ssize_t n = recv(h->from, c->data, sizeof c->data, 0);
    if (n <= 0) {
        free(c);
        h->readable = false;
        h->ended = n == 0 || errno != EAGAIN;
        return;
    }
    c->due = arrival(l, p, (size_t)n);
    c->len = (size_t)n;
    c->off = 0;
    c->next = NULL;
    *h->tail = c;
    h->tail = &c->next;
    p->waiting += c->len;
}

static void drop_head(struct half *h, struct pipe *p)
{
    struct chunk *c = h->head;
    p->waiting -= c->len - c->off;
    h->head = c->next;
    if (!h->head)
        h->tail = &h->head;
    free(c);
}

static void give(struct half *h, struct pipe *p)
{
    double t = now();
    while (h->writable && h->head && h->head->due <= t) {
        struct chunk *c = h->head;
        ssize_t n = send(h->to, c->data + c->off, c->len - c->off, MSG_NOSIGNAL);
        if (n < 0) {
            h->writable = false;
            h->done = errno != EAGAIN;
            return;
        }
        c->off += (size_t)n;
        p->waiting -= (size_t)n;
        if (c->off == c->len)
            drop_head(h, p);
    }
}

static void step(const struct link *l, struct half *h, struct pipe *p)
{
    if (h->done)
        return;
    if (may_take(l, h, p))
        take(l, h, p);
    give(h, p);
    if (h->ended && !h->head && !h->done) {
        shutdown(h->to, SHUT_WR);
        h->done = true;
    }
}

/* ---- connections ---- */

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void add(struct link *l, const int fd[2])
{
    struct joint *j = calloc(1, sizeof *j);
    int one = 1;
    if (!j)
        die("malloc");
    for (int i = 0; i < 2; i++) {
        struct half *h = &j->half[i];
        h->from = fd[i];
        h->to = fd[!i];
        h->tail = &h->head;
        h->writable = true;
        j->end[i] = (struct end){j, i};
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = &j->end[i]};
        if (fcntl(fd[i], F_SETFL, O_NONBLOCK) ||
            setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
            epoll_ctl(l->poller, EPOLL_CTL_ADD, fd[i], &e))
            die("epoll_ctl");
    }
    j->next = l->joints;
    l->joints = j;
}

static void accept_all(struct link *l)
{
    struct sockaddr_in target = loopback(l->target_port), from = loopback(0);
    from.sin_addr.s_addr = l->source;
    for (;;) {
        int fd[2] = {accept4(l->listener, NULL, NULL, SOCK_CLOEXEC), -1};
        if (fd[0] < 0)
            return;
        fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd[1] < 0)
            die("socket");
        if (bind(fd[1], (struct sockaddr *)&from, sizeof from))
            die("bind");
        if (connect(fd[1], (struct sockaddr *)&target, sizeof target)) {
            close(fd[0]);
            close(fd[1]);
            continue;
        }
        add(l, fd);
    }
}

static void drop(struct link *l, struct joint *j)
{
    for (int i = 0; i < 2; i++) {
        while (j->half[i].head)
            drop_head(&j->half[i], &l->pipe[i]);
        close(j->half[i].from);
    }
    free(j);
}

static void sweep(struct link *l)
{
    struct joint **p = &l->joints;
    while (*p) {
        struct joint *j = *p;
        if (j->half[0].done && j->half[1].done) {
            *p = j->next;
            drop(l, j);
        } else {
            p = &j->next;
        }
    }
}

/* ---- the loop ---- */

/* Seconds until there is something to do, at most one. */
static double patience(const struct link *l)
{
    double t = now(), next = t + 1;
    for (const struct joint *j = l->joints; j; j = j->next) {
        for (int i = 0; i < 2; i++) {
            const struct half *h = &j->half[i];
            if (may_take(l, h, &l->pipe[i]))
                return 0;
            if (!h->done && h->writable && h->head && h->head->due < next)
                next = h->head->due;
        }
    }
    return next > t ? next - t : 0;
}

static void on_event(struct link *l, const struct epoll_event *e)
{
    const struct end *end = e->data.ptr;
    if (!end) {
        accept_all(l);
        return;
    }
    if (e->events & (uint32_t)~EPOLLOUT)
        end->joint->half[end->side].readable = true;
    if (e->events & EPOLLOUT)
        end->joint->half[!end->side].writable = true;
}

static _Noreturn void run(struct link *l)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        double wait = patience(l);
        time_t whole = (time_t)wait;
        struct timespec ts = {whole, (long)((wait - (double)whole) * 1e9)};
        int n = epoll_pwait2(l->poller, events, EVENTS, &ts, NULL);
        for (int i = 0; i < n; i++)
            on_event(l, &events[i]);
        for (struct joint *j = l->joints; j; j = j->next) {
            step(l, &j->half[0], &l->pipe[0]);
            step(l, &j->half[1], &l->pipe[1]);
        }
        sweep(l);
    }
}

static void start(struct link *l, int port)
{
    int one = 1;
    struct sockaddr_in a = loopback(port);
    socklen_t size = sizeof a;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    l->poller = epoll_create1(EPOLL_CLOEXEC);
    l->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->poller < 0 || l->listener < 0 ||
        setsockopt(l->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(l->listener, (struct sockaddr *)&a, sizeof a) || listen(l->listener, 4096) ||
        getsockname(l->listener, (struct sockaddr *)&a, &size) ||
        epoll_ctl(l->poller, EPOLL_CTL_ADD, l->listener, &e))
        die("listen");
    printf("{\"port\":%d}\n", ntohs(a.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct link l = {.room = UNLIMITED_ROOM, .source = htonl(INADDR_LOOPBACK)};
    int c, port = -1;
    double queue_kb = 0;
    while ((c = getopt(argc, argv, "l:t:d:r:q:s:")) != -1) {
        if (c == 'l')
            port = atoi(optarg);
        else if (c == 't')
            l.target_port = atoi(optarg);
        else if (c == 'd')
            l.delay = atof(optarg) * 1e-3;
        else if (c == 'r')
            l.rate = atof(optarg) * 1e6;
        else if (c == 'q')
            queue_kb = atof(optarg);
        else if (c == 's')
            l.source = inet_addr(optarg);
        else
            port = -1;
    }
    if (port < 0 || l.target_port <= 0) {
        fputs("usage: delay -l PORT -t PORT -d ONEWAY_MS [-r MBYTES_PER_S] [-q QUEUE_KB] "
              "[-s SOURCE]\n",
              stderr);
        return 2;
    }
    if (queue_kb > 0)
        l.room = (size_t)(l.delay * l.rate + queue_kb * 1024);
    signal(SIGPIPE, SIG_IGN);
    start(&l, port);
    run(&l);
}
