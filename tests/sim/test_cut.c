/* SPDX-License-Identifier: MIT */
/*
 * Seeded schedules of two ends whose link is cut at any byte, and of two that are never cut (a
 * resume is an implicit ACK, and would hide a deadlock of the rings). Rings down to 64 KiB.
 *
 *   test_cut [FIRST_SEED [COUNT]]       a failure names its seed
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "duo.h"

enum {
    SCHEDULES = 2000,
    STEPS_MAX = 2000000,
    CROWD_STEPS = 200000,
    RESERVE_USED = 256, /* of REPLAY_RESERVE; docs/protocol.md 4.3 says how much that is */
};

static uint32_t by_chance(void *ctx, uint32_t below)
{
    return rng_below(ctx, below);
}

static size_t ring_size(struct rng *rng)
{
    static const size_t sizes[] = {64 << 10, 64 << 10, 68 << 10, 128 << 10, 1 << 20};
    return sizes[rng_below(rng, 5)];
}

/* A few streams with some data. */
static struct duo_config config(struct rng *rng, uint64_t seed)
{
    struct duo_config c = {
        .stage_max = (uint32_t)1 << (12 + rng_below(rng, 5)),
        .replay = (uint64_t)rng_below(rng, 4) << 16,
        .budget = (uint64_t)rng_below(rng, 3) << 18,
        .streams = {1 + rng_below(rng, 12), rng_below(rng, 3) ? 0 : rng_below(rng, 6)},
        .small = 4000,
        .big = rng_below(rng, 4) ? 100000 : 1000000,
        .link_bytes = (size_t)1 << (9 + rng_below(rng, 11)),
        .cut_one_in = seed % 3 == 0 ? 0 : 50 << rng_below(rng, 8),
        .resets = seed % 4 != 1,
        .stalls = seed % 5 < 2,
        .goaways = seed % 7 == 3,
        .services = seed / 3 % 2,
    };
    for (int me = 0; me < 2; me++) {
        c.ring_bytes[me] = ring_size(rng);
        c.ring_max[me] = c.ring_bytes[me] << rng_below(rng, 4);
    }
    return c;
}

/* Many streams that hardly say anything: rings full of control frames. */
static void make_crowd(struct rng *rng, struct duo_config *c)
{
    c->streams[0] = 5500 + rng_below(rng, 2000);
    c->streams[1] = 5500 + rng_below(rng, 2000);
    c->small = 40;
    c->big = 3000;
    c->link_bytes = 1 << 19;
    c->cut_one_in *= 8;
    c->goaways = false; /* looking for refused ends among so many takes too long */
    for (int me = 0; me < 2; me++)
        c->ring_bytes[me] = c->ring_max[me] = 64 << 10;
}

static struct duo_count schedule(uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    struct duo_config cfg = config(&rng, seed);
    bool crowd = seed % 40 == 0;
    if (crowd)
        make_crowd(&rng, &cfg);
    struct duo *d = duo_new(&cfg, by_chance, &rng, seed);
    if (!d)
        abort();
    if (crowd)
        duo_crowd(d);
    int most = crowd ? CROWD_STEPS : STEPS_MAX, step = 0;
    for (; step < most && !duo_is_over(d); step++)
        duo_step(d);
    if (step == STEPS_MAX) {
        (void)fprintf(stderr, "seed %llu stands still\n", (unsigned long long)seed);
        abort();
    }
    duo_drain(d);
    struct duo_count n = duo_counted(d);
    duo_free(d);
    return n;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : SCHEDULES;
    struct duo_count all = {0};
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct duo_count n = schedule(seed);
        all.bytes += n.bytes;
        all.cuts += n.cuts;
        all.replayed += n.replayed;
        all.grown += n.grown;
        all.control += n.control;
        all.opens += n.opens;
        all.readies += n.readies;
        if (n.reserve_most > all.reserve_most)
            all.reserve_most = n.reserve_most;
    }
    printf("%llu schedules, %llu cuts, %llu bytes checked, %llu sent again, "
           "at most %zu bytes of a reserve in use, rings grew %llu times, "
           "%llu bytes of control, %llu OPEN, %llu READY\n",
           (unsigned long long)count, (unsigned long long)all.cuts, (unsigned long long)all.bytes,
           (unsigned long long)all.replayed, all.reserve_most, (unsigned long long)all.grown,
           (unsigned long long)all.control, (unsigned long long)all.opens,
           (unsigned long long)all.readies);
    if (all.reserve_most > RESERVE_USED) {
        (void)fprintf(stderr, "a reserve is used by more than ACK, PING, PONG and GOAWAY\n");
        return 1;
    }
    return 0;
}
