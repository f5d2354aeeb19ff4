/* SPDX-License-Identifier: MIT */
/* proto/known_file: who is known, kept as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/known_file.h"

enum { WALL = 1700000000, LATER = 5000, DAY = KNOWN_MS / 1000 };

static const uint8_t key[KEYED_HASH_KEY_BYTES] = "0123456789abcde";
static struct known k, back;
static uint8_t bytes[KNOWN_FILE_MAX + 1];
static size_t size;

static int setup(void **state)
{
    uint8_t other[KEYED_HASH_KEY_BYTES] = {1};
    (void)state;
    known_init(&k, key);
    known_init(&back, other);
    known_add(&k, "192.0.2.1", "nas", 1000);
    known_add(&k, "192.0.2.2", "", 1000);
    size = known_file_write(&k, 1000, WALL, bytes);
    return 0;
}

static void what_was_written_is_known_again(void **state)
{
    (void)state;
    assert_int_equal(size, KNOWN_FILE_HEAD + 3 * KNOWN_FILE_ENTRY + KNOWN_FILE_MARK);
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_OK);
    assert_true(known_source(&back, "192.0.2.1", LATER));
    assert_true(known_source(&back, "192.0.2.2", LATER));
    assert_false(known_source(&back, "192.0.2.3", LATER));
    assert_true(known_id(&back, "192.0.2.1", "nas", LATER) ==
                known_id(&k, "192.0.2.1", "nas", 1000));
    assert_int_equal(back.next_source, 2);
}

static void time_goes_on_while_we_are_away(void **state)
{
    (void)state;
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL + DAY - 1), KNOWN_FILE_OK);
    assert_true(known_source(&back, "192.0.2.1", LATER + 999));
    assert_false(known_source(&back, "192.0.2.1", LATER + 1000));
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL + DAY), KNOWN_FILE_OK);
    assert_false(known_source(&back, "192.0.2.1", LATER));
    assert_int_equal(back.next_source, 0); /* what is over takes no place */
}

static void a_file_of_the_future_is_refused(void **state)
{
    (void)state;
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL - 1), KNOWN_FILE_FUTURE);
    assert_false(known_source(&back, "192.0.2.1", LATER));
}

static void more_than_a_day_is_refused(void **state)
{
    (void)state;
    k.sources[0].before = 1000 + KNOWN_MS + 1000;
    size = known_file_write(&k, 1000, WALL, bytes);
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_DAMAGED);
    assert_false(known_source(&back, "192.0.2.2", LATER));
}

static void whatever_is_cut_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n <= size + 1; n++)
        if (n != size)
            assert_int_equal(known_file_parse(&back, bytes, n, LATER, WALL), KNOWN_FILE_DAMAGED);
    assert_false(known_source(&back, "192.0.2.1", LATER));
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_false(known_source(&back, "192.0.2.1", LATER));
}

static void a_full_table_keeps_its_order(void **state)
{
    char source[32];
    (void)state;
    for (int i = 0; i <= KNOWN_SOURCES; i++) {
        (void)snprintf(source, sizeof source, "10.0.%d.%d", i / 256, i % 256);
        known_add(&k, source, "x", 1000);
    }
    size = known_file_write(&k, 1000, WALL, bytes);
    assert_int_equal(size, KNOWN_FILE_MAX);
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_OK);
    assert_false(known_source(&back, "10.0.0.0", LATER));
    assert_true(known_source(&back, "10.0.0.1", LATER));
    known_add(&back, "192.0.2.9", "", LATER); /* takes the place of the one made first */
    assert_false(known_source(&back, "10.0.0.1", LATER));
    assert_true(known_source(&back, "10.0.0.2", LATER));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(what_was_written_is_known_again), T(time_goes_on_while_we_are_away),
        T(a_file_of_the_future_is_refused), T(more_than_a_day_is_refused),
        T(whatever_is_cut_is_refused),      T(every_flipped_bit_is_seen),
        T(a_full_table_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
