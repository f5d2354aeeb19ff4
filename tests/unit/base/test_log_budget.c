/* SPDX-License-Identifier: MIT */
/* Lines about strangers: a burst, then one a second, and the count of what was left out. */
#include "base/log_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_burst_passes_and_no_more(void **state)
{
    (void)state;
    struct log_budget b = {0};
    unsigned left_out = 99;
    for (int i = 0; i < LOG_BUDGET_BURST; i++) {
        assert_true(log_budget_take(&b, 5000, &left_out));
        assert_int_equal(left_out, 0);
    }
    for (int i = 0; i < 7; i++)
        assert_false(log_budget_take(&b, 5000 + LOG_BUDGET_EVERY_MS - 1, &left_out));
    assert_true(log_budget_take(&b, 5000 + LOG_BUDGET_EVERY_MS, &left_out));
    assert_int_equal(left_out, 7);
    assert_false(log_budget_take(&b, 5000 + LOG_BUDGET_EVERY_MS, &left_out));
}

/* However often it asks, a flood of an hour writes the burst and a line a second. */
static void a_flood_is_bounded(void **state)
{
    (void)state;
    struct log_budget b = {0};
    unsigned left_out, lines = 0, told = 0, asked = 0;
    for (mtime_ms now = 1; now <= 3600 * 1000; now += 7, asked++) {
        if (log_budget_take(&b, now, &left_out)) {
            lines++;
            told += left_out;
        }
    }
    assert_in_range(lines, 3600, 3600 + LOG_BUDGET_BURST);
    assert_in_range(lines + told, asked - 200, asked); /* nothing is hidden */
}

static void a_quiet_time_brings_the_burst_back(void **state)
{
    (void)state;
    struct log_budget b = {0};
    unsigned left_out;
    for (int round = 0; round < 3; round++) {
        mtime_ms now = (mtime_ms)1 + round * 1000 * 3600;
        int passed = 0;
        for (int i = 0; i < 2 * LOG_BUDGET_BURST; i++)
            passed += log_budget_take(&b, now, &left_out);
        assert_int_equal(passed, LOG_BUDGET_BURST);
    }
}

/* Where no more lines come, what was left out is asked for; it is not told again by a later one. */
static void what_was_left_out_is_told_once(void **state)
{
    (void)state;
    struct log_budget b = {0};
    unsigned left_out;
    for (int i = 0; i < LOG_BUDGET_BURST + 3; i++)
        (void)log_budget_take(&b, 1, &left_out);
    assert_int_equal(log_budget_left_out(&b), 3);
    assert_int_equal(log_budget_left_out(&b), 0);
    assert_true(log_budget_take(&b, 1 + LOG_BUDGET_EVERY_MS, &left_out));
    assert_int_equal(left_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_no_more),
        cmocka_unit_test(a_flood_is_bounded),
        cmocka_unit_test(a_quiet_time_brings_the_burst_back),
        cmocka_unit_test(what_was_left_out_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
