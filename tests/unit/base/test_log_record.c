/* SPDX-License-Identifier: MIT */
/* Records as JSON and for the journal: what a peer may say stays inside of its field, and has a bound. */
#include "base/log_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"

static char out[LOG_RECORD_MAX + 1];

static const char *json(const struct log_record *r)
{
    size_t n = log_record_json(out, r);
    assert_in_range(n, 1, LOG_RECORD_MAX);
    out[n] = '\0';
    return out;
}

static const char *journal(const struct log_record *r)
{
    size_t n = log_record_journal(out, r);
    assert_in_range(n, 1, LOG_RECORD_MAX);
    out[n] = '\0';
    return out;
}

static struct log_record one(struct log_value v)
{
    struct log_record r = {
        .at = {1, 2000}, .level = LOG_LEVEL_WARN, .event = "x", .message = "m", .count = 1};
    r.fields[0] = v;
    return r;
}

#define HEAD "{\"ts\":\"1970-01-01T00:00:01.000002Z\",\"level\":\"warn\",\"event\":\"x\","
#define TAIL ",\"message\":\"m\"}\n"

static void a_field_of_each_kind(void **state)
{
    (void)state;
    struct log_record r =
        one((struct log_value){"why", LOG_VALUE_TEXT, "a \"b\" \\ \t\x1b\x7f", 0, 0});
    assert_string_equal(json(&r), HEAD "\"why\":\"a \\\"b\\\" \\\\ \\u0009\\u001b\\u007f\"" TAIL);
    r = one((struct log_value){"n", LOG_VALUE_UNSIGNED, NULL, 0, UINT64_MAX});
    assert_string_equal(json(&r), HEAD "\"n\":18446744073709551615" TAIL);
    r = one((struct log_value){"n", LOG_VALUE_SIGNED, NULL, -5, 0});
    assert_string_equal(json(&r), HEAD "\"n\":-5" TAIL);
    r = one((struct log_value){"n", LOG_VALUE_SECONDS, NULL, 61005, 0});
    assert_string_equal(json(&r), HEAD "\"n\":61.005" TAIL);
    r = one((struct log_value){"client", LOG_VALUE_CLIENT, "[::1]:5 nas", 0, 0});
    assert_string_equal(json(&r), HEAD "\"client\":\"nas\",\"peer\":\"[::1]:5\"" TAIL);
    r = one(
        (struct log_value){"client", LOG_VALUE_CLIENT, "[::1]:5", 0, 0}); /* the original's wire */
    assert_string_equal(json(&r), HEAD "\"peer\":\"[::1]:5\"" TAIL);
}

static void bytes_that_are_no_text_become_some(void **state)
{
    (void)state;
    struct log_record r = one((struct log_value){
        "why", LOG_VALUE_TEXT, "\xff\xe4\xb8\xad\xe4\xb8\xc2\x85\xe2\x80\xa8", 0, 0});
    assert_string_equal(
        json(&r),
        HEAD "\"why\":\"\xef\xbf\xbd\xe4\xb8\xad\xef\xbf\xbd\xef\xbf\xbd\\u0085\\u2028\"" TAIL);
}

/* As much as can be, in each field: it is whole, and has its end. */
static void the_longest_is_whole(void **state)
{
    static char control[8192], wide[8192];
    (void)state;
    memset(control, 1, sizeof control - 1);
    for (size_t i = 0; i + 3 < sizeof wide; i += 3)
        memcpy(wide + i, "\xe4\xb8\xad", 3);
    for (int i = 0; i < 2; i++) {
        struct log_record r = {.level = LOG_LEVEL_ERROR, .event = "x", .count = LOG_RECORD_FIELDS};
        r.message = i == 0 ? control : wide;
        for (unsigned f = 0; f < r.count; f++)
            r.fields[f] =
                (struct log_value){"a_name_that_is_rather_long", LOG_VALUE_TEXT, r.message, 0, 0};
        const char *text = json(&r);
        assert_string_equal(text + strlen(text) - 3, "\"}\n");
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        size_t n = log_record_journal(out, &r);
        assert_in_range(n, 4096, LOG_RECORD_MAX - 1);
        assert_int_equal(out[n - 1], '\n');
    }
}

static void the_journal_s_entry(void **state)
{
    (void)state;
    struct log_record r = one((struct log_value){"why", LOG_VALUE_TEXT, "no answer", 0, 0});
    char id[LOG_RECORD_ID];
    log_record_id(id, "x");
    const char *text = journal(&r);
    assert_memory_equal(text, "PRIORITY=4\nSYSLOG_IDENTIFIER=gotunnel\nMESSAGE_ID=", 49);
    assert_memory_equal(text + 49, id, 32);
    assert_string_equal(text + 81, "\nGOTUNNEL_EVENT=x\nMESSAGE=m\nGOTUNNEL_WHY=no answer\n");
}

/* What looks like a field of its own is none. */
static void a_line_break_begins_no_field(void **state)
{
    (void)state;
    struct log_record r = one((struct log_value){"why", LOG_VALUE_TEXT, "a\nPRIORITY=0", 0, 0});
    const char *at = strstr(journal(&r), "GOTUNNEL_WHY\n");
    assert_non_null(at);
    at += strlen("GOTUNNEL_WHY\n");
    assert_int_equal(get_le64((const uint8_t *)at), 12);
    assert_string_equal(at + 8, "a\nPRIORITY=0\n");
}

/* They are searched for: another one would be another event. */
static void ids_stay(void **state)
{
    char id[LOG_RECORD_ID], other[LOG_RECORD_ID];
    (void)state;
    log_record_id(id, "session_resumed");
    log_record_id(other, "session_ended");
    assert_int_equal(strlen(id), 32);
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    assert_int_equal(id[12], '4'); /* a UUID of that kind */
    assert_string_not_equal(id, other);
    assert_string_equal(id, "2522f509f2fe418d9d7134130d97161b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_of_each_kind),
        cmocka_unit_test(bytes_that_are_no_text_become_some),
        cmocka_unit_test(the_longest_is_whole),
        cmocka_unit_test(the_journal_s_entry),
        cmocka_unit_test(a_line_break_begins_no_field),
        cmocka_unit_test(ids_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
