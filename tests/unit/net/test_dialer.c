/* SPDX-License-Identifier: MIT */
#include "net/dialer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kit.h"
#include "net/sock.h"

enum { LONG_MS = 10000, SHORT_MS = 150 };

/* What a dial has brought. */
struct result {
    int calls, fd_or_err;
    struct address address;
    mtime_ms connect_ms;
    char words[256];
};

static void on_done(void *ctx, struct dial_result *dr)
{
    struct result *r = ctx;
    struct errmsg why = {""};
    r->calls++;
    r->fd_or_err = dr->err;
    r->address = dr->address;
    r->connect_ms = dr->connect_ms;
    if (dr->err == 0)
        r->fd_or_err = dial_take_fd(dr);
    else
        (void)dial_text(&why, dr, NULL);
    strcpy(r->words, why.text);
}

static struct dial *start_with(struct kit *k, const struct dial_config *cfg, struct result *r)
{
    struct dial *d = NULL;
    *r = (struct result){0};
    uv_update_time(&k->loop.uv);
    assert_int_equal(dial_start(&k->loop, cfg, on_done, r, &d), 0);
    assert_int_equal(r->calls, 0); /* never from inside */
    assert_non_null(d);
    return d;
}

static struct dial *start(struct kit *k, const char *host, int port, int ms, struct result *r)
{
    struct dial_config cfg = {.host = host, .port = port, .patience_ms = ms};
    return start_with(k, &cfg, r);
}

static int finish(struct kit *k, struct result *r)
{
    KIT_UNTIL(k, r->calls > 0);
    kit_pass(k, 5);
    assert_int_equal(r->calls, 1);
    return r->fd_or_err;
}

static int dial(struct kit *k, const char *host, int port, int ms, struct result *r)
{
    (void)start(k, host, port, ms, r);
    return finish(k, r);
}

