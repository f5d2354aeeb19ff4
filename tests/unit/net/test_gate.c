/* SPDX-License-Identifier: MIT */
/* net/gate: who passes, who is closed, what it costs; with real sockets. */
#include "net/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit.h"
#include "net/sock.h"
#include "proto/client_hello.h"

enum { HELLO = 1500, PATIENCE_MS = 10000 };

static uint8_t hello[HELLO];
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
    struct gate *g;
    int passed, ended;
    int fd; /* the last that passed */
    mtime_ms waited;
    enum gate_end why;
    struct address peer;
    uint8_t known;   /* 192.0.2.x has authenticated; 0: nobody */
    uint8_t refused; /* 192.0.2.x may not pass; 0: all may */
    int asked;       /* whether one may */
    int asked_room;  /* beyond the gate */
    bool is_full;    /* beyond the gate, for who is known: for ever */
} rig;

static void on_pass(void *ctx, int fd, const struct sockaddr *peer, mtime_ms waited)
{
    assert_ptr_equal(ctx, &rig);
    rig.passed++;
    rig.fd = fd;
    rig.waited = waited;
    rig.peer = sock_address(peer);
}

static void on_end(void *ctx, enum gate_end why, const struct sockaddr *peer)
{
    assert_ptr_equal(ctx, &rig);
    rig.ended++;
    rig.why = why;
    rig.peer = sock_address(peer);
}

static bool is_known(void *ctx, const struct sockaddr *peer)
{
    assert_ptr_equal(ctx, &rig);
    return sock_address(peer).ip[3] == rig.known;
}

static bool may_pass(void *ctx, const struct sockaddr *peer)
{
    assert_ptr_equal(ctx, &rig);
    rig.asked++;
    return rig.refused == 0 || sock_address(peer).ip[3] != rig.refused;
}

static mtime_ms room_at(void *ctx, const char *source)
{
    assert_ptr_equal(ctx, &rig);
    assert_string_equal(source, "192.0.2.200");
    rig.asked_room++;
    return rig.is_full ? loop_now(&rig.k->loop) + 1000 : 0;
}

static void begin_with(struct kit *k, const struct gate_config *cfg, uint8_t known)
{
    static const struct gate_events events = {on_pass, on_end, NULL, may_pass, NULL};
    static const struct gate_events knowing = {on_pass, on_end, is_known, may_pass, room_at};
    memset(&rig, 0, sizeof rig);
    rig.k = k;
    rig.known = known;
    assert_int_equal(gate_open(&k->loop, cfg, known ? &knowing : &events, &rig, &rig.g), 0);
    memset(hello, 7, sizeof hello);
    memcpy(hello, (uint8_t[]){22, 3, 1, (HELLO - 5) >> 8, (HELLO - 5) & 255, 1}, 6);
    memcpy(hello + 6, (uint8_t[]){0, (HELLO - 9) >> 8, (HELLO - 9) & 255, 3, 3}, 5);
    looks = 0;
}

static void begin(struct kit *k, unsigned max, mtime_ms patience_ms)
{
    struct gate_config cfg = {max, patience_ms, 100000, 100000};
    begin_with(k, &cfg, 0);
}

/* A connection from source 192.0.2.x that has said n bytes of text comes. Its other end. */
static int come(uint8_t x, const void *text, size_t n)
{
    int fd[2];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4711)};
    in.sin_addr.s_addr = htonl(0xc0000200u | x);
    kit_tcp_pair(fd);
    if (n > 0)
        assert_int_equal(write(fd[0], text, n), n);
    gate_enter(rig.g, fd[1], (struct sockaddr *)&in);
    return fd[0];
}

