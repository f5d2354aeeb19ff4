/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit.h"
#include "net/sock.h"

enum { MANY = 100 };

/* Who owns the listener under test. */
struct owner {
    struct kit *k;
    struct listener *l;
    int fd[MANY];
    int accepted, pauses, pause_err;
    int close_after, pause_after; /* accepted connections */
    int may, asked;               /* so many more may come */
    mtime_ms wait;                /* before the next ones */
    char peer[SOCK_NAME_MAX];
};

static void on_accept(void *ctx, int fd, const struct sockaddr *peer)
{
    struct owner *o = ctx;
    sock_name(o->peer, peer);
    o->fd[o->accepted++] = fd;
    if (o->accepted == o->pause_after)
        listener_pause(o->l, true);
    if (o->accepted == o->close_after) {
        listener_close(o->l);
        o->l = NULL;
    }
}

static void on_pause(void *ctx, int err)
{
    struct owner *o = ctx;
    o->pauses++;
    o->pause_err = err;
}

static const struct listener_events events = {.on_accept = on_accept, .on_pause = on_pause};

static int open_at(struct owner *o, const char *host, int port, struct errmsg *why)
{
    struct listener_config cfg = {.host = host, .port = port};
    return listener_open(&o->k->loop, &cfg, &events, o, &o->l, why);
}

/* Ends what a test has left. */
static void owner_close(struct owner *o)
{
    for (int i = 0; i < o->accepted; i++)
        (void)close(o->fd[i]);
    listener_close(o->l);
    (void)uv_run(&o->k->loop.uv, UV_RUN_NOWAIT);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof in6) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static int connect6(int port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons((uint16_t)port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in6, sizeof in6), 0);
    return fd;
}

/* ---- a socket of somebody else's ---- */

static int adopt(struct owner *o, int fd, struct errmsg *why)
{
    struct listener_config cfg = {.defer_accept_s = 5};
    return listener_adopt(&o->k->loop, fd, &cfg, &events, o, &o->l, why);
}

static void a_listening_socket_is_adopted(void **state)
{
    struct owner o = {.k = *state};
    struct errmsg why = {""};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), defer = 0, nodelay = 0;
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(adopt(&o, fd, &why), 0);
    assert_in_range(listener_port(o.l), 1, 65535);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(
        getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, &(socklen_t){sizeof defer}), 0);
    assert_true(defer > 0);
    assert_int_equal(
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &(socklen_t){sizeof nodelay}), 0);
    assert_int_equal(nodelay, 1);
    owner_close(&o);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was the listener's */
}

static void what_is_no_listening_tcp_socket_is_refused(void **state)
{
    struct owner o = {.k = *state};
    struct errmsg why = {""};
    char want[64];
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    const int rows[] = {
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), /* does not listen */
        socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
        pipes[0],
        pipes[1],
    };
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    assert_int_equal(bind(rows[2], (struct sockaddr *)&un, sizeof un.sun_family), 0);
    assert_int_equal(listen(rows[2], 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(adopt(&o, rows[i], &why), ERR_INVAL);
        (void)snprintf(want, sizeof want, "descriptor %d is not a listening TCP socket", rows[i]);
        assert_string_equal(why.text, want);
        assert_int_equal(close(rows[i]), 0); /* still ours */
    }
    assert_int_equal(adopt(&o, rows[0], &why), ERR_INVAL); /* closed */
}

/* ---- addresses ---- */

static void addresses_read_as_the_original_prints_them(void **state)
{
    static const char *const rows[][2] = {
        {NULL, "[::]"},   {"", "[::]"},           {"127.0.0.1", "127.0.0.1"},
        {"::1", "[::1]"}, {"0.0.0.0", "0.0.0.0"}, {"::ffff:127.0.0.1", "127.0.0.1"},
    };
    if (!has_ipv6())
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct owner o = {.k = *state};
        struct errmsg why = {""};
        char want[SOCK_NAME_MAX];
        assert_int_equal(open_at(&o, rows[i][0], 0, &why), 0);
        assert_in_range(listener_port(o.l), 1, 65535);
        (void)snprintf(want, sizeof want, "%s:%d", rows[i][1], listener_port(o.l));
        assert_string_equal(listener_address(o.l), want);
        owner_close(&o);
    }
}

