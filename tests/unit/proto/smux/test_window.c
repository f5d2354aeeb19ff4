/* SPDX-License-Identifier: MIT */
/* Receive windows: what makes them grow, what does not, the budget, and how they fall again. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

enum { START = SMUX_START_WINDOW, MOST = 16 << 20, RTT = 100 };

static struct smux_budget budget;

static struct kit *kit_with_budget(uint64_t max)
{
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
    budget = (struct smux_budget){.max = max};
    cfg.budget = &budget;
    cfg.nop_ms = 20000; /* so that the deadline is of a window */
    return kit_new(false, &cfg);
}

static struct smux_stream *open_one(struct kit *k)
{
    struct smux_stream *st = kit_open(k);
    (void)sent(k);
    return st;
}

/* The peer sends all its window allows, at once; what is left of it is 0 then. */
static uint32_t fill(struct kit *k, struct smux_stream *st)
{
    uint32_t n = st->announced + stream_window(st) - st->received;
    wire_psh(&k->in, smux_stream_id(st), n);
    (void)fed(k);
    return n;
}

static void take(struct kit *k, struct smux_stream *st, uint32_t n)
{
    smux_stream_consumed(st, n, k->now);
    (void)sent(k);
}

/* One round trip with a sender that its window holds back, and a reader that takes all. */
static void round_trip(struct kit *k, struct smux_stream *st)
{
    take(k, st, fill(k, st));
    k->now += RTT;
}

static void grow(struct kit *k, struct smux_stream *st, int times)
{
    for (int i = 0; i < times; i++)
        round_trip(k, st);
}

/* ---- growth ---- */

static void a_window_doubles_while_it_is_what_limits(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    uint32_t want = START;
    for (int i = 0; i < 9; i++) {
        round_trip(k, st);
        assert_int_equal(stream_window(st),
                         want); /* one round trip later: the lap must end first */
        assert_int_equal(budget.used, want - START);
        want = want < MOST ? want * 2 : MOST;
    }
    assert_int_equal(stream_window(st), MOST);
    assert_int_equal(k->s->rtt_us, RTT * 1000);
    kit_free(k);
}

static void the_peer_is_told(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    wire_psh(&k->in, 2, START);
    (void)fed(k);
    smux_stream_consumed(st, START, k->now);
    assert_string_equal(sent(k), "UPD:2:262144/262144");
    k->now += RTT;
    wire_psh(&k->in, 2, START);
    (void)fed(k);
    assert_string_equal(sent(k), ""); /* nothing was consumed yet */
    smux_stream_consumed(st, START, k->now);
    assert_string_equal(sent(k), "UPD:2:524288/524288");
    wire_psh(&k->in, 2, 2 * START);
    (void)fed(k);
    smux_stream_consumed(st, START / 4 - 1, k->now); /* an eighth of the new one */
    assert_string_equal(sent(k), "");
    smux_stream_consumed(st, 1, k->now);
    assert_string_equal(sent(k), "UPD:2:589824/524288");
    kit_free(k);
}

/* Only a byte beyond the limit before proves that the new one was heard: until then all may have
   been on its way already. */
static void what_was_allowed_before_ends_no_lap(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    for (int i = 0; i < 8; i++) { /* the start window, in eighths */
        wire_psh(&k->in, 2, START / 8);
        (void)fed(k);
        take(k, st, START / 8);
        k->now += 10;
    }
    assert_int_equal(st->received, START);
    assert_true(st->gauge->running);
    wire_psh(&k->in, 2, 1);
    (void)fed(k);
    assert_false(st->gauge->running);
    assert_int_equal(st->gauge->laps, 1);
    assert_int_equal(st->gauge->laps_ms, 80);
    kit_free(k);
}

/* The reader took it when nothing else happened: the lap begins then, not when bytes last came. */
static void a_lap_begins_with_its_announcement(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    (void)fill(k, st);
    k->now += 5000;
    take(k, st, START);
    k->now += RTT;
    (void)fill(k, st);
    assert_int_equal(st->gauge->laps_ms, RTT);
    kit_free(k);
}

static void without_a_budget_windows_stay(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = open_one(k);
    grow(k, st, 10);
    assert_int_equal(stream_window(st), START);
    kit_free(k);
}

/* The path, or the source, gives a window in ten round trips: nothing is held back by it. */
static void a_slow_sender_gets_no_growth(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *quick = open_one(k), *slow = open_one(k);
    grow(k, quick, 2); /* the session knows the round trip now */
    for (int i = 0; i < 400; i++) {
        wire_psh(&k->in, smux_stream_id(slow), START / 10);
        (void)fed(k);
        take(k, slow, START / 10);
        k->now += RTT;
    }
    assert_int_equal(stream_window(slow), START);
    kit_free(k);
}

