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
    b->held_since = 0;
}

void backoff_init(struct backoff *b, mtime_ms max_ms)
{
    *b = (struct backoff){0};
    backoff_limit(b, max_ms);
    forget(b);
}

void backoff_limit(struct backoff *b, mtime_ms max_ms)
{
    b->max = at_most(max_ms, BACKOFF_MAX_CEILING_MS);
    if (b->max < BACKOFF_MAX_FLOOR_MS)
        b->max = BACKOFF_MAX_FLOOR_MS;
}

/* The bound of this wait; the next one is prepared. early: of the waits in the first minute. */
static mtime_ms outage(struct backoff *b, mtime_ms early, mtime_ms now)
{
    if (b->outage_bound == 0) {
        b->outage_bound = BACKOFF_OUTAGE_MS;
        b->outage_since = now;
    }
    mtime_ms bound = b->outage_bound;
    if (now - b->outage_since < BACKOFF_EARLY_FOR)
        bound = at_most(bound, early);
    bound = at_most(bound, b->max);
    b->outage_bound = 2 * bound;
    return bound;
}

static mtime_ms rejection(struct backoff *b, mtime_ms max)
{
    mtime_ms bound = at_most(b->rejected_bound, max);
    b->rejected_bound = at_most(2 * b->rejected_bound, BACKOFF_MAX_CEILING_MS);
    b->outage_bound = 0; /* who says no is there: an outage is over, the next one begins anew */
    return bound;
}

static mtime_ms secret(struct backoff *b)
{
    if (b->rejected_bound < BACKOFF_SECRET_MS)
        b->rejected_bound = BACKOFF_SECRET_MS;
    return rejection(b, b->max > BACKOFF_SECRET_MAX_MS ? b->max : BACKOFF_SECRET_MAX_MS);
}

/* The same bound for a while, then as a rejection. */
static mtime_ms held(struct backoff *b, mtime_ms each, mtime_ms so_long, mtime_ms now)
{
    if (b->held_since == 0)
        b->held_since = now > 0 ? now : 1;
    b->outage_bound = 0;
    return now - b->held_since < so_long ? at_most(each, b->max) : rejection(b, b->max);
}

static mtime_ms bound_of(struct backoff *b, enum backoff_kind kind, mtime_ms now)
{
    switch (kind) {
    case BACKOFF_OUTAGE:
        return outage(b, BACKOFF_EARLY_MS, now);
    case BACKOFF_BESIDE:
        return outage(b, BACKOFF_BESIDE_MS, now);
    case BACKOFF_REJECTED:
        return rejection(b, b->max);
    case BACKOFF_SECRET:
        return secret(b);
    case BACKOFF_HELD:
        return held(b, BACKOFF_HELD_MS, BACKOFF_HELD_FOR, now);
    case BACKOFF_TAKEN:
        return held(b, BACKOFF_TAKEN_MS, BACKOFF_TAKEN_FOR, now);
    }
    return b->max; /* not reached */
}

mtime_ms backoff_next(struct backoff *b, enum backoff_kind kind, mtime_ms now, struct rng *r)
{
    mtime_ms bound = bound_of(b, kind, now);
    mtime_ms half = bound / 2;
    return half + rng_below(r, (uint32_t)half);
}

mtime_ms backoff_at_once(struct backoff *b, mtime_ms now, struct rng *r)
{
    if (now < b->at_once_from)
        return backoff_next(b, BACKOFF_BESIDE, now, r);
    b->at_once_from = now + BACKOFF_LASTED_MS;
    return 0;
}

void backoff_up(struct backoff *b, mtime_ms now)
{
    b->is_up = true;
    b->up_at = now;
    b->held_since = 0;
}

void backoff_down(struct backoff *b, mtime_ms now)
{
    if (b->is_up && now - b->up_at >= BACKOFF_LASTED_MS)
        forget(b);
    b->is_up = false;
}
