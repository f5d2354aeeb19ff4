/* SPDX-License-Identifier: MIT */
/* The one UTF-8 decoder. */
#include "base/utf8.h"

/* The length that the first byte promises, 0 if it begins no character, and the bits of the
   character it carries. */
static size_t begin(uint8_t b, uint32_t *ret_bits)
{
    static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t len = b < 0x80 ? 1 : b < 0xc2 ? 0 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : b <= 0xf4 ? 4 : 0;
    *ret_bits = b & mask[len];
    return len;
}

size_t utf8_get(uint32_t *ret, const void *text, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = text;
    uint32_t c;
    size_t len = n > 0 ? begin(p[0], &c) : 0;
    if (len == 0 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return len;
}