/* With no other stream to learn from, what a slow sender can reach is twice the start. */
static void a_slow_sender_alone_gets_little(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    for (int i = 0; i < 4000; i++) {
        wire_psh(&k->in, 2, 20000);
        (void)fed(k);
        take(k, st, 20000);
        k->now += 20;
    }
    assert_in_range(stream_window(st), START, 2 * START + (64 << 10));
    kit_free(k);
}

static void a_stalled_reader_gets_no_growth(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *quick = open_one(k), *st = open_one(k);
    grow(k, quick, 4);
    uint64_t used = budget.used;
    for (int i = 0; i < 50; i++) {
        (void)fill(k, st); /* nothing after the first time: the window is full */
        take(k, st, i == 0 ? 40000 : 0);
        k->now += RTT;
    }
    assert_int_equal(stream_window(st), START);
    assert_int_equal(budget.used, used);
    kit_free(k);
}

/* A reader that takes a quarter of the window in each round trip needs no more. */
static void a_slow_reader_gets_no_growth(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    (void)fill(k, st);
    for (int i = 0; i < 200; i++) {
        take(k, st, START / 4);
        k->now += RTT;
        (void)fill(k, st);
        assert_int_equal(stream_window(st), START);
    }
    assert_int_equal(k->s->rtt_us, RTT * 1000);
    kit_free(k);
}

/* Shorter laps than the clock can see: several are taken together. */
static void a_short_round_trip_is_measured_over_several(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    for (int i = 0; i < 8; i++, k->now++) {
        take(k, st, fill(k, st));
        assert_int_equal(stream_window(st), START);
    }
    take(k, st, fill(k, st)); /* 8 ms have gone by */
    assert_int_equal(stream_window(st), 2 * START);
    assert_int_equal(k->s->rtt_us, 1000);
    kit_free(k);
}

/* Such a group ends with the end of a lap, not in the midst of one. */
static void laps_are_measured_whole(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    (void)fill(k, st);
    take(k, st, START / 2);
    k->now += 3;
    (void)fill(k, st);
    take(k, st, START / 2);
    k->now += 6;
    take(k, st, START / 2);
    assert_int_equal(k->s->rtt_us, 0);
    k->now += 1;
    (void)fill(k, st);
    take(k, st, START);
    assert_int_equal(k->s->rtt_us, 5000);
    kit_free(k);
}

/* Over the loopback a lap is often no time at all by the clock: that is no reason to believe it. */
static void a_lap_of_no_time_is_not_believed(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    for (int i = 0; i < 200; i++) {
        take(k, st, fill(k, st));
        k->now += i % 100 == 99 ? 8 : 0;
    }
    assert_int_equal(k->s->rtt_us, 250);
    kit_free(k);
}

static void a_pause_is_not_a_round_trip(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    for (int i = 0; i < 10; i++) {
        take(k, st, fill(k, st));
        k->now += 3000;
        assert_int_equal(ticked(k, k->now)[0], '\0');
        wire_plain(&k->in, SMUX_NOP, 0);
        (void)fed(k);
    }
    assert_int_equal(stream_window(st), START);
    assert_int_equal(k->s->rtt_us, 0);
    kit_free(k);
}

/* The path became longer: after five minutes the short round trip of before is forgotten. */
static void a_round_trip_is_forgotten(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    for (int i = 0; i < 12; i++, k->now += 10)
        take(k, st, fill(k, st));
    assert_int_equal(k->s->rtt_us, 10000);
    smux_stream_close(st, k->now);
    st = open_one(k);
    mtime_ms t = k->now;
    for (; k->now < t + 299000; k->now += 2000)
        take(k, st, fill(k, st));
    assert_int_equal(stream_window(st), START); /* held back: what this rule is for */
    grow(k, st, 6);
    assert_true(stream_window(st) >= 8 * START);
    kit_free(k);
}

/* ---- the budget ---- */

