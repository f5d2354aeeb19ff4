/* SPDX-License-Identifier: MIT */
/* Days of the Gregorian calendar, by arithmetic: the C library's would ask for a time zone. */
#include "conf/utc.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum { DAY_S = 86400 };

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970 to the first of a year. */
static int64_t days_before(int year)
{
    int y = year - 1;
    return (int64_t)365 * (year - UTC_FIRST) + (y / 4 - y / 100 + y / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400);
}

/* The parts by the form: a letter is a digit of its part, all else stands for itself. */
static int take_parts(const char *text, int ret[6])
{
    static const char form[] = "YYYY-MM-DDThh:mm:ssZ", parts[] = "YMDhms";
    memset(ret, 0, 6 * sizeof *ret);
    if (strlen(text) != sizeof form - 1)
        return ERR_INVAL;
    for (size_t i = 0; form[i]; i++) {
        const char *part = strchr(parts, form[i]);
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (part ? !is_digit : text[i] != form[i])
            return ERR_INVAL;
        if (part)
            ret[part - parts] = ret[part - parts] * 10 + (text[i] - '0');
    }
    return 0;
}

int utc_parse(const char *text, int64_t *ret)
{
    int p[6];
    int err = take_parts(text, p);
    if (err < 0)
        return err;
    if (p[0] < UTC_FIRST || p[1] < 1 || p[1] > 12 || p[2] < 1 || p[2] > days_in(p[0], p[1]) ||
        p[3] > 23 || p[4] > 59 || p[5] > 59)
        return ERR_RANGE;
    int64_t days = days_before(p[0]) + p[2] - 1;
    for (int month = 1; month < p[1]; month++)
        days += days_in(p[0], month);
    *ret = days * DAY_S + p[3] * 3600 + p[4] * 60 + p[5];
    return 0;
}

static bool is_moment(int64_t at)
{
    return at >= 0 && at < days_before(UTC_LAST + 1) * DAY_S;
}

const char *utc_text(char out[UTC_BUF], int64_t at)
{
    int64_t days = at / DAY_S;
    int year = UTC_FIRST, month = 1, s = (int)(at % DAY_S);
    assert(is_moment(at));
    while (days_before(year + 1) <= days)
        year++;
    days -= days_before(year);
    for (; days >= days_in(year, month); month++)
        days -= days_in(year, month);
    (void)snprintf(out, UTC_BUF, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000,
                   (unsigned)month % 100, (unsigned)(days + 1) % 100, (unsigned)s / 3600 % 100,
                   (unsigned)s / 60 % 60, (unsigned)s % 60); /* fits */
    return out;
}

const char *utc_shown(char out[UTC_BUF], int64_t at)
{
    return is_moment(at) ? utc_text(out, at) : "-";
}
