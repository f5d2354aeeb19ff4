/* SPDX-License-Identifier: MIT */
/* Control messages: what Go's decoder takes and refuses, its encoder's bytes, and every split. */
#include "proto/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

enum { CUT = 1 }; /* the value never ends */

/* Feeds in pieces of `step`. 0, a negative error, or CUT; *ret_used in all. */
static int feed(struct control_reader *r, const char *text, size_t n, size_t step, size_t *ret_used)
{
    int err = ERR_AGAIN;
    *ret_used = 0;
    control_reader_init(r);
    while (err == ERR_AGAIN && *ret_used < n) {
        size_t part = n - *ret_used < step ? n - *ret_used : step, used;
        err = control_reader_feed(r, (const uint8_t *)text + *ret_used, part, &used);
        assert_true(used <= part);
        *ret_used += used;
    }
    return err == ERR_AGAIN ? CUT : err;
}

static int request(const char *text, size_t step, int64_t *ret_port)
{
    struct control_reader r;
    struct control_request req = {-77};
    size_t used;
    int err = feed(&r, text, strlen(text), step, &used);
    if (err == 0)
        err = control_request_get(&r, &req);
    control_reader_fini(&r);
    *ret_port = req.remote_port;
    return err;
}

static void what_go_takes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t port;
    } rows[] = {
        {"{\"remote_port\":8080}\n", 8080},
        {"{\"remote_port\":8080}", 8080},
        {"{\"remote_port\":8080}garbage", 8080},
        {" \t\r\n { \"remote_port\" : 8080 } ", 8080},
        {"{\"Remote_Port\":1}", 1},
        {"{\"REMOTE_PORT\":2}", 2},
        {"{\"remote\\u005fport\":3}", 3},
        {"{\"remote_port\":1,\"remote_port\":4}", 4},
        {"{\"remote_port\":1,\"Remote_port\":5}", 5},
        {"{\"x\":{\"remote_port\":9,\"y\":[1,2,{\"z\":\"}]\\\"\"}]},\"remote_port\":6}", 6},
        {"{\"remote_port\":null}", 0},
        {"{\"remote_port\":7,\"remote_Port\":null}", 7},
        {"{}", 0},
        {"null\n", 0},
        {"{\"remote_port\":-1}", -1},
        {"{\"remote_port\":-0}", 0},
        {"{\"remote_port\":9223372036854775807}", INT64_MAX},
        {"{\"remote_port\":-9223372036854775808}", INT64_MIN},
        {"{\n\"remote_port\":\n8\n}\n", 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i].text); step++) {
            int64_t port;
            assert_int_equal(request(rows[i].text, step, &port), 0);
            assert_int_equal(port, rows[i].port);
        }
    }
}

/* What jansson cannot tell us, so that it stays known; Go's answer is beside each row. No peer
   writes such a thing. */
