/* SPDX-License-Identifier: MIT */
/* Go's notations: integers, durations, quoted text. Every expected value was printed by Go 1.19. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/duration.h"
#include "conf/number.h"
#include "conf/quote.h"
#include "conf/size.h"

/* ---- integers ---- */

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        int64_t value;
    } rows[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"0_7", 0, 7},
        {"0x_1", 0, 1},
        {"0b_1_0", 0, 2},
        {"-0xff", 0, -255},
        {"00", 0, 0},
        {"1_000_000", 0, 1000000},
        {"0o777", 0, 511},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775807", 0, INT64_MAX},
        {"0x7fffffffffffffff", 0, INT64_MAX},
        {"9223372036854775808", ERR_RANGE, 0},
        {"-9223372036854775809", ERR_RANGE, 0},
        {"18446744073709551616", ERR_RANGE, 0},
        {"99999999999999999999x", ERR_RANGE, 0}, /* too large before it is malformed */
        {"9223372036854775808x", ERR_INVAL, 0},  /* fits into 64 bits without a sign */
        {"", ERR_INVAL, 0},
        {"-", ERR_INVAL, 0},
        {"+-1", ERR_INVAL, 0},
        {"0x", ERR_INVAL, 0},
        {"0b2", ERR_INVAL, 0},
        {"0o8", ERR_INVAL, 0},
        {"1_", ERR_INVAL, 0},
        {"0x1__2", ERR_INVAL, 0},
        {"0x1_", ERR_INVAL, 0},
        {"1a", ERR_INVAL, 0},
        {"1\n", ERR_INVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t value = 42;
        print_message("%s\n", rows[i].text);
        assert_int_equal(number_parse(rows[i].text, &value), rows[i].err);
        assert_true(value == (rows[i].err ? 42 : rows[i].value)); /* untouched by an error */
    }
}

/* ---- sizes (ours, not Go's) ---- */

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        int64_t value;
    } rows[] = {
        {"0", 0, 0},
        {"1", 0, 1},
        {"5B", 0, 5},
        {"64M", 0, 64 << 20},
        {"64m", 0, 64 << 20},
        {"64MB", 0, 64 << 20},
        {"64MiB", 0, 64 << 20},
        {"64mib", 0, 64 << 20},
        {"3K", 0, 3072},
        {"1G", 0, 1 << 30},
        {"2T", 0, INT64_C(2) << 40},
        {"8388607T", 0, INT64_C(8388607) << 40},
        {"8388608T", ERR_RANGE, 0},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", ERR_RANGE, 0},
        {"99999999999999999999999", ERR_RANGE, 0},
        {"", ERR_INVAL, 0},
        {"M", ERR_INVAL, 0},
        {"-1M", ERR_INVAL, 0},
        {"+1M", ERR_INVAL, 0},
        {" 1M", ERR_INVAL, 0},
        {"1 M", ERR_INVAL, 0},
        {"1.5G", ERR_INVAL, 0},
        {"1Mi", ERR_INVAL, 0},
        {"1MBB", ERR_INVAL, 0},
        {"1iB", ERR_INVAL, 0},
        {"1P", ERR_INVAL, 0},
        {"1M ", ERR_INVAL, 0},
        {"0x10M", ERR_INVAL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t n = -7;
        assert_int_equal(size_parse(rows[i].text, &n), rows[i].err);
        assert_true(n == (rows[i].err < 0 ? -7 : rows[i].value));
    }
}

/* ---- durations ---- */

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"0", 0},
        {"1.000000001s", 1000000001},
        {"1.0000000019s", 1000000001}, /* cut, not rounded */
        {"0.5ns", 0},
        {".1us", 100},
        {"1h0s", 3600000000000},
        {"-1h30m", -5400000000000},
        {"0.9223372036854775807h", 3320413933267},
        {"0.00000000000000000000000001h", 0},
        {"1.99999999999999999999999999s", 2000000000},
        {"-2562047h47m16.854775808s", INT64_MIN},
        {"-9223372036854775808ns", INT64_MIN},
        {"9223372036854775807ns", INT64_MAX},
        {"9223372036s854ms775us807ns", INT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ns = 42;
        print_message("%s\n", rows[i].text);
        assert_int_equal(duration_parse(rows[i].text, &ns), 0);
        assert_true(ns == rows[i].ns);
    }
}

static void durations_that_are_none(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "-",
        "+",
        "00",
        "0.",
        "s",
        ".s",
        "1",
        "1.5",
        "1ss",
        "1 s",
        "1s ",
        "1S",
        "1sm2",
        "1h-1s",
        "--1s",
        "1,5s",
        "1e3s",
        "1.2.3s",
        "9223372036854775808ns",
        "9223372037s",
        "2562048h",
        "-2562048h",
        "18446744073709551617ns",
        "9223372036s854ms775us808ns",
        "1\xc2s",
        "1\xb5s",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ns = 42;
        print_message("%s\n", rows[i]);
        assert_int_equal(duration_parse(rows[i], &ns), ERR_INVAL);
        assert_true(ns == 42);
    }
}

/* ---- quoted text ---- */

static void text_is_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *quoted;
    } rows[] = {
        {"", "\"\""},
        {"plain text", "\"plain text\""},
        {"a\"b\\c'd", "\"a\\\"b\\\\c'd\""},
        {"\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\""},
        {"\x01\x1b[0m\x7f", "\"\\x01\\x1b[0m\\x7f\""},
        {"é日本😀", "\"é日本😀\""},
        {"\xff\xc3(", "\"\\xff\\xc3(\""},                          /* not UTF-8 */
        {"\xc0\x80\xe0\x80\x80", "\"\\xc0\\x80\\xe0\\x80\\x80\""}, /* overlong */
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},                   /* surrogate */
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""},          /* above U+10FFFF */
        {"\xe6\x97", "\"\\xe6\\x97\""},                            /* cut off */
        {"\xc2\x80\xc2\xa0\xc2\xad", "\"\\u0080\\u00a0\\u00ad\""},
        {"\u200b\u202e\u3000\ufeff", "\"\\u200b\\u202e\\u3000\\ufeff\""},
        {"\ufffd", "\"\ufffd\""},
        {"\U000e0001\U0010ffff", "\"\\U000e0001\\U0010ffff\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[128];
        assert_int_equal(quote(out, sizeof out, rows[i].text), strlen(rows[i].quoted));
        assert_string_equal(out, rows[i].quoted);
    }
}

static void a_quote_fits_into_any_room(void **state)
{
    (void)state;
    static const char text[] = "a\n日\xff\u202e";
    char whole[64], out[64];
    size_t n = quote(whole, sizeof whole, text);
    for (size_t room = 0; room <= n + 1; room++) {
        memset(out, '#', sizeof out);
        assert_int_equal(quote(out, room, text), n);
        if (room > 0) {
            assert_memory_equal(out, whole, room - 1);
            assert_int_equal(out[room - 1], '\0');
        }
        assert_int_equal(out[room], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),           cmocka_unit_test(sizes),
        cmocka_unit_test(durations_are_read), cmocka_unit_test(durations_that_are_none),
        cmocka_unit_test(text_is_quoted),     cmocka_unit_test(a_quote_fits_into_any_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
