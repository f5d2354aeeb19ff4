/* SPDX-License-Identifier: MIT */
/*
 * How many lines somebody else may put into the log: strangers, since anybody can connect, and each
 * connection has its lines; users; a client whose session is cut and resumed over and over. Without
 * a bound a port scan fills a disk. A burst passes whole, a flood one line a second.
 */
#pragma once

#include <stdbool.h>

#include "base/bucket.h"

enum { LOG_BUDGET_BURST = 60, LOG_BUDGET_EVERY_MS = 1000 };

/* All zero is a fresh one. */
struct log_budget {
    /* private */
    struct bucket lines;
    unsigned left_out;
};

/* True if one more line may be written at now; then *ret_left_out is how many could not since the
   last that could. now must not go back. */
bool log_budget_take(struct log_budget *b, mtime_ms now, unsigned *ret_left_out);

/* How many could not be written since the last that could, for whom no more may come: from now on
   none. */
unsigned log_budget_left_out(struct log_budget *b);
