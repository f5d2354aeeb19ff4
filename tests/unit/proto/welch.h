/* SPDX-License-Identifier: MIT */
/* Do two kinds of work take the same time? Welch's t-test, as dudect has it. */
#pragma once

#include <stddef.h>

#define WELCH_LIMIT 4.5 /* |t| below it: nothing is told */

struct welch_sample {
    double cost;
    int kind; /* 0 or 1 */
};

/* Now, in a unit that only compares. */
double welch_clock(void);

/* t squared, the largest of all samples and of several crops: the slowest say little. Sorts them. */
double welch_worst(struct welch_sample *samples, size_t all);
