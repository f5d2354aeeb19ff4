/* SPDX-License-Identifier: MIT */
/* Quoting in Go's %q form. */
#include "conf/quote.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/utf8.h"

/* Characters beyond ASCII that are not printed: Unicode's C and Z categories, without what is not
   assigned in between. */
static const struct range {
    uint32_t first, last;
} hidden[] = {
    {0x80, 0xa0},       {0xad, 0xad},        {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},      {0x890, 0x891},     {0x8e2, 0x8e2},
    {0x1680, 0x1680},   {0x180e, 0x180e},    {0x2000, 0x200f},   {0x2028, 0x202f},
    {0x205f, 0x206f},   {0x3000, 0x3000},    {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},
    {0xfeff, 0xfeff},   {0xfff0, 0xfffb},    {0xfffe, 0xffff},   {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f},  {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
    {0xe0000, 0xe00ff}, {0xf0000, 0x10ffff},
};

static bool is_hidden(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return true;
    return false;
}

/* The escape or the character itself for what stands at s; returns how many bytes of s it is. */
static size_t quote_one(char unit[12], const unsigned char *s)
{
    static const char named[] = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";
    uint32_t c;
    size_t len = utf8_get(&c, s, strnlen((const char *)s, 4));
    if (len == 0) {
        (void)snprintf(unit, 12, "\\x%02x", s[0]);
        return 1;
    }
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if ((unsigned char)named[i] == c) {
            (void)snprintf(unit, 12, "\\%c", named[i + 1]);
            return 1;
        }
    }
    if (c < 0x20 || c == 0x7f)
        (void)snprintf(unit, 12, "\\x%02x", c);
    else if (!is_hidden(c))
        (void)snprintf(unit, 12, "%.*s", (int)len, (const char *)s);
    else
        (void)snprintf(unit, 12, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    return len;
}

struct sink {
    char *out;
    size_t room, len;
};

static void put(struct sink *k, const char *text)
{
    for (; *text; text++, k->len++)
        if (k->len + 1 < k->room)
            k->out[k->len] = *text;
}

size_t quote(char *out, size_t room, const char *text)
{
    struct sink k = {out, room, 0};
    char unit[12];
    put(&k, "\"");
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        s += quote_one(unit, s);
        put(&k, unit);
    }
    put(&k, "\"");
    if (room > 0)
        out[k.len < room ? k.len : room - 1] = '\0';
    return k.len;
}