static void where_we_differ_from_go(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        int64_t port;
    } rows[] = {
        /* of members spelled alike only the last is seen, at the place of the first */
        {"{\"remote_port\":5,\"remote_port\":null}", 0, 0},                /* 5 */
        {"{\"remote_port\":\"x\",\"remote_port\":5}", 0, 5},               /* refused */
        {"{\"remote_port\":1,\"Remote_Port\":2,\"remote_port\":3}", 0, 2}, /* 3 */
        {"{\"x\":\"\xff\",\"remote_port\":5}", ERR_PROTO, 0},              /* 5 */
        {"{\"x\":\"\\ud800\",\"remote_port\":5}", ERR_PROTO, 0},           /* 5 */
        {"{\"x\":\"\\u0000\",\"remote_port\":5}", ERR_PROTO, 0},           /* 5 */
        {"{\"x\":1e999,\"remote_port\":5}", ERR_PROTO, 0},                 /* 5 */
        {"{\"x\":9223372036854775808,\"remote_port\":5}", ERR_PROTO, 0},   /* 5 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t port;
        assert_int_equal(request(rows[i].text, 3, &port), rows[i].err);
        if (rows[i].err == 0)
            assert_int_equal(port, rows[i].port);
    }
}

static void what_go_refuses(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"remote_port\":8080.0}",
        "{\"remote_port\":8.08e3}",
        "{\"remote_port\":\"8080\"}",
        "{\"remote_port\":true}",
        "{\"remote_port\":08080}",
        "{\"remote_port\":+1}",
        "{\"remote_port\":0x10}",
        "{\"remote_port\":[80]}",
        "{\"remote_port\":{}}",
        "{\"remote_port\":9223372036854775808}",
        "{\"remote_port\":1,}",
        "{,}",
        "{\"remote_port\" 1}",
        "{remote_port:1}",
        "{'remote_port':1}",
        "{\"remote_port\":1]",
        "{\"remote_port\":NaN}",
        "[]",
        "[{\"remote_port\":1}]",
        "\"remote_port\"",
        "8080\n",
        "true\n",
        "nil\n",
        "hello\n",
        "\xef\xbb\xbf{\"remote_port\":1}",
        "{\"x\":\"\x01\",\"remote_port\":1}",
        "{\"x\":\"a\nb\",\"remote_port\":1}",
        "{\"x\":\"\\q\",\"remote_port\":1}",
        "}",
        "{\"a\":tru}",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i]); step++) {
            int64_t port;
            int err = request(rows[i], step, &port);
            /* A bracket too few leaves the value open: the control deadline ends that. */
            assert_true(err == ERR_PROTO || err == CUT);
            if (err == CUT)
                assert_non_null(strchr(rows[i], ']'));
            assert_int_equal(port, -77); /* untouched */
        }
    }
}

static void nonsense_is_told_without_waiting(void **state)
{
    (void)state;
    int64_t port;
    assert_int_equal(request("{hello\n", 1, &port), ERR_PROTO);
    assert_int_equal(request("{\"remote_port\":]\n", 3, &port), ERR_PROTO);
    assert_int_equal(request("{\"remote_port\":\n", 3, &port), CUT); /* may still become one */
}

static void the_rest_is_left_alone(void **state)
{
    (void)state;
    struct control_reader r;
    size_t used;
    assert_int_equal(feed(&r, "{\"a\":1}{\"b\":2}", 14, 14, &used), 0);
    assert_int_equal(used, 7);
    control_reader_fini(&r);
}

/* More input changes nothing, however the value ended, and however much comes. */
static void an_end_is_final(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"null", 0}, {"{\"remote_port\":7}", 0}, {"nul}", ERR_PROTO}, {"{\nx\n", ERR_PROTO}};
    static const uint8_t more[] = "\0\0{null}\0";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct control_reader r;
        struct control_request req = {-77};
        size_t used;
        assert_int_equal(feed(&r, rows[i].text, strlen(rows[i].text), 1, &used), rows[i].err);
        for (int k = 0; k < 100; k++) {
            assert_int_equal(control_reader_feed(&r, more, sizeof more, &used), rows[i].err);
            assert_int_equal(used, 0);
        }
        if (rows[i].err == 0)
            assert_int_equal(control_request_get(&r, &req), 0);
        assert_int_equal(req.remote_port, i == 0 ? 0 : i == 1 ? 7 : -77);
        control_reader_fini(&r);
    }
}

