/* SPDX-License-Identifier: MIT */
/* The transport with itself at both ends: what honest programs see. */
#include "net/transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "base/rng.h"
#include "ends.h"
#include "net/sock.h"

enum { MIB = 1 << 20 };

static unsigned steps; /* calls of SSL_do_handshake() */

int __real_SSL_do_handshake(SSL *ssl);
int __wrap_SSL_do_handshake(SSL *ssl);
int __wrap_SSL_do_handshake(SSL *ssl)
{
    steps++;
    return __real_SSL_do_handshake(ssl);
}

/* Server and client, connected. */
static void open_pair(struct end *s, struct end *c, struct kit *k)
{
    int fd[2];
    kit_tcp_pair(fd);
    end_open(c, k, fd[0], false);
    end_open(s, k, fd[1], true);
}

static void open_ready(struct end *s, struct end *c, struct kit *k)
{
    open_pair(s, c, k);
    KIT_UNTIL(k, s->ready && c->ready);
}

/* ---- handshake ---- */

static void both_ends_become_ready(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    open_pair(&s, &c, k);
    assert_int_equal(transport_write(s.t, "x", 1), ERR_BADSTATE);
    assert_int_equal(transport_write(c.t, "x", 1), ERR_BADSTATE);
    assert_false(transport_writable(c.t));
    assert_string_equal(transport_describe(s.t), "");
    assert_true(strncmp(transport_peer(s.t), "127.0.0.1:", 10) == 0);
    char name[SOCK_NAME_MAX];
    assert_string_equal(sock_address_name(name, transport_peer_address(s.t)), transport_peer(s.t));
    const struct address real = {ADDRESS_IPV4, 4444, 0, {203, 0, 113, 9}};
    transport_set_peer(s.t, &real);
    assert_string_equal(transport_peer(s.t), "203.0.113.9:4444");
    assert_true(address_equal(transport_peer_address(s.t), &real));
    KIT_UNTIL(k, s.ready && c.ready);
    kit_pass(k, 20);
    assert_int_equal(s.ready, 1);
    assert_int_equal(c.ready, 1);
    assert_int_equal(s.errors + c.errors, 0);
    assert_true(strncmp(transport_describe(s.t), "TLSv1.3 TLS_", 12) == 0);
    assert_string_equal(transport_describe(s.t), transport_describe(c.t));
    assert_true(transport_writable(s.t) && transport_writable(c.t));
    end_close(&s);
    end_close(&c);
}

/* However many shake hands, at both ends: those that are open on the loop wait for one step. */
static void one_step_of_a_handshake_a_turn(void **state)
{
    enum { PAIRS = 10 };
    static struct end s[PAIRS], c[PAIRS];
    struct kit *k = *state;
    int ready = 0;
    memset(s, 0, sizeof s);
    memset(c, 0, sizeof c);
    for (int i = 0; i < PAIRS; i++)
        open_pair(&s[i], &c[i], k);
    unsigned before = steps, began = steps;
    k->began = kit_clock();
    while (ready < 2 * PAIRS) {
        kit_turn(k);
        assert_in_range(steps - before, 0, 1);
        before = steps;
        ready = 0;
        for (int i = 0; i < PAIRS; i++)
            ready += s[i].ready + c[i].ready;
    }
    assert_in_range(steps - began, 3 * PAIRS, 6 * PAIRS); /* two of a server's, one of a client's */
    for (int i = 0; i < PAIRS; i++) {
        end_close(&s[i]);
        end_close(&c[i]);
    }
}

/* A socketpair will do as well: nothing here is about TCP. */
static void over_a_socketpair(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {.out = (const uint8_t *)"secret\n", .out_len = 7};
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    end_open(&c, k, fd[0], false);
    end_open(&s, k, fd[1], true);
    KIT_UNTIL(k, s.in_len == 7);
    assert_string_equal(transport_peer(s.t), "?");
    assert_int_equal(transport_peer_address(s.t)->family, ADDRESS_NONE);
    end_close(&s);
    end_close(&c);
}

