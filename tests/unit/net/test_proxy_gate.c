/* SPDX-License-Identifier: MIT */
/* net/proxy_gate: who passes as whom, and what is left in the socket; who is closed. */
#include "net/proxy_gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit.h"
#include "net/sock.h"

enum { PATIENCE_MS = 10000, MAX = 8 };

static const char behind[] = "\x16\x03\x01 and what else";
static const char line[] = "PROXY TCP4 203.0.113.9 192.0.2.1 4444 7000\r\n";
static const char binary[] =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xcb\0\x71\x09\xc0\0\2\1\x11\x5c\x1b\x58"
    "\x04\0\0";

static unsigned looks; /* calls of recv() */

ssize_t __real_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
    looks++;
    return __real_recv(fd, buf, n, flags);
}

/* The gate under test and what its owner heard. */
static struct {
    struct kit *k;
    struct proxy_gate *g;
    int passed, ended;
    int fd; /* the last that passed */
    enum proxy_gate_end why;
    struct address peer;
} rig;

static void on_pass(void *ctx, int fd, const struct sockaddr *peer)
{
    assert_ptr_equal(ctx, &rig);
    rig.passed++;
    rig.fd = fd;
    rig.peer = sock_address(peer);
}

static void on_end(void *ctx, enum proxy_gate_end why, const struct sockaddr *balancer)
{
    assert_ptr_equal(ctx, &rig);
    rig.ended++;
    rig.why = why;
    rig.peer = sock_address(balancer);
}

static void begin(struct kit *k, mtime_ms patience_ms)
{
    static const struct proxy_gate_events events = {on_pass, on_end};
    struct proxy_gate_config cfg = {MAX, patience_ms};
    memset(&rig, 0, sizeof rig);
    rig.k = k;
    assert_int_equal(proxy_gate_open(&k->loop, &cfg, &events, &rig, &rig.g), 0);
}

/* A connection of the balancer 192.0.2.x that has said n bytes of text comes. Its other end. */
static int come(uint8_t x, const void *text, size_t n)
{
    int fd[2];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4711)};
    in.sin_addr.s_addr = htonl(0xc0000200u | x);
    kit_tcp_pair(fd);
    if (n > 0)
        assert_int_equal(write(fd[0], text, n), n);
    proxy_gate_enter(rig.g, fd[1], (struct sockaddr *)&in);
    return fd[0];
}

/* One has passed as from 192.0.2.1 or 203.0.113.9; n bytes of `behind` are in its socket, and it is
   woken by one byte again. */