/* Set once, on the listening socket. */
static void accepted_sockets_inherit_their_options(void **state)
{
    for (int users = 0; users <= 1; users++) {
        struct owner o = {.k = *state};
        struct listener_config cfg = {
            .host = "127.0.0.1", .for_users = users, .unsent_max = users ? 12345 : 0};
        struct errmsg why = {""};
        int on = -1, idle = -1, unsent = -1;
        socklen_t len = sizeof on;
        assert_int_equal(listener_open(&o.k->loop, &cfg, &events, &o, &o.l, &why), 0);
        int c = kit_connect(listener_port(o.l));
        KIT_UNTIL(o.k, o.accepted == 1);
        assert_int_equal(getsockopt(o.fd[0], SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
        assert_int_equal(on, users);
        assert_int_equal(getsockopt(o.fd[0], IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len), 0);
        assert_int_equal(idle == 60, users);
        assert_int_equal(getsockopt(o.fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, &len), 0);
        assert_int_equal(unsent == 12345, users);
        struct linger hard;
        socklen_t hard_len = sizeof hard;
        assert_int_equal(getsockopt(o.fd[0], SOL_SOCKET, SO_LINGER, &hard, &hard_len), 0);
        assert_int_equal(hard.l_onoff, users);
        assert_int_equal(hard.l_linger, 0);
        (void)close(c);
        owner_close(&o);
    }
}

static void all_addresses_are_both_families(void **state)
{
    struct owner o = {.k = *state};
    struct errmsg why;
    int one = 0;
    socklen_t len = sizeof one;
    if (!has_ipv6())
        skip();
    assert_int_equal(open_at(&o, NULL, 0, &why), 0);
    int a = kit_connect(listener_port(o.l)), b = connect6(listener_port(o.l));
    KIT_UNTIL(o.k, o.accepted == 2);
    assert_true(strncmp(o.peer, "[::1]:", 6) == 0 || strncmp(o.peer, "127.0.0.1:", 10) == 0);
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(o.fd[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(o.fd[i], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(getsockopt(o.fd[i], IPPROTO_TCP, TCP_NODELAY, &one, &len), 0);
        assert_int_equal(one, 1);
    }
    (void)close(a), (void)close(b);
    owner_close(&o);
}

/* Not of the lower half alone, which the kernel fills before it looks at the other one, for 2 ms a port: once in
   2^64 this fails. And a connection of it that is still there does not keep the port from who comes again. */
static void a_port_of_the_systems_choice_is_any(void **state)
{
    enum { PORTS = 64 };
    struct owner o[PORTS];
    struct errmsg why = {""};
    int low, high, upper = 0;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    bool is_known = f && fscanf(f, "%d %d", &low, &high) == 2 && high - low > 1000;
    if (f)
        (void)fclose(f);
    if (!is_known)
        skip();
    for (int i = 0; i < PORTS; i++) {
        o[i] = (struct owner){.k = *state};
        assert_int_equal(open_at(&o[i], "127.0.0.1", 0, &why), 0);
        upper += listener_port(o[i].l) > low + (high - low) / 2 + 1;
    }
    assert_true(upper > 0);
    int port = listener_port(o[0].l), c = kit_connect(port);
    KIT_UNTIL(o[0].k, o[0].accepted == 1);
    listener_close(o[0].l);
    o[0].l = NULL;
    assert_int_equal(open_at(&o[0], "127.0.0.1", port, &why), 0);
    (void)close(c);
    for (int i = 0; i < PORTS; i++)
        owner_close(&o[i]);
}

/* So many wait in the kernel; the others' SYN is not answered. */
static void who_waits_in_the_kernel_is_bounded(void **state)
{
    enum { COME = 12 };
    struct owner o = {.k = *state};
    struct listener_config cfg = {.host = "127.0.0.1", .backlog = 4};
    struct errmsg why = {""};
    int fd[COME], there = 0;
    assert_int_equal(listener_open(&o.k->loop, &cfg, &events, &o, &o.l, &why), 0);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)listener_port(o.l))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < COME; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fd[i], (struct sockaddr *)&in,
                      sizeof in); /* on the loopback it is there at once */
    }
    for (int i = 0; i < COME; i++)
        there += sock_is_writable(fd[i]);
    assert_in_range(there, 4, 6);
    for (int i = 0; i < COME; i++)
        (void)close(fd[i]);
    owner_close(&o);
}

