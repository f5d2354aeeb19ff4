/* SPDX-License-Identifier: MIT */
/* Growing waits between attempts. */
#include "proto/backoff.h"

static mtime_ms at_most(mtime_ms v, mtime_ms limit)
{
    return v < limit ? v : limit;
}

static void forget(struct backoff *b)
{
    b->outage_bound = 0;
    b->rejected_bound = BACKOFF_REJECTED_MS;
}

void backoff_init(struct backoff *b, mtime_ms max_ms)
{
    *b = (struct backoff){.max = at_most(max_ms, BACKOFF_MAX_CEILING_MS)};
    if (b->max < BACKOFF_MAX_FLOOR_MS)
        b->max = BACKOFF_MAX_FLOOR_MS;
    forget(b);
}

/* The bound of this wait; the next one is prepared. */
static mtime_ms outage(struct backoff *b, mtime_ms now)
{
    if (b->outage_bound == 0) {
        b->outage_bound = BACKOFF_OUTAGE_MS;
        b->outage_since = now;
    }
    mtime_ms bound = b->outage_bound;
    if (now - b->outage_since < BACKOFF_EARLY_FOR)
        bound = at_most(bound, BACKOFF_EARLY_MS);
    bound = at_most(bound, b->max);
    b->outage_bound = 2 * bound;
    return bound;
}

static mtime_ms rejection(struct backoff *b)
{
    mtime_ms bound = at_most(b->rejected_bound, b->max);
    b->rejected_bound = 2 * bound;
    b->outage_bound = 0; /* who says no is there: an outage is over, the next one begins anew */
    return bound;
}

mtime_ms backoff_next(struct backoff *b, enum backoff_kind kind, mtime_ms now, struct rng *r)
{
    mtime_ms bound = b->max;
    if (kind == BACKOFF_OUTAGE)
        bound = outage(b, now);
    else if (kind == BACKOFF_REJECTED)
        bound = rejection(b);
    mtime_ms half = bound / 2;
    return half + rng_below(r, (uint32_t)half);
}

void backoff_up(struct backoff *b, mtime_ms now)
{
    b->is_up = true;
    b->up_at = now;
}

void backoff_down(struct backoff *b, mtime_ms now)
{
    if (b->is_up && now - b->up_at >= BACKOFF_LASTED_MS)
        forget(b);
    b->is_up = false;
}
