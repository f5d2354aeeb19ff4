/* SPDX-License-Identifier: MIT */
/*
 * Escaping of peers' text for a log line. Text is taken apart into units: one valid UTF-8 character
 * or one byte that belongs to none. A unit is written as it is, or as one escape a byte; it is
 * never written in part.
 */
#include "base/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/hex.h"
#include "base/utf8.h"

enum { UNIT_BYTES_MAX = 4, UNIT_TEXT_MAX = 4 * UNIT_BYTES_MAX };

/* Characters beyond ASCII that show nothing, or change how others are shown. Sorted. */
static const struct range {
    uint32_t first, last;
} hidden[] = {
    {0x80, 0x9f},       /* C1 controls: some terminals obey them */
    {0xad, 0xad},       /* soft hyphen */
    {0x61c, 0x61c},     /* Arabic letter mark */
    {0x115f, 0x1160},   /* Hangul fillers */
    {0x180b, 0x180f},   /* Mongolian selectors and vowel separator */
    {0x200b, 0x200f},   /* zero widths, direction marks */
    {0x2028, 0x202e},   /* line and paragraph separator, direction overrides */
    {0x2060, 0x206f},   /* invisible operators, direction isolates */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xfdd0, 0xfdef},   /* noncharacters */
    {0xfe00, 0xfe0f},   /* variation selectors */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xffa0, 0xffa0},   /* Hangul filler, half width */
    {0xfff0, 0xfffb},   /* unassigned, interlinear annotation */
    {0x110bd, 0x110cd}, /* Kaithi number signs and what is between */
    {0x13430, 0x1345f}, /* hieroglyph format controls */
    {0x1bca0, 0x1bca3}, /* shorthand format controls */
    {0x1d173, 0x1d17a}, /* musical format controls */
    {0xe0000, 0xe0fff}, /* tags, variation selectors */
};

static bool is_hidden(uint32_t c)
{
    if ((c & 0xfffe) == 0xfffe)
        return true; /* the last two of each plane are no characters */
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        if (c >= hidden[i].first && c <= hidden[i].last)
            return true;
    }
    return false;
}

/* The letter behind the backslash for bytes that have one, else NUL. */
static char short_escape(uint8_t b)
{
    switch (b) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return (char)b;
    default:
        return '\0';
    }
}

/* Writes one byte's escape; its length. */
static size_t put_escape(char *out, uint8_t b)
{
    out[0] = '\\';
    out[1] = short_escape(b);
    if (out[1])
        return 2;
    out[1] = 'x';
    hex_put(out + 2, &b, 1);
    return 4;
}

/* Writes the unit at p to out; the number of bytes it took. */
static size_t unit(char out[UNIT_TEXT_MAX], size_t *len, const uint8_t *p, size_t n)
{
    uint32_t c = 0;
    bool ascii = p[0] < 0x80;
    size_t size = utf8_get(&c, p, n);
    bool plain =
        ascii ? p[0] >= 0x20 && p[0] != 0x7f && !short_escape(p[0]) : size > 0 && !is_hidden(c);
    if (size == 0)
        size = 1;
    *len = 0;
    if (plain) {
        memcpy(out, p, size);
        *len = size;
        return size;
    }
    for (size_t i = 0; i < size; i++)
        *len += put_escape(out + *len, p[i]);
    return size;
}

const char *escape_text(char out[ESCAPE_BUF], const void *text, size_t n)
{
    const uint8_t *p = text;
    size_t used = 0;
    while (n > 0) {
        char piece[UNIT_TEXT_MAX];
        size_t len;
        size_t taken = unit(piece, &len, p, n);
        if (len > ESCAPE_MAX - used) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        memcpy(out + used, piece, len);
        used += len;
        p += taken;
        n -= taken;
    }
    out[used] = '\0';
    return out;
}
