/* SPDX-License-Identifier: MIT */
/* See unsent.h. */
#include "proto/unsent.h"

#include <assert.h>

uint32_t unsent_more(struct unsent *u, uint32_t own)
{
    assert(own >= UNSENT_FIRST && own <= UNSENT_MOST);
    uint64_t left = u->max > u->used ? u->max - u->used : 0;
    if (own > UNSENT_MOST / 2 || own > left / 2)
        return own;
    u->used += own;
    return own * 2;
}

void unsent_gone(struct unsent *u, uint32_t own)
{
    assert(own >= UNSENT_FIRST && u->used >= own - UNSENT_FIRST);
    u->used -= own - UNSENT_FIRST;
}