static void streams_come_to_equal_shares(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(4 << 20);
    struct smux_stream *st[4];
    for (int i = 0; i < 4; i++)
        st[i] = open_one(k);
    grow(k, st[0], 10);
    assert_in_range(stream_window(st[0]) - START, (2 << 20) - (64 << 10),
                    2 << 20); /* half is free */
    for (int i = 0; i < 40; i++) {
        for (int j = 0; j < 4; j++)
            take(k, st[j], fill(k, st[j]));
        k->now += RTT;
        assert_in_range(budget.used, 0, budget.max);
    }
    for (int j = 0; j < 4; j++) /* a fifth each, and a fifth is left */
        assert_in_range(stream_window(st[j]) - START, 819200 - 32768, 819200 + 32768);
    for (int j = 1; j < 4; j++)
        smux_stream_close(st[j], k->now);
    grow(k, st[0], 12);
    assert_in_range(stream_window(st[0]) - START, (2 << 20) - (64 << 10), 2 << 20);
    kit_free(k);
}

static void nobody_falls_below_the_start(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(1 << 20);
    struct smux_stream *st[200];
    for (int i = 0; i < 200; i++)
        st[i] = open_one(k);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 200; j++) {
            take(k, st[j], fill(k, st[j]));
            assert_true(stream_window(st[j]) >= START);
            assert_in_range(budget.used, 0, budget.max);
        }
        k->now += RTT;
    }
    kit_free(k);
}

static void sessions_share_one_budget(void **state)
{
    (void)state;
    struct kit *a = kit_with_budget(4 << 20);
    struct smux_config cfg = smux_config_default(true, SMUX_WIRE_LEGACY);
    cfg.budget = &budget;
    struct kit *b = kit_new(true, &cfg);
    struct smux_stream *x = open_one(a), *y = open_one(b);
    for (int i = 0; i < 40; i++) {
        round_trip(a, x);
        round_trip(b, y);
    }
    assert_in_range(stream_window(x), START + (4 << 20) / 3 - 65536, START + (4 << 20) / 3 + 65536);
    assert_in_range(stream_window(y), START + (4 << 20) / 3 - 65536, START + (4 << 20) / 3 + 65536);
    kit_free(b);
    assert_int_equal(budget.used, stream_window(x) - START);
    kit_free(a);
    assert_int_equal(budget.used, 0);
}

static void a_budget_may_be_cut(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    grow(k, st, 5);
    assert_int_equal(stream_window(st), 4 << 20);
    budget.max = 0;
    grow(k, st, 40);
    assert_in_range(stream_window(st), START, START + 1);
    kit_free(k);
}

/* ---- falling again ---- */

static void an_idle_window_falls(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    grow(k, st, 4);
    assert_int_equal(stream_window(st), 8 * START);
    mtime_ms at = k->now - RTT + SMUX_WINDOW_IDLE_MS;
    wire_plain(&k->in, SMUX_NOP, 0);
    (void)fed(k);
    assert_int_equal(smux_session_deadline(k->s), at);
    (void)ticked(k, at - 1);
    assert_string_equal(sent(k), "");
    assert_int_equal(stream_window(st), 8 * START);
    (void)ticked(k, at);
    assert_string_equal(sent(k), "UPD:2:2097152/262144");
    assert_int_equal(budget.used, 0);
    assert_null(st->gauge);
    assert_true(smux_session_deadline(k->s) > at);
    kit_free(k);
}

static void each_stream_rests_in_its_turn(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *a = open_one(k), *b = open_one(k);
    grow(k, a, 2);
    grow(k, b, 2);
    grow(k, a, 1);
    mtime_ms at = k->now - 2 * RTT; /* when b last said something */
    assert_int_equal(smux_session_deadline(k->s), at + SMUX_WINDOW_IDLE_MS);
    (void)ticked(k, at + SMUX_WINDOW_IDLE_MS);
    assert_null(b->gauge);
    assert_non_null(a->gauge);
    assert_int_equal(smux_session_deadline(k->s), at + RTT + SMUX_WINDOW_IDLE_MS);
    (void)ticked(k, at + RTT + SMUX_WINDOW_IDLE_MS);
    assert_null(a->gauge);
    kit_free(k);
}

static void one_that_never_grew_rests_silently(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    wire_psh(&k->in, 2, 40000);
    (void)fed(k);
    take(k, st, 40000);
    assert_non_null(st->gauge);
    (void)ticked(k, k->now + SMUX_WINDOW_IDLE_MS);
    assert_null(st->gauge);
    assert_null(strstr(sent(k), "UPD"));
    kit_free(k);
}

