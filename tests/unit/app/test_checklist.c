/* SPDX-License-Identifier: MIT */
/* How steps look: on a terminal, elsewhere, as JSON; and what they can never do to whoever reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "app/checklist.h"
#include "base/attr.h"
#include "base/i18n.h"
#include "base/utf8.h"

static char text[CHECKLIST_LINE_MAX];

static const char *shown(enum checklist_form form, const struct checklist_step *step)
{
    memset(text, 'x', sizeof text);
    size_t n = checklist_text(text, form, step);
    assert_int_equal(n, strlen(text));
    return text;
}

static const struct checklist_step tcp = {
    .word = "tcp",
    .state = CHECKLIST_FAIL,
    .title = "TCP",
    .detail = "no answer",
    .hint = "is the port open?",
};

static void a_terminal_has_colours_unless_it_is_asked_not_to(void **state)
{
    (void)state;
    static const struct {
        bool json, is_terminal;
        const char *no_color, *term;
        enum checklist_form form;
    } rows[] = {
        {false, true, NULL, "xterm", CHECKLIST_COLOUR},
        {false, true, "", "xterm", CHECKLIST_COLOUR}, /* no-color.org: when not empty */
        {false, true, "1", "xterm", CHECKLIST_PLAIN},
        {false, true, NULL, "dumb", CHECKLIST_PLAIN},
        {false, true, NULL, NULL, CHECKLIST_PLAIN},
        {false, true, NULL, "", CHECKLIST_PLAIN},
        {false, false, NULL, "xterm", CHECKLIST_PLAIN},
        {true, true, NULL, "xterm", CHECKLIST_JSON},
        {true, false, "1", "dumb", CHECKLIST_JSON},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(
            checklist_form(rows[i].json, rows[i].is_terminal, rows[i].no_color, rows[i].term),
            rows[i].form);
}

static void plain_lines(void **state)
{
    (void)state;
    struct checklist_step s = {.word = "target",
                               .title = "target",
                               .name = "ssh",
                               .detail = "127.0.0.1:22 answers",
                               .said = "SSH-2.0-OpenSSH_9.2"};
    assert_string_equal(shown(CHECKLIST_PLAIN, &s),
                        "ok    target ssh: 127.0.0.1:22 answers (SSH-2.0-OpenSSH_9.2)\n");
    assert_string_equal(shown(CHECKLIST_PLAIN, &tcp),
                        "fail  TCP: no answer\n      is the port open?\n");
    s = (struct checklist_step){.word = "reach", .state = CHECKLIST_UNKNOWN};
    assert_string_equal(shown(CHECKLIST_PLAIN, &s), "?     reach\n");
    s.state = CHECKLIST_WARN;
    assert_string_equal(shown(CHECKLIST_PLAIN, &s), "warn  reach\n");
}

static void colours_are_of_the_state_alone(void **state)
{
    (void)state;
    assert_string_equal(shown(CHECKLIST_COLOUR, &tcp),
                        "\033[31mfail\033[0m  TCP: no answer\n      is the port open?\n");
    struct checklist_step s = {.word = "x", .state = CHECKLIST_OK};
    assert_string_equal(shown(CHECKLIST_COLOUR, &s), "\033[32mok  \033[0m  x\n");
}

static void what_is_to_be_copied_has_its_own_line(void **state)
{
    (void)state;
    struct checklist_step s = {.word = "public",
                               .name = "ssh",
                               .value = "tcp://vps.example.com:2222",
                               .target = "127.0.0.1:22"};
    assert_string_equal(shown(CHECKLIST_PLAIN, &s), "tcp://vps.example.com:2222 -> 127.0.0.1:22\n");
    assert_string_equal(shown(CHECKLIST_COLOUR, &s),
                        "\033[1mtcp://vps.example.com:2222\033[0m -> 127.0.0.1:22\n");
    assert_string_equal(shown(CHECKLIST_JSON, &s),
                        "{\"step\":\"public\",\"state\":\"ok\",\"name\":\"ssh\","
                        "\"value\":\"tcp://vps.example.com:2222\",\"target\":\"127.0.0.1:22\"}\n");
    s.target = NULL;
    assert_string_equal(shown(CHECKLIST_PLAIN, &s), "tcp://vps.example.com:2222\n");
}

