/* SPDX-License-Identifier: MIT */
/* Hexadecimal digits, both ways. */
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_byte_there_and_back(void **state)
{
    (void)state;
    uint8_t in[256], out[256];
    char text[513];
    for (size_t i = 0; i < 256; i++)
        in[i] = (uint8_t)i;
    memset(text, '!', sizeof text);
    hex_put(text, in, 256);
    assert_int_equal(text[512], '!');
    assert_memory_equal(text, "000102", 6);
    assert_memory_equal(text + 2 * 0xab, "ab", 2);
    assert_memory_equal(text + 510, "ff", 2);
    assert_true(hex_get(out, text, 256));
    assert_memory_equal(in, out, 256);
}

/* Each place is looked at, and nothing but lower-case digits is taken. */
static void other_characters_are_none(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 4; at++) {
            uint8_t out[2];
            char text[] = "0123";
            text[at] = (char)c;
            bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            assert_int_equal(hex_get(out, text, 2), good);
        }
    }
}

static void nothing_is_nothing(void **state)
{
    (void)state;
    char text[] = "x";
    hex_put(text, "", 0);
    assert_string_equal(text, "x");
    assert_true(hex_get(text, "", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_there_and_back),
        cmocka_unit_test(other_characters_are_none),
        cmocka_unit_test(nothing_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
