/* SPDX-License-Identifier: MIT */
/* gotunnel/2: when the outgoing ring grows and shrinks. Rates are in tests/sim/test_window.c. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

enum { MIB = 1 << 20 };

/* A server with one stream that may send without end, over a path with this round trip. */
static struct kit *kit_at(mtime_ms rtt, struct smux_stream **ret)
{
    struct kit *k = kit_new_v2(false);
    assert_string_equal(sent(k), "PING:0:1");
    k->now += rtt;
    wire_word(&k->in, SMUX_PONG, 1);
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    assert_string_equal(fed(k), "");
    *ret = kit_open(k);
    wire_upd(&k->in, 2, 0, 0x7fffffff);
    (void)sent(k);
    (void)fed(k);
    return k;
}

/* Writes and sends until the ring takes no more, or `most` bytes are in it. */
static void fill(struct kit *k, struct smux_stream *st, uint64_t most)
{
    uint8_t *p;
    size_t room;
    smux_session_clock(k->s, k->now);
    for (uint64_t before = UINT64_MAX; before != k->s->out.staged;) {
        before = k->s->out.staged;
        while (smux_session_held(k->s) < most && smux_stream_reserve(st, &p, &room) == 0) {
            memset(p, 'g', room);
            smux_stream_commit(st, room);
        }
        (void)sent(k);
    }
}

/* The ring, filled, turns over in ms milliseconds; n times. */
static void turn(struct kit *k, struct smux_stream *st, mtime_ms ms, int n)
{
    for (int i = 0; i < n; i++) {
        fill(k, st, UINT64_MAX);
        k->now += ms;
        wire_upd(&k->in, 2, st->sent, 0x7fffffff);
        wire_word(&k->in, SMUX_ACK, k->s->out.sent);
        (void)fed(k);
    }
    fill(k, st, UINT64_MAX);
}

static void one_turn_is_enough_far_away(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(32, &st);
    turn(k, st, 32, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    turn(k, st, 32, 1);
    assert_int_equal(k->s->out.size, 4 * MIB);
    kit_free(k);
}

/* A long turnover beside a short round trip: somebody was busy. */
static void the_round_trip_of_a_ping_counts_too(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(31, &st);
    turn(k, st, 100, 5);
    assert_int_equal(k->s->out.size, MIB);
    kit_free(k);
}

/* But what lasts for whole looks is believed, be it near or far. */
static void seconds_are_believed(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(1, &st);
    turn(k, st, 5, 399);
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 5, 2);
    assert_int_equal(k->s->out.size, 2 * MIB);
    turn(k, st, 5, 1000); /* that is enough for 5 ms */
    assert_int_equal(k->s->out.size, 2 * MIB);
    kit_free(k);
}

static void one_short_turn_in_a_look_is_enough(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(1, &st);
    for (int i = 0; i < 10; i++) {
        turn(k, st, 30, 60);
        turn(k, st, 4, 1);
        assert_int_equal(k->s->out.size, MIB);
    }
    kit_free(k);
}

static void what_does_not_pay_is_taken_back(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(40, &st);
    turn(k, st, 100, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    turn(k, st, 190, 1); /* of filling */
    turn(k, st, 190, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    turn(k, st, 190, 1);
    assert_int_equal(k->s->out.size, MIB);
    mtime_ms until = k->s->replay.gauge.no_growth_until;
    assert_int_equal(until, k->now + 30000);
    while (k->now + 100 < until) {
        turn(k, st, 100, 1);
        assert_int_equal(k->s->out.size, MIB);
    }
    turn(k, st, 100, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    turn(k, st, 190, 1);
    turn(k, st, 189, 1); /* a little faster than before */
    assert_int_equal(k->s->out.size, 4 * MIB);
    kit_free(k);
}

/* A ring that is always full becomes smaller all the same. */
static void what_is_near_is_given_back(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(100, &st);
    turn(k, st, 100, 2);
    assert_int_equal(k->s->out.size, 4 * MIB);
    turn(k, st, 1, 2000); /* a look with one long turn in it, or none yet */
    turn(k, st, 1, 4100);
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 3, 3000);
    assert_int_equal(k->s->out.size, MIB);
    kit_free(k);
}

static void what_is_not_used_is_given_back(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(100, &st);
    turn(k, st, 100, 2);
    assert_int_equal(k->s->out.size, 4 * MIB);
    for (int used = 2; used >= 1; used--) {
        for (int i = 0; i < 70; i++) { /* 7 s: the look before had it full */
            wire_upd(&k->in, 2, st->sent, 0x7fffffff);
            wire_word(&k->in, SMUX_ACK, k->s->out.sent);
            (void)fed(k);
            fill(k, st, (uint64_t)used * MIB - 100000);
            k->now += 100;
        }
        assert_int_equal(k->s->out.size, used * MIB);
    }
    kit_free(k);
}

static void another_connection_is_measured_anew(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(40, &st);
    turn(k, st, 100, 1);
    turn(k, st, 300, 3); /* did not pay */
    assert_int_equal(k->s->out.size, MIB);
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, k->now), 0);
    turn(k, st, 100, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_turn_is_enough_far_away),
        cmocka_unit_test(the_round_trip_of_a_ping_counts_too),
        cmocka_unit_test(seconds_are_believed),
        cmocka_unit_test(one_short_turn_in_a_look_is_enough),
        cmocka_unit_test(what_does_not_pay_is_taken_back),
        cmocka_unit_test(what_is_near_is_given_back),
        cmocka_unit_test(what_is_not_used_is_given_back),
        cmocka_unit_test(another_connection_is_measured_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
