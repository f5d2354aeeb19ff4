/* SPDX-License-Identifier: MIT */
/* Bytes that wait in a ring. */
#include "base/backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { CAP_FIRST = 4096 };
#define LEN_MAX ((size_t)1 << 31) /* so that offsets and doubling stay within 32 bits */

/* At least doubles, so the bytes that went on at the beginning fit behind the old end. */
static int grow(struct backlog *b, size_t need)
{
    size_t cap = b->cap ? b->cap : CAP_FIRST;
    while (cap < need)
        cap *= 2;
    uint8_t *buf = realloc(b->buf, cap);
    if (!buf)
        return ERR_NOMEM;
    size_t end = (size_t)b->off + b->len;
    if (end > b->cap)
        memcpy(buf + b->cap, buf, end - b->cap);
    b->buf = buf;
    b->cap = (uint32_t)cap;
    return 0;
}

int backlog_put(struct backlog *b, const void *p, size_t n)
{
    if (n == 0)
        return 0;
    if (n > LEN_MAX - b->len)
        return ERR_NOMEM;
    if (n > (size_t)b->cap - b->len && grow(b, b->len + n) < 0)
        return ERR_NOMEM;
    size_t at = (size_t)b->off + b->len;
    if (at >= b->cap)
        at -= b->cap;
    size_t part = n < b->cap - at ? n : b->cap - at;
    memcpy(b->buf + at, p, part);
    memcpy(b->buf, (const uint8_t *)p + part, n - part);
    b->len += (uint32_t)n;
    return 0;
}

int backlog_pieces(const struct backlog *b, struct iovec ret[2])
{
    size_t first = b->len < b->cap - b->off ? b->len : b->cap - b->off;
    if (first == 0)
        return 0;
    ret[0] = (struct iovec){b->buf + b->off, first};
    ret[1] = (struct iovec){b->buf, b->len - first};
    return b->len > first ? 2 : 1;
}

void backlog_drop(struct backlog *b, size_t n)
{
    assert(n <= b->len);
    b->len -= (uint32_t)n;
    size_t off = (size_t)b->off + n;
    b->off = (uint32_t)(off < b->cap ? off : off - b->cap);
    if (b->len == 0)
        backlog_clear(b);
}

void backlog_clear(struct backlog *b)
{
    free(b->buf);
    *b = (struct backlog){0};
}
