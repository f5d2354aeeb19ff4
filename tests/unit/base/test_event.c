/* SPDX-License-Identifier: MIT */
/* The table of events: its words, its texts in both languages; what saying one writes and counts. */
#include "base/event.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/i18n.h"

#define STAMP_LEN (sizeof "2006/01/02 15:04:05.000000 " - 1)

static const char *const conversion[] = {
    [EVENT_KIND_TEXT] = "%s",    [EVENT_KIND_CLIENT] = "%s",    [EVENT_KIND_COUNT] = "%u",
    [EVENT_KIND_NUMBER] = "%d",  [EVENT_KIND_PORT] = "%lld",    [EVENT_KIND_LIMIT] = "%llu",
    [EVENT_KIND_BYTES] = "%llu", [EVENT_KIND_SECONDS] = "%.1f",
};

static void speak(const char *language)
{
    assert_int_equal(setenv("LC_ALL", language, 1), 0);
    i18n_init();
}

static unsigned fields_of(const struct event_row *row)
{
    unsigned n = 0;
    while (n < EVENT_FIELDS_MAX && row->fields[n].name)
        n++;
    return n;
}

/* Its first field, src, stands before the text. */
static bool is_about_a_stranger(const struct event_row *row)
{
    return strncmp(row->word, "stranger_", 9) == 0;
}

/* ---- the table ---- */

static void words_are_unique_and_greppable(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        const char *word = event_table[i].word;
        assert_true(strlen(word) > 0);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz_"), strlen(word));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(word, event_table[j].word);
    }
    assert_string_equal(event_table[EVENT_session_detached].word, "session_detached");
}

static void levels_are_levels(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENTS_COUNT; i++)
        assert_in_range(event_table[i].level - LOG_LEVEL_ASKED, 0,
                        LOG_LEVEL_DEBUG - LOG_LEVEL_ASKED);
    assert_int_equal(event_table[EVENT_session_status].level, LOG_LEVEL_ASKED);
    assert_int_equal(event_table[EVENT_user_connected].level, LOG_LEVEL_DEBUG);
}

/* The compiler looks at the types; here each field must be in the text, in its order. */
static void texts_print_their_fields(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        const struct event_row *row = &event_table[i];
        const char *at = row->text;
        unsigned n = fields_of(row);
        for (unsigned f = is_about_a_stranger(row); f < n; f++, at++) {
            const char *want = conversion[row->fields[f].kind];
            at = strchr(at, '%');
            if (!at || (strncmp(at, want, strlen(want)) != 0 && strncmp(at, "%g", 2) != 0))
                fail_msg("%s: field %u, %s, is no %s in the text", row->word, f + 1,
                         row->fields[f].name, want);
        }
        if (strchr(at, '%'))
            fail_msg("%s: the text prints more than its %u fields", row->word, n);
    }
}

/* Whoever reads the fields, and not the text, finds the same thing under the same name. */
static void a_name_has_one_kind(void **state)
{
    (void)state;
    const struct event_field *seen[EVENTS_COUNT * EVENT_FIELDS_MAX];
    const struct event_row *row;
    unsigned n = 0;
    for (row = event_table; row < event_table + EVENTS_COUNT; row++) {
        for (unsigned f = 0, first = n; f < fields_of(row); f++) {
            const struct event_field *field = &row->fields[f];
            for (unsigned j = 0; j < n; j++) {
                if (strcmp(seen[j]->name, field->name) == 0 &&
                    (j >= first || seen[j]->kind != field->kind))
                    fail_msg("%s: %s is twice in it, or another kind elsewhere", row->word,
                             field->name);
            }
            seen[n++] = field;
        }
    }
}

/* More than fields and flags: "-server %s: %s" reads the same in every language. */
static bool has_words(const char *text)
{
    for (const char *p = text; *p; p++) {
        bool begins = p == text || p[-1] == ' ';
        if (*p == '%' || (begins && *p == '-'))
            p += strcspn(p, " :") - 1;
        else if (isalpha((unsigned char)*p))
            return true;
    }
    return false;
}

