/* SPDX-License-Identifier: MIT */
/* The budget of lines about strangers: of all, of a source, of greetings; and what was left out. */
#include "proto/strangers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/event.h"

static struct strangers s;
static char sum[STRANGERS_SUM_BUF];

static int fresh(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    return 0;
}

/* How many of n lines are written, each of a source of its own from `first` on. */
static unsigned told(enum stranger_kind kind, unsigned n, unsigned first, mtime_ms now)
{
    unsigned lines = 0;
    for (unsigned i = 0; i < n; i++) {
        char source[32];
        (void)snprintf(source, sizeof source, "192.0.2.%u", first + i);
        lines += strangers_may_tell(&s, kind, source, now);
    }
    return lines;
}

static unsigned told_of_one(enum stranger_kind kind, unsigned n, mtime_ms now)
{
    unsigned lines = 0;
    for (unsigned i = 0; i < n; i++)
        lines += strangers_may_tell(&s, kind, "198.51.100.1", now);
    return lines;
}

static void sixty_a_minute_whatever_they_are(void **state)
{
    (void)state;
    assert_int_equal(told(STRANGER_AUTH_FAILED, 40, 0, 1000), 40);
    assert_int_equal(told(STRANGER_TLS_NOT, 40, 100, 31000), 20);
    assert_int_equal(told(STRANGER_TIMEOUT, 40, 200, 1000 + STRANGERS_MINUTE_MS - 1), 0);
    /* forty are a minute old, and twenty are not */
    assert_int_equal(told(STRANGER_TIMEOUT, 100, 300, 1000 + STRANGERS_MINUTE_MS), 40);
    assert_int_equal(told(STRANGER_TIMEOUT, 100, 400, 30999 + STRANGERS_MINUTE_MS), 0);
    assert_int_equal(told(STRANGER_TIMEOUT, 100, 500, 31000 + STRANGERS_MINUTE_MS), 20);
}

/* In any minute, wherever it begins. */
static void no_minute_has_more(void **state)
{
    (void)state;
    unsigned lines[600] = {0};
    for (unsigned second = 0; second < 600; second++) {
        unsigned n = second * 7919 % 23; /* now many, now few */
        lines[second] = told(STRANGER_AUTH_FAILED, n, second * 100, second * 1000);
    }
    for (unsigned from = 0; from + 60 <= 600; from++) {
        unsigned n = 0;
        for (unsigned i = from; i < from + 60; i++)
            n += lines[i];
        assert_in_range(n, 1, STRANGERS_LINES);
    }
}

static void one_source_has_ten_and_its_greetings(void **state)
{
    (void)state;
    assert_int_equal(told_of_one(STRANGER_AUTH_FAILED, 30, 0), STRANGERS_SOURCE);
    assert_int_equal(told_of_one(STRANGER_TLS_NOT, 30, 0), 0);
    assert_int_equal(told_of_one(STRANGER_PENALTY, 1, 0), 1); /* which came of these ten */
    assert_int_equal(told_of_one(STRANGER_CONNECTED, 30, 0), STRANGERS_SOURCE);
    assert_int_equal(told(STRANGER_AUTH_FAILED, 30, 0, 0), 30); /* others are not hit */
    assert_int_equal(told_of_one(STRANGER_TLS_NOT, 30, STRANGERS_MINUTE_MS), STRANGERS_SOURCE);
}

static void greetings_leave_room(void **state)
{
    (void)state;
    assert_int_equal(told(STRANGER_CONNECTED, 200, 0, 0), STRANGERS_GREETINGS);
    assert_int_equal(told(STRANGER_AUTH_FAILED, 200, 0, 0), STRANGERS_LINES - STRANGERS_GREETINGS);
    assert_int_equal(told(STRANGER_CONNECTED, 200, 300, STRANGERS_MINUTE_MS), STRANGERS_GREETINGS);
}

static void what_was_left_out_is_counted_by_kind(void **state)
{
    (void)state;
    assert_int_equal(strangers_sum_up(&s, sum), 0);
    (void)told(STRANGER_AUTH_FAILED, 91, 0, 0);
    (void)told(STRANGER_LIMIT, 2, 100, 0);
    (void)told(STRANGER_CONNECTED, 7, 200, 0);
    assert_int_equal(strangers_sum_up(&s, sum), 40);
    assert_string_equal(sum, "connected=7 auth_failed=31 limit=2");
    assert_int_equal(strangers_sum_up(&s, sum), 0);
}

static void counts_end_at_the_largest(void **state)
{
    (void)state;
    for (int kind = 0; kind < STRANGER_KINDS; kind++)
        s.left_out[kind] = UINT32_MAX;
    (void)told(STRANGER_LEFT, STRANGERS_LINES + 1, 0, 0);
    assert_int_equal(strangers_sum_up(&s, sum), UINT32_MAX);
    assert_in_range(strlen(sum), 150, STRANGERS_SUM_BUF - 1);
    assert_non_null(strstr(sum, " left=4294967295 "));
}

/* The log has a row for each, with the same word. */
static void words_are_those_of_the_log(void **state)
{
    (void)state;
    for (int kind = 0; kind < STRANGER_KINDS; kind++) {
        char word[64];
        bool found = false;
        (void)snprintf(word, sizeof word, "stranger_%s", stranger_word((enum stranger_kind)kind));
        for (int i = 0; i < EVENTS_COUNT; i++)
            found = found || strcmp(event_table[i].word, word) == 0;
        if (!found)
            fail_msg("no event %s", word);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, fresh)
    const struct CMUnitTest tests[] = {
        T(sixty_a_minute_whatever_they_are),     T(no_minute_has_more),
        T(one_source_has_ten_and_its_greetings), T(greetings_leave_room),
        T(what_was_left_out_is_counted_by_kind), T(counts_end_at_the_largest),
        T(words_are_those_of_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
