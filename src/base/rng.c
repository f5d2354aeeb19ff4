/* SPDX-License-Identifier: MIT */
/* Random number sources behind one face. */
#include "base/rng.h"

#include <stdlib.h>
#include <sys/random.h>

uint32_t rng_below(struct rng *r, uint32_t bound)
{
    return (uint32_t)((uint64_t)r->next(r) * bound >> 32);
}

static uint32_t splitmix_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

void rng_seed(struct rng *r, uint64_t seed)
{
    r->next = splitmix_next;
    r->state = seed;
}

static uint32_t system_next(struct rng *r)
{
    (void)r;
    uint32_t v;
    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v)
        abort(); /* up to 256 bytes are never cut short once the pool is up: getrandom(2) */
    return v;
}

void rng_system(struct rng *r)
{
    r->next = system_next;
    r->state = 0;
}
