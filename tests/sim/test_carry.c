/* SPDX-License-Identifier: MIT */
/* The tables of services, joined by real muxes over a link that is cut: random events of many seeds, then one
   exchange whose connection is cut behind every byte, and once more a little later. Arguments: FIRST SEEDS [EVERY]:
   cut behind every EVERY-th byte. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/leasing.h"

enum {
    CUTS_LEAST = 1000, /* bytes that the exchange has */
    AGAIN = 61,        /* the second cut comes up to so many bytes behind the first */
};

static const char *what;
static unsigned long seed;

static void say_seed(int sig)
{
    (void)sig;
    (void)fprintf(stderr, "%s %lu\n", what,
                  seed); /* what runs is one thread that stands in assert() */
}

/* How many bytes the exchange has. */
static unsigned long cut_at_every_byte(unsigned long every, struct carry_seen *seen)
{
    struct rng rng;
    what = "cut behind byte";
    for (seed = 0;; seed += every) {
        rng_seed(&rng, 1);
        if (!leasing_carried_cut(&rng, seed, seed % AGAIN, seen))
            return seed;
    }
}

static struct leasing_seen run_seeds(unsigned long first, unsigned long seeds,
                                     struct carry_seen *carried)
{
    struct leasing_seen all = {0};
    what = "seed";
    for (seed = first; seed < first + seeds; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        struct leasing_seen one = leasing_run(&rng, 50 + (unsigned)(seed % 400), carried);
        all.opened += one.opened;
        all.refused += one.refused;
        all.closed += one.closed;
        all.replaced += one.replaced;
        all.cut += one.cut;
        all.lost += one.lost;
    }
    return all;
}

int main(int argc, char **argv)
{
    unsigned long first = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    unsigned long seeds = argc > 2 ? strtoul(argv[2], NULL, 10) : 300;
    unsigned long every = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    struct carry_seen s = {0};
    (void)signal(SIGABRT, say_seed);
    struct leasing_seen l = run_seeds(first, seeds, &s);
    unsigned long bytes = cut_at_every_byte(every, &s);
    printf("%lu seeds, cut behind %lu bytes; opened %u, refused %u, closed %u, replaced %u, "
           "streams cut %u, "
           "sessions lost %u\n",
           seeds, bytes, l.opened, l.refused, l.closed, l.replaced, l.cut, l.lost);
    printf("%llu streams, %llu bytes, %llu cuts, %llu resumes, %llu answers lost, %llu RST 8, "
           "%llu resets, %llu READY\n",
           (unsigned long long)s.streams, (unsigned long long)s.bytes, (unsigned long long)s.cuts,
           (unsigned long long)s.resumes, (unsigned long long)s.lost_answers,
           (unsigned long long)s.unknown, (unsigned long long)s.resets,
           (unsigned long long)s.readies);
    bool all_happened = l.opened && l.refused && l.closed && l.replaced && l.cut && l.lost &&
                        s.lost_answers && s.unknown && s.readies;
    return (seeds >= 100 && !all_happened) || bytes < CUTS_LEAST;
}