/* ---- refusals ---- */

static void ports_out_of_range(void **state)
{
    static const int ports[] = {-1, 65536, -2147483647, 2147483647};
    struct owner o = {.k = *state};
    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        struct errmsg why = {""};
        assert_int_equal(open_at(&o, NULL, ports[i], &why), ERR_RANGE);
        assert_non_null(strstr(why.text, "65535"));
        assert_null(o.l);
    }
}

static void a_port_in_use(void **state)
{
    struct owner o = {.k = *state}, other = {.k = *state};
    struct errmsg why = {""};
    assert_int_equal(open_at(&o, NULL, 0, &why), 0);
    assert_int_equal(open_at(&other, NULL, listener_port(o.l), &why), ERR_INUSE);
    assert_non_null(strstr(why.text, strerror(EADDRINUSE)));
    owner_close(&o);

    int port, fd = kit_listen(1, &port); /* somebody else's, on one address only */
    assert_int_equal(open_at(&o, NULL, port, &why), ERR_INUSE);
    assert_int_equal(open_at(&o, "127.0.0.1", port, &why), ERR_INUSE);
    (void)close(fd);
    assert_int_equal(open_at(&o, "127.0.0.1", port, &why), 0);
    owner_close(&o);
}

static void not_our_address(void **state)
{
    struct owner o = {.k = *state};
    struct errmsg why = {""};
    assert_int_equal(open_at(&o, "192.0.2.1", 0, &why), ERR_IO);
    assert_non_null(strstr(why.text, strerror(EADDRNOTAVAIL)));
    assert_int_equal(open_at(&o, "no-such-host.invalid", 0, &why), ERR_RESOLVE);
    assert_non_null(strstr(why.text, "does not resolve"));
}

static int denied_child(void *arg)
{
    struct owner *o = arg;
    struct errmsg why = {""};
    if (geteuid() == 0 && setuid(65534) < 0)
        return KIT_CHILD_SKIP;
    int err = open_at(o, "127.0.0.1", 1, &why);
    if (err == 0)
        return KIT_CHILD_SKIP; /* this system gives low ports to everybody */
    KIT_CHECK(err == ERR_PERM);
    KIT_CHECK(strstr(why.text, strerror(EACCES)));
    return 0;
}

static void a_port_that_is_not_allowed(void **state)
{
    struct owner o = {.k = *state};
    kit_child(o.k, denied_child, &o);
}

/* ---- closing ---- */

/* Before libuv has even called back, and with connections that would sit in TIME_WAIT. */
static void d6_the_port_is_free_when_close_returns(void **state)
{
    struct owner o = {.k = *state};
    struct errmsg why = {""};
    assert_int_equal(open_at(&o, NULL, 0, &why), 0);
    int port = listener_port(o.l);
    int served = kit_connect(port);
    KIT_UNTIL(o.k, o.accepted == 1);
    int waiting = kit_connect(port); /* accepted by nobody */
    (void)close(o.fd[0]);            /* this end closes first: TIME_WAIT is ours */
    o.accepted = 0;
    for (int i = 0; i < 5; i++) {
        listener_close(o.l);
        o.l = NULL;
        assert_int_equal(open_at(&o, NULL, port, &why), 0);
    }
    int again = kit_connect(port);
    KIT_UNTIL(o.k, o.accepted == 1);
    (void)close(served), (void)close(waiting), (void)close(again);
    owner_close(&o);
    assert_int_equal(kit_connect(port), -ECONNREFUSED);
}

