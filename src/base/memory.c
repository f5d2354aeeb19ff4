/* SPDX-License-Identifier: MIT */
/* See memory.h. */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void memory_give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void memory_zero(void *p, size_t n)
{
    enum { PIECE = 64 };
    static const uint8_t nothing[PIECE];
    uint8_t *at = p;
    for (size_t i = 0; i < n; i += PIECE) {
        size_t len = n - i < PIECE ? n - i : PIECE;
        if (memcmp(at + i, nothing, len) != 0)
            memset(at + i, 0, len);
    }
}
