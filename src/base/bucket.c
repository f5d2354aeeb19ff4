/* SPDX-License-Identifier: MIT */
/* A token bucket that counts what is missing, in thousandths: per_s of them come in a millisecond. */
#include "base/bucket.h"

#include <assert.h>

enum { THOUSANDTHS = 1000 };

/* What is missing at now. */
static uint64_t used_at(const struct bucket *b, const struct bucket_rate *rate, mtime_ms now)
{
    if (now <= b->at)
        return b->used;
    uint64_t ms = (uint64_t)now - (uint64_t)b->at;
    return ms >= b->used / rate->per_s + 1 ? 0 : b->used - ms * rate->per_s;
}

/* How much may be missing for n to pass. */
static uint64_t allowed(const struct bucket_rate *rate, uint64_t n)
{
    return n < rate->burst ? (rate->burst - n) * THOUSANDTHS : 0;
}

mtime_ms bucket_due(const struct bucket *b, const struct bucket_rate *rate, uint64_t n,
                    mtime_ms now)
{
    assert(n <= BUCKET_MOST && rate->per_s <= BUCKET_MOST && rate->burst <= BUCKET_MOST);
    if (rate->per_s == 0)
        return now;
    uint64_t used = used_at(b, rate, now), most = allowed(rate, n);
    if (used <= most)
        return now;
    uint64_t ms = (used - most + rate->per_s - 1) / rate->per_s; /* not before */
    mtime_ms from = now > b->at ? now : b->at;
    return from > MTIME_NEVER - (mtime_ms)ms ? MTIME_NEVER : from + (mtime_ms)ms;
}

bool bucket_take(struct bucket *b, const struct bucket_rate *rate, uint64_t n, mtime_ms now)
{
    if (rate->per_s == 0)
        return true;
    if (bucket_due(b, rate, n, now) > now)
        return false;
    b->used = used_at(b, rate, now) + n * THOUSANDTHS;
    if (now > b->at)
        b->at = now;
    return true;
}
