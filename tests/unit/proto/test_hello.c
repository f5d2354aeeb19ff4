/* SPDX-License-Identifier: MIT */
/* The lines of a gotunnel/2 hello: collecting, reading, writing. The proofs: test_hello_proof.c. */
#include "proto/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"

#define M32 "00112233445566778899aabbccddeeff"
#define M64 M32 M32

static const char open_line[] =
    "{\"v\":2,\"op\":\"open\",\"id\":\"a.B-9_\",\"port\":8080,\"nc\":\"" M32
    "\",\"window_ms\":60000,\"mac\":\"" M64 "\"}\n";
static const char resume_line[] =
    "{\"v\":2,\"op\":\"resume\",\"sid\":\"" M32
    "\",\"epoch\":\"0000000000000001\",\"rx\":\"fedcba9876543210\",\"mac\":\"" M64 "\"}\n";
static const char opened_line[] = "{\"v\":2,\"ok\":true,\"op\":\"open\",\"sid\":\"" M32
                                  "\",\"ns\":\"" M32 "\",\"window_ms\":4294967295,"
                                  "\"address\":\"[::]:80\",\"port\":65535,\"mac\":\"" M64 "\"}\n";
static const char resumed_line[] =
    "{\"v\":2,\"ok\":true,\"op\":\"resume\",\"epoch\":"
    "\"ffffffffffffffff\",\"rx\":\"0000000000000000\",\"mac\":\"" M64 "\"}\n";
static const char refused_line[] =
    "{\"v\":2,\"ok\":false,\"error\":\"port\",\"message\":\"\\\"x\\\" \\u003c 端\",\"mac\":\"" M64
    "\"}\n";
static const char bare_line[] = "{\"v\":2,\"ok\":false,\"error\":\"auth\",\"message\":\"\"}\n";

/* ---- collecting ---- */

/* Feeds in pieces of `step`, as far as the reader takes it. */
static int feed(struct hello_reader *r, const char *text, size_t n, size_t step, size_t *ret_used)
{
    int err = ERR_AGAIN;
    *ret_used = 0;
    hello_reader_init(r);
    while (err == ERR_AGAIN && *ret_used < n) {
        size_t part = n - *ret_used < step ? n - *ret_used : step, used = 0;
        err = hello_reader_feed(r, (const uint8_t *)text + *ret_used, part, &used);
        assert_true(used <= part);
        *ret_used += used;
    }
    return err;
}

static void a_line_in_any_pieces(void **state)
{
    (void)state;
    char in[sizeof open_line + 4];
    size_t n = sizeof open_line - 1, used;
    memcpy(in, open_line, n);
    memcpy(in + n, "\3\0{\n", 5);
    for (size_t step = 1; step <= n + 5; step++) {
        struct hello_reader r;
        assert_int_equal(feed(&r, in, n + 5, step, &used), 0);
        assert_int_equal(used, n); /* what follows belongs to the session */
        assert_int_equal(hello_reader_len(&r), n - 1);
        assert_memory_equal(hello_reader_text(&r), open_line, n - 1);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)"{", 1, &used), 0);
        assert_int_equal(used, 0);
    }
}

static void a_line_cut_at_every_byte(void **state)
{
    (void)state;
    size_t n = sizeof open_line - 1, used;
    for (size_t at = 0; at < n; at++) {
        struct hello_reader r;
        hello_reader_init(&r);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)open_line, at, &used), ERR_AGAIN);
        assert_int_equal(used, at);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)open_line + at, n - at, &used), 0);
        assert_int_equal(used, n - at);
        assert_string_equal(hello_reader_text(&r) + n - 3, "\"}");
    }
}

static void the_longest_line(void **state)
{
    (void)state;
    char in[HELLO_MAX + 1];
    for (size_t step = 1; step < 5000; step = step * 7 + 1) {
        struct hello_reader r;
        size_t used;
        memset(in, 'x', sizeof in);
        in[0] = '{';
        in[HELLO_MAX - 1] = '\n';
        assert_int_equal(feed(&r, in, HELLO_MAX, step, &used), 0);
        assert_int_equal(hello_reader_len(&r), HELLO_MAX - 1);
        in[HELLO_MAX - 1] = 'x';
        in[HELLO_MAX] = '\n';
        assert_int_equal(feed(&r, in, HELLO_MAX + 1, step, &used), ERR_LIMIT);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)"\n", 1, &used), ERR_LIMIT);
    }
}

