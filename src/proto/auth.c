/* SPDX-License-Identifier: MIT */
/*
 * Lines of the secret exchange. White space is what Go's strings.TrimSpace takes away: the Unicode
 * property White_Space, as whole valid UTF-8 sequences only, so a lone byte 85 or A0 stays. Each
 * sequence is a lead byte with its continuation bytes, so matching bytes at either end of the line
 * finds the same as decoding it there.
 */
#include "proto/auth.h"

#include <string.h>

#include "base/err.h"
#include "base/secure.h"

void auth_line_init(struct auth_line *l)
{
    l->len = 0;
    l->complete = false;
}

int auth_line_feed(struct auth_line *l, const uint8_t *p, size_t n, size_t *ret_used)
{
    *ret_used = 0;
    if (l->complete)
        return 0;
    if (n == 0)
        return ERR_AGAIN;
    const uint8_t *lf = memchr(p, '\n', n);
    size_t part = lf ? (size_t)(lf - p) : n;
    if (part > sizeof l->text - l->len)
        return ERR_LIMIT;
    memcpy(l->text + l->len, p, part);
    l->len += (uint32_t)part;
    l->complete = lf;
    *ret_used = lf ? part + 1 : part;
    return lf ? 0 : ERR_AGAIN;
}

const char *auth_line_text(const struct auth_line *l)
{
    return l->text;
}

size_t auth_line_len(const struct auth_line *l)
{
    return l->len;
}

/* ---- white space ---- */

/* All white space: sequences that differ in their last byte, from first to last. */
static const struct space {
    uint8_t len;
    char head[2]; /* the bytes before the last one */
    uint8_t first, last;
} spaces[] = {
    {1, "", 0x09, 0x0d},         /* U+0009..000D */
    {1, "", 0x20, 0x20},         /* U+0020 */
    {2, "\xc2", 0x85, 0x85},     /* U+0085 */
    {2, "\xc2", 0xa0, 0xa0},     /* U+00A0 */
    {3, "\xe1\x9a", 0x80, 0x80}, /* U+1680 */
    {3, "\xe2\x80", 0x80, 0x8a}, /* U+2000..200A */
    {3, "\xe2\x80", 0xa8, 0xa9}, /* U+2028, U+2029 */
    {3, "\xe2\x80", 0xaf, 0xaf}, /* U+202F */
    {3, "\xe2\x81", 0x9f, 0x9f}, /* U+205F */
    {3, "\xe3\x80", 0x80, 0x80}, /* U+3000 */
};

struct text {
    const char *p;
    size_t n;
};

/* Length of the one white-space character at the start (or at the end) of t; 0 if there is none. */
static size_t space_in(struct text t, bool at_end)
{
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
        const struct space *s = &spaces[i];
        if (t.n < s->len)
            continue;
        const char *p = at_end ? t.p + t.n - s->len : t.p;
        uint8_t last = (uint8_t)p[s->len - 1];
        if (memcmp(p, s->head, s->len - 1u) == 0 && last >= s->first && last <= s->last)
            return s->len;
    }
    return 0;
}

static struct text trimmed(struct text t)
{
    for (size_t n; (n = space_in(t, false)) > 0;) {
        t.p += n;
        t.n -= n;
    }
    for (size_t n; (n = space_in(t, true)) > 0;)
        t.n -= n;
    return t;
}

static struct text without_cr(struct text t)
{
    if (t.n > 0 && t.p[t.n - 1] == '\r')
        t.n--;
    return t;
}

/* ---- verdicts ---- */

bool auth_line_matches(const struct auth_line *l, const char *secret)
{
    if (!l->complete)
        return false;
    struct text whole = {l->text, l->len};
    struct text forms[] = {whole, without_cr(whole), trimmed(whole)};
    size_t len = strlen(secret);
    unsigned hits = 0; /* counted, not returned at the first one: the time must not tell which */
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        hits += secure_equal(secret, len, forms[i].p, forms[i].n);
    return hits > 0;
}

bool auth_line_is_http(const struct auth_line *l)
{
    static const char version[] = " HTTP/";
    enum { VERSION = sizeof version - 1, DIGITS = 3 }; /* "1.1" */
    struct text t = trimmed((struct text){l->text, l->len});
    size_t method = 0;
    while (method < t.n && t.p[method] >= 'A' && t.p[method] <= 'Z')
        method++;
    return l->complete && method > 0 && t.n > method + VERSION + DIGITS && t.p[method] == ' ' &&
           memcmp(t.p + t.n - DIGITS - VERSION, version, VERSION) == 0;
}

bool auth_line_is_ok(const struct auth_line *l)
{
    struct text t = trimmed((struct text){l->text, l->len});
    return l->complete && t.n == 2 && memcmp(t.p, "OK", 2) == 0;
}

void auth_line_wipe(struct auth_line *l)
{
    secure_zero(l, sizeof *l);
}
