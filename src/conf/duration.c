/* SPDX-License-Identifier: MIT */
/*
 * Go's durations. The largest magnitude is that of INT64_MIN, 2^63, so sums are kept unsigned and
 * the sign comes last.
 */
#include "conf/duration.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

#define MAGNITUDE_MAX ((uint64_t)1 << 63)

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},           {"us", 1000},      {"\xc2\xb5s", 1000}, /* U+00B5, micro sign */
    {"\xce\xbcs", 1000},                                         /* U+03BC, Greek mu */
    {"ms", 1000000},     {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits before the point. */
static int parse_whole(const char **s, uint64_t *ret)
{
    uint64_t n = 0;
    for (; is_digit(**s); ++*s) {
        n = n * 10 + (uint64_t)(**s - '0');
        if (n > MAGNITUDE_MAX)
            return ERR_INVAL;
        if (n > MAGNITUDE_MAX / 10 && is_digit((*s)[1]))
            return ERR_INVAL;
    }
    *ret = n;
    return 0;
}

/* Digits behind the point, as n / scale. Those beyond what fits are dropped, not an error. */
static void parse_fraction(const char **s, uint64_t *ret, double *ret_scale)
{
    uint64_t n = 0;
    double scale = 1;
    bool full = false;
    for (; is_digit(**s); ++*s) {
        uint64_t next = n * 10 + (uint64_t)(**s - '0');
        full = full || n > (MAGNITUDE_MAX - 1) / 10 || next > MAGNITUDE_MAX;
        if (full)
            continue;
        n = next;
        scale *= 10;
    }
    *ret = n;
    *ret_scale = scale;
}

/* Everything up to the next digit or point is the unit. */
static int parse_unit(const char **s, uint64_t *ret)
{
    size_t len = strcspn(*s, ".0123456789");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strlen(units[i].name) == len && memcmp(units[i].name, *s, len) == 0) {
            *ret = units[i].ns;
            *s += len;
            return 0;
        }
    }
    return ERR_INVAL;
}

/* One number with its unit. */
static int parse_term(const char **s, uint64_t *ret)
{
    uint64_t whole, fraction = 0, unit;
    double scale = 1;
    const char *start = *s;

    if (parse_whole(s, &whole) < 0)
        return ERR_INVAL;
    bool has_digits = *s > start;
    if (**s == '.') {
        start = ++*s;
        parse_fraction(s, &fraction, &scale);
        has_digits = has_digits || *s > start;
    }
    if (!has_digits || parse_unit(s, &unit) < 0 || whole > MAGNITUDE_MAX / unit)
        return ERR_INVAL;
    /* In floating point like Go's, so that every digit of the result agrees. */
    *ret = whole * unit + (uint64_t)((double)fraction * ((double)unit / scale));
    return *ret > MAGNITUDE_MAX ? ERR_INVAL : 0;
}

int duration_parse(const char *text, int64_t *ret_ns)
{
    uint64_t sum = 0;
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (*text == '\0')
        return ERR_INVAL;
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    while (*text) {
        uint64_t term;
        if (parse_term(&text, &term) < 0 || term > MAGNITUDE_MAX - sum)
            return ERR_INVAL;
        sum += term;
    }
    if (!negative && sum == MAGNITUDE_MAX)
        return ERR_INVAL;
    *ret_ns = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return 0;
}
