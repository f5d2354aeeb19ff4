/* SPDX-License-Identifier: MIT */
/*
 * How much may wait for the network in front of whatever comes next: bytes that we hold, and those
 * that the kernel has not sent. What has been sent and is on its way does not count: a long path is
 * no slow one.
 *
 * The bound follows what has left in the last STAGE_SPAN_MS: the part of it that leaves in
 * STAGE_HOLD_MS at that pace. A fast link has all it ever could use, on a slow one a keystroke
 * waits for little, and when a link becomes slower the bound is right a moment later. A link that
 * has been idle has the least, and as each byte that leaves raises the bound, gets what it needs at
 * once. No clock and no socket in here.
 *
 * How long a record may be follows as well: nothing of it is heard before all of it is there, and a
 * full one takes 64 kbit/s two seconds, which looks like silence. A link is slow until STAGE_FAST
 * bytes have left in a span, with more before than a buffer on the way takes at once; and again when
 * what waited a second ago has not all left yet. That it rests says nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mtime.h"

enum {
    STAGE_SPAN_MS = 200,
    STAGE_PARTS = 8,      /* the span is counted in parts: the oldest one is forgotten as a whole */
    STAGE_HOLD_MS = 10,   /* longer than a busy loop takes to come back */
    STAGE_MIN = 16 << 10, /* a full frame */
    STAGE_MAX = 256 << 10, /* 64 KB of frames, 64 KB of records, 128 KB in the kernel */
    STAGE_SLOW_MS = 1000,  /* longer than it takes a long path to say what it has got */
    STAGE_FAST = 48 << 10, /* more than a first congestion window, which leaves at once anywhere */
    STAGE_PROOF = 1 << 20, /* a proxy's buffers, too: so many have to leave before that counts */
    STAGE_RECORD_SLOW = 2 << 10, /* 64 kbit/s take it in 250 ms */
    STAGE_RECORD_FAST = 16 << 10,
};

struct stage {
    /* private */
    uint64_t total;             /* as last told */
    uint64_t left[STAGE_PARTS]; /* in the part of the span with this number, modulo STAGE_PARTS */
    mtime_ms part;              /* the number of the present one */
    uint64_t sum;               /* of left */
    bool is_slow;
    uint64_t slow_to;     /* for certain until so many, of total, have left */
    mtime_ms waits_since; /* the bytes up to waits_to, of total, wait since then */
    uint64_t waits_to;
};

/* total: bytes that have left so far. */
void stage_init(struct stage *s, uint64_t total, mtime_ms now);

/* By now so many bytes have left, and so many wait. A total that has gone down is another
   connection's: what was counted before stays. */
void stage_count(struct stage *s, uint64_t total, uint64_t waiting, mtime_ms now);

/* Bytes that may wait now, STAGE_MIN .. STAGE_MAX. As of the last stage_count(). */
size_t stage_bound(const struct stage *s);

/* True if more may be put behind `waiting` bytes: there is room for a frame; or so little waits
   that the network would soon have nothing to do. */
bool stage_has_room(const struct stage *s, uint64_t waiting);

/* No record may be longer: STAGE_RECORD_SLOW or STAGE_RECORD_FAST. As of the last stage_count(). */
size_t stage_record(const struct stage *s);
