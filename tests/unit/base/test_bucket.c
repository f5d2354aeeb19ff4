/* SPDX-License-Identifier: MIT */
/* A token bucket: what passes, when, and the edges of its numbers and of the clock. */
#include "base/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/attr.h"

static const struct bucket_rate ten = {.per_s = 10, .burst = 3};

static void a_burst_passes_then_the_rate(void **state)
{
    struct bucket b = {0};
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(bucket_take(&b, &ten, 1, 5000));
    for (mtime_ms now = 5000; now < 5100; now++) {
        assert_int_equal(bucket_due(&b, &ten, 1, now), 5100);
        assert_false(bucket_take(&b, &ten, 1, now)); /* and asking costs nothing */
    }
    assert_int_equal(bucket_due(&b, &ten, 1, 5100), 5100);
    assert_true(bucket_take(&b, &ten, 1, 5100));
    assert_int_equal(bucket_due(&b, &ten, 1, 5100), 5200);
    assert_int_equal(bucket_due(&b, &ten, 3, 5100), 5400);
    assert_int_equal(bucket_due(&b, &ten, 3, 9999), 9999); /* full, and no fuller */
    assert_true(bucket_take(&b, &ten, 3, 9999));
    assert_false(bucket_take(&b, &ten, 1, 9999));
}

/* However often, and at whatever moments, it is asked: neither more nor less than the rate. */
static void nothing_is_rounded_away(void **state)
{
    static const struct bucket_rate rates[] = {{1, 1},   {3, 1},      {7, 2},       {333, 33},
                                               {999, 1}, {1001, 100}, {12345, 1234}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        const struct bucket_rate *r = &rates[i];
        struct bucket b = {0};
        uint64_t passed = 0, steps = 0;
        for (mtime_ms now = 1; now <= 100000; now += 1 + (mtime_ms)(steps++ % 3))
            while (bucket_take(&b, r, 1, now))
                passed++;
        uint64_t most = r->burst + r->per_s * 100;
        /* It may be full for 3 ms before somebody looks. */
        uint64_t least = 100000 * r->per_s / (1000 + 3 * r->per_s) - 1;
        if (passed > most || passed < least)
            fail_msg("%u/s: %u passed in 100 s", (unsigned)r->per_s, (unsigned)passed);
    }
}

/* Who comes when he is told to has the whole rate. */
static void who_waits_until_it_is_due_has_the_whole_rate(void **state)
{
    static const struct bucket_rate odd = {.per_s = 7, .burst = 1};
    struct bucket b = {0};
    mtime_ms now = 1000;
    (void)state;
    assert_true(bucket_take(&b, &odd, 1, now)); /* the next one is earned in 142.86 ms: */
    assert_int_equal(bucket_due(&b, &odd, 1, now), 1143);
    assert_false(bucket_take(&b, &odd, 1, 1142)); /* not before */
    for (int i = 0; i < 700; i++) {
        now = bucket_due(&b, &odd, 1, now);
        assert_true(bucket_take(&b, &odd, 1, now));
    }
    assert_in_range(now, 101000, 101000 + 700); /* a millisecond each at the most */
}

static void what_is_larger_than_the_burst_leaves_a_debt(void **state)
{
    struct bucket b = {0};
    (void)state;
    assert_true(bucket_take(&b, &ten, 20, 1000)); /* it was full */
    assert_int_equal(bucket_due(&b, &ten, 1, 1000), 1000 + 1800);
    assert_false(bucket_take(&b, &ten, 1, 2799));
    assert_true(bucket_take(&b, &ten, 1, 2800));
    assert_false(bucket_take(&b, &ten, 20, 2800)); /* only when it is full again */
    assert_int_equal(bucket_due(&b, &ten, 20, 2800), 3100);
    assert_true(bucket_take(&b, &ten, 20, 3100));
}

static void no_rate_is_no_limit(void **state)
{
    static const struct bucket_rate none = {0};
    struct bucket b = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(bucket_take(&b, &none, BUCKET_MOST, 1));
    assert_int_equal(bucket_due(&b, &none, BUCKET_MOST, 1), 1);
    assert_true(bucket_take(&b, &ten, 3, 1)); /* and nothing is remembered */
}

static void a_rate_that_changes_counts_at_once(void **state)
{
    static const struct bucket_rate fast = {.per_s = 1000, .burst = 100};
    struct bucket b = {0};
    (void)state;
    assert_true(bucket_take(&b, &ten, 3, 1000));
    assert_true(bucket_take(&b, &fast, 97, 1000));
    assert_false(bucket_take(&b, &fast, 1, 1000));
    assert_int_equal(bucket_due(&b, &ten, 1, 1000), 1000 + 9800); /* 100 are missing, 2 may */
}

/* A clock that goes back gives nothing, and takes nothing away. */
static void a_clock_that_goes_back_stands_still(void **state)
{
    struct bucket b = {0};
    (void)state;
    assert_true(bucket_take(&b, &ten, 3, 5000));
    assert_false(bucket_take(&b, &ten, 1, 1000));
    assert_int_equal(bucket_due(&b, &ten, 1, 1000), 5100);
    assert_false(bucket_take(&b, &ten, 1, 5099));
    assert_true(bucket_take(&b, &ten, 1, 5100));
    b = (struct bucket){0};
    assert_true(bucket_take(&b, &ten, 2, 5000));
    assert_true(bucket_take(&b, &ten, 1, 1000)); /* what is there is there */
    assert_false(bucket_take(&b, &ten, 1, 5099));
}

static void the_largest_numbers_fit(void **state)
{
    static const struct bucket_rate most = {BUCKET_MOST, BUCKET_MOST}, slow = {1, BUCKET_MOST},
                                    thin = {BUCKET_MOST, 1};
    struct bucket b = {0};
    (void)state;
    assert_true(bucket_take(&b, &most, BUCKET_MOST, 0));
    assert_int_equal(bucket_due(&b, &most, BUCKET_MOST, 0), 1000);
    assert_true(
        bucket_take(&b, &most, BUCKET_MOST, MTIME_NEVER)); /* a time away that no sum holds */
    assert_int_equal(bucket_due(&b, &most, 1, MTIME_NEVER), MTIME_NEVER);
    b = (struct bucket){0};
    assert_true(
        bucket_take(&b, &slow, BUCKET_MOST, INT64_MIN)); /* before what a zeroed one knows */
    assert_int_equal(bucket_due(&b, &slow, BUCKET_MOST, 0), (mtime_ms)BUCKET_MOST * 1000);
    assert_int_equal(bucket_due(&b, &slow, BUCKET_MOST, MTIME_NEVER - 1), MTIME_NEVER - 1);
    b = (struct bucket){.at = INT64_MIN, .used = BUCKET_MOST * 1000};
    assert_true(
        bucket_take(&b, &slow, BUCKET_MOST, MTIME_NEVER)); /* the whole range of the clock */
    assert_int_equal(bucket_due(&b, &slow, 1, MTIME_NEVER - 5), MTIME_NEVER);
    b = (struct bucket){0};
    assert_true(bucket_take(&b, &thin, BUCKET_MOST, 1));
    assert_int_equal(bucket_due(&b, &thin, 1, 1), 1001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_then_the_rate),
        cmocka_unit_test(nothing_is_rounded_away),
        cmocka_unit_test(who_waits_until_it_is_due_has_the_whole_rate),
        cmocka_unit_test(what_is_larger_than_the_burst_leaves_a_debt),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(a_rate_that_changes_counts_at_once),
        cmocka_unit_test(a_clock_that_goes_back_stands_still),
        cmocka_unit_test(the_largest_numbers_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
