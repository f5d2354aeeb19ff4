/* SPDX-License-Identifier: MIT */
/* A sliding sum of what has left. */
#include "proto/stage.h"

#include <string.h>

enum { PART_MS = STAGE_SPAN_MS / STAGE_PARTS };

void stage_init(struct stage *s, uint64_t total, mtime_ms now)
{
    memset(s, 0, sizeof *s);
    s->total = total;
    s->part = now / PART_MS;
    s->is_slow = true;
    s->slow_to = total + STAGE_PROOF;
    s->waits_since = now;
    s->waits_to = total;
}

/* Forgets the parts that are too old by now. */
static void move_on(struct stage *s, mtime_ms part)
{
    if (part - s->part >= STAGE_PARTS) {
        memset(s->left, 0, sizeof s->left);
        s->sum = 0;
        s->part = part;
    }
    while (s->part < part) {
        uint64_t *oldest = &s->left[++s->part % STAGE_PARTS];
        s->sum -= *oldest;
        *oldest = 0;
    }
}

/* What waited at a look is looked for again when it has left, or was given its time. */
static void judge_pace(struct stage *s, uint64_t waiting, mtime_ms now)
{
    bool stuck = s->total < s->waits_to;
    if (stuck && now - s->waits_since < STAGE_SLOW_MS)
        return;
    if (stuck) {
        s->is_slow = true;
        s->slow_to = s->total + STAGE_PROOF;
    }
    s->waits_since = now;
    s->waits_to = s->total + waiting;
}

void stage_count(struct stage *s, uint64_t total, uint64_t waiting, mtime_ms now)
{
    move_on(s, now / PART_MS);
    if (total > s->total) {
        s->left[s->part % STAGE_PARTS] += total - s->total;
        s->sum += total - s->total;
    }
    s->total = total;
    judge_pace(s, waiting, now);
    if (s->sum >= STAGE_FAST && s->total >= s->slow_to)
        s->is_slow = false;
}

size_t stage_bound(const struct stage *s)
{
    uint64_t bound = s->sum * STAGE_HOLD_MS / STAGE_SPAN_MS;
    return bound < STAGE_MIN ? STAGE_MIN : bound < STAGE_MAX ? (size_t)bound : STAGE_MAX;
}

bool stage_has_room(const struct stage *s, uint64_t waiting)
{
    size_t bound = stage_bound(s);
    /* The kernel tells when less than a half of what it may keep waits, and it may keep half. */
    return waiting + STAGE_MIN <= bound || waiting < bound / 2;
}

size_t stage_record(const struct stage *s)
{
    return s->is_slow ? STAGE_RECORD_SLOW : STAGE_RECORD_FAST;
}
