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
    turn(k, st, 62, 5);
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

/* ... but not for ever: the least of the last seconds. */
static void a_short_turn_is_forgotten(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(1, &st);
    turn(k, st, 4, 1);
    turn(k, st, 30, 200);
    assert_true(k->s->out.size > MIB);
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
        assert_in_range(k->s->out.size, MIB / 2, MIB); /* less does not pay either: see below */
    }
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 100, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    turn(k, st, 190, 1);
    turn(k, st, 189, 1); /* a little faster than before */
    assert_int_equal(k->s->out.size, 4 * MIB);
    kit_free(k);
}

/* It becomes smaller when what it holds leaves the reserve alone: two ends whose ACKs have no room
   would stand still. */
static void a_smaller_ring_keeps_its_reserve(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(40, &st);
    turn(k, st, 100, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    fill(k, st, UINT64_MAX);
    k->s->replay.gauge.limit = MIB; /* as take_back() does */
    for (uint64_t held = MIB; held >= MIB - REPLAY_RESERVE; held--) {
        assert_int_equal(k->s->out.size, 2 * MIB);
        wire_word(&k->in, SMUX_ACK, k->s->out.staged - held);
        assert_string_equal(fed(k), "");
    }
    assert_int_equal(k->s->out.size, MIB);
    assert_int_equal(ring_room(&k->s->out), REPLAY_RESERVE);
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

/* All but the first size is new on another connection: what it took on the old one, and when. */
static void nothing_is_compared_with_the_old_connection(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(40, &st);
    turn(k, st, 1, 20); /* it was near */
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, k->now), 0);
    turn(k, st, 100, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, k->now), 0);
    turn(k, st, 300, 1); /* longer than twice 100 */
    assert_int_equal(k->s->out.size, 4 * MIB);
    kit_free(k);
}

/* A full ring that waited for a resume has not turned over so slowly. */
static void a_cut_is_no_turnover(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(40, &st);
    turn(k, st, 1, 20);
    smux_session_detach(k->s);
    k->now += 5000;
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent - MIB / 4, k->now), 0);
    turn(k, st, 3, 20);
    assert_int_equal(k->s->out.size, MIB);
    kit_free(k);
}

/* What was before a rest is not of the look before this one. */
static void a_rest_ends_what_lasts(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(1, &st);
    turn(k, st, 5, 200); /* a second of what would be believed after a whole look */
    for (mtime_ms wait = 5; wait <= 4000; wait += 3995) {
        k->now += wait;
        wire_upd(&k->in, 2, st->sent, 0x7fffffff);
        wire_word(&k->in, SMUX_ACK, k->s->out.sent);
        (void)fed(k);
        fill(k, st, 1);
    }
    assert_int_equal(k->s->replay.gauge.look_since, k->now);
    turn(k, st, 5, 300);
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 5, 102);
    assert_int_equal(k->s->out.size, 2 * MIB);
    kit_free(k);
}

/* Writes and sends frame by frame, until one is not taken; bytes in the ring then. */
static uint64_t fill_at_once(struct kit *k, struct smux_stream *st)
{
    uint8_t *p;
    size_t room;
    smux_session_clock(k->s, k->now);
    while (smux_stream_reserve(st, &p, &room) == 0) {
        memset(p, 'o', room);
        smux_stream_commit(st, room);
        (void)sent(k);
    }
    return smux_session_held(k->s);
}

static void what_makes_it_grow_is_taken_at_once(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(32, &st);
    fill(k, st, UINT64_MAX);
    k->now += 32;
    wire_upd(&k->in, 2, st->sent, 0x7fffffff);
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    (void)fed(k);
    assert_true(fill_at_once(k, st) > MIB / 2 * 3);
    assert_int_equal(k->s->out.size, 2 * MIB);
    assert_false(smux_session_can_stage(k->s));
    kit_free(k);
}

/* One that may not grow is full, and what is for control frames stays so. */
static void no_memory_is_no_room(void **state)
{
    (void)state;
    struct smux_budget none = {.max = 0};
    struct smux_stream *st;
    struct kit *k = kit_at(32, &st);
    k->s->cfg.replay = &none;
    turn(k, st, 32, 3);
    (void)fill_at_once(k, st);
    assert_int_equal(k->s->out.size, MIB);
    assert_true(ring_room(&k->s->out) >= 16 << 10);
    assert_false(smux_session_can_stage(k->s));
    kit_free(k);
}

/* Three eighths of the ring would do: it is near. */
static void how_near_is_near(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(100, &st);
    turn(k, st, 100, 2);
    turn(k, st, 7, 2000);
    assert_int_equal(k->s->out.size, 4 * MIB);
    turn(k, st, 6, 2000);
    assert_int_equal(k->s->out.size, 2 * MIB);
    kit_free(k);
}