static void after_a_rest_it_grows_again(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    grow(k, st, 4);
    (void)ticked(k, k->now + SMUX_WINDOW_IDLE_MS);
    (void)sent(k);
    assert_int_equal(stream_window(st), START);
    wire_psh(&k->in, 2, 2 * START); /* a peer that has not heard of that: no lap of 10 ms */
    (void)fed(k);
    take(k, st, START / 2);
    k->now += 10;
    wire_psh(&k->in, 2, START);
    (void)fed(k);
    assert_int_equal(st->gauge->laps_ms, 10);
    take(k, st, 2 * START + START / 2);
    assert_int_equal(k->s->rtt_us, RTT * 1000);
    k->now += RTT;
    grow(k, st, 4);
    assert_true(stream_window(st) >= 4 * START);
    assert_int_equal(k->s->rtt_us, RTT * 1000);
    kit_free(k);
}

/* What was announced before the fall may be on its way, or be used by a peer that has not heard. */
static void what_was_announced_stays_allowed(void **state)
{
    (void)state;
    for (uint32_t over = 0; over < 2; over++) {
        struct kit *k = kit_with_budget(64 << 20);
        struct smux_stream *st = open_one(k);
        grow(k, st, 4);
        (void)ticked(k, k->now + SMUX_WINDOW_IDLE_MS);
        (void)sent(k);
        assert_int_equal(stream_window(st), START);
        wire_psh(&k->in, 2, 8 * START);
        if (over)
            wire_psh(&k->in, 2, 1);
        assert_string_equal(fed(k), over ? "DATA:2:2097152 !protocol error" : "DATA:2:2097152");
        assert_int_equal(st->limit, 16 * START);
        kit_free(k);
    }
}

/* After that the new window rules. */
static void and_then_the_new_window_rules(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    grow(k, st, 4);
    (void)ticked(k, k->now + SMUX_WINDOW_IDLE_MS);
    (void)sent(k);
    wire_psh(&k->in, 2, 8 * START);
    (void)fed(k);
    budget.max = 0; /* no growth now */
    take(k, st, 8 * START);
    wire_psh(&k->in, 2, START);
    assert_string_equal(fed(k), "DATA:2:262144");
    wire_psh(&k->in, 2, 1);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* A reader that stalls with much before it keeps that much of the budget: the memory is in use. */
static void what_a_reader_holds_stays_charged(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    grow(k, st, 4);
    wire_psh(&k->in, 2, 4 * START);
    (void)fed(k);
    (void)ticked(k, k->now + SMUX_WINDOW_IDLE_MS);
    assert_int_equal(budget.used, 3 * START);
    assert_non_null(strstr(sent(k), "UPD:2:2097152/1048576"));
    wire_plain(&k->in, SMUX_NOP, 0);
    (void)fed(k);
    (void)ticked(k, k->now + SMUX_WINDOW_IDLE_MS); /* nothing changed: nothing is said */
    assert_null(strstr(sent(k), "UPD"));
    assert_int_equal(budget.used, 3 * START);
    smux_stream_consumed(st, 4 * START, k->now);
    (void)sent(k);
    wire_plain(&k->in, SMUX_NOP, 0);
    (void)fed(k);
    (void)ticked(k, k->now + SMUX_WINDOW_IDLE_MS);
    assert_int_equal(budget.used, 0);
    kit_free(k);
}

/* ---- ends ---- */

static void an_end_gives_the_share_back(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct kit *k = kit_with_budget(64 << 20);
        struct smux_stream *st = open_one(k);
        grow(k, st, 4);
        assert_int_equal(budget.used, 7 * START);
        if (how == 0)
            smux_stream_close(st, k->now);
        else if (how == 1)
            smux_stream_reset(st, SMUX_RST_UNSPECIFIED, k->now);
        else if (how == 2)
            wire_plain(&k->in, SMUX_FIN, 2);
        (void)fed(k);
        if (how < 3)
            assert_int_equal(budget.used, 0);
        if (how == 1) /* the marker, then a window like any other's */
            assert_string_equal(sent(k), "UPD:2:2097152/4294901761 FIN:2 UPD:2:2097152/262144");
        kit_free(k);
        assert_int_equal(budget.used, 0);
    }
}

static void a_fin_leaves_what_is_held_charged(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    grow(k, st, 4);
    wire_psh(&k->in, 2, 3 * START);
    wire_plain(&k->in, SMUX_FIN, 2);
    (void)fed(k);
    assert_int_equal(budget.used, 2 * START);
    smux_stream_consumed(st, START + 1000, k->now);
    assert_int_equal(budget.used, START - 1000);
    smux_stream_consumed(st, START, k->now);
    assert_int_equal(budget.used, 0);
    assert_string_equal(sent(k), "");
    kit_free(k);
}

static void a_released_stream_does_not_grow(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    smux_stream_close(st, k->now);
    for (int i = 0; i < 10; i++, k->now += RTT) {
        wire_psh(&k->in, 2, START);
        (void)fed(k);
        (void)sent(k);
    }
    assert_int_equal(budget.used, 0);
    assert_null(st->gauge);
    kit_free(k);
}

