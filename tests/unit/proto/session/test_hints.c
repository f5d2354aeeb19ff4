/* SPDX-License-Identifier: MIT */
/* What a row of breaks tells about the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kit.h"

/* The connection rests for idle, then a byte is sent that is never acknowledged; resumed. */
static void cut_after(struct kit *k, mtime_ms idle, const char *suspected, const char *resumed)
{
    mtime_ms heard = k->now - KIT_T0;
    pass_to(k, heard + idle);
    kit_wait(k, heard);
    expect(k, "");
    pass_to(k, heard + idle + 3000);
    expect(k, suspected);
    kit_resume(k);
    expect(k, resumed);
    k->now += 10;
    kit_heard(k, 1, -1);
}

static void test_idle_connections_are_cut(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    cut_after(&k, 3400, "+suspected 3000; dial", "switch; +resumed 6900");
    cut_after(&k, 5000, "+suspected 3000; dial", "switch; +resumed 8500");
    cut_after(&k, 3100, "+suspected 3000; dial", "switch; +idle 3100; +resumed 6600");
    /* from now on it is known: no pair of lines each time */
    cut_after(&k, 4000, "-suspected 3000; dial", "switch; -resumed 7500");
    cut_after(&k, 5000, "-suspected 3000; dial", "switch; -resumed 8500");
    /* another kind of trouble is told */
    cut_after(&k, 0, "+suspected 3000; dial", "switch; +resumed 3500");
}

static void test_or_reset(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    for (int i = 0; i < 3; i++) {
        pass_to(&k, k.now - KIT_T0 + 3000);
        expect(&k, "");
        life_lost(&k.l, LIFE_LOSS_RESET, k.now);
        kit_drop(&k);
        kit_resume(&k);
        expect(&k, i < 2 ? "switch; +resumed 3000" : "switch; +idle 3000; +resumed 3000");
        k.now += 1;
        kit_heard(&k, 1, -1);
        k.now += 1;
        kit_heard(&k, 0, -1);
    }
}

/* Breaks after rests of different length, or with a rest that was survived between, say nothing. */
static void test_no_row_no_hint(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    cut_after(&k, 1000, "+suspected 3000; dial", "switch; +resumed 4500");
    cut_after(&k, 5000, "+suspected 3000; dial", "switch; +resumed 8500");
    cut_after(&k, 1500, "+suspected 3000; dial", "switch; +resumed 5000");
    cut_after(&k, 4000, "+suspected 3000; dial", "switch; +resumed 7500");

    kit_client(&k, KIT_WINDOW, 1);
    cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
    cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
    mtime_ms heard = k.now - KIT_T0;
    pass_to(&k, heard + 3500);
    kit_wait(&k, heard);
    k.now += 20;
    kit_heard(&k, 1, -1); /* acknowledged after a rest as long */
    cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
}

