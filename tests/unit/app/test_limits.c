/* SPDX-License-Identifier: MIT */
/* What a descriptor limit allows, and how many threads are used. */
#include "app/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sched.h>

#include "base/log.h"

static void connections_leave_a_reserve(void **state)
{
    (void)state;
    assert_int_equal(limits_connections(LIMITS_DESCRIPTORS_MIN - 1, 1), 0);
    assert_int_equal(limits_connections(LIMITS_DESCRIPTORS_MIN, 1), 10);
    assert_int_equal(limits_connections(40, 1), 40 - LIMITS_OWN);
    assert_int_equal(limits_connections(64, 1), 48);
    assert_int_equal(limits_connections(100, 1), 75);
    assert_int_equal(limits_connections(20000, 1), 20000 - LIMITS_RESERVE);
    assert_int_equal(limits_connections(1ull << 40, 1), LIMITS_CONNECTIONS_MAX);
}

static void further_loops_have_their_price(void **state)
{
    (void)state;
    enum { FOUR = 3 * LIMITS_LOOP };
    assert_int_equal(limits_connections(LIMITS_DESCRIPTORS_MIN + FOUR - 1, 4), 0);
    assert_int_equal(limits_connections(LIMITS_DESCRIPTORS_MIN + FOUR, 4), 10);
    assert_int_equal(limits_connections(64 + FOUR, 4), 64 - LIMITS_OWN);
    assert_int_equal(limits_connections(20000, 4), 20000 - LIMITS_RESERVE - FOUR);
}

static void threads_follow_the_processors(void **state)
{
    (void)state;
    cpu_set_t all, one;
    unsigned count;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    count = (unsigned)CPU_COUNT(&all);
    assert_int_equal(limits_threads(0, 1 << 20),
                     count < LIMITS_THREADS_MAX ? count : LIMITS_THREADS_MAX);
    CPU_ZERO(&one);
    for (unsigned i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(limits_threads(0, 1 << 20), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void few_descriptors_mean_few_threads(void **state)
{
    (void)state;
    assert_int_equal(limits_threads(0, LIMITS_DESCRIPTORS_MIN), 1);
    assert_int_equal(limits_threads(0, 2 * LIMITS_THREAD - 1), 1);
}

static void what_is_asked_for_is_given(void **state)
{
    (void)state;
    assert_int_equal(limits_threads(64, LIMITS_DESCRIPTORS_MIN), 64);
    assert_int_equal(limits_threads(1, 1 << 20), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_leave_a_reserve),
        cmocka_unit_test(further_loops_have_their_price),
        cmocka_unit_test(threads_follow_the_processors),
        cmocka_unit_test(few_descriptors_mean_few_threads),
        cmocka_unit_test(what_is_asked_for_is_given),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