static void json_has_what_is_there(void **state)
{
    (void)state;
    assert_string_equal(shown(CHECKLIST_JSON, &tcp),
                        "{\"step\":\"tcp\",\"state\":\"fail\",\"detail\":\"no answer\","
                        "\"hint\":\"is the port open?\"}\n");
    struct checklist_step s = {
        .word = "reach", .state = CHECKLIST_UNKNOWN, .name = "", .said = "\033]0;x\a\"\xff"};
    assert_string_equal(shown(CHECKLIST_JSON, &s),
                        "{\"step\":\"reach\",\"state\":\"unknown\","
                        "\"said\":\"\\\\x1b]0;x\\\\x07\\\\\\\"\\\\xff\"}\n");
}

/* One line, no control character but our own colours, whatever comes. */
static void text_from_others_stays_text(void **state)
{
    (void)state;
    struct checklist_step s = {.word = "target",
                               .detail = "a\nb\033[2Jc\td\x7f",
                               .said = "220 hello\r\n\033[31mred\xc2\x9b\xe2\x80\xae"};
    assert_string_equal(shown(CHECKLIST_PLAIN, &s),
                        "ok    target: a b [2Jc d  (220 hello\\r\\n\\x1b[31mred"
                        "\\xc2\\x9b\\xe2\\x80\\xae)\n");
    s.detail = NULL;
    s.value = "tcp://a\nb";
    assert_string_equal(shown(CHECKLIST_PLAIN, &s), "tcp://a b\n");
}

static bool is_utf8(const char *s)
{
    uint32_t c;
    while (*s) {
        size_t n = utf8_get(&c, s, strlen(s));
        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

/* Each part at its longest and worst: nothing overflows, no character is cut, JSON stays JSON. */
static void every_part_has_a_bound(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "\n", "\"", "<", "\u4e2d", "\U0001F600", "\xff"};
    static char longest[4 * CHECKLIST_TEXT_MAX + 1];
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        size_t n = strlen(units[u]);
        for (size_t i = 0; i + n < sizeof longest; i += n)
            memcpy(longest + i, units[u], n + 1);
        struct checklist_step s = {.word = "0123456789abcdef",
                                   .title = longest,
                                   .name = longest,
                                   .detail = longest,
                                   .said = longest,
                                   .hint = longest};
        for (int form = CHECKLIST_PLAIN; form <= CHECKLIST_COLOUR; form++) {
            const char *out = shown((enum checklist_form)form, &s);
            assert_true(strlen(out) < sizeof text && strlen(out) > 3 * CHECKLIST_TEXT_MAX);
            assert_true(is_utf8(out) || units[u][0] == '\xff');
        }
        s.value = s.target = longest;
        json_error_t error;
        json_t *o = json_loads(shown(CHECKLIST_JSON, &s), 0, &error);
        assert_non_null(o); /* with a cut character it would not load */
        assert_int_equal(json_object_size(o), 8);
        json_decref(o);
        (void)shown(CHECKLIST_PLAIN, &s);
    }
}

static void chinese_has_the_same_columns(void **state)
{
    (void)state;
    static const char *const lines[] = {
        [CHECKLIST_OK] = "正常  x\n",
        [CHECKLIST_WARN] = "注意  x\n",
        [CHECKLIST_FAIL] = "失败  x\n",
        [CHECKLIST_UNKNOWN] = "未知  x\n",
    };
    assert_int_equal(setenv("LC_ALL", "zh_CN.UTF-8", 1), 0);
    i18n_init();
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        struct checklist_step s = {.word = "x", .state = (enum checklist_state)i};
        assert_string_equal(shown(CHECKLIST_PLAIN, &s), lines[i]);
    }
    struct checklist_step ok = {.word = "x"};
    assert_string_equal(shown(CHECKLIST_JSON, &ok), "{\"step\":\"x\",\"state\":\"ok\"}\n");
    assert_int_equal(setenv("LC_ALL", "C", 1), 0);
    i18n_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_has_colours_unless_it_is_asked_not_to),
        cmocka_unit_test(plain_lines),
        cmocka_unit_test(colours_are_of_the_state_alone),
        cmocka_unit_test(what_is_to_be_copied_has_its_own_line),
        cmocka_unit_test(json_has_what_is_there),
        cmocka_unit_test(text_from_others_stays_text),
        cmocka_unit_test(every_part_has_a_bound),
        cmocka_unit_test(chinese_has_the_same_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
