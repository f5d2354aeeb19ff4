/* SPDX-License-Identifier: MIT */
/* Requests of the control socket in every piece, and answers made and read. */
#include "proto/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The verdict on bytes that come in two pieces, and one byte at a time behind them. */
static int feed(struct ctl_reader *r, const char *bytes, size_t n, size_t first)
{
    memset(r, 0, sizeof *r);
    int err = ctl_reader_feed(r, bytes, first);
    for (size_t i = first; i < n && err == ERR_AGAIN; i++)
        err = ctl_reader_feed(r, bytes + i, 1);
    return err;
}

static int get(const char *line, struct ctl_request *ret, struct errmsg *why)
{
    struct ctl_reader r;
    int err = feed(&r, line, strlen(line), strlen(line));
    why->text[0] = '\0';
    return err < 0 ? err : ctl_request_get(&r, ret, why);
}

static void every_command_in_every_piece(void **state)
{
    (void)state;
    for (enum ctl_command c = 0; c < CTL_COMMANDS; c++) {
        struct ctl_request req = {c, ""}, is;
        struct ctl_reader r;
        struct errmsg why;
        char line[CTL_LINE_MAX];
        if (ctl_rows[c].argument)
            (void)snprintf(req.argument, sizeof req.argument, "%s", "a \"word\" \\ \xe4\xb8\xad");
        size_t n = ctl_request_put(line, &req);
        assert_int_equal(line[n - 1], '\n');
        for (size_t first = 0; first <= n; first++) {
            assert_int_equal(feed(&r, line, n, first), 0);
            assert_int_equal(ctl_request_get(&r, &is, &why), 0);
            assert_int_equal(is.command, c);
            assert_string_equal(is.argument, req.argument);
        }
        for (size_t most = 0; most < n; most++)
            assert_int_equal(feed(&r, line, most, 0), ERR_AGAIN);
        assert_int_equal(ctl_find(ctl_rows[c].name), c);
        assert_true(*ctl_rows[c].help);
    }
    assert_int_equal(ctl_find("no-such"), CTL_COMMANDS);
    assert_int_equal(ctl_find(""), CTL_COMMANDS);
}

static void the_longest_argument_fits(void **state)
{
    struct ctl_request req = {CTL_LOG_LEVEL, ""}, is;
    struct errmsg why;
    char line[CTL_LINE_MAX + 1];
    (void)state;
    memset(req.argument, '\x01', CTL_ARGUMENT_MAX); /* each takes six bytes */
    line[ctl_request_put(line, &req)] = '\0';
    assert_int_equal(get(line, &is, &why), 0);
    assert_string_equal(is.argument, req.argument);
}

static void a_line_has_a_bound(void **state)
{
    static char bytes[CTL_LINE_MAX + 2];
    struct ctl_reader r;
    struct ctl_request req;
    struct errmsg why;
    (void)state;
    memset(bytes, ' ', sizeof bytes);
    memcpy(bytes, "{\"command\":\"ping\"}", 18);
    assert_int_equal(feed(&r, bytes, CTL_LINE_MAX - 1, 0), ERR_AGAIN);
    assert_int_equal(feed(&r, bytes, CTL_LINE_MAX, 0), ERR_LIMIT);
    assert_int_equal(feed(&r, bytes, CTL_LINE_MAX + 1, CTL_LINE_MAX + 1), ERR_LIMIT);
    bytes[CTL_LINE_MAX] = '\n'; /* one too late */
    assert_int_equal(feed(&r, bytes, CTL_LINE_MAX + 1, CTL_LINE_MAX + 1), ERR_LIMIT);
    bytes[CTL_LINE_MAX - 1] = '\n';
    for (size_t first = 0; first < 3; first++)
        assert_int_equal(feed(&r, bytes, CTL_LINE_MAX, first), 0);
    assert_int_equal(feed(&r, bytes, CTL_LINE_MAX + 2, CTL_LINE_MAX + 2), 0);
    assert_int_equal(ctl_request_get(&r, &req, &why), 0);
}

