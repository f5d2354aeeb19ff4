/* SPDX-License-Identifier: MIT */
/* proto/homes: where clients with a session are at home. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "proto/homes.h"

static const uint8_t key[KEYED_HASH_KEY_BYTES] = "0123456789abcde";
static struct homes h;

static int setup(void **state)
{
    (void)state;
    homes_init(&h, key);
    return 0;
}

/* Each test has everybody leave: then there is no memory left, which a sanitizer would report. */
static int teardown(void **state)
{
    (void)state;
    assert_int_equal(map_count(&h.sources), 0);
    return 0;
}

static void a_session_is_at_home_where_it_came_last(void **state)
{
    struct home e = {.others.next = NULL};
    (void)state;
    assert_false(homes_has(&h, "192.0.2.1"));
    homes_enter(&h, &e, "192.0.2.1");
    assert_true(homes_has(&h, "192.0.2.1"));
    assert_false(homes_has(&h, "192.0.2.2"));
    homes_enter(&h, &e, "192.0.2.2");
    assert_false(homes_has(&h, "192.0.2.1"));
    assert_true(homes_has(&h, "192.0.2.2"));
    homes_enter(&h, &e, "192.0.2.2");
    assert_true(homes_has(&h, "192.0.2.2"));
    homes_leave(&h, &e);
    assert_false(homes_has(&h, "192.0.2.2"));
    homes_leave(&h, &e); /* harmless */
}

/* In whatever order they go. */
static void a_source_is_a_home_until_its_last_has_left(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct home three[3];
    (void)state;
    memset(three, 0, sizeof three);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        for (int e = 0; e < 3; e++)
            homes_enter(&h, &three[e], "192.0.2.1");
        for (int e = 0; e < 3; e++) {
            assert_true(homes_has(&h, "192.0.2.1"));
            homes_leave(&h, &three[orders[i][e]]);
        }
        assert_false(homes_has(&h, "192.0.2.1"));
    }
}

enum { SESSIONS = 5000, SOURCES = 3000 };

static const char *source_of(int n)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "10.0.%d.%d", n / 256, n % 256);
    return text;
}

/* Beside plain counters, as they come, roam and go. */
static void none_of_many_is_lost(void **state)
{
    static struct home e[SESSIONS];
    static int at[SESSIONS], there[SOURCES];
    struct rng rng;
    (void)state;
    rng_seed(&rng, 1);
    for (int i = 0; i < 20 * SESSIONS; i++) {
        int s = (int)rng_below(&rng, SESSIONS), to = (int)rng_below(&rng, SOURCES);
        there[at[s]] -= e[s].others.next != NULL;
        if (rng_below(&rng, 4) == 0) {
            homes_leave(&h, &e[s]);
        } else {
            homes_enter(&h, &e[s], source_of(to));
            at[s] = to;
            there[to]++;
        }
    }
    for (int n = 0; n < SOURCES; n++)
        assert_int_equal(homes_has(&h, source_of(n)), there[n] > 0);
    for (int s = 0; s < SESSIONS; s++)
        homes_leave(&h, &e[s]);
}

static void another_key_gives_other_numbers(void **state)
{
    struct home e = {.others.next = NULL};
    uint8_t other[KEYED_HASH_KEY_BYTES] = {1};
    (void)state;
    homes_enter(&h, &e, "192.0.2.1");
    memcpy(h.key, other, sizeof other);
    assert_false(homes_has(&h, "192.0.2.1"));
    homes_leave(&h, &e);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_session_is_at_home_where_it_came_last),
        T(a_source_is_a_home_until_its_last_has_left),
        T(none_of_many_is_lost),
        T(another_key_gives_other_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
