/* SPDX-License-Identifier: MIT */
/* Relaxed order is enough: the counter is all that is shared, nothing else is read by its value. */
#include "base/quota.h"

void quota_init(struct quota *q, uint32_t max)
{
    q->max = max;
    atomic_init(&q->used, 0);
}

void quota_take(struct quota *q)
{
    (void)atomic_fetch_add_explicit(&q->used, 1, memory_order_relaxed);
}

bool quota_give(struct quota *q)
{
    return atomic_fetch_sub_explicit(&q->used, 1, memory_order_relaxed) == q->max;
}

uint32_t quota_used(const struct quota *q)
{
    return atomic_load_explicit(&q->used, memory_order_relaxed);
}

bool quota_is_full(const struct quota *q)
{
    return quota_used(q) >= q->max;
}