static void a_wrong_ca_is_told_to_both(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    int fd[2];
    kit_tcp_pair(fd);
    end_open_with(&c, k, fd[0], false, ends_ctx_strange());
    end_open(&s, k, fd[1], true);
    KIT_UNTIL(k, c.err);
    assert_int_equal(c.err, ERR_CERT);
    assert_int_equal(c.errors, 1);
    assert_int_equal(c.ready, 0);
    assert_non_null(strstr(c.why.text, "-ca file"));
    assert_int_equal(transport_write(c.t, "secret", 6), ERR_BADSTATE);
    end_close(&c);
    KIT_UNTIL(k, s.err);
    assert_int_equal(s.err, ERR_CERT);
    assert_non_null(strstr(s.why.text, "does not accept our certificate"));
    assert_int_equal(s.in_len, 0);
    end_close(&s);
}

/* ---- data ---- */

/* In both directions at once, more than any buffer holds, read in steps of all sizes. */
static void bytes_arrive_as_they_were_sent(void **state)
{
    static const size_t budgets[] = {0, 1000, 16384, 100000};
    struct kit *k = *state;
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        size_t n = 3 * MIB + 12345 * i;
        uint8_t *up = pattern(n, 1), *down = pattern(n, 2);
        struct end s = {.out = down, .out_len = n, .budget = budgets[i]};
        struct end c = {.out = up, .out_len = n, .budget = budgets[ARRAY_LEN(budgets) - 1 - i]};
        open_pair(&s, &c, k);
        transport_trust(s.t);
        transport_trust(c.t);
        KIT_UNTIL(k, s.in_len == n && c.in_len == n);
        kit_pass(k, 5);
        assert_true(end_is(&s, up, n));
        assert_true(end_is(&c, down, n));
        assert_int_equal(s.errors + c.errors, 0);
        assert_true(transport_queue(s.t).sent > n);
        assert_int_equal(transport_queue(s.t).waiting, 0);
        end_close(&s);
        end_close(&c);
        free(up);
        free(down);
    }
}

static void writes_of_random_sizes(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    struct rng rng;
    size_t n = MIB, done = 0;
    uint8_t *bytes = pattern(n, 3);
    rng_seed(&rng, 42);
    open_ready(&s, &c, k);
    transport_trust(s.t);
    transport_trust(c.t);
    k->began = kit_clock();
    while (s.in_len < n) {
        for (int i = (int)rng_below(&rng, 6); i > 0 && done < n; i--) {
            size_t part = (size_t)rng_below(&rng, rng_below(&rng, 4) ? 300 : 60000) + 1;
            ssize_t r = transport_write(c.t, bytes + done, part < n - done ? part : n - done);
            assert_true(r >= 0);
            done += (size_t)r;
        }
        if (rng_below(&rng, 2))
            transport_flush(c.t);
        kit_turn(k);
        if (done == n)
            transport_flush(c.t);
    }
    assert_true(end_is(&s, bytes, n));
    end_close(&s);
    end_close(&c);
    free(bytes);
}

/* The reader reads nothing: the writer is stopped, sleeps, and is told when it may go on. */
static void a_reader_that_waits_stops_the_writer(void **state)
{
    struct kit *k = *state;
    size_t n = 16 * MIB;
    uint8_t *bytes = pattern(n, 4);
    struct end s = {0}, c = {.out = bytes, .out_len = n};
    int small = 65536;
    int fd[2];
    kit_tcp_pair(fd);
    (void)setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    (void)setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    end_open(&c, k, fd[0], false);
    end_open(&s, k, fd[1], true);
    transport_trust(s.t);
    transport_trust(c.t);
    KIT_UNTIL(k, s.ready && c.ready);
    s.deaf = true;
    kit_pass(k, 100);
    assert_in_range(c.out_done, 1, n - 1);
    assert_false(transport_writable(c.t));
    assert_true(transport_queue(c.t).waiting >= TRANSPORT_BACKLOG_MAX);
    assert_int_equal(transport_write(c.t, "x", 1), 0);
    uint64_t sent = transport_queue(c.t).sent;
    kit_pass(k, 20);
    assert_int_equal(transport_queue(c.t).sent, sent);
    s.deaf = false;
    KIT_UNTIL(k, s.in_len == n);
    assert_true(c.writable > 0);
    assert_true(end_is(&s, bytes, n));
    end_close(&s);
    end_close(&c);
    free(bytes);
}

