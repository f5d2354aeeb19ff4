/* SPDX-License-Identifier: MIT */
/* Random numbers: bounds, reproducibility, spread. */
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint32_t fixed_next(struct rng *r)
{
    return (uint32_t)r->state;
}

static void below_at_the_edges(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {1, 2, 3, 7, 1000, 0x7fffffff, 0x80000000, 0xffffffff};
    struct rng low = {.next = fixed_next, .state = 0};
    struct rng high = {.next = fixed_next, .state = 0xffffffff};
    assert_int_equal(rng_below(&low, 0), 0);
    assert_int_equal(rng_below(&high, 0), 0);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        assert_int_equal(rng_below(&low, bounds[i]), 0);
        assert_int_equal(rng_below(&high, bounds[i]), bounds[i] - 1);
    }
}

static void below_is_spread_evenly(void **state)
{
    (void)state;
    enum { BOUND = 10, ROUNDS = 100000 };
    struct rng r;
    rng_seed(&r, 1);
    int seen[BOUND] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t v = rng_below(&r, BOUND);
        assert_true(v < BOUND);
        seen[v]++;
    }
    for (int i = 0; i < BOUND; i++)
        assert_in_range(seen[i], 9500, 10500);
}

static void a_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct rng a, b, other;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&other, 43);
    int differ = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t v = a.next(&a);
        assert_int_equal(v, b.next(&b));
        differ += v != other.next(&other);
    }
    assert_true(differ > 990);
}

static void the_system_s_numbers_vary(void **state)
{
    (void)state;
    struct rng r;
    rng_system(&r);
    uint32_t first = r.next(&r);
    int differ = 0;
    for (int i = 0; i < 64; i++)
        differ += r.next(&r) != first;
    assert_true(differ > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(below_at_the_edges),
        cmocka_unit_test(below_is_spread_evenly),
        cmocka_unit_test(a_seed_gives_the_same_numbers),
        cmocka_unit_test(the_system_s_numbers_vary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
