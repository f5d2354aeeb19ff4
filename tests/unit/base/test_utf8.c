/* SPDX-License-Identifier: MIT */
/* UTF-8: every character, and what is none. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* As RFC 3629 section 3 writes it down; surrogates and numbers above U+10FFFF, too. */
static size_t encode(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(first[n] | c);
    return n;
}

static void every_character(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        uint8_t text[4];
        uint32_t got = 0xffffffff;
        size_t n = encode(text, c);
        bool good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        for (size_t have = 0; have <= n; have++) {
            size_t want = good && have == n ? n : 0;
            if (utf8_get(&got, text, have) != want || got != (want ? c : 0xffffffff))
                fail_msg("U+%04X, %zu bytes", (unsigned)c, have);
        }
    }
}

static void what_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf5\x80\x80",
        "\xff",
        "\xc3(",
        "\xe4\xb8(",
        "\xf0\x9f\x98(",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xc3\xc3",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint32_t c = 7;
        assert_int_equal(utf8_get(&c, wrong[i], strlen(wrong[i])), 0);
        assert_int_equal(c, 7);
    }
}

static void only_the_first_one_counts(void **state)
{
    (void)state;
    uint32_t c;
    assert_int_equal(utf8_get(&c, "a\xff", 2), 1);
    assert_int_equal(utf8_get(&c, "\xc3\xa4\xff", 3), 2);
    assert_int_equal(c, 0xe4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(only_the_first_one_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
