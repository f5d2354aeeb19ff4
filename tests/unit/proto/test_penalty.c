/* SPDX-License-Identifier: MIT */
/* proto/penalty: which sources and networks are penalised, and from when on they may go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/penalty.h"

static const uint8_t key[KEYED_HASH_KEY_BYTES] = "0123456789abcde";
static struct penalties p;

enum { T0 = 1000000, MINUTE = PENALTY_MINUTE_MS };

static int setup(void **state)
{
    (void)state;
    return penalties_init(&p, key);
}

static int teardown(void **state)
{
    (void)state;
    penalties_fini(&p);
    penalties_fini(&p); /* harmless */
    return 0;
}

static struct penalty_source v4(uint32_t n)
{
    struct address a = {.family = ADDRESS_IPV4,
                        .ip = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
    return penalties_source(&p, &a);
}

/* 2001:db8:<net48>:<sub56><sub64>::host */
static struct penalty_source v6(unsigned net48, unsigned sub56, unsigned sub64, unsigned host)
{
    struct address a = {.family = ADDRESS_IPV6,
                        .ip = {0x20, 1, 0xd, 0xb8, (uint8_t)(net48 >> 8), (uint8_t)net48,
                               (uint8_t)sub56, (uint8_t)sub64, [15] = (uint8_t)host}};
    return penalties_source(&p, &a);
}

static bool fails(struct penalty_source s, mtime_ms now)
{
    return penalties_failure(&p, &s, false, now);
}

static bool is_penalised(struct penalty_source s, bool own_only, mtime_ms now)
{
    return penalties_find(&p, &s, own_only, now) != NULL;
}

static void the_fifth_failure_in_a_minute_begins_it(void **state)
{
    (void)state;
    struct penalty_source s = v4(1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(penalties_left(&p, &s, T0), 5 - i);
        assert_false(fails(s, T0 + i));
        assert_false(is_penalised(s, false, T0 + i));
    }
    assert_true(fails(s, T0 + MINUTE - 1));
    assert_true(is_penalised(s, false, T0 + MINUTE - 1));
    assert_true(is_penalised(s, true, T0 + MINUTE - 1));
    assert_int_equal(penalties_left(&p, &s, T0 + MINUTE - 1), 0);
    assert_false(fails(s, T0 + MINUTE - 1)); /* it has begun already */
    assert_false(is_penalised(v4(2), false, T0 + 4));
}

static void the_fifth_after_a_minute_does_not(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        (void)fails(v4(1), T0);
    assert_false(fails(v4(1), T0 + MINUTE));
    assert_false(is_penalised(v4(1), false, T0 + MINUTE));
}

static void it_ends_with_the_minute_and_can_begin_again(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++)
        (void)fails(v4(1), T0 + i * 10000);
    assert_true(is_penalised(v4(1), false, T0 + 40000 + MINUTE - 1));
    assert_false(is_penalised(v4(1), false, T0 + 40000 + MINUTE));
    assert_true(fails(v4(1), T0 + 40000 + MINUTE)); /* four were left, and this one */
    for (int i = 0; i < 4; i++)
        assert_false(fails(v4(2), T0));
    assert_true(fails(v4(2), T0));
}

/* However failures lie before and in a penalty, one minute has 20 verdicts at the most. */
static void a_minute_has_20_verdicts(void **state)
{
    (void)state;
    mtime_ms told[2000];
    unsigned count = 0, most = 0;
    uint32_t pause = 1;
    struct penalty_source s = v4(1);
    for (mtime_ms now = T0; now < T0 + 40 * MINUTE && count < 2000; now++) {
        struct penalty_record *r = penalties_find(&p, &s, false, now);
        if (r && now < r->verdict_at)
            continue;
        if (!r && now % (pause % 977 + 1))
            continue; /* it guesses in all kinds of bursts, and pauses now and then */
        if (now / MINUTE % 7 == 6)
            continue;
        pause = pause * 1103515245u + 12345u;
        if (r)
            penalty_pay(r, now);
        (void)penalties_failure(&p, &s, r != NULL, now);
        told[count++] = now;
        unsigned of_minute = 0;
        for (unsigned i = 0; i < count; i++)
            of_minute += now - told[i] < MINUTE;
        most = of_minute > most ? of_minute : most;
    }
    assert_int_equal(most, PENALTY_VERDICTS);
    assert_true(count > 30 * PENALTY_VERDICTS);
}