/* Both looks are to say that it is not used, and a little more than the half is a use. */
static void how_long_it_is_not_used(void **state)
{
    (void)state;
    struct smux_stream *st;
    for (int used = 0; used < 2; used++) {
        struct kit *k = kit_at(100, &st);
        turn(k, st, 100, 2);
        assert_int_equal(k->s->out.size, 4 * MIB);
        for (int i = 0; i < 100; i++) {
            k->now += 100;
            wire_upd(&k->in, 2, st->sent, 0x7fffffff);
            wire_word(&k->in, SMUX_ACK, k->s->out.sent);
            (void)fed(k);
            fill(k, st, 2 * MIB - (used ? 20000 : 100000)); /* and a frame */
            if (used || i < 58)
                assert_int_equal(k->s->out.size, 4 * MIB);
        }
        assert_int_equal(k->s->out.size, (used ? 4 : 2) * MIB);
        kit_free(k);
    }
}

/* A path of so many bytes a millisecond, all of the ring in a queue on it. */
static void turn_at(struct kit *k, struct smux_stream *st, uint32_t rate, int n)
{
    for (int i = 0; i < n; i++)
        turn(k, st, (mtime_ms)(k->s->out.size / rate), 1);
}

enum { SLOW = 12500 }; /* 100 Mbit/s: 83 ms for a MiB */

static struct kit *kit_halved(struct smux_stream **ret)
{
    struct kit *k = kit_at(40, ret);
    turn_at(k, *ret, SLOW, 20);
    assert_int_equal(k->s->out.size, MIB / 2);
    return k;
}

/* What would only wait in a queue of the path is left with its senders. */
static void where_more_is_a_queue_half_is_enough(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_halved(&st);
    size_t most = 0;
    for (mtime_ms end = k->now + 61000; k->now < end;) {
        turn_at(k, st, SLOW, 1);
        most = k->s->out.size > most ? k->s->out.size : most;
    }
    assert_int_equal(most, MIB); /* tried now and then */
    turn_at(k, st, SLOW, 20);
    assert_int_equal(k->s->out.size, MIB / 2);
    kit_free(k);
}

/* Without a growth that did not pay: a PING was much faster. */
static void a_queue_is_seen_by_the_ping(void **state)
{
    (void)state;
    struct smux_stream *st;
    static const struct {
        mtime_ms rtt, took;
        size_t size;
    } rows[] = {{31, 64, MIB / 2}, {31, 63, MIB}, {32, 64, MIB}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kit *k = kit_at(rows[i].rtt, &st);
        k->s->cfg.ring_max = MIB; /* no growth is tried */
        turn(k, st, rows[i].took, 3);
        assert_int_equal(k->s->out.size, rows[i].size);
        turn(k, st, 32, 3);
        assert_int_equal(k->s->out.size, rows[i].size);
        k->s->cfg.ring_max = 16 * MIB; /* more does not pay either */
        turn(k, st, 32, 300);
        if (rows[i].size < MIB)
            assert_int_equal(k->s->out.size, MIB / 2);
        kit_free(k);
    }
}

static void a_large_ring_goes_down_step_by_step(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(100, &st);
    turn(k, st, 100, 2);
    assert_int_equal(k->s->out.size, 4 * MIB);
    turn_at(k, st, SLOW, 30);
    assert_int_equal(k->s->out.size, MIB / 2);
    kit_free(k);
}

/* Half the size, the same time: it was the size that held it up. */
static void half_that_costs_rate_is_given_back(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(40, &st);
    turn(k, st, 100, 1);
    turn(k, st, 190, 3);
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 100, 4);
    assert_int_equal(k->s->out.size, MIB / 2);
    mtime_ms since = k->now;
    turn(k, st, 53, 2); /* 100 would be twice 52.6 */
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 70, 1); /* of filling */
    assert_true(k->s->replay.gauge.least_ms == MTIME_NEVER);
    while (k->now < since + 29000) {
        turn(k, st, 100, 1);
        assert_int_equal(k->s->out.size, MIB);
    }
    kit_free(k);
}

static void half_is_not_for_a_fast_path(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(32, &st);
    turn(k, st, 63, 1);
    turn(k, st, 126, 3); /* did not pay */
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 63, 100);
    assert_int_equal(k->s->out.size, MIB);
    kit_free(k);

    k = kit_halved(&st);
    turn(k, st, 32, 10);
    assert_int_equal(k->s->out.size, MIB / 2);
    turn(k, st, 31, 1); /* has become faster */
    assert_int_equal(k->s->out.size, MIB);
    kit_free(k);
}

