/* SPDX-License-Identifier: MIT */
/* Target: wishes_*, leases_*. Every two bytes are one choice of the user, the server and the network
   around them (tests/sim/leasing.h), so that the input is the order of events. */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "sim/leasing.h"

enum { EVENTS_MAX = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct choices {
    struct rng rng;
    const uint8_t *data;
    size_t left;
    struct rng after; /* the input is over: any numbers, but not always the same one */
};

static uint32_t next(struct rng *r)
{
    struct choices *c = CONTAINER_OF(r, struct choices, rng);
    if (c->left < 2)
        return c->after.next(&c->after);
    uint32_t v = (uint32_t)c->data[0] << 24 | (uint32_t)c->data[1] << 16;
    c->data += 2;
    c->left -= 2;
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices c = {.rng.next = next, .data = data, .left = size};
    rng_seed(&c.after, size);
    size_t events = size / 4;
    (void)leasing_run(&c.rng, (unsigned)(events < EVENTS_MAX ? events : EVENTS_MAX), NULL);
    return 0;
}
