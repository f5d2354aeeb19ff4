/* SPDX-License-Identifier: MIT */
/*
 * A 64-bit number for a text (FNV-1a with a final mix), to find it again in a small table. It has
 * no key: whoever chooses the texts can make them collide, so a user of it must stay right and
 * bounded when they do.
 */
#pragma once

#include <stdint.h>

static inline uint64_t hash_text(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}