/* What passed has all of the hello unread, and is woken by one byte again. */
static void assert_passed(size_t n)
{
    static uint8_t got[HELLO];
    int low = 0;
    socklen_t len = sizeof low;
    assert_int_equal(rig.passed, 1);
    assert_int_equal(__real_recv(rig.fd, got, sizeof got, 0), n);
    assert_memory_equal(got, hello, n);
    assert_int_equal(getsockopt(rig.fd, SOL_SOCKET, SO_RCVLOWAT, &low, &len), 0);
    assert_int_equal(low, 1);
    (void)close(rig.fd);
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t n = __real_recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void finish(void)
{
    gate_close(rig.g);
}

static void a_whole_hello_passes_at_once(void **state)
{
    begin(*state, 16, PATIENCE_MS);
    int fd = come(1, hello, HELLO);
    assert_passed(HELLO); /* without a turn of the loop */
    assert_int_equal(rig.waited, 0);
    assert_int_equal(rig.peer.ip[3], 1);
    assert_int_equal(rig.peer.port, 4711);
    assert_int_equal(gate_waiting(rig.g) + rig.ended, 0);
    assert_int_equal(looks, 1);
    (void)close(fd);
    finish();
}

/* Where a segment may end: within the header, within the record, at its ends. */
static void in_two_segments_it_passes_when_it_is_whole(void **state)
{
    static const size_t cuts[] = {0, 1, 4, 5, 6, 700, HELLO - 1};
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        begin(*state, 16, PATIENCE_MS);
        int fd = come(1, hello, cuts[i]);
        kit_pass(rig.k, 2);
        assert_int_equal(rig.passed, 0);
        assert_int_equal(gate_waiting(rig.g), 1);
        assert_int_equal(write(fd, hello + cuts[i], HELLO - cuts[i]), HELLO - cuts[i]);
        KIT_UNTIL(rig.k, rig.passed > 0);
        assert_passed(HELLO);
        assert_int_equal(rig.peer.ip[3], 1);
        assert_int_equal(gate_waiting(rig.g) + rig.ended, 0);
        (void)close(fd);
        finish();
    }
}

/* Each byte a segment: whole peeks at every edge would look 1,500 times at up to 1,500 bytes. */
static void byte_by_byte_costs_few_looks(void **state)
{
    begin(*state, 16, PATIENCE_MS);
    int fd = come(1, hello, 1);
    for (size_t i = 1; i < HELLO; i++) {
        assert_int_equal(write(fd, hello + i, 1), 1);
        uv_run(&rig.k->loop.uv, UV_RUN_NOWAIT);
    }
    KIT_UNTIL(rig.k, rig.passed > 0);
    assert_passed(HELLO);
    assert_in_range(looks, 3,
                    8); /* at the first byte, the header, the end; and for room to spare */
    (void)close(fd);
    finish();
}

static void how_long_it_waited_is_told(void **state)
{
    begin(*state, 16, PATIENCE_MS);
    int fd = come(1, hello, 10);
    kit_pass(rig.k, 30);
    assert_int_equal(write(fd, hello + 10, HELLO - 10), HELLO - 10);
    KIT_UNTIL(rig.k, rig.passed > 0);
    assert_in_range(rig.waited, 20, 10000);
    assert_passed(HELLO);
    (void)close(fd);
    finish();
}

