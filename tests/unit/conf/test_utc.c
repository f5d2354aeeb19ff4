/* SPDX-License-Identifier: MIT */
/* Moments in UTC. The numbers are those of Python's datetime. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/utc.h"

static const struct {
    const char *text;
    int64_t at;
} moments[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1999-12-31T23:59:59Z", 946684799},
    {"2000-02-29T12:00:00Z", 951825600},
    {"2000-03-01T00:00:00Z", 951868800},
    {"2024-02-29T23:59:59Z", 1709251199},
    {"2027-01-31T00:00:00Z", 1801353600},
    {"2038-01-19T03:14:08Z", INT64_C(2147483648)},
    {"2100-02-28T23:59:59Z", INT64_C(4107542399)},
    {"2100-03-01T00:00:00Z", INT64_C(4107542400)},
    {"2400-02-29T00:00:00Z", INT64_C(13574563200)},
    {"9999-12-31T23:59:59Z", INT64_C(253402300799)},
};

static void moments_and_their_numbers(void **state)
{
    (void)state;
    char text[UTC_BUF];
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        int64_t at = -7;
        assert_int_equal(utc_parse(moments[i].text, &at), 0);
        assert_true(at == moments[i].at);
        assert_string_equal(utc_text(text, at), moments[i].text);
    }
}

/* Through 400 years: each day is one after the one before, as text and as number. */
static void every_day_follows_another(void **state)
{
    (void)state;
    char text[UTC_BUF], before[UTC_BUF] = "";
    for (int64_t day = 0; day < 146097 + 10; day++) {
        int64_t at;
        assert_int_equal(utc_parse(utc_text(text, day * 86400 + day % 86400), &at), 0);
        assert_true(at == day * 86400 + day % 86400);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof text);
    }
}

static void what_is_no_moment(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"", ERR_INVAL},
        {"2027-01-31", ERR_INVAL},
        {"2027-01-31T00:00:00", ERR_INVAL},
        {"2027-01-31T00:00:00z", ERR_INVAL},
        {"2027-01-31t00:00:00Z", ERR_INVAL},
        {"2027-01-31 00:00:00Z", ERR_INVAL},
        {"2027-01-31T00:00:00+00:00", ERR_INVAL},
        {"2027-01-31T00:00:00.5Z", ERR_INVAL},
        {"2027-1-31T00:00:00ZZ", ERR_INVAL},
        {" 2027-01-31T00:00:00", ERR_INVAL},
        {"2027-01-31T00:00:00Z ", ERR_INVAL},
        {"2027-01-3xT00:00:00Z", ERR_INVAL},
        {"-027-01-31T00:00:00Z", ERR_INVAL},
        {"1969-12-31T23:59:59Z", ERR_RANGE},
        {"2027-00-01T00:00:00Z", ERR_RANGE},
        {"2027-13-01T00:00:00Z", ERR_RANGE},
        {"2027-01-00T00:00:00Z", ERR_RANGE},
        {"2027-01-32T00:00:00Z", ERR_RANGE},
        {"2027-02-29T00:00:00Z", ERR_RANGE},
        {"2100-02-29T00:00:00Z", ERR_RANGE},
        {"2027-04-31T00:00:00Z", ERR_RANGE},
        {"2027-01-31T24:00:00Z", ERR_RANGE},
        {"2027-01-31T23:60:00Z", ERR_RANGE},
        {"2027-01-31T23:59:60Z", ERR_RANGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t at = -7;
        print_message("%s\n", rows[i].text);
        assert_int_equal(utc_parse(rows[i].text, &at), rows[i].err);
        assert_int_equal(at, -7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_and_their_numbers),
        cmocka_unit_test(every_day_follows_another),
        cmocka_unit_test(what_is_no_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
