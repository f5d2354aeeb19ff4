/* SPDX-License-Identifier: MIT */
/* proto/known_file: who is known, kept as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

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
    uint64_t wall = WALL - KNOWN_FILE_SKEW_S - 1;
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, wall), KNOWN_FILE_FUTURE);
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, 0), KNOWN_FILE_FUTURE);
    assert_false(known_source(&back, "192.0.2.1", LATER));
}

static void a_clock_a_little_behind_gives_no_time_away(void **state)
{
    (void)state;
    uint64_t wall = WALL - KNOWN_FILE_SKEW_S;
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, wall), KNOWN_FILE_OK);
    assert_true(known_source(&back, "192.0.2.1", LATER + KNOWN_MS - 1));
    assert_false(known_source(&back, "192.0.2.1", LATER + KNOWN_MS));
}

/* However often a server starts with a clock that stands still. */
static void no_chain_of_restarts_makes_a_day_longer(void **state)
{
    (void)state;
    for (int hour = 0; hour < 24; hour++) {
        mtime_ms end = LATER + 3600 * 1000;
        assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_OK);
        assert_true(known_source(&back, "192.0.2.1", LATER));
        size = known_file_write(&back, end, WALL, bytes);
    }
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_OK);
    assert_false(known_source(&back, "192.0.2.1", LATER));
}

/* Bytes that were changed, and not by damage. */
static void sign(void)
{
    size_t end = size - KNOWN_FILE_MARK;
    HMAC(EVP_sha256(), bytes + 8, KEYED_HASH_KEY_BYTES, bytes, end, bytes + end, NULL);
}

static void another_version_is_told_from_damage(void **state)
{
    (void)state;
    bytes[7] = '2';
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_VERSION);
    assert_int_equal(known_file_parse(&back, bytes, 8, LATER, WALL), KNOWN_FILE_VERSION);
    sign();
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_VERSION);
    assert_false(known_source(&back, "192.0.2.1", LATER));
}

static void more_than_there_is_room_for_is_refused(void **state)
{
    (void)state;
    memcpy(bytes + 32, "\xff\xff\xff\xff\x04\x00\x00\x00", 8); /* in 32 bits they are 3 again */
    sign();
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_DAMAGED);
    memcpy(bytes + 32, "\x04\x00\x00\x00\xff\xff\xff\xff", 8);
    sign();
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_DAMAGED);
}

static void what_no_server_writes_is_refused(void **state)
{
    static const size_t at[] = {0, 8, 16, KNOWN_FILE_ENTRY * 2 + 8}; /* of the entries */
    (void)state;
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        uint8_t before[8], *p = bytes + KNOWN_FILE_HEAD + at[i];
        memcpy(before, p, sizeof before);
        memset(p, 0, sizeof before);
        sign();
        assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_DAMAGED);
        memcpy(p, before, sizeof before);
    }
    bytes[KNOWN_FILE_HEAD + 8] ^= 1; /* a source that is another's */
    sign();
    assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL), KNOWN_FILE_DAMAGED);
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
        if (n != size) {
            uint8_t *cut = malloc(n ? n : 1); /* of its own size: a read beyond it is seen */
            assert_non_null(cut);
            memcpy(cut, bytes, n);
            assert_int_equal(known_file_parse(&back, cut, n, LATER, WALL), KNOWN_FILE_DAMAGED);
            free(cut);
        }
    assert_false(known_source(&back, "192.0.2.1", LATER));
}

static void every_flipped_bit_is_seen(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(known_file_parse(&back, bytes, size, LATER, WALL),
                         bit / 8 == 7 ? KNOWN_FILE_VERSION : KNOWN_FILE_DAMAGED);
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
        T(what_was_written_is_known_again),
        T(time_goes_on_while_we_are_away),
        T(a_file_of_the_future_is_refused),
        T(a_clock_a_little_behind_gives_no_time_away),
        T(no_chain_of_restarts_makes_a_day_longer),
        T(another_version_is_told_from_damage),
        T(more_than_there_is_room_for_is_refused),
        T(what_no_server_writes_is_refused),
        T(more_than_a_day_is_refused),
        T(whatever_is_cut_is_refused),
        T(every_flipped_bit_is_seen),
        T(a_full_table_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
