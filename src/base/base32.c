/* SPDX-License-Identifier: MIT */
/* Base32: five bits a character, the most significant first. */
#include "base/base32.h"

#include <stdint.h>

void base32_put(char *out, const void *bytes, size_t n)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    const uint8_t *p = bytes;
    uint32_t bits = 0;  /* that are not written yet ... */
    unsigned count = 0; /* ... so many, fewer than 5 between bytes */
    for (size_t i = 0; i < n; i++) {
        bits = (bits << 8 | p[i]) & 0xfff;
        for (count += 8; count >= 5; count -= 5)
            *out++ = digits[bits >> (count - 5) & 31];
    }
    if (count > 0)
        *out = digits[bits << (5 - count) & 31];
}

static int digit(char c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

bool base32_get(void *ret, const char *text, size_t n)
{
    uint8_t *p = ret;
    uint32_t bits = 0;
    unsigned count = 0; /* fewer than 8 between characters */
    for (size_t i = 0; i < BASE32_LEN(n); i++) {
        int d = digit(text[i]);
        if (d < 0)
            return false;
        bits = (bits << 5 | (uint32_t)d) & 0xfff;
        count += 5;
        if (count >= 8) {
            count -= 8;
            *p++ = (uint8_t)(bits >> count);
        }
    }
    return (bits & ((1u << count) - 1)) == 0;
}
