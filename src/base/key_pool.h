/* SPDX-License-Identifier: MIT */
/*
 * Memory for private keys, which are objects of a library with an allocator of its own choosing: a
 * few pages of secure_alloc(), from which this thread's allocations come between enter and leave.
 * All others come from malloc(), also when the pool is full: a key that could be swapped out is
 * better than none.
 *
 * Not OpenSSL's secure heap: each connection keeps a piece of that as long as it lives, and when
 * it is full no other connection can be made.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

enum {
    KEY_POOL_BYTES = 32 << 10, /* four keys of ours at the least; old systems lock 64 KiB in all */
    KEY_POOL_UNIT = 64,        /* bytes of the smallest piece */
};

/* Once, before other threads. Without memory everything comes from malloc(). */
void key_pool_init(void);

/* What this thread allocates from now on is, or is not, part of a key. */
void key_pool_enter(void);
void key_pool_leave(void);

/* As malloc(), realloc() and free(), but for n = 0: NULL, and what was there is freed. What comes
   from the pool is wiped when it is freed. Any thread. */
void *key_pool_alloc(size_t n) MUST_USE;
void *key_pool_realloc(void *p, size_t n) MUST_USE;
void key_pool_free(void *p);