/* What was compared before a rest is not compared behind it. */
static void a_rest_ends_a_comparison(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_at(40, &st);
    turn(k, st, 40, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    k->now += 40;
    wire_upd(&k->in, 2, st->sent, 0x7fffffff);
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    (void)fed(k);
    ring_gauge_trim(k->s);
    assert_int_equal(k->s->out.size, MIB);
    turn(k, st, 80, 3); /* another path: not twice 40 for twice the size */
    assert_in_range(k->s->out.size, 2 * MIB, 16 * MIB);
    kit_free(k);
}

/* The first size is everybody's; what is beyond is the budget's. */
static void half_is_given_back_as_the_budget_goes(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct smux_budget budget = {.max = 0};
    struct kit *k = kit_at(31, &st);
    k->s->cfg.replay = &budget;
    turn(k, st, 84, 4);
    assert_int_equal(k->s->out.size, MIB / 2);
    turn(k, st, 60, 4); /* it cost rate */
    assert_int_equal(k->s->out.size, MIB);
    assert_true(budget.used == 0);
    kit_free(k);

    budget.max = MIB;
    k = kit_at(40, &st);
    k->s->cfg.replay = &budget;
    turn(k, st, 84, 1);
    turn(k, st, 168, 4); /* did not pay */
    assert_int_equal(k->s->out.size, MIB);
    k->s->replay.gauge.no_growth_until = 0;
    k->s->replay.gauge.no_half_until = MTIME_NEVER;
    turn(k, st, 84, 1);
    assert_int_equal(k->s->out.size, 2 * MIB);
    assert_true(budget.used == MIB);
    kit_free(k);
    assert_true(budget.used == 0);
}

/* Beyond the first size as well: others may have taken what the half left to them. */
static void a_large_half_is_given_back_as_the_budget_goes(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct smux_budget budget = {.max = 3 * MIB};
    struct kit *k = kit_at(40, &st);
    k->s->cfg.replay = &budget;
    k->s->cfg.ring_max = 4 * MIB;
    turn(k, st, 100, 2);
    assert_int_equal(k->s->out.size, 4 * MIB);
    turn(k, st, 100, 3); /* more than twice the PING: a queue */
    assert_int_equal(k->s->out.size, 2 * MIB);
    assert_true(budget.used == MIB);
    budget.used += 1;    /* another session's */
    turn(k, st, 60, 10); /* it cost rate */
    assert_int_equal(k->s->out.size, 2 * MIB);
    assert_true(budget.used == MIB + 1);
    budget.used -= 1;
    turn(k, st, 60, 1);
    assert_int_equal(k->s->out.size, 4 * MIB);
    assert_true(budget.used == budget.max);
    kit_free(k);
}

static void another_connection_begins_with_all(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_halved(&st);
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, k->now), 0);
    assert_int_equal(k->s->out.size, MIB);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_turn_is_enough_far_away),
        cmocka_unit_test(the_round_trip_of_a_ping_counts_too),
        cmocka_unit_test(seconds_are_believed),
        cmocka_unit_test(one_short_turn_in_a_look_is_enough),
        cmocka_unit_test(a_short_turn_is_forgotten),
        cmocka_unit_test(what_does_not_pay_is_taken_back),
        cmocka_unit_test(a_smaller_ring_keeps_its_reserve),
        cmocka_unit_test(what_is_near_is_given_back),
        cmocka_unit_test(what_is_not_used_is_given_back),
        cmocka_unit_test(another_connection_is_measured_anew),
        cmocka_unit_test(nothing_is_compared_with_the_old_connection),
        cmocka_unit_test(a_cut_is_no_turnover),
        cmocka_unit_test(a_rest_ends_what_lasts),
        cmocka_unit_test(what_makes_it_grow_is_taken_at_once),
        cmocka_unit_test(no_memory_is_no_room),
        cmocka_unit_test(how_near_is_near),
        cmocka_unit_test(how_long_it_is_not_used),
        cmocka_unit_test(where_more_is_a_queue_half_is_enough),
        cmocka_unit_test(a_queue_is_seen_by_the_ping),
        cmocka_unit_test(a_large_ring_goes_down_step_by_step),
        cmocka_unit_test(half_that_costs_rate_is_given_back),
        cmocka_unit_test(half_is_not_for_a_fast_path),
        cmocka_unit_test(a_rest_ends_a_comparison),
        cmocka_unit_test(half_is_given_back_as_the_budget_goes),
        cmocka_unit_test(a_large_half_is_given_back_as_the_budget_goes),
        cmocka_unit_test(another_connection_begins_with_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
