/* SPDX-License-Identifier: MIT */
/*
 * Randomness as an argument. Programs hand in a generator of the operating system's or OpenSSL's
 * numbers; tests hand in the seeded one below and print its seed.
 */
#pragma once

#include <stdint.h>

struct rng {
    uint32_t (*next)(struct rng *r);
    uint64_t state; /* of the seeded generator */
};

/* Uniform in [0, bound); bound 0 gives 0. The bias is below bound / 2^32. */
uint32_t rng_below(struct rng *r, uint32_t bound);

/* A reproducible generator (splitmix64) for tests and simulations. Never for secrets. */
void rng_seed(struct rng *r, uint64_t seed);

/* The operating system's generator (getrandom). */
void rng_system(struct rng *r);
