/* SPDX-License-Identifier: MIT */
/*
 * Timers without a loop, for the tests of server/: what is started is noted, and rings when the test
 * says so. Time is kit.now. A timer that is used before uv_timer_init(), or after uv_close(), fails
 * the test; of a closed one kit.did has "timer-close".
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/mtime.h"

/* There is none: kit_setup() has done it. */
void timers_forget(void);

/* The loop has a turn: those that were closed since the last one have their callbacks. */
void timers_turn(void);

/* Begun, and not closed. */
bool timer_is_open(const uv_timer_t *t);

/* When it rings next; MTIME_NEVER: it does not run. */
mtime_ms timer_due(const uv_timer_t *t);

/* 0: it rings once. */
uint64_t timer_repeat(const uv_timer_t *t);

/* It rings now, whenever it is due; it runs. */
void timer_ring(uv_timer_t *t);