static void assert_passed(bool named, size_t n)
{
    char got[100];
    int low = 0;
    socklen_t len = sizeof low;
    assert_int_equal(rig.passed, 1);
    assert_int_equal(rig.ended + proxy_gate_waiting(rig.g), 0);
    assert_int_equal(rig.peer.family, ADDRESS_IPV4);
    assert_int_equal(rig.peer.ip[3], named ? 9 : 1);
    assert_int_equal(rig.peer.port, named ? 4444 : 4711);
    if (n > 0) {
        assert_int_equal(recv(rig.fd, got, sizeof got, 0), n);
        assert_memory_equal(got, behind, n);
    } else {
        assert_int_equal(recv(rig.fd, got, sizeof got, MSG_DONTWAIT), -1);
        assert_int_equal(errno, EAGAIN);
    }
    assert_int_equal(getsockopt(rig.fd, SOL_SOCKET, SO_RCVLOWAT, &low, &len), 0);
    assert_int_equal(low, 1);
    (void)close(rig.fd);
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void finish(int fd)
{
    (void)close(fd);
    proxy_gate_close(rig.g);
}

static const struct {
    const char *text;
    size_t n;
    bool named;
} headers[] = {
    {line, sizeof line - 1, true},
    {binary, sizeof binary - 1, true},
    {"PROXY UNKNOWN\r\n", 15, false},
    {"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16, false},
};

static void a_header_is_taken_out_to_the_byte(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        for (size_t more = 0; more < sizeof behind; more += sizeof behind - 1) {
            char text[200];
            begin(*state, PATIENCE_MS);
            memcpy(text, headers[i].text, headers[i].n);
            memcpy(text + headers[i].n, behind, more);
            int fd = come(1, text, headers[i].n + more);
            assert_passed(headers[i].named, more); /* without a turn of the loop */
            finish(fd);
        }
}

static void in_two_segments_at_every_byte(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        for (size_t cut = 0; cut < headers[i].n; cut++) {
            char text[200];
            size_t rest = headers[i].n - cut;
            begin(*state, PATIENCE_MS);
            int fd = come(1, headers[i].text, cut);
            uv_run(&rig.k->loop.uv, UV_RUN_NOWAIT);
            assert_int_equal(proxy_gate_waiting(rig.g), 1);
            memcpy(text, headers[i].text + cut, rest);
            memcpy(text + rest, behind, 5);
            assert_int_equal(write(fd, text, rest + 5), rest + 5);
            KIT_UNTIL(rig.k, rig.passed > 0);
            assert_passed(headers[i].named, 5);
            finish(fd);
        }
}

static void byte_by_byte(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        begin(*state, PATIENCE_MS);
        int fd = come(1, "", 0);
        looks = 0;
        for (size_t at = 0; at < headers[i].n; at++) {
            assert_int_equal(rig.passed, 0);
            assert_int_equal(write(fd, headers[i].text + at, 1), 1);
            uv_run(&rig.k->loop.uv, UV_RUN_NOWAIT);
        }
        KIT_UNTIL(rig.k, rig.passed > 0);
        if (*headers[i].text == '\r') /* whose length is known early: not a look at each byte */
            assert_in_range(looks, 2, 8);
        assert_passed(headers[i].named, 0);
        finish(fd);
    }
}

static void what_is_no_header_is_closed(void **state)
{
    static const char *const texts[] = {"\x16\x03\x01", "GET / HTTP/1.1\r\n",
                                        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        enum proxy_gate_end why = i < 2 ? PROXY_GATE_NOT : PROXY_GATE_BROKEN;
        begin(*state, PATIENCE_MS);
        int fd = come(7, texts[i], strlen(texts[i]));
        assert_int_equal(rig.ended, 1); /* at once */
        assert_int_equal(rig.why, why);
        assert_int_equal(rig.peer.ip[3], 7);
        KIT_UNTIL(rig.k, is_closed(fd));
        finish(fd);
        begin(*state, PATIENCE_MS);
        fd = come(7, "", 0); /* and later */
        kit_pass(rig.k, 2);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        KIT_UNTIL(rig.k, rig.ended == 1);
        assert_int_equal(rig.why, why);
        KIT_UNTIL(rig.k, is_closed(fd));
        assert_int_equal(rig.passed, 0);
        finish(fd);
    }
}

/* Before a whole header; a whole one passes whoever has gone, and the next stage sees the end. */
static void a_balancer_that_leaves_is_forgotten(void **state)
{
    static const size_t said[] = {0, 3, 20};
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        begin(*state, PATIENCE_MS);
        int fd = come(1, line, said[i]);
        kit_pass(rig.k, 2);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        KIT_UNTIL(rig.k, rig.ended == 1);
        assert_int_equal(rig.why, PROXY_GATE_LEFT);
        assert_int_equal(proxy_gate_waiting(rig.g) + rig.passed, 0);
        finish(fd);
    }
    int fd[2];
    struct sockaddr_in in = {.sin_family = AF_INET};
    begin(*state, PATIENCE_MS);
    kit_tcp_pair(fd);
    (void)close(fd[0]);
    proxy_gate_enter(rig.g, fd[1], (struct sockaddr *)&in);
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.why, PROXY_GATE_LEFT);
    proxy_gate_close(rig.g);
}

/* Bytes now and then do not stretch it. */
static void patience_ends(void **state)
{
    begin(*state, 60);
    int fd = come(1, line, 1);
    mtime_ms began = kit_clock();
    for (size_t i = 1; rig.ended == 0 && i < sizeof line - 3; i++) {
        (void)!send(fd, line + i, 1, MSG_NOSIGNAL);
        kit_pass(rig.k, 5);
    }
    KIT_UNTIL(rig.k, rig.ended == 1);
    assert_int_equal(rig.why, PROXY_GATE_LATE);
    assert_in_range(kit_clock() - began, 50, 5000);
    KIT_UNTIL(rig.k, is_closed(fd));
    finish(fd);
}

static void a_crowd_costs_the_balancer_that_makes_it(void **state)
{
    int fd[3 * MAX];
    begin(*state, PATIENCE_MS);
    int other = come(2, line, 10);
    for (int i = 0; i < 3 * MAX; i++)
        fd[i] = come(1, "", 0);
    assert_int_equal(proxy_gate_waiting(rig.g), MAX);
    assert_int_equal(rig.ended, 2 * MAX + 1);
    assert_int_equal(rig.why, PROXY_GATE_CROWDED);
    assert_int_equal(rig.peer.ip[3], 1);
    assert_true(is_closed(fd[0]));
    assert_int_equal(write(other, line + 10, sizeof line - 11), sizeof line - 11);
    KIT_UNTIL(rig.k, rig.passed == 1);
    (void)close(rig.fd);
    proxy_gate_close(rig.g); /* silently */
    assert_int_equal(rig.ended, 2 * MAX + 1);
    for (int i = 0; i < 3 * MAX; i++) {
        kit_pass(rig.k, 1);
        assert_true(is_closed(fd[i]));
        (void)close(fd[i]);
    }
    (void)close(other);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_header_is_taken_out_to_the_byte),
        T(in_two_segments_at_every_byte),
        T(byte_by_byte),
        T(what_is_no_header_is_closed),
        T(a_balancer_that_leaves_is_forgotten),
        T(patience_ends),
        T(a_crowd_costs_the_balancer_that_makes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
