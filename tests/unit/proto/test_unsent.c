/* SPDX-License-Identifier: MIT */
/* proto/unsent: what the kernel may hold for a user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/unsent.h"

enum { PLENTY = 1 << 30, KIB = 1024 };

/* A user who takes everything until he gets no more: what he has then. */
static uint32_t grown(struct unsent *u)
{
    uint32_t own = UNSENT_FIRST, before;
    do {
        before = own;
        own = unsent_more(u, own);
    } while (own != before);
    return own;
}

static void who_reads_gets_twice_as_much_each_time(void **state)
{
    (void)state;
    struct unsent u = {.max = PLENTY};
    uint32_t own = UNSENT_FIRST;
    for (uint32_t want = 32 * KIB; want <= 256 * KIB; want *= 2) {
        own = unsent_more(&u, own);
        assert_int_equal(own, want);
        assert_int_equal(u.used, want - UNSENT_FIRST);
    }
    assert_int_equal(unsent_more(&u, own), UNSENT_MOST);
    assert_int_equal(u.used, UNSENT_MOST - UNSENT_FIRST);
}

static void what_one_had_is_there_for_others(void **state)
{
    (void)state;
    struct unsent u = {.max = PLENTY};
    uint32_t a = grown(&u), b = unsent_more(&u, UNSENT_FIRST);
    unsent_gone(&u, a);
    assert_int_equal(u.used, b - UNSENT_FIRST);
    unsent_gone(&u, UNSENT_FIRST); /* had nothing of it */
    unsent_gone(&u, b);
    assert_int_equal(u.used, 0);
}

static void all_together_stay_within_the_budget(void **state)
{
    (void)state;
    enum { USERS = 5000, MAX = 64 << 20 };
    struct unsent u = {.max = MAX};
    uint64_t sum = 0;
    uint32_t last = 0;
    for (int i = 0; i < USERS; i++) {
        last = grown(&u);
        sum += last - UNSENT_FIRST;
    }
    assert_int_equal(u.used, sum);
    assert_in_range(sum, MAX - 2 * UNSENT_FIRST, MAX);
    assert_int_equal(last, UNSENT_FIRST); /* what everybody has is not of the budget */
}

static void nobody_takes_more_than_half_of_what_is_left(void **state)
{
    (void)state;
    struct unsent u = {.max = 2 * UNSENT_FIRST - 1};
    assert_int_equal(unsent_more(&u, UNSENT_FIRST), UNSENT_FIRST);
    u.max = 2 * UNSENT_FIRST;
    assert_int_equal(unsent_more(&u, UNSENT_FIRST), 2 * UNSENT_FIRST);
    u.max = 1; /* less than is in use */
    assert_int_equal(unsent_more(&u, UNSENT_FIRST), UNSENT_FIRST);
}

static void beyond_half_of_the_budget_it_is_scarce(void **state)
{
    (void)state;
    struct unsent u = {.max = 4 * UNSENT_FIRST};
    assert_false(unsent_is_scarce(&u));
    u.used = 2 * UNSENT_FIRST;
    assert_false(unsent_is_scarce(&u));
    u.used++;
    assert_true(unsent_is_scarce(&u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_reads_gets_twice_as_much_each_time),
        cmocka_unit_test(what_one_had_is_there_for_others),
        cmocka_unit_test(all_together_stay_within_the_budget),
        cmocka_unit_test(nobody_takes_more_than_half_of_what_is_left),
        cmocka_unit_test(beyond_half_of_the_budget_it_is_scarce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
