/* SPDX-License-Identifier: MIT */
/* Relaxed order is enough: the numbers are all that is shared, nothing else is read by their value. */
#include "base/quota.h"

void quota_init(struct quota *q, uint32_t max)
{
    atomic_init(&q->max, max);
    atomic_init(&q->used, 0);
}

bool quota_set_max(struct quota *q, uint32_t max)
{
    atomic_store_explicit(&q->max, max, memory_order_relaxed);
    return !quota_is_full(q);
}

void quota_take(struct quota *q)
{
    (void)atomic_fetch_add_explicit(&q->used, 1, memory_order_relaxed);
}

bool quota_give(struct quota *q)
{
    return atomic_fetch_sub_explicit(&q->used, 1, memory_order_relaxed) == quota_max(q);
}

uint32_t quota_used(const struct quota *q)
{
    return atomic_load_explicit(&q->used, memory_order_relaxed);
}

uint32_t quota_max(const struct quota *q)
{
    return atomic_load_explicit(&q->max, memory_order_relaxed);
}

bool quota_is_full(const struct quota *q)
{
    return quota_used(q) >= quota_max(q);
}
