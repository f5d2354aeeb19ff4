/* SPDX-License-Identifier: MIT */
/* The secret line: collecting it, and judging it at both ends. */
#include "proto/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static struct auth_line line;

/* Feeds text in pieces of `step`, as far as the line takes it. The last result; *ret_used: all. */
static int feed(const char *text, size_t n, size_t step, size_t *ret_used)
{
    int r = ERR_AGAIN;
    *ret_used = 0;
    auth_line_init(&line);
    while (r == ERR_AGAIN && *ret_used < n) {
        size_t part = n - *ret_used < step ? n - *ret_used : step, used = 0;
        r = auth_line_feed(&line, (const uint8_t *)text + *ret_used, part, &used);
        assert_true(used <= part);
        *ret_used += used;
    }
    return r;
}

static bool matches(const char *sent, const char *secret)
{
    size_t used;
    assert_int_equal(feed(sent, strlen(sent), 1000, &used), 0);
    return auth_line_matches(&line, secret);
}

static void any_split_and_what_follows_is_left_d8(void **state)
{
    (void)state;
    static const char in[] = "s3cr3t\n\2\0\0\0rest";
    for (size_t step = 1; step <= sizeof in; step++) {
        size_t used;
        assert_int_equal(feed(in, sizeof in, step, &used), 0);
        assert_int_equal(used, 7);
        assert_int_equal(auth_line_len(&line), 6);
        assert_memory_equal(auth_line_text(&line), "s3cr3t", 6);
    }
}

static void a_complete_line_takes_no_more(void **state)
{
    (void)state;
    size_t used;
    assert_int_equal(feed("a\n", 2, 2, &used), 0);
    assert_int_equal(auth_line_feed(&line, (const uint8_t *)"b\n", 2, &used), 0);
    assert_int_equal(used, 0);
    assert_int_equal(auth_line_len(&line), 1);
}

static void an_unfinished_line_is_not_one(void **state)
{
    (void)state;
    size_t used;
    assert_int_equal(feed("s3cr3t", 6, 6, &used), ERR_AGAIN);
    assert_false(auth_line_matches(&line, "s3cr3t"));
    assert_int_equal(feed("OK", 2, 2, &used), ERR_AGAIN);
    assert_false(auth_line_is_ok(&line));
}

static void the_longest_line_d12(void **state)
{
    (void)state;
    char text[AUTH_LINE_MAX + 10];
    for (size_t step = 1; step < 5000; step = step * 3 + 1) {
        size_t used;
        memset(text, 'x', sizeof text);
        text[AUTH_LINE_MAX - 1] = '\n';
        assert_int_equal(feed(text, AUTH_LINE_MAX, step, &used), 0);
        assert_int_equal(auth_line_len(&line), AUTH_LINE_MAX - 1);
        text[AUTH_LINE_MAX - 1] = 'x';
        text[AUTH_LINE_MAX] = '\n';
        assert_int_equal(feed(text, AUTH_LINE_MAX + 1, step, &used), ERR_LIMIT);
    }
}

static void what_matches_d10_d11(void **state)
{
    (void)state;
    assert_true(matches("s3cr3t\n", "s3cr3t"));
    assert_true(matches("s3cr3t\r\n", "s3cr3t"));
    assert_true(matches(" \t s3cr3t \v\f\n", "s3cr3t"));
    assert_true(matches("\xc2\xa0s3cr3t\xe3\x80\x80\n", "s3cr3t")); /* U+00A0, U+3000 */
    assert_true(matches(" s3cr3t \n", " s3cr3t ")); /* an old server never takes it */
    assert_true(matches("s3cr3t\r\n", "s3cr3t\r"));
    assert_true(matches("p\xc3\xa4ss\n", "p\xc3\xa4ss"));

    assert_false(matches("\n", "s3cr3t"));
    assert_false(matches("s3cr3\n", "s3cr3t"));
    assert_false(matches("s3cr3tt\n", "s3cr3t"));
    assert_false(matches("S3cr3t\n", "s3cr3t"));
    assert_false(matches("s3 cr3t\n", "s3cr3t"));
    assert_false(matches("s3cr3t\n", " s3cr3t"));    /* only what came is stripped */
    assert_false(matches("\xa0s3cr3t\n", "s3cr3t")); /* a lone byte is not a blank */
    assert_false(matches("\x85s3cr3t\n", "s3cr3t"));
}

