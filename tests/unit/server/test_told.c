/* SPDX-License-Identifier: MIT */
/* Budgets of lines by who causes them: whose they are, and how many there are. */
#include "server/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct told *told;

static int setup(void **state)
{
    struct rng rng;
    (void)state;
    rng_seed(&rng, 1);
    told = calloc(1, sizeof *told);
    assert_non_null(told);
    told_init(told, &rng);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(told);
    return 0;
}

/* How many of n lines are written. */
static unsigned lines(const char *key, const char *source, enum told_kind kind, mtime_ms now,
                      unsigned n)
{
    unsigned left_out, written = 0;
    while (n-- > 0)
        written += told_take(told, key, source, kind, now, &left_out);
    return written;
}

static void a_key_counts_wherever_it_is(void **state)
{
    (void)state;
    assert_int_equal(lines("nas", "192.0.2.1", TOLD_LIFE, 1, 40), 40);
    assert_int_equal(lines("nas", "192.0.2.2", TOLD_LIFE, 1, 40), LOG_BUDGET_BURST - 40);
    assert_int_equal(lines("", "192.0.2.2", TOLD_LIFE, 1, 100), LOG_BUDGET_BURST);
    assert_int_equal(lines("192.0.2.2", "", TOLD_LIFE, 1, 100),
                     LOG_BUDGET_BURST); /* a key's name */
    assert_int_equal(lines("nas", "192.0.2.2", TOLD_USERS, 1, 100),
                     LOG_BUDGET_BURST); /* not hidden */
    assert_int_equal(told_left_out(told, "nas", "192.0.2.9", 1), 20 + 40);
    assert_int_equal(told_left_out(told, "nas", "192.0.2.9", 1), 0);
}

/* As many as there are, and nobody is forgotten before he has all of his lines again. */
static void all_together_are_bounded(void **state)
{
    char source[32];
    unsigned written = 0;
    (void)state;
    for (unsigned i = 0; i < 10 * TOLD_SLOTS; i++) {
        (void)snprintf(source, sizeof source, "source %u", i);
        written += lines("", source, TOLD_LIFE, 1, 2 * LOG_BUDGET_BURST);
    }
    assert_int_equal(written, TOLD_SLOTS * LOG_BUDGET_BURST);
    assert_int_equal(lines("", "source 0", TOLD_LIFE, TOLD_REST_MS, 100), LOG_BUDGET_BURST - 1);
    assert_int_equal(lines("", "source 9999", TOLD_LIFE, 1 + TOLD_REST_MS, 100), LOG_BUDGET_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_counts_wherever_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(all_together_are_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