/* What waits for the network is known, and that it went is told, though nothing was refused. */
static void the_queue_of_the_kernel_is_known(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    static uint8_t bytes[4096];
    int small = 65536;
    int fd[2];
    kit_tcp_pair(fd);
    (void)setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    end_open(&c, k, fd[0], false);
    end_open(&s, k, fd[1], true);
    transport_trust(s.t);
    transport_trust(c.t);
    KIT_UNTIL(k, s.ready && c.ready);
    transport_set_unsent_max(c.t, 40000); /* 32 KiB */
    s.deaf = true;
    size_t written = 0;
    do {
        assert_int_equal(transport_write(c.t, bytes, sizeof bytes), sizeof bytes);
        transport_flush(c.t);
        written += sizeof bytes;
        kit_pass(k, 10); /* what can go has gone */
    } while (transport_queue(c.t).waiting < 24 << 10);
    struct transport_queue q = transport_queue(c.t);
    assert_true(q.sent + q.waiting > written); /* with the records' heads, and a handshake */
    assert_true(q.sent < written);
    int before = c.writable;
    transport_tell_sent(c.t);
    kit_pass(k, 50);
    assert_int_equal(c.writable, before);
    s.deaf = false;
    KIT_UNTIL(k, c.writable > before);
    KIT_UNTIL(k, s.in_len == written);
    assert_int_equal(transport_queue(c.t).waiting, 0);
    before = c.writable;
    transport_tell_sent(c.t); /* nothing waits */
    KIT_UNTIL(k, c.writable > before);
    end_close(&s);
    end_close(&c);
}

static int send_buffer(int fd)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len), 0);
    return value;
}

/* A kernel that was short of memory leaves less than a segment. */
static void a_send_buffer_that_has_become_small_is_large_again(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    static uint8_t bytes[65536];
    enum { LOCKS = 72, LEAST = 256 << 10 };
    int fd[2], small = 1, none = 0;
    kit_tcp_pair(fd);
    end_open(&c, k, fd[0], false);
    end_open(&s, k, fd[1], true);
    KIT_UNTIL(k, s.ready && c.ready);
    transport_trust(s.t);
    transport_trust(c.t);
    s.deaf = true;
    while (
        transport_writable(c.t)) { /* until nothing moves: the kernel cannot make it larger then */
        assert_true(transport_write(c.t, bytes, sizeof bytes) > 0);
        transport_flush(c.t);
        kit_pass(k, 20);
    }
    int now = 0;
    for (int tries = 0; tries < 20 && now < LEAST; tries++) { /* it looks now and then */
        kit_pass(k, 30);
        assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        if (setsockopt(fd[0], SOL_SOCKET, LOCKS, &none, sizeof none) < 0)
            break; /* Linux before 5.14 */
        assert_in_range(send_buffer(fd[0]), 1, LEAST - 1);
        transport_flush(c.t);
        now = send_buffer(fd[0]); /* the kernel itself would take its time */
        assert_true(tries < 19 || now >= LEAST);
    }
    end_close(&s);
    end_close(&c);
}

/* What is sealed grows by the same for each record. */
static void records_are_as_long_as_they_may_be(void **state)
{
    static const size_t most[] = {1, 2048, TRANSPORT_RECORD_MAX};
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    static uint8_t bytes[40000];
    size_t n = 0, head = 0;
    open_ready(&s, &c, k);
    transport_trust(s.t);
    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        size_t written = i == 0 ? 1 : sizeof bytes, before = transport_queue(c.t).waiting;
        transport_set_record_max(c.t, most[i]);
        assert_int_equal(transport_write(c.t, bytes, written), written);
        size_t more = transport_queue(c.t).waiting - before - written;
        if (i == 0)
            head = more;
        assert_int_equal(more, (written + most[i] - 1) / most[i] * head);
        transport_flush(c.t);
        n += written;
        KIT_UNTIL(k, s.in_len == n);
    }
    end_close(&s);
    end_close(&c);
}

/* Refused because of the backlog, and the kernel then takes all of it at once. */
static void on_writable_follows_every_refusal(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    static uint8_t bytes[TRANSPORT_BACKLOG_MAX * 2];
    open_ready(&s, &c, k);
    transport_trust(s.t);
    ssize_t n = transport_write(c.t, bytes, sizeof bytes);
    assert_in_range(n, TRANSPORT_BACKLOG_MAX - 1000, TRANSPORT_BACKLOG_MAX + 16384);
    assert_int_equal(c.writable, 0);
    transport_flush(c.t);
    assert_int_equal(c.writable, 0); /* not from inside */
    KIT_UNTIL(k, c.writable == 1);
    kit_pass(k, 10);
    assert_int_equal(c.writable, 1);
    end_close(&s);
    end_close(&c);
}

