/* SPDX-License-Identifier: MIT */
/* Welch's t of costs, cropped at several places. */
#include "welch.h"

#include <stdlib.h>
#include <time.h>

#include "base/attr.h"

double welch_clock(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
    double t = (double)__builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return t;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
#endif
}

static int by_cost(const void *a, const void *b)
{
    double x = ((const struct welch_sample *)a)->cost, y = ((const struct welch_sample *)b)->cost;
    return (x > y) - (x < y);
}

/* Welch's t, squared, of the n cheapest samples, which are sorted. */
static double t_squared(const struct welch_sample *samples, size_t n)
{
    double count[2] = {0, 0}, mean[2] = {0, 0}, m2[2] = {0, 0}, noise = 0;
    for (size_t i = 0; i < n; i++) {
        int k = samples[i].kind;
        double d = samples[i].cost - mean[k];
        count[k]++;
        mean[k] += d / count[k];
        m2[k] += d * (samples[i].cost - mean[k]);
    }
    for (int k = 0; k < 2; k++) {
        if (count[k] < 2)
            return 1e9; /* all of one kind are cheaper than the other's */
        noise += m2[k] / (count[k] - 1) / count[k];
    }
    double d = mean[1] - mean[0];
    return noise > 0 ? d * d / noise : d == 0 ? 0 : 1e9;
}

double welch_worst(struct welch_sample *samples, size_t all)
{
    static const double shares[] = {0.5, 0.75, 0.9, 0.99, 1};
    double most = 0;
    qsort(samples, all, sizeof *samples, by_cost);
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        size_t n = (size_t)((double)all * shares[i]);
        while (n < all && samples[n].cost <= samples[n - 1].cost)
            n++; /* equal ones stay together */
        double t2 = t_squared(samples, n);
        most = t2 > most ? t2 : most;
    }
    return most;
}
