/* SPDX-License-Identifier: MIT */
/* The two tables of services, joined: random events of many seeds; at rest both are equal and what
   the user wants. And one exchange whose session is lost at every byte. Arguments: FIRST SEEDS [EVENTS]. */
#include "sim/leasing.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long seed;

static void say_seed(int sig)
{
    (void)sig;
    (void)fprintf(stderr, "seed %lu\n", seed); /* what runs is one thread that stands in assert() */
}

/* How many bytes the exchange has: it was cut behind each. */
static unsigned long cut_at_every_byte(void)
{
    struct rng rng;
    for (seed = 0;; seed++) {
        rng_seed(&rng, seed);
        if (!leasing_cut(&rng, seed))
            return seed - 1;
    }
}

int main(int argc, char **argv)
{
    unsigned long first = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    unsigned long seeds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    unsigned events = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    unsigned all[sizeof(struct leasing_seen) / sizeof(unsigned)] = {0};
    (void)signal(SIGABRT, say_seed);
    unsigned long cuts = cut_at_every_byte();
    for (seed = first; seed < first + seeds; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        union {
            struct leasing_seen seen;
            unsigned each[sizeof all / sizeof *all];
        } u = {leasing_run(&rng, events ? events : 20 + (unsigned)(seed % 300), NULL)};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            all[i] += u.each[i];
    }
    int missing = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        printf("%u ", all[i]);
        missing += all[i] == 0;
    }
    printf("\n%lu seeds, %d of what should happen never did; %lu cuts\n", seeds, missing, cuts);
    return (missing && seeds >= 100) || cuts < 500;
}