/* All the rest of what came with one read is in OpenSSL: no event of the socket will follow. */
static void what_was_left_is_read_later(void **state)
{
    struct kit *k = *state;
    uint8_t *bytes = pattern(50000, 5);
    struct end s = {.budget = 7000}, c = {0};
    open_ready(&s, &c, k);
    transport_trust(s.t);
    c.out = bytes;
    c.out_len = 50000;
    end_pump(&c);
    KIT_UNTIL(k, s.in_len == 50000);
    assert_true(s.readable >= 50000 / 7000);
    assert_true(end_is(&s, bytes, 50000));
    end_close(&s);
    end_close(&c);
    free(bytes);
}

/* ---- rest ---- */

/* Nobody wakes up for connections that are quiet, in any state. */
static void quiet_connections_sleep(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0}, mute = {0}, waiting = {0};
    int fd[2], fd2[2];
    open_ready(&s, &c, k);
    kit_tcp_pair(fd);
    end_open(&mute, k, fd[1], true); /* before the first byte */
    kit_tcp_pair(fd2);
    end_open(&waiting, k, fd2[1], false); /* its server says nothing */
    kit_pass(k, 10);
    assert_in_range(kit_run_counting(k, 200), 1, 20);
    end_close(&c); /* an end that has been told of the end and does not act */
    KIT_UNTIL(k, s.err == ERR_EOF);
    assert_in_range(kit_run_counting(k, 200), 1, 20);
    end_close(&s);
    end_close(&mute);
    end_close(&waiting);
    (void)close(fd[0]), (void)close(fd2[0]);
}

/* Buffers are given back and come again; one that holds half a record stays. */
static void idle_loses_nothing(void **state)
{
    struct kit *k = *state;
    uint8_t *bytes = pattern(300000, 6);
    struct end s = {.budget = 5000}, c = {0};
    open_ready(&s, &c, k);
    transport_idle(s.t);
    transport_idle(c.t);
    transport_trust(s.t);
    transport_trust(c.t);
    c.out = bytes;
    c.out_len = 300000;
    end_pump(&c);
    k->began = kit_clock();
    while (s.in_len < 300000) {
        kit_turn(k);
        transport_idle(s.t);
        transport_idle(c.t);
    }
    assert_true(end_is(&s, bytes, 300000));
    end_close(&s);
    end_close(&c);
    free(bytes);
}

/* ---- ends ---- */

static void an_orderly_end(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    struct errmsg why = {""};
    char byte;
    open_ready(&s, &c, k);
    assert_int_equal(transport_write(c.t, "bye", 3), 3);
    end_close(&c); /* sends what is sealed, and close_notify */
    KIT_UNTIL(k, s.err);
    assert_int_equal(s.err, ERR_EOF);
    assert_true(end_is(&s, "bye", 3));
    assert_int_equal(s.errors, 0); /* the read has told it */
    kit_pass(k, 10);
    assert_int_equal(s.errors, 0);
    assert_int_equal(transport_read(s.t, &byte, 1, &why), ERR_EOF); /* final errors repeat */
    assert_true(*why.text);
    assert_int_equal(transport_read(s.t, &byte, 1, NULL), ERR_EOF);
    assert_int_equal(transport_write(s.t, "x", 1), ERR_BADSTATE);
    assert_false(transport_writable(s.t));
    transport_flush(s.t);
    end_close(&s);
    transport_close(NULL);
}

/* D2: closing with input that nobody has read must not destroy what was sent before. */
static void d2_closing_does_not_reset_what_was_said(void **state)
{
    struct kit *k = *state;
    static uint8_t flood[30000];
    struct end s = {0}, c = {0};
    open_ready(&s, &c, k);
    c.out = flood;
    c.out_len = sizeof flood;
    s.deaf = true;
    end_pump(&c);
    assert_int_equal(transport_write(s.t, "ERROR: Invalid Secret\n", 22), 22);
    transport_flush(s.t);
    end_close(&s);
    KIT_UNTIL(k, c.err);
    assert_true(end_is(&c, "ERROR: Invalid Secret\n", 22));
    assert_int_equal(c.err, ERR_EOF);
    end_close(&c);
}

