/* SPDX-License-Identifier: MIT */
/* How much may wait: it follows what leaves, up and down, within its limits. */
#include "proto/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"

static struct stage s;
static uint64_t total;
static mtime_ms now;

static int setup(void **state)
{
    (void)state;
    total = (uint64_t)1 << 40; /* of a connection that is not new */
    now = 123457;
    stage_init(&s, total, now);
    return 0;
}

/* A link of so many bytes a millisecond, looked at each ms. */
static void run(int ms, uint64_t rate)
{
    while (ms-- > 0) {
        now++;
        total += rate;
        stage_count(&s, total, 0, now);
    }
}

static void an_idle_link_has_the_least(void **state)
{
    (void)state;
    assert_int_equal(stage_bound(&s), STAGE_MIN);
    run(1000, 0);
    assert_int_equal(stage_bound(&s), STAGE_MIN);
    assert_true(stage_has_room(&s, 0));
}

static void a_fast_link_has_the_most(void **state)
{
    (void)state;
    run(300, 100000); /* 100 MB/s */
    assert_int_equal(stage_bound(&s), STAGE_MAX);
    assert_true(stage_has_room(&s, STAGE_MAX - STAGE_MIN));
    assert_false(stage_has_room(&s, STAGE_MAX - STAGE_MIN + 1));
}

static void between_them_it_is_a_part_of_what_leaves(void **state)
{
    (void)state;
    run(1000, 4000);
    size_t bound = stage_bound(&s), exact = 4000 * STAGE_HOLD_MS;
    assert_in_range(bound, exact * 7 / 8, exact); /* the present part is not full */
}

/* The promise: no more than what left in the last 200 ms, but for the least. */
static void never_more_than_what_has_left(void **state)
{
    (void)state;
    uint64_t history[STAGE_SPAN_MS] = {0}, sum = 0;
    srand(11);
    for (int i = 0; i < 20000; i++) {
        uint64_t n = rand() % 7 == 0 ? (uint64_t)rand() % 20000 : 0;
        sum += n - history[i % STAGE_SPAN_MS];
        history[i % STAGE_SPAN_MS] = n;
        run(1, n);
        if (stage_bound(&s) > STAGE_MIN)
            assert_true(stage_bound(&s) <= sum);
    }
}

static void it_follows_a_link_that_becomes_slower(void **state)
{
    (void)state;
    run(1000, 4000);
    run(STAGE_SPAN_MS, 50);
    assert_int_equal(stage_bound(&s), STAGE_MIN);
}

static void it_follows_a_link_that_becomes_faster(void **state)
{
    (void)state;
    run(1000, 50);
    run(STAGE_SPAN_MS, 30000);
    assert_int_equal(stage_bound(&s), STAGE_MAX);
}

static void a_burst_raises_it_at_once(void **state)
{
    (void)state;
    total += (uint64_t)STAGE_MAX * STAGE_SPAN_MS / STAGE_HOLD_MS;
    stage_count(&s, total, 0, now);
    assert_int_equal(stage_bound(&s), STAGE_MAX);
}

static void a_rest_is_forgotten_whole(void **state)
{
    (void)state;
    run(1000, 100000);
    now += 100000;
    stage_count(&s, total, 0, now);
    assert_int_equal(stage_bound(&s), STAGE_MIN);
    run(100, 1);
    assert_int_equal(stage_bound(&s), STAGE_MIN);
}

static void another_connection_counts_from_zero(void **state)
{
    (void)state;
    run(50, 1000);
    size_t before = stage_bound(&s);
    total = 5;
    stage_count(&s, total, 0, now);
    assert_int_equal(stage_bound(&s), before);
    total += 10;
    stage_count(&s, total, 0, now); /* ten, and not 2^64 less some */
    assert_in_range(stage_bound(&s), before, before + 10);
}

/* With the least, a frame goes when half of it has gone: never more than one and a half wait. */
static void with_the_least_frames_go_one_by_one(void **state)
{
    (void)state;
    assert_true(stage_has_room(&s, STAGE_MIN / 2 - 1));
    assert_false(stage_has_room(&s, STAGE_MIN / 2));
    assert_false(stage_has_room(&s, STAGE_MIN));
}

/* ---- records ---- */

