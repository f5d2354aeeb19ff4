/* SPDX-License-Identifier: MIT */
/* A bucket of log lines that refills with time. */
#include "base/log_budget.h"

static void earn(struct log_budget *b, mtime_ms now)
{
    mtime_ms lines = (now - b->counted_at) / LOG_BUDGET_EVERY_MS;
    if (lines >= b->used) {
        b->used = 0;
        b->counted_at = now;
        return;
    }
    b->used -= (unsigned)lines;
    b->counted_at += lines * LOG_BUDGET_EVERY_MS;
}

bool log_budget_take(struct log_budget *b, mtime_ms now, unsigned *ret_left_out)
{
    earn(b, now);
    if (b->used >= LOG_BUDGET_BURST) {
        b->left_out++;
        return false;
    }
    b->used++;
    *ret_left_out = log_budget_left_out(b);
    return true;
}

unsigned log_budget_left_out(struct log_budget *b)
{
    unsigned n = b->left_out;
    b->left_out = 0;
    return n;
}