static void what_is_not_tls_is_closed(void **state)
{
    begin(*state, 16, PATIENCE_MS);
    int fd = come(9, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_int_equal(rig.ended, 1); /* at once */
    assert_int_equal(rig.why, GATE_NOT_TLS);
    assert_int_equal(rig.peer.ip[3], 9);
    KIT_UNTIL(rig.k, is_closed(fd));
    (void)close(fd);
    fd = come(9, hello, 5); /* and later, when it is seen */
    kit_pass(rig.k, 2);
    assert_int_equal(rig.ended, 1);
    memset(hello + 5, 2, HELLO - 5);
    assert_int_equal(write(fd, hello + 5, HELLO - 5), HELLO - 5);
    KIT_UNTIL(rig.k, rig.ended == 2);
    assert_int_equal(rig.why, GATE_NOT_TLS);
    KIT_UNTIL(rig.k, is_closed(fd));
    assert_int_equal(gate_waiting(rig.g) + rig.passed, 0);
    (void)close(fd);
    finish();
}

static void who_leaves_is_forgotten(void **state)
{
    static const size_t said[] = {0, 1, 5, 700};
    struct linger hard = {.l_onoff = 1};
    for (size_t i = 0; i < ARRAY_LEN(said); i++)
        for (int how = 0; how < 3; how++) { /* an end, half an end, a reset */
            begin(*state, 16, PATIENCE_MS);
            int fd = come(1, hello, said[i]);
            kit_pass(rig.k, 2);
            assert_int_equal(gate_waiting(rig.g), 1);
            if (how == 1)
                assert_int_equal(shutdown(fd, SHUT_WR), 0);
            if (how == 2)
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            if (how != 1)
                (void)close(fd);
            KIT_UNTIL(rig.k, rig.ended == 1);
            assert_int_equal(rig.why, GATE_LEFT);
            assert_int_equal(gate_waiting(rig.g) + rig.passed, 0);
            if (how == 1)
                (void)close(fd);
            finish();
        }
}

/* Nor does it pass with a whole hello: nobody is there to shake hands with. */
static void who_has_left_already_does_not_wait(void **state)
{
    int fd[2];
    struct sockaddr_in in = {.sin_family = AF_INET};
    begin(*state, 16, PATIENCE_MS);
    for (int whole = 0; whole < 2; whole++) {
        kit_tcp_pair(fd);
        assert_true(!whole || write(fd[0], hello, HELLO) == HELLO);
        (void)close(fd[0]);
        gate_enter(rig.g, fd[1], (struct sockaddr *)&in);
        assert_int_equal(rig.ended, 1 + whole);
        assert_int_equal(rig.why, GATE_LEFT);
        assert_int_equal(gate_waiting(rig.g) + rig.passed, 0);
    }
    finish();
}

/* Its turn comes before its end is told: the next one has it. */
static void who_has_left_uses_no_turn(void **state)
{
    struct gate_config cfg = {16, PATIENCE_MS, 10, 10};
    begin_with(*state, &cfg, 0);
    int fd[3];
    for (uint8_t i = 0; i < 3; i++)
        fd[i] = come(1 + i, hello, HELLO);
    assert_int_equal(rig.passed, 1);
    (void)close(rig.fd);
    (void)close(fd[1]);
    (void)usleep(110000); /* a turn */
    (void)uv_run(&rig.k->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(rig.passed, 2);
    assert_int_equal(rig.peer.ip[3], 3);
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.why, GATE_LEFT);
    (void)close(rig.fd);
    (void)close(fd[0]);
    (void)close(fd[2]);
    finish();
}

static void patience_ends_the_oldest_first(void **state)
{
    begin(*state, 16, 60);
    int slow = come(1, hello, HELLO - 1);
    kit_pass(rig.k, 30);
    int later = come(2, hello, 5);
    KIT_UNTIL(rig.k, rig.ended == 1);
    assert_int_equal(rig.why, GATE_LATE);
    assert_int_equal(rig.peer.ip[3], 1);
    assert_true(is_closed(slow));
    KIT_UNTIL(rig.k, rig.ended == 2);
    assert_int_equal(rig.peer.ip[3], 2);
    assert_int_equal(rig.why, GATE_LATE);
    (void)close(slow);
    (void)close(later);
    finish();
}

/* A byte now and then does not help. */
static void a_drip_does_not_stretch_it(void **state)
{
    begin(*state, 16, 60);
    int fd = come(1, hello, 1);
    mtime_ms began = kit_clock();
    for (size_t i = 1; rig.ended == 0 && i < HELLO; i++) {
        (void)!send(fd, hello + i, 1, MSG_NOSIGNAL);
        kit_pass(rig.k, 5);
    }
    assert_int_equal(rig.why, GATE_LATE);
    assert_in_range(kit_clock() - began, 50, 5000);
    (void)close(fd);
    finish();
}

static void a_full_gate_drops_of_whom_most_wait(void **state)
{
    enum { MAX = 16 };
    int fd[3 * MAX], honest;
    begin(*state, MAX, PATIENCE_MS);
    honest = come(200, hello, 700);
    for (int i = 0; i < 3 * MAX; i++) { /* of one source a quarter, its oldest go */
        fd[i] = come(1, hello, 1);
        assert_int_equal(gate_waiting(rig.g), i < MAX / 4 ? i + 2 : MAX / 4 + 1);
    }
    assert_int_equal(rig.ended, 3 * MAX - MAX / 4);
    assert_int_equal(rig.why, GATE_CROWDED);
    assert_true(is_closed(fd[0]));
    for (int i = 0; i < 3 * MAX; i++)
        (void)close(fd[i]);
    KIT_UNTIL(rig.k, gate_waiting(rig.g) == 1);
    for (int i = 0; i < 3 * MAX; i++)
        fd[i] = come((uint8_t)(2 + i % 5), hello, 1); /* who has one of 16 places keeps it */
    assert_in_range(gate_waiting(rig.g), MAX / 2 + 1, MAX);
    assert_int_equal(write(honest, hello + 700, HELLO - 700), HELLO - 700);
    KIT_UNTIL(rig.k, rig.passed == 1);
    assert_passed(HELLO);
    assert_int_equal(rig.peer.ip[3], 200);
    for (int i = 0; i < 3 * MAX; i++)
        (void)close(fd[i]);
    (void)close(honest);
    finish();
}

/* ---- turns ---- */

/* One in a tenth of a second; in between the loop sleeps. */
static void whole_hellos_wait_for_their_turn(void **state)
{
    enum { COUNT = 5 };
    struct gate_config cfg = {16, PATIENCE_MS, 10, 10};
    int fd[COUNT];
    begin_with(*state, &cfg, 0);
    mtime_ms began = kit_clock();
    for (uint8_t i = 0; i < COUNT; i++)
        fd[i] = come(i, hello, i == 2 ? 700 : HELLO);
    assert_int_equal(rig.passed, 1);
    (void)close(rig.fd);
    assert_int_equal(gate_waiting(rig.g), COUNT - 1);
    assert_int_equal(write(fd[2], hello + 700, HELLO - 700), HELLO - 700);
    rig.passed = 0;
    KIT_UNTIL(rig.k, rig.passed == 1);
    assert_passed(HELLO); /* none of it is read while it waits */
    assert_true(rig.waited > 0);
    KIT_UNTIL(rig.k, rig.passed == 2);
    (void)close(rig.fd);
    KIT_UNTIL(rig.k, rig.passed == 3);
    (void)close(rig.fd);
    KIT_UNTIL(rig.k, rig.passed == 4);
    (void)close(rig.fd);
    assert_true(kit_clock() - began >= 390);
    assert_int_equal(rig.ended + gate_waiting(rig.g), 0);
    for (int i = 0; i < COUNT; i++)
        (void)close(fd[i]);
    finish();
}

static void waiting_for_a_turn_is_sleep(void **state)
{
    struct gate_config cfg = {16, PATIENCE_MS, 1, 1};
    begin_with(*state, &cfg, 0);
    int a = come(1, hello, HELLO), b = come(2, hello, HELLO);
    assert_in_range(kit_run_counting(rig.k, 200), 1, 20);
    assert_int_equal(rig.passed, 1);
    (void)close(rig.fd);
    (void)close(a);
    (void)close(b);
    finish();
}

static void one_source_waits_while_others_pass(void **state)
{
    struct gate_config cfg = {16, PATIENCE_MS, 1000, 1};
    begin_with(*state, &cfg, 0);
    int fd[3];
    for (int i = 0; i < 3; i++) {
        fd[i] = come(i < 2 ? 1 : 2, hello, HELLO);
        if (i != 1)
            (void)close(rig.fd);
    }
    assert_int_equal(rig.passed, 2);
    assert_int_equal(gate_waiting(rig.g), 1);
    for (int i = 0; i < 3; i++)
        (void)close(fd[i]);
    finish();
}

static void who_is_known_passes_first(void **state)
{
    enum { COUNT = 4 };
    struct gate_config cfg = {16, PATIENCE_MS, 5, 5};
    int fd[COUNT + 1];
    begin_with(*state, &cfg, 200);
    for (uint8_t i = 0; i < COUNT; i++)
        fd[i] = come(i, hello, HELLO);
    fd[COUNT] = come(200, hello, HELLO);
    assert_int_equal(rig.passed, 1);
    (void)close(rig.fd);
    KIT_UNTIL(rig.k, rig.passed == 2);
    (void)close(rig.fd);
    assert_int_equal(rig.peer.ip[3], 200);
    for (int i = 0; i <= COUNT; i++)
        (void)close(fd[i]);
    finish();
}

/* Nor does whoever comes while there is no turn make it look at all who wait. */
static void without_a_turn_nobody_is_looked_at(void **state)
{
    struct gate_config cfg = {16, PATIENCE_MS, 1, 1};
    int fd[4];
    begin_with(*state, &cfg, 200);
    for (int i = 0; i < 4; i++)
        fd[i] = come(200, hello, HELLO);
    assert_int_equal(rig.passed, 1);
    assert_int_equal(rig.asked_room, 1);
    (void)close(rig.fd);
    for (int i = 0; i < 4; i++)
        (void)close(fd[i]);
    finish();
}

/* Strangers have their turns, and nobody who is known is dropped for what is full: the place that gets free is his. */
static void who_is_known_waits_for_room_beyond(void **state)
{
    struct gate_config cfg = {16, PATIENCE_MS, 100000, 100000};
    int fd[3];
    begin_with(*state, &cfg, 200);
    rig.is_full = true;
    fd[0] = come(200, hello, HELLO);
    fd[1] = come(200, hello, HELLO);
    assert_int_equal(rig.passed, 0);
    assert_int_equal(gate_waiting(rig.g), 2);
    fd[2] = come(1, hello, HELLO);
    assert_int_equal(rig.passed, 1);
    assert_int_equal(rig.peer.ip[3], 1);
    (void)close(rig.fd);
    rig.is_full = false;
    gate_look_again(rig.g);
    assert_int_equal(rig.passed, 1);
    KIT_UNTIL(rig.k, rig.passed == 3);
    assert_int_equal(rig.ended, 0);
    assert_int_equal(gate_waiting(rig.g), 0);
    (void)close(rig.fd);
    for (int i = 0; i < 3; i++)
        (void)close(fd[i]);
    finish();
}

/* Its end is seen while it waits: no turn is spent on it. And its time runs on. */
static void who_waits_for_a_turn_may_leave_or_be_late(void **state)
{
    static const mtime_ms patience[] = {PATIENCE_MS, 60};
    for (int late = 0; late < 2; late++) {
        struct gate_config cfg = {16, patience[late], 1, 1};
        begin_with(*state, &cfg, 0);
        int a = come(1, hello, HELLO), b = come(2, hello, HELLO);
        assert_int_equal(rig.passed, 1);
        (void)close(rig.fd);
        assert_int_equal(gate_waiting(rig.g), 1);
        if (!late)
            (void)close(b);
        KIT_UNTIL(rig.k, rig.ended == 1);
        assert_int_equal(rig.why, late ? GATE_CROWDED : GATE_LEFT);
        assert_int_equal(rig.peer.ip[3], 2);
        assert_int_equal(rig.passed, 1);
        assert_int_equal(gate_waiting(rig.g), 0);
        (void)close(a);
        if (late)
            (void)close(b);
        finish();
    }
}

/* One turn a second: none of it is spent on who is refused, whether its hello comes in one piece or
   in two. Asked is when it is whole, and once. */
static void who_may_not_pass_takes_no_turn(void **state)
{
    struct gate_config cfg = {16, PATIENCE_MS, 1, 1};
    begin_with(*state, &cfg, 200);
    rig.refused = 9;
    int parts = come(9, hello, 700);
    kit_pass(rig.k, 2);
    assert_int_equal(rig.asked, 0);
    for (int i = 0; i < 20; i++) {
        int fd = come(9, hello, HELLO);
        assert_int_equal(__real_recv(fd, hello, 1, 0), -1); /* what it said is unread */
        assert_int_equal(errno, ECONNRESET);
        (void)close(fd);
    }
    assert_int_equal(write(parts, hello + 700, HELLO - 700), HELLO - 700);
    KIT_UNTIL(rig.k, rig.ended == 21);
    assert_int_equal(rig.asked, 21);
    assert_int_equal(rig.why, GATE_REFUSED);
    assert_int_equal(rig.peer.ip[3], 9);
    assert_true(is_closed(parts));
    assert_int_equal(rig.passed + gate_waiting(rig.g), 0);
    int other = come(1, hello, HELLO);
    assert_passed(HELLO); /* at once: the turn is there */
    (void)close(other);
    (void)close(parts);
    finish();
}

static void who_is_known_is_not_asked_about(void **state)
{
    struct gate_config cfg = {16, PATIENCE_MS, 1000, 1000};
    begin_with(*state, &cfg, 200);
    rig.refused = 200;
    int at_once = come(200, hello, HELLO), parts = come(200, hello, 700);
    assert_passed(HELLO);
    assert_int_equal(write(parts, hello + 700, HELLO - 700), HELLO - 700);
    KIT_UNTIL(rig.k, rig.passed == 2);
    assert_int_equal(rig.asked + rig.ended, 0);
    (void)close(rig.fd);
    (void)close(at_once);
    (void)close(parts);
    finish();
}

static void no_stranger_takes_the_place_of_who_is_known(void **state)
{
    enum { MAX = 16, COUNT = 60 };
    struct gate_config cfg = {MAX, PATIENCE_MS, 1, 1};
    int fd[COUNT], known[MAX / 4];
    begin_with(*state, &cfg, 200);
    for (int i = 0; i < MAX / 4; i++)
        known[i] = come(200, hello, 700);
    for (int i = 0; i < COUNT; i++)
        fd[i] = come((uint8_t)i, hello, 700);
    assert_in_range(gate_waiting(rig.g), MAX / 2, MAX);
    for (int i = 0; i < MAX / 4; i++)
        assert_false(is_closed(known[i]));
    for (int i = 0; i < COUNT; i++)
        (void)close(fd[i]);
    for (int i = 0; i < MAX / 4; i++)
        (void)close(known[i]);
    finish();
}

static void what_waits_costs_little_and_ends_with_the_gate(void **state)
{
    enum { COUNT = GATE_MAX / 2 };
    int fd[COUNT];
    begin(*state, GATE_MAX, PATIENCE_MS);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < COUNT; i++)
        fd[i] = come((uint8_t)i, hello, 700);
    kit_pass(rig.k, 5);
    size_t each = (mallinfo2().uordblks - before) / COUNT;
    if (before > 0) /* 0: a sanitizer's allocator does not tell */
        assert_in_range(each, 1, 1024);
    assert_int_equal(gate_waiting(rig.g), COUNT);
    finish();
    kit_pass(rig.k, 2);
    for (int i = 0; i < COUNT; i++) {
        assert_true(is_closed(fd[i]));
        (void)close(fd[i]);
    }
    assert_int_equal(rig.ended + rig.passed, 0); /* silently */
}

