/* SPDX-License-Identifier: MIT */
/*
 * Hostile traffic against a tunnel, from many addresses of the loopback, bounded in time and number.
 * Everything prints one JSON object in one line.
 *
 *   at the tunnel port
 *   hostile shake    a ClientHello, the server's answer, a reset: -c at a time, for -t seconds
 *   hostile hold     -r connections a second that say -m (byte, half a hello, a whole hello) and then
 *                    nothing, for -t seconds, of which -c are kept
 *   hostile guess    -l wrong lines -m behind a handshake, -c at a time, for -t seconds; with -w the
 *                    guesser leaves after so long
 *
 *   at a public port; these say {"open":N} when they are there, and stay until stdin ends
 *   hostile stall    -c users who ask for -b bytes each and read nothing
 *   hostile quiet    -c users who never write
 *   hostile half     -c users who close their half at once
 *   hostile drip     -c users who write one byte, one after the other, again and again
 *   hostile reset    connect and reset, for -t seconds
 *
 *   hostile burn     no traffic: keeps one processor busy for -t seconds
 *   hostile doze     the same with what nobody else wants: a processor that does not sleep
 *   hostile bare     says {"port":N}, and accepts and closes there until stdin ends
 */
#include "bench/hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/load.h"

enum { EVENTS = 64, TICK_MS = 50, FIRST_SOURCE = 0x7f140001, SMALL_BUFFER = 4096 };

double hostile_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void hostile_die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in address(uint32_t host, int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(host)};
}

static int dial(const struct hostile_options *o, unsigned n, int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    uint32_t host =
        o->sources > 0 ? FIRST_SOURCE + o->first + n % (unsigned)o->sources : INADDR_LOOPBACK;
    struct sockaddr_in from = address(host, 0), to = address(INADDR_LOOPBACK, o->port);
    if (fd < 0)
        hostile_die("socket");
    if (receive_buffer)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from))
        hostile_die("bind");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

int hostile_dial(const struct hostile_options *o, unsigned n)
{
    return dial(o, n, 0);
}