static void a_link_is_slow_until_it_has_shown_more(void **state)
{
    (void)state;
    assert_int_equal(stage_record(&s), STAGE_RECORD_SLOW);
    run(1000, (STAGE_FAST - 1) / STAGE_SPAN_MS);
    assert_int_equal(stage_record(&s), STAGE_RECORD_SLOW);
    run(10000, (STAGE_FAST - 1) / STAGE_SPAN_MS); /* also when much has left */
    assert_int_equal(stage_record(&s), STAGE_RECORD_SLOW);
    now += 1000;
    total += STAGE_FAST - 1;
    stage_count(&s, total, 0, now);
    assert_int_equal(stage_record(&s), STAGE_RECORD_SLOW);
    total++;
    stage_count(&s, total, 0, now);
    assert_int_equal(stage_record(&s), STAGE_RECORD_FAST);
}

/* What a buffer takes at once does not make it fast. */
static void what_a_buffer_takes_proves_nothing(void **state)
{
    (void)state;
    total += STAGE_PROOF - 1;
    stage_count(&s, total, 0, now);
    assert_int_equal(stage_record(&s), STAGE_RECORD_SLOW);
    total++;
    stage_count(&s, total, 0, now);
    assert_int_equal(stage_record(&s), STAGE_RECORD_FAST);
}

/* Fast, and at rest: nothing says that it is slow, however little leaves. */
static void a_rest_does_not_make_it_slow(void **state)
{
    (void)state;
    run(1000, 4000);
    run(5000, 0);
    for (int i = 0; i < 20; i++) {
        total += 10000;
        stage_count(&s, total, 1, now); /* a byte of it waits yet */
        now += 100000;
        total++;
        stage_count(&s, total, 0, now);
        assert_int_equal(stage_record(&s), STAGE_RECORD_FAST);
    }
}

/* What waits is to leave within a second; what came behind it has time. */
static void what_waits_for_a_second_makes_it_slow(void **state)
{
    static const struct {
        mtime_ms ms;
        uint64_t left;
        size_t record;
    } rows[] = {{STAGE_SLOW_MS - 1, 999, STAGE_RECORD_FAST},
                {STAGE_SLOW_MS, 999, STAGE_RECORD_SLOW},
                {STAGE_SLOW_MS, 1000, STAGE_RECORD_FAST}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        setup(NULL);
        run(1000, 4000);
        stage_count(&s, total, 1000, now);
        stage_count(&s, total, 9000, now + rows[i].ms / 2);
        stage_count(&s, total + rows[i].left, 9000, now + rows[i].ms);
        assert_int_equal(stage_record(&s), rows[i].record);
    }
}

/* One that is slow says so each second, and is believed at once when it is fast again. */
static void it_may_become_fast_again(void **state)
{
    (void)state;
    run(1000, 4000);
    for (int ms = 0; ms < 5000; ms++) {
        total += 8;
        stage_count(&s, total, STAGE_MIN, ++now);
    }
    assert_int_equal(stage_record(&s), STAGE_RECORD_SLOW);
    total += STAGE_PROOF / 2;
    stage_count(&s, total, STAGE_MIN, ++now);
    assert_int_equal(stage_record(&s), STAGE_RECORD_SLOW);
    total += STAGE_PROOF / 2;
    stage_count(&s, total, STAGE_MIN, ++now);
    assert_int_equal(stage_record(&s), STAGE_RECORD_FAST);
    for (int ms = 0; ms < 5000; ms++) { /* 2 Mbit/s: it has no more than that waiting for long */
        total += 250;
        stage_count(&s, total, STAGE_MIN, ++now);
    }
    assert_int_equal(stage_record(&s), STAGE_RECORD_FAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_idle_link_has_the_least, setup),
        cmocka_unit_test_setup(a_fast_link_has_the_most, setup),
        cmocka_unit_test_setup(between_them_it_is_a_part_of_what_leaves, setup),
        cmocka_unit_test_setup(never_more_than_what_has_left, setup),
        cmocka_unit_test_setup(it_follows_a_link_that_becomes_slower, setup),
        cmocka_unit_test_setup(it_follows_a_link_that_becomes_faster, setup),
        cmocka_unit_test_setup(a_burst_raises_it_at_once, setup),
        cmocka_unit_test_setup(a_rest_is_forgotten_whole, setup),
        cmocka_unit_test_setup(another_connection_counts_from_zero, setup),
        cmocka_unit_test_setup(with_the_least_frames_go_one_by_one, setup),
        cmocka_unit_test_setup(a_link_is_slow_until_it_has_shown_more, setup),
        cmocka_unit_test_setup(what_a_buffer_takes_proves_nothing, setup),
        cmocka_unit_test_setup(a_rest_does_not_make_it_slow, setup),
        cmocka_unit_test_setup(what_waits_for_a_second_makes_it_slow, setup),
        cmocka_unit_test_setup(it_may_become_fast_again, setup),
    };
    return cmocka_run_group_tests_name("proto/stage", tests, NULL, NULL);
}
