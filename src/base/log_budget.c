/* SPDX-License-Identifier: MIT */
/* A bucket of log lines, and how many it held back. */
#include "base/log_budget.h"

static const struct bucket_rate lines = {.per_s = 1000 / LOG_BUDGET_EVERY_MS,
                                         .burst = LOG_BUDGET_BURST};
_Static_assert(1000 % LOG_BUDGET_EVERY_MS == 0, "so many a second");

bool log_budget_take(struct log_budget *b, mtime_ms now, unsigned *ret_left_out)
{
    if (!bucket_take(&b->lines, &lines, 1, now)) {
        b->left_out++;
        return false;
    }
    *ret_left_out = log_budget_left_out(b);
    return true;
}

unsigned log_budget_left_out(struct log_budget *b)
{
    unsigned n = b->left_out;
    b->left_out = 0;
    return n;
}