/* Alike is up to twice as long. */
static void test_alike(void **state)
{
    static const struct {
        mtime_ms idle[3], told; /* 0: not */
    } rows[] = {{{3000, 6000, 3000}, 3000}, {{3000, 6001, 6000}, 0},    {{6000, 3000, 3000}, 3000},
                {{6001, 3000, 3000}, 0},    {{1000, 1000, 1000}, 1000}, {{999, 999, 999}, 0},
                {{3000, 0, 3000}, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kit k;
        kit_client(&k, KIT_WINDOW, 1);
        for (int n = 0; n < 3; n++) {
            char resumed[64];
            mtime_ms idle = rows[i].idle[n];
            bool tells = n == 2 && rows[i].told > 0;
            int at =
                tells ? snprintf(resumed, sizeof resumed, "switch; +idle %d; ", (int)rows[i].told)
                      : snprintf(resumed, sizeof resumed, "switch; ");
            (void)snprintf(resumed + at, sizeof resumed - (size_t)at, "+resumed %d",
                           (int)idle + 3500);
            cut_after(&k, idle, "+suspected 3000; dial", resumed);
        }
    }
}

/* A rest that was survived makes the row begin anew: one as long, after one break or two. */
static void test_a_survived_rest_ends_the_row(void **state)
{
    (void)state;
    for (int breaks = 1; breaks <= 2; breaks++) {
        struct kit k;
        kit_client(&k, KIT_WINDOW, 1);
        for (int i = 0; i < breaks; i++)
            cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
        mtime_ms heard = k.now - KIT_T0;
        pass_to(&k, heard + 3000);
        kit_wait(&k, heard);
        k.now += 20;
        kit_heard(&k, 1, -1);
        cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
        cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
        cut_after(&k, 3000, "+suspected 3000; dial", "switch; +idle 3000; +resumed 6500");
    }
}

/* A break that was no rest ends it as well: in the middle of bytes. */
static void test_a_break_while_busy_ends_the_row(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    for (int i = 0; i < 2; i++)
        cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
    cut_after(&k, 0, "+suspected 3000; dial", "switch; +resumed 3500");
    for (int i = 0; i < 2; i++)
        cut_after(&k, 3000, "+suspected 3000; dial", "switch; +resumed 6500");
}

static void test_a_slow_answer_is_no_break(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    for (int i = 0; i < 5; i++) {
        mtime_ms heard = k.now - KIT_T0;
        pass_to(&k, heard + 3000);
        kit_wait(&k, heard);
        pass_to(&k, heard + 6000);
        expect(&k, "+suspected 3000; dial");
        k.now += 500;
        kit_heard(&k, 1, -1);
        expect(&k, "cancel; +recovered");
    }
    assert_false(k.l.told_idle);
}

/* An MTU black hole: resumes are accepted, what is sent then is not acknowledged. The second one was
   at 9500. */
static void black_hole(struct kit *k)
{
    kit_client(k, KIT_WINDOW, 1);
    kit_wait(k, 0);
    pass_to(k, 3000);
    expect(k, "+suspected 3000; dial");
    kit_resume(k);
    expect(k, "switch; +resumed 3500");
    kit_wait(k, 0);
    pass_to(k, 9500);
    expect(k, "-suspected 6000; dial small");
    kit_resume(k);
    expect(k, "switch; -resumed 9500");
    kit_wait(k, 0);
}

static void test_large_packets_do_not_pass(void **state)
{
    struct kit k;
    (void)state;
    black_hole(&k);
    pass_to(&k, 15000);
    expect(&k, "+mtu; detach; +detached silent 60000; dial last=74900 small");
    kit_resume(&k);
    expect(&k, "switch; +resumed 15000");
    kit_wait(&k, 0);
    k.now += 100;
    kit_heard(&k, 1, -1); /* small ones do */
    kit_wait(&k, 15100);
    pass_to(&k, 18100);
    expect(&k, "+suspected 3000; dial small"); /* for good */
    kit_resume(&k);
    kit_drop(&k);
    for (int i = 0; i < 2; i++) {
        kit_wait(&k, 15100);
        k.now = life_deadline(&k.l);
        life_tick(&k.l, k.now);
        struct life_action a;
        while (life_next(&k.l, &a))
            assert_false(a.kind == LIFE_TELL && a.tell.what == LIFE_TELL_MTU); /* once a session */
        kit_resume(&k);
        kit_drop(&k);
    }
}

/* The second one has small segments, and what was stuck passes: the same cause. */
static void test_small_ones_pass_at_once(void **state)
{
    struct kit k;
    (void)state;
    black_hole(&k);
    k.now += 100;
    kit_heard(&k, 1, -1);
    expect(&k, "+mtu");
    k.now += 100;
    kit_heard(&k, 1, -1);
    expect(&k, "");
}

/* A resume that is reset at once was not stuck, nor one that came back in time. */
static void test_a_flapping_proxy_is_no_black_hole(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    for (int i = 0; i < 4; i++) {
        kit_drop(&k);
        kit_resume(&k);
        kit_drop(&k);
        k.now += 1500;
        if (i == 3)
            break;
        life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    }
    kit_heard(&k, 1, -1);
    expect(&k, "");
}

/* What waits is stuck when it had 3 s on the connection of a resume. */
static void test_how_long_is_stuck(void **state)
{
    static const struct {
        mtime_ms wait, lost; /* -1: nothing waits; 0: it waited when it was resumed */
        bool stuck;
    } rows[] = {{0, 3000, true},
                {0, 2999, false},
                {1000, 4000, true},
                {1000, 3999, false},
                {-1, 5000, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kit k;
        kit_client(&k, KIT_WINDOW, 1);
        life_lost(&k.l, LIFE_LOSS_RESET, k.now);
        kit_drop(&k);
        for (int n = 0; n < 2; n++) {
            mtime_ms resumed = k.now;
            kit_resume(&k);
            kit_drop(&k);
            k.now = resumed + (rows[i].wait > 0 ? rows[i].wait : 0);
            if (rows[i].wait >= 0)
                kit_heard(&k, 0, rows[i].wait > 0 ? 0 : 500);
            kit_drop(&k);
            k.now = resumed + rows[i].lost;
            life_lost(&k.l, LIFE_LOSS_RESET, k.now);
            kit_drop(&k);
        }
        assert_int_equal(k.l.resume_stuck, rows[i].stuck);
        kit_resume(&k);
        kit_drop(&k);
        k.now += 10;
        kit_heard(&k, 1, -1);
        assert_true(k.l.told_mtu || !rows[i].stuck);
        assert_false(k.l.resume_stuck);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_connections_are_cut),
        cmocka_unit_test(test_or_reset),
        cmocka_unit_test(test_no_row_no_hint),
        cmocka_unit_test(test_alike),
        cmocka_unit_test(test_a_survived_rest_ends_the_row),
        cmocka_unit_test(test_a_break_while_busy_ends_the_row),
        cmocka_unit_test(test_a_slow_answer_is_no_break),
        cmocka_unit_test(test_large_packets_do_not_pass),
        cmocka_unit_test(test_small_ones_pass_at_once),
        cmocka_unit_test(test_a_flapping_proxy_is_no_black_hole),
        cmocka_unit_test(test_how_long_is_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