/* A Go peer that has filled a grown window waits for more: a FIN would make it drop what it has
   received (D3), however large that window was. */
static void d3_a_peer_with_a_full_grown_window_is_sending(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct kit *k = kit_with_budget(64 << 20);
        struct smux_stream *st = open_one(k);
        int err;
        grow(k, st, 4);
        (void)kit_write(k, st, 60000, &err);
        (void)sent(k);
        wire_upd(&k->in, 2, 60000, 65536);
        (void)fed(k);
        (void)kit_write(k, st, 10000, &err);
        st->sent_at_rx = 0; /* nothing came since we began to send */
        (void)sent(k);
        st->received += full ? 8 * START : 8 * START - 1;
        smux_stream_finish(st, k->now);
        assert_string_equal(sent(k), full ? "" : "FIN:2");
        kit_free(k);
    }
}

static void *no_gauge(const struct alloc *a, size_t n)
{
    (void)a;
    return n == sizeof(struct smux_gauge) ? NULL : malloc(n);
}

static void put(const struct alloc *a, void *p)
{
    (void)a;
    free(p);
}

static void without_memory_the_window_stays(void **state)
{
    (void)state;
    static const struct alloc alloc = {no_gauge, put, NULL};
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
    budget = (struct smux_budget){.max = 64 << 20};
    cfg.budget = &budget;
    cfg.alloc = &alloc;
    struct kit *k = kit_new(false, &cfg);
    struct smux_stream *st = open_one(k);
    grow(k, st, 10);
    assert_int_equal(stream_window(st), START);
    kit_free(k);
}

static void counters_may_wrap(void **state)
{
    (void)state;
    struct kit *k = kit_with_budget(64 << 20);
    struct smux_stream *st = open_one(k);
    st->received = st->consumed = st->announced = 0xfff70000;
    st->limit = st->announced + START;
    for (int i = 0; i < 4; i++) {
        grow(k, st, 1);
        assert_int_equal(st->limit, st->announced + stream_window(st));
    }
    assert_int_equal(stream_window(st), 8 * START);
    kit_free(k);
}

static void an_idle_stream_costs_no_more_than_before(void **state)
{
    (void)state;
    assert_in_range(sizeof(struct smux_stream), 0,
                    120); /* with malloc's 8 bytes: a 128-byte chunk */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_doubles_while_it_is_what_limits),
        cmocka_unit_test(the_peer_is_told),
        cmocka_unit_test(what_was_allowed_before_ends_no_lap),
        cmocka_unit_test(a_lap_begins_with_its_announcement),
        cmocka_unit_test(without_a_budget_windows_stay),
        cmocka_unit_test(a_slow_sender_gets_no_growth),
        cmocka_unit_test(a_slow_sender_alone_gets_little),
        cmocka_unit_test(a_stalled_reader_gets_no_growth),
        cmocka_unit_test(a_slow_reader_gets_no_growth),
        cmocka_unit_test(a_short_round_trip_is_measured_over_several),
        cmocka_unit_test(laps_are_measured_whole),
        cmocka_unit_test(a_lap_of_no_time_is_not_believed),
        cmocka_unit_test(a_pause_is_not_a_round_trip),
        cmocka_unit_test(a_round_trip_is_forgotten),
        cmocka_unit_test(streams_come_to_equal_shares),
        cmocka_unit_test(nobody_falls_below_the_start),
        cmocka_unit_test(sessions_share_one_budget),
        cmocka_unit_test(a_budget_may_be_cut),
        cmocka_unit_test(an_idle_window_falls),
        cmocka_unit_test(each_stream_rests_in_its_turn),
        cmocka_unit_test(one_that_never_grew_rests_silently),
        cmocka_unit_test(after_a_rest_it_grows_again),
        cmocka_unit_test(what_was_announced_stays_allowed),
        cmocka_unit_test(and_then_the_new_window_rules),
        cmocka_unit_test(what_a_reader_holds_stays_charged),
        cmocka_unit_test(an_end_gives_the_share_back),
        cmocka_unit_test(a_fin_leaves_what_is_held_charged),
        cmocka_unit_test(a_released_stream_does_not_grow),
        cmocka_unit_test(d3_a_peer_with_a_full_grown_window_is_sending),
        cmocka_unit_test(without_memory_the_window_stays),
        cmocka_unit_test(counters_may_wrap),
        cmocka_unit_test(an_idle_stream_costs_no_more_than_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