static void texts_are_translated(void **state)
{
    (void)state;
    unsigned without = 0;
    speak("zh_CN.UTF-8");
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        const char *text = event_table[i].text;
        assert_true(strlen(text) > 0);
        if (!has_words(text))
            without++;
        else if (strcmp(i18n_text(text), text) == 0)
            fail_msg("%s has no Chinese", event_table[i].word);
    }
    speak("C");
    assert_int_equal(without, 8); /* the rule that knows them is not too wide */
}

/* ---- saying one ---- */

/* Stderr, kept in a pipe between hear() and heard(). */
static int real_stderr, ear;

static void hear(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_true(real_stderr >= 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    (void)close(fds[1]);
    ear = fds[0];
}

/* What came, all of it, without the stamp of the first line. */
static const char *heard(void)
{
    static char text[4096];
    size_t n = 0;
    log_flush();
    assert_int_equal(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO); /* so that the pipe ends */
    (void)close(real_stderr);
    for (ssize_t got = 1; got > 0 && n < sizeof text - 1; n += (size_t)got) {
        got = read(ear, text + n, sizeof text - 1 - n);
        assert_true(got >= 0);
    }
    (void)close(ear);
    text[n] = '\0';
    return n > STAMP_LEN ? text + STAMP_LEN : text;
}

static void a_line_is_in_the_language_of_the_user(void **state)
{
    (void)state;
    hear();
    event_session_detached(false, "10.0.0.1:5", "timeout", 60);
    assert_string_equal(
        heard(),
        "[10.0.0.1:5] the connection broke: timeout; its users wait for up to 60 seconds\n");
    speak("zh_CN.UTF-8");
    hear();
    event_client_authenticated("10.0.0.1:5");
    assert_string_equal(heard(), "客户端 10.0.0.1:5 已通过 PSK 认证\n");
    speak("C");
}

/* English says one thing of 1, and another of all other numbers; Chinese the same of all. */
static void a_line_with_a_count_has_its_plural_form(void **state)
{
    (void)state;
    static const struct {
        unsigned n;
        const char *english, *chinese;
    } rows[] = {
        {0, "0 connections wait for", "0 个连接最多等待"},
        {1, "1 connection will wait for", "1 个连接最多等待"},
        {2, "2 connections wait for", "2 个连接最多等待"},
        {101, "101 connections wait for", "101 个连接最多等待"},
        {4294967295u, "4294967295 connections wait for", "4294967295 个连接最多等待"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        speak("C");
        hear();
        event_uplink_detached(false, "x", rows[i].n, 60);
        assert_non_null(strstr(heard(), rows[i].english));
        speak("zh_CN.UTF-8");
        hear();
        event_uplink_detached(false, "x", rows[i].n, 60);
        assert_non_null(strstr(heard(), rows[i].chinese));
    }
    speak("C");
    hear();
    event_stranger_left_out("-", 1, "tls_not=1"); /* each kind of row */
    event_session_idle_cut("a", 1);
    const char *lines = heard();
    assert_memory_equal(lines, "event=left_out src=- 1 line about", 33);
    assert_non_null(strstr(lines, "idle for 1 second\n"));
}

/* Programs look for these, whatever the language is. */
static void a_line_about_a_stranger_begins_the_same_in_every_language(void **state)
{
    (void)state;
    static const char *const languages[] = {"C", "zh_CN.UTF-8"};
    static const char *const texts[] = {"authentication of 192.0.2.1:5 failed: wrong secret\n",
                                        "来自 192.0.2.1:5 的认证失败: 无效的 secret\n"};
    for (int i = 0; i < 2; i++) {
        speak(languages[i]);
        hear();
        event_stranger_auth_failed("192.0.2.1", "192.0.2.1:5");
        const char *line = heard();
        assert_memory_equal(line, "event=auth_failed src=192.0.2.1 ", 32);
        assert_string_equal(line + 32, texts[i]);
    }
    speak("C");
    static char why[2048];
    memset(why, 'x', sizeof why - 1);
    hear();
    event_stranger_tls_failed("::1", "[::1]:5", why); /* cut, and one line */
    const char *line = heard();
    assert_memory_equal(line, "event=tls_failed src=::1 TLS with [::1]:5 failed: xxx", 52);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

/* All that is about strangers is made so. */
static void strangers_have_rows_of_their_own(void **state)
{
    (void)state;
    unsigned rows = 0;
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        const struct event_row *row = &event_table[i];
        bool has_src = row->fields[0].name && strcmp(row->fields[0].name, "src") == 0;
        assert_int_equal(has_src, is_about_a_stranger(row));
        rows += has_src;
    }
    assert_int_equal(rows, 14);
}

static void fields_of_all_kinds(void **state)
{
    (void)state;
    hear();
    log_set_level(LOG_LEVEL_DEBUG);
    event_descriptor_limit(18446744073709551615ull, 4294967295u);
    log_set_level(LOG_LEVEL_INFO);
    assert_string_equal(
        heard(), "descriptor limit 18446744073709551615: up to 4294967295 connections at once\n");
    hear();
    event_port_out_of_range(-9223372036854775807ll);
    assert_string_equal(heard(), "-remote-port -9223372036854775807 is not between 0 and 65535\n");
    hear();
    event_draining(3, 2.5);
    assert_string_equal(heard(), "stopping: 3 connections may finish, for up to 2.5 s; a "
                                 "second signal ends now\n");
}

static void again_is_for_the_debug_log(void **state)
{
    (void)state;
    hear();
    event_session_recovered(true, "a");
    assert_string_equal(heard(), "");
    hear();
    event_session_recovered(false, "a");
    assert_string_equal(heard(), "[a] answers again\n");
    log_set_level(LOG_LEVEL_DEBUG);
    hear();
    event_session_recovered(true, "a");
    assert_string_equal(heard(), "[a] answers again\n");
    log_set_level(LOG_LEVEL_INFO);
}

static void who_asks_is_answered_at_any_level(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    hear();
    event_retry_too_short(); /* a warning */
    event_status_totals(1, 2, 3, 4, 5);
    assert_string_equal(heard(),
                        "status: 1 session, connections: 2 of at most 3, 4 B received, 5 B sent\n");
    log_set_level(LOG_LEVEL_INFO);
}

static void each_is_counted_for_itself(void **state)
{
    (void)state;
    uint64_t before[EVENTS_COUNT];
    for (unsigned i = 0; i < EVENTS_COUNT; i++)
        before[i] = event_count((enum event)i);
    hear();
    event_user_connected("a", "b"); /* below the level: not written, but said */
    event_user_connected("a", "c");
    event_ca_valid();
    assert_string_equal(heard(), "the CA certificate is valid again\n");
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        unsigned said = i == EVENT_user_connected ? 2 : i == EVENT_ca_valid ? 1 : 0;
        assert_int_equal(event_count((enum event)i) - before[i], said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_unique_and_greppable),
        cmocka_unit_test(levels_are_levels),
        cmocka_unit_test(texts_print_their_fields),
        cmocka_unit_test(a_name_has_one_kind),
        cmocka_unit_test(texts_are_translated),
        cmocka_unit_test(a_line_is_in_the_language_of_the_user),
        cmocka_unit_test(a_line_with_a_count_has_its_plural_form),
        cmocka_unit_test(a_line_about_a_stranger_begins_the_same_in_every_language),
        cmocka_unit_test(strangers_have_rows_of_their_own),
        cmocka_unit_test(fields_of_all_kinds),
        cmocka_unit_test(again_is_for_the_debug_log),
        cmocka_unit_test(who_asks_is_answered_at_any_level),
        cmocka_unit_test(each_is_counted_for_itself),
    };
    speak("C");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
