/* SPDX-License-Identifier: MIT */
/* Durations in Go's notation: "60s", "1h30m", ".5s". Nanoseconds in an int64_t. */
#pragma once

#include <stdint.h>

#include "base/attr.h"

/*
 * Reads [+-] and then either 0, or one or more of: decimal number with an optional fraction and a
 * unit out of ns us µs μs ms s m h; they add up. Fractions are cut to nanoseconds. 0 or ERR_INVAL
 * (also for what does not fit). *ret_ns is written on success only.
 */
int duration_parse(const char *text, int64_t *ret_ns) MUST_USE;
