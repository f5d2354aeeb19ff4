/* SPDX-License-Identifier: MIT */
/* The bytes of users' connections: each is known by its stream, its direction and its place, so that one which
   is lost, doubled, or of another stream is seen. */
#pragma once

#include <stdint.h>

/* The byte at a place of what end `from`, 0 or 1, says on a stream. */
static inline uint8_t byte_of(uint64_t stream, int from, uint64_t at)
{
    uint64_t x =
        (at + 1) * 0x9e3779b97f4a7c15u + (stream * 2 + (uint64_t)from) * 0x2545f4914f6cdd1du;
    return (uint8_t)(x >> 41);
}
