/* SPDX-License-Identifier: MIT */
/* A PROXY header: a line of text (version 1), or a binary one (version 2). */
#include "proto/proxy_header.h"

#include <stdbool.h>
#include <string.h>

enum {
    V1_MIN = 15, /* "PROXY UNKNOWN" CR LF */
    SIGNATURE = 12,
    V2_HEAD = 16, /* signature, version and command, family, length */
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_TCP4_BYTES = 12, /* two addresses, two ports */
    V2_TCP6_BYTES = 36,
};

static const char v1_begin[] = "PROXY ";
static const uint8_t v2_begin[SIGNATURE + 1] = "\r\n\r\n\0\r\nQUIT\n";

static struct proxy_header_look is_not(void)
{
    return (struct proxy_header_look){.verdict = PROXY_HEADER_NOT};
}

static struct proxy_header_look more(size_t need)
{
    return (struct proxy_header_look){.verdict = PROXY_HEADER_MORE, .need = need};
}

static struct proxy_header_look whole(size_t length, const struct address *source)
{
    return (struct proxy_header_look){
        .verdict = PROXY_HEADER_WHOLE, .length = length, .source = *source};
}

/* The n bytes that are there are the first ones of these. */
static bool begins_like(const uint8_t *p, size_t n, const void *begin, size_t size)
{
    return memcmp(p, begin, n < size ? n : size) == 0;
}

/* ---- version 1 ---- */

/* What is left of a line. */
struct words {
    const char *p, *end;
};

/* Takes a word of the line, and the one blank behind it. False: there is none, or no blank. */
static bool take_word(struct words *w, const char **ret, size_t *ret_n)
{
    const char *blank = memchr(w->p, ' ', (size_t)(w->end - w->p));
    if (!blank)
        return false;
    *ret = w->p;
    *ret_n = (size_t)(blank - w->p);
    w->p = blank + 1;
    return true;
}

/* Takes an address of this family; one that is IPv4-mapped is written as an IPv6 one. */
static bool take_address(struct words *w, bool is_v6, struct address *ret)
{
    const char *text;
    size_t n;
    return take_word(w, &text, &n) && (memchr(text, ':', n) != NULL) == is_v6 &&
           address_from_text(ret, text, n);
}

/* n digits, 0 to 65535; no zero in front of others. */
static bool port_of(const char *text, size_t n, uint16_t *ret)
{
    unsigned port = 0;
    if (n == 0 || n > 5 || (n > 1 && *text == '0'))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    *ret = (uint16_t)port;
    return port <= 65535;
}

/* Two addresses and two ports, and nothing else. */
static bool ends_of(struct words w, bool is_v6, struct address *ret)
{
    struct address source, target;
    const char *text;
    size_t n;
    uint16_t port;
    if (!take_address(&w, is_v6, &source) || !take_address(&w, is_v6, &target))
        return false;
    if (!take_word(&w, &text, &n) || !port_of(text, n, &source.port) ||
        !port_of(w.p, (size_t)(w.end - w.p), &port))
        return false;
    *ret = source;
    return true;
}

static bool is_word(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(text, word, n) == 0;
}

/* The n bytes of a line without its end. */
static struct proxy_header_look judge_line(const char *line, size_t n)
{
    struct words w = {line + sizeof v1_begin - 1, line + n};
    struct address source = {.family = ADDRESS_NONE};
    size_t rest = (size_t)(w.end - w.p), word = rest;
    const char *blank = memchr(w.p, ' ', rest);
    if (blank)
        word = (size_t)(blank - w.p);
    if (is_word(w.p, word, "UNKNOWN"))
        return whole(n + 2, &source); /* whatever may follow */
    bool is_v6 = is_word(w.p, word, "TCP6");
    if (!blank || !(is_v6 || is_word(w.p, word, "TCP4")))
        return is_not();
    w.p = blank + 1;
    return ends_of(w, is_v6, &source) ? whole(n + 2, &source) : is_not();
}

static struct proxy_header_look look_at_line(const uint8_t *p, size_t n)
{
    size_t most = n < PROXY_HEADER_V1_MAX ? n : PROXY_HEADER_V1_MAX;
    const uint8_t *end = memchr(p, '\r', most);
    size_t at = end ? (size_t)(end - p) : most;
    for (size_t i = 0; i < at; i++)
        if (p[i] < ' ' || p[i] > '~')
            return is_not();
    if (end && at + 1 < most)
        return end[1] == '\n' ? judge_line((const char *)p, at) : is_not();
    if (most == PROXY_HEADER_V1_MAX)
        return is_not();
    return more(n < V1_MIN ? V1_MIN : n + 1);
}

/* ---- version 2 ---- */

/* What the known families have between the head and what else follows. The others that are valid
   are taken as if the balancer did not know. */
static bool source_of(uint8_t family, const uint8_t *p, size_t n, struct address *ret)
{
    static const uint8_t others[] = {0x00, 0x12, 0x22, 0x31, 0x32}; /* UNSPEC, UDP, UNIX */
    switch (family) {
    case V2_TCP4:
        if (n < V2_TCP4_BYTES)
            return false;
        *ret = address_ipv4(p, (uint16_t)(p[8] << 8 | p[9]));
        return true;
    case V2_TCP6:
        if (n < V2_TCP6_BYTES)
            return false;
        *ret = address_ipv6(p, (uint16_t)(p[32] << 8 | p[33]));
        return true;
    default:
        return memchr(others, family, sizeof others) != NULL;
    }
}

static struct proxy_header_look look_at_binary(const uint8_t *p, size_t n)
{
    struct address source = {.family = ADDRESS_NONE};
    if (n > SIGNATURE && p[SIGNATURE] != V2_LOCAL && p[SIGNATURE] != V2_PROXY)
        return is_not();
    if (n < V2_HEAD)
        return more(V2_HEAD);
    size_t body = (size_t)p[14] << 8 | p[15];
    if (body > PROXY_HEADER_MAX - V2_HEAD)
        return is_not();
    if (n < V2_HEAD + body)
        return more(V2_HEAD + body);
    if (p[SIGNATURE] == V2_PROXY && !source_of(p[13], p + V2_HEAD, body, &source))
        return is_not();
    return whole(V2_HEAD + body, &source);
}

bool proxy_header_is_begun(const uint8_t *p, size_t n)
{
    size_t v1 = sizeof v1_begin - 1;
    return (n >= v1 && memcmp(p, v1_begin, v1) == 0) ||
           (n >= SIGNATURE && memcmp(p, v2_begin, SIGNATURE) == 0);
}

struct proxy_header_look proxy_header_look(const uint8_t *p, size_t n)
{
    if (n == 0)
        return more(1);
    if (begins_like(p, n, v1_begin, sizeof v1_begin - 1))
        return look_at_line(p, n);
    return begins_like(p, n, v2_begin, SIGNATURE) ? look_at_binary(p, n) : is_not();
}