static void check_connected(int fd, int listener)
{
    int one = 0;
    socklen_t len = sizeof one;
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &len), 0);
    assert_int_equal(one, 1);
    int other = accept(listener, NULL, NULL);
    assert_true(other >= 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    char byte = 0;
    assert_int_equal(recv(other, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    (void)close(fd), (void)close(other);
}

/* A port on which connections hang: its queue is full, so the kernel drops what comes. */
struct hole {
    int listener, port, filler[2];
};

static void hole_fill(struct hole *h, int family)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    assert_int_equal(getsockname(h->listener, (struct sockaddr *)&sa, &len), 0);
    for (int i = 0; i < 2; i++) {
        h->filler[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(h->filler[i], (struct sockaddr *)&sa, len);
        (void)usleep(10000);
    }
}

static void hole_close(struct hole *h)
{
    (void)close(h->listener), (void)close(h->filler[0]), (void)close(h->filler[1]);
}

static struct hole hole_open(void)
{
    struct hole h;
    h.listener = kit_listen(0, &h.port);
    hole_fill(&h, AF_INET);
    return h;
}

/* ---- success ---- */

static void numeric_addresses(void **state)
{
    struct result r;
    int port, l = kit_listen(1, &port);
    check_connected(dial(*state, "127.0.0.1", port, LONG_MS, &r), l);
    assert_int_equal(dial(*state, "::1", port, LONG_MS, &r) < 0, 1);
    (void)close(l);
}

static void names(void **state)
{
    struct result r;
    int port, l = kit_listen(1, &port);
    check_connected(dial(*state, "localhost", port, LONG_MS, &r), l);
    (void)close(l);
}

/* A socket that listens on [::1]:port. */
static int listen6(int port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons((uint16_t)port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof in6) == 0 && listen(fd, 0) == 0)
        return fd;
    return -1;
}

static int dial_cfg_in_child(struct kit *k, const struct dial_config *cfg, struct result *r)
{
    struct dial *d;
    *r = (struct result){0};
    uv_update_time(&k->loop.uv);
    if (dial_start(&k->loop, cfg, on_done, r, &d) < 0)
        return ERR_NOMEM;
    while (r->calls == 0)
        kit_turn(k);
    return r->fd_or_err;
}

static int dial_in_child(struct kit *k, const char *host, int port, int ms, struct result *r)
{
    struct dial_config cfg = {.host = host, .port = port, .patience_ms = ms};
    return dial_cfg_in_child(k, &cfg, r);
}

/* A name with two addresses: the first one refuses, or does not answer; or neither does. */
static int second_address_child(void *arg)
{
    struct kit *k = arg;
    struct hole h6;
    struct result r;
    struct path_memory memory = {0};
    struct dial_config cfg = {.host = "two.test", .memory = &memory, .patience_ms = LONG_MS};
    if (!kit_own_network() || !kit_own_hosts("::1 two.test\n127.0.0.1 two.test\n"))
        return KIT_CHILD_SKIP;
    int l = kit_listen(1, &h6.port);
    KIT_CHECK(dial_in_child(k, "two.test", h6.port, LONG_MS, &r) >= 0);
    (void)close(r.fd_or_err);

    KIT_CHECK((h6.listener = listen6(h6.port)) >= 0);
    hole_fill(&h6, AF_INET6);
    mtime_ms before = kit_clock();
    cfg.port = h6.port;
    KIT_CHECK(dial_cfg_in_child(k, &cfg, &r) >= 0);
    (void)close(r.fd_or_err);
    (void)close(accept(l, NULL, NULL)), (void)close(accept(l, NULL, NULL));
    mtime_ms took = kit_clock() - before;
    KIT_CHECK(took >= PATH_STAGGER_MS - 10 && took < 1000);
    KIT_CHECK(r.address.family == ADDRESS_IPV4 && r.address.port == h6.port);

    path_good(&memory, &r.address); /* remembered: at once */
    before = kit_clock();
    KIT_CHECK(dial_cfg_in_child(k, &cfg, &r) >= 0);
    (void)close(r.fd_or_err);
    KIT_CHECK(kit_clock() - before < PATH_STAGGER_MS - 50);

    (void)close(l); /* now the second one refuses, and that is what is told */
    KIT_CHECK(dial_in_child(k, "two.test", h6.port, 4 * SHORT_MS, &r) == ERR_REFUSED);
    KIT_CHECK(strncmp(r.words, "127.0.0.1:", 10) == 0);
    return 0;
}

static void the_second_address_gets_its_chance(void **state)
{
    kit_child(*state, second_address_child, *state);
}

/* ---- several attempts ---- */

static void on_heal(uv_timer_t *t)
{
    struct hole *h = t->data;
    (void)close(accept(h->listener, NULL, NULL)); /* the first filler's: there is room for one */
}

/* A port that is silent for 1.2 s, when the kernel has sent its SYN twice and would send the next
   one after 3 s: does a dial of 2.5 s connect? */
static int dial_across_a_heal(struct kit *k, struct dial_config *cfg, mtime_ms hurry_ms)
{
    struct hole h = hole_open();
    struct result r = {0};
    struct dial *d;
    uv_timer_t heal;
    uv_update_time(&k->loop.uv);
    uv_timer_init(&k->loop.uv, &heal);
    heal.data = &h;
    cfg->host = "127.0.0.1";
    cfg->port = h.port;
    cfg->patience_ms = 2500;
    uv_timer_start(&heal, on_heal, 1200, 0);
    if (dial_start(&k->loop, cfg, on_done, &r, &d) < 0)
        return ERR_NOMEM;
    if (hurry_ms)
        dial_hurry(d, loop_now(&k->loop) + hurry_ms);
    while (r.calls == 0)
        kit_turn(k);
    if (r.fd_or_err >= 0)
        (void)close(r.fd_or_err);
    kit_close(k, (uv_handle_t *)&heal);
    hole_close(&h);
    return r.fd_or_err;
}

/* Its kernel repeats a SYN as all did before Linux 6.5: after 1, 3, 7 s. */
static bool own_old_network(void)
{
    static const char path[] = "/proc/sys/net/ipv4/tcp_syn_linear_timeouts";
    return kit_own_network() && (access(path, F_OK) < 0 || kit_write_file(path, "0"));
}

static int fresh_socket_child(void *arg)
{
    struct dial_config cfg = {.renew = true};
    if (!own_old_network())
        return KIT_CHILD_SKIP;
    KIT_CHECK(dial_across_a_heal(arg, &cfg, 0) >= 0);
    cfg.renew = false;
    KIT_CHECK(dial_across_a_heal(arg, &cfg, 0) == ERR_TIMEOUT);
    return 0;
}

static void a_heal_is_noticed_by_a_fresh_socket(void **state)
{
    kit_child(*state, fresh_socket_child, *state);
}

static int last_start_child(void *arg)
{
    struct kit *k = arg;
    if (!own_old_network())
        return KIT_CHILD_SKIP;
    uv_update_time(&k->loop.uv);
    struct dial_config cfg = {.last_start = loop_now(&k->loop) + 1700};
    KIT_CHECK(dial_across_a_heal(k, &cfg, 0) >= 0);
    cfg.last_start = 0;
    KIT_CHECK(dial_across_a_heal(k, &cfg, 1700) >= 0);
    return 0;
}

static void the_last_start_is_in_time(void **state)
{
    kit_child(*state, last_start_child, *state);
}

static void an_extra_address(void **state)
{
    struct hole h = hole_open();
    struct result r;
    int port, l = kit_listen(1, &port);
    struct address extra;
    assert_true(sock_numeric("127.0.0.1", port, &extra));
    struct dial_config cfg = {.extra = &extra, .n_extra = 1, .patience_ms = LONG_MS};
    (void)start_with(*state, &cfg, &r); /* alone */
    check_connected(finish(*state, &r), l);
    cfg.host = "127.0.0.1";
    cfg.port = h.port;
    (void)start_with(*state, &cfg, &r); /* beside one that is silent */
    check_connected(finish(*state, &r), l);
    assert_true(address_equal(&r.address, &extra));
    cfg.host = "no-such-host.invalid";
    (void)start_with(*state, &cfg, &r); /* ... or unknown */
    check_connected(finish(*state, &r), l);
    (void)close(l);
    hole_close(&h);
}

static void small_segments(void **state)
{
    struct result r;
    int port, l = kit_listen(1, &port), mss = 0;
    socklen_t len = sizeof mss;
    struct dial_config cfg = {
        .host = "127.0.0.1", .port = port, .patience_ms = LONG_MS, .small_mss = true};
    (void)start_with(*state, &cfg, &r);
    assert_true(finish(*state, &r) >= 0);
    int other = accept(l, NULL, NULL);
    assert_int_equal(getsockopt(other, IPPROTO_TCP, TCP_MAXSEG, &mss, &len), 0);
    assert_in_range(mss, 500, DIAL_SMALL_MSS);
    (void)close(other), (void)close(r.fd_or_err), (void)close(l);
}

/* What the callee does with its connection. */
struct taker {
    struct poller_source source;
    int calls, fd;
    bool takes;
};

static void on_taken_ready(struct poller_source *src, unsigned events)
{
    struct taker *t = CONTAINER_OF(src, struct taker, source);
    t->calls += (events & POLLER_IN) != 0;
}

static void on_take(void *ctx, struct dial_result *r)
{
    struct taker *t = ctx;
    assert_int_equal(r->err, 0);
    t->fd = r->fd;
    if (t->takes)
        assert_int_equal(dial_take_source(r, &t->source), 0);
}

static void a_connection_is_passed_on_or_closed(void **state)
{
    struct kit *k = *state;
    int port, l = kit_listen(1, &port);
    struct dial_config cfg = {.host = "127.0.0.1", .port = port, .patience_ms = LONG_MS};
    for (int takes = 0; takes < 2; takes++) {
        struct dial *d;
        struct taker t = {.source = {on_taken_ready, -1}, .fd = -1, .takes = takes};
        assert_int_equal(dial_start(&k->loop, &cfg, on_take, &t, &d), 0);
        KIT_UNTIL(k, t.fd >= 0);
        kit_pass(k, 5);
        assert_int_equal(fcntl(t.fd, F_GETFD) >= 0, takes);
        int other = accept(l, NULL, NULL);
        assert_int_equal(send(other, "x", 1, MSG_NOSIGNAL), 1);
        if (takes) {
            assert_int_equal(t.source.fd, t.fd);
            KIT_UNTIL(k, t.calls > 0);
            poller_forget(&k->loop, &t.source);
            (void)close(t.fd);
        }
        (void)close(other);
    }
    (void)close(l);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* However it ends, nothing of it stays open. */
static void all_sockets_are_closed(void **state)
{
    struct kit *k = *state;
    struct hole h = hole_open();
    struct address extra[PATH_ADDRESSES];
    for (unsigned i = 0; i < PATH_ADDRESSES; i++) {
        char host[20];
        (void)snprintf(host, sizeof host, "127.0.0.%u", i + 1); /* only the first one is a hole */
        assert_true(sock_numeric(host, h.port, &extra[i]));
    }
    struct dial_config cfg = {
        .extra = extra, .n_extra = PATH_ADDRESSES, .patience_ms = 1400, .renew = true};
    unsigned before = open_descriptors();
    struct result r;
    (void)start_with(k, &cfg, &r);
    assert_int_equal(finish(k, &r), ERR_REFUSED); /* that tells more than silence */
    assert_int_equal(open_descriptors(), before);
    cfg.n_extra = 1;
    cfg.patience_ms = LONG_MS;
    struct dial *d = start_with(k, &cfg, &r);
    kit_pass(k, 2 * PATH_RENEW_MS + 300);
    assert_int_equal(open_descriptors(), before + 2); /* a patient and a second fresh one */
    dial_cancel(d);
    assert_int_equal(open_descriptors(), before);
    kit_pass(k, 5);
    hole_close(&h);
}

/* ---- why it takes so long ---- */

struct notes {
    struct result r; /* of the dial itself; first: both callbacks get the same context */
    int n;
    int err[4];
    mtime_ms at[4];
};

static void on_note(void *ctx, const struct dial_result *so_far)
{
    struct notes *notes = ctx;
    assert_in_range(notes->n, 0, 3);
    notes->err[notes->n] = so_far->err;
    notes->at[notes->n++] = kit_clock();
}

/* One address is silent, and hoped for; why the others are none is told after a second. */
static void what_fails_meanwhile_is_noted(void **state)
{
    struct kit *k = *state;
    struct hole h = hole_open();
    int port, l = kit_listen(1, &port);
    (void)close(l);
    struct address extra[2];
    assert_true(sock_numeric("127.0.0.1", h.port, &extra[0]));
    assert_true(sock_numeric("127.0.0.1", port, &extra[1]));
    for (unsigned refuses = 0; refuses < 2; refuses++) {
        struct notes notes = {.n = 0};
        struct dial_config cfg = {.host = "no-such-host.invalid",
                                  .port = 80,
                                  .extra = extra,
                                  .n_extra = 1 + refuses,
                                  .patience_ms = LONG_MS,
                                  .renew = true,
                                  .note = on_note};
        mtime_ms before = kit_clock();
        struct dial *d = start_with(k, &cfg, &notes.r);
        KIT_UNTIL(k, notes.n > 0);
        assert_in_range(notes.at[0] - before, DIAL_NOTE_MS - 10, LONG_MS);
        /* of two the one that tells more, and again only what tells more than that */
        if (refuses)
            assert_int_equal(notes.err[0], ERR_REFUSED);
        kit_pass(k, 1500);
        assert_int_equal(notes.n, 1 + (notes.err[0] == ERR_RESOLVE && refuses));
        assert_int_equal(notes.err[notes.n - 1], refuses ? ERR_REFUSED : ERR_RESOLVE);
        assert_int_equal(notes.r.calls, 0);
        dial_cancel(d);
        kit_pass(k, 5);
    }
    hole_close(&h);
}

/* ---- what others want to know of a dial ---- */

struct found {
    struct result r; /* first, as above */
    unsigned calls, n;
    struct address all[PATH_ADDRESSES];
};

static void on_found(void *ctx, const struct address *all, unsigned n)
{
    struct found *f = ctx;
    f->calls++;
    f->n = n;
    memcpy(f->all, all, n * sizeof *all);
}

static void the_addresses_of_a_name_are_told(void **state)
{
    struct kit *k = *state;
    int port, l = kit_listen(1, &port);
    static const char *const hosts[] = {"localhost", "127.0.0.1", "no-such-host.invalid"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct found f = {.calls = 0};
        const struct dial_config cfg = {
            .host = hosts[i], .port = port, .patience_ms = LONG_MS, .resolved = on_found};
        (void)start_with(k, &cfg, &f.r);
        KIT_UNTIL(k, f.r.calls > 0);
        assert_int_equal(f.calls, i == 0); /* digits are asked of nobody */
        assert_int_equal(f.r.fd_or_err >= 0, i < 2);
        if (i < 2)
            (void)close(f.r.fd_or_err);
        for (unsigned a = 0; a < f.n; a++)
            assert_int_equal(f.all[a].port, port);
        assert_int_equal(f.n > 0, i == 0);
    }
    (void)close(l);
    kit_pass(k, 5);
}

static void a_dial_knows_its_own_sockets(void **state)
{
    struct kit *k = *state;
    struct hole h = hole_open();
    struct result r = {0};
    struct address own = {.family = ADDRESS_NONE};
    struct dial *d = start(k, "127.0.0.1", h.port, LONG_MS, &r);
    assert_false(dial_is_from(d, &own)); /* nobody's */
    assert_true(sock_numeric("127.0.0.1", 1, &own));
    unsigned found = 0;
    for (unsigned port = 1024; port <= UINT16_MAX; port++) {
        own.port = (uint16_t)port;
        found += dial_is_from(d, &own);
    }
    assert_int_equal(found, 1);
    dial_cancel(d);
    kit_pass(k, 5);
    hole_close(&h);
}

/* ---- failure ---- */

static void refused(void **state)
{
    struct result r;
    int port, l = kit_listen(1, &port);
    (void)close(l);
    assert_int_equal(dial(*state, "127.0.0.1", port, LONG_MS, &r), ERR_REFUSED);
    assert_true(strncmp(r.words, "127.0.0.1:", 10) == 0);
    assert_non_null(strstr(r.words, strerror(ECONNREFUSED)));
    assert_int_equal(dial(*state, "localhost", port, LONG_MS, &r), ERR_REFUSED);
}

static void no_answer(void **state)
{
    struct hole h = hole_open();
    struct result r;
    mtime_ms before = kit_clock();
    assert_int_equal(dial(*state, "127.0.0.1", h.port, SHORT_MS, &r), ERR_TIMEOUT);
    assert_in_range(kit_clock() - before, SHORT_MS - 10, LONG_MS);
    assert_non_null(strstr(r.words, strerror(ETIMEDOUT)));
    assert_int_equal(dial(*state, "127.0.0.1", h.port, 0, &r), ERR_TIMEOUT);
    assert_true(*r.words);
    hole_close(&h);
}

static void names_that_do_not_resolve(void **state)
{
    char too_long[400];
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    const char *const rows[] = {"no-such-host.invalid",    too_long,   "a..b", "", "1.2.3.4.5",
                                "256.256.256.256.invalid", "\xff\xfe", "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct result r;
        assert_int_equal(dial(*state, rows[i], 80, LONG_MS, &r), ERR_RESOLVE);
        assert_true(strncmp(r.words, "the name '", 10) == 0);
        assert_non_null(strstr(r.words, " (E")); /* for who searches */
    }
}

/* An address with a scope is a number, and one on an interface that is not there (yet) is not. */
static void scopes(void **state)
{
    struct result r;
    int err = dial(*state, "fe80::1%lo", 1, SHORT_MS, &r);
    assert_true(err < 0 && err != ERR_RESOLVE);
    assert_true(strncmp(r.words, "[fe80::1%lo]:1: ", 16) == 0);
    assert_int_equal(dial(*state, "fe80::1%nothere", 1, LONG_MS, &r), ERR_RESOLVE);
}

static void on_work(uv_work_t *w)
{
    (void)w;
    (void)usleep(4 * SHORT_MS * 1000);
}

/* All threads that resolve are busy, as when name servers are away. */
static void a_slow_resolver(void **state)
{
    struct kit *k = *state;
    struct result r, r2;
    uv_work_t busy[8];
    for (size_t i = 0; i < ARRAY_LEN(busy); i++)
        assert_int_equal(uv_queue_work(&k->loop.uv, &busy[i], on_work, NULL), 0);
    mtime_ms before = kit_clock();
    struct dial *cancelled = start(k, "localhost", 1, SHORT_MS, &r2);
    dial_cancel(cancelled);
    assert_int_equal(dial(k, "localhost", 1, SHORT_MS, &r), ERR_TIMEOUT);
    assert_true(kit_clock() - before < 3 * SHORT_MS || kit_clock() - before > 8 * SHORT_MS);
    assert_true(*r.words);
    KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    assert_int_equal(r2.calls, 0);
}

/* ... do not keep us from an address that is known. */
static void a_slow_resolver_and_a_known_address(void **state)
{
    struct kit *k = *state;
    struct result r;
    uv_work_t busy[8];
    int port, l = kit_listen(1, &port);
    struct address extra;
    assert_true(sock_numeric("127.0.0.1", port, &extra));
    struct dial_config cfg = {.host = "localhost",
                              .port = 1,
                              .extra = &extra,
                              .n_extra = 1,
                              .patience_ms = SHORT_MS,
                              .renew = true};
    for (size_t i = 0; i < ARRAY_LEN(busy); i++)
        assert_int_equal(uv_queue_work(&k->loop.uv, &busy[i], on_work, NULL), 0);
    (void)start_with(k, &cfg, &r);
    check_connected(finish(k, &r), l);
    KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    (void)close(l);
}

static int shortage_child(void *arg)
{
    struct result r;
    struct rlimit lim;
    int last;
    KIT_CHECK(getrlimit(RLIMIT_NOFILE, &lim) == 0);
    lim.rlim_cur = 32;
    KIT_CHECK(setrlimit(RLIMIT_NOFILE, &lim) == 0);
    while ((last = dup(0)) >= 0)
        ;
    KIT_CHECK(dial_in_child(arg, "127.0.0.1", 1, LONG_MS, &r) == ERR_LIMIT);
    KIT_CHECK(strstr(r.words, strerror(EMFILE)));
    return 0;
}

static void no_descriptors(void **state)
{
    kit_child(*state, shortage_child, *state);
}

/* A network of its own, with two ports to choose from: the kernel soon takes the one we dial. */
static int itself_child(void *arg)
{
    struct kit *k = arg;
    struct result r;
    if (!kit_own_network() ||
        !kit_write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001"))
        return KIT_CHILD_SKIP;
    for (int i = 0; i < 20; i++)
        KIT_CHECK(dial_in_child(k, "127.0.0.1", 40000, LONG_MS, &r) == ERR_REFUSED);
    KIT_CHECK(dial_in_child(k, "192.0.2.1", 1, LONG_MS, &r) == ERR_IO);
    KIT_CHECK(strstr(r.words, strerror(ENETUNREACH)));
    return 0;
}

static void a_free_port_of_ours_is_nobody(void **state)
{
    kit_child(*state, itself_child, *state);
}

/* ---- cancelling ---- */

static void cancelled_before_it_began(void **state)
{
    struct kit *k = *state;
    struct result r;
    dial_cancel(NULL);
    dial_cancel(start(k, "127.0.0.1", 1, LONG_MS, &r));
    KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    assert_int_equal(r.calls, 0);
}

/* At any moment of a resolver in its thread. */
static void cancelled_while_resolving(void **state)
{
    struct kit *k = *state;
    struct result r[20];
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        struct dial *d = start(k, i % 2 ? "localhost" : "no-such-host.invalid", 1, LONG_MS, &r[i]);
        (void)usleep((useconds_t)(i * 20));
        dial_cancel(d);
        (void)uv_run(&k->loop.uv, UV_RUN_NOWAIT);
    }
    KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        assert_int_equal(r[i].calls, 0);
}

static void cancelled_while_connecting(void **state)
{
    struct kit *k = *state;
    struct hole h = hole_open();
    struct result r;
    struct dial *d = start(k, "127.0.0.1", h.port, SHORT_MS, &r);
    for (int i = 0; i < 3; i++)
        kit_turn(k);
    dial_cancel(d);
    kit_pass(k, 2 * SHORT_MS);
    assert_int_equal(r.calls, 0);
    assert_false(uv_loop_alive(&k->loop.uv));
    hole_close(&h);
}

static void on_check(uv_check_t *c)
{
    struct dial **d = c->data;
    dial_cancel(*d);
    uv_check_stop(c);
}

/* Between the failure of one address and the attempt at the next: in the turn's last phase. */
static void cancelled_between_attempts(void **state)
{
    struct kit *k = *state;
    struct result r;
    int port, l = kit_listen(1, &port);
    (void)close(l);
    for (int turns = 1; turns < 6; turns++) {
        uv_check_t c;
        struct dial *d = start(k, "::1", port, LONG_MS, &r);
        uv_check_init(&k->loop.uv, &c);
        c.data = &d;
        for (int i = 1; i < turns && !r.calls; i++)
            (void)uv_run(&k->loop.uv, UV_RUN_NOWAIT);
        if (!r.calls)
            uv_check_start(&c, on_check);
        (void)uv_run(&k->loop.uv, UV_RUN_NOWAIT);
        kit_close(k, (uv_handle_t *)&c);
        KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numeric_addresses),
        TEST(names),
        TEST(the_second_address_gets_its_chance),
        TEST(a_heal_is_noticed_by_a_fresh_socket),
        TEST(the_last_start_is_in_time),
        TEST(an_extra_address),
        TEST(small_segments),
        TEST(a_connection_is_passed_on_or_closed),
        TEST(all_sockets_are_closed),
        TEST(what_fails_meanwhile_is_noted),
        TEST(the_addresses_of_a_name_are_told),
        TEST(a_dial_knows_its_own_sockets),
        TEST(refused),
        TEST(no_answer),
        TEST(names_that_do_not_resolve),
        TEST(scopes),
        TEST(a_slow_resolver),
        TEST(a_slow_resolver_and_a_known_address),
        TEST(no_descriptors),
        TEST(a_free_port_of_ours_is_nobody),
        TEST(cancelled_before_it_began),
        TEST(cancelled_while_resolving),
        TEST(cancelled_while_connecting),
        TEST(cancelled_between_attempts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
