/* SPDX-License-Identifier: MIT */
/* The inside of JSON strings, written byte for byte as Go's encoder does. */
#include "proto/json_text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* One character of a string as Go's encoder writes it. *s moves on. */
static void encode_char(char out[8], const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    uint32_t number;
    size_t n = utf8_get(&number, *s, strnlen(*s, 4));
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
