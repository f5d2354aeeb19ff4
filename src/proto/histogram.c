/* SPDX-License-Identifier: MIT */
#include "proto/histogram.h"

const mtime_ms histogram_ends[HISTOGRAM_STEPS] = {50,   100,  250,   500,   1000,
                                                  2500, 5000, 10000, 30000, 60000};

void histogram_add(struct histogram *h, mtime_ms ms)
{
    unsigned i = 0;
    while (i < HISTOGRAM_STEPS && ms > histogram_ends[i])
        i++;
    h->counts[i]++;
    h->sum_ms += ms > 0 ? (uint64_t)ms : 0;
}

void histogram_merge(struct histogram *h, const struct histogram *more)
{
    for (unsigned i = 0; i <= HISTOGRAM_STEPS; i++)
        h->counts[i] += more->counts[i];
    h->sum_ms += more->sum_ms;
}
