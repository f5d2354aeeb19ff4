/* SPDX-License-Identifier: MIT */
/*
 * A limit of the whole process on something that several threads take and give back: one atomic
 * counter. Nobody is refused: who takes the last one, or one beyond, is told to stop taking. So n
 * threads may go n - 1 beyond the limit; whoever sets it keeps that much in reserve.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct quota {
    /* private */
    atomic_uint max, used;
};

/* Before the threads that share it begin. */
void quota_init(struct quota *q, uint32_t max);

/* Another limit from now on; what is used stays. True if there is room: who waits for it is to be
   told, once more at worst. Any thread. */
bool quota_set_max(struct quota *q, uint32_t max);

/* Counts one more. Any thread. */
void quota_take(struct quota *q);

/* Gives one back. True for exactly the one that brought the count below the limit: who waits for
   room is to be told. Any thread. */
bool quota_give(struct quota *q);

/* Any thread; another one may change it at once. */
uint32_t quota_used(const struct quota *q);
uint32_t quota_max(const struct quota *q);
bool quota_is_full(const struct quota *q);