void hostile_reset(int fd)
{
    struct linger at_once = {1, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static bool say(int fd, const void *p, size_t n)
{
    return send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

/* ---- at the tunnel port ---- */

struct shaker {
    int fd, poller;
    bool said;
    unsigned n;
};

static void shake_begin(const struct hostile_options *o, struct shaker *s, unsigned n)
{
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = s};
    s->said = false;
    s->n = n;
    while ((s->fd = hostile_dial(o, n)) < 0)
        usleep(1000);
    if (epoll_ctl(s->poller, EPOLL_CTL_ADD, s->fd, &e))
        hostile_die("epoll_ctl");
}

/* True when this one is over; *answered counts those to whom the server has said its hello. */
static bool shake_step(struct shaker *s, size_t *answered)
{
    const uint8_t *hello;
    size_t n = hostile_hello(&hello);
    char byte;
    if (s->said) {
        *answered += recv(s->fd, &byte, 1, MSG_DONTWAIT) == 1;
        return true;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    s->said = true;
    return !say(s->fd, hello, n) || epoll_ctl(s->poller, EPOLL_CTL_MOD, s->fd, &e) != 0;
}

static int shake(const struct hostile_options *o)
{
    struct epoll_event events[EVENTS];
    struct shaker *all = calloc((size_t)o->conns, sizeof *all);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    unsigned next = 0;
    size_t answered = 0;
    if (!all || poller < 0)
        hostile_die("epoll_create1");
    double begin = hostile_now();
    for (int i = 0; i < o->conns; i++) {
        all[i].poller = poller;
        shake_begin(o, &all[i], next++);
    }
    while (hostile_now() < begin + o->seconds) {
        int n = epoll_wait(poller, events, EVENTS, TICK_MS);
        for (int i = 0; i < n; i++) {
            struct shaker *s = events[i].data.ptr;
            if (shake_step(s, &answered)) {
                hostile_reset(s->fd);
                shake_begin(o, s, next++);
            }
        }
    }
    printf("{\"dialled\":%u,\"answered\":%zu,\"seconds\":%.3f}\n", next, answered,
           hostile_now() - begin);
    free(all);
    return 0;
}

/* What a hold says: *ret and its length. */
static size_t hold_text(const struct hostile_options *o, const uint8_t **ret)
{
    size_t n = hostile_hello(ret);
    return !strcmp(o->text, "byte") ? 1 : !strcmp(o->text, "half") ? n / 2 : n;
}

static int hold(const struct hostile_options *o)
{
    const uint8_t *text;
    size_t n = hold_text(o, &text), said = 0;
    int *kept = malloc((size_t)o->conns * sizeof *kept);
    unsigned next = 0;
    if (!kept)
        hostile_die("malloc");
    memset(kept, -1, (size_t)o->conns * sizeof *kept);
    double begin = hostile_now(), now;
    while ((now = hostile_now()) < begin + o->seconds) {
        if (o->rate > 0 && next >= (now - begin) * o->rate) {
            usleep(1000);
            continue;
        }
        int *place = &kept[next % (unsigned)o->conns];
        if (*place >= 0)
            close(*place);
        *place = hostile_dial(o, next++);
        said += *place >= 0 && say(*place, text, n);
    }
    printf("{\"dialled\":%u,\"said\":%zu,\"seconds\":%.3f}\n", next, said, now - begin);
    free(kept);
    return 0;
}

/* ---- at a public port ---- */

static bool is_there(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return fd >= 0 && poll(&p, 1, 5000) == 1 && !(p.revents & (POLLERR | POLLHUP));
}

/* Opens -c users; how many are there. fds has their places. */
static int open_users(const struct hostile_options *o, int *fds, int receive_buffer)
{
    int there = 0;
    for (int i = 0; i < o->conns; i++) {
        fds[i] = dial(o, (unsigned)i, receive_buffer);
        there += is_there(fds[i]);
    }
    return there;
}

static bool stdin_ended(int timeout_ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&p, 1, timeout_ms) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void ask(const struct hostile_options *o, int fd)
{
    struct load_order order = {.bytes = o->bytes, .verify = 0};
    uint8_t message[1 + sizeof order] = {LOAD_DOWN};
    memcpy(message + 1, &order, sizeof order);
    (void)say(fd, message, sizeof message);
}

/* Every user writes once, spread over a second. */
static void drip_round(const struct hostile_options *o, const int *fds)
{
    enum { PARTS = 50 };
    static const char byte = LOAD_ECHO;
    for (int part = 0; part < PARTS; part++) {
        for (int i = part; i < o->conns; i += PARTS)
            (void)say(fds[i], &byte, 1);
        usleep(1000000 / PARTS);
    }
}

static int users(const struct hostile_options *o, const char *kind)
{
    int *fds = malloc((size_t)o->conns * sizeof *fds);
    bool drips = !strcmp(kind, "drip");
    if (!fds)
        hostile_die("malloc");
    int there = open_users(o, fds, strcmp(kind, "stall") ? 0 : SMALL_BUFFER);
    for (int i = 0; i < o->conns; i++) {
        if (!strcmp(kind, "stall"))
            ask(o, fds[i]);
        if (!strcmp(kind, "half"))
            (void)shutdown(fds[i], SHUT_WR);
    }
    printf("{\"open\":%d}\n", there);
    fflush(stdout);
    while (!stdin_ended(drips ? 0 : 1000)) {
        if (drips)
            drip_round(o, fds);
    }
    free(fds);
    return 0;
}

static int stall(const struct hostile_options *o)
{
    return users(o, "stall");
}

static int quiet(const struct hostile_options *o)
{
    return users(o, "quiet");
}

static int half(const struct hostile_options *o)
{
    return users(o, "half");
}

static int drip(const struct hostile_options *o)
{
    return users(o, "drip");
}

static int reset(const struct hostile_options *o)
{
    unsigned n = 0;
    double begin = hostile_now();
    while (hostile_now() < begin + o->seconds) {
        int fd = hostile_dial(o, n++);
        if (fd >= 0)
            hostile_reset(fd);
    }
    printf("{\"resets\":%u,\"seconds\":%.3f}\n", n, hostile_now() - begin);
    return 0;
}

static int burn(const struct hostile_options *o)
{
    double begin = hostile_now();
    unsigned long turns = 0;
    while (hostile_now() < begin + o->seconds)
        turns++;
    printf("{\"turns\":%lu}\n", turns);
    return 0;
}

static int doze(const struct hostile_options *o)
{
    struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_IDLE, &none))
        hostile_die("sched_setscheduler");
    return burn(o);
}

/* ---- command line ---- */

static const struct {
    const char *name;
    int (*run)(const struct hostile_options *o);
} modes[] = {
    {"shake", shake}, {"hold", hold}, {"guess", hostile_guess}, {"stall", stall},
    {"quiet", quiet}, {"half", half}, {"drip", drip},           {"reset", reset},
    {"burn", burn},   {"doze", doze}, {"bare", hostile_bare},
};

static _Noreturn void usage(void)
{
    fputs("usage: hostile shake|hold|guess|stall|quiet|half|drip|reset|burn|doze|bare -p PORT [-c "
          "CONNECTIONS]\n"
          "               [-n SOURCES] [-f FIRST] [-t SECONDS] [-r PER_SECOND] [-w SECONDS] [-b "
          "BYTES]\n"
          "               [-l LINES] [-m TEXT] [-a ALPN]\n",
          stderr);
    exit(2);
}

static struct hostile_options options(int argc, char **argv)
{
    struct hostile_options o = {
        .conns = 1, .seconds = 1, .bytes = 300000, .lines = 1, .text = "hello"};
    int c;
    while ((c = getopt(argc, argv, "p:c:n:f:t:r:w:b:l:m:a:")) != -1) {
        switch (c) {
        case 'p':
            o.port = atoi(optarg);
            break;
        case 'c':
            o.conns = atoi(optarg);
            break;
        case 'n':
            o.sources = atoi(optarg);
            break;
        case 'f':
            o.first = (uint32_t)atoi(optarg);
            break;
        case 't':
            o.seconds = atof(optarg);
            break;
        case 'r':
            o.rate = atof(optarg);
            break;
        case 'w':
            o.wait = atof(optarg);
            break;
        case 'b':
            o.bytes = strtoull(optarg, NULL, 10);
            break;
        case 'l':
            o.lines = atoi(optarg);
            break;
        case 'm':
            o.text = optarg;
            break;
        case 'a':
            o.alpn = optarg;
            break;
        default:
            usage();
        }
    }
    if (o.conns < 1 || o.sources < 0 || optind < argc)
        usage();
    return o;
}

int main(int argc, char **argv)
{
    struct rlimit r;
    if (argc < 2)
        usage();
    struct hostile_options o = options(argc - 1, argv + 1);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!strcmp(argv[1], modes[i].name))
            return modes[i].run(&o);
    }
    usage();
}