/* Inside each callback, at either end, whatever the other one does then. */
static void closing_inside_callbacks(void **state)
{
    static const unsigned events[] = {END_READY, END_READABLE, END_WRITABLE, END_ERROR};
    struct kit *k = *state;
    uint8_t *bytes = pattern(4 * MIB, 7);
    for (size_t i = 0; i < 2 * ARRAY_LEN(events); i++) {
        bool server = i % 2;
        struct end s = {.out = bytes, .out_len = 4 * MIB}, c = s;
        struct end *closes = server ? &s : &c, *other = server ? &c : &s;
        closes->close_in = events[i / 2];
        open_pair(&s, &c, k);
        transport_trust(s.t);
        transport_trust(c.t);
        if (events[i / 2] == END_ERROR) {
            transport_close(other->t);
            other->t = NULL;
        }
        KIT_UNTIL(k, !closes->t || closes->err);
        struct end then = *closes;
        kit_pass(k, 5);
        if (!closes->t) {
            assert_int_equal(closes->ready + closes->readable + closes->writable + closes->errors,
                             then.ready + then.readable + then.writable + then.errors);
        }
        end_close(&s);
        end_close(&c);
    }
    free(bytes);
}

static void a_descriptor_that_cannot_be_watched(void **state)
{
    struct kit *k = *state;
    static const struct transport_events none;
    struct transport *t = NULL;
    for (int server = 0; server < 2; server++) {
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* a file: epoll refuses it */
        assert_true(fd >= 0);
        assert_int_equal(transport_new(&k->loop, fd, ends_ctx(server), server, &none, NULL, &t),
                         ERR_PERM); /* the poller's own word, ERR_LIMIT where that is it */
        assert_null(t);
        assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed here too */
        assert_int_equal(errno, EBADF);
    }
}

/* ---- what both ends agree on ---- */

static void the_protocol_and_the_exporter_are_common(void **state)
{
    struct kit *k = *state;
    uint8_t key[3][32], other[32];
    struct end s = {0}, c = {0}, s2 = {0}, c2 = {0};
    open_pair(&s, &c, k);
    assert_false(transport_speaks(c.t, "test/1"));
    assert_int_equal(transport_export(c.t, "EXPORTER-test", key[0], 32), ERR_TLS); /* not ready */
    KIT_UNTIL(k, s.ready && c.ready);
    open_ready(&s2, &c2, k);
    assert_true(transport_speaks(s.t, "test/1") && transport_speaks(c.t, "test/1"));
    assert_false(transport_speaks(s.t, "test/") || transport_speaks(c.t, "test/12"));
    assert_int_equal(transport_export(s.t, "EXPORTER-test", key[0], 32), 0);
    assert_int_equal(transport_export(c.t, "EXPORTER-test", key[1], 32), 0);
    assert_int_equal(transport_export(c2.t, "EXPORTER-test", key[2], 32), 0);
    assert_int_equal(transport_export(c.t, "EXPORTER-tests", other, 32), 0);
    assert_memory_equal(key[0], key[1], 32);
    assert_memory_not_equal(key[0], key[2], 32); /* of this connection only */
    assert_memory_not_equal(key[0], other, 32);
    end_close(&s);
    end_close(&c);
    end_close(&s2);
    end_close(&c2);
}

/* ---- another owner ---- */

static void what_comes_while_it_moves_is_told_to_the_new_owner(void **state)
{
    struct kit *k = *state;
    struct kit *other = NULL;
    struct end s = {0}, c = {0};
    assert_int_equal(kit_setup((void **)&other), 0);
    open_ready(&s, &c, k);
    struct end moved = {.k = other, .t = s.t};
    kit_pass(k, 5);
    transport_release(s.t);
    c.out = (const uint8_t *)"on the way";
    c.out_len = 10;
    end_pump(&c);
    kit_pass(k, 5);
    assert_int_equal(s.in_len, 0);
    assert_int_equal(transport_adopt(moved.t, &other->loop, &end_events, &moved), 0);
    KIT_UNTIL(other, moved.in_len == 10);
    assert_true(end_is(&moved, "on the way", 10));
    assert_int_equal(transport_write(moved.t, "back", 4), 4);
    transport_flush(moved.t);
    KIT_UNTIL(k, c.in_len == 4);
    assert_int_equal(s.readable + s.errors, s.readable); /* the old one hears nothing more */
    s.t = NULL;
    end_close(&c);
    KIT_UNTIL(other, moved.err == ERR_EOF);
    end_close(&moved);
    assert_int_equal(kit_teardown((void **)&other), 0);
    free(s.in);
}

