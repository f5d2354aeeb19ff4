/* SPDX-License-Identifier: MIT */
/* The limit that threads share: who is told to stop, and who is told that there is room. */
#include "base/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

static void the_last_one_makes_it_full(void **state)
{
    (void)state;
    struct quota q;
    quota_init(&q, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(quota_is_full(&q));
        assert_int_equal(quota_used(&q), i);
        quota_take(&q);
    }
    assert_true(quota_is_full(&q));
    assert_true(quota_give(&q));
    assert_false(quota_is_full(&q));
    assert_false(quota_give(&q));
    assert_false(quota_give(&q));
    assert_int_equal(quota_used(&q), 0);
}

/* Others had taken before they heard: only the one that makes room tells. */
static void beyond_the_limit_room_is_told_once(void **state)
{
    (void)state;
    struct quota q;
    quota_init(&q, 2);
    for (int i = 0; i < 5; i++)
        quota_take(&q);
    assert_false(quota_give(&q));
    assert_false(quota_give(&q));
    assert_false(quota_give(&q));
    assert_true(quota_is_full(&q));
    assert_true(quota_give(&q));
    assert_false(quota_give(&q));
}

/* A lower limit takes nothing away; a higher one says that there is room. */
static void the_limit_may_change(void **state)
{
    (void)state;
    struct quota q;
    quota_init(&q, 3);
    for (unsigned i = 0; i < 3; i++)
        quota_take(&q);
    assert_false(quota_set_max(&q, 2));
    assert_int_equal(quota_max(&q), 2);
    assert_int_equal(quota_used(&q), 3);
    assert_false(quota_give(&q));
    assert_true(quota_give(&q));
    quota_take(&q);
    assert_true(quota_is_full(&q));
    assert_true(quota_set_max(&q, 3));
    assert_false(quota_is_full(&q));
}

struct taker {
    pthread_t thread;
    struct quota *q;
    unsigned told;
};

static void *take_and_give(void *arg)
{
    struct taker *t = arg;
    for (int i = 0; i < 20000; i++) {
        quota_take(t->q);
        quota_take(t->q);
        t->told += quota_give(t->q);
        t->told += quota_give(t->q);
    }
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    (void)state;
    struct quota q;
    struct taker takers[4];
    unsigned told = 0;
    quota_init(&q, 2);
    for (int i = 0; i < 4; i++) {
        takers[i] = (struct taker){.q = &q};
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_and_give, &takers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
        told += takers[i].told;
    }
    assert_int_equal(quota_used(&q), 0);
    assert_true(told > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_makes_it_full),
        cmocka_unit_test(beyond_the_limit_room_is_told_once),
        cmocka_unit_test(the_limit_may_change),
        cmocka_unit_test(threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
