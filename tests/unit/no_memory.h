/* SPDX-License-Identifier: MIT */
/* libcrypto without memory, as a test wants it: its n-th allocation fails. */
#pragma once

#include <stdbool.h>

/* How many allocations were asked for since no_memory_at(). */
extern int no_memory_calls;

/*
 * Puts itself in the place of libcrypto's allocator, in main(), before the library has asked for any
 * memory. Nothing fails before no_memory_at(). False: it is too late.
 */
bool no_memory_init(void);

/* Counts from 0 again; allocation at fails, counted from 0, once. -1: none does. */
void no_memory_at(int at);

/* Nothing fails from here on; the count stays. */
void no_memory_end(void);

/* Runs the line with each of its allocations failing in turn, and once more with none. */
#define WITHOUT_EACH(line)                                                                         \
    for (int n_ = 0; n_ == 0 || no_memory_calls >= n_; n_++) {                                     \
        no_memory_at(n_);                                                                          \
        line;                                                                                      \
        no_memory_end();                                                                           \
    }