static void closing_while_accepting(void **state)
{
    struct owner o = {.k = *state, .close_after = 2};
    struct errmsg why = {""};
    int c[5];
    assert_int_equal(open_at(&o, "127.0.0.1", 0, &why), 0);
    for (int i = 0; i < 5; i++)
        c[i] = kit_connect(listener_port(o.l));
    KIT_UNTIL(o.k, o.accepted == 2);
    kit_pass(o.k, 20);
    assert_int_equal(o.accepted, 2);
    for (int i = 0; i < 5; i++)
        (void)close(c[i]);
    owner_close(&o);
    listener_close(NULL);
}

/* ---- who may come ---- */

static mtime_ms wait_before(void *ctx)
{
    struct owner *o = ctx;
    o->asked++;
    return o->may-- > 0 ? 0 : o->wait;
}

/* They wait until the owner lets them in, and it is asked when it said. */
static void wait_for_the_owner(struct kit *k, mtime_ms wait, int most_asked)
{
    static const struct listener_events asks = {.on_accept = on_accept, .wait_before = wait_before};
    struct owner o = {.k = k, .may = 2, .wait = wait};
    struct listener_config cfg = {.host = "127.0.0.1"};
    struct errmsg why;
    int c[4];
    assert_int_equal(listener_open(&o.k->loop, &cfg, &asks, &o, &o.l, &why), 0);
    assert_false(listener_has_waiting(o.l));
    for (int i = 0; i < 4; i++)
        c[i] = kit_connect(listener_port(o.l));
    KIT_UNTIL(o.k, o.accepted == 2);
    int asked = o.asked;
    kit_pass(o.k, 3 * LISTENER_PAUSE_MS);
    assert_int_equal(o.accepted, 2);
    assert_true(listener_has_waiting(o.l));
    assert_in_range(o.asked, asked, asked + most_asked);
    listener_pause(o.l, true);
    listener_pause(o.l, false); /* does not end its rest */
    o.may = 2;
    KIT_UNTIL(o.k, o.accepted == 4);
    assert_false(listener_has_waiting(o.l));
    for (int i = 0; i < 4; i++)
        (void)close(c[i]);
    owner_close(&o);
}

static void who_may_not_come_waits(void **state)
{
    wait_for_the_owner(*state, LISTENER_PAUSE_MS, 4);
    wait_for_the_owner(*state, 20 * LISTENER_PAUSE_MS, 1);
}

/* ---- pace ---- */

static void a_flood_is_served_in_batches(void **state)
{
    static const int batches[] = {0, 4};
    for (size_t b = 0; b < ARRAY_LEN(batches); b++) {
        struct owner o = {.k = *state};
        struct errmsg why = {""};
        struct listener_config cfg = {.host = "127.0.0.1", .batch = batches[b]};
        int c[MANY], most = batches[b] ? batches[b] : LISTENER_BATCH;
        assert_int_equal(listener_open(&o.k->loop, &cfg, &events, &o, &o.l, &why), 0);
        for (int i = 0; i < MANY; i++)
            assert_true((c[i] = kit_connect(listener_port(o.l))) >= 0);
        int before = 0, turns = 0;
        o.k->began = kit_clock();
        while (o.accepted < MANY) {
            kit_turn(o.k);
            assert_in_range(o.accepted - before, 0, most);
            turns += o.accepted > before;
            before = o.accepted;
        }
        assert_int_equal(turns, (MANY + most - 1) / most);
        for (int i = 0; i < MANY; i++)
            (void)close(c[i]);
        owner_close(&o);
    }
}

static void paused_by_its_owner(void **state)
{
    struct owner o = {.k = *state, .pause_after = 2};
    struct errmsg why = {""};
    int c[4];
    assert_int_equal(open_at(&o, "127.0.0.1", 0, &why), 0);
    for (int i = 0; i < 4; i++)
        c[i] = kit_connect(listener_port(o.l));
    KIT_UNTIL(o.k, o.accepted == 2);
    assert_in_range(kit_run_counting(o.k, 100), 1, 20); /* asleep, though users wait */
    assert_int_equal(o.accepted, 2);
    listener_pause(o.l, true);
    listener_pause(o.l, false);
    KIT_UNTIL(o.k, o.accepted == 4);
    assert_int_equal(o.pauses, 0);
    for (int i = 0; i < 4; i++)
        (void)close(c[i]);
    owner_close(&o);
}

