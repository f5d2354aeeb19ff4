/* SPDX-License-Identifier: MIT */
/* Whose handshake begins, and when: in virtual time. */
#include "proto/handshakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 4096, ALL = 200, EACH = 10, BURST = ALL / HANDSHAKES_BURST_PART };

static struct handshakes h;
static struct handshakes_entry entries[MANY];
static char names[MANY][24];
static mtime_ms now;

static void begin(uint32_t all, uint32_t each)
{
    handshakes_init(&h, all, each, 0x5eed);
    memset(entries, 0, sizeof entries);
    for (int i = 0; i < MANY; i++)
        (void)snprintf(names[i], sizeof names[i], "192.0.%d.%d", i >> 8, i & 255);
    now = 1000000;
}

/* Whose turn it is now, -1: nobody's. */
static int next(void)
{
    struct handshakes_entry *e = handshakes_next(&h, now);
    return e ? (int)(e - entries) : -1;
}

/* How many begin at this moment. */
static int all_of_now(void)
{
    int n = 0;
    while (next() >= 0)
        n++;
    return n;
}

/* How many begin within ms. The clock goes as handshakes_due() says: no look is in vain. */
static int within(mtime_ms ms)
{
    int n = all_of_now();
    for (mtime_ms end = now + ms;;) {
        mtime_ms due = handshakes_due(&h, now);
        if (due < 0 || due > end) {
            now = end;
            return n;
        }
        assert_true(due > now);
        now = due;
        int came = all_of_now();
        assert_true(came > 0);
        n += came;
    }
}

static void so_many_in_all(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 2000; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(all_of_now(), BURST);
    assert_int_equal(within(1000), ALL);
    assert_int_equal(within(5000), 5 * ALL);
    assert_int_equal(h.count, 2000 - BURST - 6 * ALL);
    for (int i = 0; i < 2000; i++)
        handshakes_leave(&h, &entries[i]);
    assert_int_equal(h.count, 0);
    assert_int_equal(handshakes_due(&h, now), -1);
    now += 3600000; /* rest does not pile up */
    for (int i = 0; i < 100; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(all_of_now(), BURST);
}

static void other_rates_count_at_once_and_forget_nothing(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 2000; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(all_of_now(), BURST);
    handshakes_limit(&h, 2 * ALL, EACH);
    assert_in_range(all_of_now(), 0, 1); /* what was used stays used */
    assert_in_range(within(1000), 2 * ALL - 1, 2 * ALL + 1);
    handshakes_limit(&h, 1, 1);
    assert_in_range(within(10000), 9, 11);
}

static void so_many_of_one_source(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 300; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", false);
    assert_int_equal(all_of_now(), EACH); /* a second's worth at once */
    assert_int_equal(handshakes_due(&h, now), now + 1000 / EACH);
    assert_int_equal(within(1000), EACH);
    assert_int_equal(within(10000), 10 * EACH);
    handshakes_wait(&h, &entries[400], "192.0.2.2", false); /* is not behind them */
    assert_int_equal(handshakes_due(&h, now), now);
    assert_int_equal(next(), 400);
}

static void a_known_source_has_no_limit_of_its_own(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 1000; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", true);
    assert_int_equal(within(1000), BURST + ALL);
}

/* 200 strangers a second from 1,000 sources are a full budget: who is known has the next turn. */
static void who_is_known_goes_first(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 1000; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    (void)within(1000);
    handshakes_wait(&h, &entries[2000], "203.0.113.1", true);
    assert_int_equal(next(), -1);
    now = handshakes_due(&h, now);
    assert_int_equal(next(), 2000);
}

/* A guesser behind a known address takes three turns of four, not all; others of them are his
   equals, however many connections he has. */
static void known_sources_leave_a_quarter_and_share_the_rest(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 2000; i++)
        handshakes_wait(&h, &entries[i], i < 1000 ? "192.0.2.1" : names[i], i < 1000);
    int before[2] = {0};
    for (int i = 0; i < 10; i++) /* of a third source, one after the other */
        handshakes_wait(&h, &entries[3000 + i], "192.0.2.2", true);
    assert_int_equal(within(1000), BURST + ALL);
    for (int i = 0; i < 2000; i++)
        before[i >= 1000] += !entries[i].waits;
    assert_int_equal(before[1], (BURST + ALL) / 4);
    for (int i = 0; i < 10; i++)
        assert_false(entries[3000 + i].waits);
    assert_int_equal(before[0], BURST + ALL - before[1] - 10);
}

/* Of strangers: one with many connections and one with one. */
static void the_turn_goes_to_who_has_used_least(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 5; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", false);
    handshakes_wait(&h, &entries[5], "192.0.2.2", false);
    handshakes_wait(&h, &entries[6], "192.0.2.3", false);
    static const int order[] = {0, 5, 6, 1, 2, 3, 4, -1};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        assert_int_equal(next(), order[i]);
}

static void who_leaves_has_used_nothing(void **state)
{
    (void)state;
    begin(10, 10);
    for (int i = 0; i < 3; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    handshakes_leave(&h, &entries[1]);
    handshakes_leave(&h, &entries[1]);
    assert_int_equal(next(), 0);
    assert_int_equal(next(), -1); /* a tenth of a second is one */
    now = handshakes_due(&h, now);
    assert_int_equal(next(), 2);
    assert_int_equal(handshakes_due(&h, now), -1);
}

static void least_and_most(void **state)
{
    (void)state;
    begin(1, 1);
    for (int i = 0; i < 20; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(within(9000), 1 + 9);
    begin(1000000, 1000000);
    for (int i = 0; i < MANY; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", false);
    assert_int_equal(all_of_now(), MANY);
}

/* All sources of the table at once, and then some: who comes into a full set goes on from the account
   that is paid first, so two connections of one source never make three. */
static void a_full_table_gives_nobody_more(void **state)
{
    static int had[MANY];
    (void)state;
    begin(1000000, 1);
    memset(had, 0, sizeof had);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++) {
            handshakes_wait(&h, &entries[i], names[i], false);
            had[i] += next() == i;
            handshakes_leave(&h, &entries[i]);
        }
        now += 100;
    }
    int none = 0;
    for (int i = 0; i < MANY; i++) {
        assert_in_range(had[i], 0, 1);
        none += had[i] == 0;
    }
    assert_in_range(none, 1, MANY / 2); /* sets are not equally full */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_in_all),
        cmocka_unit_test(other_rates_count_at_once_and_forget_nothing),
        cmocka_unit_test(so_many_of_one_source),
        cmocka_unit_test(a_known_source_has_no_limit_of_its_own),
        cmocka_unit_test(who_is_known_goes_first),
        cmocka_unit_test(known_sources_leave_a_quarter_and_share_the_rest),
        cmocka_unit_test(the_turn_goes_to_who_has_used_least),
        cmocka_unit_test(who_leaves_has_used_nothing),
        cmocka_unit_test(least_and_most),
        cmocka_unit_test(a_full_table_gives_nobody_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