static void four_networks_of_64_penalise_their_56(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        assert_false(is_penalised(v6(1, 2, 99, 1), false, T0));
        for (unsigned k = 0; k < 1000; k++) /* one alone never does, however often */
            (void)fails(v6(1, 2, i, k), T0);
    }
    assert_true(is_penalised(v6(1, 2, 99, 1), false, T0));
    assert_false(is_penalised(v6(1, 2, 99, 1), true, T0)); /* who is known answers for itself */
    assert_true(is_penalised(v6(1, 2, 0, 7), true, T0));
    assert_false(is_penalised(v6(1, 3, 0, 1), false, T0));
}

static void sixteen_of_64_penalise_their_48(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        assert_false(is_penalised(v6(1, 200, 1, 1), false, T0));
        for (unsigned k = 0; k < 5; k++)
            (void)fails(v6(1, i, 0, 1), T0 + i);
    }
    assert_true(is_penalised(v6(1, 200, 1, 1), false, T0 + 16));
    assert_false(is_penalised(v6(2, 200, 1, 1), false, T0 + 16));
}

/* Failures that no /64 is penalised for add up. */
static void many_that_fail_four_times_do_not_slip_through(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        for (unsigned k = 0; k < 4; k++)
            (void)fails(v6(1, i, 0, 1), T0);
    assert_false(is_penalised(v6(1, 0, 0, 1), true, T0));
    assert_true(is_penalised(v6(1, 200, 1, 1), false, T0));
}

/* At the pace of its ration a /48 would never have 80 failures in a minute: it stays with 5. */
static void a_network_stays_while_it_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < 5; k++)
            (void)fails(v6(1, i, 0, 1), T0);
    mtime_ms now = T0;
    for (unsigned i = 0; i < 100; i++) {
        now += 11000;
        assert_true(is_penalised(v6(1, 200, 1, 1), false, now - 1));
        (void)fails(v6(1, i, 1, 1), now);
    }
    assert_false(is_penalised(v6(1, 200, 1, 1), false, now + MINUTE));
    (void)fails(v6(1, 0, 1, 1), now + MINUTE);
    for (unsigned k = 0; k < 4; k++)
        (void)fails(v6(1, k, 1, 1), now + MINUTE); /* a new account */
    assert_false(is_penalised(v6(1, 200, 1, 1), false, now + MINUTE));
}

static void ipv4_has_no_networks(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 0; k < 4; k++)
            (void)fails(v4(i), T0);
    assert_false(is_penalised(v4(300), false, T0));
}

/* A flood of others takes nobody's failures away. */
static void a_flood_of_sources_resets_nobody(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        (void)fails(v4(1), T0);
    for (uint32_t i = 2; i < 10000; i++)
        (void)fails(v4(i), T0 + 1);
    assert_true(is_penalised(v4(1), false, T0 + 1));
    for (uint32_t i = 10000; i < 60000; i++)
        for (int k = 0; k < 5; k++)
            (void)fails(v4(i), T0 + 2);
    (void)fails(v4(1), T0 + 3); /* whoever took its place has left it its failures */
    assert_true(is_penalised(v4(1), false, T0 + 3));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_fifth_failure_in_a_minute_begins_it),
        T(the_fifth_after_a_minute_does_not),
        T(it_ends_with_the_minute_and_can_begin_again),
        T(a_minute_has_20_verdicts),
        T(four_networks_of_64_penalise_their_56),
        T(sixteen_of_64_penalise_their_48),
        T(many_that_fail_four_times_do_not_slip_through),
        T(a_network_stays_while_it_goes_on),
        T(ipv4_has_no_networks),
        T(a_flood_of_sources_resets_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
