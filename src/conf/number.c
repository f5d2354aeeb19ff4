/* SPDX-License-Identifier: MIT */
/* Integer literals in Go's grammar. */
#include "conf/number.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Value of a digit in any base, or -1. */
static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The base a prefix stands for, and how many characters it takes. A lone "0x" has no digits: it
   reads as octal "0" followed by an invalid 'x', which is an error all the same. */
static unsigned base_of(const char *s, size_t *ret_len)
{
    *ret_len = 0;
    if (s[0] != '0')
        return 10;
    *ret_len = 2;
    if (s[1] != '\0' && s[2] != '\0') {
        if (s[1] == 'x' || s[1] == 'X')
            return 16;
        if (s[1] == 'o' || s[1] == 'O')
            return 8;
        if (s[1] == 'b' || s[1] == 'B')
            return 2;
    }
    *ret_len = 1;
    return 8;
}

/* An overflow ends the reading at once, before what follows is looked at, as in Go. */
static int parse_magnitude(const char *s, uint64_t *ret)
{
    size_t prefix;
    unsigned base = base_of(s, &prefix);
    bool after_digit = prefix > 0; /* a prefix counts as a digit: "0x_1" is fine */
    bool misplaced = false;        /* an underscore */
    uint64_t n = 0;

    if (*s == '\0')
        return ERR_INVAL;
    for (s += prefix; *s; s++) {
        if (*s == '_') {
            misplaced = misplaced || !after_digit;
            after_digit = false;
            continue;
        }
        int d = digit_of(*s);
        if (d < 0 || (unsigned)d >= base)
            return ERR_INVAL;
        if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, (unsigned)d, &n))
            return ERR_RANGE;
        after_digit = true;
    }
    if (misplaced || !after_digit)
        return ERR_INVAL;
    *ret = n;
    return 0;
}

int number_parse(const char *text, int64_t *ret)
{
    uint64_t n;
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    int err = parse_magnitude(text, &n);
    if (err < 0)
        return err;
    uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (n > most)
        return ERR_RANGE;
    *ret = negative ? (int64_t)(0 - n) : (int64_t)n;
    return 0;
}