static void what_can_not_be_a_hello_is_seen_at_once(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\n", "s", "\x16", " {", "{\t", "{}\r", "{\"\x1f", "{\x01"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct hello_reader r;
        size_t used;
        assert_int_equal(feed(&r, wrong[i], strlen(wrong[i]), 1, &used), ERR_PROTO);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)"{}\n", 3, &used), ERR_PROTO);
        assert_int_equal(used, 0);
    }
    struct hello_reader r;
    size_t used;
    assert_int_equal(feed(&r, "{\0", 2, 2, &used), ERR_PROTO);
}

/* ---- round trips ---- */

static int get_request(const char *line, struct hello_request *ret)
{
    return hello_request_get(line, strcspn(line, "\n"), ret);
}

static int get_answer(const char *line, struct hello_answer *ret)
{
    return hello_answer_get(line, strcspn(line, "\n"), ret);
}

static void requests_are_read_and_written(void **state)
{
    (void)state;
    struct hello_request r;
    char out[HELLO_MAX];
    assert_int_equal(get_request(open_line, &r), 0);
    assert_int_equal(r.op, HELLO_OPEN);
    assert_string_equal(r.id, "a.B-9_");
    assert_int_equal(r.port, 8080);
    assert_int_equal(r.nonce[15], 0xff);
    assert_int_equal(r.window_ms, 60000);
    assert_int_equal(r.mac[31], 0xff);
    assert_int_equal(r.epoch, 0);
    assert_int_equal(hello_request_put(out, &r), strlen(open_line));
    assert_string_equal(out, open_line);

    assert_int_equal(get_request(resume_line, &r), 0);
    assert_int_equal(r.op, HELLO_RESUME);
    assert_int_equal(r.sid[1], 0x11);
    assert_true(r.epoch == 1 && r.rx == 0xfedcba9876543210u);
    assert_string_equal(r.id, "");
    assert_int_equal(hello_request_put(out, &r), strlen(resume_line));
    assert_string_equal(out, resume_line);
}

static void answers_are_read_and_written(void **state)
{
    (void)state;
    static const char *const lines[] = {opened_line, resumed_line, refused_line, bare_line};
    struct hello_answer a[4];
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char out[HELLO_MAX];
        assert_int_equal(get_answer(lines[i], &a[i]), 0);
        assert_int_equal(hello_answer_put(out, &a[i]), strlen(lines[i]));
        assert_string_equal(out, lines[i]);
        assert_int_equal(a[i].has_mac, i != 3);
    }
    assert_true(a[0].error == HELLO_OK && a[0].op == HELLO_OPEN);
    assert_true(a[0].window_ms == UINT32_MAX && a[0].port == 65535);
    assert_string_equal(a[0].address, "[::]:80");
    assert_true(a[1].op == HELLO_RESUME && a[1].epoch == UINT64_MAX && a[1].rx == 0);
    assert_int_equal(a[2].error, HELLO_ERR_PORT);
    assert_string_equal(a[2].message, "\"x\" < 端");
    assert_int_equal(a[3].error, HELLO_ERR_AUTH);
}

static void every_error_has_its_word(void **state)
{
    (void)state;
    for (int e = HELLO_ERR_AUTH; e <= HELLO_ERR_MESSAGE; e++) {
        struct hello_answer a = {.error = (enum hello_error)e, .message = "m"}, b;
        char out[HELLO_MAX];
        (void)hello_answer_put(out, &a);
        assert_int_equal(get_answer(out, &b), 0);
        assert_int_equal(b.error, e);
        assert_non_null(strstr(out, hello_error_word(a.error)));
    }
}

static void the_longest_lines_fit(void **state)
{
    (void)state;
    struct hello_answer a = {.error = HELLO_ERR_MESSAGE, .has_mac = true}, b;
    struct hello_request r = {.port = INT64_MIN, .window_ms = UINT32_MAX}, s;
    char out[HELLO_MAX];
    memset(a.message, 1, sizeof a.message - 1);
    (void)hello_answer_put(out, &a);
    assert_int_equal(get_answer(out, &b), 0);
    assert_string_equal(b.message, a.message);
    memset(r.id, 'x', HELLO_ID_MAX);
    (void)hello_request_put(out, &r);
    assert_int_equal(get_request(out, &s), 0);
    assert_true(s.port == INT64_MIN);
}

