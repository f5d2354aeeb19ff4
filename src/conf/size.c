/* SPDX-License-Identifier: MIT */
/* Amounts of memory. */
#include "conf/size.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"

/* How far the unit shifts, or -1. */
static int shift_of(const char *unit)
{
    static const char letters[] = "KMGT";
    if (*unit == '\0' || strcasecmp(unit, "B") == 0)
        return 0;
    const char *at = memchr(letters, *unit & ~0x20, sizeof letters - 1);
    if (!at || (unit[1] && strcasecmp(unit + 1, "B") != 0 && strcasecmp(unit + 1, "iB") != 0))
        return -1;
    return 10 * (int)(at - letters + 1);
}

int size_parse(const char *text, int64_t *ret_bytes)
{
    int64_t n = 0;
    const char *s = text;
    for (; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
            return ERR_RANGE;
    int shift = shift_of(s);
    if (s == text || shift < 0)
        return ERR_INVAL;
    if (n > INT64_MAX >> shift)
        return ERR_RANGE;
    *ret_bytes = n << shift;
    return 0;
}