static void a_value_is_bounded(void **state)
{
    (void)state;
    char *text = malloc(CONTROL_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', CONTROL_TEXT_MAX + 1);
    memcpy(text, "{\"remote_port\":5", 16);
    text[CONTROL_TEXT_MAX - 1] = '}';
    for (size_t step = 1; step <= CONTROL_TEXT_MAX; step *= 16) {
        struct control_reader r;
        struct control_request req;
        size_t used;
        assert_int_equal(feed(&r, text, CONTROL_TEXT_MAX, step, &used), 0);
        assert_int_equal(control_request_get(&r, &req), 0);
        assert_int_equal(req.remote_port, 5);
        control_reader_fini(&r);
        text[CONTROL_TEXT_MAX - 1] = ' ';
        text[CONTROL_TEXT_MAX] = '}';
        assert_int_equal(feed(&r, text, CONTROL_TEXT_MAX + 1, step, &used), ERR_LIMIT);
        control_reader_fini(&r);
        text[CONTROL_TEXT_MAX - 1] = '}';
    }
    memset(text, '\n', CONTROL_TEXT_MAX); /* line ends must not cost a look each */
    text[0] = '{';
    struct control_reader r;
    size_t used;
    assert_int_equal(feed(&r, text, CONTROL_TEXT_MAX, 1, &used), CUT);
    control_reader_fini(&r);
    text[0] = '\n'; /* nor is there room for blanks before it without end */
    assert_int_equal(feed(&r, text, CONTROL_TEXT_MAX, 1, &used), CUT);
    control_reader_fini(&r);
    text[CONTROL_TEXT_MAX] = '\n';
    assert_int_equal(feed(&r, text, CONTROL_TEXT_MAX + 1, 1, &used), ERR_LIMIT);
    control_reader_fini(&r);
    free(text);
}

static void deep_nesting_is_refused_not_followed(void **state)
{
    (void)state;
    static char text[40000];
    struct control_reader r;
    struct control_request req;
    size_t used, n = 0;
    n += (size_t)sprintf(text, "{\"x\":");
    memset(text + n, '[', 15000);
    memset(text + n + 15000, ']', 15000);
    n += 30000;
    text[n++] = '}';
    assert_int_equal(feed(&r, text, n, 1000, &used), 0);
    assert_int_equal(control_request_get(&r, &req), ERR_PROTO);
    control_reader_fini(&r);
}

static int response(const char *text, struct control_response *ret)
{
    struct control_reader r;
    size_t used;
    int err = feed(&r, text, strlen(text), 3, &used);
    if (err == 0)
        err = control_response_get(&r, ret);
    control_reader_fini(&r);
    return err;
}

static void answers(void **state)
{
    (void)state;
    struct control_response res;
    assert_int_equal(response("{\"status\":\"success\",\"message\":\"hi\"}\n", &res), 0);
    assert_true(res.ok);
    assert_string_equal(res.message, "hi");
    assert_int_equal(response("{\"STATUS\":\"success\",\"x\":1}\n", &res), 0);
    assert_true(res.ok);
    assert_string_equal(res.message, "");
    assert_int_equal(response("{\"status\":\"Success\",\"message\":null}\n", &res), 0);
    assert_false(res.ok);
    assert_int_equal(response("{}\n", &res), 0);
    assert_false(res.ok);
    assert_int_equal(response("{\"status\":\"success\",\"message\":5}\n", &res), ERR_PROTO);
    assert_int_equal(response("{\"status\":1}\n", &res), ERR_PROTO);
    assert_int_equal(response("OK\n", &res), ERR_PROTO);
}

static void a_long_message_is_cut(void **state)
{
    (void)state;
    static char text[5000];
    struct control_response res;
    size_t n = (size_t)sprintf(text, "{\"status\":\"error\",\"message\":\"");
    memset(text + n, 'm', 4000);
    strcpy(text + n + 4000, "\"}\n");
    assert_int_equal(response(text, &res), 0);
    assert_int_equal(strlen(res.message), CONTROL_MESSAGE_BUF - 1);
}

static void our_bytes_are_go_s(void **state)
{
    (void)state;
    char req[CONTROL_REQUEST_BUF], out[CONTROL_ANSWER_BUF];
    assert_int_equal(control_request_put(req, 8080), 21);
    assert_string_equal(req, "{\"remote_port\":8080}\n");
    (void)control_request_put(req, INT64_MIN);
    assert_string_equal(req, "{\"remote_port\":-9223372036854775808}\n");
    size_t n = control_response_put(out, sizeof out, true, "成功在 [::]:8080 上监听, 准备转发流量");
    assert_int_equal(n, strlen(out));
    assert_string_equal(out, "{\"status\":\"success\",\"message\":\"成功在 [::]:8080 上监听, "
                             "准备转发流量\"}\n");
    (void)control_response_put(
        out, sizeof out, false,
        "\"\\<>&\n\r\t\b\f\x01\x7f/\xe2\x80\xa8\xe2\x80\xa9\xff\xc3(\xf0\x9f\x98\x80");
    assert_string_equal(
        out, "{\"status\":\"error\",\"message\":\"\\\"\\\\\\u003c\\u003e\\u0026\\n\\r\\t"
             "\\u0008\\u000c\\u0001\x7f/\\u2028\\u2029\\ufffd\\ufffd(\xf0\x9f\x98\x80\"}\n");
}

static void an_answer_that_does_not_fit_is_cut_whole(void **state)
{
    (void)state;
    char out[64];
    size_t n = control_response_put(out, sizeof out, false, "<<<<<<<<<<<<<<<<<<<<<<<<<<<<");
    assert_int_equal(n, strlen(out));
    assert_true(n < sizeof out);
    assert_string_equal(out + n - 3, "\"}\n");
    struct control_response res;
    assert_int_equal(response(out, &res), 0);
}

/* Any room, allocated to the byte, with characters of every length at the cut. */
static void an_answer_keeps_to_its_room(void **state)
{
    (void)state;
    static const char text[] = "a<\xc3\xa4\xe4\xb8\x8a\"\xf0\x9f\x98\x80\x01"
                               "bcd<<\xe4\xb8\x8a\xe4\xb8\x8a\xf0\x9f\x98\x80\\\\efghijklmnop";
    size_t last = 0;
    for (size_t room = 64; room < 200; room++) {
        char *out = malloc(room);
        struct control_response res;
        assert_non_null(out);
        size_t n = control_response_put(out, room, true, text);
        assert_true(n < room && n >= last && out[n] == '\0');
        last = n;
        assert_int_equal(response(out, &res), 0);
        assert_memory_equal(res.message, text, strlen(res.message));
        assert_true(room < 180 || strlen(res.message) == sizeof text - 1);
        free(out);
    }
}

/* Overlong forms, surrogates, beyond U+10FFFF, cut short: a replacement for each byte, as in Go. */
static void what_is_not_utf8_becomes_fffd(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int bad; /* bytes */
    } rows[] = {
        {"\xc0\x80", 2},
        {"\xc1\xbf", 2},
        {"\xe0\x9f\xbf", 3},
        {"\xe0\xa0\x80", 0},
        {"\xed\x9f\xbf", 0},
        {"\xed\xa0\x80", 3},
        {"\xee\x80\x80", 0},
        {"\xf0\x8f\xbf\xbf", 4},
        {"\xf0\x90\x80\x80", 0},
        {"\xf4\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 4},
        {"\xf5\x80\x80\x80", 4},
        {"\x80", 1},
        {"\xe4\xb8", 2},
        {"\xf0\x9f\x98", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[CONTROL_ANSWER_BUF], want[128] = "{\"status\":\"error\",\"message\":\"";
        for (int k = 0; k < rows[i].bad; k++)
            strcat(want, "\\ufffd");
        strcat(want, rows[i].bad ? "" : rows[i].in);
        strcat(want, "\"}\n");
        (void)control_response_put(out, sizeof out, false, rows[i].in);
        assert_string_equal(out, want);
    }
}

static void the_original_s_words(void **state)
{
    (void)state;
    char m[CONTROL_MESSAGE_BUF];
    assert_string_equal(control_invalid_message(), "Invalid control message");
    control_failure_message(m, 80, CONTROL_ADDRESS_IN_USE);
    assert_string_equal(m, "监听公网端口 :80 失败: listen tcp :80: bind: address already in use");
    control_failure_message(m, 80, CONTROL_PERMISSION_DENIED);
    assert_string_equal(m, "监听公网端口 :80 失败: listen tcp :80: bind: permission denied");
    control_failure_message(m, -5, CONTROL_INVALID_PORT);
    assert_string_equal(m, "监听公网端口 :-5 失败: listen tcp: address -5: invalid port");
    control_success_message(m, "[::]:8080");
    assert_string_equal(m, "成功在 [::]:8080 上监听, 准备转发流量");
}

static void the_port_in_an_old_server_s_words(void **state)
{
    static const struct {
        const char *message;
        int port;
    } cases[] = {{"成功在 [::]:8080 上监听, 准备转发流量", 8080},
                 {"成功在 127.0.0.1:1 上监听", 1},
                 {"listening on [fe80::1%eth0]:65535", 65535},
                 {"port :65536", 0},
                 {"port :99999999999999999999", 0},
                 {"12:30: listening on :80, since 1:2x", 2},
                 {"8080", 0},
                 {":", 0},
                 {"", 0}};
    char message[CONTROL_MESSAGE_BUF];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(control_message_port(cases[i].message), cases[i].port);
    control_success_message(message, "0.0.0.0:18080");
    assert_int_equal(control_message_port(message), 18080);
}

/* What either says the other finds; what is near it is another sentence. */
static void the_originals_sentences_are_known(void **state)
{
    static const enum control_failure failures[] = {CONTROL_INVALID_PORT, CONTROL_PERMISSION_DENIED,
                                                    CONTROL_ADDRESS_IN_USE, CONTROL_OTHER_FAILURE};
    static const char *const others[] = {
        "",
        "监听公网端口 ",
        "监听公网端口 :80 失败: listen tcp :80: bind: no such thing",
        "bind: address already in use",
        " 监听公网端口 :80 失败: bind: permission denied",
        "Invalid control message"};
    static const char *const no_success[] = {"",
                                             "成功在 ",
                                             "成功在  上监听, 准备转发流量",
                                             "成功在 [::]:8080 上监听, 准备转发流量.",
                                             "成功在 上监听, 准备转发流量",
                                             "x成功在 [::]:8080 上监听, 准备转发流量",
                                             "成功在 a 上监听, 准备转发流量 上监听, 准备转发流量"};
    char message[CONTROL_MESSAGE_BUF], address[CONTROL_MESSAGE_BUF];
    enum control_failure found;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        control_failure_message(message, 80, failures[i]);
        assert_true(control_failure_get(message, &found));
        assert_int_equal(found, failures[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(control_failure_get(others[i], &found));
    control_success_message(message, "[::]:8080");
    assert_true(control_success_get(message, address));
    assert_string_equal(address, "[::]:8080");
    for (size_t i = 0; i < ARRAY_LEN(no_success); i++)
        assert_false(control_success_get(no_success[i], address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_go_takes),
        cmocka_unit_test(where_we_differ_from_go),
        cmocka_unit_test(what_go_refuses),
        cmocka_unit_test(nonsense_is_told_without_waiting),
        cmocka_unit_test(the_rest_is_left_alone),
        cmocka_unit_test(an_end_is_final),
        cmocka_unit_test(a_value_is_bounded),
        cmocka_unit_test(deep_nesting_is_refused_not_followed),
        cmocka_unit_test(answers),
        cmocka_unit_test(the_originals_sentences_are_known),
        cmocka_unit_test(a_long_message_is_cut),
        cmocka_unit_test(our_bytes_are_go_s),
        cmocka_unit_test(an_answer_that_does_not_fit_is_cut_whole),
        cmocka_unit_test(an_answer_keeps_to_its_room),
        cmocka_unit_test(what_is_not_utf8_becomes_fffd),
        cmocka_unit_test(the_original_s_words),
        cmocka_unit_test(the_port_in_an_old_server_s_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
