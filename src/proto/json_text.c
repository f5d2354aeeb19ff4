/* SPDX-License-Identifier: MIT */
/* The inside of JSON strings, written byte for byte as Go's encoder does. */
#include "proto/json_text.h"

#include <stdio.h>
#include <string.h>

/* Table 3-7 of the Unicode standard. */
size_t json_text_utf8_len(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                                             : 4;
    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4))
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
        if (s[i] < low || s[i] > high)
            return 0;
    return n;
}

/* One character of a string as Go's encoder writes it. *s moves on. */
static void encode_char(char out[8], const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    size_t n = json_text_utf8_len(*s);
    *s += n ? n : 1;
    if (n == 0)
        strcpy(out, "\\ufffd");
    else if (*p == '"' || *p == '\\')
        (void)snprintf(out, 8, "\\%c", *p);
    else if (*p == '\n' || *p == '\r' || *p == '\t')
        (void)snprintf(out, 8, "\\%c", *p == '\n' ? 'n' : *p == '\r' ? 'r' : 't');
    else if (*p < 0x20 || *p == '<' || *p == '>' || *p == '&')
        (void)snprintf(out, 8, "\\u%04x", *p);
    else if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
        (void)snprintf(out, 8, "\\u202%c", p[2] == 0xa8 ? '8' : '9');
    else
        (void)snprintf(out, 8, "%.*s", (int)n, (const char *)p);
}

size_t json_text_put(char *out, size_t room, const char *text)
{
    size_t at = 0;
    out[0] = '\0';
    while (*text) {
        char c[8];
        encode_char(c, &text);
        size_t n = strlen(c);
        if (n >= room - at)
            break;
        memcpy(out + at, c, n + 1);
        at += n;
    }
    return at;
}
