/* SPDX-License-Identifier: MIT */
/* How soon a client comes back, over many seeds. */
#include "proto/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

enum { SEEDS = 500 };

static void an_outage(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct backoff b;
        struct rng rng;
        rng_seed(&rng, seed);
        backoff_init(&b, 60000);
        mtime_ms now = 5000, start = now, last = 0;
        for (int i = 0; i < 100; i++) {
            mtime_ms wait = backoff_next(&b, BACKOFF_OUTAGE, now, &rng);
            if (i == 0)
                assert_in_range(wait, 100, 199); /* the first retry is quick */
            if (now - start < 60000)
                assert_true(wait < 2000); /* in the first minute */
            assert_in_range(wait, 100, 60000);
            now += wait;
            last = wait;
        }
        assert_in_range(last, 30000, 60000); /* and in the end the maximum, less the jitter */
    }
}

static void waits_double_after_the_first_minute(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 1);
    backoff_init(&b, 3600000);
    mtime_ms now = 0;
    while (now < 60000)
        now += backoff_next(&b, BACKOFF_OUTAGE, now, &rng);
    mtime_ms bound = 4000;
    for (int i = 0; i < 8; i++, bound *= 2) {
        mtime_ms wait = backoff_next(&b, BACKOFF_OUTAGE, now, &rng);
        assert_in_range(wait, bound / 2, bound);
        now += wait;
    }
}

static void clients_of_one_server_spread_d16(void **state)
{
    (void)state;
    unsigned slots[10] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct backoff b;
        struct rng rng;
        rng_seed(&rng, seed * 7919);
        backoff_init(&b, 60000);
        slots[(backoff_next(&b, BACKOFF_OUTAGE, 0, &rng) - 100) / 10]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(slots); i++)
        assert_in_range(slots[i], SEEDS / 30, SEEDS / 4);
}

/* An old server holds the port of a session that was lost for 30 to 61 s. */
static void a_held_port_is_asked_for_every_few_seconds(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 1);
    backoff_init(&b, 60000);
    mtime_ms now = 1000, wait = 0;
    for (; now - 1000 < BACKOFF_HELD_FOR; now += wait) {
        wait = backoff_next(&b, BACKOFF_HELD, now, &rng);
        assert_in_range(wait, 2500, 5000);
    }
    wait = backoff_next(&b, BACKOFF_HELD, now, &rng); /* from here on as a rejection */
    assert_in_range(wait, 2500, 5000);
    wait = backoff_next(&b, BACKOFF_HELD, now + wait, &rng);
    assert_in_range(wait, 5000, 10000);
    backoff_up(&b, now);
    assert_in_range(backoff_next(&b, BACKOFF_HELD, now + 1, &rng), 2500, 5000);
}

/* Asking takes nothing away from who has the id: so it may be asked for soon, then ever less. */
static void an_id_that_another_has_is_asked_for(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 1);
    backoff_init(&b, 60000);
    mtime_ms now = 1000, wait = 0;
    for (; now - 1000 < BACKOFF_TAKEN_FOR; now += wait) {
        wait = backoff_next(&b, BACKOFF_TAKEN, now, &rng);
        assert_in_range(wait, 5000, 10000);
    }
    for (int i = 0; i < 10; i++)
        now += wait = backoff_next(&b, BACKOFF_TAKEN, now, &rng);
    assert_in_range(wait, 30000, 60000);
}

/* The server restarts while a session of ours drains: its successor is found within a second. */
static void a_restart_is_looked_for_every_second(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 1);
    backoff_init(&b, 60000);
    mtime_ms now = 1000;
    for (mtime_ms wait; now - 1000 < BACKOFF_EARLY_FOR; now += wait) {
        wait = backoff_next(&b, BACKOFF_BESIDE, now, &rng);
        assert_in_range(wait, 100, 1000);
    }
}

static void a_rejection_waits_longer_d15(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 3);
    backoff_init(&b, 60000);
    mtime_ms bound = 5000, now = 0;
    for (int i = 0; i < 10; i++) {
        mtime_ms wait = backoff_next(&b, BACKOFF_REJECTED, now, &rng);
        assert_in_range(wait, bound / 2, bound);
        now += wait;
        bound = 2 * bound < 60000 ? 2 * bound : 60000;
    }
}

/* Whatever the draws, and however short -max-retry-interval. */
static void a_wrong_secret_is_never_shown_five_times_in_a_minute(void **state)
{
    (void)state;
    static const mtime_ms longest[] = {0, 1000, 15000, 59999, 60000, 120000};
    struct backoff b;
    struct rng rng;
    for (uint64_t seed = 0; seed < 1000 * ARRAY_LEN(longest); seed++) {
        mtime_ms max = longest[seed % ARRAY_LEN(longest)], shown[12] = {0};
        rng_seed(&rng, seed);
        backoff_init(&b, max);
        for (int i = 1; i < 12; i++) {
            shown[i] = shown[i - 1] + backoff_next(&b, BACKOFF_SECRET, shown[i - 1], &rng);
            assert_true(i < 4 || shown[i] - shown[i - 4] > 60000);
        }
        max = max < BACKOFF_SECRET_MAX_MS ? BACKOFF_SECRET_MAX_MS : max;
        assert_in_range(shown[1], 5000, 10000);
        assert_in_range(shown[11] - shown[10], max / 2, max);
    }
}

/* What is longer for a secret is so for a secret alone. */
static void other_rejections_keep_to_a_short_maximum(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 7);
    backoff_init(&b, 2000);
    for (int i = 0; i < 5; i++)
        (void)backoff_next(&b, BACKOFF_SECRET, 10000 * i, &rng);
    assert_in_range(backoff_next(&b, BACKOFF_REJECTED, 50000, &rng), 1000, 2000);
    assert_in_range(backoff_next(&b, BACKOFF_SECRET, 60000, &rng), 30000, 60000); /* as before */
}

