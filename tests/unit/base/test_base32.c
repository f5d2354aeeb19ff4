/* SPDX-License-Identifier: MIT */
/* Base32, both ways, and what is none. */
#include "base/base32.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

/* RFC 4648, section 10, in lower case and without padding. */
static void the_vectors_of_the_rfc(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "my"},
        {"fo", "mzxq"},
        {"foo", "mzxw6"},
        {"foob", "mzxw6yq"},
        {"fooba", "mzxw6ytb"},
        {"foobar", "mzxw6ytboi"},
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const char *bytes = vectors[i][0], *want = vectors[i][1];
        size_t n = strlen(bytes), len = strlen(want);
        char text[32], back[32] = "";
        assert_int_equal(BASE32_LEN(n), len);
        assert_int_equal(len * 5 / 8, n);
        memset(text, '!', sizeof text);
        base32_put(text, bytes, n);
        assert_memory_equal(text, want, len);
        assert_int_equal(text[len], '!');
        assert_true(base32_get(back, want, n));
        assert_string_equal(back, bytes);
    }
}

static void every_byte_there_and_back_at_every_length(void **state)
{
    (void)state;
    uint8_t in[256], out[257];
    char text[BASE32_LEN(256) + 1];
    for (size_t i = 0; i < 256; i++)
        in[i] = (uint8_t)(i * 167 + 13);
    for (size_t n = 0; n <= 256; n++) {
        memset(text, '!', sizeof text);
        memset(out, 0x5a, sizeof out);
        base32_put(text, in, n);
        assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz234567"), BASE32_LEN(n));
        assert_true(base32_get(out, text, n));
        assert_memory_equal(in, out, n);
        assert_int_equal(out[n], 0x5a);
    }
}

/* Each place is looked at, and one text only is taken for the same bytes. */
static void other_characters_are_none(void **state)
{
    (void)state;
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < 8; at++) {
            uint8_t out[5];
            char text[] = "mzxw6ytb";
            text[at] = (char)c;
            assert_int_equal(base32_get(out, text, 5), c != 0 && strchr(digits, c) != NULL);
        }
    for (size_t n = 1; n < 5; n++) { /* the last character has 5 * len - 8 * n bits too many */
        unsigned taken = 0, spare = (unsigned)(5 * BASE32_LEN(n) - 8 * n);
        for (const char *last = digits; *last; last++) {
            uint8_t out[5];
            char text[] = "aaaaaaaa";
            text[BASE32_LEN(n) - 1] = *last;
            taken += base32_get(out, text, n);
        }
        assert_int_equal(taken, 32u >> spare);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(every_byte_there_and_back_at_every_length),
        cmocka_unit_test(other_characters_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