/* ---- what is refused ---- */

/* The line with the first `from` replaced by `to`; static storage. */
static const char *changed(const char *line, const char *from, const char *to)
{
    static char out[2 * HELLO_MAX];
    const char *at = strstr(line, from);
    assert_non_null(at);
    (void)snprintf(out, sizeof out, "%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
    return out;
}

struct variant {
    const char *line, *from, *to;
    int err;
};

static const struct variant variants[] = {
    /* accepted: fields of other names, at the allowed depth; blanks */
    {open_line, "\"v\"", "\"caps\":[\"a\",{}],\"v\"", 0},
    {open_line, "\"v\":2", " \"v\" : 2 ", 0},
    {open_line, "\"v\"", "\"x\":[[]],\"v\"", 0},
    {open_line, "\"v\"", "\"x\":\"[[[[\\\"[\",\"v\"", 0},
    {open_line, "\"v\"", "\"sid\":1,\"v\"", 0}, /* of the other operation */
    {open_line, "8080", "-9223372036854775808", 0},
    {open_line, "\"a.B-9_\"", "\"\\u0061\"", 0},
    /* depth */
    {open_line, "\"v\"", "\"x\":[[[]]],\"v\"", ERR_PROTO},
    {open_line, "\"v\"", "\"x\":{\"y\":{\"z\":{}}},\"v\"", ERR_PROTO},
    /* not one object */
    {open_line, "{", "", ERR_PROTO},
    {open_line, "}", "", ERR_PROTO},
    {open_line, "}", "} x", ERR_PROTO},
    {open_line, "}", "}{}", ERR_PROTO},
    {open_line, "{", "[{", ERR_PROTO},
    /* version and operation */
    {open_line, "\"v\":2", "\"v\":3", ERR_PROTO},
    {open_line, "\"v\":2", "\"v\":\"2\"", ERR_PROTO},
    {open_line, "\"v\":2", "\"v\":2.0", ERR_PROTO},
    {open_line, "\"v\":2,", "", ERR_PROTO},
    {open_line, "\"open\"", "\"Open\"", ERR_PROTO},
    {open_line, "\"open\"", "1", ERR_PROTO},
    {open_line, "\"open\"", "\"resume\"", ERR_PROTO},
    {open_line, "\"op\":\"open\",", "", ERR_PROTO},
    /* repeated */
    {open_line, "\"v\":2", "\"v\":2,\"v\":2", ERR_PROTO},
    {open_line, "\"id\"", "\"id\":\"x\",\"id\"", ERR_PROTO},
    {open_line, "\"id\"", "\"mac\":\"" M64 "\",\"id\"", ERR_PROTO},
    {open_line, "\"id\"", "\"x\":1,\"x\":1,\"id\"", ERR_PROTO},
    /* id */
    {open_line, "\"a.B-9_\"", "\"\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"a b\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"a/b\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"a\\u0000b\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"\xc3\xa4\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"\xff\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"" M64 "0\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"" M64 "\"", 0},
    {open_line, "\"a.B-9_\"", "7", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "null", ERR_PROTO},
    {open_line, "\"id\":\"a.B-9_\",", "", ERR_PROTO},
    /* numbers */
    {open_line, "8080", "\"8080\"", ERR_PROTO},
    {open_line, "8080", "8080.0", ERR_PROTO},
    {open_line, "8080", "true", ERR_PROTO},
    {open_line, "8080", "9223372036854775808", ERR_PROTO},
    {open_line, "\"port\":8080,", "", ERR_PROTO},
    {open_line, "60000", "4294967296", ERR_PROTO},
    {open_line, "60000", "-1", ERR_PROTO},
    {open_line, "60000", "6e4", ERR_PROTO},
    {open_line, "60000", "\"60000\"", ERR_PROTO},
    {open_line, "\"window_ms\":60000,", "", ERR_PROTO},
    /* bytes */
    {open_line, "\"" M32 "\"", "\"" M32 "00\"", ERR_PROTO},
    {open_line, "\"" M32 "\"", "\"\"", ERR_PROTO},
    {open_line, "\"" M32 "\"", "17", ERR_PROTO},
    {open_line, "\"0011", "\"001", ERR_PROTO},
    {open_line, "\"0011", "\"g011", ERR_PROTO},
    {open_line, "aabb", "AABB", ERR_PROTO},
    {open_line, "\"nc\":\"" M32 "\",", "", ERR_PROTO},
    {open_line, M64, M32, ERR_PROTO},
    {open_line, ",\"mac\":\"" M64 "\"", "", ERR_PROTO},
    /* resume */
    {resume_line, "\"sid\":\"" M32 "\",", "", ERR_PROTO},
    {resume_line, M32, M64, ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "1", ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "\"1\"", ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "\"00000000000000001\"", ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "\"0x00000000000001\"", ERR_PROTO},
    {resume_line, "\"epoch\":\"0000000000000001\",", "", ERR_PROTO},
    {resume_line, "fedcba9876543210", "FEDCBA9876543210", ERR_PROTO},
    {resume_line, "\"fedcba9876543210\"", "null", ERR_PROTO},
    {resume_line, "\"rx\":\"fedcba9876543210\",", "", ERR_PROTO},
    {resume_line, "\"mac\":\"" M64 "\"", "\"x\":1", ERR_PROTO},
    {resume_line, "\"resume\"", "\"open\"", ERR_PROTO},
};

static void what_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        const struct variant *v = &variants[i];
        struct hello_request r, before;
        memset(&before, 0x5a, sizeof before);
        r = before;
        const char *line = changed(v->line, v->from, v->to);
        int err = get_request(line, &r);
        if (err != v->err)
            fail_msg("%s: %d", line, err);
        if (err < 0)
            assert_memory_equal(&r, &before, sizeof r);
    }
}