static void only_a_session_that_lasted_resets_d15(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 4);
    backoff_init(&b, 60000);
    for (int i = 0; i < 8; i++)
        (void)backoff_next(&b, BACKOFF_OUTAGE, 100000 * (i + 1), &rng);
    assert_in_range(backoff_next(&b, BACKOFF_OUTAGE, 900000, &rng), 25000, 60000);
    backoff_up(&b, 1000000); /* a server that accepts and falls over */
    backoff_down(&b, 1000000 + BACKOFF_LASTED_MS - 1);
    assert_in_range(backoff_next(&b, BACKOFF_OUTAGE, 1100000, &rng), 25000, 60000);
    backoff_up(&b, 2000000);
    backoff_down(&b, 2000000 + BACKOFF_LASTED_MS);
    assert_in_range(backoff_next(&b, BACKOFF_OUTAGE, 2100000, &rng), 100, 199);
    backoff_down(&b, 9000000); /* a connection that never was up changes nothing */
    assert_in_range(backoff_next(&b, BACKOFF_OUTAGE, 9000000, &rng), 200, 2000);
}

/* Who says no is there: the outage before it is over, and the next one has its quick first minute.
   The rejections themselves go on from where they were. */
static void a_rejection_ends_an_outage(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 5);
    backoff_init(&b, 60000);
    for (int i = 0; i < 20; i++)
        (void)backoff_next(&b, BACKOFF_OUTAGE, 100000 * i, &rng);
    assert_in_range(backoff_next(&b, BACKOFF_REJECTED, 2000000, &rng), 2500, 5000);
    assert_in_range(backoff_next(&b, BACKOFF_OUTAGE, 2100000, &rng), 100, 199);
    assert_in_range(backoff_next(&b, BACKOFF_REJECTED, 2200000, &rng), 5000, 10000);
}

/* A server that is there says that a session is over: at once; one that says so each time is not
   dialled in a loop. */
static void at_once_is_not_a_loop(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_seed(&rng, 6);
    backoff_init(&b, 60000);
    mtime_ms now = 0;
    assert_int_equal(backoff_at_once(&b, now, &rng), 0);
    int opens = 0;
    for (mtime_ms wait; now < BACKOFF_LASTED_MS; now += wait, opens++) {
        backoff_up(&b, now);
        backoff_down(&b, now + 1);
        wait = backoff_at_once(&b, now + 1, &rng);
        assert_in_range(wait, 100, 1000);
    }
    assert_in_range(opens, 10, 25);
    assert_int_equal(backoff_at_once(&b, now, &rng), 0); /* now and then one goes at once */
    assert_in_range(backoff_at_once(&b, now + 1, &rng), 100, 1000);
    assert_int_equal(backoff_at_once(&b, now + BACKOFF_LASTED_MS, &rng), 0);
}

static void any_maximum_d16(void **state)
{
    (void)state;
    static const mtime_ms values[] = {INT64_MIN, -1, 0, 1, 999, 1000, 1500, 60000, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct backoff b;
        struct rng rng;
        rng_seed(&rng, i);
        backoff_init(&b, values[i]);
        mtime_ms max = values[i] < BACKOFF_MAX_FLOOR_MS ? BACKOFF_MAX_FLOOR_MS : values[i];
        mtime_ms now = 0;
        for (int n = 0; n < 60; n++) {
            mtime_ms wait = backoff_next(&b, n % 5 ? BACKOFF_OUTAGE : BACKOFF_REJECTED, now, &rng);
            assert_true(wait >= 100 && wait <= max); /* no busy loop, never above */
            now += wait;
        }
    }
}

static void another_maximum_counts_from_the_next_wait_on(void **state)
{
    struct backoff b;
    struct rng rng;
    mtime_ms now = 0, longest = 0;
    (void)state;
    rng_seed(&rng, 7);
    backoff_init(&b, 60000);
    for (int n = 0; n < 60; n++)
        now += backoff_next(&b, BACKOFF_OUTAGE, now, &rng);
    backoff_limit(&b, 2000);
    for (int n = 0; n < 60; n++) {
        mtime_ms wait = backoff_next(&b, BACKOFF_OUTAGE, now, &rng);
        longest = wait > longest ? wait : longest;
        now += wait;
    }
    assert_in_range(longest, 1000, 2000);
    backoff_limit(&b, 0);
    assert_true(backoff_next(&b, BACKOFF_OUTAGE, now, &rng) <= BACKOFF_MAX_FLOOR_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outage),
        cmocka_unit_test(at_once_is_not_a_loop),
        cmocka_unit_test(waits_double_after_the_first_minute),
        cmocka_unit_test(clients_of_one_server_spread_d16),
        cmocka_unit_test(a_held_port_is_asked_for_every_few_seconds),
        cmocka_unit_test(an_id_that_another_has_is_asked_for),
        cmocka_unit_test(a_restart_is_looked_for_every_second),
        cmocka_unit_test(a_rejection_waits_longer_d15),
        cmocka_unit_test(a_wrong_secret_is_never_shown_five_times_in_a_minute),
        cmocka_unit_test(other_rejections_keep_to_a_short_maximum),
        cmocka_unit_test(only_a_session_that_lasted_resets_d15),
        cmocka_unit_test(a_rejection_ends_an_outage),
        cmocka_unit_test(any_maximum_d16),
        cmocka_unit_test(another_maximum_counts_from_the_next_wait_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