/* U+0800 and above only as UTF-8; below that the two-byte form, and ASCII. */
static size_t utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

static bool is_space(unsigned c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

/* Every character of the basic plane around a secret: those that Go's TrimSpace takes, no other. */
static void every_white_space_d11(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 0x10000; c++) {
        char in[16];
        if (c == '\n' || (c >= 0xd800 && c <= 0xdfff))
            continue;
        size_t used, n = utf8(in, c);
        in[n] = 'x';
        assert_int_equal(feed(in, n + 1, 16, &used), ERR_AGAIN);
        memcpy(in + n + 1, "\n", 2);
        assert_int_equal(matches(in, "x"), is_space(c));
        in[0] = 'x';
        n = utf8(in + 1, c);
        memcpy(in + 1 + n, "\n", 2);
        assert_int_equal(matches(in, "x"), is_space(c));
    }
}

/* White space at the ends of the secret itself, sent by a client that ends its line with CR LF. */
static void only_the_cr_goes_d11(void **state)
{
    (void)state;
    assert_true(matches(" s3cr3t\r\n", " s3cr3t"));
    assert_false(matches(" s3cr3t\r\r\n", " s3cr3t"));
}

static void a_zero_byte_is_a_byte(void **state)
{
    (void)state;
    size_t used;
    assert_int_equal(feed("s3cr3t\0x\n", 9, 9, &used), 0);
    assert_int_equal(auth_line_len(&line), 8);
    assert_false(auth_line_matches(&line, "s3cr3t"));
}

static void what_is_ok(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {{"OK\n", true},  {"OK\r\n", true},  {"  OK \n", true},
                {"ok\n", false}, {"OKAY\n", false}, {"O\n", false},
                {"\n", false},   {"O K\n", false},  {"ERROR: Invalid Secret\n", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t used;
        assert_int_equal(feed(rows[i].text, strlen(rows[i].text), 1, &used), 0);
        assert_int_equal(auth_line_is_ok(&line), rows[i].ok);
    }
}

static void wiping_leaves_nothing(void **state)
{
    (void)state;
    size_t used;
    static const struct auth_line zero;
    assert_int_equal(feed("s3cr3t\n", 7, 7, &used), 0);
    auth_line_wipe(&line);
    assert_int_equal(auth_line_len(&line), 0);
    assert_memory_equal(line.text, zero.text, sizeof line.text);
}

static void an_http_request_is_told_from_a_secret(void **state)
{
    static const struct {
        const char *line;
        bool is_http;
    } rows[] = {
        {"GET / HTTP/1.1\r\n", true},
        {"GET / HTTP/1.1\n", true},
        {"OPTIONS * HTTP/1.0\n", true},
        {"GET http://a/b?c=d HTTP/1.1\n", true},
        {"PRI * HTTP/2.0\r\n", true},
        {"A b HTTP/1.1\n", true},
        {"GET  HTTP/1.1\n", true},
        {"GET HTTP/1.1\n", false},
        {"GET /\n", false},
        {"get / HTTP/1.1\n", false},
        {" HTTP/1.1\n", false},
        {"HTTP/1.1\n", false},
        {"GET / HTTP/1.1 x\n", false},
        {"\n", false},
        {"s3cr3t HTTP/1.1\n", false},
        {"GET", false}, /* not complete */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t used;
        (void)!feed(rows[i].line, strlen(rows[i].line), 3, &used);
        assert_int_equal(auth_line_is_http(&line), rows[i].is_http);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_http_request_is_told_from_a_secret),
        cmocka_unit_test(any_split_and_what_follows_is_left_d8),
        cmocka_unit_test(a_complete_line_takes_no_more),
        cmocka_unit_test(an_unfinished_line_is_not_one),
        cmocka_unit_test(the_longest_line_d12),
        cmocka_unit_test(what_matches_d10_d11),
        cmocka_unit_test(every_white_space_d11),
        cmocka_unit_test(only_the_cr_goes_d11),
        cmocka_unit_test(a_zero_byte_is_a_byte),
        cmocka_unit_test(what_is_ok),
        cmocka_unit_test(wiping_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
