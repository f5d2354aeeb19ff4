/* SPDX-License-Identifier: MIT */
/* Target: escape_text(). Whatever comes, the result is one bounded line of printable UTF-8. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes one well-formed character from *p, by the table of the Unicode standard (3-7). */
static uint32_t take(const uint8_t **p)
{
    const uint8_t *b = *p;
    uint32_t c = b[0];
    int tail = b[0] < 0x80 ? 0 : b[0] < 0xe0 ? 1 : b[0] < 0xf0 ? 2 : 3;
    if (tail > 0) {
        static const uint8_t mask[] = {0, 0x1f, 0x0f, 0x07};
        uint8_t least = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
        uint8_t most = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
        assert(b[0] >= 0xc2 && b[0] <= 0xf4 && b[1] >= least && b[1] <= most);
        c &= mask[tail];
    }
    for (int i = 1; i <= tail; i++) {
        assert(b[i] >= 0x80 && b[i] <= 0xbf);
        c = c << 6 | (b[i] & 0x3f);
    }
    *p += 1 + tail;
    return c;
}

static void check_character(uint32_t c)
{
    assert(c >= 0x20 && c != '"');
    assert(c < 0x7f || c > 0x9f);
    assert(c < 0x200b || c > 0x200f);
    assert(c < 0x2028 || c > 0x202e);
    assert(c < 0x2066 || c > 0x2069);
    assert(c != 0xfeff && (c < 0xe0000 || c > 0xe0fff));
}

/* Behind a backslash stands one of nrt"\ or x and two digits. */
static const uint8_t *check_escape(const uint8_t *p)
{
    if (*p && strchr("nrt\"\\", *p))
        return p + 1;
    assert(*p == 'x');
    assert(p[1] && strchr("0123456789abcdef", p[1]) && p[2] && strchr("0123456789abcdef", p[2]));
    return p + 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[ESCAPE_BUF], again[ESCAPE_BUF];
    uint8_t *before = malloc(size ? size : 1);
    if (!before)
        return 0;
    if (size > 0)
        memcpy(before, data, size);
    memset(out, '\x7f', sizeof out);

    assert(escape_text(out, data, size) == out);
    assert(size == 0 || memcmp(before, data, size) == 0);
    size_t len = strnlen(out, sizeof out);
    assert(len < sizeof out);
    assert(len <= ESCAPE_MAX || strcmp(out + len - 3, "...") == 0);

    const uint8_t *p = (const uint8_t *)out;
    while (*p) {
        if (*p == '\\')
            p = check_escape(p + 1);
        else
            check_character(take(&p));
    }
    assert(p == (const uint8_t *)out + len);
    assert(strcmp(escape_text(again, before, size), out) == 0);
    free(before);
    return 0;
}