static void what_is_no_request(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"\n", "no object"},
        {"ping\n", "no object"},
        {"[\"ping\"]\n", "no object"},
        {"{\"command\":\"ping\"\n}", "no object"},
        {"{\"command\":\"ping\",\"command\":\"drain\"}\n", "no object"},
        {"{\"command\":\"ping\"} {}\n", "no object"},
        {"{\"command\":\"\xff\"}\n", "no object"},
        {"{}\n", "names no command"},
        {"{\"command\":1}\n", "names no command"},
        {"{\"command\":\"ping\\u0000\"}\n", "no object"},
        {"{\"command\":\"pong\\u001b[1m\"}\n", "there is no command 'pong\\x1b[1m'"},
        {"{\"command\":\"ping\",\"level\":\"info\"}\n", "'ping' takes no argument"},
        {"{\"command\":\"log-level\"}\n", "'log-level' takes one argument, 'level'"},
        {"{\"command\":\"log-level\",\"level\":7}\n", "takes one argument"},
        {"{\"command\":\"log-level\",\"level\":\"info\",\"x\":1}\n", "takes one argument"},
        {"{\"command\":\"log-level\",\"x\":\"info\"}\n", "takes one argument"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ctl_request req = {CTL_DRAIN, "as before"};
        struct errmsg why;
        assert_int_equal(get(cases[i].line, &req, &why), ERR_INVAL);
        if (!strstr(why.text, cases[i].why))
            fail_msg("%s: %s", cases[i].line, why.text);
        assert_int_equal(req.command, CTL_DRAIN);
        assert_string_equal(req.argument, "as before");
    }
}

static void an_argument_has_a_bound(void **state)
{
    char line[CTL_LINE_MAX], word[CTL_ARGUMENT_MAX + 2];
    struct ctl_request req;
    struct errmsg why;
    (void)state;
    memset(word, 'x', sizeof word);
    word[CTL_ARGUMENT_MAX + 1] = '\0';
    (void)snprintf(line, sizeof line, "{\"command\":\"log-level\",\"level\":\"%s\"}\n", word);
    assert_int_equal(get(line, &req, &why), ERR_INVAL);
    (void)snprintf(line, sizeof line, "{\"command\":\"log-level\",\"level\":\"%s\"}\n", word + 1);
    assert_int_equal(get(line, &req, &why), 0);
    assert_string_equal(req.argument, word + 1);
}

static void an_answer_is_read_as_it_was_made(void **state)
{
    static const char *const words[] = {"one", "\"two\"\n"};
    struct ctl_answer a = {0};
    (void)state;
    ctl_put_text(&a, "text", "a \"b\" \xff");
    ctl_put_number(&a, "number", -7000000000);
    ctl_put_words(&a, "words", words, 2);
    ctl_put_words(&a, "none", words, 0);
    ctl_end_line(&a);
    ctl_end_line(&a);
    ctl_put_truth(&a, "ok", true);
    ctl_end_line(&a);
    ctl_refuse(&a, "because");
    assert_false(a.is_spoilt);
    const char *at = a.bytes, *end = at + a.len;
    struct ctl_line *lines[4];
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(lf);
        lines[i] = ctl_line_get(at, (size_t)(lf - at));
        assert_non_null(lines[i]);
        at = lf + 1;
    }
    assert_ptr_equal(at, end);
    assert_string_equal(ctl_line_text(lines[0], "text"), "a \"b\" \xef\xbf\xbd");
    assert_true(ctl_line_number(lines[0], "number") == -7000000000);
    assert_string_equal(ctl_line_word(lines[0], "words", 1), words[1]);
    assert_null(ctl_line_word(lines[0], "words", 2));
    assert_null(ctl_line_word(lines[0], "none", 0));
    assert_null(ctl_line_word(lines[0], "text", 0));
    assert_null(ctl_line_text(lines[0], "number"));
    assert_int_equal(ctl_line_number(lines[0], "text"), -1);
    assert_false(ctl_line_is_last(lines[0]) || ctl_line_is_last(lines[1]));
    assert_true(ctl_line_is_last(lines[2]) && ctl_line_truth(lines[2], "ok"));
    assert_true(ctl_line_is_last(lines[3]) && !ctl_line_truth(lines[3], "ok"));
    assert_string_equal(ctl_line_text(lines[3], "error"), "because");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        ctl_line_free(lines[i]);
    ctl_answer_fini(&a);
    ctl_line_free(NULL);
    assert_null(ctl_line_get("[]", 2));
    assert_null(ctl_line_get("{", 1));
}

/* Nothing of half an answer is sent. */
static void an_answer_has_a_bound(void **state)
{
    char *text = malloc(100000);
    struct ctl_answer a = {0};
    (void)state;
    assert_non_null(text);
    memset(text, 'x', 99999);
    text[99999] = '\0';
    for (int i = 0; i < 5; i++)
        ctl_put_text(&a, "text", text);
    assert_false(a.is_spoilt);
    for (int i = 0; i < 5; i++)
        ctl_put_text(&a, "text", text);
    assert_true(a.is_spoilt);
    assert_true(a.len <= CTL_ANSWER_MAX);
    ctl_put_truth(&a, "ok", true);
    assert_true(a.is_spoilt);
    ctl_answer_fini(&a);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_in_every_piece),
        cmocka_unit_test(the_longest_argument_fits),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(what_is_no_request),
        cmocka_unit_test(an_argument_has_a_bound),
        cmocka_unit_test(an_answer_is_read_as_it_was_made),
        cmocka_unit_test(an_answer_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
