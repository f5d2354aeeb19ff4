/* SPDX-License-Identifier: MIT */
/* The blocks of Unicode 15 that are wide (East Asian Width W and F), and those that take no cell: whole blocks, not each
   character, as what is shown is names, words and our own translations. */
#include "base/columns.h"

#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/utf8.h"

struct block {
    uint32_t from, to;
    uint8_t cells;
};

static const struct block blocks[] = {
    {0x0300, 0x036f, 0},   /* combining marks */
    {0x1100, 0x115f, 2},   /* Hangul Jamo */
    {0x200b, 0x200f, 0},   /* without width, and directions */
    {0x2e80, 0x303e, 2},   /* radicals, CJK punctuation */
    {0x3041, 0x33ff, 2},   /* Kana, CJK signs */
    {0x3400, 0x4dbf, 2},   /* ideographs */
    {0x4e00, 0x9fff, 2},   /* ideographs */
    {0xa000, 0xa4cf, 2},   /* Yi */
    {0xac00, 0xd7a3, 2},   /* Hangul */
    {0xf900, 0xfaff, 2},   /* ideographs for compatibility */
    {0xfe00, 0xfe0f, 0},   /* variation selectors */
    {0xfe30, 0xfe6f, 2},   /* forms of punctuation */
    {0xff01, 0xff60, 2},   /* full-width forms */
    {0xffe0, 0xffe6, 2},   /* full-width signs */
    {0x1f300, 0x1f64f, 2}, /* pictures */
    {0x1f900, 0x1f9ff, 2}, /* more of them */
    {0x20000, 0x3fffd, 2}, /* ideographs */
};

static size_t cells_of(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        if (c >= blocks[i].from && c <= blocks[i].to)
            return blocks[i].cells;
    return 1;
}

/* The character at *s, which moves on behind it. */
static size_t next_cells(const char **s)
{
    uint32_t c;
    size_t n = utf8_get(&c, *s, strnlen(*s, 4));
    *s += n > 0 ? n : 1;
    return n > 0 ? cells_of(c) : 1;
}

size_t columns_of(const char *text)
{
    size_t cells = 0;
    while (*text)
        cells += next_cells(&text);
    return cells;
}

size_t columns_cut(const char *text, size_t cells)
{
    const char *at = text, *next = text;
    while (*at) {
        size_t n = next_cells(&next);
        if (n > cells)
            break;
        cells -= n;
        at = next;
    }
    return (size_t)(at - text);
}