static const struct variant answer_variants[] = {
    {opened_line, "\"v\"", "\"x\":[{}],\"v\"", 0},
    {bare_line, "\"message\"", "\"mac\":null,\"message\"", ERR_PROTO},
    {bare_line, "\"message\"", "\"mac\":\"\",\"message\"", ERR_PROTO},
    {bare_line, "\"auth\"", "\"\"", ERR_PROTO},
    {bare_line, "\"auth\"", "\"Auth\"", ERR_PROTO},
    {bare_line, "\"auth\"", "1", ERR_PROTO},
    {bare_line, "\"error\":\"auth\",", "", ERR_PROTO},
    {bare_line, ",\"message\":\"\"", "", ERR_PROTO},
    {bare_line, "\"message\":\"\"", "\"message\":1", ERR_PROTO},
    {bare_line, "\"message\":\"\"", "\"message\":\"\\u0000\"", ERR_PROTO},
    {bare_line, "\"message\":\"\"", "\"message\":\"\xff\"", ERR_PROTO},
    {bare_line, "\"message\":\"\"", "\"message\":\"" M64 M64 M64 M64 "\"", ERR_PROTO},
    {bare_line, "\"message\":\"\"", "\"message\":\"" M64 M64 M64 M32 "\"", 0},
    {bare_line, "false", "true", ERR_PROTO},
    {bare_line, "false", "0", ERR_PROTO},
    {bare_line, "\"ok\":false,", "", ERR_PROTO},
    {bare_line, "\"v\":2,", "", ERR_PROTO},
    {opened_line, "true", "1", ERR_PROTO},
    {opened_line, "true", "false", ERR_PROTO},
    {opened_line, "\"op\":\"open\",", "", ERR_PROTO},
    {opened_line, "\"open\"", "\"resume\"", ERR_PROTO},
    {opened_line, "65535", "65536", ERR_PROTO},
    {opened_line, "65535", "-1", ERR_PROTO},
    {opened_line, "65535", "0", 0},
    {opened_line, "4294967295", "4294967296", ERR_PROTO},
    {opened_line, "[::]:80", "a b", ERR_PROTO},
    {opened_line, "[::]:80", "a\\\"b", ERR_PROTO},
    {opened_line, "[::]:80", "a\\u0007b", ERR_PROTO},
    {opened_line, "[::]:80", "\xc3\xa4", ERR_PROTO},
    {opened_line, "[::]:80", M64, ERR_PROTO},
    {opened_line, "\"ns\":\"" M32 "\",", "", ERR_PROTO},
    {opened_line, "\"sid\":\"" M32 "\",", "", ERR_PROTO},
    {opened_line, ",\"mac\":\"" M64 "\"", "", ERR_PROTO},
    {opened_line, "\"sid\"", "\"sid\":\"\",\"sid\"", ERR_PROTO},
    {resumed_line, "\"resume\"", "\"open\"", ERR_PROTO},
    {resumed_line, "\"ffffffffffffffff\"", "18446744073709551615", ERR_PROTO},
    {resumed_line, ",\"mac\":\"" M64 "\"", "", ERR_PROTO},
};

