/* SPDX-License-Identifier: MIT */
/*
 * Wrong secrets, per source (docs/protocol.md 1.2): how late each is answered. Only
 * failures are counted and delayed; whoever has the secret is never slowed down.
 *
 * A source's minute begins with its first failure. The first 20 of it are answered at once, each
 * further one 100 ms later than the one before, up to 5 s. A source that went beyond 20 takes half
 * of its count into the next minute, so one that goes on stays slow; after minutes of rest it is
 * forgotten.
 *
 * Memory is fixed: RATELIMIT_SETS sets of RATELIMIT_WAYS sources. In a full set a new source takes
 * the place of the one with the smallest count and *goes on from that count* (the Space-Saving rule
 * of heavy-hitter counting): nobody's count is ever below what it truly had. So a flood of other
 * sources, even ones chosen to collide, cannot reset a guesser, and all sources together have at
 * most 20 x 8,192 quick answers a minute. The price: during such a flood a newcomer's wrong secret
 * may be answered late.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mtime.h"

enum {
    RATELIMIT_SETS = 1024,
    RATELIMIT_WAYS = 8,
    RATELIMIT_WINDOW_MS = 60000,
    RATELIMIT_FREE = 20,        /* failures of one minute that are answered at once */
    RATELIMIT_STEP_MS = 100,    /* each one beyond waits so much longer ... */
    RATELIMIT_DELAY_MAX = 5000, /* ... up to this; link deadlines are longer */
    RATELIMIT_COUNT_MAX = 1000, /* more is not remembered: about six minutes of rest forgive it */
};

struct ratelimit_verdict {
    uint32_t delay_ms; /* answer so much later */
    bool begins;       /* the first of a row that is answered late */
};

struct ratelimit_source;

struct ratelimit {
    /* private */
    struct ratelimit_source *table; /* RATELIMIT_SETS * RATELIMIT_WAYS; 192 KiB, touched lazily */
};

/* 0, or ERR_NOMEM. */
int ratelimit_init(struct ratelimit *rl) MUST_USE;

/* Harmless on a zeroed or already finished one. */
void ratelimit_fini(struct ratelimit *rl);

/* A wrong secret came from source (any text that stands for "the same peer") at now. */
struct ratelimit_verdict ratelimit_failure(struct ratelimit *rl, const char *source, mtime_ms now);