/* ---- shortage ---- */

/* Takes all descriptors below the limit, which is the lowest there can be. */
static int take_all(int taken[], int max)
{
    struct rlimit r;
    int top = dup(0), n = 0;
    if (top < 0 || getrlimit(RLIMIT_NOFILE, &r) < 0)
        return -1;
    r.rlim_cur = (rlim_t)top + 8;
    if (setrlimit(RLIMIT_NOFILE, &r) < 0)
        return -1;
    taken[n++] = top;
    for (int fd; n < max && (fd = dup(0)) >= 0;)
        taken[n++] = fd;
    return errno == EMFILE ? n : -1;
}

static int shortage_child(void *arg)
{
    struct owner *o = arg;
    struct errmsg why = {""};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int c[4], taken[64];
    KIT_CHECK(open_at(o, "127.0.0.1", 0, &why) == 0);
    in.sin_port = htons((uint16_t)listener_port(o->l));
    (void)uv_run(&o->k->loop.uv, UV_RUN_NOWAIT);
    for (int i = 0; i < 4; i++)
        KIT_CHECK((c[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    int n = take_all(taken, 64);
    KIT_CHECK(n >= 4);
    for (int i = 0; i < 3; i++)
        KIT_CHECK(connect(c[i], (struct sockaddr *)&in, sizeof in) == 0);

    unsigned turns = kit_run_counting(o->k, 4 * LISTENER_PAUSE_MS);
    KIT_CHECK(turns < 40); /* no spinning */
    KIT_CHECK(o->accepted == 0 && o->pauses == 1 && o->pause_err == ERR_LIMIT);

    (void)close(taken[--n]); /* room for one: the shortage goes on, and is not told again */
    (void)kit_run_counting(o->k, 3 * LISTENER_PAUSE_MS);
    KIT_CHECK(o->accepted == 1 && o->pauses == 1);

    (void)close(taken[--n]), (void)close(taken[--n]);
    (void)kit_run_counting(o->k, 3 * LISTENER_PAUSE_MS);
    KIT_CHECK(o->accepted == 3 && o->pauses == 1);
    (void)kit_run_counting(o->k, LISTENER_SERIES_MS + 200); /* over: a new one is told */
    KIT_CHECK(connect(c[3], (struct sockaddr *)&in, sizeof in) == 0);
    (void)kit_run_counting(o->k, 2 * LISTENER_PAUSE_MS);
    KIT_CHECK(o->accepted == 3 && o->pauses == 2);
    (void)close(taken[--n]);
    listener_pause(o->l, true); /* the owner's pause outlasts the timer's */
    (void)kit_run_counting(o->k, 2 * LISTENER_PAUSE_MS);
    KIT_CHECK(o->accepted == 3);
    listener_pause(o->l, false);
    (void)kit_run_counting(o->k, LISTENER_PAUSE_MS);
    KIT_CHECK(o->accepted == 4);
    return 0;
}

static void d22_no_descriptors_left(void **state)
{
    struct owner o = {.k = *state};
    kit_child(o.k, shortage_child, &o);
}

/* The descriptor of the listening socket on port. */
static int find(int port)
{
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in in;
        socklen_t len = sizeof in;
        if (getsockname(fd, (struct sockaddr *)&in, &len) == 0 && ntohs(in.sin_port) == port)
            return fd;
    }
    return -1;
}

/* An error that accept() gives again and again, of a kind that nobody thought of. */
static void a_sick_socket_does_not_spin(void **state)
{
    struct owner o = {.k = *state};
    struct errmsg why = {""};
    assert_int_equal(open_at(&o, "127.0.0.1", 0, &why), 0);
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    int fd = find(listener_port(o.l));
    assert_true(fd >= 0);
    assert_int_equal(shutdown(fd, SHUT_RD), 0); /* Linux takes it out of LISTEN: EINVAL */
    assert_in_range(kit_run_counting(o.k, 5 * LISTENER_PAUSE_MS), 1, 60);
    assert_int_equal(o.pauses, 1);
    assert_int_equal(listen(fd, 16), 0); /* with a new port; it recovers */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    int c = kit_connect(ntohs(in.sin_port));
    KIT_UNTIL(o.k, o.accepted == 1);
    (void)close(c);
    owner_close(&o);
}

/* A user that has reset before it was accepted costs nobody anything. */
static void users_that_have_gone_already(void **state)
{
    struct owner o = {.k = *state};
    struct errmsg why = {""};
    assert_int_equal(open_at(&o, "127.0.0.1", 0, &why), 0);
    for (int i = 0; i < 10; i++)
        sock_close_reset(kit_connect(listener_port(o.l)));
    int c = kit_connect(listener_port(o.l));
    KIT_UNTIL(o.k, o.accepted >= 1);
    kit_pass(o.k, 20);
    assert_int_equal(o.pauses, 0);
    (void)close(c);
    owner_close(&o);
}

/* Users that were reset before they said a word are nobody's business; one whose words are there, or who
   has only ended, is. Where no users come nothing is asked. */
static void users_that_are_dead_already(void **state)
{
    for (int users = 0; users < 2; users++) {
        struct owner o = {.k = *state};
        struct errmsg why = {""};
        struct listener_config cfg = {.host = "127.0.0.1", .for_users = users};
        char byte = 0;
        assert_int_equal(listener_open(&o.k->loop, &cfg, &events, &o, &o.l, &why), 0);
        for (int i = 0; i < 10; i++)
            sock_close_reset(kit_connect(listener_port(o.l)));
        int said = kit_connect(listener_port(o.l)), over = kit_connect(listener_port(o.l));
        assert_int_equal(write(said, "x", 1), 1);
        sock_close_reset(said);
        (void)close(over);
        int c = kit_connect(listener_port(o.l)), low = dup(c);
        (void)close(low);
        KIT_UNTIL(o.k, o.accepted >= (users ? 3 : 13));
        kit_pass(o.k, 20);
        assert_int_equal(o.accepted, users ? 3 : 13);
        assert_int_equal(read(o.fd[users ? 0 : 10], &byte, 1), 1); /* not taken */
        assert_int_equal(byte, 'x');
        assert_int_equal(o.fd[0], low); /* nothing is left open */
        (void)close(c);
        owner_close(&o);
    }
}

/* ---- where IPv6 is off ---- */

static int ipv4_only_child(void *arg)
{
    struct owner *o = arg;
    struct errmsg why = {""};
    if (!kit_own_network())
        return KIT_CHILD_SKIP;
    if (!kit_write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1") &&
        access("/proc/sys/net/ipv6", F_OK) == 0)
        return KIT_CHILD_SKIP;
    KIT_CHECK(open_at(o, NULL, 0, &why) == 0);
    KIT_CHECK(kit_connect(listener_port(o->l)) >= 0);
    (void)kit_run_counting(o->k, 50);
    KIT_CHECK(o->accepted == 1);
    KIT_CHECK(strncmp(o->peer, "127.0.0.1:", 10) == 0);
    return 0;
}

static void ipv4_alone(void **state)
{
    struct owner o = {.k = *state};
    kit_child(o.k, ipv4_only_child, &o);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_listening_socket_is_adopted),
        TEST(what_is_no_listening_tcp_socket_is_refused),
        TEST(addresses_read_as_the_original_prints_them),
        TEST(accepted_sockets_inherit_their_options),
        TEST(all_addresses_are_both_families),
        TEST(a_port_of_the_systems_choice_is_any),
        TEST(who_waits_in_the_kernel_is_bounded),
        TEST(ports_out_of_range),
        TEST(a_port_in_use),
        TEST(not_our_address),
        TEST(a_port_that_is_not_allowed),
        TEST(d6_the_port_is_free_when_close_returns),
        TEST(closing_while_accepting),
        TEST(who_may_not_come_waits),
        TEST(a_flood_is_served_in_batches),
        TEST(paused_by_its_owner),
        TEST(d22_no_descriptors_left),
        TEST(a_sick_socket_does_not_spin),
        TEST(users_that_have_gone_already),
        TEST(users_that_are_dead_already),
        TEST(ipv4_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