static void what_answers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answer_variants); i++) {
        const struct variant *v = &answer_variants[i];
        struct hello_answer a, before;
        memset(&before, 0x5a, sizeof before);
        a = before;
        const char *line = changed(v->line, v->from, v->to);
        int err = get_answer(line, &a);
        if (err != v->err)
            fail_msg("%s: %d", line, err);
        if (err < 0)
            assert_memory_equal(&a, &before, sizeof a);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {open_line, resume_line, opened_line, refused_line};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        for (size_t n = 0; n + 2 < strlen(lines[i]); n++) {
            struct hello_request r;
            struct hello_answer a;
            char *cut = malloc(n + 1); /* of its own size, for the address sanitizer */
            memcpy(cut, lines[i], n);
            assert_int_equal(hello_request_get(cut, n, &r), ERR_PROTO);
            assert_int_equal(hello_answer_get(cut, n, &a), ERR_PROTO);
            free(cut);
        }
}

static void a_zero_byte_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof open_line - 2; i++) {
        char line[sizeof open_line];
        struct hello_request r;
        memcpy(line, open_line, sizeof line);
        line[i] = '\0';
        assert_int_equal(hello_request_get(line, sizeof line - 2, &r), ERR_PROTO);
    }
}

static void a_line_that_is_too_long(void **state)
{
    (void)state;
    static char line[HELLO_MAX + 1];
    struct hello_request r;
    size_t n = sizeof open_line - 2;
    memset(line, ' ', sizeof line);
    memcpy(line, open_line, n);
    assert_int_equal(hello_request_get(line, HELLO_MAX - 1, &r), 0);
    assert_int_equal(hello_request_get(line, HELLO_MAX, &r), ERR_PROTO);
}

static void secrets_and_ids(void **state)
{
    (void)state;
    assert_false(hello_secret_is_long_enough(""));
    assert_false(hello_secret_is_long_enough("123456789012345"));
    assert_true(hello_secret_is_long_enough("1234567890123456"));
    assert_true(hello_secret_is_long_enough("12345678901234567"));
    assert_true(hello_id_is_valid("A-Za_z0.9"));
    assert_true(hello_id_is_valid(M64));
    assert_false(hello_id_is_valid(M64 "0"));
    assert_false(hello_id_is_valid(""));
    for (int c = 1; c < 256; c++) {
        char id[] = {'x', (char)c, '\0'};
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        assert_int_equal(hello_id_is_valid(id), good);
    }
}

/* ---- no memory ---- */

static int calls, fail_at;

static void *failing_malloc(size_t n)
{
    return calls++ == fail_at ? NULL : malloc(n);
}

/* jansson does not always tell that from a wrong text. */
static void assert_failed(int err)
{
    assert_true(err == ERR_NOMEM || err == ERR_PROTO);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct hello_request r;
    struct hello_answer a;
    int err = -1;
    json_set_alloc_funcs(failing_malloc, free);
    for (fail_at = 0; err < 0; fail_at++) {
        calls = 0;
        err = get_request(open_line, &r);
        if (err < 0)
            assert_failed(err);
    }
    assert_true(fail_at > 5);
    err = -1;
    for (fail_at = 0; err < 0; fail_at++) {
        calls = 0;
        err = get_answer(opened_line, &a);
        if (err < 0)
            assert_failed(err);
    }
    assert_true(fail_at > 5);
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_in_any_pieces),
        cmocka_unit_test(a_line_cut_at_every_byte),
        cmocka_unit_test(the_longest_line),
        cmocka_unit_test(what_can_not_be_a_hello_is_seen_at_once),
        cmocka_unit_test(requests_are_read_and_written),
        cmocka_unit_test(answers_are_read_and_written),
        cmocka_unit_test(every_error_has_its_word),
        cmocka_unit_test(the_longest_lines_fit),
        cmocka_unit_test(what_requests_are_refused),
        cmocka_unit_test(what_answers_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_zero_byte_anywhere_is_refused),
        cmocka_unit_test(a_line_that_is_too_long),
        cmocka_unit_test(secrets_and_ids),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
