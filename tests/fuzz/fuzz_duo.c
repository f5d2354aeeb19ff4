/* SPDX-License-Identifier: MIT */
/*
 * Target: two sessions of gotunnel/2 whose link is cut (tests/sim/duo.c). The input chooses all
 * there is to choose: sizes, chunks, cuts, resumes, resets. Whatever it does, every stream must
 * come to its end byte for byte, and nothing may be left.
 */
#include <stdint.h>
#include <stdlib.h>

#include "sim/duo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct choices {
    const uint8_t *p;
    size_t n;
};

static uint32_t by_input(void *ctx, uint32_t below)
{
    struct choices *c = ctx;
    uint32_t v = 0;
    for (uint32_t most = below - 1; most > 0 && c->n > 0; most >>= 8, c->n--)
        v = v << 8 | *c->p++;
    return v % below;
}

static struct duo_config config(struct choices *c)
{
    struct duo_config cfg = {
        .stage_max = (uint32_t)1 << (12 + by_input(c, 5)),
        .replay = (uint64_t)by_input(c, 4) << 16,
        .budget = (uint64_t)by_input(c, 3) << 18,
        .streams = {1 + by_input(c, 8), by_input(c, 4)},
        .small = 1 << by_input(c, 16),
        .big = 1 << by_input(c, 19),
        .link_bytes = (size_t)1 << (7 + by_input(c, 13)),
        .cut_one_in = by_input(c, 64),
        .resets = by_input(c, 2),
        .stalls = by_input(c, 2),
    };
    cfg.goaways = cfg.cut_one_in % 4 == 3; /* no choice of its own: the corpus keeps its meaning */
    cfg.services = cfg.cut_one_in % 8 >= 6;
    for (int me = 0; me < 2; me++) {
        cfg.ring_bytes[me] = (size_t)(64 << 10) << by_input(c, 3);
        cfg.ring_max[me] = cfg.ring_bytes[me] << by_input(c, 3);
    }
    return cfg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices c = {data, size};
    struct duo_config cfg = config(&c);
    struct duo *d = duo_new(&cfg, by_input, &c, size);
    if (!d)
        return 0;
    while (c.n > 0 && !duo_is_over(d))
        duo_step(d);
    duo_drain(d);
    duo_free(d);
    return 0;
}
