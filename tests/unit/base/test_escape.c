/* SPDX-License-Identifier: MIT */
/* D28: text of a peer cannot forge a log line, move the cursor or grow without bound. */
#include "base/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

/* The escaped form of text, read from a copy of its own size. */
static const char *escaped(const void *text, size_t n)
{
    static char out[ESCAPE_BUF];
    uint8_t *copy = calloc(1, n ? n : 1);
    memset(out, '#', sizeof out);
    if (n > 0)
        memcpy(copy, text, n);
    assert_ptr_equal(escape_text(out, copy, n), out);
    assert_int_equal(n > 0 ? memcmp(copy, text, n) : 0, 0);
    free(copy);
    assert_non_null(memchr(out, '\0', sizeof out));
    return out;
}

static void printable_text_is_kept(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "listen tcp :80: bind: permission denied",
        "成功在 [::]:8080 上监听, 准备转发流量",
        "caf\u00e9 \u20ac \U0001F600 ~",
        "\u00a0\uffee\U00010000",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(escaped(rows[i], strlen(rows[i])), rows[i]);
}

static void d28_controls_become_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
        size_t n;
    } rows[] = {
#define ROW(text, want) {text, want, sizeof text - 1}
        ROW("a\nb", "a\\nb"),
        ROW("\r\t", "\\r\\t"),
        ROW("\x1b[2J", "\\x1b[2J"),
        ROW("\x1b]0;x\a", "\\x1b]0;x\\x07"),
        ROW("\0", "\\x00"),
        ROW("\x1f\x20\x7e\x7f", "\\x1f ~\\x7f"),
        ROW("say \"no\"", "say \\\"no\\\""),
        ROW("\\n", "\\\\n"),
        ROW("\xc2\x9b", "\\xc2\\x9b"),                   /* CSI as one character */
        ROW("\xe2\x80\xae", "\\xe2\\x80\\xae"),          /* right-to-left override */
        ROW("\xe2\x81\xa6x", "\\xe2\\x81\\xa6x"),        /* isolate */
        ROW("\xe2\x80\xa8", "\\xe2\\x80\\xa8"),          /* line separator */
        ROW("\xef\xbb\xbf", "\\xef\\xbb\\xbf"),          /* byte order mark */
        ROW("\xf3\xa0\x80\x81", "\\xf3\\xa0\\x80\\x81"), /* tag */
        ROW("\xf0\x9f\xbf\xbf", "\\xf0\\x9f\\xbf\\xbf"), /* U+1FFFF */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(escaped(rows[i].text, rows[i].n), rows[i].want);
}

static void invalid_utf8_becomes_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"\x80", "\\x80"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc0\x8a", "\\xc0\\x8a"}, /* newline, overlong */
        {"\xe0\x80\x8a", "\\xe0\\x80\\x8a"},
        {"\xe0\x9f\xbf", "\\xe0\\x9f\\xbf"},
        {"\xf0\x80\x80\x8a", "\\xf0\\x80\\x80\\x8a"},
        {"\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},
        {"\xe4\xb8", "\\xe4\\xb8"}, /* cut */
        {"\xe4\xb8x", "\\xe4\\xb8x"},
        {"\xe4\n\xad", "\\xe4\\n\\xad"},
        {"\xe4\xb8\xad\xad", "\xe4\xb8\xad\\xad"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(escaped(rows[i].text, strlen(rows[i].text)), rows[i].want);
}

/* Every cut of a valid character is invalid, the whole is not: no read beyond n (sanitizer). */
static void every_truncation_of_a_character(void **state)
{
    (void)state;
    static const char *const rows[] = {"\u00e9", "\u4e2d", "\U0001F600"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i]);
        for (size_t k = 1; k < n; k++)
            assert_int_equal(strlen(escaped(rows[i], k)), 4 * k);
        assert_string_equal(escaped(rows[i], n), rows[i]);
    }
}

/* n times unit, ESCAPE_MAX bytes or a little more, with lead in front to shift the cut. */
static void check_cut(const char *unit, const char *shown, size_t lead)
{
    char text[4 * ESCAPE_MAX];
    size_t n = lead;
    memset(text, 'x', lead);
    for (; n < sizeof text - 8; n += strlen(unit))
        memcpy(text + n, unit, strlen(unit));
    size_t room = (ESCAPE_MAX - lead) / strlen(shown);
    const char *out = escaped(text, n);
    assert_int_equal(strlen(out), lead + room * strlen(shown) + 3);
    assert_string_equal(out + strlen(out) - 3, "...");
    for (size_t i = 0; i < room; i++)
        assert_memory_equal(out + lead + i * strlen(shown), shown, strlen(shown));
}

static void d28_long_text_is_cut_between_units(void **state)
{
    (void)state;
    for (size_t lead = 0; lead < 20; lead++) {
        check_cut("y", "y", lead);
        check_cut("\n", "\\n", lead);
        check_cut("\x01", "\\x01", lead);
        check_cut("\u4e2d", "\u4e2d", lead);
        check_cut("\U0001F600", "\U0001F600", lead);
        check_cut("\u202e", "\\xe2\\x80\\xae", lead);
    }
}

static void text_that_just_fits_has_no_mark(void **state)
{
    (void)state;
    char text[ESCAPE_MAX + 1];
    memset(text, 'z', sizeof text);
    assert_int_equal(strlen(escaped(text, ESCAPE_MAX)), ESCAPE_MAX);
    assert_null(strstr(escaped(text, ESCAPE_MAX), "..."));
    assert_non_null(strstr(escaped(text, ESCAPE_MAX + 1), "..."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printable_text_is_kept),
        cmocka_unit_test(d28_controls_become_escapes),
        cmocka_unit_test(invalid_utf8_becomes_escapes),
        cmocka_unit_test(every_truncation_of_a_character),
        cmocka_unit_test(d28_long_text_is_cut_between_units),
        cmocka_unit_test(text_that_just_fits_has_no_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
