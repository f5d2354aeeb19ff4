/* SPDX-License-Identifier: MIT */
/* How long something took, counted by steps: of the gaps of sessions, of dials. */
#pragma once

#include <stdint.h>

#include "base/mtime.h"

enum { HISTOGRAM_STEPS = 10 };

/* The upper ends of the steps, in ms, each included. */
extern const mtime_ms histogram_ends[HISTOGRAM_STEPS];

struct histogram {
    uint64_t counts[HISTOGRAM_STEPS + 1]; /* of each step by itself; the last: longer */
    uint64_t sum_ms;
};

void histogram_add(struct histogram *h, mtime_ms ms);

/* Adds what `more` has counted. */
void histogram_merge(struct histogram *h, const struct histogram *more);
