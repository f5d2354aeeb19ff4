/* SPDX-License-Identifier: MIT */
/* Guessers are slowed down, whatever else is going on; nobody else is. */
#include "proto/ratelimit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void twenty_at_once_then_ever_slower(void **state)
{
    (void)state;
    struct ratelimit rl;
    assert_int_equal(ratelimit_init(&rl), 0);
    uint32_t last = 0;
    for (int i = 1; i <= 200; i++) {
        struct ratelimit_verdict v = ratelimit_failure(&rl, "192.0.2.1", 1000 + i * 10);
        if (i <= 20)
            assert_int_equal(v.delay_ms, 0);
        else
            assert_true(v.delay_ms > last || v.delay_ms == RATELIMIT_DELAY_MAX);
        last = v.delay_ms;
        assert_true(v.delay_ms <= RATELIMIT_DELAY_MAX);
    }
    assert_int_equal(last, RATELIMIT_DELAY_MAX);
    assert_int_equal(ratelimit_failure(&rl, "192.0.2.2", 4000).delay_ms, 0); /* somebody else */
    ratelimit_fini(&rl);
}

static void the_first_late_one_is_told(void **state)
{
    (void)state;
    struct ratelimit rl;
    assert_int_equal(ratelimit_init(&rl), 0);
    for (int i = 1; i <= 2000; i++)
        assert_int_equal(ratelimit_failure(&rl, "192.0.2.1", 1000 + i).begins, i == 21);
    ratelimit_fini(&rl);
}

static void rest_forgives(void **state)
{
    (void)state;
    struct ratelimit rl;
    assert_int_equal(ratelimit_init(&rl), 0);
    for (int i = 0; i < 2000; i++)
        (void)ratelimit_failure(&rl, "192.0.2.1", 1000);
    assert_true(ratelimit_failure(&rl, "192.0.2.1", 1000 + RATELIMIT_WINDOW_MS).delay_ms > 0);
    assert_int_equal(ratelimit_failure(&rl, "192.0.2.1", 1000 + 20 * RATELIMIT_WINDOW_MS).delay_ms,
                     0);
    ratelimit_fini(&rl);
}

static void a_slow_guesser_stays_within_the_free_ones(void **state)
{
    (void)state;
    struct ratelimit rl;
    assert_int_equal(ratelimit_init(&rl), 0);
    for (int i = 0; i < 1000; i++) /* fifteen a minute */
        assert_int_equal(ratelimit_failure(&rl, "192.0.2.1", 1000 + i * 4000).delay_ms, 0);
    ratelimit_fini(&rl);
}

static void a_flood_of_others_does_not_reset_a_guesser(void **state)
{
    (void)state;
    struct ratelimit rl;
    char source[32];
    assert_int_equal(ratelimit_init(&rl), 0);
    for (int i = 0; i < 300; i++)
        (void)ratelimit_failure(&rl, "192.0.2.1", 1000);
    for (int i = 0; i < 200000; i++) {
        (void)snprintf(source, sizeof source, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        (void)ratelimit_failure(&rl, source, 1000 + i / 100);
    }
    assert_true(ratelimit_failure(&rl, "192.0.2.1", 3100).delay_ms > 0);
    ratelimit_fini(&rl);
    ratelimit_fini(&rl); /* harmless */
}

static void forgiving_takes_minutes_not_hours(void **state)
{
    (void)state;
    struct ratelimit rl;
    assert_int_equal(ratelimit_init(&rl), 0);
    for (int i = 0; i < 1000000; i++)
        (void)ratelimit_failure(&rl, "192.0.2.1", 1000);
    assert_int_equal(ratelimit_failure(&rl, "192.0.2.1", 1000 + 6 * RATELIMIT_WINDOW_MS).delay_ms,
                     0);
    ratelimit_fini(&rl);
}

/* However many sources there are, the places bound what all of them together get in a minute: a
   source that takes a place goes on from the count of the one before. */
static void all_sources_together_are_bounded(void **state)
{
    (void)state;
    enum { PLACES = RATELIMIT_SETS * RATELIMIT_WAYS };
    struct ratelimit rl;
    char source[32];
    unsigned quick = 0;
    assert_int_equal(ratelimit_init(&rl), 0);
    for (int i = 0; i < 4 * RATELIMIT_FREE * PLACES; i++) {
        (void)snprintf(source, sizeof source, "2001:db8:%x:%x::", i >> 16, i & 0xffff);
        struct ratelimit_verdict v = ratelimit_failure(&rl, source, 1000);
        quick += v.delay_ms == 0;
    }
    assert_true(quick <= RATELIMIT_FREE * PLACES);
    ratelimit_fini(&rl);
}

/* A source keeps its place while others have less: it is the smallest count that goes, not the one
   heard of longest ago. */
static void the_smallest_goes(void **state)
{
    (void)state;
    struct ratelimit rl;
    char source[32];
    assert_int_equal(ratelimit_init(&rl), 0);
    for (int i = 0; i < 35; i++)
        (void)ratelimit_failure(&rl, "192.0.2.1", 1000);
    for (int i = 0; i < 100000; i++) { /* a dozen for each place */
        (void)snprintf(source, sizeof source, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        (void)ratelimit_failure(&rl, source, 1001 + i / 100);
    }
    assert_int_equal(ratelimit_failure(&rl, "192.0.2.1", 2002).delay_ms, 16 * RATELIMIT_STEP_MS);
    ratelimit_fini(&rl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twenty_at_once_then_ever_slower),
        cmocka_unit_test(the_first_late_one_is_told),
        cmocka_unit_test(rest_forgives),
        cmocka_unit_test(a_slow_guesser_stays_within_the_free_ones),
        cmocka_unit_test(a_flood_of_others_does_not_reset_a_guesser),
        cmocka_unit_test(forgiving_takes_minutes_not_hours),
        cmocka_unit_test(all_sources_together_are_bounded),
        cmocka_unit_test(the_smallest_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