/* The old owner has read to the end; the new one sees what came after without an event. */
static void the_new_owner_may_read_at_once(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    char got[16];
    open_ready(&s, &c, k);
    assert_int_equal(transport_write(c.t, "before", 6), 6);
    transport_flush(c.t);
    KIT_UNTIL(k, s.in_len == 6);
    kit_pass(k, 5);
    transport_release(s.t);
    assert_int_equal(transport_write(c.t, "on the way", 10), 10);
    transport_flush(c.t);
    kit_pass(k, 5);
    struct end moved = {.k = k, .t = s.t};
    assert_int_equal(transport_adopt(moved.t, &k->loop, &end_events, &moved), 0);
    assert_int_equal(transport_read(moved.t, got, sizeof got, NULL), 10);
    assert_memory_equal(got, "on the way", 10);
    end_close(&c);
    end_close(&moved);
    free(s.in);
}

/* Half a record was read: the rest is inside libssl, and no event of the socket will follow. */
static void what_was_left_is_told_to_the_new_owner(void **state)
{
    struct kit *k = *state;
    struct end s = {.deaf = true}, c = {0};
    char got[4];
    open_ready(&s, &c, k);
    kit_pass(k, 5);
    int readable = s.readable;
    assert_int_equal(transport_write(c.t, "halfagain", 9), 9);
    transport_flush(c.t);
    KIT_UNTIL(k, s.readable > readable);
    assert_int_equal(transport_read(s.t, got, sizeof got, NULL), 4);
    transport_release(s.t);
    struct end moved = {.k = k, .t = s.t};
    assert_int_equal(transport_adopt(moved.t, &k->loop, &end_events, &moved), 0);
    KIT_UNTIL(k, moved.in_len == 5);
    assert_true(end_is(&moved, "again", 5));
    end_close(&c);
    end_close(&moved);
    free(s.in);
}

static void one_that_broke_while_it_moved_says_so(void **state)
{
    struct kit *k = *state;
    struct end s = {0}, c = {0};
    open_ready(&s, &c, k);
    kit_pass(k, 5);
    transport_release(s.t);
    end_close(&c);
    struct end moved = {.k = k, .t = s.t};
    assert_int_equal(transport_adopt(moved.t, &k->loop, &end_events, &moved), 0);
    KIT_UNTIL(k, moved.err == ERR_EOF);
    s.t = NULL;
    end_close(&moved);
    free(s.in);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_ends_become_ready),
        TEST(one_step_of_a_handshake_a_turn),
        TEST(over_a_socketpair),
        TEST(a_wrong_ca_is_told_to_both),
        TEST(bytes_arrive_as_they_were_sent),
        TEST(writes_of_random_sizes),
        TEST(a_reader_that_waits_stops_the_writer),
        TEST(the_queue_of_the_kernel_is_known),
        TEST(a_send_buffer_that_has_become_small_is_large_again),
        TEST(records_are_as_long_as_they_may_be),
        TEST(on_writable_follows_every_refusal),
        TEST(what_was_left_is_read_later),
        TEST(quiet_connections_sleep),
        TEST(idle_loses_nothing),
        TEST(an_orderly_end),
        TEST(d2_closing_does_not_reset_what_was_said),
        TEST(closing_inside_callbacks),
        TEST(a_descriptor_that_cannot_be_watched),
        TEST(the_protocol_and_the_exporter_are_common),
        TEST(what_comes_while_it_moves_is_told_to_the_new_owner),
        TEST(the_new_owner_may_read_at_once),
        TEST(what_was_left_is_told_to_the_new_owner),
        TEST(one_that_broke_while_it_moved_says_so),
    };
    return cmocka_run_group_tests(tests, ends_setup, ends_teardown);
}
