/* SPDX-License-Identifier: MIT */
/*
 * A token bucket: how many of something (connections, lines, bytes) may pass in a time. It fills with
 * `per_s` tokens a second up to `burst`, and each that passes takes one. So in any time t no more
 * than burst + per_s * t pass, and who waits for what bucket_due() says has no less. Pure: the caller
 * has the clock.
 *
 * The bucket (16 bytes) and its rate are two things, so that many buckets have one rate, and a rate
 * that changes counts at once for all of them. Sums are exact: nothing is rounded away, however often
 * it is asked.
 *
 * What is larger than burst passes when the bucket is full, and leaves a debt that is paid off before
 * anything else passes: a piece of bytes is never stuck for its size.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mtime.h"

#define BUCKET_MOST (UINT64_C(1) << 40) /* of per_s, burst and n: sums fit 64 bits */

struct bucket_rate {
    uint64_t per_s; /* up to BUCKET_MOST; 0: there is no limit */
    uint64_t burst; /* 1 to BUCKET_MOST */
};

/* All zero is a full one. */
struct bucket {
    /* private */
    mtime_ms at;   /* used is right as of then */
    uint64_t used; /* thousandths of a token that are missing; more than burst: a debt */
};

/* When n, 1 to BUCKET_MOST, may pass, if nothing else does until then: now, or later. A clock that has
   gone back stands still. */
mtime_ms bucket_due(const struct bucket *b, const struct bucket_rate *rate, uint64_t n,
                    mtime_ms now);

/* Takes n if they may pass at now. False: nothing is taken. */
bool bucket_take(struct bucket *b, const struct bucket_rate *rate, uint64_t n, mtime_ms now);