static void the_gate_may_close_in_the_turn_in_which_one_left(void **state)
{
    begin(*state, 16, PATIENCE_MS);
    int a = come(1, hello, 1), b = come(2, hello, 1);
    (void)close(a);
    KIT_UNTIL(rig.k, rig.ended == 1);
    finish();
    (void)close(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_whole_hello_passes_at_once),
        T(in_two_segments_it_passes_when_it_is_whole),
        T(byte_by_byte_costs_few_looks),
        T(how_long_it_waited_is_told),
        T(what_is_not_tls_is_closed),
        T(who_leaves_is_forgotten),
        T(who_has_left_already_does_not_wait),
        T(who_has_left_uses_no_turn),
        T(patience_ends_the_oldest_first),
        T(a_drip_does_not_stretch_it),
        T(a_full_gate_drops_of_whom_most_wait),
        T(whole_hellos_wait_for_their_turn),
        T(waiting_for_a_turn_is_sleep),
        T(one_source_waits_while_others_pass),
        T(who_is_known_passes_first),
        T(without_a_turn_nobody_is_looked_at),
        T(who_is_known_waits_for_room_beyond),
        T(who_waits_for_a_turn_may_leave_or_be_late),
        T(who_may_not_pass_takes_no_turn),
        T(who_is_known_is_not_asked_about),
        T(no_stranger_takes_the_place_of_who_is_known),
        T(what_waits_costs_little_and_ends_with_the_gate),
        T(the_gate_may_close_in_the_turn_in_which_one_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
