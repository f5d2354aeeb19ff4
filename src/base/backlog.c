/* SPDX-License-Identifier: MIT */
/* Bytes that wait in an array. */
#include "base/backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { CAP_FIRST = 4096 };
#define LEN_MAX ((size_t)1 << 31) /* so that offsets and doubling stay within 32 bits */

static int grow(struct backlog *b, size_t need)
{
    size_t cap = b->cap ? b->cap : CAP_FIRST;
    while (cap < need)
        cap *= 2;
    uint8_t *buf = realloc(b->buf, cap);
    if (!buf)
        return ERR_NOMEM;
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
    if (n > (size_t)b->cap - b->off - b->len && b->off > 0) {
        memmove(b->buf, b->buf + b->off, b->len);
        b->off = 0;
    }
    if (n > (size_t)b->cap - b->len && grow(b, b->len + n) < 0)
        return ERR_NOMEM;
    memcpy(b->buf + b->off + b->len, p, n);
    b->len += (uint32_t)n;
    return 0;
}

void backlog_drop(struct backlog *b, size_t n)
{
    assert(n <= b->len);
    b->off += (uint32_t)n;
    b->len -= (uint32_t)n;
    if (b->len == 0)
        backlog_clear(b);
}

void backlog_clear(struct backlog *b)
{
    free(b->buf);
    *b = (struct backlog){0};
}
