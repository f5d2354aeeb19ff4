/* SPDX-License-Identifier: MIT */
/* proto/known: who has proved itself in the last day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/known.h"

static const uint8_t key[KEYED_HASH_KEY_BYTES] = "0123456789abcde";
static struct known k;

static int setup(void **state)
{
    (void)state;
    known_init(&k, key);
    return 0;
}

static void a_source_is_known_for_a_day(void **state)
{
    (void)state;
    assert_false(known_source(&k, "192.0.2.1", 1000));
    known_add(&k, "192.0.2.1", "", 1000);
    assert_true(known_source(&k, "192.0.2.1", 1000));
    assert_true(known_source(&k, "192.0.2.1", 1000 + KNOWN_MS - 1));
    assert_false(known_source(&k, "192.0.2.1", 1000 + KNOWN_MS));
    assert_false(known_source(&k, "192.0.2.2", 1000));
    known_add(&k, "192.0.2.1", "", 5000); /* the same entry, from the last proof on */
    assert_true(known_source(&k, "192.0.2.1", 5000 + KNOWN_MS - 1));
    assert_int_equal(k.next_source, 1);
}

static void an_id_is_known_where_it_came_from(void **state)
{
    (void)state;
    known_add(&k, "192.0.2.1", "nas", 1000);
    uint64_t nas = known_id(&k, "192.0.2.1", "nas", 1000);
    assert_true(nas != 0);
    assert_true(known_source(&k, "192.0.2.1", 1000));
    assert_true(known_id(&k, "192.0.2.2", "nas", 1000) == 0);
    assert_true(known_id(&k, "192.0.2.1", "web", 1000) == 0);
    assert_true(known_id(&k, "192.0.2.1", "", 1000) == 0);
    assert_true(known_id(&k, "192.0.2.1", "nas", 1000 + KNOWN_MS) == 0);
    known_add(&k, "192.0.2.1", "web", 2000);
    assert_true(known_id(&k, "192.0.2.1", "web", 2000) != nas);
    assert_true(known_id(&k, "192.0.2.1", "nas", 2000) == nas);
}

static void who_is_new_is_told_from_who_comes_again(void **state)
{
    (void)state;
    assert_true(known_add(&k, "192.0.2.1", "", 1000));
    assert_false(known_add(&k, "192.0.2.1", "", 1001));
    assert_true(known_add(&k, "192.0.2.1", "nas", 1002));
    assert_false(known_add(&k, "192.0.2.1", "nas", 1003));
    assert_true(known_add(&k, "192.0.2.2", "nas", 1004));
    assert_true(known_add(&k, "192.0.2.1", "nas", 1003 + KNOWN_MS)); /* forgotten meanwhile */
}

static void beyond_the_bound_the_first_is_forgotten(void **state)
{
    (void)state;
    char source[32];
    for (int i = 0; i <= KNOWN_SOURCES; i++) {
        (void)snprintf(source, sizeof source, "10.0.%d.%d", i / 256, i % 256);
        for (int twice = 0; twice < 2; twice++)
            known_add(&k, source, "nas", 1000 + i);
    }
    assert_false(known_source(&k, "10.0.0.0", 2000));
    assert_true(known_source(&k, "10.0.0.1", 2000));
    assert_true(known_source(&k, source, 2000));
    assert_true(known_id(&k, "10.0.0.0", "nas", 2000) == 0);
    assert_true(known_id(&k, "10.0.0.1", "nas", 2000) != 0);
}

/* Whoever has many names pushes out his own. */
static void a_source_with_many_ids_forgets_its_own(void **state)
{
    (void)state;
    char id[32];
    known_add(&k, "192.0.2.1", "nas", 1000);
    for (int i = 0; i < 10 * KNOWN_IDS; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        known_add(&k, "192.0.2.2", id, 1001 + i);
    }
    assert_true(known_id(&k, "192.0.2.1", "nas", 20000) != 0);
    assert_true(known_id(&k, "192.0.2.2", "id-0", 20000) == 0);
    int at = 10 * KNOWN_IDS - KNOWN_IDS_OF_SOURCE;
    (void)snprintf(id, sizeof id, "id-%d", at - 1);
    assert_true(known_id(&k, "192.0.2.2", id, 20000) == 0);
    (void)snprintf(id, sizeof id, "id-%d", at);
    assert_true(known_id(&k, "192.0.2.2", id, 20000) != 0);
}

static void another_key_gives_other_numbers(void **state)
{
    (void)state;
    known_add(&k, "192.0.2.1", "nas", 1000);
    uint64_t one = known_id(&k, "192.0.2.1", "nas", 1000);
    uint8_t other[KEYED_HASH_KEY_BYTES] = {1};
    known_init(&k, other);
    assert_false(known_source(&k, "192.0.2.1", 1000));
    known_add(&k, "192.0.2.1", "nas", 1000);
    assert_true(known_id(&k, "192.0.2.1", "nas", 1000) != one);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(who_is_new_is_told_from_who_comes_again), T(a_source_is_known_for_a_day),
        T(an_id_is_known_where_it_came_from),       T(beyond_the_bound_the_first_is_forgotten),
        T(a_source_with_many_ids_forgets_its_own),  T(another_key_gives_other_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
